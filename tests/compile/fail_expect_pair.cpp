// expect: deleted
#include <leash/leash.hpp>

int main() {
    leash::Popen p;
    p.out().expect({{"a", "b"}});
}

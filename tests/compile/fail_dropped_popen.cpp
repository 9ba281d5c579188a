// expect: nodiscard
#include <leash/leash.hpp>

int main() {
    leash::Options options;
    leash::Popen({"server"}, options);
}

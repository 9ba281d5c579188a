// expect: deleted
#include <leash/leash.hpp>

int main() {
    leash::Popen job({"true"});
    leash::Popen copy(job);
}

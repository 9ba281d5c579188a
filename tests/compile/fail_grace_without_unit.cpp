// expect: leash: a time has a unit: write 5s (with <chrono> and using namespace std::chrono_literals), or leash::Duration::seconds(5).
#include <leash/leash.hpp>

int main() {
    leash::Options options;
    options.grace = 5;
}

// expect: ToOut
#include <leash/leash.hpp>

int main() {
    leash::Options options;
    options.out = leash::to_out;
}

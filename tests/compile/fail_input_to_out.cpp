// expect: ToOut
#include <leash/leash.hpp>

int main() {
    leash::Options options;
    options.in = leash::to_out;
}

// expect: leash::sink needs a callable f(std::string_view)
#include <leash/leash.hpp>

int main() {
    leash::Options options;
    options.out = leash::sink([](int) {});
}

// expect: leash: no limit is leash::Timeout::none(), and the default
#include <leash/leash.hpp>

int main() {
    leash::Options options;
    options.timeout = std::nullopt;
}

#include <leash/leash.hpp>

int main() {
    leash::Options options;
    options.out = leash::piped;
    return leash::run({"echo", "hi"}, options).out == "hi\n" ? 0 : 1;
}

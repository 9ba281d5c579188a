// tests/modes - one program of two parts: one has leash in its headers, the other one links it.
#include <leash/leash.hpp>

std::string said_by_the_compiled_part();

int main() {
    leash::Options options;
    options.out = leash::piped;
    const leash::Result here = leash::run({"printf", "%s", "hello"}, options);
    return here.out == "hello" && said_by_the_compiled_part() == "hello" ? 0 : 1;
}

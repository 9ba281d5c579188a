// tests/two_units - leash in two translation units of one program: every function in a header is inline.
#include <leash/leash.hpp>

std::string said_by_the_other_unit();
leash::Options options_of_the_other_unit();

int main() {
    const leash::Result here = leash::run({"printf", "%s", "hello"}, options_of_the_other_unit());
    return here.ok() && here.out == "hello" && said_by_the_other_unit() == "hello" ? 0 : 1;
}

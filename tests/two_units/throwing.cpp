// tests/two_units - leash with and without exceptions in one program: whichever comes first, what is thrown arrives.
#include <leash/leash.hpp>

std::string said_by_the_unit_without_exceptions();
bool refused_by_the_unit_without_exceptions();

int main() {
    if (said_by_the_unit_without_exceptions() != "hello" || !refused_by_the_unit_without_exceptions()) return 1;
    bool caught = false, thrown = false;
    try {
        leash::run({"/no/such/program"}).check_ok();
    } catch (const leash::SpawnError& error) {
        caught = error.step() == leash::Step::program;
    }
    leash::Options options;
    options.out = leash::sink([](std::string_view) { throw 7; });
    try {
        leash::run({"printf", "%s", "hello"}, options).check_ok();
    } catch (int number) {
        thrown = number == 7;
    }
    return caught && thrown ? 0 : 2;
}

#include <leash/leash.hpp>

std::string said_by_the_unit_without_exceptions();
bool refused_by_the_unit_without_exceptions();

std::string said_by_the_unit_without_exceptions() {
    leash::Options options;
    options.out = leash::piped;
    const auto result = leash::try_run({"printf", "%s", "hello"}, options);
    return result ? result.value().out : result.error().message();
}

bool refused_by_the_unit_without_exceptions() { return !leash::try_run({"/no/such/program"}).has_value(); }

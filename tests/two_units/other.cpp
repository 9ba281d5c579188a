#include <leash/leash.hpp>

std::string said_by_the_other_unit();
leash::Options options_of_the_other_unit();

std::string said_by_the_other_unit() { return leash::check_output({"printf", "%s", "hello"}); }

leash::Options options_of_the_other_unit() {
    leash::Options options;
    options.out = leash::piped;
    return options;
}

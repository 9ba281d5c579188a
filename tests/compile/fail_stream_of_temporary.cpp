// expect: leash: the Popen would end before its stream is used: give it a name
#include <leash/leash.hpp>

int main() {
    leash::Options options;
    options.out = leash::piped;
    for (const std::string_view line : leash::Popen({"true"}, options).out().lines()) static_cast<void>(line);
}

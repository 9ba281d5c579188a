// tests/examples/example.hpp - running an example as its user would.
#pragma once

#include <doctest/doctest.h>

#include "support.hpp"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace support {

inline std::string path_of(const std::string& example) { return std::string(LEASH_EXAMPLES "/") + example; }

/// An example and its arguments.
inline leash::Command example(const std::string& name, std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), path_of(name));
    return leash::args(std::move(arguments));
}

/// Runs it to its end, with `out` and `err` piped; what it leaves running is in the census.
inline leash::Result run_example(const std::string& name, std::vector<std::string> arguments, const Census& census,
                                 std::string input = {}) {
    leash::Options options = capture(census);
    options.in = leash::bytes(std::move(input));
    options.stragglers = leash::Stragglers::leave;  // nobody but the example tidies up
    options.timeout = 120s;                         // so that a broken test ends
    return leash::run(example(name, std::move(arguments)), options);
}

/// Tries with 0.2 s, 0.4 s, … until `good`: for deadlines that shall find a process which has got that far, be the
/// machine ever so busy.
template <class Try>
auto with_growing_time(Try attempt, bool (*good)(const leash::Result&)) {
    double seconds = 0.2;
    for (;; seconds *= 2) {
        leash::Result result = attempt(std::to_string(seconds));
        if (good(result) || seconds > 20) return result;
    }
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace support

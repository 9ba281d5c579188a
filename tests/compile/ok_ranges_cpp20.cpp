// tests/compile/ok_ranges_cpp20.cpp - the lines of a stream are a range like any other. Compiled, not run.
#include <leash/leash.hpp>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#if __has_include(<ranges>)
#include <ranges>
#endif

#if defined(__cpp_lib_ranges)
using Lines = decltype(std::declval<leash::Reader&>().lines());
using Iterator = decltype(std::declval<Lines&>().begin());
static_assert(std::input_iterator<Iterator>);
static_assert(std::ranges::input_range<Lines>);
#endif

int main() {
    leash::Popen job({"true"}, {.out = leash::piped});
    auto lines = job.out().lines();
    const std::vector<std::string> all(lines.begin(), lines.end());
    auto more = job.out().lines();
    const auto count = std::count(more.begin(), more.end(), std::string_view("x"));
#if defined(__cpp_lib_ranges)
    auto rest = job.out().lines();
    bool none = std::ranges::none_of(rest, [](std::string_view line) { return line.empty(); });
// Views that own a range; clang before 16 cannot compile those of libstdc++.
#if defined(__cpp_lib_ranges) && __cpp_lib_ranges >= 202110L && (!defined(__clang__) || __clang_major__ >= 16)
    const auto has_text = [](std::string_view line) { return !line.empty(); };
    for (std::string_view line : job.out().lines() | std::views::filter(has_text) | std::views::take(3))
        none = none && line.empty();
#endif
#else
    const bool none = true;
#endif
    return static_cast<int>(all.size()) + static_cast<int>(count) + (none ? 0 : 1);
}

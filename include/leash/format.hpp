// leash/format.hpp - statuses, errors and results for std::format. Include it where you use that: <leash/leash.hpp> does not.
#ifndef LEASH_0_1_0_FORMAT_HPP
#define LEASH_0_1_0_FORMAT_HPP

#include <leash/leash.hpp>

// It is there with the libraries of g++ 13 and clang 17, from C++20 on; before, this header is empty. (clang's tells of it by
// __cpp_lib_format since 19 only.)
#if __cplusplus >= 202002L && __has_include(<format>)
#include <format>
#include <string_view>
#endif

#if defined(__cpp_lib_format) || (defined(_LIBCPP_FORMAT) && !defined(_LIBCPP_HAS_NO_INCOMPLETE_FORMAT))

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

/// What format_as() says, with the format specification of a string: `{:>20}`.
struct TextFormatter : std::formatter<std::string_view> {
    template <class Value, class Context>
    auto format(const Value& value, Context& context) const {
        return std::formatter<std::string_view>::format(format_as(value), context);
    }
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

/// `std::format("{}", status)`: ExitStatus::describe().
template <>
struct std::formatter<leash::ExitStatus> : leash::detail::TextFormatter {};
/// Error::message().
template <>
struct std::formatter<leash::Error> : leash::detail::TextFormatter {};
/// Result::describe(): one line, without what may be secret.
template <>
struct std::formatter<leash::Result> : leash::detail::TextFormatter {};

#endif

#endif  // LEASH_0_1_0_FORMAT_HPP

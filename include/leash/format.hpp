// leash/format.hpp - std::format for ExitStatus, Error and Result. <leash/leash.hpp> does not include it.
#ifndef LEASH_0_1_0_FORMAT_HPP
#define LEASH_0_1_0_FORMAT_HPP

#include <leash/leash.hpp>

// std::format needs C++20 and the library of g++ 13 or clang 17. Otherwise this header is empty. (clang's library
// defines __cpp_lib_format only since 19, and its own macro in C++17 too, where other headers of it include <format>.)
#if __cplusplus >= 202002L && __has_include(<format>)
#include <format>
#include <string_view>
#endif

#if defined(__cpp_lib_format) || \
    (__cplusplus >= 202002L && defined(_LIBCPP_FORMAT) && !defined(_LIBCPP_HAS_NO_INCOMPLETE_FORMAT))

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

/// Formats what format_as() returns, with the format specification of a string: `{:>20}`.
struct TextFormatter : std::formatter<std::string_view> {
    template <class Value, class Context>
    auto format(const Value& value, Context& context) const {
        return std::formatter<std::string_view>::format(format_as(value), context);
    }
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

/// Formats ExitStatus::describe(): `std::format("{}", status)`.
template <>
struct std::formatter<leash::ExitStatus> : leash::detail::TextFormatter {};
/// Formats Error::message().
template <>
struct std::formatter<leash::Error> : leash::detail::TextFormatter {};
/// Formats Result::describe(): one line, without output, arguments or variables.
template <>
struct std::formatter<leash::Result> : leash::detail::TextFormatter {};

#endif

#endif  // LEASH_0_1_0_FORMAT_HPP

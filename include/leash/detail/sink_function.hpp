// leash/detail/sink_function.hpp - what sink() was given.
#ifndef LEASH_0_1_0_DETAIL_SINK_FUNCTION_HPP
#define LEASH_0_1_0_DETAIL_SINK_FUNCTION_HPP

#include <string_view>
#include <utility>

#include <leash/config.hpp>
#include <leash/detail/callback.hpp>
#include <leash/detail/shared.hpp>
#include <leash/detail/turnstile.hpp>

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

/// What sink() was given.
struct SinkFunction : Counted {
    explicit SinkFunction(Callback<std::string_view> function) : write(std::move(function)) {}
    const Callback<std::string_view> write;
    Turnstile turnstile;  // of all streams that share this function
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_DETAIL_SINK_FUNCTION_HPP

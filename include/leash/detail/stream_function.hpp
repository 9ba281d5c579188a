// leash/detail/stream_function.hpp - what sink(), line_sink() or source() was given.
#ifndef LEASH_0_1_0_DETAIL_STREAM_FUNCTION_HPP
#define LEASH_0_1_0_DETAIL_STREAM_FUNCTION_HPP

#include <string>
#include <string_view>
#include <utility>

#include <leash/config.hpp>
#include <leash/detail/callback.hpp>
#include <leash/detail/shared.hpp>
#include <leash/detail/turnstile.hpp>

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

/// What sink(), line_sink() or source() was given.
struct StreamFunction : Counted {
    explicit StreamFunction(Callback<std::string_view> its) : function(std::move(its)) {}

    /// Gives it what has come. What was given is taken off the chunk first, so that it is given once, whatever the function
    /// throws; `rest` is what this stream has to keep until more comes.
    virtual void write(std::string_view& chunk, std::string& rest) {
        static_cast<void>(rest);
        function(std::exchange(chunk, {}));
    }
    /// Of a source: the next piece.
    virtual void read(std::string& piece) { piece.clear(); }
    /// The stream has ended.
    virtual void finish(std::string& rest) { static_cast<void>(rest); }

    const Callback<std::string_view> function;
    Turnstile turnstile;  // of all streams that share this function
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_DETAIL_STREAM_FUNCTION_HPP

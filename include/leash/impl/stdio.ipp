// leash/impl/stdio.ipp - the bodies of <leash/stdio.hpp>.
#ifndef LEASH_0_1_0_IMPL_STDIO_IPP
#define LEASH_0_1_0_IMPL_STDIO_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <string_view>
#include <utility>

#include <leash/detail/sink_function.hpp>
#include <leash/stdio.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {

LEASH_INLINE Shared<SinkFunction> make_sink_function(Callback<std::string_view> function) {
    return Shared<SinkFunction>::adopt(new SinkFunction(std::move(function)));
}

}  // namespace detail

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_STDIO_IPP

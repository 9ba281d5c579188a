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

LEASH_INLINE Stdio::Stdio(Kind k) : kind(k) {}

LEASH_INLINE Stdio::Stdio(Redirect r) : kind(static_cast<Kind>(r)) {}

LEASH_INLINE Stdio::Stdio(File f) : kind(Kind::file), append(f.append), text(std::move(f.path)) {}

LEASH_INLINE Stdio::Stdio(Descriptor d) : kind(Kind::descriptor), number(d.number) {}

LEASH_INLINE Stdio::Stdio(Bytes b) : kind(Kind::bytes), text(std::move(b.data)) {}

LEASH_INLINE Stdio::Stdio(Sink s) : kind(Kind::sink), function(std::move(s.function)) {}

LEASH_INLINE Stdio::Stdio(const Stdio& other) = default;

LEASH_INLINE Stdio::Stdio(Stdio&& other) noexcept = default;

LEASH_INLINE Stdio& Stdio::operator=(const Stdio& other) = default;

LEASH_INLINE Stdio& Stdio::operator=(Stdio&& other) noexcept = default;

LEASH_INLINE Stdio::~Stdio() = default;

}  // namespace detail

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_STDIO_IPP

// leash/impl/deadline.ipp - the bodies of <leash/deadline.hpp>. The only reader of a clock.
#ifndef LEASH_0_1_0_IMPL_DEADLINE_IPP
#define LEASH_0_1_0_IMPL_DEADLINE_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <cstdint>

#include <time.h>

#include <leash/deadline.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {

LEASH_INLINE Deadline Deadline::now() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);  // cannot fail
    return Deadline(std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec);
}

LEASH_INLINE Deadline Deadline::after(Timeout timeout) noexcept {
    if (timeout.is_none()) return {};
    return timeout.length() < Duration() ? now() : now().plus(timeout);
}

LEASH_INLINE bool Deadline::passed() const noexcept { return !is_never() && now().point_ >= point_; }

LEASH_INLINE Duration Deadline::remaining() const noexcept {
    if (is_never()) return Duration::longest();
    const std::int64_t left = point_ - now().point_;
    return Duration::nanoseconds(left > 0 ? left : 0);
}

LEASH_INLINE Duration Deadline::elapsed() const noexcept {
    const std::int64_t ago = now().point_ - point_;
    return Duration::nanoseconds(ago > 0 ? ago : 0);
}

LEASH_INLINE Deadline Deadline::plus(Timeout timeout) const noexcept {
    if (is_never()) return {};
    return Deadline((Duration::nanoseconds(point_) + timeout.length()).count());
}

}  // namespace detail

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_DEADLINE_IPP

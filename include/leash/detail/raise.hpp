// leash/detail/raise.hpp - the one place that throws.
#ifndef LEASH_0_1_0_DETAIL_RAISE_HPP
#define LEASH_0_1_0_DETAIL_RAISE_HPP

#include <utility>

#include <cstdio>
#include <cstdlib>

#include <leash/config.hpp>

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

/// Without exceptions only Expected::value() can arrive here: it says why, and aborts.
template <class Exception>
[[noreturn]] void raise(Exception&& exception) {
#if LEASH_EXCEPTIONS
    throw std::forward<Exception>(exception);
#else
    std::fprintf(stderr, "%s\n", exception.what());
    std::abort();
#endif
}

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_DETAIL_RAISE_HPP

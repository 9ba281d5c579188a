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
template <class Exception, class... Args>
[[noreturn]] void raise(Args&&... args) {
#if LEASH_EXCEPTIONS
    throw Exception(std::forward<Args>(args)...);  // made where it is thrown: none is moved
#else
    std::fprintf(stderr, "%s\n", Exception(std::forward<Args>(args)...).what());
    std::abort();
#endif
}

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_DETAIL_RAISE_HPP

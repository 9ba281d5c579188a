// leash/impl/shared.ipp - the bodies of <leash/detail/shared.hpp>.
#ifndef LEASH_0_1_0_IMPL_SHARED_IPP
#define LEASH_0_1_0_IMPL_SHARED_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <leash/detail/shared.hpp>

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

LEASH_INLINE void retain(Counted* object) noexcept { __atomic_fetch_add(&object->count_, 1U, __ATOMIC_RELAXED); }

LEASH_INLINE void release(Counted* object) noexcept {
    // acquire-release: whoever deletes must see all that the other owners did to the object
    if (__atomic_fetch_sub(&object->count_, 1U, __ATOMIC_ACQ_REL) == 1) delete object;
}

LEASH_INLINE bool is_shared(const Counted* object) noexcept {
    // acquire: what an owner did to it before he let go is seen by the one who changes it now
    return __atomic_load_n(&object->count_, __ATOMIC_ACQUIRE) != 1;
}

}  // namespace detail

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_SHARED_IPP

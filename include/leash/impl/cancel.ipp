// leash/impl/cancel.ipp - the bodies of <leash/cancel.hpp>.
#ifndef LEASH_0_1_0_IMPL_CANCEL_IPP
#define LEASH_0_1_0_IMPL_CANCEL_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <leash/cancel.hpp>
#include <leash/detail/posix/event.hpp>

namespace leash {
inline namespace LEASH_ABI {

struct Cancel::State : detail::Counted {
    detail::os::Event event;
};

LEASH_INLINE Cancel::Cancel() : state_(detail::Shared<State>::adopt(new State)) {}

LEASH_INLINE bool Cancel::fire() const noexcept { return state_->event.raise(); }

LEASH_INLINE bool Cancel::fired() const noexcept { return state_->event.raised(); }

LEASH_INLINE Handle Cancel::handle() const noexcept { return state_->event.handle(); }

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_CANCEL_IPP

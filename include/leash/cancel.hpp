// leash/cancel.hpp - HOW: a token with which another thread, or a signal handler, ends a job.
#ifndef LEASH_0_1_0_CANCEL_HPP
#define LEASH_0_1_0_CANCEL_HPP

#include <leash/config.hpp>
#include <leash/detail/shared.hpp>
#include <leash/fwd.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// Given as Options::cancel to any number of jobs. Copies are the same token; fire() is for good. In a forked copy of the
/// host it is another token from the fork on: neither process ends the other's jobs.
///
///     leash::Cancel stop;
///     std::thread([stop] { wait_for_ctrl_c(); stop.fire(); }).detach();
///     leash::Result r = leash::run({"make"}, {.cancel = stop});   // r.cancelled
class Cancel {
  public:
    /// A new token. Costs one small allocation; its pipe is made when a job first waits with it.
    Cancel();

    /// Copied, never moved: no token is without its state.
    /// @{
    Cancel(const Cancel&) = default;
    Cancel& operator=(const Cancel&) = default;
    /// @}

    /// Ends every job that was given this token, also one that only waits for what its leader has left behind: whatever
    /// waits for one wakes at once and ends it as after its timeout. True for the call that was
    /// the first. From any thread, any number of times, and from a signal handler. `const`, since it is the token that
    /// changes and not this handle: `std::stop_callback follow(stop_token, [c] { c.fire(); });`
    bool fire() const noexcept;

    /// Has fire() been called?
    bool fired() const noexcept;

    /// A descriptor that becomes readable when fired, for event loops; the token's own. no_handle where none can be had. After
    /// a fork the copy gets another one: it has to ask again.
    Handle handle() const noexcept;

    /// Are they the same token?
    /// @{
    friend bool operator==(const Cancel& a, const Cancel& b) noexcept { return a.state_.is(b.state_); }
    friend bool operator!=(const Cancel& a, const Cancel& b) noexcept { return !a.state_.is(b.state_); }
    /// @}

  private:
    struct State;
    detail::Shared<State> state_;
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/cancel.ipp>

#endif  // LEASH_0_1_0_CANCEL_HPP

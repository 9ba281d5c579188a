// leash/cancel.hpp - HOW: a token with which another thread, or a signal handler, ends a job.
#ifndef LEASH_0_1_0_CANCEL_HPP
#define LEASH_0_1_0_CANCEL_HPP

#include <leash/config.hpp>
#include <leash/detail/maybe.hpp>
#include <leash/detail/shared.hpp>
#include <leash/fwd.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// A token that requests the end of jobs. Give it to any number of jobs as Options::cancel. Copies are the same token.
/// A fired token stays fired. After a fork(), the child process has a separate token: neither process ends jobs of the
/// other.
///
///     leash::Cancel stop;
///     std::thread([stop] { wait_for_ctrl_c(); stop.fire(); }).detach();
///     leash::Result r = leash::run({"make"}, {.cancel = stop});   // r.cancelled
class Cancel {
  public:
    /// Creates a new token. Costs one small allocation. Its pipe is created when a job first waits with it.
    Cancel();

    /// Does not compile: a copy is the same token.
    template <class T>
    Cancel(T*) : Cancel() {
        static_assert(sizeof(T*) == 0,
                      "leash: a token is given as it is: write .cancel = token, a copy is the same one.");
    }

    /// Copies refer to the same token. A move copies too, so that there is no empty token.
    /// @{
    Cancel(const Cancel&) = default;
    Cancel& operator=(const Cancel&) = default;
    /// @}

    /// Requests the end of every job that has this token, also of a job whose leader has ended but not its other
    /// processes. A call that waits for such a job wakes at once and ends the job as after its timeout. Returns true
    /// for the first call. Does not block. Safe from any thread and from a signal handler, any number of times. It is
    /// `const`, because it changes the token and not this object:
    /// `std::stop_callback follow(stop_token, [c] { c.fire(); });`
    bool fire() const noexcept;

    /// Returns true if fire() has been called.
    bool fired() const noexcept;

    /// Returns a descriptor for event loops: it becomes readable when the token is fired. It belongs to the token: do
    /// not close it. Returns no_handle if none can be created. After a fork(), call it again in the child process.
    Handle handle() const noexcept;

    /// Compares: are both the same token?
    /// @{
    friend bool operator==(const Cancel& a, const Cancel& b) noexcept { return a.state_.is(b.state_); }
    friend bool operator!=(const Cancel& a, const Cancel& b) noexcept { return !a.state_.is(b.state_); }
    /// @}

  private:
    friend class detail::Maybe<Cancel>;
    Cancel(detail::Nothing) noexcept {}

    struct State;
    detail::Shared<State> state_;
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/cancel.ipp>

#endif  // LEASH_0_1_0_CANCEL_HPP

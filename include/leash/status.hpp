// leash/status.hpp - how a process ended, and what it used.
#ifndef LEASH_0_1_0_STATUS_HPP
#define LEASH_0_1_0_STATUS_HPP

#include <optional>
#include <string>

#include <cstdint>

#include <leash/config.hpp>
#include <leash/deadline.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// The signal's name ("SIGKILL"), or "signal" for one that has none here, real-time signals among them.
const char* signal_name(int number) noexcept;

/// How the leader of a job ended: it exited with a code, or a signal killed it, or nobody can know.
///
/// Unknown only if the status cannot be had: the host ignores SIGCHLD or other code waited for the process (except where
/// Linux 6.15 tells it through the pidfd), or the process did not end within the bound of the call.
class ExitStatus {
  public:
    constexpr ExitStatus() = default;  ///< unknown

    /// One to compare with, or for a test.
    /// @{
    static constexpr ExitStatus from_code(int code) { return ExitStatus(Kind::exited, code, false); }
    static constexpr ExitStatus from_signal(int number, bool core = false) {
        return ExitStatus(Kind::signaled, number, core);
    }
    /// @}

    /// Which of the three it is.
    /// @{
    constexpr bool exited() const noexcept { return kind_ == Kind::exited; }
    constexpr bool signaled() const noexcept { return kind_ == Kind::signaled; }
    constexpr bool unknown() const noexcept { return kind_ == Kind::unknown; }
    /// @}
    /// exited() with code 0.
    constexpr bool success() const noexcept { return exited() && number_ == 0; }

    /// What the process gave to exit(), 0 to 255; -1 unless exited().
    constexpr int code() const noexcept { return exited() ? number_ : -1; }
    /// The signal that killed it; 0 unless signaled().
    constexpr int signal() const noexcept { return signaled() ? number_ : 0; }
    /// The signal left a core dump.
    constexpr bool core_dumped() const noexcept { return core_; }

    /// "exited 3", "killed by SIGKILL (9)", "killed by SIGSEGV (11), core dumped", "unknown".
    std::string describe() const;

    /// The same kind, number and core dump.
    /// @{
    friend constexpr bool operator==(ExitStatus a, ExitStatus b) noexcept {
        return a.kind_ == b.kind_ && a.number_ == b.number_ && a.core_ == b.core_;
    }
    friend constexpr bool operator!=(ExitStatus a, ExitStatus b) noexcept { return !(a == b); }
    /// @}

    /// describe(), for streams and for {fmt}.
    /// @{
    template <class Stream>
    friend auto operator<<(Stream& stream, const ExitStatus& status) -> decltype(stream << std::string()) {
        return stream << status.describe();
    }
    friend std::string format_as(const ExitStatus& status) { return status.describe(); }
    /// @}

  private:
    enum class Kind : unsigned char { unknown, exited, signaled };
    constexpr ExitStatus(Kind kind, int number, bool core) : number_(number), kind_(kind), core_(core) {}

    int number_ = 0;
    Kind kind_ = Kind::unknown;
    bool core_ = false;
};

/// Why a job has come to its end.
enum class EndedBy {
    itself,         ///< nobody else: how, its status tells
    timeout,        ///< Options::timeout had passed
    idle_timeout,   ///< Options::idle_timeout had passed without output
    cancel,         ///< its Cancel token was fired, or Supervisor::cancel() called
    stop,           ///< Popen::stop() was called
    kill,           ///< Popen::kill() was called, or send_signal(SIGKILL)
    terminal_stop,  ///< it used the host's terminal from the background, which stopped it (SIGTTIN, SIGTTOU), for good
    /// Memory ran out: with Reach::cgroup, where SIGKILL ended one of those that were started (the leader, or a stage), which
    /// leash did not send, and the kernel says that it killed some of the job for that (Usage::oom_kills). Where the leader
    /// lived on, as a shell does whose command was killed, it has ended by itself.
    memory
};

/// A process that a result tells of, as it was then: for people, and for a log. Its number may be another's by now.
struct Process {
    int pid = 0;  ///< its number; 0 where nobody knows it
    std::string command =
        {};                ///< its command line, the first 200 bytes, or its name in brackets; empty where it has none
    std::string why = {};  ///< what it did, or why it is still there: "holds out", "another user's"; mostly empty
};

/// What the leader and the descendants that it had waited for used, from the call that reaped it (wait4).
/// Zero, and no peak, while the status is unknown, and where others than leash reaped it. With Reach::cgroup, what all of the
/// job used, once it is over.
struct Usage {
    Duration user;    ///< processor time in its own code
    Duration system;  ///< processor time in the kernel on its behalf
    /// The largest resident set of any one of them, in bytes. Unknown where it is no more than the host's own had been
    /// when the job started: a child begins in its host's memory, and the kernel counts that as the child's (Linux, the
    /// BSDs; not macOS).
    std::optional<std::uint64_t> peak_memory = std::nullopt;
    /// With Reach::cgroup: how many of the job the kernel has killed because memory ran out, be it that of a control group
    /// or all there is (`oom_kill` in memory.events, Linux 4.13, where the memory controller is passed down; otherwise zero).
    std::uint64_t oom_kills = 0;
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/status.ipp>

#endif  // LEASH_0_1_0_STATUS_HPP

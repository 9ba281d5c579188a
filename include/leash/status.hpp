// leash/status.hpp - how a process ended, and what it used.
#ifndef LEASH_0_1_0_STATUS_HPP
#define LEASH_0_1_0_STATUS_HPP

#include <string>
#include <type_traits>

#include <cstdint>

#include <leash/config.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/maybe.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// Returns the name of a signal ("SIGKILL"), or "signal" if leash knows no name for it, as for real-time signals.
const char* signal_name(int number) noexcept;

/// The exit status of a process: it exited with a code, a signal killed it, or the status is unknown.
///
/// Unknown only if leash cannot get the status: the host ignores SIGCHLD or other code waited for the process (except
/// since Linux 6.15, where the pidfd keeps the status), or the process did not end within the bound of the call.
class ExitStatus {
  public:
    constexpr ExitStatus() = default;  ///< unknown

    /// Creates a status, to compare with or for a test.
    /// @{
    static constexpr ExitStatus from_code(int code) { return ExitStatus(Kind::exited, code, false); }
    static constexpr ExitStatus from_signal(int number, bool core = false) {
        return ExitStatus(Kind::signaled, number, core);
    }
    /// @}

    /// Exactly one of these three is true.
    /// @{
    constexpr bool exited() const noexcept { return kind_ == Kind::exited; }
    constexpr bool signaled() const noexcept { return kind_ == Kind::signaled; }
    constexpr bool unknown() const noexcept { return kind_ == Kind::unknown; }
    /// @}
    /// Returns true if the process exited with code 0.
    constexpr bool success() const noexcept { return exited() && number_ == 0; }

    /// Returns the code that the process passed to exit(), 0 to 255; -1 unless exited().
    constexpr int code() const noexcept { return exited() ? number_ : -1; }
    /// Returns the number of the signal that killed the process; 0 unless signaled().
    constexpr int signal() const noexcept { return signaled() ? number_ : 0; }
    /// Returns true if a signal killed the process and the kernel wrote a core dump.
    constexpr bool core_dumped() const noexcept { return core_; }

    /// Returns a text: "exited 3", "killed by SIGKILL (9)", "killed by SIGSEGV (11), core dumped" or "unknown".
    std::string describe() const;

    /// Compares kind, number and core dump.
    /// @{
    friend constexpr bool operator==(ExitStatus a, ExitStatus b) noexcept {
        return a.kind_ == b.kind_ && a.number_ == b.number_ && a.core_ == b.core_;
    }
    friend constexpr bool operator!=(ExitStatus a, ExitStatus b) noexcept { return !(a == b); }
    /// @}
    /// Do not compile: a status is not a number, because a signal is not an exit code.
    /// @{
    // Compilers show the line:
    // clang-format off
    template <class T>
    friend std::enable_if_t<std::is_arithmetic_v<T>, bool> operator==(ExitStatus, T) = delete;  // leash: a status is no number: write status.success(), or status.code() == 0.
    template <class T>
    friend std::enable_if_t<std::is_arithmetic_v<T>, bool> operator!=(ExitStatus, T) = delete;  // leash: a status is no number: write !status.success(), or status.code() != 0.
    // clang-format on
    /// @}

    /// Writes describe(), for streams and for {fmt}.
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

/// What ended a job.
enum class EndedBy {
    itself,         ///< nothing from outside that leash knows of; see the exit status
    timeout,        ///< Options::timeout expired
    idle_timeout,   ///< Options::idle_timeout expired without output
    cancel,         ///< its Cancel token was fired, or Supervisor::cancel() was called
    stop,           ///< Popen::stop() was called
    kill,           ///< Popen::kill() or send_signal(SIGKILL) was called
    terminal_stop,  ///< the terminal stopped it as a background job (SIGTTIN, SIGTTOU), so leash ended it
    /// Memory ran out. Only with Reach::cgroup, if SIGKILL that leash did not send ended the leader or a stage, and the
    /// kernel reports that it killed a process of the job for memory (Usage::oom_kills). If the leader survived, as a
    /// shell does whose command was killed, the value is `itself`.
    memory
};

/// Returns the name of what ended a job: "itself", "timeout", "idle_timeout", …
const char* to_string(EndedBy why) noexcept;

/// A process that a result names, as it was at that time: for people and for logs. Do not signal its pid: it may belong
/// to another process by now.
struct Process {
    int pid = 0;               ///< the process ID; not positive if it is unknown
    std::string command = {};  ///< the command line, 200 bytes at most, or the name in brackets; empty if unknown
    std::string why = {};      ///< what it holds, or why it is still there: "another user's"; usually empty
};

/// Resources that the leader used, and the descendants that it waited for (wait4(2)). Zero, without a peak, if the
/// status is unknown or code other than leash reaped the leader. With Reach::cgroup, those of the whole job, once it is
/// over.
struct Usage {
    Duration user;    ///< processor time in user mode
    Duration system;  ///< processor time in the kernel
    /// The largest resident set size of a single process, in bytes. nullopt if it is not larger than that of the host
    /// at the start: a child begins in the memory of its host, and the kernel counts that for the child (Linux, BSDs;
    /// not macOS). Used as a std::optional<std::uint64_t>.
    detail::Maybe<std::uint64_t> peak_memory = {};
    /// With Reach::cgroup: the number of processes of the job that the kernel killed because memory ran out, that of a
    /// control group or all memory (`oom_kill` in memory.events, Linux 4.13). Zero if the host's control group does not
    /// enable the memory controller.
    std::uint64_t oom_kills = 0;
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/status.ipp>

#endif  // LEASH_0_1_0_STATUS_HPP

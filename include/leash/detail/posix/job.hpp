// leash/detail/posix/job.hpp - the processes of a job and their group: the one place that signals, and that reaps.
#pragma once

#include <leash/config.hpp>

#include <chrono>
#include <utility>
#include <vector>

#include <cstdint>

#include <leash/detail/posix/exit_watch.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/options.hpp>
#include <leash/status.hpp>

#if LEASH_POSIX

namespace LEASH_NAMESPACE::detail::os {

/// The processes that were started together (one, or the stages of a pipeline), their group, and how they ended.
/// Every member may be called from any threads at once.
///
/// All rests on one order, kept under one lock: the exits are first *seen* (waitid with WNOWAIT), then the group is
/// killed, then the processes are reaped. Until then their zombies pin the group's number: no signal can meet a
/// stranger. Afterwards there are no signals. Other code of the host may break that order, by a wait() for any child
/// or by ignoring SIGCHLD: therefore each process has a pidfd from its start, where the system has them, which goes on
/// to mean that process and its group whatever becomes of the number.
class Job {
  public:
    /// How one process ended.
    struct Ended {
        ExitStatus status;
        Usage usage;
    };

    Job(Group group, Stragglers stragglers) noexcept
        : has_group_(group != Group::inherited), kills_stragglers_(has_group_ && stragglers == Stragglers::kill) {}

    /// Room for so many processes: afterwards begin() cannot fail.
    void expect(std::size_t count) { processes_ = std::vector<Process>(count); }

    /// Takes charge of processes that were just started, no more than were expected; once, before anything else.
    /// The group is the first one's.
    void begin(const std::vector<Pid>& pids) noexcept {
        processes_.resize(pids.size());
        owner_ = sys::getpid();
        for (std::size_t i = 0; i < pids.size(); ++i) {
            processes_[i].pid = pids[i];
            processes_[i].watch.open(pids[i]);
        }
        over_ = pids.empty();
    }

    /// The job is ended by force: whatever Stragglers says, nothing of the group is to outlive the leader.
    void spare_nobody() noexcept {
        Lock lock(mutex_);
        kills_stragglers_ = has_group_;
    }

    /// The first process, which is the group's number; -1 where there is none.
    Pid pid() const noexcept { return processes_.empty() ? -1 : processes_.front().pid; }

    /// How the last process ended: for a pipeline, the one whose output is the job's.
    Ended ended() noexcept {
        Lock lock(mutex_);
        return processes_.empty() ? Ended() : processes_.back().ended;
    }
    /// How each one ended.
    std::vector<Ended> all_ended() {
        Lock lock(mutex_);
        std::vector<Ended> all;
        all.reserve(processes_.size());
        for (const Process& process : processes_) all.push_back(process.ended);
        return all;
    }

    /// A descriptor that is readable once a process that still runs has ended; after the last one's end, that one's.
    /// -1 where none can be had. It stays open with the job.
    int exit_handle() noexcept {
        Lock lock(mutex_);
        for (Process& process : processes_) {
            if (&process == &processes_.back()) return open_watch(process);
            look_again(process);
            if (!process.seen) return open_watch(process);
        }
        return -1;
    }

    /// The handles of all that still run; false where one of them has none, or where none runs any more: then there is
    /// nothing to wait for.
    bool watch(WaitSet& set) noexcept {
        Lock lock(mutex_);
        bool all = count_running() > 0;
        for (Process& process : processes_) {
            if (!process.seen) all &= set.readable(open_watch(process));
        }
        return all;
    }

    /// How many have not been seen to end.
    std::size_t running() noexcept {
        Lock lock(mutex_);
        return count_running();
    }

    /// Have all ended? Then the group is ended and they are reaped, if nobody did so before. Never waits.
    bool finish() noexcept {
        Lock lock(mutex_);
        if (over_) return true;
        for (Process& process : processes_) look_again(process);
        if (count_running() > 0) return false;
        if (kills_stragglers_) kill_what_is_left();
        for (Process& process : processes_) {
            if (!process.gone && !reap(process)) return false;  // seen, but not to be had yet: the caller comes back
        }
        return over_ = true;
    }

    /// Waits until one of them has ended, or stopped, at no cost; finish() and take_stop() come next.
    void wait_for_exit(bool or_stop) noexcept {
        Pid pid = -1;
        int exit = -1;
        {
            Lock lock(mutex_);
            for (const Process& process : processes_) {
                if (process.seen) continue;
                pid = process.pid;
                exit = process.watch.handle();
            }
        }
        if (pid <= 0) return;
        // Without the lock: others may look, signal and finish meanwhile.
        siginfo_t info{};
        const int states = WEXITED | WNOWAIT | (or_stop ? WSTOPPED : 0);
        while (sys::waitid(pid, exit, &info, states) != 0 && errno == EINTR) {}
    }

    /// The signal that has stopped the job, told once for each stop; 0 as long as one of it goes on.
    int take_stop() noexcept {
        Lock lock(mutex_);
        const int signal = look_for_stop(WNOWAIT);
        if (signal != 0) look_for_stop(0);
        return signal;
    }

    /// A signal to the group, or to the processes alone where the group is the host's. 0, or the errno; ESRCH once
    /// the job has ended.
    int send(int number) noexcept {
        Lock lock(mutex_);
        if (over_) return ESRCH;
        bool ended = true, sent = false, present = false;
        int error = ESRCH;
        const auto send_alone = [&](Process& process) {
            const int result = send_to_one(process, number);
            if (result == 0) sent = true;
            else error = result;
            process.told = true;
        };
        for (Process& process : processes_) {
            look_again(process);
            present |= !process.gone;
            process.told = process.seen;
            if (process.seen) continue;
            ended = false;
            // One may have moved to another group, as an interactive shell does; it is still ours.
            if (!is_in_group(process)) send_alone(process);
        }
        if (!present) return ESRCH;
        if (!has_group_) return ended || sent ? 0 : error;
        const int group = send_to_group(number, is_pinned());
        // And it may have moved just before that.
        for (Process& process : processes_) {
            if (process.told || is_in_group(process)) continue;
            look_again(process);
            if (!process.seen) send_alone(process);
        }
        // Darwin says EPERM of a group of which only zombies are left.
        return group == 0 || sent || (group == EPERM && ended) ? 0 : group;
    }

    /// Is one of those that still run another user's, so that no signal reaches it? (One to the group tells nothing
    /// about that: it succeeds where any member takes it.)
    bool is_out_of_reach() noexcept {
        Lock lock(mutex_);
        for (const Process& process : processes_) {
            if (!process.seen && send_to_one(process, 0) == EPERM) return true;
        }
        return false;
    }

    /// Once over: has the whole group vanished? Signals nothing: 0 only asks. Where this host is the one to which
    /// orphans go (pid 1 of a container, a subreaper), their zombies are reaped: they are of this job.
    bool group_vanished() noexcept {
        Lock lock(mutex_);
        if (vanished_ || !kills_stragglers_ || pid() <= 1 || owner_ != sys::getpid()) return vanished_ = true;
        for (;;) {
            const int error = group_through_pidfd(0);
            // By its number it may be somebody else's group by now: then the answer is merely late.
            if (error == ESRCH) return vanished_ = true;
            if (error != 0) return vanished_ = sys::kill(-pid(), 0) != 0 && errno == ESRCH;
            // It exists: a member pins the number, so that those which are reaped by it are members.
            if (sys::reap_member(pid()) <= 0) return false;
        }
    }

    /// Whether a member of the group is more than a zombie that its new parent has not reaped yet. May take
    /// milliseconds: it reads the list of processes. True where that cannot be told.
    bool group_is_alive() noexcept { return !group_vanished() && any_alive(pid()) && !group_vanished(); }

  private:
    struct Process {
        Pid pid = -1;
        bool seen = false;    // to have ended
        bool gone = false;    // reaped by somebody else, or by the kernel
        bool reaped = false;  // by us
        bool told = false;    // by send(), alone; or there is nobody to tell
        ExitWatch watch;
        Ended ended;
    };
    enum class Look { running, ended, gone };

    /// Once seen, always seen; but what was a zombie may be gone at any time, by somebody else's wait().
    void look_again(Process& process) noexcept {
        if (process.gone || process.reaped) return;
        const Look look = look_at(process);
        process.seen |= look != Look::running;
        process.gone = look == Look::gone;
    }

    /// One that wants the terminal (SIGTTIN, SIGTTOU) counts alone: those which were started after it did not get that
    /// signal, and would wait for it for ever.
    int look_for_stop(int how) noexcept {
        if (owner_ != sys::getpid()) return 0;
        int signal = 0;
        bool all = true;
        for (const Process& process : processes_) {
            if (process.seen) continue;
            siginfo_t info{};
            if (sys::waitid(process.pid, process.watch.handle(), &info, WSTOPPED | WNOHANG | how) != 0 ||
                info.si_pid == 0) {
                all = false;
                continue;
            }
            signal = info.si_status;
            if (signal == SIGTTIN || signal == SIGTTOU) return signal;
        }
        return all ? signal : 0;
    }

    bool is_in_group(const Process& process) const noexcept { return has_group_ && sys::getpgid(process.pid) == pid(); }

    /// Is the group's number surely still the group's? As long as the process whose number it is has not been reaped,
    /// or another one that is in that group.
    bool is_pinned() const noexcept {
        for (const Process& process : processes_) {
            if (process.gone || process.reaped) continue;
            if (process.pid == pid() || sys::getpgid(process.pid) == pid()) return true;
        }
        return false;
    }

    Look look_at(const Process& process) noexcept {
        if (owner_ != sys::getpid()) return Look::gone;  // this is a copy of the handle in a forked child
        siginfo_t info{};
        int result;
        do result = sys::waitid(process.pid, process.watch.handle(), &info, WEXITED | WNOHANG | WNOWAIT);
        while (result != 0 && errno == EINTR);
        if (result != 0) return errno == ECHILD ? Look::gone : Look::running;
        return info.si_pid == 0 ? Look::running : Look::ended;
    }

    /// Late, where the host was out of descriptors at the start: only while the process is surely there, since a
    /// number can be a stranger's by now.
    int open_watch(Process& process) noexcept {
        if (process.watch.handle() < 0 && !process.seen && look_at(process) != Look::gone)
            process.watch.open(process.pid);
        return process.watch.handle();
    }

    std::size_t count_running() const noexcept {
        std::size_t count = 0;
        for (const Process& process : processes_) count += process.seen ? 0 : 1;
        return count;
    }

    // The three calls that signal. 0, or the errno. A number of 1 or less is refused: 0 and -1 would mean the host's
    // own group, and every process there is.

    static int send_to_one(const Process& process, int number) noexcept {
        if (process.pid <= 1) return EPERM;
        if (process.watch.handle() >= 0) {
            if (sys::signal_through(process.watch.handle(), number, false) == 0) return 0;
            if (errno == ESRCH) return ESRCH;
        }
        return sys::kill(process.pid, number) == 0 ? 0 : errno;
    }

    /// ENOSYS where a pidfd does not reach groups here.
    int group_through_pidfd(int number) noexcept {
        const int exit = processes_.front().watch.handle();
        if (exit < 0 || by_pidfd_ == no) return ENOSYS;
        if (by_pidfd_ == unasked) by_pidfd_ = sys::signals_by_flags(exit) ? yes : no;
        if (by_pidfd_ == no) return ENOSYS;
        if (sys::signal_through(exit, number, true) == 0) return 0;
        if (errno != EINVAL) return errno;
        by_pidfd_ = no;  // Linux before 6.9
        return ENOSYS;
    }

    /// Without a pidfd only while the number is pinned.
    int send_to_group(int number, bool is_pinned_now) noexcept {
        if (pid() <= 1) return EPERM;
        const int error = group_through_pidfd(number);
        if (error == 0 || error == ESRCH) return error;
        if (!is_pinned_now) return ESRCH;
        return sys::kill(-pid(), number) == 0 ? 0 : errno;
    }

    /// All have ended: what they left in their group ends now.
    void kill_what_is_left() noexcept {
        if (owner_ == sys::getpid()) send_to_group(SIGKILL, is_pinned());
    }

    /// False where it cannot be had yet. ECHILD, taken by somebody in between, is unknown, and never a guess.
    static bool reap(Process& process) noexcept {
        if (process.reaped) return true;
        siginfo_t info{};
        rusage used{};
        int reaped;
        do reaped = sys::reap(process.pid, process.watch.handle(), &info, &used);
        while (reaped < 0 && errno == EINTR);
        if (reaped == 0) return false;
        if (reaped > 0) process.ended = read_status(info, used);
        return process.reaped = true;
    }

    static Ended read_status(const siginfo_t& info, const rusage& used) noexcept {
        Ended ended;
        if (info.si_code == CLD_EXITED) ended.status = ExitStatus::from_code(info.si_status);
        else ended.status = ExitStatus::from_signal(info.si_status, info.si_code == CLD_DUMPED);
        const auto time = [](const timeval& t) {
            return std::chrono::microseconds(static_cast<std::int64_t>(t.tv_sec) * 1'000'000 + t.tv_usec);
        };
        ended.usage.user = time(used.ru_utime);
        ended.usage.system = time(used.ru_stime);
#if defined(__APPLE__)
        ended.usage.peak_memory = static_cast<std::uint64_t>(used.ru_maxrss);  // bytes there, KiB everywhere else
#else
        ended.usage.peak_memory = static_cast<std::uint64_t>(used.ru_maxrss) * 1024;
#endif
        return ended;
    }

    const bool has_group_;
    enum { unasked, yes, no } by_pidfd_ = unasked;
    Pid owner_ = -1;  // the process that may signal and reap

    Mutex mutex_;
    std::vector<Process> processes_;  // their number and pids are fixed once begun
    bool kills_stragglers_;
    bool over_ = true;
    bool vanished_ = false;
};

}  // namespace leash::detail::os

#endif  // LEASH_POSIX

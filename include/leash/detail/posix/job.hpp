// leash/detail/posix/job.hpp - the processes of a job and their group: the one place that signals, and that reaps.
#pragma once

#include <leash/config.hpp>

#if LEASH_POSIX

#include <chrono>
#include <utility>
#include <vector>

#include <cstdint>

#include <leash/detail/posix/exit_watch.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/options.hpp>
#include <leash/status.hpp>

namespace leash::detail::os {

/// The processes that were started together (one, or the stages of a pipeline), their group, and how they ended.
/// Every member may be called from any threads at once.
///
/// All rests on one order, kept under one lock: the exits are first *seen* (waitid with WNOWAIT), then the group is
/// killed, then the processes are reaped. Until then their zombies pin the group's number: no signal can meet a
/// stranger. Afterwards there are no signals.
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
        // A host that ignores SIGCHLD has its children reaped by the kernel: no zombie pins the number, and only a
        // pidfd taken now can name the group safely later.
        const bool unpinned = sys::discards_child_status();
        for (std::size_t i = 0; i < pids.size(); ++i) {
            processes_[i].pid = pids[i];
            if (unpinned) processes_[i].watch.open(pids[i]);
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

    /// A descriptor that is readable once the first process that still runs has ended; -1 where none can be had. It
    /// stays open with the job.
    int exit_handle() noexcept {
        Lock lock(mutex_);
        for (Process& process : processes_) {
            if (process.seen && &process != &processes_.back()) continue;
            if (!over_) process.watch.open(process.pid);
            return process.watch.handle();
        }
        return -1;
    }

    /// The handles of all that still run; false where one of them has none.
    bool watch(WaitSet& set) {
        Lock lock(mutex_);
        bool all = true;
        for (Process& process : processes_) {
            if (process.seen) continue;
            process.watch.open(process.pid);
            all &= set.readable(process.watch.handle()) >= 0;
        }
        return all;
    }
    bool has_handles() noexcept {
        Lock lock(mutex_);
        for (const Process& process : processes_) {
            if (process.watch.handle() >= 0) return true;
        }
        return false;
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
        for (Process& process : processes_) {
            if (process.seen) continue;
            const Look look = look_at(process.pid);
            process.seen = look != Look::running;
            process.gone = look == Look::gone;
        }
        if (count_running() > 0) return false;
        if (kills_stragglers_) kill_group();
        for (Process& process : processes_) {
            if (!process.gone && !reap(process)) return false;  // seen, but not to be had yet: the caller comes back
        }
        return over_ = true;
    }

    /// Waits until one of them has ended, at no cost; finish() comes next.
    void wait_for_exit() noexcept {
        Pid pid = -1;
        {
            Lock lock(mutex_);
            for (const Process& process : processes_) {
                if (!process.seen) pid = process.pid;
            }
        }
        if (pid <= 0) return;
        // Without the lock: others may look, signal and finish meanwhile.
        siginfo_t info{};
        while (sys::waitid(pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {}
    }

    /// A signal to the group, or to the processes alone where the group is the host's. 0, or the errno; ESRCH once
    /// the job has ended.
    int send(int number) noexcept {
        Lock lock(mutex_);
        if (over_) return ESRCH;
        bool pinned = false, ended = true;
        int error = ESRCH;
        for (const Process& process : processes_) {
            const Look look = process.gone ? Look::gone : look_at(process.pid);
            if (look == Look::gone) continue;
            pinned = true;
            if (look == Look::ended) continue;
            ended = false;
            // One may have moved to another group, as an interactive shell does; it is still ours.
            if (!has_group_ || sys::getpgid(process.pid) != pid()) error = send_to(process.pid, number);
        }
        if (!pinned) return ESRCH;
        if (has_group_) {
            const int group = send_to(-pid(), number);
            // Darwin says EPERM of a group of which only zombies are left.
            if (group == 0 || (group == EPERM && ended)) return 0;
            return error == 0 ? 0 : group;
        }
        return ended ? 0 : error;
    }

    /// Once over: has the whole group vanished? Signals nothing: 0 only asks, and should the number be somebody
    /// else's group by now, the answer is merely late.
    bool group_vanished() noexcept {
        {
            Lock lock(mutex_);
            if (vanished_ || !kills_stragglers_ || pid() <= 1 || owner_ != sys::getpid()) return vanished_ = true;
        }
        if (send_to(-pid(), 0) != ESRCH) return false;
        Lock lock(mutex_);
        return vanished_ = true;
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
        ExitWatch watch;
        Ended ended;
    };
    enum class Look { running, ended, gone };

    Look look_at(Pid pid) noexcept {
        if (owner_ != sys::getpid()) return Look::gone;  // this is a copy of the handle in a forked child
        siginfo_t info{};
        int result;
        do result = sys::waitid(pid, &info, WEXITED | WNOHANG | WNOWAIT);
        while (result != 0 && errno == EINTR);
        if (result != 0) return errno == ECHILD ? Look::gone : Look::running;
        return info.si_pid == 0 ? Look::running : Look::ended;
    }

    std::size_t count_running() const noexcept {
        std::size_t count = 0;
        for (const Process& process : processes_) count += process.seen ? 0 : 1;
        return count;
    }

    /// The one call that signals. 0 and -1 would mean the host's own group, and every process there is.
    static int send_to(Pid target, int number) noexcept {
        if (target == 0 || target == -1 || target == 1) return EPERM;
        return sys::kill(target, number) == 0 ? 0 : errno;
    }

    /// All have ended. As long as one of them is an unreaped zombie, the number is the group's. If all were reaped
    /// by somebody else it may be a stranger's by now; a pidfd is not.
    void kill_group() noexcept {
        bool pinned = false;
        for (const Process& process : processes_) pinned |= !process.gone && !process.reaped;
        if (pinned) {
            send_to(-pid(), SIGKILL);
        } else if (owner_ == sys::getpid() && processes_.front().watch.handle() >= 0) {
            sys::signal_group(processes_.front().watch.handle(), SIGKILL);
        }
    }

    /// False where it cannot be had yet. ECHILD, taken by somebody in between, is unknown, and never a guess.
    static bool reap(Process& process) noexcept {
        if (process.reaped) return true;
        int raw = 0;
        rusage used{};
        Pid reaped;
        do reaped = sys::wait4(process.pid, &raw, WNOHANG, &used);
        while (reaped < 0 && errno == EINTR);
        if (reaped == 0) return false;
        if (reaped == process.pid) process.ended = read_status(raw, used);
        return process.reaped = true;
    }

    static Ended read_status(int raw, const rusage& used) noexcept {
        Ended ended;
        if (WIFEXITED(raw)) {
            ended.status = ExitStatus::from_code(WEXITSTATUS(raw));
        } else if (WIFSIGNALED(raw)) {
#if defined(WCOREDUMP)
            ended.status = ExitStatus::from_signal(WTERMSIG(raw), WCOREDUMP(raw) != 0);
#else
            ended.status = ExitStatus::from_signal(WTERMSIG(raw));
#endif
        }
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
    Pid owner_ = -1;  // the process that may signal and reap

    Mutex mutex_;
    std::vector<Process> processes_;  // their number and pids are fixed once begun
    bool kills_stragglers_;
    bool over_ = true;
    bool vanished_ = false;
};

}  // namespace leash::detail::os

#endif  // LEASH_POSIX

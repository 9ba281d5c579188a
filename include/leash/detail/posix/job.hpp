// leash/detail/posix/job.hpp - a process and its group: the one place that signals and the one place that reaps.
#pragma once

#include <leash/config.hpp>

#if LEASH_POSIX

#include <chrono>

#include <leash/detail/posix/exit_watch.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/options.hpp>
#include <leash/status.hpp>

namespace leash::detail::os {

/// One started process, its group, and how it ended. Every member may be called from any threads at once.
///
/// All rests on one order, kept under one lock: an exit is first *seen* (waitid with WNOWAIT), then the group is
/// killed, then the leader is reaped. Until it is reaped, its zombie pins its number, which is the group's: no
/// signal can meet a stranger. Afterwards there are no signals.
class Job {
  public:
    Job(Group group, Stragglers stragglers) noexcept
        : has_group_(group != Group::inherited), kills_stragglers_(has_group_ && stragglers == Stragglers::kill) {}

    /// Takes charge of a process that was just started; once, before anything else.
    void begin(Pid pid) noexcept {
        pid_ = pid;
        target_ = has_group_ ? -pid : pid;
        owner_ = sys::getpid();
        over_ = false;
        // A host that ignores SIGCHLD has its children reaped by the kernel: no zombie pins the number, and only a
        // pidfd taken now can name the group safely later.
        if (sys::discards_child_status()) watch_.open(pid_);
    }

    /// The job is ended by force: whatever Stragglers says, nothing of the group is to outlive the leader.
    void spare_nobody() noexcept {
        Lock lock(mutex_);
        kills_stragglers_ = has_group_;
    }

    Pid pid() const noexcept { return pid_; }

    bool over() noexcept {
        Lock lock(mutex_);
        return over_;
    }
    ExitStatus status() noexcept {
        Lock lock(mutex_);
        return status_;
    }
    Usage usage() noexcept {
        Lock lock(mutex_);
        return usage_;
    }

    /// A descriptor that is readable once the leader has ended; -1 where none can be had. Stays open with the job.
    int exit_handle() noexcept {
        Lock lock(mutex_);
        if (!over_) watch_.open(pid_);
        return watch_.handle();
    }
    bool has_exit_handle() noexcept {
        Lock lock(mutex_);
        return watch_.handle() >= 0;
    }

    /// Has the leader ended? Then the group is ended and the leader reaped, if nobody did so before. Never waits.
    bool finish() noexcept {
        Lock lock(mutex_);
        if (over_) return true;
        switch (look()) {
            case Leader::running: return false;
            case Leader::gone: {
                // Somebody else reaped it, or the kernel did. Its number may be a stranger's by now; a pidfd is not.
                if (kills_stragglers_ && owner_ == sys::getpid() && watch_.handle() >= 0)
                    sys::signal_group(watch_.handle(), SIGKILL);
                return over_ = true;
            }
            case Leader::ended: break;
        }
        if (kills_stragglers_) sys::kill(target_, SIGKILL);
        int raw = 0;
        rusage used{};
        Pid reaped;
        do reaped = sys::wait4(pid_, &raw, WNOHANG, &used);
        while (reaped < 0 && errno == EINTR);
        if (reaped == 0) return false;  // seen, but not to be had yet: the caller comes back
        if (reaped == pid_) record(raw, used);
        return over_ = true;  // ECHILD, taken by somebody in between: unknown, never a guess
    }

    /// Waits until the leader has ended, at no cost; finish() comes next.
    void wait_for_exit() noexcept {
        // Without the lock: others may look, signal and finish meanwhile.
        siginfo_t info{};
        while (sys::waitid(pid_, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {}
    }

    /// A signal to the group, or to the leader alone where the group is the host's. 0, or the errno; ESRCH once the
    /// job has ended.
    int send(int number) noexcept {
        Lock lock(mutex_);
        const Leader leader = over_ ? Leader::gone : look();
        if (leader == Leader::gone) return ESRCH;
        if (pid_ <= 1) return EPERM;  // 0 and -1 would mean the host's own group, and every process there is
        int error = sys::kill(target_, number) == 0 ? 0 : errno;
        // A leader may have moved to another group, as an interactive shell does; it is still ours.
        if (has_group_ && leader == Leader::running && sys::getpgid(pid_) != pid_)
            error = sys::kill(pid_, number) == 0 ? 0 : errno;
        // Darwin says EPERM of a group of which only zombies are left.
        return error == EPERM && leader == Leader::ended ? 0 : error;
    }

    /// Once over: has the whole group vanished? Signals nothing: 0 only asks, and should the number be somebody
    /// else's group by now, the answer is merely late.
    bool group_vanished() noexcept {
        {
            Lock lock(mutex_);
            if (vanished_ || !kills_stragglers_ || pid_ <= 1 || owner_ != sys::getpid()) return vanished_ = true;
        }
        if (sys::kill(target_, 0) == 0 || errno == EPERM) return false;
        Lock lock(mutex_);
        return vanished_ = true;
    }

    /// Whether a member of the group is more than a zombie that its new parent has not reaped yet. May take
    /// milliseconds: it reads the list of processes. True where that cannot be told.
    bool group_is_alive() noexcept { return !group_vanished() && any_alive(pid_) && !group_vanished(); }

  private:
    enum class Leader { running, ended, gone };

    Leader look() noexcept {
        if (owner_ != sys::getpid()) return Leader::gone;  // this is a copy of the handle in a forked child
        siginfo_t info{};
        int result;
        do result = sys::waitid(pid_, &info, WEXITED | WNOHANG | WNOWAIT);
        while (result != 0 && errno == EINTR);
        if (result != 0) return errno == ECHILD ? Leader::gone : Leader::running;
        return info.si_pid == 0 ? Leader::running : Leader::ended;
    }

    void record(int raw, const rusage& used) noexcept {
        if (WIFEXITED(raw)) {
            status_ = ExitStatus::from_code(WEXITSTATUS(raw));
        } else if (WIFSIGNALED(raw)) {
#if defined(WCOREDUMP)
            status_ = ExitStatus::from_signal(WTERMSIG(raw), WCOREDUMP(raw) != 0);
#else
            status_ = ExitStatus::from_signal(WTERMSIG(raw));
#endif
        }
        const auto time = [](const timeval& t) {
            return std::chrono::microseconds(static_cast<std::int64_t>(t.tv_sec) * 1'000'000 + t.tv_usec);
        };
        usage_.user = time(used.ru_utime);
        usage_.system = time(used.ru_stime);
#if defined(__APPLE__)
        usage_.peak_memory = static_cast<std::uint64_t>(used.ru_maxrss);  // bytes there, KiB everywhere else
#else
        usage_.peak_memory = static_cast<std::uint64_t>(used.ru_maxrss) * 1024;
#endif
    }

    const bool has_group_;
    Pid pid_ = -1;
    Pid target_ = 0;  // what kill() is given: the group as a negative number, or the leader
    Pid owner_ = -1;  // the process that may signal and reap

    Mutex mutex_;
    ExitWatch watch_;
    bool kills_stragglers_;
    bool over_ = true;
    bool vanished_ = false;
    ExitStatus status_;
    Usage usage_;
};

}  // namespace leash::detail::os

#endif  // LEASH_POSIX

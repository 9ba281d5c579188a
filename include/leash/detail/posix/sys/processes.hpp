// leash/detail/posix/sys/processes.hpp - calls on processes: waiting for them, signalling them, asking about them.
#ifndef LEASH_0_1_0_DETAIL_POSIX_SYS_PROCESSES_HPP
#define LEASH_0_1_0_DETAIL_POSIX_SYS_PROCESSES_HPP

#include <leash/config.hpp>

#include <leash/detail/posix/sys/guards.hpp>
#include <leash/detail/posix/sys/ioctl.hpp>

#if LEASH_POSIX

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#endif

// Which system has what (these macros end with this file):
//   pidfd     Linux: pidfd_open 5.3, pidfd_send_signal 5.1, its PIDFD_SIGNAL_PROCESS_GROUP 6.9. Called by number:
//             the libc wrappers came years later (glibc 2.36), and the running kernel may be older than any header.
//   kqueue    macOS, FreeBSD, NetBSD, OpenBSD, DragonFly: EVFILT_PROC with NOTE_EXIT
//   sysctl    macOS, FreeBSD, NetBSD, OpenBSD: tells the processes, as /proc does on Linux. They have arc4random_buf, too.
//   loadavg   in <stdlib.h>; illumos has it elsewhere, Android since API level 29, and is not asked
#if defined(__sun)
#include <sys/loadavg.h>
#endif
#if defined(__ANDROID__)
#define LEASH_LOADAVG 0
#else
#define LEASH_LOADAVG 1
#endif
#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#define LEASH_PIDFD 1
#else
#define LEASH_PIDFD 0
#endif
#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)
#include <sys/event.h>
#define LEASH_KQUEUE 1
#else
#define LEASH_KQUEUE 0
#endif
#if defined(__APPLE__) || defined(__OpenBSD__)
#include <sys/sysctl.h>
#define LEASH_SYSCTL 1
#elif defined(__FreeBSD__) || defined(__NetBSD__)
#include <sys/param.h>
#include <sys/sysctl.h>
#define LEASH_SYSCTL 1
#else
#define LEASH_SYSCTL 0
#endif

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::sys {

inline pid_t getpid() noexcept { return ::getpid(); }
inline pid_t getpgrp() noexcept { return ::getpgrp(); }
inline pid_t getppid() noexcept { return ::getppid(); }
inline uid_t geteuid() noexcept { return ::geteuid(); }
/// Of this process where the number is 0.
inline pid_t getsid(pid_t pid) noexcept { return ::getsid(pid); }

/// Random bytes, of which nobody else has the like. ENOSYS before Linux 3.17, and where processes are not told anyway.
inline int random(void* bytes, std::size_t size) noexcept {
    if (const int e = LEASH_FAULT("random")) return fail(e);
#if defined(__linux__)
    const NoCancellation guard;
    return ::syscall(SYS_getrandom, bytes, size, 0) == static_cast<long>(size) ? 0 : -1;
#elif LEASH_SYSCTL
    return ::arc4random_buf(bytes, size), 0;
#else
    return static_cast<void>(bytes), static_cast<void>(size), fail(ENOSYS);
#endif
}

#if LEASH_SYSCTL
/// Reads a value; its size without a place for it.
inline int sysctl(int* name, unsigned length, void* value, std::size_t* size) noexcept {
    if (const int e = LEASH_FAULT("sysctl")) return fail(e);
    return ::sysctl(name, length, value, size, nullptr, 0);
}
#endif

/// How many processors this process may use; 1 where that cannot be told.
inline std::size_t processors() noexcept {
#if defined(__linux__) && defined(CPU_COUNT)
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) return static_cast<std::size_t>(CPU_COUNT(&allowed));
#endif
    const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? static_cast<std::size_t>(online) : 1;
}

/// The system's load of the last minute; 0 where that cannot be told.
inline double load() noexcept {
#if LEASH_LOADAVG
    double one = 0;
    if (::getloadavg(&one, 1) == 1) return one;
#endif
    return 0;
}

/// Of a child, by its open_exit() descriptor where there is one: that cannot be mistaken for a later child with the
/// same number (P_PIDFD, Linux 5.4). Otherwise by its number.
inline int waitid(pid_t pid, int exit_descriptor, siginfo_t* info, int options) noexcept {
    if (const int e = LEASH_FAULT("waitid")) return fail(e);
    const NoCancellation guard;
#if LEASH_PIDFD
    if (exit_descriptor >= 0) {
        constexpr int p_pidfd = 3;
        const int result = ::waitid(static_cast<idtype_t>(p_pidfd), static_cast<id_t>(exit_descriptor), info, options);
        if (result == 0 || errno != EINVAL) return result;
    }
#else
    static_cast<void>(exit_descriptor);
#endif
    return ::waitid(P_PID, static_cast<id_t>(pid), info, options);
}

/// Reaps one child that is a member of a group and has ended; 0 where there is none.
inline pid_t reap_member(pid_t group) noexcept {
    if (const int e = LEASH_FAULT("reap_member")) return fail(e);
    const NoCancellation guard;
    siginfo_t info{};
    return ::waitid(P_PGID, static_cast<id_t>(group), &info, WEXITED | WNOHANG) == 0 ? info.si_pid : -1;
}

/// Is there any child that has ended, and was not reaped? Also where that cannot be told.
inline bool has_ended_child() noexcept {
    if (LEASH_FAULT("has_ended_child") != 0) return true;
    const NoCancellation guard;
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ? info.si_pid != 0 : errno != ECHILD;
}

/// A status as wait() gives it, in the words of waitid().
inline void tell(int status, siginfo_t* info) noexcept {
    info->si_code = WIFEXITED(status) ? CLD_EXITED : CLD_KILLED;
    info->si_status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
#if defined(WCOREDUMP)
    if (WIFSIGNALED(status) && WCOREDUMP(status)) info->si_code = CLD_DUMPED;
#endif
}

/// Reaps a child that has ended: 1, with how it ended in si_code and si_status, and what it used; 0 where it has not;
/// -1 with errno. By its open_exit() descriptor where that can be: wait4 knows only numbers, and waitid has a fifth
/// argument for the usage that no libc passes on (its layout is the libc's where long has 64 bits).
inline int reap(pid_t pid, int exit_descriptor, siginfo_t* info, rusage* usage) noexcept {
    if (const int e = LEASH_FAULT("reap")) return fail(e);
    const NoCancellation guard;
#if LEASH_PIDFD
    if (exit_descriptor >= 0 && sizeof(long) == 8) {
        constexpr int p_pidfd = 3;
        info->si_pid = 0;
        const long result = ::syscall(SYS_waitid, p_pidfd, exit_descriptor, info, WEXITED | WNOHANG, usage);
        if (result == 0) return info->si_pid != 0 ? 1 : 0;
        if (errno != EINVAL) return -1;
    }
#else
    static_cast<void>(exit_descriptor);
#endif
    int status = 0;
    const pid_t reaped = ::wait4(pid, &status, WNOHANG, usage);
    if (reaped <= 0) return reaped;
    tell(status, info);
    return 1;
}

/// How a child ended that somebody else has reaped, or the kernel, since SIGCHLD is ignored: 1, with that in si_code and
/// si_status; 0 where it is being reaped this moment; -1 where nobody knows any more. By its open_exit() descriptor, which
/// keeps that since Linux 6.15.
inline int ask_exit(int exit_descriptor, siginfo_t* info) noexcept {
    if (const int e = LEASH_FAULT("ask_exit")) return e == -1 ? 0 : fail(e);  // -1 asks for "this moment"
#if LEASH_PIDFD
    struct {  // struct pidfd_info, as it was at first
        std::uint64_t mask, cgroup;
        std::uint32_t numbers[11];
        std::int32_t status;
    } answer{};
    static_assert(sizeof answer == 64);
    constexpr std::uint64_t exit_only = 1U << 3;  // PIDFD_INFO_EXIT
    answer.mask = exit_only;
    if (::syscall(SYS_ioctl, exit_descriptor, get_pidfd_info, &answer) != 0) return -1;
    if ((answer.mask & exit_only) == 0) return 0;
    tell(answer.status, info);
    return 1;
#else
    return static_cast<void>(exit_descriptor), static_cast<void>(info), fail(ENOSYS);
#endif
}

/// ru_maxrss in bytes.
inline std::uint64_t peak_memory(const rusage& usage) noexcept {
#if defined(__APPLE__)
    return static_cast<std::uint64_t>(usage.ru_maxrss);
#else
    return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
#endif
}

/// The most that the kernel may credit to a child, as its peak of memory, that was this process's: a child of vfork's
/// kind is in its parent's memory until it executes, one of fork's in a copy of it; on macOS it is in neither.
inline std::uint64_t inherited_peak() noexcept {
#if defined(__APPLE__)
    return 0;
#else
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);  // cannot fail
    return peak_memory(usage);
#endif
}

inline pid_t getpgid(pid_t pid) noexcept {
    if (const int e = LEASH_FAULT("getpgid")) return fail(e);
    return ::getpgid(pid);
}

inline int setpgid(pid_t pid, pid_t group) noexcept {
    if (const int e = LEASH_FAULT("setpgid")) return fail(e);
    return ::setpgid(pid, group);
}

inline int kill(pid_t pid, int signal) noexcept {
    if (const int e = LEASH_FAULT("kill")) return fail(e);
    return ::kill(pid, signal);
}

/// Stops the host's own group, as the terminal does at Ctrl-Z: returns once the host has been continued, or at once
/// where it cannot be stopped (it ignores the signal, or nobody is there to continue it). One more signal goes to
/// this thread, so that it is here, and not some time later, that it stops. It waits until both are sent: whichever
/// stops the host, the other is forgotten when it continues.
inline void stop_own_group(int signal) noexcept {
    if (LEASH_FAULT("stop_own_group") != 0) return;
    sigset_t stop, before;
    sigemptyset(&stop);
    sigaddset(&stop, signal);
    ::pthread_sigmask(SIG_BLOCK, &stop, &before);
    ::raise(signal);
    ::kill(0, signal);
    ::pthread_sigmask(SIG_UNBLOCK, &stop, nullptr);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

/// The nice value of a process; 0: of the calling thread.
inline int nice_of(pid_t pid) noexcept { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid)); }

/// Does /proc show what descriptors a process has, and prlimit(2) its limits?
#if defined(__linux__)
constexpr bool shows_inventory = true;
#else
constexpr bool shows_inventory = false;
#endif

/// A resource's limit that is in force for a process, or the hard one; 0: this process. All there is where that cannot be told.
inline std::uint64_t limit_of(pid_t pid, int resource, bool hard = false) noexcept {
    std::uint64_t limits[2] = {UINT64_MAX, UINT64_MAX};
#if defined(__linux__)
    if (::syscall(SYS_prlimit64, pid, resource, nullptr, limits) != 0) return UINT64_MAX;
#else
    rlimit own{};
    if (pid != 0 || ::getrlimit(resource, &own) != 0) return UINT64_MAX;
    limits[0] = own.rlim_cur == RLIM_INFINITY ? UINT64_MAX : static_cast<std::uint64_t>(own.rlim_cur);
    limits[1] = own.rlim_max == RLIM_INFINITY ? UINT64_MAX : static_cast<std::uint64_t>(own.rlim_max);
#endif
    return limits[hard ? 1 : 0];
}

/// Does open_exit() give what a signal can be sent through?
constexpr bool has_pidfd = LEASH_PIDFD;

/// A descriptor that becomes readable when the child has ended: a pidfd or a kqueue. It is close-on-exec.
/// ENOSYS where the system has neither, EPERM in some containers, EMFILE and ENFILE, ESRCH if there is no such child.
inline int open_exit(pid_t pid) noexcept {
    if (const int e = LEASH_FAULT("open_exit")) return fail(e);
#if LEASH_PIDFD
    constexpr long pidfd_open = 434;  // on every architecture since Linux 5.3
    return static_cast<int>(::syscall(pidfd_open, pid, 0));
#elif LEASH_KQUEUE
    const NoCancellation guard;
    const int queue = ::kqueue();
    if (queue < 0) return -1;
    struct kevent change;
    EV_SET(&change, static_cast<uintptr_t>(pid), EVFILT_PROC, EV_ADD | EV_ONESHOT, NOTE_EXIT, 0, 0);
    if (::kevent(queue, &change, 1, nullptr, 0, nullptr) == 0) {
        ::fcntl(queue, F_SETFD, FD_CLOEXEC);
        return queue;
    }
    const int error = errno;
    ::close(queue);
    return fail(error);
#else
    static_cast<void>(pid);
    return fail(ENOSYS);
#endif
}

/// Signals the process that an open_exit() descriptor names, or the process group of which it was the leader, even
/// when it has been reaped: unlike a number, the descriptor can only ever mean those. The process: Linux 5.1. The
/// group: Linux 6.9, EINVAL before. ENOSYS elsewhere.
inline int signal_through(int exit_descriptor, int signal, bool group) noexcept {
    if (const int e = LEASH_FAULT("signal_through")) return fail(e);
#if LEASH_PIDFD
    constexpr long pidfd_send_signal = 424;
    constexpr unsigned process_group = 1U << 2;  // PIDFD_SIGNAL_PROCESS_GROUP
    return static_cast<int>(::syscall(pidfd_send_signal, exit_descriptor, signal, nullptr, group ? process_group : 0U));
#else
    static_cast<void>(exit_descriptor);
    static_cast<void>(signal);
    static_cast<void>(group);
    return fail(ENOSYS);
#endif
}

/// Does signal_through() look at its flags? An emulator (qemu-user 7) drops them and reaches the leader only: it is
/// unmasked by flags that every kernel refuses.
inline bool signals_by_flags(int exit_descriptor) noexcept {
    if (LEASH_FAULT("signals_by_flags") != 0) return false;
#if LEASH_PIDFD
    constexpr long pidfd_send_signal = 424;
    return ::syscall(pidfd_send_signal, exit_descriptor, 0, nullptr, ~0U) != 0 && errno == EINVAL;
#else
    static_cast<void>(exit_descriptor);
    return false;
#endif
}

}  // namespace detail::sys
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#undef LEASH_PIDFD
#undef LEASH_KQUEUE
#undef LEASH_SYSCTL
#undef LEASH_LOADAVG

#endif  // LEASH_0_1_0_DETAIL_POSIX_SYS_PROCESSES_HPP

// leash/detail/posix/syscalls.hpp - the thin seam: every system call of this back end, and nothing else.
//
// Each function is the system's own, by its own name, and answers as the system does. A test that defines
// LEASH_FAULTS can make any of them fail; otherwise the compiler sees straight through.
#pragma once

#include <leash/config.hpp>

#if LEASH_POSIX

#include <chrono>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#endif

// Which system has what (these macros end with this file):
//   pidfd     Linux: pidfd_open 5.3, pidfd_send_signal 5.1, its PIDFD_SIGNAL_PROCESS_GROUP 6.9. Called by number:
//             the libc wrappers came years later (glibc 2.36), and the running kernel may be older than any header.
//   kqueue    macOS, FreeBSD, NetBSD, OpenBSD, DragonFly: EVFILT_PROC with NOTE_EXIT
//   pipe2     everywhere but macOS
//   ppoll     Linux, FreeBSD 11, NetBSD 10, OpenBSD 5.4; not macOS
//   memfd     Linux 3.17; called by number, glibc has it since 2.27
#if defined(__linux__)
#include <sched.h>
#include <sys/epoll.h>
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
#if defined(__linux__) || defined(__FreeBSD__) || defined(__OpenBSD__)
#define LEASH_PPOLL 1
#else
#define LEASH_PPOLL 0
#endif

// What posix_spawn can do, and since when (so do these):
//   CLOSEFROM        "close all from n on" as a file action: glibc 2.34, FreeBSD 13.1, illumos. It runs in the child,
//                    so that a descriptor which another thread opens at that moment cannot slip through.
//   CLOEXEC_DEFAULT  macOS 10.7: the child has what file actions made, and nothing else.
//   neither          musl, NetBSD, OpenBSD, older glibc: an enumerated list of closes; see close_rest().
//   CHDIR            glibc 2.29, musl 1.1.24, macOS 10.15, FreeBSD 13.1, illumos; elsewhere Options::cwd is refused.
//   SETSID           glibc 2.26, musl 1.1.22, macOS 10.15, illumos; elsewhere Group::session is refused.
//   TCSETPGRP        glibc 2.35: the child itself takes the terminal, before it can read it; elsewhere the host gives
//                    it just afterwards, and continues a child that was quicker.
// LEASH_FORCE_ENUMERATED_CLOSE, LEASH_FORCE_NO_CHDIR and LEASH_FORCE_NO_TCSETPGRP choose the poorer way: for tests.
#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
#define LEASH_CLOSEFROM 1
#endif
#if __GLIBC_PREREQ(2, 29)
#define LEASH_CHDIR 1
#endif
#if __GLIBC_PREREQ(2, 35)
#define LEASH_TCSETPGRP 1
#endif
#elif defined(__FreeBSD__)
#if __FreeBSD_version >= 1301000
#define LEASH_CLOSEFROM 1
#define LEASH_CHDIR 1
#endif
#elif defined(__sun)
#define LEASH_CLOSEFROM 1
#define LEASH_CHDIR 1
#elif defined(__APPLE__) || (defined(__linux__) && !defined(__GLIBC__))
#define LEASH_CHDIR 1
#endif
#if !defined(LEASH_CLOSEFROM) || defined(LEASH_FORCE_ENUMERATED_CLOSE)
#undef LEASH_CLOSEFROM
#define LEASH_CLOSEFROM 0
#endif
#if !defined(LEASH_CHDIR) || defined(LEASH_FORCE_NO_CHDIR)
#undef LEASH_CHDIR
#define LEASH_CHDIR 0
#endif
#if !defined(LEASH_TCSETPGRP) || defined(LEASH_FORCE_NO_TCSETPGRP)
#undef LEASH_TCSETPGRP
#define LEASH_TCSETPGRP 0
#endif
#if defined(POSIX_SPAWN_CLOEXEC_DEFAULT)
#define LEASH_CLOEXEC_DEFAULT 1
#else
#define LEASH_CLOEXEC_DEFAULT 0
#endif
#if defined(POSIX_SPAWN_SETSID)
#define LEASH_SETSID 1
#else
#define LEASH_SETSID 0
#endif

#if defined(__APPLE__)
#include <crt_externs.h>
#else
extern char** environ;
#endif

#if LEASH_POSIX

namespace LEASH_NAMESPACE::detail::sys {

inline int fail(int error) noexcept {
    errno = error;
    return -1;
}

/// While it lives, this thread is not stopped for using a terminal from the background.
class NoStop {
  public:
    NoStop() noexcept {
        sigset_t output;
        sigemptyset(&output);
        sigaddset(&output, SIGTTOU);
        ::pthread_sigmask(SIG_BLOCK, &output, &before_);
    }
    NoStop(const NoStop&) = delete;
    NoStop& operator=(const NoStop&) = delete;
    ~NoStop() {
        const int error = errno;
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = error;
    }

  private:
    sigset_t before_{};
};

// ---- descriptors

inline int open(const char* path, int flags, mode_t mode = 0) noexcept {
    if (const int e = LEASH_FAULT("open")) return fail(e);
    return ::open(path, flags, mode);
}

inline int close(int fd) noexcept {
    // An injected failure still closes: that is what Linux does on EINTR and EIO.
    const int e = LEASH_FAULT("close");
    const int result = ::close(fd);
    return e != 0 ? fail(e) : result;
}

inline ssize_t read(int fd, void* data, std::size_t size) noexcept {
    if (const int e = LEASH_FAULT("read")) {
        if (e != -1) return fail(e);
        size = size > 0 ? 1 : 0;  // -1 asks for a short read
    }
    return ::read(fd, data, size);
}

inline ssize_t write(int fd, const void* data, std::size_t size) noexcept {
    if (const int e = LEASH_FAULT("write")) {
        if (e != -1) return fail(e);
        size = size > 0 ? 1 : 0;
    }
    return ::write(fd, data, size);
}

/// Both ends close-on-exec.
inline int pipe(int (&ends)[2]) noexcept {
    if (const int e = LEASH_FAULT("pipe")) return fail(e);
#if defined(__APPLE__)
    // A fork by other code between the two calls would leak the ends; our own children get them closed all the same.
    if (::pipe(ends) != 0) return -1;
    ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    ::fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    return 0;
#else
    return ::pipe2(ends, O_CLOEXEC);
#endif
}

inline int fcntl(int fd, int command, int argument = 0) noexcept {
    if (const int e = LEASH_FAULT("fcntl")) return fail(e);
    return ::fcntl(fd, command, argument);
}

inline int fstat(int fd, struct stat* info) noexcept {
    if (const int e = LEASH_FAULT("fstat")) return fail(e);
    return ::fstat(fd, info);
}

inline off_t lseek(int fd, off_t offset, int whence) noexcept {
    if (const int e = LEASH_FAULT("lseek")) return fail(e);
    return ::lseek(fd, offset, whence);
}

/// How many bytes a pipe holds.
inline int pending(int fd, int* count) noexcept {
    if (const int e = LEASH_FAULT("ioctl")) return fail(e);
    return ::ioctl(fd, FIONREAD, count);
}

/// An empty file without a name, open for reading and writing, close-on-exec.
inline int unnamed_file() noexcept {
    if (const int e = LEASH_FAULT("memfd_create")) return fail(e);
#if defined(__linux__) && defined(SYS_memfd_create)
    constexpr unsigned close_on_exec = 1;  // MFD_CLOEXEC
    const long fd = ::syscall(SYS_memfd_create, "leash", close_on_exec);
    if (fd >= 0 || errno != ENOSYS) return static_cast<int>(fd);
#endif
    char path[] = "/tmp/leash.XXXXXX";
    const int file = ::mkstemp(path);
    if (file < 0) return -1;
    ::unlink(path);
    ::fcntl(file, F_SETFD, FD_CLOEXEC);
    return file;
}

/// poll() for at most that many nanoseconds; nanoseconds::max() waits for ever.
inline int poll(pollfd* fds, nfds_t count, std::chrono::nanoseconds most) noexcept {
    if (const int e = LEASH_FAULT("poll")) return fail(e);
    const bool forever = most == std::chrono::nanoseconds::max();
    // At most a day at a time: the caller looks at its deadline again, and no conversion can overflow.
    constexpr std::chrono::nanoseconds day = std::chrono::hours(24);
    if (most > day) most = day;
#if LEASH_PPOLL
    timespec wait{};
    wait.tv_sec = static_cast<time_t>(most.count() / 1'000'000'000);
    wait.tv_nsec = static_cast<long>(most.count() % 1'000'000'000);
    return ::ppoll(fds, count, forever ? nullptr : &wait, nullptr);
#else
    return ::poll(fds, count, forever ? -1 : static_cast<int>((most.count() + 999'999) / 1'000'000));
#endif
}

#if defined(__linux__)
inline int epoll_create() noexcept {
    if (const int e = LEASH_FAULT("epoll_create")) return fail(e);
    return ::epoll_create1(EPOLL_CLOEXEC);
}

/// EPOLL_CTL_ADD, _MOD or _DEL: to tell, once, when the descriptor is readable.
inline int epoll_control(int epoll, int operation, int fd, std::uint64_t token) noexcept {
    if (const int e = LEASH_FAULT("epoll_control")) return fail(e);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLONESHOT;
    event.data.u64 = token;
    return ::epoll_ctl(epoll, operation, fd, &event);
}

/// For at most that many nanoseconds, rounded up to milliseconds; nanoseconds::max() waits for ever.
inline int epoll_wait(int epoll, epoll_event* events, int count, std::chrono::nanoseconds most) noexcept {
    if (const int e = LEASH_FAULT("epoll_wait")) return fail(e);
    const bool forever = most == std::chrono::nanoseconds::max();
    constexpr std::chrono::nanoseconds day = std::chrono::hours(24);
    if (most > day) most = day;
    return ::epoll_wait(epoll, events, count, forever ? -1 : static_cast<int>((most.count() + 999'999) / 1'000'000));
}
#endif

// ---- files and terminals

inline int stat(const char* path, struct stat* info) noexcept {
    if (const int e = LEASH_FAULT("stat")) return fail(e);
    return ::stat(path, info);
}

/// access() with the effective user, which is who will execute.
inline int access(const char* path, int mode) noexcept {
    if (const int e = LEASH_FAULT("access")) return fail(e);
    return ::faccessat(AT_FDCWD, path, mode, AT_EACCESS);
}

inline char* getcwd(char* path, std::size_t size) noexcept {
    if (const int e = LEASH_FAULT("getcwd")) return fail(e), nullptr;
    return ::getcwd(path, size);
}

/// The foreground group of a terminal; -1 unless it is the controlling terminal of this process.
inline pid_t tcgetpgrp(int fd) noexcept {
    if (const int e = LEASH_FAULT("tcgetpgrp")) return fail(e);
    return ::tcgetpgrp(fd);
}

/// Makes a group the foreground group of a terminal. Its own foreground is nothing that the host should be stopped for
/// (SIGTTOU goes to a background process that does this): the signal is blocked meanwhile, which POSIX lets pass.
inline int tcsetpgrp(int fd, pid_t group) noexcept {
    if (const int e = LEASH_FAULT("tcsetpgrp")) return fail(e);
    const NoStop guard;
    return ::tcsetpgrp(fd, group);
}

inline pid_t getpgrp() noexcept { return ::getpgrp(); }
inline pid_t getppid() noexcept { return ::getppid(); }
inline pid_t getsid() noexcept { return ::getsid(0); }

/// A terminal's modes.
inline int tcgetattr(int fd, termios* modes) noexcept {
    if (const int e = LEASH_FAULT("tcgetattr")) return fail(e);
    return ::tcgetattr(fd, modes);
}
inline int tcsetattr(int fd, const termios* modes) noexcept {
    if (const int e = LEASH_FAULT("tcsetattr")) return fail(e);
    const NoStop guard;
    return ::tcsetattr(fd, TCSANOW, modes);
}

/// The size of a terminal; its foreground group gets SIGWINCH where that changes it.
inline int set_window(int fd, unsigned short rows, unsigned short columns) noexcept {
    if (const int e = LEASH_FAULT("set_window")) return fail(e);
    winsize size{};
    size.ws_row = rows;
    size.ws_col = columns;
    return ::ioctl(fd, TIOCSWINSZ, &size);
}

/// The host's side of a new pseudo-terminal, close-on-exec. It does not become the host's controlling one.
inline int open_terminal() noexcept {
    if (const int e = LEASH_FAULT("open_terminal")) return fail(e);
#if defined(__linux__) || defined(__FreeBSD__)
    return ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
#else
    const int fd = ::posix_openpt(O_RDWR | O_NOCTTY);
    if (fd >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
#endif
}

/// Lets its other side be opened, and says by which path.
inline int unlock_terminal(int fd, char* path, std::size_t size) noexcept {
    if (const int e = LEASH_FAULT("unlock_terminal")) return fail(e);
    if (::grantpt(fd) != 0 || ::unlockpt(fd) != 0) return -1;
#if defined(__linux__) || defined(__APPLE__) || defined(__FreeBSD__)
    const int error = ::ptsname_r(fd, path, size);
    return error == 0 ? 0 : fail(error > 0 ? error : errno);
#else
    const char* const name = ::ptsname(fd);  // not safe among threads, and the only one there
    if (name == nullptr) return -1;
    std::snprintf(path, size, "%s", name);
    return 0;
#endif
}

/// The lowest number that no descriptor can get any more (RLIMIT_NOFILE).
inline int descriptor_limit() noexcept {
    rlimit limit{};
    constexpr rlim_t most = 0x7fffffff;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > most) return static_cast<int>(most);
    return static_cast<int>(limit.rlim_cur);
}

inline DIR* opendir(const char* path) noexcept {
    if (const int e = LEASH_FAULT("opendir")) return fail(e), nullptr;
    return ::opendir(path);
}

// ---- processes

inline pid_t getpid() noexcept { return ::getpid(); }

/// How many processors this process may use; 1 where that cannot be told.
inline std::size_t processors() noexcept {
#if defined(__linux__) && defined(CPU_COUNT)
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) return static_cast<std::size_t>(CPU_COUNT(&allowed));
#endif
    const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? static_cast<std::size_t>(online) : 1;
}

/// These return the error, as all of posix_spawn does. Its file actions and attributes allocate, nothing else.
inline int spawn_actions_init(posix_spawn_file_actions_t* actions) noexcept {
    if (const int e = LEASH_FAULT("spawn_actions_init")) return e;
    return ::posix_spawn_file_actions_init(actions);
}

inline int spawn_actions_dup2(posix_spawn_file_actions_t* actions, int from, int to) noexcept {
    if (const int e = LEASH_FAULT("spawn_actions_dup2")) return e;
    return ::posix_spawn_file_actions_adddup2(actions, from, to);
}

inline int spawn_actions_close(posix_spawn_file_actions_t* actions, int fd) noexcept {
    if (const int e = LEASH_FAULT("spawn_actions_close")) return e;
    return ::posix_spawn_file_actions_addclose(actions, fd);
}

inline int spawn_actions_open(posix_spawn_file_actions_t* actions, int fd, const char* path, int flags) {
    if (const int e = LEASH_FAULT("spawn_actions_open")) return e;
    return ::posix_spawn_file_actions_addopen(actions, fd, path, flags, 0);
}

/// What is missing here says ENOSYS; has_closefrom and the like tell beforehand.
inline int spawn_actions_chdir(posix_spawn_file_actions_t* actions, const char* path) noexcept {
    if (const int e = LEASH_FAULT("spawn_actions_chdir")) return e;
#if LEASH_CHDIR
    return ::posix_spawn_file_actions_addchdir_np(actions, path);
#else
    return static_cast<void>(actions), static_cast<void>(path), ENOSYS;
#endif
}

/// Closes all from `first` on.
constexpr bool has_closefrom = LEASH_CLOSEFROM;
inline int spawn_actions_closefrom(posix_spawn_file_actions_t* actions, int first) noexcept {
    if (const int e = LEASH_FAULT("spawn_actions_closefrom")) return e;
#if LEASH_CLOSEFROM
    return ::posix_spawn_file_actions_addclosefrom_np(actions, first);
#else
    return static_cast<void>(actions), static_cast<void>(first), ENOSYS;
#endif
}

/// Keeps a descriptor as it is where the rest is closed by default.
constexpr bool has_cloexec_default = LEASH_CLOEXEC_DEFAULT;
inline int spawn_actions_inherit(posix_spawn_file_actions_t* actions, int fd) noexcept {
#if LEASH_CLOEXEC_DEFAULT
    return ::posix_spawn_file_actions_addinherit_np(actions, fd);
#else
    return static_cast<void>(actions), static_cast<void>(fd), ENOSYS;
#endif
}

/// Makes the child's group the foreground group of a terminal.
constexpr bool has_tcsetpgrp_action = LEASH_TCSETPGRP;
inline int spawn_actions_tcsetpgrp(posix_spawn_file_actions_t* actions, int fd) noexcept {
    if (const int e = LEASH_FAULT("spawn_actions_tcsetpgrp")) return e;
#if LEASH_TCSETPGRP
    return ::posix_spawn_file_actions_addtcsetpgrp_np(actions, fd);
#else
    return static_cast<void>(actions), static_cast<void>(fd), ENOSYS;
#endif
}

/// Flags of attributes; 0 where the system has no such thing.
#if LEASH_SETSID
constexpr int spawn_setsid = POSIX_SPAWN_SETSID;
#else
constexpr int spawn_setsid = 0;
#endif
#if LEASH_CLOEXEC_DEFAULT
constexpr int spawn_cloexec_default = POSIX_SPAWN_CLOEXEC_DEFAULT;
#else
constexpr int spawn_cloexec_default = 0;
#endif

inline int spawn_attributes_init(posix_spawnattr_t* attributes) noexcept {
    if (const int e = LEASH_FAULT("spawn_attributes_init")) return e;
    return ::posix_spawnattr_init(attributes);
}

inline int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                       const posix_spawnattr_t* attributes, char* const* argv, char* const* env) noexcept {
    if (const int e = LEASH_FAULT("posix_spawn")) return e;
    return ::posix_spawn(pid, path, actions, attributes, argv, env);
}

/// Of a child, by its open_exit() descriptor where there is one: that cannot be mistaken for a later child with the
/// same number (P_PIDFD, Linux 5.4). Otherwise by its number.
inline int waitid(pid_t pid, int exit_descriptor, siginfo_t* info, int options) noexcept {
    if (const int e = LEASH_FAULT("waitid")) return fail(e);
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
    siginfo_t info{};
    return ::waitid(P_PGID, static_cast<id_t>(group), &info, WEXITED | WNOHANG) == 0 ? info.si_pid : -1;
}

/// Reaps a child that has ended: 1, with how it ended in si_code and si_status, and what it used; 0 where it has not;
/// -1 with errno. By its open_exit() descriptor where that can be: wait4 knows only numbers, and waitid has a fifth
/// argument for the usage that no libc passes on (its layout is the libc's where long has 64 bits).
inline int reap(pid_t pid, int exit_descriptor, siginfo_t* info, rusage* usage) noexcept {
    if (const int e = LEASH_FAULT("reap")) return fail(e);
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
    info->si_code = WIFEXITED(status) ? CLD_EXITED : CLD_KILLED;
    info->si_status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
#if defined(WCOREDUMP)
    if (WIFSIGNALED(status) && WCOREDUMP(status)) info->si_code = CLD_DUMPED;
#endif
    return 1;
}

inline pid_t getpgid(pid_t pid) noexcept {
    if (const int e = LEASH_FAULT("getpgid")) return fail(e);
    return ::getpgid(pid);
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

/// A descriptor that becomes readable when the child has ended: a pidfd or a kqueue. It is close-on-exec.
/// ENOSYS where the system has neither, EPERM in some containers, EMFILE and ENFILE, ESRCH if there is no such child.
inline int open_exit(pid_t pid) noexcept {
    if (const int e = LEASH_FAULT("open_exit")) return fail(e);
#if LEASH_PIDFD
    constexpr long pidfd_open = 434;  // on every architecture since Linux 5.3
    return static_cast<int>(::syscall(pidfd_open, pid, 0));
#elif LEASH_KQUEUE
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

inline char** environment() noexcept {
#if defined(__APPLE__)
    return *_NSGetEnviron();
#else
    return ::environ;
#endif
}

// ---- signals of this thread; these cannot fail with the arguments they get here

/// While it lives, a write to a broken pipe gives EPIPE and no SIGPIPE to this thread, whatever the host does with
/// that signal; the host's dispositions stay untouched. SIGPIPE goes to the thread that writes (POSIX.1-2008, write),
/// so that blocking it there and consuming it afterwards is enough.
class NoSigpipe {
  public:
    NoSigpipe() noexcept {
        sigemptyset(&pipe_);
        sigaddset(&pipe_, SIGPIPE);
        // One that is pending already is blocked already, and is the host's to keep.
        if (!is_pending()) active_ = ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_) == 0;
    }
    NoSigpipe(const NoSigpipe&) = delete;
    NoSigpipe& operator=(const NoSigpipe&) = delete;
    ~NoSigpipe() {
        if (!active_) return;
        const int error = errno;
        int consumed = 0;
        if (broken_ && is_pending()) ::sigwait(&pipe_, &consumed);
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = error;
    }
    /// The write gave EPIPE: there is a signal to consume.
    void broken() noexcept { broken_ = true; }

  private:
    static bool is_pending() noexcept {
        sigset_t pending;
        sigemptyset(&pending);
        ::sigpending(&pending);
        return sigismember(&pending, SIGPIPE) == 1;
    }
    bool active_ = false;
    bool broken_ = false;
    sigset_t pipe_{};
    sigset_t before_{};
};

/// While it lives, the thread cannot be cancelled (pthread_cancel): what waits here holds processes and locks, and
/// an unwinding that no exception announces would end the host.
class NoCancellation {
  public:
    NoCancellation() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    NoCancellation(const NoCancellation&) = delete;
    NoCancellation& operator=(const NoCancellation&) = delete;
    ~NoCancellation() { ::pthread_setcancelstate(before_, &before_); }

  private:
    int before_ = PTHREAD_CANCEL_ENABLE;
};

/// A mutex; <mutex> would cost every user more than all of leash.
class Mutex {
  public:
    Mutex() = default;
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;
    ~Mutex() { ::pthread_mutex_destroy(&mutex_); }
    void lock() noexcept { ::pthread_mutex_lock(&mutex_); }
    void unlock() noexcept { ::pthread_mutex_unlock(&mutex_); }

  private:
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

}  // namespace leash::detail::sys

#endif  // LEASH_POSIX

#undef LEASH_PIDFD
#undef LEASH_KQUEUE
#undef LEASH_PPOLL
#undef LEASH_CLOSEFROM
#undef LEASH_CLOEXEC_DEFAULT
#undef LEASH_CHDIR
#undef LEASH_SETSID
#undef LEASH_TCSETPGRP

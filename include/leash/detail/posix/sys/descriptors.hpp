// leash/detail/posix/sys/descriptors.hpp - calls on descriptors, and waiting for them.
#ifndef LEASH_0_1_0_DETAIL_POSIX_SYS_DESCRIPTORS_HPP
#define LEASH_0_1_0_DETAIL_POSIX_SYS_DESCRIPTORS_HPP

#include <leash/config.hpp>

#include <leash/detail/posix/sys/guards.hpp>

#if LEASH_POSIX

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#endif

#if defined(__linux__)
#include <sys/epoll.h>
#include <sys/syscall.h>
#endif

// kqueue whose events hold 64 bits of the user's (this macro ends with this file): macOS, FreeBSD, OpenBSD, DragonFly, where a
// pointer has as many. NetBSD before 10 has another type there.
#if (defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)) && \
    UINTPTR_MAX > 0xffffffffU
#include <sys/event.h>
#define LEASH_KQUEUE 1
#else
#define LEASH_KQUEUE 0
#endif

// ppoll (this macro ends with this file): Linux, FreeBSD 11, NetBSD 10, OpenBSD 5.4; not macOS.
#if defined(__linux__) || defined(__FreeBSD__) || defined(__OpenBSD__)
#define LEASH_PPOLL 1
#else
#define LEASH_PPOLL 0
#endif

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::sys {

inline int open(const char* path, int flags, mode_t mode = 0) noexcept {
    if (const int e = LEASH_FAULT("open")) return fail(e);
    const NoCancellation guard;
    return ::open(path, flags, mode);
}

inline int close(int fd) noexcept {
    // An injected failure still closes: that is what Linux does on EINTR and EIO.
    const int e = LEASH_FAULT("close");
    const NoCancellation guard;
    const int result = ::close(fd);
    return e != 0 ? fail(e) : result;
}

inline ssize_t read(int fd, void* data, std::size_t size) noexcept {
    if (const int e = LEASH_FAULT("read")) {
        if (e != -1) return fail(e);
        size = size > 0 ? 1 : 0;  // -1 asks for a short read
    }
    const NoCancellation guard;
    return ::read(fd, data, size);
}

inline ssize_t write(int fd, const void* data, std::size_t size) noexcept {
    if (const int e = LEASH_FAULT("write")) {
        if (e != -1) return fail(e);
        size = size > 0 ? 1 : 0;
    }
    const NoCancellation guard;
    return ::write(fd, data, size);
}

/// Both ends close-on-exec.
inline int pipe(int (&ends)[2]) noexcept {
    if (const int e = LEASH_FAULT("pipe")) return fail(e);
#if defined(__APPLE__)
    const NoCancellation guard;
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
    const NoCancellation guard;
    return ::fcntl(fd, command, argument);
}

/// Makes a descriptor be the same as another one, close-on-exec. ENOSYS where that takes two steps.
inline int replace(int fd, int by) noexcept {
    if (const int e = LEASH_FAULT("replace")) return fail(e);
#if defined(__linux__)
    return ::dup3(by, fd, O_CLOEXEC);
#else
    return static_cast<void>(fd), static_cast<void>(by), fail(ENOSYS);
#endif
}

inline off_t lseek(int fd, off_t offset, int whence) noexcept {
    if (const int e = LEASH_FAULT("lseek")) return fail(e);
    const NoCancellation guard;
    return ::lseek(fd, offset, whence);
}

/// A file that is only in memory; ENOSYS where there is no such thing.
inline int memory_file() noexcept {
    if (const int e = LEASH_FAULT("memfd_create")) return fail(e);
#if defined(__linux__) && defined(SYS_memfd_create)
    constexpr unsigned close_on_exec = 1;  // MFD_CLOEXEC
    return static_cast<int>(::syscall(SYS_memfd_create, "leash", close_on_exec));
#else
    return fail(ENOSYS);
#endif
}

/// An empty file without a name, open for reading and writing, close-on-exec.
inline int unnamed_file() noexcept {
    const int fd = memory_file();
    if (fd >= 0 || errno == EMFILE || errno == ENFILE || errno == ENOMEM) return fd;
    const NoCancellation guard;
    char path[] = "/tmp/leash.XXXXXX";
    const int file = ::mkstemp(path);
    if (file < 0) return -1;
    ::unlink(path);
    ::fcntl(file, F_SETFD, FD_CLOEXEC);
    return file;
}

/// At most a day at a time: the caller looks at its deadline again, and no conversion can overflow.
constexpr std::int64_t longest_wait = std::int64_t{24} * 3600 * 1'000'000'000;

/// poll() for at most that many nanoseconds; INT64_MAX waits for ever.
inline int poll(pollfd* fds, nfds_t count, std::int64_t most) noexcept {
    if (const int e = LEASH_FAULT("poll")) return fail(e);
    const NoCancellation guard;
    const bool endless = most == INT64_MAX;
    if (most > longest_wait) most = longest_wait;
#if LEASH_PPOLL
    timespec wait{};
    wait.tv_sec = static_cast<int>(most / 1'000'000'000);
    wait.tv_nsec = static_cast<int>(most % 1'000'000'000);
    return ::ppoll(fds, count, endless ? nullptr : &wait, nullptr);
#else
    return ::poll(fds, count, endless ? -1 : static_cast<int>((most + 999'999) / 1'000'000));
#endif
}

#if defined(__linux__)
inline int epoll_create() noexcept {
    if (const int e = LEASH_FAULT("epoll_create")) return fail(e);
    return ::epoll_create1(EPOLL_CLOEXEC);
}

/// EPOLL_CTL_ADD, _MOD or _DEL: to tell, once, when the descriptor is readable, or writable.
inline int epoll_control(int epoll, int operation, int fd, std::uint64_t token, bool writable = false) noexcept {
    if (const int e = LEASH_FAULT("epoll_control")) return fail(e);
    epoll_event event{};
    event.events = (writable ? EPOLLOUT : EPOLLIN) | EPOLLONESHOT;
    event.data.u64 = token;
    return ::epoll_ctl(epoll, operation, fd, &event);
}

/// For at most that many nanoseconds, rounded up to milliseconds; INT64_MAX waits for ever.
inline int epoll_wait(int epoll, epoll_event* events, int count, std::int64_t most) noexcept {
    if (const int e = LEASH_FAULT("epoll_wait")) return fail(e);
    const NoCancellation guard;
    const bool endless = most == INT64_MAX;
    if (most > longest_wait) most = longest_wait;
    return ::epoll_wait(epoll, events, count, endless ? -1 : static_cast<int>((most + 999'999) / 1'000'000));
}
#endif

#if LEASH_KQUEUE
/// Close-on-exec; a forked copy of the host does not have it.
inline int kqueue() noexcept {
    if (const int e = LEASH_FAULT("kqueue")) return fail(e);
    const NoCancellation guard;
    const int queue = ::kqueue();
    if (queue >= 0) ::fcntl(queue, F_SETFD, FD_CLOEXEC);
    return queue;
}

/// To tell, once, when the descriptor is readable or writable, by that token; or not any more.
inline int kqueue_control(int queue, int fd, bool writable, bool wanted, std::uint64_t token) noexcept {
    if (const int e = LEASH_FAULT("kqueue_control")) return fail(e);
    const NoCancellation guard;
    struct kevent change;
    EV_SET(&change, static_cast<uintptr_t>(fd), writable ? EVFILT_WRITE : EVFILT_READ,
           wanted ? EV_ADD | EV_ONESHOT : EV_DELETE, 0, 0, reinterpret_cast<void*>(static_cast<uintptr_t>(token)));
    return ::kevent(queue, &change, 1, nullptr, 0, nullptr);
}

/// For at most that many nanoseconds; INT64_MAX waits for ever.
inline int kqueue_wait(int queue, struct kevent* events, int count, std::int64_t most) noexcept {
    if (const int e = LEASH_FAULT("kqueue_wait")) return fail(e);
    const NoCancellation guard;
    const bool endless = most == INT64_MAX;
    if (most > longest_wait) most = longest_wait;
    timespec wait{};
    wait.tv_sec = static_cast<int>(most / 1'000'000'000);
    wait.tv_nsec = static_cast<int>(most % 1'000'000'000);
    return ::kevent(queue, nullptr, 0, events, count, endless ? nullptr : &wait);
}
#endif

/// The lowest number that no descriptor can get any more (RLIMIT_NOFILE).
inline int descriptor_limit() noexcept {
    rlimit limit{};
    constexpr rlim_t most = 0x7fffffff;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > most) return static_cast<int>(most);
    return static_cast<int>(limit.rlim_cur);
}

}  // namespace detail::sys
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#undef LEASH_PPOLL
#undef LEASH_KQUEUE

#endif  // LEASH_0_1_0_DETAIL_POSIX_SYS_DESCRIPTORS_HPP

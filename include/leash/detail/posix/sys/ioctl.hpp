// leash/detail/posix/sys/ioctl.hpp - calls on terminals, and the other two that are ioctls.
#ifndef LEASH_0_1_0_DETAIL_POSIX_SYS_IOCTL_HPP
#define LEASH_0_1_0_DETAIL_POSIX_SYS_IOCTL_HPP

#include <leash/config.hpp>

#include <leash/detail/posix/sys/guards.hpp>

#if LEASH_POSIX

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <unistd.h>

#endif

// <termios.h> and <sys/ioctl.h> would bring some 370 macros into every file that includes leash header-only, `ECHO` and
// `B0` among them. On Linux their few calls are made by number. The numbers are those of asm-generic, and not of every
// processor (this macro ends with this file); tests/test_terminal.cpp holds them against the system's headers.
#if defined(__linux__) && (defined(__x86_64__) || defined(__i386__) || defined(__aarch64__) || defined(__arm__) || \
                           defined(__riscv) || defined(__loongarch__) || defined(__s390__))
#include <sys/syscall.h>
#define LEASH_GENERIC_IOCTL 1
#else
#include <sys/ioctl.h>
#include <termios.h>
#define LEASH_GENERIC_IOCTL 0
#endif

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::sys {

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

#if LEASH_GENERIC_IOCTL
/// A terminal's modes: Linux's own struct termios, which is not the C library's.
struct Modes {
    std::uint32_t input, output, control, local;
    unsigned char line, characters[19];
};
static_assert(sizeof(Modes) == 36);
constexpr std::uint32_t mode_echo = 010;
constexpr std::size_t end_of_file_index = 4;
constexpr unsigned long get_modes = 0x5401, set_modes = 0x5402, set_window_size = 0x5414, count_readable = 0x541b;
constexpr unsigned long get_pidfd_info = 0xc040ff0b;
#else
using Modes = termios;
#if defined(__linux__)
constexpr unsigned long get_pidfd_info = _IOWR(0xff, 11, char[64]);
#endif
#endif

inline int tcgetattr(int fd, Modes* modes) noexcept {
    if (const int e = LEASH_FAULT("tcgetattr")) return fail(e);
#if LEASH_GENERIC_IOCTL
    return static_cast<int>(::syscall(SYS_ioctl, fd, get_modes, modes));
#else
    return ::tcgetattr(fd, modes);
#endif
}
inline int tcsetattr(int fd, const Modes* modes) noexcept {
    if (const int e = LEASH_FAULT("tcsetattr")) return fail(e);
    const NoStop guard;
#if LEASH_GENERIC_IOCTL
    return static_cast<int>(::syscall(SYS_ioctl, fd, set_modes, modes));
#else
    return ::tcsetattr(fd, TCSANOW, modes);
#endif
}

/// What is typed is not shown.
inline void clear_echo(Modes& modes) noexcept {
#if LEASH_GENERIC_IOCTL
    modes.local &= ~mode_echo;
#else
    modes.c_lflag &= ~static_cast<tcflag_t>(ECHO);
#endif
}

/// What means end of file to the one who reads by lines.
inline char end_of_file(const Modes& modes) noexcept {
#if LEASH_GENERIC_IOCTL
    return static_cast<char>(modes.characters[end_of_file_index]);
#else
    return static_cast<char>(modes.c_cc[VEOF]);
#endif
}

/// How many bytes a pipe holds.
inline int pending(int fd, int* count) noexcept {
    if (const int e = LEASH_FAULT("ioctl")) return fail(e);
    const NoCancellation guard;
#if LEASH_GENERIC_IOCTL
    return static_cast<int>(::syscall(SYS_ioctl, fd, count_readable, count));
#else
    return ::ioctl(fd, FIONREAD, count);
#endif
}

/// The size of a terminal; its foreground group gets SIGWINCH where that changes it.
inline int set_window(int fd, unsigned short rows, unsigned short columns) noexcept {
    if (const int e = LEASH_FAULT("set_window")) return fail(e);
    const NoCancellation guard;
#if LEASH_GENERIC_IOCTL
    const unsigned short size[4] = {rows, columns, 0, 0};  // struct winsize
    return static_cast<int>(::syscall(SYS_ioctl, fd, set_window_size, size));
#else
    winsize size{};
    size.ws_row = rows;
    size.ws_col = columns;
    return ::ioctl(fd, TIOCSWINSZ, &size);
#endif
}

/// The host's side of a new pseudo-terminal, close-on-exec. It does not become the host's controlling one.
inline int open_terminal() noexcept {
    if (const int e = LEASH_FAULT("open_terminal")) return fail(e);
    const NoCancellation guard;
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
    const NoCancellation guard;
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

}  // namespace detail::sys
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#undef LEASH_GENERIC_IOCTL

#endif  // LEASH_0_1_0_DETAIL_POSIX_SYS_IOCTL_HPP

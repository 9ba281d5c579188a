// leash/detail/posix/sys/spawn.hpp - posix_spawn, and what a system can do of it.
#ifndef LEASH_0_1_0_DETAIL_POSIX_SYS_SPAWN_HPP
#define LEASH_0_1_0_DETAIL_POSIX_SYS_SPAWN_HPP

#include <leash/config.hpp>

#include <leash/detail/posix/sys/guards.hpp>

#if LEASH_POSIX

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>

#include <spawn.h>
#include <unistd.h>

#endif

#if defined(__linux__)
#include <sys/syscall.h>
#endif

// What posix_spawn can do, and since when (these macros end with this file):
//   CLOSEFROM        "close all from n on" as a file action: glibc 2.34, FreeBSD 13.1, illumos. It runs in the child,
//                    so that a descriptor which another thread opens at that moment cannot slip through.
//   CLOEXEC_DEFAULT  macOS 10.7: the child has what file actions made, and nothing else.
//   neither          musl, NetBSD, OpenBSD, older glibc: an enumerated list of closes; see close_rest().
//   CHDIR            glibc 2.29, musl 1.1.24, macOS 10.15, FreeBSD 13.1, illumos; elsewhere Options::cwd is refused.
//   RELATIVE_PROGRAM together with CHDIR: a relative path of the program counts from the new directory. macOS starts it,
//                    and says ENOENT all the same: there the path is made absolute.
//   SETSID           glibc 2.26, musl 1.1.22, macOS 10.15, illumos; elsewhere Group::session is refused.
//   CLONE3           glibc 2.34 uses it where it can, and clone only where that gives ENOSYS.
//   TCSETPGRP        glibc 2.35: the child itself takes the terminal, before it can read it; elsewhere the host gives
//                    it just afterwards, and continues a child that was quicker.
// LEASH_FORCE_ENUMERATED_CLOSE, LEASH_FORCE_NO_CHDIR, LEASH_FORCE_NO_RELATIVE_PROGRAM and LEASH_FORCE_NO_TCSETPGRP choose
// the poorer way: for tests.
#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
#define LEASH_CLOSEFROM 1
#define LEASH_CLONE3 1
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
#if !defined(LEASH_CLONE3)
#define LEASH_CLONE3 0
#endif
#if defined(__GLIBC__) && !LEASH_CHDIR && !defined(LEASH_FORCE_NO_CHDIR)
#define LEASH_DUP2_IN_PLACE 0
#else
#define LEASH_DUP2_IN_PLACE 1
#endif
#if defined(__APPLE__) || defined(LEASH_FORCE_NO_RELATIVE_PROGRAM)
#define LEASH_RELATIVE_PROGRAM 0
#else
#define LEASH_RELATIVE_PROGRAM 1
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

namespace leash {
inline namespace LEASH_ABI {
namespace detail::sys {

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

constexpr bool has_relative_program = LEASH_RELATIVE_PROGRAM;

/// Does a dup2 of a number to itself clear its close-on-exec flag? (POSIX.1-2024; glibc 2.29 is the first that does it.)
constexpr bool has_dup2_in_place = LEASH_DUP2_IN_PLACE;

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
    errno = 0;
    int error = LEASH_FAULT("posix_spawn");
    if (error == 0) {
        const NoCancellation guard;
        error = ::posix_spawn(pid, path, actions, attributes, argv, env);
    }
    // glibc before 2.36 says EPERM (1) for whatever clone failed with, which errno has.
    return error == EPERM && (errno == EAGAIN || errno == ENOMEM) ? errno : error;
}

/// Can libc's closefrom rely on the kernel (Linux 5.9)? Where that, or a filter, refuses close_range, glibc needs /proc.
/// Asked for the range of the one number that nothing can have.
inline bool has_close_range() noexcept {
    if (LEASH_FAULT("close_range") != 0) return false;
#if defined(__linux__)
    constexpr long close_range = 436;  // on every architecture
    return ::syscall(close_range, ~0U, ~0U, 0) == 0;
#else
    return true;
#endif
}

/// The errno with which a filter keeps this host from making processes; 0 where it does not. Asked with arguments that
/// every kernel refuses as EINVAL: no size; a thread that shares no signal handlers, with what posix_spawn asks for besides
/// (CLONE_VM, CLONE_VFORK), since a filter may look at the flags.
inline int refusal_of_clone() noexcept {
#if defined(__linux__)
    constexpr long clone3 = 435, thread_like_vfork = 0x10000 | 0x100 | 0x4000;
    if (LEASH_CLONE3) {
        if (::syscall(clone3, nullptr, 0) == 0 || errno == EINVAL) return 0;
        if (errno != ENOSYS) return errno;
    }
    return ::syscall(SYS_clone, thread_like_vfork, thread_like_vfork, 0, 0, 0) == 0 || errno == EINVAL ? 0 : errno;
#else
    return 0;
#endif
}

/// What exec says of a file, without a chance to run it: asked with an argument that is longer than any system takes.
/// ETXTBSY is said for sure, since Linux opens the file first; not so 5.9 to 6.7, which only say E2BIG.
inline int exec_error(const char* path, char* too_long) noexcept {
#if defined(__linux__)
    char* const argv[] = {too_long, nullptr};
    pid_t none = -1;
    return sys::posix_spawn(&none, path, nullptr, nullptr, argv, argv + 1);
#else
    return static_cast<void>(path), static_cast<void>(too_long), ENOSYS;
#endif
}

/// How long a single argument or variable of a program can be, its NUL included: Linux's MAX_ARG_STRLEN, which is in no
/// header of a libc. Elsewhere only all of them together are limited.
inline std::size_t longest_string() noexcept {
#if defined(__linux__)
    return 32 * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
#else
    return SIZE_MAX;
#endif
}

inline char** environment() noexcept {
#if defined(__APPLE__)
    return *_NSGetEnviron();
#else
    return ::environ;
#endif
}

}  // namespace detail::sys
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#undef LEASH_CLOSEFROM
#undef LEASH_CLONE3
#undef LEASH_CLOEXEC_DEFAULT
#undef LEASH_CHDIR
#undef LEASH_DUP2_IN_PLACE
#undef LEASH_RELATIVE_PROGRAM
#undef LEASH_SETSID
#undef LEASH_TCSETPGRP

#endif  // LEASH_0_1_0_DETAIL_POSIX_SYS_SPAWN_HPP

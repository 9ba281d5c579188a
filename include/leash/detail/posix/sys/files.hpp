// leash/detail/posix/sys/files.hpp - calls on files and directories.
#ifndef LEASH_0_1_0_DETAIL_POSIX_SYS_FILES_HPP
#define LEASH_0_1_0_DETAIL_POSIX_SYS_FILES_HPP

#include <leash/config.hpp>

#include <leash/detail/posix/sys/guards.hpp>

#if LEASH_POSIX

#include <cerrno>
#include <cstddef>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif
#include <unistd.h>

namespace leash {
inline namespace LEASH_ABI {
namespace detail::sys {

inline int stat(const char* path, struct stat* info) noexcept {
    if (const int e = LEASH_FAULT("stat")) return fail(e);
    const NoCancellation guard;
    return ::stat(path, info);
}

/// With a NUL behind it.
inline ssize_t readlink(const char* path, char* target, std::size_t size) noexcept {
    if (const int e = LEASH_FAULT("readlink")) return fail(e);
    const ssize_t length = ::readlink(path, target, size - 1);
    if (length >= 0) target[length] = '\0';
    return length;
}

/// Of a link itself.
inline int lstat(const char* path, struct stat* info) noexcept {
    if (const int e = LEASH_FAULT("lstat")) return fail(e);
    return ::lstat(path, info);
}

inline int fstat(int fd, struct stat* info) noexcept {
    if (const int e = LEASH_FAULT("fstat")) return fail(e);
    return ::fstat(fd, info);
}

/// access() with the effective user, which is who will execute.
[[gnu::cold]] inline int access(const char* path, int mode) noexcept {
    if (const int e = LEASH_FAULT("access")) return fail(e);
    const NoCancellation guard;
    const int result = ::faccessat(AT_FDCWD, path, mode, AT_EACCESS);
    // EPERM comes from a filter that is older than the libc and faccessat2 (Linux 5.8). access() asks with the real user,
    // who mostly is the same.
    if (result == 0 || errno != EPERM || ::getuid() != ::geteuid() || ::getgid() != ::getegid()) return result;
    return ::access(path, mode);
}

inline char* getcwd(char* path, std::size_t size) noexcept {
    if (const int e = LEASH_FAULT("getcwd")) {
        errno = e;
        return nullptr;
    }
    const NoCancellation guard;
    return ::getcwd(path, size);
}

/// Of what the kernel writes anew for each reading.
inline ssize_t read_again(int fd, void* data, std::size_t size) noexcept {
    if (const int e = LEASH_FAULT("read_again")) return fail(e);
    const NoCancellation guard;
    return ::pread(fd, data, size, 0);
}

/// To the start of 1970.
inline int set_ancient(const char* path) noexcept {
    if (const int e = LEASH_FAULT("set_ancient")) return fail(e);
    const timespec times[] = {{0, 0}, {0, 0}};
    return ::utimensat(AT_FDCWD, path, times, 0);
}

inline int mkdir(const char* path, mode_t mode) noexcept {
    if (const int e = LEASH_FAULT("mkdir")) return fail(e);
    const NoCancellation guard;
    return ::mkdir(path, mode);
}
inline int rmdir(const char* path) noexcept {
    if (const int e = LEASH_FAULT("rmdir")) return fail(e);
    const NoCancellation guard;
    return ::rmdir(path);
}

inline DIR* opendir(const char* path) noexcept {
    if (const int e = LEASH_FAULT("opendir")) {
        errno = e;
        return nullptr;
    }
    const NoCancellation guard;
    return ::opendir(path);
}
inline const dirent* readdir(DIR* directory) noexcept {
    const NoCancellation guard;
    return ::readdir(directory);
}
inline void closedir(DIR* directory) noexcept {
    const NoCancellation guard;
    ::closedir(directory);
}

#if defined(__linux__)
/// What readdir() rests on, for as many entries as there is room: how many bytes came, 0 after the last one, -1 with
/// errno. By number: glibc has it since 2.30.
inline long getdents(int directory, void* entries, std::size_t size) noexcept {
    return ::syscall(SYS_getdents64, directory, entries, size);
}
#endif

}  // namespace detail::sys
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#endif  // LEASH_0_1_0_DETAIL_POSIX_SYS_FILES_HPP

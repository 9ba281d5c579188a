// tests/sandbox.hpp - a sandbox whose filter refuses system calls: what a host in a container may meet. Linux only.
#pragma once

#include "support.hpp"

#if defined(__linux__)

#include <cstddef>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace support {

// Calls that have one number on every architecture.
constexpr long pidfd_send_signal_call = 424, pidfd_open_call = 434, clone3_call = 435, close_range_call = 436,
               faccessat2_call = 439;

template <std::size_t N>
bool install(sock_filter (&filter)[N]) {
    sock_fprog program{};
    program.len = N;
    program.filter = filter;
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// From now on, in this thread and for all its children, one system call answers with an error. For a forked host.
/// False where that is not permitted.
inline bool refuse(long call, int error) {
    const auto number = static_cast<unsigned>(call);
    const auto answer = static_cast<unsigned>(SECCOMP_RET_ERRNO) | static_cast<unsigned>(error);
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return install(filter);
}

/// Likewise, clone() with this flag. (Where its flags come first: not on s390x.)
inline bool refuse_clone_with(unsigned flag, int error) {
    const auto answer = static_cast<unsigned>(SECCOMP_RET_ERRNO) | static_cast<unsigned>(error);
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(SYS_clone), 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flag, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return install(filter);
}

/// What is mounted from now on is so for this process and its children. For a forked host. False where that is not permitted.
inline bool unshare_mounts() {
    return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

/// From now on this process and its children find another file in this place. For a forked host. False where that is not
/// permitted.
inline bool put_in_place_of(const std::string& path, const std::string& other) {
    return unshare_mounts() && ::mount(other.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) == 0;
}

/// From now on /proc is empty for this process and its children. For a forked host. False where that is not permitted.
inline bool hide_proc() { return unshare_mounts() && ::mount("none", "/proc", "tmpfs", 0, nullptr) == 0; }

}  // namespace support

#endif

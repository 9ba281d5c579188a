// leash/detail/posix/exit_watch.hpp - how a process's end is noticed: a handle to poll, and /proc for its group.
#pragma once

#include <leash/config.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <leash/detail/posix/fd.hpp>

#if LEASH_POSIX

namespace LEASH_NAMESPACE::detail::os {

/// A handle that becomes readable when a child ends: a pidfd (Linux 5.3) or a kqueue (macOS, the BSDs). Where there
/// is none - an older kernel, a sandbox that forbids it - whoever waits asks again and again, at growing distances.
/// A host that is out of descriptors may have one later: then it is tried again.
class ExitWatch {
  public:
    void open(Pid pid) noexcept {
        if (fd_.is_open() || never_) return;
        fd_ = Fd(sys::open_exit(pid));
        never_ = !fd_.is_open() && errno != EMFILE && errno != ENFILE && errno != ENOMEM;
        if (fd_.is_open() && !move_above_standard(fd_)) fd_.close();
    }
    int handle() const noexcept { return fd_.get(); }

  private:
    Fd fd_;
    bool never_ = false;
};

/// How long to sleep between two looks where no handle tells: 50 µs at first, twice as long each time, up to 10 ms.
class Backoff {
  public:
    Deadline next() noexcept {
        const Deadline until = Deadline::after(pause_);
        pause_ = pause_ * 2 < longest ? pause_ * 2 : longest;
        return until;
    }

  private:
    static constexpr std::chrono::microseconds longest{10'000};
    std::chrono::microseconds pause_{50};
};

/// Whether a group has a member that is more than a zombie; true where that cannot be told. Only Linux can tell.
inline bool any_alive(Pid group) noexcept {
#if defined(__linux__)
    Directory directory("/proc");
    if (!directory.is_open()) return true;
    bool alive = false, seen = false;
    while (const char* const name = directory.next()) {
        const int pid = std::atoi(name);
        if (pid <= 0) continue;
        char path[64];
        std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
        const Fd file(sys::open(path, O_RDONLY | O_CLOEXEC));
        if (!file.is_open()) continue;  // gone meanwhile
        char text[512];
        const ssize_t size = read_some(file, text, sizeof text - 1);
        if (size <= 0) continue;
        text[size] = '\0';
        // "pid (name) state ppid pgrp …": the name may hold anything, its last parenthesis ends it
        const char* const after = std::strrchr(text, ')');
        char state = '?';
        int parent = 0, member = 0;
        if (after == nullptr || std::sscanf(after + 1, " %c %d %d", &state, &parent, &member) != 3) continue;
        if (member != group) continue;
        seen = true;
        if (state != 'Z' && state != 'X') alive = true;
    }
    return alive || !seen;
#else
    static_cast<void>(group);
    return true;
#endif
}

}  // namespace leash::detail::os

#endif  // LEASH_POSIX

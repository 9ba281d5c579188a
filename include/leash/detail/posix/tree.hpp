// leash/detail/posix/tree.hpp - who there is: processes as the system shows them, and who descends from a job.
//
// It only reads. What it finds may be gone a moment later: whoever signals looks once more, through a pidfd. Only Linux
// shows all this (/proc); elsewhere nothing is known and nobody is found.
#pragma once

#include <leash/config.hpp>

#include <type_traits>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <leash/detail/posix/fd.hpp>

#if LEASH_POSIX

namespace LEASH_NAMESPACE::detail::os {

/// A list that grows where there is memory and otherwise stays as it is: a job must be able to end also where there is
/// none.
template <class T>
class Notes {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    Notes() = default;
    Notes(const Notes&) = delete;
    Notes& operator=(const Notes&) = delete;
    ~Notes() { std::free(items_); }

    bool add(const T& item) noexcept {
        if (count_ == room_) {
            const std::size_t room = room_ == 0 ? 16 : room_ * 2;
            void* const grown = std::realloc(items_, room * sizeof(T));
            if (grown == nullptr) return false;
            items_ = static_cast<T*>(grown);
            room_ = room;
        }
        std::memcpy(static_cast<void*>(items_ + count_), &item, sizeof item);
        ++count_;
        return true;
    }
    void remove(std::size_t place) noexcept {
        --count_;
        if (place != count_) std::memcpy(static_cast<void*>(items_ + place), items_ + count_, sizeof(T));
    }
    void cut(std::size_t count) noexcept { count_ = count; }
    std::size_t size() const noexcept { return count_; }
    const T& operator[](std::size_t place) const noexcept { return items_[place]; }
    const T* begin() const noexcept { return items_; }
    const T* end() const noexcept { return items_ + count_; }

  private:
    T* items_ = nullptr;
    std::size_t count_ = 0, room_ = 0;
};

/// A process at one look.
struct Seen {
    Pid pid, parent, group, session;
    char state;
    std::uint64_t start;  // in clock ticks since the boot: with the number it means one process and no other

    /// More than a zombie that its parent has not reaped yet, and that holds nothing.
    bool is_alive() const noexcept { return state != 'Z' && state != 'X'; }
};

/// Does /proc show the processes that the host's calls mean? One that was mounted for another process namespace has other
/// processes under the same numbers; and there may be none.
inline bool is_proc_ours() noexcept {
    char self[32];
    return sys::readlink("/proc/self", self, sizeof self) > 0 && std::atoi(self) == sys::getpid();
}

/// A small file of /proc, with a NUL behind it; -1 where it cannot be read.
inline ssize_t read_proc(Pid pid, const char* name, char* text, std::size_t size) noexcept {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%ld/%s", long{pid}, name);
    const Fd file = Fd::open(path, O_RDONLY);
    if (!file.is_open()) return -1;
    const ssize_t count = read_some(file, text, size - 1);
    text[count > 0 ? count : 0] = '\0';
    return count;
}

/// Is there no such process, or none that may be looked at? Anything else, no descriptor left say, tells nothing.
inline bool is_gone(int error) noexcept {
    return error == ENOENT || error == ESRCH || error == EACCES || error == EPERM;
}

/// False with errno, of which is_gone() tells what it means.
inline bool look_at_process(Pid pid, Seen& seen) noexcept {
    char text[1024];
    errno = ESRCH;
    if (read_proc(pid, "stat", text, sizeof text) <= 0) return false;
    // "pid (name) state ppid pgrp session …": the name may hold anything, its last parenthesis ends it
    const char* const after = std::strrchr(text, ')');
    unsigned long long start = 0;
    seen.pid = pid;
    if (after == nullptr ||
        std::sscanf(after + 1, " %c %d %d %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
                    &seen.state, &seen.parent, &seen.group, &seen.session, &start) != 5) {
        errno = EIO;
        return false;
    }
    seen.start = start;
    errno = ESRCH;  // of whom it is not, whoever asks for that
    return true;
}

/// All processes, as of a time: one reading serves any number of jobs that have nothing newer to ask.
class ProcessTable {
  public:
    /// Reads them, if that was not done since. Can they be told? Not without /proc, nor with that of another process
    /// namespace.
    bool read(Deadline since) noexcept {
        if (read_at_.is_never() || !earlier(since, read_at_)) {
            read_at_ = Deadline::now();
            is_known_ = read_all();
        }
        return is_known_;
    }
    /// As they are now: for one who looks at many jobs at once, as they were when that look began or later.
    bool read_now() noexcept { return read(look_began()); }
    void begin_look() noexcept { look_ = Deadline::now(); }
    Deadline look_began() const noexcept { return look_.is_never() ? Deadline::now() : look_; }
    /// When that was.
    Deadline read_at() const noexcept { return read_at_; }

    const Seen* begin() const noexcept { return all_.begin(); }
    const Seen* end() const noexcept { return all_.end(); }

  private:
    bool read_all() noexcept {
        all_.cut(0);
#if defined(__linux__)
        if (!is_proc_ours()) return false;
        Directory directory("/proc");
        if (!directory.is_open()) return false;
        while (const char* const name = directory.next()) {
            const Pid pid = std::atoi(name);
            Seen seen{};
            if (pid <= 0) continue;
            // One that has gone meanwhile is none; but where there is no descriptor left to look with, nobody can tell.
            if (look_at_process(pid, seen) ? !all_.add(seen) : !is_gone(errno)) return false;
        }
        return true;
#else
        return false;
#endif
    }

    Notes<Seen> all_;
    Deadline read_at_, look_;
    bool is_known_ = false;
};

/// Those who descend from a job by their parents, at whichever times they were looked for: also once their parents have
/// gone, they are still known.
class Descendants {
  public:
    const Notes<Seen>& all() const noexcept { return all_; }

    /// Looks below a process. Only the job's own tree is read, where the kernel tells
    /// children (CONFIG_PROC_CHILDREN, Linux 4.2), otherwise all processes.
    void find_below(Pid root, ProcessTable& table) noexcept { visit(root, table); }
    /// Takes the members of a group, for what they have below them.
    void add_group(Pid group, ProcessTable& table) noexcept {
        if (!table.read_now()) return;
        for (const Seen& one : table) {
            if (one.group == group && one.is_alive()) add(one);
        }
    }
    /// Looks below all who are known, those included whom that finds.
    void find_below_all(ProcessTable& table) noexcept {
        for (std::size_t i = 0; i < all_.size(); ++i) {
            Seen now{};
            const std::size_t before = all_.size();
            if (!is_alive(all_[i], now)) continue;
            visit(now.pid, table);
            // Its number may have become another's meanwhile, and then those are that one's.
            if (!is_alive(all_[i], now)) all_.cut(before);
        }
    }

    /// Is it still the same process, and more than a zombie? Gives how it is now.
    static bool is_alive(const Seen& known, Seen& now) noexcept {
        return look_at_process(known.pid, now) && now.start == known.start && now.is_alive();
    }
    /// Somebody who is alive; those who are not are forgotten.
    const Seen* first_alive() noexcept {
        for (Seen now{}; all_.size() > 0; all_.remove(all_.size() - 1)) {
            if (is_alive(all_[all_.size() - 1], now) || !is_gone(errno)) return &all_[all_.size() - 1];
        }
        return nullptr;
    }

  private:
    // Whoever forks more than that is beyond what a walk can follow.
    static constexpr std::size_t most = 10'000;

    void add(const Seen& seen) noexcept {
        if (all_.size() >= most || seen.pid == sys::getpid()) return;
        for (const Seen& one : all_) {
            if (one.pid == seen.pid && one.start == seen.start) return;
        }
        all_.add(seen);
    }

    void visit(Pid parent, ProcessTable& table) noexcept {
        char path[64];
        std::snprintf(path, sizeof path, "/proc/%ld/task", long{parent});
        Directory threads(path);
        if (!threads.is_open()) return;
        bool is_told = false;
        while (const char* const thread = threads.next()) {
            if (std::atoi(thread) <= 0) continue;
            std::snprintf(path, sizeof path, "/proc/%ld/task/%d/children", long{parent}, std::atoi(thread));
            const Fd file = Fd::open(path, O_RDONLY);
            if (!file.is_open()) continue;
            is_told = true;
            read_children(file, parent);
        }
        if (is_told || !table.read_now()) return;
        for (const Seen& one : table) {
            if (one.parent == parent && one.is_alive()) add(one);
        }
    }

    /// "123 456 ": numbers, which a read may cut in two.
    void read_children(const Fd& file, Pid parent) noexcept {
        char text[1024];
        Pid number = 0;
        for (ssize_t size; (size = read_some(file, text, sizeof text)) > 0;) {
            for (ssize_t i = 0; i < size; ++i) {
                if (text[i] >= '0' && text[i] <= '9') {
                    number = number * 10 + (text[i] - '0');
                    continue;
                }
                Seen seen{};
                if (number > 0 && look_at_process(number, seen) && seen.parent == parent && seen.is_alive()) add(seen);
                number = 0;
            }
        }
    }

    Notes<Seen> all_;
};

/// A process that a result tells of, as long as it was there to be asked.
struct Named {
    Pid pid;
    const char* why;
    char command[200];  // cut off, for a log

    /// Its command line; its name in brackets where it has none, as ps shows it.
    static Named of(Pid pid, const char* why) noexcept {
        Named named{};
        named.pid = pid;
        named.why = why;
        if (!is_proc_ours()) return named;
        const ssize_t size = read_proc(pid, "cmdline", named.command, sizeof named.command);
        for (ssize_t i = 0; i + 1 < size; ++i) {
            if (named.command[i] == '\0') named.command[i] = ' ';
        }
        if (size > 0) return named;
        char name[64];
        ssize_t length = read_proc(pid, "comm", name, sizeof name);
        if (length > 0 && name[length - 1] == '\n') name[length - 1] = '\0';
        if (length > 0) std::snprintf(named.command, sizeof named.command, "[%s]", name);
        return named;
    }
};

/// Who has this pipe open besides the host. Only those of the same user can be asked. (By the names of the links: a
/// stat() would go to what they lead to, which may be a mount that hangs.)
inline void name_holders(int pipe, const char* why, ProcessTable& table, Notes<Named>& found) noexcept {
    char path[64], asked[64], other[64];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", pipe);
    if (!table.read_now() || sys::readlink(path, asked, sizeof asked) <= 0) return;
    for (const Seen& one : table) {
        if (!one.is_alive() || one.pid == sys::getpid()) continue;
        std::snprintf(path, sizeof path, "/proc/%d/fd", static_cast<int>(one.pid));
        Directory directory(path);
        while (const char* const name = directory.is_open() ? directory.next() : nullptr) {
            std::snprintf(path, sizeof path, "/proc/%d/fd/%.16s", static_cast<int>(one.pid), name);
            if (sys::readlink(path, other, sizeof other) <= 0 || std::strcmp(asked, other) != 0) continue;
            found.add(Named::of(one.pid, why));
            break;
        }
    }
}

}  // namespace leash::detail::os

#endif  // LEASH_POSIX

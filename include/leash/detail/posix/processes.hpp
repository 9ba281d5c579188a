// leash/detail/posix/processes.hpp - who there is: processes as the system shows them.
//
// It only reads. What it finds may be gone a moment later: whoever signals looks once more. Linux shows all this in /proc,
// macOS and the BSDs tell it by sysctl; elsewhere nothing is known and nobody is found.
#ifndef LEASH_0_1_0_DETAIL_POSIX_PROCESSES_HPP
#define LEASH_0_1_0_DETAIL_POSIX_PROCESSES_HPP

#include <leash/config.hpp>

#include <type_traits>
#include <utility>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/sys/files.hpp>
#include <leash/detail/posix/sys/processes.hpp>

// What sysctl tells of a process, where it does, and by which names (these macros end with this file):
//   KINFO       the type of an entry
//   KERN_PROC   what gives entries, and ALL of them; SIZED where it also wants to hear how large they are, and how many
//   COMMAND     the program's name
//   SEEN        number, parent, group, whether it is a zombie, seconds and microseconds of its start
//   OWNER       the effective user
//   SESSION     its session's leader, 0 where that has gone: where getsid() tells only of the host's own session
#if defined(__APPLE__)
#define LEASH_KINFO kinfo_proc
#define LEASH_KERN_PROC KERN_PROC
#define LEASH_KERN_PROC_ALL KERN_PROC_ALL
#define LEASH_KERN_PROC_SIZED 0
#define LEASH_COMMAND(p) p.kp_proc.p_comm
#define LEASH_SEEN(p)                                                                                               \
    p.kp_proc.p_pid, p.kp_eproc.e_ppid, p.kp_eproc.e_pgid, p.kp_proc.p_stat == SZOMB, p.kp_proc.p_starttime.tv_sec, \
        p.kp_proc.p_starttime.tv_usec
#define LEASH_OWNER(p) p.kp_eproc.e_ucred.cr_uid
#elif defined(__FreeBSD__)
#include <sys/user.h>
#define LEASH_KINFO kinfo_proc
#define LEASH_KERN_PROC KERN_PROC
#define LEASH_KERN_PROC_ALL KERN_PROC_PROC
#define LEASH_KERN_PROC_SIZED 0
#define LEASH_COMMAND(p) p.ki_comm
#define LEASH_SEEN(p) p.ki_pid, p.ki_ppid, p.ki_pgid, p.ki_stat == SZOMB, p.ki_start.tv_sec, p.ki_start.tv_usec
#define LEASH_OWNER(p) p.ki_uid
#elif defined(__NetBSD__)
#define LEASH_KINFO kinfo_proc2
#define LEASH_KERN_PROC KERN_PROC2
#define LEASH_KERN_PROC_ALL KERN_PROC_ALL
#define LEASH_KERN_PROC_SIZED 1
#define LEASH_COMMAND(p) p.p_comm
#define LEASH_SEEN(p) \
    p.p_pid, p.p_ppid, p.p__pgid, p.p_realstat >= 5 /* SZOMB, SDEAD */, p.p_ustart_sec, p.p_ustart_usec
#define LEASH_OWNER(p) p.p_uid
#elif defined(__OpenBSD__)
#include <sys/proc.h>
#define LEASH_KINFO kinfo_proc
#define LEASH_KERN_PROC KERN_PROC
#define LEASH_KERN_PROC_ALL KERN_PROC_ALL
#define LEASH_KERN_PROC_SIZED 1
#define LEASH_COMMAND(p) p.p_comm
#define LEASH_SEEN(p) p.p_pid, p.p_ppid, p.p__pgid, p.p_stat == SDEAD, p.p_ustart_sec, p.p_ustart_usec
#define LEASH_OWNER(p) p.p_uid
#define LEASH_SESSION(p) p.p_sid
#endif

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

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
        T* const place = make_room(1);
        if (place == nullptr) return false;
        std::memcpy(static_cast<void*>(place), &item, sizeof(T));
        ++count_;
        return true;
    }
    /// Behind those that there are, to be written to; cut() then says how many there are. nullptr without memory.
    T* make_room(std::size_t count) noexcept {
        if (room_ - count_ < count) {
            const std::size_t room = 2 * room_ + (count < 16 ? 16 : count);
            void* const grown = std::realloc(items_, room * sizeof(T));
            if (grown == nullptr) return nullptr;
            items_ = static_cast<T*>(grown);
            room_ = room;
        }
        return items_ + count_;
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
    Pid pid, parent, group;
    bool is_zombie, is_stopped;
    std::uint64_t start;  // in some unit since some time: with the number it means one process and no other

    /// More than a zombie that its parent has not reaped yet, and that holds nothing.
    bool is_alive() const noexcept { return !is_zombie; }
};

/// Are all processes told at once, as they were at one moment?
#if defined(LEASH_KINFO)
constexpr bool has_snapshot = true;
#else
constexpr bool has_snapshot = false;
#endif

#if defined(LEASH_KINFO)
using Kinfo = struct ::LEASH_KINFO;

/// Entries of the kernel's table, for one process or (pid 0) all; `size` is in bytes, before and after. False with errno.
inline bool read_kinfo(Pid pid, Kinfo* entries, std::size_t& size) noexcept {
    int name[] = {CTL_KERN, LEASH_KERN_PROC,    pid == 0 ? LEASH_KERN_PROC_ALL : KERN_PROC_PID,
                  pid,      int{sizeof(Kinfo)}, static_cast<int>(size / sizeof(Kinfo))};
    return sys::sysctl(name, LEASH_KERN_PROC_SIZED ? 6 : pid == 0 ? 3 : 4, entries, &size) == 0;
}
/// False where there is no such process.
inline bool read_kinfo(Pid pid, Kinfo& entry) noexcept {
    std::size_t size = sizeof entry;
    return read_kinfo(pid, &entry, size) && size >= sizeof entry;
}

inline Seen read_seen(const Kinfo& entry) noexcept {
    const auto fill = [](Pid pid, Pid parent, Pid group, bool is_zombie, auto seconds, auto microseconds) {
        return Seen{pid,   parent,
                    group, is_zombie,
                    false, static_cast<std::uint64_t>(seconds) * 1'000'000 + static_cast<std::uint64_t>(microseconds)};
    };
    return fill(LEASH_SEEN(entry));
}

/// Is it of the host's user? Only those tell what is their own, but to root.
inline bool is_of_user(Pid pid) noexcept {
    Kinfo entry{};
    return read_kinfo(pid, entry) && (LEASH_OWNER(entry) == sys::geteuid() || sys::geteuid() == 0);
}
#endif

/// Which session a process is in; 0 or less where that cannot be told.
inline Pid session_of(Pid pid) noexcept {
#if defined(LEASH_SESSION)
    Kinfo entry{};
    return read_kinfo(pid, entry) ? LEASH_SESSION(entry) : -1;
#else
    return sys::getsid(pid);
#endif
}

/// Does the system show the processes that the host's calls mean? There may be no /proc; and one that was mounted for
/// another process namespace has other processes under the same numbers.
inline bool shows_processes() noexcept {
    char self[32];
    return has_snapshot || (sys::readlink("/proc/self", self, sizeof self) > 0 && std::atoi(self) == sys::getpid());
}

/// A small file of /proc, with a NUL behind it; -1 where it cannot be read.
[[gnu::cold]] inline ssize_t read_proc(Pid pid, const char* name, char* text, std::size_t size) noexcept {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%ld/%s", long{pid}, name);
    const Fd file = Fd::open(path, O_RDONLY);
    if (!file.is_open()) return -1;
    const ssize_t count = read_some(file, text, size - 1);
    text[count > 0 ? count : 0] = '\0';
    return count;
}

/// The numbers in a file of them, "123 456 " or one in each line, which a read may cut in two. False with errno where it cannot
/// be read to its end, or `visit` says so.
template <class Visit>
[[gnu::cold]] bool each_number(const Fd& file, Visit visit) noexcept {
    char text[1024];
    Pid number = 0;
    ssize_t size;
    while ((size = read_some(file, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < size; ++i) {
            if (text[i] >= '0' && text[i] <= '9') {
                number = number * 10 + (text[i] - '0');
                continue;
            }
            if (number > 0 && !visit(number)) return false;
            number = 0;
        }
    }
    return size == 0;
}

/// Is there no such process, or none that may be looked at? Anything else, no descriptor left say, tells nothing.
inline bool is_gone(int error) noexcept {
    return error == ENOENT || error == ESRCH || error == EACCES || error == EPERM;
}

/// False with errno, of which is_gone() tells what it means.
[[gnu::cold]] inline bool look_at_process(Pid pid, Seen& seen) noexcept {
#if defined(LEASH_KINFO)
    Kinfo entry{};
    if (!read_kinfo(pid, entry)) return false;
    seen = read_seen(entry);
    return seen.pid == pid;
#else
    char text[1024];
    errno = ESRCH;
    if (read_proc(pid, "stat", text, sizeof text) <= 0) return false;
    // "pid (name) state ppid pgrp …": the name may hold anything, its last parenthesis ends it
    const char* const after = std::strrchr(text, ')');
    unsigned long long start = 0;
    char state = 0;
    int threads = 0;
    seen.pid = pid;
    if (after == nullptr ||
        std::sscanf(after + 1, " %c %d %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d %*s %llu", &state,
                    &seen.parent, &seen.group, &threads, &start) != 5) {
        errno = EIO;
        return false;
    }
    // Where its first thread alone has ended (pthread_exit), the others go on.
    seen.is_zombie = (state == 'Z' || state == 'X') && threads < 2;
    seen.is_stopped = state == 'T' || state == 't';
    seen.start = start;
    errno = ESRCH;  // of whom it is not, whoever asks for that
    return true;
#endif
}

/// Is it still the same process, and more than a zombie? Gives how it is now.
inline bool is_still_alive(const Seen& known, Seen& now) noexcept {
    return look_at_process(known.pid, now) && now.start == known.start && now.is_alive();
}

#if defined(__linux__)
/// The numbers of all processes, upwards.
class Numbers {
  public:
    /// 0 after the last one, -1 where they cannot be told.
    Pid next() noexcept {
        for (;;) {
            if (at_ == end_) {
                long size = sys::getdents(proc_.handle(), entries_, room_);
                if (size < 0 && errno == EINVAL) size = sys::getdents(proc_.handle(), entries_, of_any_name);
                if (size <= 0) return static_cast<Pid>(size);
                at_ = 0;
                end_ = static_cast<std::size_t>(size);
            }
            // struct linux_dirent64: where the next entry is, this one's length, its name.
            std::uint64_t next = 0;
            std::uint16_t length = 0;
            std::memcpy(&next, entries_ + at_ + 8, sizeof next);
            std::memcpy(&length, entries_ + at_ + 16, sizeof length);
            const Pid number = std::atoi(entries_ + at_ + 19);
            at_ += length;
            here_ = std::exchange(next_, next);
            if (room_ == of_a_number && at_ != end_) go_to(next_);
            if (number > 0) return number;
        }
    }
    /// The one that next() has given comes once more; from now on each is read when it is asked for, and none ahead. False where
    /// that one is read already, and others may be.
    bool read_one_by_one() noexcept {
        room_ = of_a_number;
        return go_to(here_);
    }

    /// The number that was given to somebody last, be it a thread; 0 where that is not told.
    static Pid last() noexcept {
        char text[128];
        for (const char* const name : {"/proc/sys/kernel/ns_last_pid", "/proc/loadavg"}) {
            const Fd file = Fd::open(name, O_RDONLY);
            const ssize_t size = file.is_open() ? read_some(file, text, sizeof text - 1) : 0;
            if (size <= 0) continue;
            text[size] = '\0';
            const char* const space = std::strrchr(text, ' ');
            return std::atoi(space == nullptr ? text : space);
        }
        return 0;
    }

  private:
    static constexpr std::size_t of_a_number = 32, of_any_name = 288;  // 19 bytes, the name, and up to 8 for alignment

    bool go_to(std::uint64_t place) noexcept {
        if (sys::lseek(proc_.handle(), static_cast<off_t>(place), SEEK_SET) < 0) return false;
        at_ = end_ = 0;
        next_ = place;
        return true;
    }

    Directory proc_{"/proc"};
    char entries_[4096];
    std::size_t room_ = sizeof entries_, at_ = 0, end_ = 0;
    std::uint64_t here_ = 0, next_ = 0;  // the last entry's place, and that of the one behind it
};

/// Goes through all processes, as they are when it comes to each. Of those who each start the next one and go, the present one
/// is met, however quick they are:
///   - Whoever is there all the time of a first walk is met in that.
///   - Otherwise it was started meanwhile: so those are gone through who had not been listed. There a child has a higher
///     number than its parent, and its turn is still to come; read ahead, it might be missed.
///   - Where the numbers have begun anew meanwhile, it may be otherwise, and all begins again, with `begin`.
/// False where processes are not to be seen, or `visit` says so.
template <class Begin, class Visit>
[[gnu::cold]] bool each_process(Begin begin, Visit visit) noexcept {
    if (!shows_processes()) return false;
    constexpr int most_rounds = 8;  // the quickest storm needs seconds for 32 768 numbers
    // One that has gone meanwhile is none; but where there is no descriptor left to look with, nobody can tell.
    const auto look_at = [&](Pid pid) {
        Seen seen{};
        return look_at_process(pid, seen) ? visit(seen) : is_gone(errno);
    };
    for (int round = 0; round < most_rounds; ++round) {
        begin();
        const Pid last = Numbers::last();
        Notes<Pid> listed;
        Pid pid;
        for (Numbers numbers; (pid = numbers.next()) > 0;) {
            if (!listed.add(pid) || !look_at(pid)) return false;
        }
        if (pid < 0) return false;
        std::size_t place = 0;
        bool is_ahead = true;
        for (Numbers numbers; (pid = numbers.next()) > 0;) {
            if (pid > last && std::exchange(is_ahead, false) && numbers.read_one_by_one()) continue;
            while (place < listed.size() && listed[place] < pid) ++place;
            const bool is_listed = place < listed.size() && listed[place] == pid;
            if (!is_listed && !look_at(pid)) return false;
        }
        if (pid < 0) return false;
        if (Numbers::last() >= last) break;
    }
    return true;
}
#elif defined(LEASH_KINFO)
/// Goes through all processes, as they were at one moment; `begin` comes before. False where they cannot be told (not even the
/// host is among them, say), or `visit` says so.
template <class Begin, class Visit>
[[gnu::cold]] bool each_process(Begin begin, Visit visit) noexcept {
    Notes<Kinfo> entries;
    // More may have started since it was asked how many there are: then it is asked once more.
    for (int attempt = 0; attempt < 4; ++attempt) {
        std::size_t size = 0;
        if (!read_kinfo(0, nullptr, size)) return false;
        size += size / 4 + 16 * sizeof(Kinfo);
        Kinfo* const all = entries.make_room(size / sizeof(Kinfo));
        if (all == nullptr) return false;
        if (!read_kinfo(0, all, size)) {
            if (errno != ENOMEM) return false;
            continue;
        }
        begin();
        bool has_host = false;
        for (const Kinfo* one = all; one != all + size / sizeof(Kinfo); ++one) {
            const Seen seen = read_seen(*one);
            has_host |= seen.pid == sys::getpid();
            if (!visit(seen)) return false;
        }
        return has_host;
    }
    return false;
}
#else
template <class Begin, class Visit>
bool each_process(Begin, Visit) noexcept {
    return false;
}
#endif

/// All processes, as of a time: one reading serves any number of jobs that have nothing newer to ask. One that was started
/// during the reading can be in it twice.
class ProcessTable {
  public:
    /// Reads them, if that was not done since. Can they be told? Not without /proc, nor with that of another process
    /// namespace, nor where a sandbox hides them; and what cannot be read now, be it for want of a descriptor, may be the
    /// next time.
    [[gnu::cold]] bool read(Deadline since) noexcept {
        if (!is_known_ || read_at_.is_never() || !earlier(since, read_at_)) {
            read_at_ = Deadline::now();
            all_.cut(0);
            is_known_ = each_process([this] { all_.cut(0); }, [this](const Seen& seen) { return all_.add(seen); });
        }
        return is_known_;
    }
    /// As they are now: for one who looks at many jobs at once, as they were when that look began or later.
    bool read_now() noexcept { return read(look_began()); }
    void begin_look() noexcept { look_ = Deadline::now(); }
    Deadline look_began() const noexcept { return look_.is_never() ? Deadline::now() : look_; }
    /// When they were read last; never where they were not.
    Deadline read_at() const noexcept { return read_at_; }

    const Seen* begin() const noexcept { return all_.begin(); }
    const Seen* end() const noexcept { return all_.end(); }

  private:
    Notes<Seen> all_;
    Deadline read_at_, look_;
    bool is_known_ = false;
};

/// A process that a result tells of, as long as it was there to be asked.
struct Named {
    Pid pid;
    const char* why;
    char command[200];  // cut off, for a log

    /// Its command line; its name in brackets where it has none, or sysctl tells it, as ps shows it.
    [[gnu::cold]] static Named of(Pid pid, const char* why) noexcept {
        Named named{};
        named.pid = pid;
        named.why = why;
#if defined(LEASH_KINFO)
        Kinfo entry{};
        if (read_kinfo(pid, entry)) std::snprintf(named.command, sizeof named.command, "[%.64s]", LEASH_COMMAND(entry));
#else
        if (!shows_processes()) return named;
        const ssize_t size = read_proc(pid, "cmdline", named.command, sizeof named.command);
        for (ssize_t i = 0; i + 1 < size; ++i) {
            if (named.command[i] == '\0') named.command[i] = ' ';
        }
        if (size > 0) return named;
        char name[64];
        ssize_t length = read_proc(pid, "comm", name, sizeof name);
        if (length > 0 && name[length - 1] == '\n') name[length - 1] = '\0';
        if (length > 0) std::snprintf(named.command, sizeof named.command, "[%s]", name);
#endif
        return named;
    }
};

/// Has it a file open of which `is_one` says so, by its name, "pipe:[123]" say, and the path of that link in /proc? Only those of the same user can be asked. (By
/// the names of the links: a stat() would go to what they lead to, which may be a mount that hangs.)
template <class IsOne>
[[gnu::cold]] bool any_open(Pid pid, IsOne is_one) noexcept {
    char path[64], name[64];
    std::snprintf(path, sizeof path, "/proc/%ld/fd", long{pid});
    Directory directory(path);
    while (const char* const number = directory.next()) {
        std::snprintf(path, sizeof path, "/proc/%ld/fd/%.16s", long{pid}, number);
        if (sys::readlink(path, name, sizeof name) > 0 && is_one(name, path)) return true;
    }
    return false;
}

/// Who has this pipe open besides the host, as far as /proc tells.
[[gnu::cold]] inline void name_holders(int pipe, const char* why, ProcessTable& table, Notes<Named>& found) noexcept {
    char path[64], asked[64];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", pipe);
    if (!table.read_now() || sys::readlink(path, asked, sizeof asked) <= 0) return;
    for (const Seen& one : table) {
        if (!one.is_alive() || one.pid == sys::getpid()) continue;
        if (any_open(one.pid, [&](const char* name, const char*) { return std::strcmp(asked, name) == 0; }))
            found.add(Named::of(one.pid, why));
    }
}

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#undef LEASH_KINFO
#undef LEASH_KERN_PROC
#undef LEASH_KERN_PROC_ALL
#undef LEASH_KERN_PROC_SIZED
#undef LEASH_COMMAND
#undef LEASH_SEEN
#undef LEASH_OWNER
#undef LEASH_SESSION

#endif  // LEASH_0_1_0_DETAIL_POSIX_PROCESSES_HPP

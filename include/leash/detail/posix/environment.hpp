// leash/detail/posix/environment.hpp - the environment of another process, as it was at its exec.
#ifndef LEASH_0_1_0_DETAIL_POSIX_ENVIRONMENT_HPP
#define LEASH_0_1_0_DETAIL_POSIX_ENVIRONMENT_HPP

#include <leash/config.hpp>

#include <string_view>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/processes.hpp>
#include <leash/detail/posix/sys/files.hpp>
#include <leash/detail/posix/sys/processes.hpp>

// How sysctl tells it, where it does (these macros end with this file):
//   ASK      the name to ask by
//   ROOM     bytes for the longest answer; macOS refuses to fill more
//   PART     the part of an answer that is the environment
#if defined(__APPLE__)
#include <climits>
#define LEASH_ASK(pid) CTL_KERN, KERN_PROCARGS2, pid
#define LEASH_ROOM (sizeof(int) + ARG_MAX)
#define LEASH_PART(answer) environment_behind_arguments(answer)
#elif defined(__FreeBSD__)
#include <climits>
#define LEASH_ASK(pid) CTL_KERN, KERN_PROC, KERN_PROC_ENV, pid
#define LEASH_ROOM (2 * std::size_t{ARG_MAX})
#define LEASH_PART(answer) answer
#elif defined(__NetBSD__)
#include <climits>
#define LEASH_ASK(pid) CTL_KERN, KERN_PROC_ARGS, pid, KERN_PROC_ENV
#define LEASH_ROOM (2 * std::size_t{ARG_MAX})
#define LEASH_PART(answer) answer
#elif defined(__OpenBSD__)
#include <climits>
#define LEASH_ASK(pid) CTL_KERN, KERN_PROC_ARGS, pid, KERN_PROC_ENV
#define LEASH_ROOM (2 * std::size_t{ARG_MAX})
#define LEASH_PART(answer) environment_behind_addresses(answer)
#endif

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

/// In an answer of macOS: argc, the program's path, NULs up to a whole number of addresses, argv, the environment, and a few
/// strings of the kernel's own. None where it ends before; so it does of Apple's own programs, unless their protection is off.
inline std::string_view environment_behind_arguments(std::string_view answer) noexcept {
    int count = 0;
    if (answer.size() < sizeof count) return {};
    std::memcpy(&count, answer.data(), sizeof count);
    answer.remove_prefix(sizeof count);
    std::size_t at = 0;
    const auto skip = [&] {
        const std::size_t end = answer.find('\0', at);
        at = end == std::string_view::npos ? answer.size() : end + 1;
    };
    skip();
    while (at % 8 != 0 && at < answer.size() && answer[at] == '\0') ++at;
    for (; count > 0 && at < answer.size(); --count) skip();
    answer.remove_prefix(at);
    return answer;
}

/// In an answer of OpenBSD: the addresses of the strings, which are for the place where the answer is, and then the strings.
inline std::string_view environment_behind_addresses(std::string_view answer) noexcept {
    std::uintptr_t first = 0;
    if (answer.size() < sizeof first) return {};
    std::memcpy(&first, answer.data(), sizeof first);
    const auto place = reinterpret_cast<std::uintptr_t>(answer.data());
    if (first < place + sizeof first || first > place + answer.size()) return {};
    answer.remove_prefix(first - place);
    return answer;
}

/// Is there an environment to be seen? Only that of the same user's can be.
enum class Shown {
    all,
    none,     // nor where there is no such process
    unknown,  // the host has no descriptor left, or no memory
    not_now,  // it is in the middle of an exec
    refused   // for that or another reason
};

#if defined(__linux__)
/// 0, or the errno. With one read: where it executes something else between two, the second one gives nothing.
[[gnu::cold]] inline int read_environment(Pid pid, Notes<char>& text) noexcept {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%ld/environ", long{pid});
    const Fd file = Fd::open(path, O_RDONLY);
    if (!file.is_open()) return errno;
    for (std::size_t room = 4096;; room *= 8) {
        char* const place = text.make_room(room);
        if (place == nullptr) return ENOMEM;
        const ssize_t size = sys::read_again(file.get(), place, room);
        if (size < 0) return errno;
        if (static_cast<std::size_t>(size) == room) continue;
        text.cut(static_cast<std::size_t>(size));
        return 0;
    }
}

/// Has it no environment, which then ends where it begins? So it is in the middle of an exec too; but where its code begins
/// is noted after that.
[[gnu::cold]] inline bool has_no_environment(Pid pid) noexcept {
    char text[1024];
    // Counted from the number; the second one, its name in parentheses, may hold anything. The last two since Linux 3.5.
    constexpr int code = 26, start = 50, end = 51;
    unsigned long long values[end + 1] = {};
    const char* at = read_proc(pid, "stat", text, sizeof text) > 0 ? std::strrchr(text, ')') : nullptr;
    for (int value = 3; value <= end && at != nullptr; ++value) {
        at = std::strchr(at + 1, ' ');
        if (at != nullptr) values[value] = std::strtoull(at, nullptr, 10);
    }
    return values[code] != 0 && values[start] != 0 && values[start] == values[end];
}

/// The number of the thread that was listed last, which can be asked as the process can.
[[gnu::cold]] inline Pid last_thread(Pid pid) noexcept {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%ld/task", long{pid});
    Directory threads(path);
    while (const char* const number = threads.next()) pid = std::atoi(number) > 0 ? std::atoi(number) : pid;
    return pid;
}

/// Gives it as "NAME=value" with a NUL behind each, in the memory of `text`.
[[gnu::cold]] inline Shown show_environment(Pid pid, Notes<char>& text, std::string_view& environment) noexcept {
    char path[64], other[16];
    int error = read_environment(pid, text);
    if (error == ESRCH) error = read_environment(last_thread(pid), text);  // the first one may have ended
    if (error != 0) return is_gone(error) ? Shown::none : Shown::unknown;
    environment = {text.begin(), text.size()};
    if (text.size() > 0) return Shown::all;
    // In the middle of its exec a process shows none for a moment. The kernel's own have none, and execute nothing.
    std::snprintf(path, sizeof path, "/proc/%ld/exe", long{pid});
    return sys::readlink(path, other, sizeof other) <= 0 || has_no_environment(pid) ? Shown::none : Shown::not_now;
}
#elif defined(LEASH_ASK)
[[gnu::cold]] inline Shown show_environment(Pid pid, Notes<char>& text, std::string_view& environment) noexcept {
    if (!is_of_user(pid)) return Shown::none;
    int name[] = {LEASH_ASK(pid)};
    std::size_t size = LEASH_ROOM;
    char* const place = text.make_room(size);
    if (place == nullptr) return Shown::unknown;
    // The BSDs say EBUSY in the middle of an exec; macOS says EINVAL, then and always.
    if (sys::sysctl(name, sizeof name / sizeof *name, place, &size) != 0)
        return errno == EBUSY ? Shown::not_now : is_gone(errno) ? Shown::none : Shown::refused;
    environment = LEASH_PART(std::string_view(place, size));
    return Shown::all;
}
#else
inline Shown show_environment(Pid, Notes<char>&, std::string_view&) noexcept { return Shown::none; }
#endif

/// Is the host shown any? Not by FreeBSD with security.bsd.unprivileged_proc_debug=0: its own neither.
[[gnu::cold]] inline bool shows_environments() noexcept {
    Notes<char> text;
    std::string_view own;
    return show_environment(sys::getpid(), text, own) != Shown::none;
}

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#undef LEASH_ASK
#undef LEASH_ROOM
#undef LEASH_PART

#endif  // LEASH_0_1_0_DETAIL_POSIX_ENVIRONMENT_HPP

// tests/support.hpp - what every test needs: the helper program, a census of processes, descriptors and zombies, and
// waiting for an event instead of for a time.
#pragma once

#include "inside.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <ostream>  // doctest prints std::error_code
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace support {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// The program whose verbs are the child behaviours (tests/helper.cpp). The build says where it is.
inline const std::string& helper() {
    static const std::string path = [] {
        const char* const given = std::getenv("LEASH_TEST_HELPER");
        return std::string(given != nullptr ? given : LEASH_TEST_HELPER);
    }();
    return path;
}

/// Are the descriptors that a child shall not have closed by a list of their numbers? Such a list cannot name one that the
/// host has open above a limit that was lowered later.
constexpr bool closes_by_list = !leash::detail::os::has_direct_start && !leash::detail::sys::has_closefrom &&
                                !leash::detail::sys::has_cloexec_default;

/// Is nothing started below a limit that was lowered, rather than that a descriptor above it leaks? So it is where they are
/// closed by a list, and the C library takes no number above the limit for it, as glibc; musl takes any.
inline bool needs_its_limit() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    constexpr int any = 1 << 30;
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    const int beyond = limit.rlim_cur < any ? static_cast<int>(limit.rlim_cur) : any;
    const bool taken = ::posix_spawn_file_actions_addclose(&actions, beyond) == 0;
    ::posix_spawn_file_actions_destroy(&actions);
    return closes_by_list && !taken;
}

/// Asks until it is so; false after a time that is only there so that a broken test ends.
template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds most = 20s) {
    const auto end = Clock::now() + most;
    for (auto pause = 1ms; !condition(); pause = pause < 50ms ? pause * 2 : pause) {
        if (Clock::now() >= end) return condition();
        std::this_thread::sleep_for(pause);
    }
    return true;
}

/// For a deadline that must not find its job before that has got somewhere: a longer one where it did. `attempt` takes
/// the timeout and says whether it was long enough.
template <class Attempt>
bool in_time(std::chrono::milliseconds timeout, Attempt attempt) {
    for (; !attempt(timeout); timeout *= 4) {
        if (timeout > 20s) return false;
    }
    return true;
}

/// How long something took.
class Stopwatch {
  public:
    std::chrono::milliseconds elapsed() const {
        return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start_);
    }

  private:
    Clock::time_point start_ = Clock::now();
};

inline std::string read_file(const std::string& path) {
    std::string text;
    if (std::FILE* const file = std::fopen(path.c_str(), "re")) {
        char buffer[4096];
        for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) text.append(buffer, n);
        std::fclose(file);
    }
    return text;
}

/// The value of a variable in a process's environment, as that was at its exec; empty where it has none.
inline std::string variable_of(pid_t pid, const std::string& name) {
    const std::string environment = '\0' + read_file("/proc/" + std::to_string(pid) + "/environ") + '\0';
    const std::string start = '\0' + name + '=';
    const std::size_t at = environment.find(start);
    if (at == std::string::npos) return "";
    return environment.substr(at + start.size(), environment.find('\0', at + 1) - at - start.size());
}
/// Options of one who has the cookie of somebody else's job, but not as its own: in what it keeps of an environment.
inline leash::Options keeping(const std::string& cookie, leash::Options options) {
    const std::string entry = "LEASH_JOB=" + cookie;
    options.env.set("A_DUMP", entry).set("A_LIST", "HOME=/\n" + entry + "\nTERM=dumb");
    options.env.set("LEASH_JOB_OF_ANOTHER", cookie).set("SAVED_LEASH_JOB", cookie).set("CFLAGS", "-D" + entry);
    options.env.set("AN_END", "of " + entry + "\n");
    return options;
}

/// The open descriptors of this process.
inline std::set<int> open_descriptors() {
    std::set<int> open;
    DIR* const directory = ::opendir("/proc/self/fd");
    while (const dirent* const entry = ::readdir(directory)) {
        if (entry->d_name[0] != '.') open.insert(std::atoi(entry->d_name));
    }
    open.erase(::dirfd(directory));
    ::closedir(directory);
    return open;
}

/// The state letter of a process ('R', 'S', 'T', 'Z', …); 0 where there is none.
inline char state_of(pid_t pid) {
    const std::string text = read_file("/proc/" + std::to_string(pid) + "/stat");
    const std::size_t end = text.rfind(')');
    return end == std::string::npos || end + 2 >= text.size() ? '\0' : text[end + 2];
}

/// A thread that is about to make a call that blocks, and another one that waits until it does. Should it sleep on the
/// way to that call, for a lock or the like, the other one comes too early: so a test must be right then too.
class Sleeper {
  public:
    void this_thread() { tid_ = static_cast<pid_t>(::syscall(SYS_gettid)); }
    bool falls_asleep() const {
        return eventually([&] { return tid_ != 0 && state_of(tid_) == 'S'; });
    }

  private:
    std::atomic<pid_t> tid_{0};
};

/// What this thread does: the processor time that it uses, and how often it goes to sleep.
class Effort {
  public:
    std::chrono::milliseconds time() const {
        const rusage now = look();
        return std::chrono::duration_cast<std::chrono::milliseconds>(total(now) - total(before_));
    }
    long sleeps() const { return look().ru_nvcsw - before_.ru_nvcsw; }

  private:
    static rusage look() {
        rusage usage{};
        ::getrusage(RUSAGE_THREAD, &usage);
        return usage;
    }
    static std::chrono::microseconds total(const rusage& usage) {
        return std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               std::chrono::microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    }
    rusage before_ = look();
};

/// Can the end of a process be waited for (by a pidfd, Linux 5.3; not in some sandboxes)?
inline bool has_exit_handle() {
    static const bool has = [] {
        constexpr long pidfd_open = 434;
        const int handle = static_cast<int>(::syscall(pidfd_open, ::getpid(), 0));
        return handle >= 0 && ::close(handle) == 0;
    }();
    return has;
}

/// How often leash may look in so long whether a process has ended: where nothing tells, each 10 ms, and here twice as
/// often.
inline long looks(std::chrono::milliseconds time) { return has_exit_handle() ? 0 : static_cast<long>(time / 5ms); }

/// Does the kernel keep the status of a child that somebody else has reaped (PIDFD_INFO_EXIT, Linux 6.15)?
inline bool kernel_keeps_statuses() {
    static const bool keeps = [] {
        const pid_t child = ::fork();
        if (child == 0) ::_exit(42);
        constexpr long pidfd_open = 434;
        constexpr unsigned long get_info = 0xC040FF0B;
        const int handle = static_cast<int>(::syscall(pidfd_open, child, 0));
        while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {}
        std::uint32_t info[16] = {1U << 3};
        const bool answers = handle >= 0 && ::syscall(SYS_ioctl, handle, get_info, info) == 0;
        ::close(handle);
        return answers && (info[0] & (1U << 3)) != 0 && info[15] == 42U << 8;
    }();
    return keeps;
}

/// Is a status that somebody else has taken told as it should be? The truth where the kernel keeps it, else unknown.
inline bool is_told(leash::ExitStatus status, leash::ExitStatus truth) {
    const bool right = kernel_keeps_statuses() ? status == truth : status.unknown();
    if (!right) std::fprintf(stderr, "it %s, in truth it %s\n", status.describe().c_str(), truth.describe().c_str());
    return right;
}

/// How many times as much processor time `large()` takes as `small()`: each one's best of a few rounds. What grows with
/// the square of its input is told from what grows with its input by that, on any machine.
template <class Small, class Large>
double growth(Small small, Large large) {
    const auto best = [](auto& work) {
        double least = 1e9;
        for (int round = 0; round < 3; ++round) {
            timespec before{}, after{};
            ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
            work();
            ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
            const double taken = static_cast<double>(after.tv_sec - before.tv_sec) * 1e6 +
                                 static_cast<double>(after.tv_nsec - before.tv_nsec) / 1e3;
            if (taken < least) least = taken;
        }
        return least + 1;
    };
    const double unit = best(small);
    return best(large) / unit;
}

/// Neither gone nor a zombie: a container's pid 1 may reap orphans late.
inline bool is_alive(pid_t pid) {
    const char state = state_of(pid);
    return state != '\0' && state != 'Z' && state != 'X';
}

/// Has this process a child, be it a zombie? There is none when every test starts and ends.
inline bool has_children() {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/// Everything that a test starts, found by a mark in its environment, whatever group, session or parent it has now.
/// At the end of the test what is left is killed, so that no failure disturbs the next test.
class Census {
  public:
    Census() : mark_("LEASH_TEST_MARK=" + std::to_string(::getpid()) + "." + std::to_string(counter()++)) {}
    Census(const Census&) = delete;
    Census& operator=(const Census&) = delete;
    ~Census() {
        for (int round = 0; round < 100; ++round) {
            const auto left = alive();
            if (left.empty()) return;
            for (const pid_t pid : left) {
                if (pid > 1) ::kill(pid, SIGKILL);
            }
            std::this_thread::sleep_for(1ms);
        }
    }

    /// The host's environment with the mark: for Options::env.
    leash::Env env() const { return mark(leash::Env::inherited()); }
    leash::Env mark(leash::Env env) const {
        const std::size_t equals = mark_.find('=');
        env.set(mark_.substr(0, equals), mark_.substr(equals + 1));
        return env;
    }

    /// Who is alive now. A process between fork and exec has the mark too.
    std::vector<pid_t> alive() const {
        std::vector<pid_t> found;
        DIR* const directory = ::opendir("/proc");
        while (const dirent* const entry = ::readdir(directory)) {
            const pid_t pid = std::atoi(entry->d_name);
            if (pid <= 0 || pid == ::getpid() || !is_alive(pid)) continue;
            const std::string environment = '\0' + read_file("/proc/" + std::to_string(pid) + "/environ");
            if (environment.find('\0' + mark_ + '\0') != std::string::npos) found.push_back(pid);
        }
        ::closedir(directory);
        return found;
    }
    /// Waits until so many are alive.
    bool reaches(std::size_t count) const {
        return eventually([&] { return alive().size() == count; });
    }
    /// Where it is not, it says who is there, as they are: a test that fails once in a thousand runs is told by nothing else.
    bool is_empty() const {
        const auto left = alive();
        for (const pid_t pid : left) {
            const std::string folder = "/proc/" + std::to_string(pid);
            const auto say = [&](const char* name) {
                std::string text = read_file(folder + name);
                std::replace(text.begin(), text.end(), '\0', ' ');
                std::fprintf(stderr, " %s", text.c_str());
            };
            std::fputs("left:", stderr);
            for (const char* const name : {"/cmdline", "/wchan", "/stat"}) say(name);
        }
        return left.empty();
    }

  private:
    static int& counter() {
        static int count = 0;
        return count;
    }
    std::string mark_;
};

/// Checks on its way out that this process has the descriptors and children that it had before, and no more.
class NothingLeft {
  public:
    bool holds() const { return open_descriptors() == before_ && !has_children(); }

  private:
    std::set<int> before_ = open_descriptors();
};

/// The numbers of those whom a result tells of.
inline std::vector<pid_t> pids(const std::vector<leash::Process>& processes) {
    std::vector<pid_t> all;
    for (const leash::Process& one : processes) all.push_back(one.pid);
    return all;
}

/// A verb of the helper program, and what it is given.
inline leash::Command child(std::initializer_list<leash::Arg> verb) {
    std::vector<std::string> argv{helper()};
    for (const leash::Arg& arg : verb) argv.push_back(arg.str());
    return leash::args(std::move(argv));
}

/// Options with the mark of the census, `out` and `err` piped.
inline leash::Options capture(const Census& census) {
    leash::Options options;
    options.out = leash::piped;
    options.err = leash::piped;
    options.env = census.env();
    return options;
}

/// Options with the mark of the census, and no stream.
/// What describe() tells of a result besides the command's name and how long it took.
inline std::string told(leash::Result result) {
    const std::string head = "it: ", length = " in 0.000 s";
    result.command = "it";
    result.duration = {};
    std::string text = result.describe();
    const std::size_t at = text.find(length);
    if (text.compare(0, head.size(), head) != 0 || at == std::string::npos) return "not so: " + text;
    return text.erase(at, length.size()).substr(head.size());
}

inline leash::Options silent(const Census& census) {
    leash::Options options;
    options.out = leash::null;
    options.err = leash::null;
    options.env = census.env();
    return options;
}

/// Runs `body` in a forked copy of this process: a host that may close its standard streams, change its limits, its
/// signals or its user. Gives what went wrong there, "" for nothing. No CHECK in there: see HOST_NEEDS.
inline std::string in_host(const std::function<std::string()>& body) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return "no pipe";
    std::fflush(nullptr);  // or the copy could write once more what waits to be written here
    const pid_t host = ::fork();
    if (host < 0) return "no fork";
    if (host == 0) {
        ::close(ends[0]);
        const int report = ::fcntl(ends[1], F_DUPFD_CLOEXEC, 60);  // out of the way of what the body does
        ::close(ends[1]);
        ::alarm(300);
        std::string wrong;
        try {
            wrong = body();
        } catch (const std::exception& e) {
            wrong = std::string("thrown: ") + e.what();
        }
        static_cast<void>(!::write(report, wrong.data(), wrong.size()));
        ::_exit(wrong.empty() ? 0 : 1);
    }
    ::close(ends[1]);
    std::string wrong;
    char buffer[4096];
    for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) != 0;) {
        if (n > 0) wrong.append(buffer, static_cast<std::size_t>(n));
        else if (errno != EINTR) break;
    }
    ::close(ends[0]);
    int status = 0;
    while (::waitpid(host, &status, 0) < 0 && errno == EINTR) {}
    if (WIFSIGNALED(status)) return "the host was killed by signal " + std::to_string(WTERMSIG(status));
    if (wrong.empty() && WEXITSTATUS(status) != 0) return "the host exited " + std::to_string(WEXITSTATUS(status));
    return wrong;
}

/// Inside of in_host(): what must be so, or the host answers with the text of it.
#define HOST_NEEDS(...)                                                                                   \
    do {                                                                                                  \
        if (!(__VA_ARGS__)) return "line " + std::to_string(__LINE__) + ": " + std::string(#__VA_ARGS__); \
    } while (false)

/// A directory of a test's own, removed with what is in it.
class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        char name[] = "/tmp/leash-test.XXXXXX";
        if (::mkdtemp(name) == nullptr) std::abort();
        path_ = name;
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() { remove(path_); }

    const std::string& path() const { return path_; }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

    /// Writes a file and gives its path.
    std::string file(const std::string& name, const std::string& text, mode_t mode = 0644) const {
        const std::string path = *this / name;
        const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        std::size_t done = 0;
        while (fd >= 0 && done < text.size()) {
            const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
            if (n <= 0) break;
            done += static_cast<std::size_t>(n);
        }
        ::close(fd);
        ::chmod(path.c_str(), mode);
        return path;
    }
    std::string directory(const std::string& name, mode_t mode = 0755) const {
        const std::string path = *this / name;
        ::mkdir(path.c_str(), mode);
        ::chmod(path.c_str(), mode);
        return path;
    }

  private:
    static void remove(const std::string& path) {
        if (DIR* const directory = ::opendir(path.c_str())) {
            while (const dirent* const entry = ::readdir(directory)) {
                const std::string name = entry->d_name;
                if (name == "." || name == "..") continue;
                const std::string inner = path + "/" + name;
                struct stat info {};
                if (::lstat(inner.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) remove(inner);
                else ::unlink(inner.c_str());
            }
            ::closedir(directory);
        }
        ::rmdir(path.c_str());
    }
    std::string path_;
};

/// What the helper's write verbs write: checks that all came, in order.
inline std::string pattern(std::size_t count, std::size_t from = 0) {
    std::string text(count, '\0');
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t n = from + i;
        text[i] = n % 64 == 63 ? '\n' : static_cast<char>('a' + n % 26);
    }
    return text;
}

/// The words of a text, split at blanks and newlines.
inline std::vector<std::string> words(const std::string& text) {
    std::vector<std::string> list;
    std::string word;
    for (const char c : text + " ") {
        if (c != ' ' && c != '\n') {
            word += c;
        } else if (!word.empty()) {
            list.push_back(word);
            word.clear();
        }
    }
    return list;
}

}  // namespace support

// tests/support.hpp - what every test needs: the helper program, a census of processes, descriptors and zombies, and
// waiting for an event instead of for a time.
#pragma once

#include <leash/leash.hpp>

#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
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
    bool is_empty() const { return alive().empty(); }

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

}  // namespace support

// bench/reach.cpp - what the options that end more than a group cost: reach, die_with_parent, limits, as ratios to the default.
// For `./dev bench reach`, which gives it the child: it prints a table, in a few minutes, in one where it has another argument.
//
// On one processor, the options in turn, round by round; a ratio is of two in the same round. Beside a crowd of processes,
// asleep, since two of the options look at all of them.
#include <leash/leash.hpp>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

/// So many processes that sleep, each with an environment as a shell has it, until this one is destroyed.
class Crowd {
  public:
    explicit Crowd(int size) {
        int ready[2], over[2];
        if (::pipe2(ready, O_CLOEXEC) != 0 || ::pipe2(over, O_CLOEXEC) != 0) fail("no pipe");
        leader_ = ::fork();
        if (leader_ == 0) {
            ::close(over[1]);
            std::vector<pid_t> all;
            for (int i = 0; i < size; ++i) {
                const pid_t pid = ::fork();
                if (pid == 0) {
                    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
                    for (;;) ::pause();
                }
                if (pid > 0) all.push_back(pid);
            }
            const char answer = static_cast<int>(all.size()) == size ? 'y' : 'n';
            char c = '\0';
            static_cast<void>(!::write(ready[1], &answer, 1));
            static_cast<void>(!::read(over[0], &c, 1));
            for (const pid_t pid : all) ::kill(pid, SIGKILL);
            for (const pid_t pid : all) ::waitpid(pid, nullptr, 0);
            ::_exit(0);
        }
        ::close(ready[1]);
        ::close(over[0]);
        char answer = 'n';
        const bool is_there = ::read(ready[0], &answer, 1) == 1 && answer == 'y';
        ::close(ready[0]);
        over_ = over[1];
        if (!is_there) fail("there is no room for so many processes");
    }
    Crowd(const Crowd&) = delete;
    Crowd& operator=(const Crowd&) = delete;
    ~Crowd() {
        ::close(over_);
        ::waitpid(leader_, nullptr, 0);
    }

  private:
    pid_t leader_ = -1;
    int over_ = -1;
};

int processes() {
    int count = 0;
    DIR* const directory = ::opendir("/proc");
    while (const dirent* const entry = ::readdir(directory)) count += std::atoi(entry->d_name) > 0 ? 1 : 0;
    ::closedir(directory);
    return count;
}

struct Variant {
    const char* name;
    leash::Options options;
};

std::vector<Variant> variants() {
    leash::Limits limits;
    limits.open_files = 1000;
    limits.core_size = 0;
    limits.address_space = std::uint64_t{1} << 40;
    std::vector<Variant> all = {
        {"the default", {}},
        {"limits, umask, nice", {.umask = 077, .nice = 1, .limits = limits}},
        {"Reach::tree", {.reach = leash::Reach::tree}},
        {"Reach::cgroup", {.reach = leash::Reach::cgroup}},
        {"die_with_parent", {.die_with_parent = true}},
        {"tree and die_with_parent", {.reach = leash::Reach::tree, .die_with_parent = true}},
    };
    for (auto one = all.begin(); one != all.end();) {
        const auto result = leash::try_run({"true"}, one->options);
        if (!result) std::printf("left out: %s: %s\n", one->name, result.error().message().c_str());
        one = result ? one + 1 : all.erase(one);
    }
    return all;
}

double microseconds_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

enum Measure { run, start, end, measures };
constexpr const char* what[measures] = {"start and natural end", "start alone", "kill() and wait()"};

/// Of one round: what each takes.
void measure(const std::string& child, const leash::Options& options, double (&times)[measures]) {
    auto begin = Clock::now();
    if (!leash::run({child}, options).ok()) fail("the child did not end well");
    times[run] = microseconds_since(begin);
    begin = Clock::now();
    leash::Popen job({child, "nap", "60000000", "/"}, options);
    times[start] = microseconds_since(begin);
    ::usleep(1000);  // the guardian has come to its rest
    begin = Clock::now();
    if (!job.kill()) fail("no end");
    job.wait();
    times[end] = microseconds_since(begin);
}

double quantile(std::vector<double> values, double part) {
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1) + 0.5)];
}

void compare(const std::string& child, int crowd_size, int rounds) {
    const Crowd crowd(crowd_size);
    const std::vector<Variant> all = variants();
    std::vector<std::vector<double>> times[measures];
    for (auto& one : times) one.resize(all.size());
    for (int round = -2; round < rounds; ++round) {  // two to warm up
        for (std::size_t i = 0; i < all.size(); ++i) {
            const std::size_t which = (i + static_cast<std::size_t>(round + 2)) % all.size();
            double taken[measures];
            measure(child, all[which].options, taken);
            for (int m = 0; m < measures && round >= 0; ++m) times[m][which].push_back(taken[m]);
        }
    }
    std::printf("\n%d processes on the machine, %d rounds\n\n| options |", processes(), rounds);
    for (const char* const one : what) std::printf(" %s, µs | ratio |", one);
    std::printf("\n|---|---|---|---|---|---|---|\n");
    for (std::size_t i = 0; i < all.size(); ++i) {
        std::printf("| %s |", all[i].name);
        for (const auto& one : times) {
            std::vector<double> ratios;
            for (std::size_t round = 0; round < one[i].size(); ++round) ratios.push_back(one[i][round] / one[0][round]);
            std::printf(" %.0f | %.2f [%.2f %.2f] |", quantile(one[i], 0.5), quantile(ratios, 0.5),
                        quantile(ratios, 0.25), quantile(ratios, 0.75));
        }
        std::printf("\n");
    }
    std::fflush(stdout);
}

/// The bytes of a field of /proc/<pid>/smaps_rollup, in KiB.
long memory(pid_t pid, const char* field) {
    std::FILE* const file = std::fopen(("/proc/" + std::to_string(pid) + "/smaps_rollup").c_str(), "re");
    char line[256];
    long all = 0;
    while (file != nullptr && std::fgets(line, sizeof line, file) != nullptr) {
        const std::string text = line;
        if (text.compare(0, std::string(field).size(), field) == 0)
            all += std::atol(line + std::string(field).size() + 1);
    }
    if (file != nullptr) std::fclose(file);
    return all;
}

int descriptors() {
    int count = 0;
    DIR* const directory = ::opendir("/proc/self/fd");
    while (::readdir(directory) != nullptr) ++count;
    ::closedir(directory);
    return count;
}

/// What a guardian takes as long as its job runs: by the children that a host has besides its jobs.
void guardians(const std::string& child, int jobs) {
    const int before = descriptors();
    int with[2] = {};
    for (const bool guarded : {false, true}) {
        std::vector<leash::Popen> all;
        std::vector<pid_t> pids;
        for (int i = 0; i < jobs; ++i) {
            all.emplace_back(leash::args({child, "nap", "60000000", "/"}), leash::Options{.die_with_parent = guarded});
            pids.push_back(static_cast<pid_t>(all.back().pid()));
        }
        with[guarded ? 1 : 0] = descriptors() - before;
        if (!guarded) continue;
        ::usleep(100'000);
        long proportional = 0, own = 0;
        std::FILE* const children = std::fopen("/proc/thread-self/children", "re");
        for (long pid; children != nullptr && std::fscanf(children, "%ld", &pid) == 1;) {
            if (std::count(pids.begin(), pids.end(), static_cast<pid_t>(pid)) != 0) continue;
            proportional += memory(static_cast<pid_t>(pid), "Pss:");
            own +=
                memory(static_cast<pid_t>(pid), "Private_Clean:") + memory(static_cast<pid_t>(pid), "Private_Dirty:");
        }
        if (children != nullptr) std::fclose(children);
        std::printf(
            "a guardian, one of %d: %ld KiB of memory (PSS), of which %ld its own; %.1f descriptors of the host\n",
            jobs, proportional / jobs, own / jobs, static_cast<double>(with[1] - with[0]) / jobs);
    }
}

}  // namespace

int main(int count, char** values) {
    if (count < 2) return 2;
    const std::string child = values[1];
    const bool is_quick = count > 2;
    try {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
        ::sched_setaffinity(0, sizeof one, &one);
        guardians(child, 1);
        guardians(child, 100);
        compare(child, 10, is_quick ? 11 : 101);
        compare(child, 1000, is_quick ? 5 : 31);
        compare(child, 10'000, is_quick ? 3 : 7);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "reach: %s\n", e.what());
        return 1;
    }
    return 0;
}

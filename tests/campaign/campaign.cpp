// tests/campaign/campaign.cpp - what must never happen, tried again and again on a busy machine. For a process namespace of
// its own, where every process but those that were there at first is of the campaign: so none is overlooked.
//
//     campaign <rounds> <shape>
//
//     killed-<reach>-<jobs>   a host with so many running jobs is killed by SIGKILL, and within a second nothing is left
//     strangers               100 unrelated processes in each round come and go while jobs are ended: none is hit
//     storm-stop              ten hosts in each round start jobs under SIGTSTP and SIGCONT: none hangs, no job is hit
//     storm-background        the same under SIGTTIN and SIGTTOU
//     storm-interrupt         the same under SIGINT and SIGQUIT, which the hosts handle
//     storm-terminal          a single Ctrl-Z for a host that starts jobs, under a shell at a terminal, and fg
#include "../torture/dice.hpp"

#include "../support.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <cstdio>
#include <cstdlib>

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using support::child;
using support::Clock;
using support::eventually;
using support::helper;
using support::TemporaryDirectory;
using torture::Dice;

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }
void need(bool holds, const char* what) {
    if (!holds) fail(what);
}

/// Forks a process that does `body`, and ends. Nothing is destroyed there, but by `body`.
template <class Body>
pid_t forked(Body body) {
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    if (pid < 0) fail("no fork");
    if (pid != 0) return pid;
    int code = 70;
    try {
        code = body();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "in process %ld: %s\n", static_cast<long>(::getpid()), e.what());
    }
    std::fflush(nullptr);
    ::_exit(code);
}

int end_of(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return status;
}

std::set<pid_t> everybody() {
    std::set<pid_t> all;
    DIR* const directory = ::opendir("/proc");
    while (const dirent* const entry = ::readdir(directory)) {
        if (const pid_t pid = std::atoi(entry->d_name)) all.insert(pid);
    }
    ::closedir(directory);
    return all;
}

std::string describe(pid_t pid) {
    const std::string folder = "/proc/" + std::to_string(pid);
    std::string command = support::read_file(folder + "/cmdline");
    std::replace(command.begin(), command.end(), '\0', ' ');
    std::replace(command.begin(), command.end(), '\n', ' ');
    return "    " + std::to_string(pid) + " " + support::state_of(pid) + " " + command.substr(0, 70) + "\n";
}

/// Two busy loops for each processor.
class Load {
  public:
    Load() {
        cpu_set_t processors;
        ::sched_getaffinity(0, sizeof processors, &processors);
        for (int i = 0; i < 2 * CPU_COUNT(&processors); ++i) {
            loops_.push_back(forked([]() -> int {
                for (const volatile bool goes_on = true; goes_on;) {}
                return 0;
            }));
        }
    }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    ~Load() {
        for (const pid_t pid : loops_) ::kill(pid, SIGKILL), end_of(pid);
    }

  private:
    std::vector<pid_t> loops_;
};

leash::Command strings(std::vector<std::string> argv) { return leash::args(std::move(argv)); }

// ---- a host that is killed

leash::Reach reach_of(const std::string& name) {
    return name == "tree" ? leash::Reach::tree : name == "cgroup" ? leash::Reach::cgroup : leash::Reach::group;
}

/// What a reach promises to end, each kind of it in turn. Each says one line when all of it is there.
leash::Command job_number(int number, leash::Reach reach, const TemporaryDirectory& directory) {
    const std::string file = directory / std::to_string(number);
    std::vector<std::string> daemon{helper(), "escape", file, "session", "fork", "close", "ignore"};
    if (reach == leash::Reach::cgroup && number % 2 == 0) daemon.push_back("clear");
    switch (number % (reach == leash::Reach::group ? 2 : 5)) {
        case 0: return child({"ignore-term"});
        case 1: return child({"fork-and-wait", "1"});
        case 4: {  // the leader has ended, and nobody has looked since then
            std::vector<std::string> words{"sh", "-c", "\"$@\"; echo ready", "sh"};
            daemon.push_back("go");
            words.insert(words.end(), daemon.begin(), daemon.end());
            return strings(std::move(words));
        }
        default: daemon.push_back("stay"); return strings(std::move(daemon));
    }
}

/// The control groups of jobs that are there.
int groups_left() {
    int count = 0;
    for (const char* const top : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
        const std::string groups = '\n' + support::read_file("/proc/self/cgroup");
        const std::size_t at = groups.find("\n0::");
        if (at == std::string::npos) continue;
        const std::string path = top + groups.substr(at + 4, groups.find('\n', at + 1) - at - 4);
        DIR* const directory = ::opendir(path.c_str());
        if (directory == nullptr) continue;
        while (const dirent* const entry = ::readdir(directory))
            count += std::string(entry->d_name).compare(0, 6, "leash.") == 0 ? 1 : 0;
        ::closedir(directory);
    }
    return count;
}

std::string spread(std::vector<milliseconds> times) {
    std::sort(times.begin(), times.end());
    return std::to_string(times[times.size() / 2].count()) + " ms (" + std::to_string(times.back().count()) +
           " at the latest)";
}

std::string killed(long rounds, leash::Reach reach, int jobs) {
    if (reach == leash::Reach::cgroup) {
        leash::Options options;
        options.reach = reach;
        const auto r = leash::try_run({"true"}, options);
        if (!r) return "skipped: " + r.error().message();
    }
    const Load load;
    std::vector<milliseconds> times, guardian_times;
    for (long round = 0; round < rounds; ++round) {
        const TemporaryDirectory directory;
        const std::set<pid_t> before = everybody();
        int ends[2];
        need(::pipe2(ends, O_CLOEXEC) == 0, "no pipe");
        const pid_t host = forked([&]() -> int {
            leash::Options options;
            options.out = leash::fd(ends[1]);
            options.reach = reach;
            options.die_with_parent = true;
            for (int i = 0; i < jobs; ++i) new leash::Popen(job_number(i, reach, directory), options);
            for (;;) ::pause();
        });
        ::close(ends[1]);
        int lines = 0;
        for (char c = '\0'; lines < jobs && ::read(ends[0], &c, 1) == 1;) lines += c == '\n' ? 1 : 0;
        ::close(ends[0]);
        if (lines < jobs) fail("round " + std::to_string(round) + ": the host has ended by itself");

        std::set<pid_t> guardians;
        const bool has_each = eventually([&] {  // in the middle of its exec a process shows no command
            for (const pid_t pid : everybody()) {
                const bool is_one = support::read_file("/proc/" + std::to_string(pid) + "/cmdline").find("\ntrap") == 6;
                if (is_one && before.count(pid) == 0) guardians.insert(pid);
            }
            return static_cast<int>(guardians.size()) >= jobs;
        });
        need(has_each && static_cast<int>(guardians.size()) == jobs, "a job has no guardian, or two");
        const auto begin = Clock::now();
        ::kill(host, SIGKILL);
        end_of(host);
        const auto rest = [&] {
            std::vector<pid_t> all;
            for (const pid_t pid : everybody()) {
                if (before.count(pid) + guardians.count(pid) == 0) all.push_back(pid);
            }
            return all;
        };
        const auto passed = [&] { return std::chrono::duration_cast<milliseconds>(Clock::now() - begin); };
        std::string left;
        eventually([&] { return rest().empty(); }, 1000ms);
        times.push_back(passed());
        for (const pid_t pid : rest()) left += describe(pid);
        const bool is_empty = eventually([&] { return everybody() == before; }, 60s);
        guardian_times.push_back(passed());
        if (times.back() > 1000ms || !left.empty()) {
            fail("round " + std::to_string(round) + ": after " + std::to_string(times.back().count()) +
                 " ms there is left:\n" + left + "    and nothing after " +
                 std::to_string(guardian_times.back().count()) + " ms");
        }
        need(is_empty, "after a minute a guardian is still there");
        if (reach == leash::Reach::cgroup) {  // the next job clears away after the host
            leash::Options options;
            options.reach = reach;
            static_cast<void>(leash::run({"true"}, options));
            if (groups_left() != 0) fail("a control group is left");
        }
    }
    return std::to_string(rounds) + " rounds, no job left after " + spread(times) + ", no guardian after " +
           spread(guardian_times);
}

// ---- strangers

/// Where the next process numbers of this namespace go on from; not everybody may say.
void count_from(pid_t last) {
    const int file = ::open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    const std::string text = std::to_string(last);
    static_cast<void>(!::write(file, text.data(), text.size()));
    ::close(file);
}

struct Tally {
    long strangers, harmed, recycled;
};

/// Keeps a crowd of children that come and go, some in sessions of their own, some with another job's cookie, and looks how
/// each of them has ended. Their numbers come around again and again.
Tally come_and_go(long count) {
    Dice dice(1);
    Tally tally{};
    std::set<pid_t> there, numbers;
    const pid_t first = ::getpid();
    for (long started = 0; started < count || !there.empty();) {
        while (started < count && there.size() < 100) {
            const int time = dice.between(0, 60000), kind = dice.between(0, 5);
            const pid_t pid = forked([&]() -> int {
                if (kind == 1) ::setpgid(0, 0);
                if (kind >= 2) ::setsid();
                if (kind >= 3) ::setenv("LEASH_JOB", "0123456789abcdef0123456789abcdef", 1);
                if (kind >= 4) ::execl(helper().c_str(), "helper", "exit", "7", static_cast<char*>(nullptr));
                ::usleep(static_cast<useconds_t>(time));
                return 7;
            });
            there.insert(pid);
            tally.recycled += numbers.insert(pid).second ? 0 : 1;
            ++started;
            if (pid > first + 400) count_from(first);
        }
        int status = 0;
        const pid_t pid = ::waitpid(-1, &status, 0);
        if (there.erase(pid) == 0) continue;
        ++tally.strangers;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 7) continue;
        ++tally.harmed;
        std::fprintf(stderr, "a stranger, process %ld, ended with wait status %d\n", static_cast<long>(pid), status);
    }
    return tally;
}

std::string strangers(long rounds) {
    int ends[2];
    need(::pipe2(ends, O_CLOEXEC) == 0, "no pipe");
    const pid_t bystander = forked([&]() -> int {
        const Tally tally = come_and_go(rounds * 100);
        return ::write(ends[1], &tally, sizeof tally) == static_cast<ssize_t>(sizeof tally) ? 0 : 1;
    });
    ::close(ends[1]);
    leash::Options options;
    options.out = leash::piped;
    options.reach = leash::Reach::tree;
    options.grace = options.drain = 20ms;
    Dice dice(2);
    long trees = 0;
    for (; ::waitpid(bystander, nullptr, WNOHANG) == 0; ++trees) {
        const TemporaryDirectory directory;
        const bool stays = dice.chance(75);
        const leash::Command command = child({"escape", directory / "pid", "session", "fork", stays ? "stay" : "go"});
        options.die_with_parent = dice.chance(50);
        if (!stays) {
            static_cast<void>(leash::run(command, options));
        } else if (options.die_with_parent) {
            int ready[2];
            need(::pipe2(ready, O_CLOEXEC) == 0, "no pipe");
            const pid_t host = forked([&]() -> int {
                leash::Popen job(command, options);
                static_cast<void>(job.out().read_until("ready\n", 30s));
                static_cast<void>(!::write(ready[1], "x", 1));
                for (;;) ::pause();
            });
            ::close(ready[1]);
            char c = '\0';
            need(::read(ready[0], &c, 1) == 1, "a host has ended by itself");
            ::close(ready[0]);
            ::kill(host, SIGKILL);
            end_of(host);
        } else {
            leash::Popen job(command, options);
            need(job.out().read_until("ready\n", 30s).complete, "a job did not start");
            if (dice.chance(50)) job.stop(10ms);
            else need(job.kill().has_value(), "a job could not be killed");
            job.wait();
        }
        const pid_t escaped = std::atoi(support::read_file(directory / "pid").c_str());
        need(escaped > 1, "nobody has got away");
    }
    Tally tally{};
    need(::read(ends[0], &tally, sizeof tally) == static_cast<ssize_t>(sizeof tally), "the bystander has ended");
    ::close(ends[0]);
    const std::string text = std::to_string(tally.strangers) + " strangers, " + std::to_string(tally.recycled) +
                             " of them with a number that had been another's, beside " + std::to_string(trees) +
                             " trees: " + std::to_string(tally.harmed) + " hit";
    if (tally.harmed != 0) fail(text);
    return text;
}

// ---- storms

volatile sig_atomic_t handled = 0;
void note(int) { handled = 1; }

/// Starts jobs for a while; 0 where all is well.
int start_jobs(int kind) {
    leash::Options options;
    if (kind % 2 == 1) options.out = leash::piped;
    options.die_with_parent = kind % 4 >= 2;
    const auto end = Clock::now() + 120ms;
    do {
        const auto result = leash::try_run(child({"exit", "0"}), options);
        if (result && result->ok()) continue;
        std::fprintf(stderr, "a job: %s\n", (result ? result->describe() : result.error().message()).c_str());
        return 1;
    } while (Clock::now() < end);
    return 0;
}

std::string storm(long rounds, const std::vector<int>& signals, bool are_handled) {
    if (!leash::detail::os::has_direct_start) return "skipped: this system starts by posix_spawn";
    constexpr std::size_t at_once = 8;
    Dice dice(3);
    std::map<pid_t, Clock::time_point> hosts;
    long begun = 0, sent = 0, hung = 0, wrong = 0;
    const long hosts_in_all = rounds * 10;
    while (begun < hosts_in_all || !hosts.empty()) {
        while (begun < hosts_in_all && hosts.size() < at_once) {
            const int kind = static_cast<int>(begun++ % 4);
            sigset_t blocked, before;  // until it has its handlers
            ::sigemptyset(&blocked);
            for (const int signal : signals) ::sigaddset(&blocked, signal);
            ::sigprocmask(SIG_BLOCK, &blocked, &before);
            const pid_t host = forked([&]() -> int {
                ::setpgid(0, 0);
                struct sigaction action {};
                action.sa_handler = are_handled ? note : SIG_DFL;
                action.sa_flags = SA_RESTART;
                for (const int signal : signals) ::sigaction(signal, &action, nullptr);
                ::sigprocmask(SIG_SETMASK, &before, nullptr);
                return start_jobs(kind);
            });
            ::sigprocmask(SIG_SETMASK, &before, nullptr);
            ::setpgid(host, host);
            hosts[host] = Clock::now();
        }
        for (auto one = hosts.begin(); one != hosts.end();) {
            int status = 0;
            if (::waitpid(one->first, &status, WNOHANG) == one->first) {
                if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) ++wrong;
                one = hosts.erase(one);
            } else if (Clock::now() - one->second > 30s) {
                ++hung;
                std::fprintf(stderr, "a host hangs:\n%s", describe(one->first).c_str());
                ::kill(-one->first, SIGKILL);
                end_of(one->first);
                one = hosts.erase(one);
            } else {
                if (dice.chance(60)) {
                    const int last = static_cast<int>(signals.size()) - 1;
                    ::kill(-one->first, signals[static_cast<std::size_t>(dice.between(0, last))]);
                } else {
                    ::kill(-one->first, SIGCONT);
                }
                ++sent;
                ++one;
            }
        }
        ::usleep(static_cast<useconds_t>(dice.between(50, 1000)));
    }
    const std::string text = std::to_string(begun) + " hosts, " + std::to_string(sent) +
                             " signals: " + std::to_string(hung) + " hang, " + std::to_string(wrong) +
                             " have a job that was hit";
    if (hung + wrong != 0) fail(text);
    return text;
}

// ---- at a terminal

/// This program, as the shell starts it: jobs, until it has been stopped and goes on.
int host_at_terminal() {
    ::signal(SIGCONT, note);
    std::puts("begun.");
    std::fflush(stdout);
    const auto end = Clock::now() + 60s;
    leash::Options options;
    options.out = leash::piped;
    for (int after = 0; after < 5 && Clock::now() < end; after += handled) {
        if (!leash::run(child({"exit", "0"}), options).ok()) {
            std::puts("ended: a job was hit.");
            return 1;
        }
    }
    std::puts(handled != 0 ? "ended well." : "ended: never stopped.");
    return 0;
}

std::string at_terminal(long rounds) {
    if (!leash::detail::os::has_direct_start) return "skipped: this system starts by posix_spawn";
    std::string text;
    for (std::vector<std::string> argv :
         {std::vector<std::string>{"/bin/sh", "-i"}, {"/bin/bash", "--norc", "--noprofile", "--noediting", "-i"}}) {
        const std::string shell = argv[0];
        if (::access(shell.c_str(), X_OK) != 0) continue;
        leash::Options options;
        options.in = leash::tty;
        options.out = leash::tty;
        options.err = leash::tty;
        options.terminal.echo = false;
        options.env.set("PS1", "leash> ").set("ENV", "").set("TERM", "dumb");
        leash::Popen session(strings(argv), options);
        const auto sees = [&](const char* what) {
            const leash::Match match = session.out().expect(what, 30s);
            if (!match.complete)
                fail(shell + " shows no \"" + what + "\", but: " + match.before + session.out().try_read().data);
        };
        sees("leash> ");
        Dice dice(4);
        char self[4096] = "";
        if (::readlink("/proc/self/exe", self, sizeof self - 1) <= 0) fail("no /proc/self/exe");
        const auto command = leash::shell_quote(self) + " 0 host\n";
        for (long round = 0; round < rounds; ++round) {
            session.in().write(command, 30s);
            sees("begun.");
            ::usleep(static_cast<useconds_t>(dice.between(0, 20'000)));
            session.in().write("\32", 30s);
            sees("leash> ");
            session.in().write("fg\n", 30s);
            sees("ended well.");
            sees("leash> ");
        }
        text += (text.empty() ? "" : ", ") + std::to_string(rounds) + " hosts under " + shell;
    }
    return text + ": none hangs";
}

std::string run(long rounds, const std::string& shape) {
    for (const char* const reach : {"group", "tree", "cgroup"}) {
        for (const int jobs : {1, 10, 200}) {
            if (shape == std::string("killed-") + reach + "-" + std::to_string(jobs))
                return killed(rounds, reach_of(reach), jobs);
        }
    }
    if (shape == "strangers") return strangers(rounds);
    if (shape == "storm-stop") return storm(rounds, {SIGTSTP}, false);
    if (shape == "storm-background") return storm(rounds, {SIGTTIN, SIGTTOU}, false);
    if (shape == "storm-interrupt") return storm(rounds, {SIGINT, SIGQUIT}, true);
    if (shape == "storm-terminal") return at_terminal(rounds);
    fail("there is no shape " + shape);
}

}  // namespace

int main(int count, char** values) {
    if (count != 3) return 2;
    const std::string shape = values[2];
    if (shape == "host") return host_at_terminal();
    try {
        // The shell that is the first of the namespace, and this one.
        if (everybody().size() > 2) fail("this is for a process namespace of its own, as ./dev campaign makes it");
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 8192);
        ::setrlimit(RLIMIT_NOFILE, &limit);
        std::printf("%s: %s\n", shape.c_str(), run(std::atol(values[1]), shape).c_str());
        return 0;
    } catch (const std::exception& e) {
        std::printf("%s: FAILED: %s\n", shape.c_str(), e.what());
        return 1;
    }
}

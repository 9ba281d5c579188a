// tests/test_start.cpp - the moment between a child's birth and its exec: what comes then from outside, and from the threads
// of the host, neither stops the start nor reaches the job, and the job's start reaches nobody of the host.
#include <doctest/doctest.h>

#include "sandbox.hpp"

#include <algorithm>
#include <atomic>
#include <set>

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/time.h>

using support::Census;
using support::child;
using support::NothingLeft;
using namespace std::chrono_literals;

namespace {

/// Is the start ours here? posix_spawn keeps fewer of these promises, and is what a kernel or an emulator may leave.
bool starts_directly() {
    static const bool is_so = [] {
        std::string program = support::helper(), verb = "exit", code = "0";
        char* const argv[] = {&program[0], &verb[0], &code[0], nullptr};
        const leash::detail::os::Image image{program.c_str(), argv, environ};
        leash::detail::os::Birth birth;
        if (!leash::detail::os::start_directly(image, {}, birth)) return false;
        int status = -1;
        while (::waitpid(birth.pid, &status, 0) < 0 && errno == EINTR) {}
        return status == 0;
    }();
    return is_so;
}

volatile sig_atomic_t handled = 0, strangers = 0;
pid_t host_of_handlers = 0;

void note(int) {
    handled = 1;
    // Past the libc, which must not be asked in a child that shares its memory.
    if (::syscall(SYS_getpid) != host_of_handlers) strangers = 1;
}

/// A host in a group of its own that handles signals and does `what` while they come, in random distances, to all of its
/// group. What is wrong with it, "" for nothing.
std::string under_signals(const std::vector<int>& signals, const std::function<std::string()>& what) {
    int report[2];
    if (::pipe2(report, O_CLOEXEC) != 0) return "no pipe";
    std::fflush(nullptr);
    const pid_t host = ::fork();
    if (host < 0) return "no fork";
    if (host == 0) {
        ::setpgid(0, 0);
        host_of_handlers = ::getpid();
        struct sigaction action {};
        action.sa_handler = note;
        action.sa_flags = SA_RESTART;
        for (const int signal : signals) ::sigaction(signal, &action, nullptr);
        static_cast<void>(!::write(report[1], "\n", 1));
        const std::string wrong = what();
        const std::string told = strangers != 0 ? "a handler of the host's ran in a child" : wrong;
        static_cast<void>(!::write(report[1], told.data(), told.size()));
        ::_exit(0);
    }
    ::setpgid(host, host);
    ::close(report[1]);
    char text[200];
    static_cast<void>(!::read(report[0], text, 1));  // it has its handlers
    const auto end = support::Clock::now() + 60s;
    unsigned random = 1;
    bool ended = false;
    while (!ended && support::Clock::now() < end) {
        ended = ::waitpid(host, nullptr, WNOHANG) == host;
        random = random * 1103515245 + 12345;
        ::usleep(200 + (random >> 16) % 3000);
        if (!ended) ::kill(-host, signals[(random >> 8) % signals.size()]);
    }
    std::string wrong;
    if (!ended) {
        wrong = "the host hangs";
        ::kill(-host, SIGKILL);
        ::kill(host, SIGKILL);
        while (::waitpid(host, nullptr, 0) < 0 && errno == EINTR) {}
    }
    const ssize_t size = ended ? ::read(report[0], text, sizeof text) : 0;
    if (size > 0) wrong.assign(text, static_cast<std::size_t>(size));
    ::close(report[0]);
    return wrong;
}

}  // namespace

TEST_CASE("no stop signal that comes to the host's group stops a start") {
    if (!starts_directly()) return;
    for (const leash::Group group : {leash::Group::own, leash::Group::session, leash::Group::inherited}) {
        CAPTURE(group == leash::Group::session);
        for (int round = 0; round < 2; ++round) {
            CHECK(under_signals({SIGTSTP, SIGTTIN, SIGTTOU}, [&]() -> std::string {
                      leash::Options options;
                      options.group = group;
                      options.grace = leash::Duration();
                      // One in the host's group may be stopped once it runs, as it should: that one is ended.
                      const bool may_stop = group == leash::Group::inherited;
                      if (may_stop) options.timeout = 50ms;
                      const auto end = support::Clock::now() + (may_stop ? 1000ms : 300ms);
                      while (support::Clock::now() < end) {
                          const auto result = leash::try_run(child({"exit", "0"}), options);
                          HOST_NEEDS(result && (result->ok() || may_stop));
                      }
                      return "";
                  }) == "");
        }
    }
}

TEST_CASE("a signal to the host's group is not one to a job that is just being started in a group of its own") {
    if (!starts_directly()) return;
    for (const leash::Group group : {leash::Group::own, leash::Group::session}) {
        CAPTURE(group == leash::Group::session);
        CHECK(under_signals({SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGUSR1, SIGRTMIN + 3}, [&]() -> std::string {
                  leash::Options options;
                  options.group = group;
                  const auto end = support::Clock::now() + 1000ms;
                  while (support::Clock::now() < end) {
                      const leash::Result result = leash::run(child({"exit", "0"}), options);
                      if (!result.ok()) return result.describe();
                      if (group == leash::Group::session) continue;
                      const leash::Result both = leash::run(child({"exit", "0"}) | child({"exit", "0"}), options);
                      HOST_NEEDS(both.ok());
                  }
                  HOST_NEEDS(handled == 1);
                  return "";
              }) == "");
    }
}

TEST_CASE("one that comes to a job in the host's group is the job's too, and runs no handler of the host's") {
    if (!starts_directly()) return;
    CHECK(under_signals({SIGUSR1, SIGUSR2}, []() -> std::string {
              leash::Options options;
              options.group = leash::Group::inherited;
              int ended = 0;
              const auto end = support::Clock::now() + 1500ms;
              while (support::Clock::now() < end || ended == 0) {
                  const leash::ExitStatus status = leash::run(child({"exit", "0"}), options).status;
                  HOST_NEEDS(status.success() || status.signal() == SIGUSR1 || status.signal() == SIGUSR2);
                  if (!status.success()) ++ended;
              }
              return "";
          }) == "");
}

TEST_CASE("a timer that interrupts the host ten thousand times a second is not in the way of a start") {
    const std::string wrong = support::in_host([]() -> std::string {
        host_of_handlers = ::getpid();
        struct sigaction action {};
        action.sa_handler = note;
        action.sa_flags = SA_RESTART;
        ::sigaction(SIGPROF, &action, nullptr);
        ::sigaction(SIGALRM, &action, nullptr);
        const itimerval often{{0, 100}, {0, 100}};
        ::setitimer(ITIMER_PROF, &often, nullptr);
        ::setitimer(ITIMER_REAL, &often, nullptr);
        leash::Options options;
        options.out = leash::piped;
        for (int i = 0; i < 100; ++i) HOST_NEEDS(leash::run(child({"print", "x"}), options).out == "x");
        HOST_NEEDS(handled == 1 && strangers == 0);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("no thread of the host sees one of its descriptors changed or closed by a start") {
    const NothingLeft before;
    {
        const Census census;
        const support::TemporaryDirectory directory;
        struct Held {
            int fd, flags;
            ino_t inode;
        };
        std::vector<Held> held;
        for (int i = 0; i < 40; ++i) {
            const int flags = i % 2 == 0 ? O_CLOEXEC : 0;
            const int fd = ::open((directory / std::to_string(i)).c_str(), O_RDWR | O_CREAT | flags, 0600);
            REQUIRE(fd > 2);
            held.push_back({fd, flags != 0 ? FD_CLOEXEC : 0, 0});
        }
        for (int fd = 0; fd <= 2; ++fd) held.push_back({fd, ::fcntl(fd, F_GETFD), 0});
        for (Held& one : held) {
            struct stat info {};
            REQUIRE(::fstat(one.fd, &info) == 0);
            one.inode = info.st_ino;
        }
        std::atomic<bool> over{false};
        std::atomic<long> looks{0}, changed{0}, own{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 2; ++i) {
            threads.emplace_back([&] {
                while (!over) {
                    for (const Held& one : held) {
                        struct stat info {};
                        if (::fstat(one.fd, &info) != 0 || info.st_ino != one.inode ||
                            ::fcntl(one.fd, F_GETFD) != one.flags)
                            ++changed;
                    }
                    ++looks;
                }
            });
        }
        threads.emplace_back([&] {  // and what is opened meanwhile is there, too
            while (!over) {
                int ends[2];
                if (::pipe2(ends, O_CLOEXEC) != 0) continue;
                char c = 0;
                if (::write(ends[1], "x", 1) != 1 || ::read(ends[0], &c, 1) != 1 || c != 'x') ++own;
                if (::close(ends[0]) != 0 || ::close(ends[1]) != 0) ++own;
            }
        });
        leash::Options options = support::capture(census);
        options.in = leash::piped;
        // Onto numbers that others hold here, and from the highest of them.
        for (std::size_t i = 0; i < 10; ++i) options.pass_fds.push_back({held[39 - i].fd, held[i].fd});
        for (int i = 0; i < 150; ++i) {
            const leash::Result result = leash::run(child({"exit", "7"}), options);
            CHECK(result.status.code() == 7);
        }
        CHECK(support::eventually([&] { return looks > 100; }));
        over = true;
        for (std::thread& thread : threads) thread.join();
        CHECK(changed == 0);
        CHECK(own == 0);
        for (const Held& one : held) {
            if (one.fd > 2) ::close(one.fd);
        }
    }
    CHECK(before.holds());
}

TEST_CASE("other threads that fork, start, open and end meanwhile are unaffected") {
    const Census census;
    std::atomic<bool> over{false};
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    threads.emplace_back([&] {
        while (!over) {
            const pid_t pid = ::fork();
            if (pid == 0) ::_exit(5);
            int status = 0;
            while (pid > 0 && ::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
            if (pid > 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 5)) ++wrong;
        }
    });
    threads.emplace_back([&] {
        while (!over) std::thread([] { errno = ENOENT; }).join();
    });
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] {
            while (!over) {
                errno = ERANGE;
                if (leash::try_run({"/nonexistent"}).error().code != std::errc::no_such_file_or_directory) ++wrong;
                if (leash::run(child({"exit", "3"}), support::silent(census)).status.code() != 3) ++wrong;
            }
        });
    }
    const leash::Options options = support::capture(census);
    for (int i = 0; i < 80; ++i) CHECK(leash::run(child({"print", "there"}), options).out == "there");
    over = true;
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
}

TEST_CASE("a host that ends while one of its threads starts a job ends") {
    for (int i = 0; i < 20; ++i) {
        const std::string wrong = support::in_host([]() -> std::string {
            std::atomic<bool> started{false};
            std::thread([&] {
                for (;;) {
                    static_cast<void>(leash::try_run(child({"exit", "0"})));
                    started = true;
                }
            }).detach();
            HOST_NEEDS(support::eventually([&] { return started.load(); }));
            return "";
        });
        CHECK(wrong == "");
    }
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {}
}

TEST_CASE("a host with two thousand threads starts jobs in many of them") {
    const std::string wrong = support::in_host([]() -> std::string {
        constexpr int many = 2000;
        static std::atomic<int> there{0}, good{0};
        static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
        ::pthread_mutex_lock(&gate);
        pthread_attr_t attributes;
        ::pthread_attr_init(&attributes);
        ::pthread_attr_setstacksize(&attributes, 64 * 1024);
        std::vector<pthread_t> threads;
        for (int i = 0; i < many; ++i) {
            pthread_t thread;
            const int error = ::pthread_create(
                &thread, &attributes,
                [](void* starts) -> void* {
                    ++there;
                    if (starts != nullptr) good += leash::run(child({"exit", "4"})).status.code() == 4;
                    ::pthread_mutex_lock(&gate);
                    ::pthread_mutex_unlock(&gate);
                    return nullptr;
                },
                i % 50 == 0 ? &threads : nullptr);
            if (error != 0) break;
            threads.push_back(thread);
        }
        const bool all = threads.size() == static_cast<std::size_t>(many);
        const int starters = static_cast<int>(threads.size() + 49) / 50;
        HOST_NEEDS(support::eventually([&] { return there == static_cast<int>(threads.size()); }));
        HOST_NEEDS(leash::run(child({"exit", "6"})).status.code() == 6);
        HOST_NEEDS(support::eventually([&] { return good == starters; }));
        ::pthread_mutex_unlock(&gate);
        for (const pthread_t thread : threads) ::pthread_join(thread, nullptr);
        return all ? "" : "no room for so many threads";
    });
    if (wrong == "no room for so many threads") MESSAGE("fewer threads were tried: this system has a limit");
    else CHECK(wrong == "");
}

// ---- exec(), and spawn_detached()

TEST_CASE("exec() is the program in this very process, which finds what a job's would find") {
    if (!starts_directly()) return;
    support::TemporaryDirectory directory;
    leash::Options options;
    options.in = leash::file("/dev/null");
    options.out = leash::file(directory / "out");
    options.cwd = directory.path();
    options.env = leash::Env::empty().set("A", "1");
    options.umask = 037;
    options.nice = 2;
    options.limits.core_size = 0;
    const auto becomes = [&](const leash::Command& command) {
        const std::string wrong = support::in_host([&]() -> std::string {
            for (const int signal : {SIGPIPE, SIGUSR1}) ::signal(signal, SIG_IGN);
            ::signal(SIGUSR2, note);
            sigset_t blocked;
            ::sigfillset(&blocked);
            ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
            static_cast<void>(!::dup2(1, 20));  // without close-on-exec
            std::thread([] { ::pause(); }).detach();
            std::string why;  // out of a thread that is not the first one
            std::thread([&] { why = leash::exec(command, options).message(); }).join();
            return why;
        });
        CHECK(wrong == "");
        return support::read_file(directory / "out");
    };
    for (const char* const verb : {"fds", "signals", "env", "pwd", "bounds"}) {
        CAPTURE(verb);
        const std::string out = becomes(child({verb}));
        CHECK(out != "");
        CHECK(leash::run(child({verb}), options).ok());
        CHECK(out == support::read_file(directory / "out"));
    }
    SUBCASE("its number, its group, its parent") {
        const std::string wrong = support::in_host([&]() -> std::string {
            ::setpgid(0, 0);
            directory.file("ids", std::to_string(::getpid()) + " " + std::to_string(::getpgrp()) + " " +
                                      std::to_string(::getsid(0)) + " " + std::to_string(::getppid()) + "\n");
            return leash::exec(child({"ids"}), options).message();
        });
        CHECK(wrong == "");
        CHECK(support::read_file(directory / "out") == support::read_file(directory / "ids"));
    }
    SUBCASE("a session") {
        options.group = leash::Group::session;
        const auto ids = support::words(becomes(child({"ids"})));
        CHECK((ids.size() == 4 && ids[0] == ids[1] && ids[0] == ids[2]));
    }
    SUBCASE("a session, where the program is still being written") {
        options.group = leash::Group::session;
        leash::run({"cp", support::helper(), directory / "busy"}).check_ok();
        CHECK(support::in_time(std::chrono::milliseconds(1), [&](auto) {
            const std::string wrong = support::in_host([&]() -> std::string {
                const int writing = ::open((directory / "busy").c_str(), O_WRONLY | O_CLOEXEC);
                std::thread([&] {
                    while (::getsid(0) != ::getpid()) std::this_thread::yield();  // it was tried
                    ::close(writing);
                }).detach();
                return leash::exec({directory / "busy", "ids"}, options).message();
            });
            if (wrong.find(std::strerror(ETXTBSY)) != std::string::npos)
                return false;  // nobody has closed it all the time
            CHECK(wrong == "");
            CHECK(support::words(support::read_file(directory / "out")).size() == 4);
            return true;
        }));
    }
    SUBCASE("what comes at the end of its parent") {
        const std::string wrong = support::in_host([&]() -> std::string {
            ::prctl(PR_SET_PDEATHSIG, SIGUSR1);
            return leash::exec(child({"death-signal"}), options).message();
        });
        CHECK(wrong == "");
        CHECK(support::read_file(directory / "out") == std::to_string(SIGUSR1) + "\n");
    }
}

TEST_CASE("an exec() that fails leaves the host as it was") {
    if (!starts_directly()) return;
    support::TemporaryDirectory directory;
    const std::string bad = directory.file("bad", "#!/nonexistent/x\n", 0755);
    const std::string wrong = support::in_host([&]() -> std::string {
        ::signal(SIGPIPE, SIG_IGN);
        ::signal(SIGUSR1, note);
        static_cast<void>(!::dup2(1, 20));
        const auto look = [] {
            std::string all = support::read_file("/proc/thread-self/status");
            const std::string from_here = all.substr(all.find("SigBlk"));
            all = all.substr(all.find("Umask"), 12) + from_here.substr(0, from_here.find("CapInh"));
            char cwd[4096] = "";
            static_cast<void>(!::getcwd(cwd, sizeof cwd));
            all += cwd + std::string(" ") + std::to_string(::getpgrp()) + " ";
            for (const int fd : support::open_descriptors())
                all += std::to_string(fd) + "/" + std::to_string(::fcntl(fd, F_GETFD)) + " ";
            rlimit limit{};
            ::getrlimit(RLIMIT_STACK, &limit);
            return all + std::to_string(::getpriority(PRIO_PROCESS, 0)) + " " + std::to_string(limit.rlim_cur);
        };
        leash::Options options;
        options.cwd = "/";
        options.umask = 037;
        options.nice = 2;
        options.out = leash::null;
        options.group = leash::Group::join(::getppid() == 1 ? 0 : ::getpgid(::getppid()));
        if (options.group.joined() <= 1) options.group = leash::Group::own;
        ::setpgid(0, 0);
        const std::string before = look();
        const leash::Error error = leash::exec(leash::Command({bad}), options);
        HOST_NEEDS(error.step == leash::Step::interpreter);
        HOST_NEEDS(error.subject == "/nonexistent/x");
        HOST_NEEDS(look() == before);
        ::raise(SIGUSR1);
        HOST_NEEDS(handled == 1);
        const auto refused = [&](leash::Options asked) {
            const leash::Error why = leash::exec({"false"}, std::move(asked));
            return why.step == leash::Step::options ? why.subject : why.message();
        };
        leash::Options asked;
        asked.out = leash::piped;
        HOST_NEEDS(refused(asked) == "out");
        asked = {};
        asked.err = leash::sink([](std::string_view) {});
        HOST_NEEDS(refused(asked) == "err");
        asked = {};
        asked.timeout = 5s;
        HOST_NEEDS(refused(asked) == "timeout");
        asked = {};
        asked.stop_sequence = {{SIGINT, 1s}};
        HOST_NEEDS(refused(asked) == "stop_sequence");
        asked = {};
        asked.die_with_parent = true;
        HOST_NEEDS(refused(asked) == "die_with_parent");
        asked = {};
        asked.all = true;
        HOST_NEEDS(refused(asked) == "all");
        asked = {};
        asked.group = leash::Group::session;  // it leads its group
        HOST_NEEDS(leash::exec({"false"}, asked).code == std::errc::operation_not_permitted);
        HOST_NEEDS(leash::exec({"nonexistent-program"}).step == leash::Step::program);
        return leash::run(child({"exit", "0"})).ok() ? "" : "nothing starts any more";
    });
    CHECK(wrong == "");
}

TEST_CASE("reap_orphans() takes who has come to the host, and no process of a job, whoever looks at that when") {
    if (!starts_directly()) return;
    const std::string wrong = support::in_host([]() -> std::string {
        const leash::Expected<std::size_t> none = leash::reap_orphans();
        HOST_NEEDS(none && *none == 0);
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        const auto orphan = [] {
            const pid_t parent = ::fork();
            if (parent == 0) {
                if (::fork() == 0) ::_exit(7);
                ::_exit(0);
            }
            ::waitpid(parent, nullptr, 0);
        };
        leash::Options guarded;
        guarded.die_with_parent = true;
        guarded.stragglers = leash::Stragglers::leave;
        leash::Popen one(child({"exit", "3"}), guarded), two(child({"exit", "4"}) | child({"exit", "5"}));
        leash::Popen runs(child({"sleep"}));
        const leash::Pid released = leash::Popen(child({"exit", "6"})).detach();
        for (int i = 0; i < 5; ++i) orphan();
        leash::Options detached;
        detached.out = leash::null;
        HOST_NEEDS(leash::try_spawn_detached(child({"exit", "9"}), detached));
        HOST_NEEDS(support::eventually([&] {
            return support::state_of(one.pid()) == 'Z' && support::state_of(two.pid()) == 'Z' &&
                   support::state_of(released) == 'Z';
        }));
        std::size_t count = 0;
        HOST_NEEDS(support::eventually([&] {
            const auto reaped = leash::reap_orphans();
            count += reaped ? *reaped : 100;
            return count >= 7;
        }));
        HOST_NEEDS(count == 7 && *leash::reap_orphans() == 0);
        HOST_NEEDS(one.wait().code() == 3 && two.wait().code() == 5 && two.statuses()[0].code() == 4);
        HOST_NEEDS(!runs.poll() && runs.stop().signal() == SIGTERM);
        HOST_NEEDS(!support::has_children());
        // One thread reaps while others run jobs.
        std::atomic<bool> over{false}, fails{false};
        std::thread reaps([&] {
            while (!over) fails = fails || !leash::reap_orphans();
        });
        bool all = true;
        for (int i = 0; i < 30; ++i) {
            orphan();
            all &= leash::run(child({"exit", "8"})).status.code() == 8;
        }
        over = true;
        reaps.join();
        static_cast<void>(leash::reap_orphans());
        HOST_NEEDS(all && !fails);
        HOST_NEEDS(support::eventually([] { return leash::reap_orphans().value() == 0 && !support::has_children(); }));
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("spawn_detached(): nobody's child, in a session of its own, whatever the host does about its children") {
    if (!starts_directly()) return;
    const Census census;
    const NothingLeft nothing;
    support::TemporaryDirectory directory;
    leash::Options options = support::silent(census);
    options.out = leash::file(directory / "out");
    const auto starts = [&] {
        handled = 0;
        const leash::Expected<leash::Pid> pid = leash::try_spawn_detached(child({"ids"}), options);
        if (!pid) return pid.error().message();
        if (handled != 0) return std::string("a SIGCHLD");
        if (support::has_children()) return std::string("a child");
        if (!support::eventually([&] { return support::read_file(directory / "out").find('\n') != std::string::npos; }))
            return std::string("nothing said");
        const auto ids = support::words(support::read_file(directory / "out"));
        ::unlink((directory / "out").c_str());
        const std::string number = std::to_string(*pid);
        if (ids.size() != 4 || ids[0] != number || ids[1] != number || ids[2] != number) return "not " + number;
        return ids[3] == std::to_string(::getpid()) ? std::string("a child of the host's") : std::string();
    };
    SUBCASE("as it is") { CHECK(starts() == ""); }
    for (auto* const handler : {SIG_DFL, SIG_IGN, &note}) {
        CHECK(support::in_host([&]() -> std::string {
                  ::signal(SIGCHLD, handler);
                  return starts();
              }) == "");
    }
    SUBCASE("its errors are those of a job, and leave nothing") {
        const auto error = [&](const leash::Command& command) {
            return leash::try_spawn_detached(command, options).error();
        };
        const std::string bad = directory.file("bad", "#!/nonexistent/x\n", 0755);
        CHECK(error(leash::Command({bad})).step == leash::Step::interpreter);
        CHECK(error({"nonexistent-program"}).step == leash::Step::program);
        CHECK(error(leash::args({"true", std::string(1 << 22, 'x')})).code == std::errc::argument_list_too_long);
        options.err = leash::piped;
        CHECK(error({"true"}).subject == "err");
        options.err = leash::null;
        options.cwd = "/nonexistent";
        CHECK(error({"true"}).step == leash::Step::cwd);
        options.cwd.clear();
        for (const leash::Group group : {leash::Group::inherited, leash::Group::foreground, leash::Group::join(7)}) {
            options.group = group;
            CHECK(error({"true"}).subject == "group");
        }
    }
    CHECK(nothing.holds());
    CHECK(census.reaches(0));
}

#if defined(__linux__)
#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
constexpr bool posix_spawn_has_clone3 = __GLIBC_PREREQ(2, 34);
#else
constexpr bool posix_spawn_has_clone3 = false;  // musl
#endif

TEST_CASE("a filter that refuses one way of starting leaves the other one") {
    struct Case {
        const char* name;
        long call;
        int error;
    };
    for (const Case& one :
         {Case{"clone", SYS_clone, EPERM}, Case{"clone", SYS_clone, EINVAL},
          Case{"close_range", support::close_range_call, EPERM}, Case{"close_range", support::close_range_call, ENOSYS},
          Case{"clone3", support::clone3_call, ENOSYS}}) {
        if (one.call == SYS_clone && !posix_spawn_has_clone3) continue;  // then no way is left
        CAPTURE(std::string(one.name));
        const std::string wrong = support::in_host([&]() -> std::string {
            if (!support::refuse(one.call, one.error)) return "not permitted";
            leash::Options options;
            options.out = leash::piped;
            const auto result = leash::try_run(child({"print", "x"}), options);
            if (!result) return result.error().message();
            HOST_NEEDS(result->out == "x");
            const auto missing = leash::try_run({"/nonexistent/x"});
            HOST_NEEDS(!missing && missing.error().step == leash::Step::program);
            return "";
        });
        if (wrong == "not permitted") MESSAGE("filters are not permitted here: nothing tried");
        else CHECK(wrong == "");
    }
}

TEST_CASE("a filter that refuses a flag of clone, one by one, leaves posix_spawn") {
    for (const unsigned flag : {0x100U, 0x400U, 0x1000U, 0x4000U}) {  // memory, descriptors, pidfd, the wait
        CAPTURE(flag);
        const std::string wrong = support::in_host([&]() -> std::string {
            if (!support::refuse_clone_with(flag, EPERM)) return "not permitted";
            const auto result = leash::try_run(child({"exit", "5"}));
            // posix_spawn shares its memory too, and waits: where it makes its child by clone, as before glibc 2.34.
            const bool may_fail = flag == 0x100 || flag == 0x4000;
            if (result || !may_fail) HOST_NEEDS(result && result->status.code() == 5);
            else HOST_NEEDS(result.error().step == leash::Step::spawn);
            return "";
        });
        if (wrong == "not permitted") MESSAGE("filters are not permitted here: nothing tried");
        else CHECK(wrong == "");
    }
}

TEST_CASE("a direct start gives the pidfd with the process: a thief of statuses that is quicker changes nothing") {
    if (!starts_directly()) return;
    const std::string wrong = support::in_host([]() -> std::string {
        // Without pidfd_open, what has a handle has it from the start.
        if (!support::refuse(support::pidfd_open_call, ENOSYS)) return "not permitted";
        leash::Popen p(child({"exit", "3"}));
        HOST_NEEDS(p.exit_handle() >= 0);
        HOST_NEEDS(p.wait().code() == 3);
        return "";
    });
    if (wrong == "not permitted") MESSAGE("filters are not permitted here: nothing tried");
    else CHECK(wrong == "");
}

// Where there is one, by leash/detail/posix/sys/raw.hpp.
#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(__ILP32__) && !defined(LEASH_FORCE_POSIX_SPAWN) && \
    !defined(__SANITIZE_THREAD__)
#define HAS_CLONE 1
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef HAS_CLONE
#endif
#endif
#endif

#ifdef HAS_CLONE
TEST_CASE(
    "a direct start's clone needs no libc: the child runs on the stack that it is given, and ends with what it gives") {
    alignas(16) static char stack[64 * 1024];
    struct Told {
        int code;
        static int begin(void* told) {
            const auto* const here = static_cast<const char*>(__builtin_frame_address(0));
            return here > stack && here < stack + sizeof stack ? static_cast<Told*>(told)->code : 1;
        }
    } told{};
    const auto clone = [&](long flags) {
        return leash::detail::sys::system_clone(&Told::begin, stack + sizeof stack, flags, &told, nullptr);
    };
    for (told.code = 41; told.code < 43; ++told.code) {
        const auto pid = static_cast<pid_t>(clone(0x4000 | SIGCHLD));  // CLONE_VFORK, which emulators know too
        REQUIRE(pid > 0);
        int status = -1;
        while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == told.code);
    }
    CHECK(clone(0x10000) == -EINVAL);  // a thread without its process's memory
}
#endif
#endif

// tests/test_guest.cpp - a well-behaved guest: nothing of the host's is changed, and what the host does is borne.
#include <doctest/doctest.h>

#include "support.hpp"

#include <atomic>
#include <optional>
#include <stdexcept>

#include <poll.h>
#include <pthread.h>
#if defined(__linux__)
#include <sys/ptrace.h>
#endif

using support::Census;
using support::child;
using support::NothingLeft;
using support::pattern;
using namespace std::chrono_literals;

namespace {

/// All that is global in a process and that a library could be tempted to change.
struct HostState {
    std::vector<std::string> parts;
    HostState() {
        for (int signal = 1; signal < 65; ++signal) {
            struct sigaction action {};
            if (::sigaction(signal, nullptr, &action) != 0) continue;
            std::string text = std::to_string(signal) + " " + std::to_string(action.sa_flags) + " ";
            const auto* const bytes = reinterpret_cast<const unsigned char*>(&action.sa_handler);
            for (std::size_t i = 0; i < sizeof action.sa_handler; ++i) text += std::to_string(bytes[i]) + ",";
            for (int other = 1; other < 65; ++other) text += ::sigismember(&action.sa_mask, other) == 1 ? '1' : '0';
            parts.push_back(text);
        }
        sigset_t mask, pending;
        ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
        ::sigpending(&pending);
        std::string sets;
        for (int signal = 1; signal < 65; ++signal) {
            sets += ::sigismember(&mask, signal) == 1 ? '1' : '0';
            sets += ::sigismember(&pending, signal) == 1 ? '1' : '0';
        }
        parts.push_back(sets);
        char path[4096];
        parts.emplace_back(::getcwd(path, sizeof path) != nullptr ? path : "");
        const mode_t creation = ::umask(0);
        ::umask(creation);
        parts.push_back(std::to_string(creation));
        for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) parts.emplace_back(*entry);
        parts.push_back(std::to_string(::getpgrp()) + " " + std::to_string(::getsid(0)));
        for (int fd = 0; fd < 3; ++fd) {
            parts.push_back(std::to_string(::fcntl(fd, F_GETFD)) + " " + std::to_string(::fcntl(fd, F_GETFL)));
        }
        parts.push_back(std::to_string(threads()));
    }
    static std::size_t threads() {
        std::size_t count = 0;
        DIR* const directory = ::opendir("/proc/self/task");
        while (const dirent* const entry = ::readdir(directory)) count += entry->d_name[0] != '.' ? 1 : 0;
        ::closedir(directory);
        return count;
    }
};

}  // namespace

TEST_CASE("signals, mask, cwd, umask, environment, group and threads of the host are as before, whatever was done") {
    const Census census;
    // A host with things of its own: a handler, an ignored signal, a blocked one, an odd umask.
    struct sigaction handler {
    }, before_usr1{};
    handler.sa_handler = [](int) {};
    handler.sa_flags = SA_RESTART;
    ::sigaction(SIGUSR1, &handler, &before_usr1);
    sigset_t blocked, before_mask;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGUSR2);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before_mask);
    const mode_t before_umask = ::umask(0027);
    const support::TemporaryDirectory directory;
    const HostState before;
    const NothingLeft nothing;
    {
        leash::Options options = support::capture(census);
        options.in = leash::bytes(std::string(200'000, 'x'));
        options.cwd = "/";
        options.env.set("LEASH_TEST_OTHER", "1").unset("HOME");
        CHECK(leash::run(child({"cat"}), options).ok());
        CHECK(leash::run(child({"exit", "0"}), options).ok());  // EPIPE, or a file unread
        options.timeout = 30ms;
        options.grace = 10ms;
        CHECK(leash::run(child({"ignore-term"}), options).timed_out);
        options.out = leash::file(directory / "file");
        options.group = leash::Group::session;
        CHECK(leash::run(child({"flood", "2"}), options).timed_out);
        CHECK_FALSE(leash::try_run({"/no/such/program"}, options).has_value());
        options = support::capture(census);
        options.in = leash::piped;
        leash::Popen p(child({"sleep"}), options);
        CHECK_FALSE(p.poll().has_value());
        CHECK(p.in().write("x").complete);
        CHECK(p.out().read(10, 5ms).timed_out);
        CHECK(HostState::threads() == static_cast<std::size_t>(std::stoul(before.parts.back())));  // none is hidden
        CHECK(p.kill().has_value());
        CHECK(p.wait().signaled());
        leash::Popen q(child({"sleep"}), options);
        CHECK(q.stop(1s).signaled());
        leash::Popen left(child({"sleep"}), options);
    }
    const HostState after;
    CHECK(after.parts == before.parts);
    CHECK(nothing.holds());
    ::umask(before_umask);
    ::pthread_sigmask(SIG_SETMASK, &before_mask, nullptr);
    ::sigaction(SIGUSR1, &before_usr1, nullptr);
}

TEST_CASE("a host without a SIGPIPE handler survives children that read nothing") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        ::signal(SIGPIPE, SIG_DFL);
        sigset_t none;
        ::sigemptyset(&none);
        ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
        const std::string data(1'000'000, 'x');
        leash::Options options = support::capture(census);
        options.in = leash::bytes(data);
        for (int i = 0; i < 10; ++i) {
            const leash::Result result = leash::run({"true"}, options);
            HOST_NEEDS(result.ok());
            HOST_NEEDS(result.unwritten > 0);
        }
        options.in = leash::piped;
        leash::Popen p(child({"close-input"}), options);
        HOST_NEEDS(p.out().read_until("closed\n").complete);
        HOST_NEEDS(p.in().write(data).error == std::errc::broken_pipe);
        leash::Popen q({"true"}, options);
        HOST_NEEDS(q.communicate(data).status->success());
        sigset_t pending;
        ::sigpending(&pending);
        HOST_NEEDS(::sigismember(&pending, SIGPIPE) == 0);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a SIGPIPE that the host has pending or blocked itself stays the host's") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        sigset_t blocked, pending, mask;
        ::sigemptyset(&blocked);
        ::sigaddset(&blocked, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
        leash::Options options = support::capture(census);
        options.in = leash::bytes(std::string(1'000'000, 'x'));
        HOST_NEEDS(leash::run({"true"}, options).unwritten > 0);
        ::sigpending(&pending);
        HOST_NEEDS(::sigismember(&pending, SIGPIPE) == 0);
        ::raise(SIGPIPE);
        HOST_NEEDS(leash::run({"true"}, options).unwritten > 0);
        ::sigpending(&pending);
        HOST_NEEDS(::sigismember(&pending, SIGPIPE) == 1);
        ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
        HOST_NEEDS(::sigismember(&mask, SIGPIPE) == 1);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("input past the host's RLIMIT_FSIZE is an error, and no SIGXFSZ") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        rlimit most{1 << 20, 1 << 20};
        HOST_NEEDS(::setrlimit(RLIMIT_FSIZE, &most) == 0);
        leash::Options options = support::capture(census);
        options.in = leash::bytes(std::string(8 << 20, 'x'));
        const NothingLeft before;
        sigset_t pending;
        for (const bool is_ignored : {false, true}) {
            ::signal(SIGXFSZ, is_ignored ? SIG_IGN : SIG_DFL);
            const auto refused = leash::Popen::try_spawn(child({"cat"}), options);
            HOST_NEEDS(!refused);
            HOST_NEEDS(refused.error().code == std::errc::file_too_large);
            HOST_NEEDS(refused.error().step == leash::Step::redirect);
            HOST_NEEDS(refused.error().subject == "in");
            std::vector<leash::Task> jobs;
            jobs.push_back({child({"cat"}), options});
            jobs.push_back({child({"exit", "0"}), support::silent(census)});
            const auto results = leash::run_all(std::move(jobs));
            HOST_NEEDS(results[0] && results[0]->out.size() == 8 << 20);  // through a pipe
            HOST_NEEDS(results[1] && results[1]->ok());
            ::sigpending(&pending);
            HOST_NEEDS(::sigismember(&pending, SIGXFSZ) == 0);
        }
        HOST_NEEDS(leash::run(child({"cat"}), options).out.size() == 8 << 20);  // through a pipe
        HOST_NEEDS(before.holds());
        ::signal(SIGXFSZ, SIG_DFL);
        sigset_t blocked;
        ::sigemptyset(&blocked);
        ::sigaddset(&blocked, SIGXFSZ);
        ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
        ::raise(SIGXFSZ);  // the host's own, which it keeps
        HOST_NEEDS(!leash::Popen::try_spawn(child({"cat"}), options));
        ::sigpending(&pending);
        HOST_NEEDS(::sigismember(&pending, SIGXFSZ) == 1);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a host that ignores SIGCHLD gets what the kernel knows, never a guess, and nothing hangs or stays") {
    static_cast<void>(support::kernel_keeps_statuses());  // asked while it does not
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        for (const bool by_flag : {false, true}) {
            struct sigaction action {};
            action.sa_handler = by_flag ? SIG_DFL : SIG_IGN;
            action.sa_flags = by_flag ? SA_NOCLDWAIT : 0;
            ::sigaction(SIGCHLD, &action, nullptr);
            const NothingLeft before;
            const leash::Result result = leash::run(child({"print", "x"}), support::capture(census));
            // It may have ended before a handle to it could be opened: then nobody knows.
            const auto is_true = [](leash::ExitStatus status, leash::ExitStatus truth) {
                return status.unknown() || support::is_told(status, truth);
            };
            HOST_NEEDS(result.out == "x");
            HOST_NEEDS(is_true(result.status, leash::ExitStatus::from_code(0)));
            HOST_NEEDS(result.ok() == result.status.exited());
            {
                leash::Popen p(child({"exit", "3"}), support::silent(census));
                HOST_NEEDS(is_true(p.wait(), leash::ExitStatus::from_code(3)));
                HOST_NEEDS(p.kill().error().code == std::errc::no_such_process);
                leash::Popen q(child({"exit", "3"}), support::silent(census));
                HOST_NEEDS(support::eventually([&] { return q.poll().has_value(); }));
                leash::Popen r(child({"fork-and-wait"}), support::silent(census));
                HOST_NEEDS(census.reaches(2));
                HOST_NEEDS(!r.wait_for(5ms).has_value());
                HOST_NEEDS(support::is_told(r.stop(1s), leash::ExitStatus::from_signal(SIGTERM)));
                leash::Options slow = support::silent(census);
                slow.in = leash::piped;
                leash::Popen s(child({"wait-then-exit", "42"}), slow);
                s.in().close();
                HOST_NEEDS(support::is_told(s.wait(), leash::ExitStatus::from_code(42)));
                HOST_NEEDS(census.reaches(0));
                leash::Options options = support::silent(census);
                options.timeout = 50ms;
                HOST_NEEDS(leash::run(child({"sleep"}), options).timed_out);
                leash::Popen left(child({"fork-and-wait"}), support::silent(census));
                HOST_NEEDS(census.reaches(2));
            }
            HOST_NEEDS(census.reaches(0));
            HOST_NEEDS(before.holds());
        }
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE(
    "of a status that other code of the host has taken the truth is told or nothing, and no signal is sent any more") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        const auto steal = [](pid_t pid) {
            while (::waitpid(-1, nullptr, 0) != pid) {}
        };
        {
            leash::Popen p(child({"exit", "3"}), support::silent(census));
            steal(p.pid());
            HOST_NEEDS(support::is_told(p.wait(), leash::ExitStatus::from_code(3)));
            HOST_NEEDS(!p.wait().success());
            HOST_NEEDS(!p.usage().peak_memory);
            HOST_NEEDS(p.kill().error().code == std::errc::no_such_process);
            HOST_NEEDS(support::is_told(p.stop(), leash::ExitStatus::from_code(3)));
        }
        {
            leash::Popen p(child({"exit", "0"}), support::silent(census));
            steal(p.pid());
            HOST_NEEDS(p.terminate().error().code == std::errc::no_such_process);  // before anybody has looked
            HOST_NEEDS(p.poll().has_value());
            HOST_NEEDS(support::is_told(*p.poll(), leash::ExitStatus::from_code(0)));
        }
        {
            leash::Popen p(child({"kill", std::to_string(SIGABRT)}), support::silent(census));
            steal(p.pid());
            HOST_NEEDS(support::is_told(p.wait(), leash::ExitStatus::from_signal(SIGABRT)));
        }
        {
            // each stage's own
            leash::Popen p(child({"exit", "4"}) | child({"exit", "5"}), support::silent(census));
            HOST_NEEDS(::waitpid(-1, nullptr, 0) > 0 && ::waitpid(-1, nullptr, 0) > 0);
            HOST_NEEDS(support::is_told(p.wait(), leash::ExitStatus::from_code(5)));
            HOST_NEEDS(support::is_told(p.statuses()[0], leash::ExitStatus::from_code(4)));
        }
        {
            leash::Popen p(child({"print", "kept"}), support::capture(census));
            steal(p.pid());
            const leash::Captured captured = p.communicate();
            HOST_NEEDS(captured.out == "kept");
            HOST_NEEDS(captured.status.has_value());
            HOST_NEEDS(support::is_told(*captured.status, leash::ExitStatus::from_code(0)));
        }
        {
            leash::Popen p(child({"exit", "0"}), support::silent(census));
            steal(p.pid());
        }  // the destructor has nothing to end
        {
            leash::Options options = support::silent(census);
            options.in = leash::piped;
            leash::Popen p(child({"wait-then-exit", "0"}), options);
            std::thread thief([&] { ::waitpid(-1, nullptr, 0); });
            support::Sleeper waiter;
            std::thread closer([&] {
                static_cast<void>(waiter.falls_asleep());
                p.in().close();
            });
            waiter.this_thread();
            const auto status = p.wait();  // while it waits
            closer.join();
            thief.join();
            HOST_NEEDS(status.unknown() || status.success());  // whoever came first; a guess it is not
        }
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("the library waits for no child that is not its own") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        const pid_t other = ::fork();
        if (other == 0) ::_exit(77);
        HOST_NEEDS(support::eventually([&] { return support::state_of(other) == 'Z'; }));
        leash::Options options = support::capture(census);
        options.timeout = 30ms;
        HOST_NEEDS(leash::run(child({"exit", "0"}), support::silent(census)).ok());
        HOST_NEEDS(leash::run(child({"sleep"}), options).timed_out);
        leash::Popen p(child({"sleep"}), support::silent(census));
        HOST_NEEDS(!p.poll());
        p.kill();
        HOST_NEEDS(p.wait().signaled());
        int status = 0;
        HOST_NEEDS(::waitpid(other, &status, 0) == other);
        HOST_NEEDS(WEXITSTATUS(status) == 77);
        return "";
    });
    CHECK(wrong == "");
}

#if defined(__linux__)
TEST_CASE("a job that the host traces, and that it has stopped for that, has not ended") {
    const Census census;
    leash::Popen p(child({"sleep"}), support::silent(census));
    if (::ptrace(PTRACE_SEIZE, p.pid(), nullptr, nullptr) != 0) return;  // not allowed here
    CHECK(::ptrace(PTRACE_INTERRUPT, p.pid(), nullptr, nullptr) == 0);
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(p.pid()), &info, WSTOPPED | WNOWAIT) == 0);
    CHECK(info.si_code == CLD_TRAPPED);
    CHECK(!p.poll().has_value());
    CHECK(!p.wait_for(20ms).has_value());
    CHECK(::ptrace(PTRACE_DETACH, p.pid(), nullptr, nullptr) == 0);
    CHECK(p.kill().has_value());
    CHECK(p.wait().signal() == SIGKILL);
}
#endif

TEST_CASE("a forked copy of the host may drop its copy of a handle: the job lives") {
    const Census census;
    const NothingLeft before;
    {
        std::optional<leash::Popen> p;
        leash::Options options = support::capture(census);
        options.in = leash::piped;
        p.emplace(child({"wait-then-exit", "5"}), options);
        CHECK(p->out().read_until("ready\n").complete);
        const std::string wrong = support::in_host([&]() -> std::string {
            HOST_NEEDS(p->kill().error().code == std::errc::no_such_process);
            HOST_NEEDS(!p->terminate().has_value());
            HOST_NEEDS(p->stop(10ms).unknown());
            p.reset();
            return "";
        });
        CHECK(wrong == "");
        CHECK(support::is_alive(p->pid()));
        CHECK_FALSE(p->poll().has_value());
        p->in().close();
        CHECK(p->wait().code() == 5);
    }
    {
        leash::Popen p(child({"sleep"}), support::silent(census));
        CHECK(support::in_host([&]() -> std::string {
                  leash::Popen copy(std::move(p));
                  return "";
              }) == "");
        CHECK(support::is_alive(p.pid()));
    }
    CHECK(before.holds());
}

#if defined(__linux__)
TEST_CASE("a forked copy of the host that has closed its descriptors waits for nobody, and reaps none of its own") {
    const Census census;
    leash::Popen p(child({"sleep"}), support::silent(census));
    const int handle = p.exit_handle();  // asked here: it would see there that it is nobody's child
    const std::string wrong = support::in_host([&]() -> std::string {
        if (handle < 0) return "";  // no pidfd here
        const pid_t own = ::fork();
        if (own == 0) ::_exit(7);
        const long pidfd = ::syscall(SYS_pidfd_open, own, 0);
        HOST_NEEDS(pidfd >= 0 && ::dup2(static_cast<int>(pidfd), handle) == handle);
        siginfo_t ended{};
        HOST_NEEDS(::waitid(P_PID, static_cast<id_t>(own), &ended, WEXITED | WNOWAIT) == 0);
        const auto status = p.wait_for(20s);
        HOST_NEEDS(status && status->unknown());
        int how = 0;
        HOST_NEEDS(::waitpid(own, &how, 0) == own && WEXITSTATUS(how) == 7);
        ::close(handle);
        return "";
    });
    CHECK(wrong == "");
    CHECK(p.kill().has_value());
    CHECK(p.wait().signal() == SIGKILL);
    CHECK(census.is_empty());
}
#endif

TEST_CASE("a forked copy of the host that waits for a job takes no output from the original") {
    const Census census;
    const support::TemporaryDirectory directory;
    const std::string done = directory / "done";
    std::string heard;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    options.out = leash::sink([&](std::string_view chunk) { heard += chunk; });
    leash::Popen p(leash::shell("read x; echo said; echo done > \"$1\"; read y; exit 5", {done}), options);
    CHECK(support::in_host([&]() -> std::string {
              HOST_NEEDS(::write(p.in().handle(), "go\n", 3) == 3);
              HOST_NEEDS(support::eventually([&] { return support::read_file(done) == "done\n"; }));
              HOST_NEEDS(p.wait_for(60s)->unknown());
              HOST_NEEDS(heard == "");
              HOST_NEEDS(p.err().read().eof);
              return "";
          }) == "");
    p.in().close();
    CHECK(p.wait().code() == 5);
    CHECK(heard == "said\n");
}

TEST_CASE("a forked copy of the host writes nothing to a job of the original's, and takes nothing from it") {
    const Census census;
    using Touch = void (*)(leash::Popen&);
    const Touch touches[] = {
        [](leash::Popen& p) { static_cast<void>(p.in().enqueue("no\n")); },
        [](leash::Popen& p) { p.in().write("no\n", 100ms); },
        [](leash::Popen& p) { p.in().finish(); },
        [](leash::Popen& p) { p.in().close(); },
        [](leash::Popen& p) { static_cast<void>(p.communicate({}, 100ms)); },
        [](leash::Popen& p) { static_cast<void>(p.resize(7, 7)); },
        [](leash::Popen& p) {
            if (p.out().release() >= 0 || p.in().release() >= 0) ::_exit(1);
        },
        [](leash::Popen& p) {
            leash::Supervisor jobs;
            const auto id = jobs.add(std::move(p));
            if (id) jobs.job(*id).in().enqueue("no\n");
            while (jobs.next(100ms)) {}
        },
    };
    for (const leash::Redirect stream : {leash::piped, leash::tty}) {
        for (const Touch touch : touches) {
            leash::Options options = support::capture(census);
            options.in = stream;
            options.out = stream;
            leash::Popen p(leash::shell("echo ready; read x; echo \"$x\"; stty size 2>&1"), options);
            pollfd ready{p.out().handle(), POLLIN, 0};
            CHECK(::poll(&ready, 1, 60'000) == 1);
            CHECK(support::in_host([&]() -> std::string {
                      touch(p);
                      return "";
                  }) == "");
            if (stream == leash::piped) {
                CHECK((::fcntl(p.in().handle(), F_GETFL) & O_NONBLOCK) != 0);
                CHECK((::fcntl(p.out().handle(), F_GETFL) & O_NONBLOCK) != 0);
            }
            CHECK(p.in().write("yes\n", 60s));
            const std::string said = p.communicate().out;
            CHECK(said.substr(0, 5) == "ready");
            CHECK(said.find("yes") != std::string::npos);
            CHECK(said.find("no\n") == std::string::npos);
            CHECK((stream == leash::piped || said.find("24 80") != std::string::npos));
        }
    }
}

TEST_CASE("signals of the host's interrupt no call") {
    const Census census;
    struct sigaction action {
    }, before{};
    action.sa_handler = [](int) {};  // without SA_RESTART: every call of the system may give EINTR
    ::sigaction(SIGUSR1, &action, &before);
    const pthread_t target = ::pthread_self();
    std::atomic<bool> stop{false};
    std::thread pest([&] {
        while (!stop) {
            ::pthread_kill(target, SIGUSR1);
            std::this_thread::sleep_for(200us);
        }
    });
    leash::Options options = support::capture(census);
    const std::string data = pattern(2'000'000);
    options.in = leash::bytes(data);
    for (int i = 0; i < 5; ++i) {
        const leash::Result result = leash::run(child({"cat"}), options);
        CHECK(result.ok());
        CHECK((result.out == data));
    }
    options.in = leash::null;
    options.timeout = 100ms;
    const support::Stopwatch watch;
    CHECK(leash::run(child({"sleep"}), options).timed_out);
    CHECK(watch.elapsed() >= 100ms);
    leash::Popen p(child({"sleep"}), support::silent(census));
    CHECK_FALSE(p.wait_for(30ms).has_value());
    CHECK(p.kill().has_value());
    CHECK(p.wait().signal() == SIGKILL);
    stop = true;
    pest.join();
    ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE("a thread that is cancelled while it waits for a job does not take the host with it") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        struct Work {
            leash::Popen* job;
            leash::Options options;
            int kind;
            support::Sleeper sleeper;
        };
        const NothingLeft before;
        for (int kind = 0; kind < 4; ++kind) {
            leash::Popen job(child({"ignore-term"}), support::capture(census));
            HOST_NEEDS(job.out().read_until("ready\n").complete);
            leash::Cancel cancel;
            Work work;
            work.job = &job;
            work.options = support::capture(census);
            work.options.cancel = cancel;
            work.kind = kind;
            const auto run = [](void* given) -> void* {
                Work& mine = *static_cast<Work*>(given);
                mine.sleeper.this_thread();
                if (mine.kind == 0) static_cast<void>(mine.job->wait());
                else if (mine.kind == 1) static_cast<void>(mine.job->communicate());
                else if (mine.kind == 2) static_cast<void>(leash::run(child({"sleep"}), mine.options));
                else static_cast<void>(mine.job->stop(300s));
                return nullptr;
            };
            pthread_t thread;
            HOST_NEEDS(::pthread_create(&thread, nullptr, run, &work) == 0);
            HOST_NEEDS(work.sleeper.falls_asleep());
            ::pthread_cancel(thread);
            if (kind == 2) cancel.fire();
            else HOST_NEEDS(job.kill().has_value());
            void* result = nullptr;
            HOST_NEEDS(::pthread_join(thread, &result) == 0);
            if (kind != 2) HOST_NEEDS(job.wait().signal() == SIGKILL);
        }
        HOST_NEEDS(census.reaches(0));
        HOST_NEEDS(before.holds());
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a cancellation that is pending is carried out in no call of leash's, but in the host's next one") {
    struct Things {
        std::optional<leash::Popen> job;
        std::optional<leash::Supervisor> jobs;
        std::optional<leash::Cancel> cancel;
        leash::Options options;
        leash::Supervisor::Id id = 0;
        void (*call)(Things&) = nullptr;
        bool has_returned = false;
    };
    struct Call {
        const char* name;
        void (*make)(Things&);
    };
    const Call calls[] = {
        {"Writer::write", [](Things& my) { static_cast<void>(my.job->in().write("x\n")); }},
        {"Writer::write to one who reads no more",
         [](Things& my) {
             leash::Popen deaf(child({"close-input"}), my.options);
             static_cast<void>(deaf.out().read_until("closed\n"));
             static_cast<void>(deaf.in().write("x"));
             deaf.kill();
         }},
        {"Writer::close", [](Things& my) { my.job->in().close(); }},
        {"Reader::read", [](Things& my) { static_cast<void>(my.job->out().read(1, 1ms)); }},
        {"Reader::close", [](Things& my) { my.job->out().close(); }},
        {"Popen::poll", [](Things& my) { static_cast<void>(my.job->poll()); }},
        {"Popen::wait_for", [](Things& my) { static_cast<void>(my.job->wait_for(1ms)); }},
        {"Popen::communicate", [](Things& my) { static_cast<void>(my.job->communicate("x")); }},
        {"Popen::communicate without anything", [](Things& my) { static_cast<void>(my.job->communicate("")); }},
        {"Popen::terminate", [](Things& my) { static_cast<void>(my.job->terminate()); }},
        {"Popen::stop", [](Things& my) { static_cast<void>(my.job->stop(1s)); }},
        {"Popen::detach",
         [](Things& my) {
             const pid_t pid = my.job->pid();
             my.job->kill();
             my.job->detach();
             int before = 0;
             ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
             ::waitpid(pid, nullptr, 0);
             ::pthread_setcancelstate(before, &before);
         }},
        {"~Popen", [](Things& my) { my.job.reset(); }},
        {"run",
         [](Things& my) {
             my.options.in = leash::bytes("x");
             static_cast<void>(leash::run(child({"cat"}), my.options));
         }},
        {"try_spawn",
         [](Things& my) {
             my.options.in = leash::bytes("x");
             my.options.out = leash::file("/dev/null");
             my.options.cwd = "/";
             static_cast<void>(leash::Popen::try_spawn({"cat"}, my.options));
         }},
        {"try_spawn at a terminal",
         [](Things& my) {
             my.options.in = leash::tty;
             my.options.out = leash::tty;
             static_cast<void>(leash::Popen::try_spawn({"cat"}, my.options));
         }},
        {"try_spawn of what is not there",
         [](Things& my) {
             static_cast<void>(leash::Popen::try_spawn({"/no/such/program"}, my.options));
             static_cast<void>(leash::Popen::try_spawn({"no-such-program"}, my.options));
         }},
        {"a pipeline",
         [](Things& my) {
             my.options.in = leash::bytes("x");
             static_cast<void>(leash::run(child({"cat"}) | child({"cat"}), my.options));
         }},
        {"Cancel::handle, fire, ~Cancel",
         [](Things&) {
             leash::Cancel token;
             static_cast<void>(token.handle());
             token.fire();
         }},
        {"~Cancel", [](Things& my) { my.cancel.reset(); }},
        {"Supervisor::add, next, remove",
         [](Things& my) {
             static_cast<void>(my.jobs->add(leash::Popen(child({"cat"}), my.options)));
             static_cast<void>(my.jobs->next(1ms));
             static_cast<void>(my.jobs->remove(my.id));
         }},
        {"~Supervisor", [](Things& my) { my.jobs.reset(); }},
        {"run_all",
         [](Things& my) {
             std::vector<leash::Task> list;
             for (int i = 0; i < 3; ++i) list.push_back({child({"exit", "0"}), my.options});
             static_cast<void>(leash::run_all(std::move(list)));
         }},
    };
    const Census census;
    for (const Call& call : calls) {
        INFO(std::string(call.name));
        const std::string wrong = support::in_host([&]() -> std::string {
            const NothingLeft before;
            {
                Things my;
                my.options = support::capture(census);
                my.options.in = leash::piped;
                my.job.emplace(child({"cat"}), my.options);
                my.cancel.emplace();
                HOST_NEEDS(my.cancel->handle() >= 0);
                my.jobs.emplace();
                my.id = my.jobs->add(leash::Popen(child({"cat"}), my.options)).value();
                my.call = call.make;
                const auto run = [](void* given) -> void* {
                    Things& all = *static_cast<Things*>(given);
                    ::pthread_cancel(::pthread_self());
                    all.call(all);
                    all.has_returned = true;
                    ::pthread_testcancel();
                    return nullptr;
                };
                pthread_t thread;
                void* result = nullptr;
                HOST_NEEDS(::pthread_create(&thread, nullptr, run, &my) == 0);
                HOST_NEEDS(::pthread_join(thread, &result) == 0);
                HOST_NEEDS(my.has_returned);
                HOST_NEEDS(result == PTHREAD_CANCELED);
            }
            HOST_NEEDS(before.holds());
            return "";
        });
        CHECK(wrong == "");
    }
    CHECK(census.reaches(0));
}

TEST_CASE("an exception of the host's on the way ends its jobs") {
    const Census census;
    const NothingLeft before;
    try {
        leash::Popen p(child({"fork-and-wait"}), support::capture(census));
        CHECK(p.out().read_until("\n").complete);
        throw std::runtime_error("something else");
    } catch (const std::runtime_error&) {}
    CHECK(census.reaches(0));
    CHECK(before.holds());
}

TEST_CASE("a forked copy of a handle does not wait for what is not its own to end") {
    const Census census;
    leash::Options options = support::silent(census);
    options.drain = 100s;
    leash::Popen p(child({"sleep"}), options);
    const std::string wrong = support::in_host([&]() -> std::string {
        const support::Stopwatch watch;
        HOST_NEEDS(p.stop(100s).unknown());
        { const leash::Popen dies_here(std::move(p)); }
        HOST_NEEDS(watch.elapsed() < 20s);
        return "";
    });
    CHECK(wrong == "");
    CHECK(support::is_alive(p.pid()));
}

TEST_CASE("a terminal that is redirected to does not become the host's controlling one") {
    const std::string wrong = support::in_host([]() -> std::string {
        HOST_NEEDS(::setsid() > 0);
        const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        HOST_NEEDS(master >= 0 && ::grantpt(master) == 0 && ::unlockpt(master) == 0);
        leash::Options options;
        options.in = leash::file(::ptsname(master));
        HOST_NEEDS(leash::run({"true"}, options).ok());
        HOST_NEEDS(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC) < 0);
        return "";
    });
    CHECK(wrong == "");
}

// tests/test_cancel.cpp - a token with which another thread, or a signal handler, ends jobs.
#include <doctest/doctest.h>

#include "support.hpp"

#include <atomic>
#include <optional>

#include <poll.h>

using support::Census;
using support::child;
using support::NothingLeft;
using namespace std::chrono_literals;

namespace {

leash::Options cancellable(const Census& census, const leash::Cancel& cancel) {
    leash::Options options = support::capture(census);
    options.cancel = cancel;
    return options;
}

bool is_readable(int fd) {
    pollfd ready{fd, POLLIN, 0};
    return ::poll(&ready, 1, 0) == 1;
}

leash::Cancel* of_handler = nullptr;

}  // namespace

TEST_CASE("what may hold a token is used as a std::optional, and converts from and to one") {
    leash::Options options;
    CHECK_FALSE(options.cancel);
    CHECK_FALSE(options.cancel.has_value());
    const leash::Cancel token;
    options.cancel = token;
    REQUIRE(options.cancel);
    CHECK(*options.cancel == token);
    CHECK(options.cancel == token);
    CHECK(options.cancel.value() == token);
    options.cancel->fire();
    CHECK(token.fired());
    const std::optional<leash::Cancel> standard = options.cancel;
    CHECK(standard == token);

    leash::RunAllOptions all;
    all.cancel = standard;
    CHECK(all.cancel == options.cancel);
    CHECK(all.cancel.emplace() != token);
    CHECK(options.cancel == token);
    all.cancel = std::nullopt;
    CHECK_FALSE(all.cancel);
    CHECK(all.cancel != options.cancel);
    CHECK(all.cancel.value_or(token) == token);
    options.cancel.reset();
    CHECK(options.cancel == all.cancel);
    options.cancel = std::optional<leash::Cancel>();
    CHECK_FALSE(options.cancel.has_value());
    const std::optional<leash::Cancel> none = options.cancel;
    CHECK_FALSE(none);

    leash::Usage usage;
    CHECK(usage.peak_memory == std::nullopt);
    CHECK(usage.peak_memory.value_or(7) == 7U);
    usage.peak_memory = 5U;
    CHECK(*usage.peak_memory == 5U);
    CHECK(usage.peak_memory == 5U);
    CHECK(usage.peak_memory != std::optional<std::uint64_t>(6));
}

TEST_CASE("a token is fired once and for all, and copies are the same token") {
    const NothingLeft before;
    {
        leash::Cancel cancel;
        const leash::Cancel copy = cancel;
        CHECK_FALSE(cancel.fired());
        CHECK_FALSE(copy.fired());
        const int handle = copy.handle();
        CHECK(handle > 2);
        CHECK(cancel.handle() == handle);
        CHECK((::fcntl(handle, F_GETFD) & FD_CLOEXEC) != 0);
        CHECK_FALSE(is_readable(handle));
        CHECK(copy == cancel);
        CHECK_FALSE(copy != cancel);
        CHECK(copy != leash::Cancel());
        const auto fire = [copy] { return copy.fire(); };  // a handle's const is not the token's
        CHECK(fire());
        CHECK(cancel.fired());
        CHECK(is_readable(handle));
        CHECK_FALSE(fire());  // it was fired already
        CHECK_FALSE(cancel.fire());
        CHECK(cancel.fired());

        leash::Cancel fired_first;
        fired_first.fire();
        CHECK(is_readable(fired_first.handle()));
        leash::Cancel assigned;
        assigned = cancel;
        CHECK(assigned.fired());
    }
    CHECK(before.holds());
}

TEST_CASE("a token may be fired any number of times without filling anything up") {
    leash::Cancel cancel;
    static_cast<void>(cancel.handle());
    for (int i = 0; i < 200'000; ++i) cancel.fire();
    CHECK(cancel.fired());
}

TEST_CASE("a job whose token was fired before the start is not started by run") {
    const Census census;
    leash::Cancel cancel;
    cancel.fire();
    const NothingLeft before;
    const support::TemporaryDirectory directory;
    leash::Options options = cancellable(census, cancel);
    options.out = leash::file(directory / "never");
    options.in = leash::bytes("nobody read this");
    const leash::Result result = leash::run(child({"print", "x"}), options);
    CHECK(result.cancelled);
    CHECK(result.unwritten == 16);
    CHECK(result.describe() == support::helper() + ": not started, cancelled");
    CHECK_THROWS_WITH(result.check_ok(), ("leash: \"" + support::helper() + "\" not started, cancelled").c_str());
    CHECK(leash::run_all({{child({"print", "x"}), options}}).front().value().unwritten == 16);
    CHECK(result.status.unknown());
    CHECK_FALSE(result.ok());
    CHECK_FALSE(result.timed_out);
    CHECK(::access((directory / "never").c_str(), F_OK) != 0);
    CHECK(before.holds());
}

TEST_CASE("a job that is never cancelled is not cancelled") {
    const Census census;
    const leash::Cancel cancel;
    const leash::Result result = leash::run(child({"print", "x"}), cancellable(census, cancel));
    CHECK(result.ok());
    CHECK_FALSE(result.cancelled);
}

TEST_CASE("another thread wakes the wait at once, and the result says cancelled and keeps what had come") {
    const Census census;
    leash::Cancel cancel;
    std::atomic<bool> said{false};
    leash::Options options = cancellable(census, cancel);
    options.err = leash::sink([&](std::string_view) { said = true; });
    options.timeout = 1h;
    std::thread firing([&, cancel] {
        support::eventually([&] { return said.load(); }, 60s);
        cancel.fire();
    });
    const support::Stopwatch watch;
    const leash::Result result =
        leash::run(leash::shell("echo said before; echo x >&2; exec \"$1\" sleep", {support::helper()}), options);
    firing.join();
    CHECK(result.cancelled);
    CHECK_FALSE(result.timed_out);
    CHECK_FALSE(result.ok());
    CHECK(result.status.signal() == SIGTERM);
    CHECK(result.out == "said before\n");
    CHECK(watch.elapsed() < 60s);
    CHECK(census.reaches(0));
}

TEST_CASE("whatever waits for a job wakes when its token is fired") {
    const Census census;
    leash::Cancel cancel;
    leash::Options options = cancellable(census, cancel);
    options.in = leash::piped;
    leash::Popen p(child({"sleep"}), options);
    std::thread firing([&] {
        std::this_thread::sleep_for(20ms);
        cancel.fire();
    });
    SUBCASE("wait") { CHECK(p.wait().signal() == SIGTERM); }
    SUBCASE("wait_for") { CHECK(p.wait_for(1h)->signal() == SIGTERM); }
    SUBCASE("wait_until") { CHECK(p.wait_until(std::chrono::system_clock::now() + 1h)->signal() == SIGTERM); }
    SUBCASE("poll") {
        CHECK(support::eventually([&] { return p.poll().has_value(); }));
    }
    SUBCASE("read") { CHECK(p.out().read().eof); }
    SUBCASE("write") { CHECK_FALSE(p.in().write(std::string(1'000'000, 'x')).complete); }
    SUBCASE("communicate") {
        const leash::Captured captured = p.communicate();
        CHECK(p.cancelled());
        CHECK_FALSE(captured.timed_out);
        CHECK(captured.status->signal() == SIGTERM);
    }
    firing.join();
    CHECK(p.wait().signal() == SIGTERM);
    CHECK(p.cancelled());
    CHECK_FALSE(p.timed_out());
}

TEST_CASE("a cancelled job has its grace, and then no more") {
    const Census census;
    leash::Cancel cancel;
    leash::Options options = cancellable(census, cancel);
    SUBCASE("it goes politely") {
        options.grace = 1h;
        leash::Popen p(child({"catch-term", "4"}), options);
        CHECK(p.out().read_until("ready\n").complete);
        cancel.fire();
        CHECK(p.wait().code() == 4);
        CHECK(p.cancelled());
    }
    SUBCASE("it does not") {
        options.grace = 20ms;
        leash::Popen p(child({"ignore-term"}), options);
        CHECK(p.out().read_until("ready\n").complete);
        cancel.fire();
        CHECK(p.wait().signal() == SIGKILL);
        CHECK(p.cancelled());
    }
}

TEST_CASE("one token ends any number of jobs, and a later one of a Popen too") {
    const Census census;
    leash::Cancel cancel;
    std::vector<leash::Popen> jobs;
    for (int i = 0; i < 5; ++i) jobs.emplace_back(child({"sleep"}), cancellable(census, cancel));
    CHECK(census.reaches(5));
    cancel.fire();
    for (leash::Popen& p : jobs) CHECK(p.wait().signal() == SIGTERM);
    CHECK(census.reaches(0));
    leash::Popen late(child({"sleep"}), cancellable(census, cancel));
    CHECK(late.wait().signal() == SIGTERM);
    CHECK(late.cancelled());
}

TEST_CASE("a job that ended before its token was fired was not cancelled") {
    const Census census;
    leash::Cancel cancel;
    leash::Popen p(child({"exit", "0"}), cancellable(census, cancel));
    CHECK(p.wait().success());
    cancel.fire();
    CHECK(p.wait().success());
    CHECK(p.communicate().status->success());
    CHECK_FALSE(p.cancelled());
}

TEST_CASE("a signal handler may fire a token") {
    const Census census;
    leash::Cancel cancel;
    of_handler = &cancel;
    struct sigaction action {
    }, before{};
    action.sa_handler = [](int) { of_handler->fire(); };
    ::sigaction(SIGUSR1, &action, &before);
    leash::Popen p(child({"sleep"}), cancellable(census, cancel));
    const pthread_t waiting = ::pthread_self();
    std::thread sender([&] {
        std::this_thread::sleep_for(20ms);
        ::pthread_kill(waiting, SIGUSR1);
    });
    const leash::ExitStatus status = p.wait();
    sender.join();
    ::sigaction(SIGUSR1, &before, nullptr);
    CHECK(status.signal() == SIGTERM);
    CHECK(p.cancelled());
}

TEST_CASE("a forked copy of the host that fires its copy of the token ends no job here, and makes nobody spin") {
    const Census census;
    leash::Cancel cancel;
    leash::Options options = cancellable(census, cancel);
    options.in = leash::piped;
    leash::Popen p(child({"wait-then-exit", "6"}), options);
    REQUIRE(p.out().read_until("ready\n", 60s));
    CHECK_FALSE(p.wait_for(1ms));
    REQUIRE(cancel.handle() >= 0);
    const std::string wrong = support::in_host([&]() -> std::string {
        cancel.fire();
        HOST_NEEDS(cancel.fired());
        return "";
    });
    CHECK(wrong == "");
    CHECK_FALSE(cancel.fired());
    CHECK_FALSE(is_readable(cancel.handle()));

    const support::Effort effort;
    CHECK_FALSE(p.wait_for(1s));
    CHECK(effort.time() < 300ms);
    p.in().close();
    CHECK(p.wait().code() == 6);
    CHECK_FALSE(p.cancelled());
}

TEST_CASE("a token that was waited with before a fork works on both sides of it, for each alone") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        leash::Cancel ours, theirs;
        const int handle = ours.handle(), unfired = theirs.handle();
        HOST_NEEDS(handle >= 0 && unfired >= 0);
        int go[2];
        HOST_NEEDS(::pipe2(go, O_CLOEXEC) == 0);
        const auto copy = [&]() -> std::string {
            char fired = 0;
            HOST_NEEDS(::read(go[0], &fired, 1) == 1);
            // What the original fired is nothing to the copy: it ends nothing, and nobody spins.
            leash::Popen quiet(child({"print-and-wait", "ready\n"}), cancellable(census, ours));
            HOST_NEEDS(quiet.out().read_until("ready\n", 60s));
            const support::Effort effort;
            HOST_NEEDS(!quiet.wait_for(1s));
            HOST_NEEDS(effort.time() < 300ms);
            HOST_NEEDS(!is_readable(ours.handle()));
            // What it fires itself ends its own.
            leash::Popen job(child({"print-and-wait", "ready\n"}), cancellable(census, theirs));
            HOST_NEEDS(job.out().read_until("ready\n", 60s));
            HOST_NEEDS(!is_readable(theirs.handle()));
            theirs.fire();
            HOST_NEEDS(is_readable(theirs.handle()));
            HOST_NEEDS(job.wait_for(60s) && job.cancelled());
            return "";
        };
        const pid_t pid = ::fork();
        if (pid == 0) {
            const std::string inner = copy();
            std::fputs(inner.c_str(), stderr);
            ::_exit(inner.empty() ? 0 : 1);
        }
        ours.fire();
        HOST_NEEDS(::write(go[1], "x", 1) == 1);
        int status = -1;
        HOST_NEEDS(::waitpid(pid, &status, 0) == pid);
        HOST_NEEDS(status == 0);
        HOST_NEEDS(ours.handle() == handle && is_readable(handle));
        HOST_NEEDS(theirs.handle() == unfired && !is_readable(unfired));
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("the token outlives the one who made it, as long as a job has it") {
    const Census census;
    leash::Options options = support::silent(census);
    {
        leash::Cancel cancel;
        options.cancel = cancel;
    }
    leash::Popen p(child({"sleep"}), options);
    CHECK_FALSE(p.wait_for(5ms).has_value());
    options.cancel->fire();
    CHECK(p.wait().signal() == SIGTERM);
}

TEST_CASE("a moved-from token is still a token, or at least harmless") {
    const std::string wrong = support::in_host([]() -> std::string {
        leash::Cancel cancel;
        leash::Cancel moved(std::move(cancel));
        cancel.fire();
        static_cast<void>(cancel.fired());
        static_cast<void>(cancel.handle());
        leash::Options options;
        options.cancel = cancel;
        leash::Popen p({"true"}, options);
        static_cast<void>(p.wait());
        moved.fire();
        HOST_NEEDS(moved.fired());
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("firing a token leaves errno alone, also where its pipe is full") {
    const Census census;
    leash::Options options = support::silent(census);
    options.cancel = leash::Cancel();
    leash::Supervisor jobs;
    REQUIRE(jobs.add(leash::Popen(child({"sleep"}), options)));  // from now on there is a pipe
    errno = EDOM;
    for (int i = 0; i < 100'000; ++i) options.cancel->fire();
    CHECK(errno == EDOM);
}

// tests/test_popen.cpp - a running job: waiting, signalling, letting go.
#include <doctest/doctest.h>

#include "support.hpp"

#include <limits>
#include <optional>

#include <poll.h>
#include <sys/resource.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

using leash::ExitStatus;
using leash::Step;
using support::Census;
using support::child;
using support::NothingLeft;
using support::pattern;
using namespace std::chrono_literals;

namespace {

/// A job that waits for the end of its input and exits with a code then.
leash::Options waiting(const Census& census) {
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    return options;
}

/// Waits until the child has said so.
void expect(leash::Popen& p, const std::string& word) {
    const leash::Read read = p.out().read_until(word);
    CHECK(read.complete);
}

bool is_readable(int fd, int milliseconds) {
    pollfd ready{fd, POLLIN, 0};
    return ::poll(&ready, 1, milliseconds) == 1;
}

}  // namespace

// ---- waiting

TEST_CASE("a job is seen to run and to end, by whichever call, any number of times") {
    const Census census;
    const NothingLeft before;
    {
        leash::Popen p(child({"wait-then-exit", "42"}), waiting(census));
        CHECK(p.pid() > 1);
        CHECK(support::is_alive(p.pid()));
        CHECK_FALSE(p.poll().has_value());
        CHECK_FALSE(p.wait_for(0s).has_value());
        CHECK_FALSE(p.wait_for(5ms).has_value());
        CHECK_FALSE(p.poll().has_value());
        p.in().close();
        const pid_t pid = p.pid();
        CHECK(p.wait() == ExitStatus::from_code(42));
        CHECK(p.wait() == ExitStatus::from_code(42));
        CHECK(p.poll() == ExitStatus::from_code(42));
        CHECK(p.wait_for(0s) == ExitStatus::from_code(42));
        CHECK(p.wait_for(1h) == ExitStatus::from_code(42));
        CHECK(p.wait_until(std::chrono::steady_clock::now()) == ExitStatus::from_code(42));
        CHECK(p.communicate().status == ExitStatus::from_code(42));
        CHECK(p.stop() == ExitStatus::from_code(42));
        CHECK(p.pid() == pid);
        CHECK(support::state_of(pid) == '\0');
        CHECK_FALSE(p.timed_out());
        CHECK_FALSE(p.cancelled());
        CHECK(p.survivors().empty());
    }
    CHECK(before.holds());
}

TEST_CASE("poll sees the end by itself") {
    const Census census;
    leash::Popen p(child({"exit", "7"}), support::silent(census));
    CHECK(support::eventually([&] { return p.poll().has_value(); }));
    CHECK(p.poll() == ExitStatus::from_code(7));
}

TEST_CASE("waits for nothing, for less than nothing and until the past only look") {
    const Census census;
    const support::Stopwatch watch;
    leash::Popen p(child({"wait-then-exit", "1"}), waiting(census));
    using System = std::chrono::system_clock;
    using Steady = std::chrono::steady_clock;
    using Seconds = std::chrono::duration<double>;
    CHECK_FALSE(p.wait_for(0s).has_value());
    CHECK_FALSE(p.wait_for(-1s).has_value());
    CHECK_FALSE(p.wait_for(std::chrono::hours::min()).has_value());
    CHECK_FALSE(p.wait_for(Seconds(-std::numeric_limits<double>::infinity())).has_value());
    CHECK_FALSE(p.wait_for(Seconds(std::numeric_limits<double>::quiet_NaN())).has_value());
    CHECK_FALSE(p.wait_until(System::now() - 1h).has_value());
    CHECK_FALSE(p.wait_until(System::time_point()).has_value());
    CHECK_FALSE(p.wait_until(System::time_point::min()).has_value());
    CHECK_FALSE(p.wait_until(Steady::time_point::min()).has_value());
    CHECK_FALSE(p.wait_until(Steady::now()).has_value());
    CHECK(watch.elapsed() < 30s);

    // and the end is seen by a look
    p.in().close();
    CHECK(support::eventually([&] { return p.wait_for(-1s).has_value(); }));
}

TEST_CASE("waits without an end, or with one that no clock can tell, end with the job") {
    const Census census;
    using System = std::chrono::system_clock;
    using Steady = std::chrono::steady_clock;
    using Seconds = std::chrono::duration<double>;
    for (int kind = 0; kind < 8; ++kind) {
        CAPTURE(kind);
        leash::Options options = support::silent(census);
        leash::Popen p(child({"exit", "3"}), options);
        std::optional<ExitStatus> status;
        switch (kind) {
            case 0: status = p.wait_until(System::time_point::max()); break;
            case 1: status = p.wait_until(Steady::time_point::max()); break;
            case 2: status = p.wait_until(System::time_point::max() - 1s); break;
            case 3: status = p.wait_for(std::chrono::nanoseconds::max()); break;
            case 4: status = p.wait_for(std::chrono::hours::max()); break;
            case 5: status = p.wait_for(Seconds(1e10)); break;
            case 6: status = p.wait_for(Seconds(std::numeric_limits<double>::infinity())); break;
            default: status = p.wait_until(System::now() + std::chrono::hours(24 * 365)); break;
        }
        CHECK(status == ExitStatus::from_code(3));
    }
}

TEST_CASE("waiting costs nothing: it sleeps in one call of the system") {
    const Census census;
    leash::Popen p(child({"sleep"}), support::silent(census));
    if (p.exit_handle() < 0) return;  // without a handle to sleep on there is a measured fallback
    const support::Effort waiting;
    CHECK_FALSE(p.wait_for(700ms).has_value());
    CHECK(waiting.sleeps() <= 8);

    leash::Options options = support::capture(census);
    options.timeout = 500ms;
    const support::Effort running;
    CHECK(leash::run(child({"sleep"}), options).timed_out);
    CHECK(running.sleeps() <= 30);  // start and end included
}

TEST_CASE("an exit handle becomes readable when the leader has ended, and not before") {
    const Census census;
    leash::Popen p(child({"wait-then-exit", "9"}), waiting(census));
    const int handle = p.exit_handle();
    if (handle < 0) return;  // this system has none
    CHECK(handle > 2);
    CHECK((::fcntl(handle, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(p.exit_handle() == handle);
    CHECK_FALSE(is_readable(handle, 0));
    p.in().close();
    CHECK(is_readable(handle, 60'000));
    CHECK(support::eventually([&] { return p.poll().has_value(); }));
    CHECK(p.wait().code() == 9);
}

// ---- signals

TEST_CASE("signals go to the whole group") {
    const Census census;
    leash::Popen p(child({"fork-and-wait"}), waiting(census));
    expect(p, "\n");
    CHECK(census.reaches(2));
    SUBCASE("send_signal") {
        CHECK(p.send_signal(SIGUSR1).has_value());
        CHECK(p.wait().describe() == "killed by SIGUSR1 (10)");
    }
    SUBCASE("terminate") {
        CHECK(p.terminate().has_value());
        CHECK(p.wait().describe() == "killed by SIGTERM (15)");
    }
    SUBCASE("kill") {
        CHECK(p.kill().has_value());
        CHECK(p.wait().describe() == "killed by SIGKILL (9)");
    }
    SUBCASE("stop") { CHECK(p.stop(60s).describe() == "killed by SIGTERM (15)"); }
    CHECK(census.reaches(0));
}

TEST_CASE("any signal can be sent, and nothing but a signal") {
    const Census census;
    leash::Popen p(child({"report-signals"}), waiting(census));
    expect(p, "ready\n");
    for (const int signal : {SIGUSR1, SIGUSR2, SIGHUP, SIGINT}) {
        CHECK(p.send_signal(signal).has_value());
        char line[4] = {static_cast<char>('0' + signal / 10), static_cast<char>('0' + signal % 10), '\n', '\0'};
        expect(p, line);
    }
    CHECK(p.send_signal(0).has_value());  // only asks
    CHECK_FALSE(p.poll().has_value());
    for (const int nonsense : {-1, 1000}) {
        const auto sent = p.send_signal(nonsense);
        REQUIRE_FALSE(sent.has_value());
        CHECK(sent.error().code == std::errc::invalid_argument);
        CHECK(sent.error().step == Step::signal);
        CHECK(sent.error().subject == "signal " + std::to_string(nonsense) + " to pid " + std::to_string(p.pid()));
    }
    CHECK_FALSE(p.poll().has_value());
}

TEST_CASE("a signal after the end is an error that says so, and reaches nobody") {
    const Census census;
    leash::Options options = waiting(census);
    options.stragglers = leash::Stragglers::leave;
    leash::Popen p(child({"fork-holder", "0"}), options);
    CHECK(p.wait().success());
    CHECK(census.reaches(1));  // it has the number of the group that was ours
    for (const auto& sent : {p.send_signal(SIGUSR1), p.terminate(), p.kill(), p.send_signal(0)}) {
        REQUIRE_FALSE(sent.has_value());
        CHECK(sent.error().code == std::errc::no_such_process);
        CHECK(sent.error().step == Step::signal);
    }
    const std::string subject = p.kill().error().subject;
    CHECK(subject.find("SIGKILL") != std::string::npos);
    CHECK(subject.find(std::to_string(p.pid())) != std::string::npos);
    CHECK(p.kill().error().message().find("nothing was signalled") != std::string::npos);
    CHECK(p.stop().success());
    CHECK(census.alive().size() == 1);
}

TEST_CASE("a signal to a job that has ended unseen is safe") {
    const Census census;
    leash::Popen p(child({"exit", "5"}), support::silent(census));
    CHECK(support::eventually([&] { return support::state_of(p.pid()) == 'Z'; }));
    static_cast<void>(p.kill());  // its zombie pins the number: to whom it goes is certain
    CHECK(p.wait() == ExitStatus::from_code(5));
}

TEST_CASE("terminate reaches a job that has stopped itself") {
    const Census census;
    leash::Popen p(child({"stop-self"}), waiting(census));
    CHECK(support::eventually([&] { return support::state_of(p.pid()) == 'T'; }));
    CHECK(p.terminate().has_value());
    CHECK(p.wait().describe() == "killed by SIGTERM (15)");
}

TEST_CASE("a job that stops and goes on has not ended") {
    const Census census;
    leash::Popen p(child({"stop-self"}), waiting(census));
    CHECK(support::eventually([&] { return support::state_of(p.pid()) == 'T'; }));
    CHECK_FALSE(p.poll().has_value());
    CHECK_FALSE(p.wait_for(10ms).has_value());
    CHECK(p.send_signal(SIGCONT).has_value());
    expect(p, "continued\n");
    CHECK_FALSE(p.poll().has_value());
}

TEST_CASE("stop gives the polite end its time, and then insists") {
    const Census census;
    SUBCASE("it goes politely") {
        leash::Popen p(child({"catch-term", "6"}), waiting(census));
        expect(p, "ready\n");
        CHECK(p.stop(60s).describe() == "exited 6");
    }
    SUBCASE("it does not") {
        leash::Popen p(child({"ignore-term"}), waiting(census));
        expect(p, "ready\n");
        CHECK(p.stop(20ms).describe() == "killed by SIGKILL (9)");
    }
    SUBCASE("without a grace") {
        leash::Popen p(child({"ignore-term"}), waiting(census));
        expect(p, "ready\n");
        CHECK(p.stop(0s).describe() == "killed by SIGKILL (9)");
    }
    CHECK(census.reaches(0));
}

TEST_CASE("stop with a long grace takes neither the job's deadline nor its cancel token away") {
    const Census census;
    leash::Options options = waiting(census);
    options.grace = 20ms;
    SUBCASE("the deadline") {
        CHECK(support::in_time(500ms, [&](std::chrono::milliseconds timeout) {
            options.timeout = timeout;
            leash::Popen p(child({"ignore-term"}), options);
            if (!p.out().read_until("ready\n")) return false;
            const support::Stopwatch watch;
            CHECK(p.stop(300s).signal() == SIGKILL);
            CHECK(watch.elapsed() < timeout + 60s);
            CHECK(p.timed_out());
            return true;
        }));
    }
    SUBCASE("the token") {
        leash::Cancel cancel;
        options.cancel = cancel;
        leash::Popen p(child({"ignore-term"}), options);
        expect(p, "ready\n");
        support::Sleeper stopping;
        std::thread fires([&] {
            CHECK(stopping.falls_asleep());
            cancel.fire();
        });
        const support::Stopwatch watch;
        stopping.this_thread();
        CHECK(p.stop(300s).signal() == SIGKILL);
        fires.join();
        CHECK(watch.elapsed() < 60s);
        CHECK(p.cancelled());
    }
    SUBCASE("a second stop in more of a hurry") {
        leash::Popen p(child({"ignore-term"}), options);
        expect(p, "ready\n");
        support::Sleeper stopping;
        std::thread patient([&] {
            stopping.this_thread();
            static_cast<void>(p.stop(300s));
        });
        const support::Stopwatch watch;
        CHECK(stopping.falls_asleep());
        CHECK(p.stop(50ms).signal() == SIGKILL);
        patient.join();
        CHECK(watch.elapsed() < 60s);
    }
}

TEST_CASE("with an inherited group signals go to the leader alone") {
    const Census census;
    leash::Options options = waiting(census);
    options.group = leash::Group::inherited;
    leash::Popen p(child({"fork-and-wait"}), options);
    expect(p, "\n");
    CHECK(census.reaches(2));
    CHECK(p.terminate().has_value());
    CHECK(p.wait().describe() == "killed by SIGTERM (15)");
    CHECK(census.reaches(1));
}

TEST_CASE("a session of its own is signalled and ended as a group") {
    const Census census;
    leash::Options options = waiting(census);
    options.group = leash::Group::session;
    {
        leash::Popen p(child({"fork-and-wait"}), options);
        expect(p, "\n");
        CHECK(census.reaches(2));
        CHECK(p.send_signal(SIGUSR2).has_value());
        CHECK(p.wait().describe() == "killed by SIGUSR2 (12)");
        CHECK(census.reaches(0));
    }
    {
        leash::Popen p(child({"fork-and-wait"}), options);
        expect(p, "\n");
    }
    CHECK(census.reaches(0));
}

// ---- the end of the job

TEST_CASE("when the leader ends, what it left in its group ends") {
    const Census census;
    leash::Popen p(child({"fork-ignoring-holder", "4", "1", "2"}), waiting(census));
    SUBCASE("wait") { CHECK(p.wait().code() == 4); }
    SUBCASE("poll") {
        CHECK(support::eventually([&] { return p.poll().has_value(); }));
    }
    SUBCASE("communicate") { CHECK(p.communicate().status->code() == 4); }
    CHECK(census.reaches(0));
}

TEST_CASE("stragglers that are to be left are left") {
    const Census census;
    leash::Options options = waiting(census);
    options.stragglers = leash::Stragglers::leave;
    const NothingLeft before;
    {
        leash::Popen p(child({"fork-holder", "4"}), options);
        CHECK(p.wait().code() == 4);
        CHECK(census.reaches(1));
        CHECK(p.survivors().empty());
    }
    CHECK(census.alive().size() == 1);
    CHECK(before.holds());
}

TEST_CASE("when the handle dies, the job dies, all of it") {
    const Census census;
    const NothingLeft before;
    pid_t leader = -1;
    {
        leash::Popen p(child({"fork-ignoring-holder", "0"}), waiting(census));
        leash::Popen q(child({"fork-and-wait"}), waiting(census));
        leash::Popen ignoring(child({"ignore-term"}), waiting(census));
        leash::Popen stopped(child({"stop-self"}), waiting(census));
        expect(q, "\n");
        expect(ignoring, "ready\n");
        leader = q.pid();
        CHECK(support::is_alive(leader));
    }
    CHECK(support::state_of(leader) == '\0');
    CHECK(census.reaches(0));
    CHECK(before.holds());
}

TEST_CASE("a job that has ended unseen is reaped by its handle's end") {
    const Census census;
    const NothingLeft before;
    {
        leash::Popen p(child({"exit", "0"}), support::silent(census));
        CHECK(support::eventually([&] { return support::state_of(p.pid()) == 'Z'; }));
    }
    CHECK(before.holds());
}

TEST_CASE("a job that cannot be signalled is no stranger's problem: the bounds hold and it is said") {
    if (::geteuid() != 0) return;  // it takes root to start what one may not signal afterwards
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        leash::Options options = support::silent(census);
        options.drain = 50ms;
        leash::Popen p(child({"sleep"}), options);
        if (::setresuid(65534, 65534, 65534) != 0) return "";
        const auto killed = p.kill();
        HOST_NEEDS(!killed.has_value());
        HOST_NEEDS(killed.error().code == std::errc::operation_not_permitted);
        HOST_NEEDS(killed.error().message().find("another user") != std::string::npos);
        HOST_NEEDS(p.stop(10ms).unknown());
        HOST_NEEDS(!p.survivors().empty());
        return "";  // the destructor is bounded as well, or the host's alarm ends this
    });
    CHECK(wrong == "");
    CHECK(census.alive().size() == 1);
}

TEST_CASE("how it ended is known once a call has found it over, and not before") {
    const Census census;
    const NothingLeft before;
    {
        leash::Popen p(child({"wait-then-exit", "3"}), waiting(census));
        CHECK_FALSE(p.status());
        CHECK_FALSE(p.poll());
        CHECK_FALSE(p.status());
        p.in().close();
        CHECK(p.wait().code() == 3);
        REQUIRE(p.status());
        CHECK(p.status()->code() == 3);

        leash::Popen killed(child({"sleep", "60"}), waiting(census));
        REQUIRE(killed.kill());
        REQUIRE(killed.communicate().status);
        REQUIRE(killed.status());
        CHECK(killed.status()->signal() == SIGKILL);
    }
    CHECK(before.holds());
}

// ---- moving and letting go

TEST_CASE("a default-constructed handle is an empty one: it has no job, and all of it answers that") {
    const NothingLeft before;
    {
        const leash::Popen constant;
        CHECK_FALSE(constant.valid());
        CHECK_FALSE(constant.status());
        CHECK(constant.statuses().empty());
        CHECK(constant.stragglers().empty());
        CHECK(constant.ended_by() == leash::EndedBy::itself);
        CHECK(constant.stopped() == 0);
        CHECK(constant.time_left().length() == 0ns);  // poll() has an answer
        leash::Popen p;
        CHECK(p.pid() == -1);
        CHECK(p.poll()->unknown());
        CHECK(p.exit_handle() == -1);
        CHECK(p.resize(1, 1).error().code == std::errc::inappropriate_io_control_operation);
        CHECK(p.communicate("four", 1h).unwritten == 4);

        // Its streams are none.
        for (leash::Reader reader : {p.out(), p.err(), p.err(0), p.err(7)}) {
            CHECK_FALSE(reader.is_open());
            CHECK_FALSE(reader.held());
            CHECK(reader.handle() == -1);
            CHECK(reader.available() == 0);
            CHECK(reader.release() == -1);
            reader.close();
            for (const leash::Read& read :
                 {reader.read(), reader.try_read(), reader.read_until("\n"), reader.read_until("\n", 1, 1h),
                  reader.read_exactly(1), reader.read_all(1h)}) {
                CHECK(read.error == std::errc::bad_file_descriptor);
                CHECK(read.eof);
                CHECK_FALSE(read);
            }
            const leash::Match match = reader.expect("x");
            CHECK(match.error == std::errc::bad_file_descriptor);
            CHECK(match.eof);
        }
        CHECK_FALSE(p.in().is_open());
        CHECK(p.in().handle() == -1);
        CHECK(p.in().release() == -1);
        p.in().close();
        CHECK(p.in().write("x").error == std::errc::bad_file_descriptor);
        CHECK(p.in().try_write("x").count == 0);

        // And it takes a job.
        p = leash::Popen({"true"});
        CHECK(p.valid());
        CHECK(p.wait().success());
        CHECK(p.valid());
        p.detach();
        CHECK_FALSE(p.valid());
    }
    CHECK(before.holds());
}

TEST_CASE("a moved-from handle is empty and harmless, and the job goes with the new one") {
    const Census census;
    const NothingLeft before;
    {
        leash::Popen p(child({"wait-then-exit", "3"}), waiting(census));
        const pid_t pid = p.pid();
        leash::Reader out = p.out();
        leash::Popen q(std::move(p));
        CHECK(q.pid() == pid);
        CHECK(out.read_until("\n").data == "ready\n");  // what was taken before the move is valid after it

        CHECK(p.pid() == -1);
        CHECK_FALSE(p.valid());
        CHECK(p.exit_handle() == -1);
        CHECK(p.wait().unknown());
        REQUIRE(p.poll().has_value());
        CHECK(p.poll()->unknown());
        CHECK(p.wait_for(1h).has_value());
        CHECK(p.wait_until(std::chrono::steady_clock::now()).has_value());
        CHECK(p.kill().error().code == std::errc::no_such_process);
        CHECK(std::string(p.kill().error().hint) == "the Popen is empty: moved from, or detached");
        CHECK(p.terminate().error().code == std::errc::no_such_process);
        CHECK_FALSE(p.send_signal(SIGKILL).has_value());
        CHECK(p.stop().unknown());
        CHECK_FALSE(p.communicate("x").status.has_value());
        CHECK(p.communicate("four").unwritten == 4);
        CHECK(p.detach() == -1);
        CHECK_FALSE(p.timed_out());
        CHECK_FALSE(p.cancelled());
        CHECK(p.survivors().empty());
        CHECK_FALSE(p.usage().peak_memory);

        CHECK_FALSE(q.poll().has_value());
        q.in().close();
        CHECK(q.wait().code() == 3);
        for (int fd = 0; fd < 3; ++fd) CHECK(::fcntl(fd, F_GETFD) >= 0);
    }
    CHECK(before.holds());
}

TEST_CASE("assigning to a handle ends the job that it had, and nothing else") {
    const Census census;
    const NothingLeft before;
    {
        leash::Popen p(child({"ignore-term"}), waiting(census));
        leash::Popen q(child({"wait-then-exit", "3"}), waiting(census));
        const pid_t old = p.pid(), other = q.pid();
        p = std::move(q);
        CHECK(support::state_of(old) == '\0');
        CHECK(support::is_alive(other));
        CHECK(p.pid() == other);
        CHECK(q.pid() == -1);
        leash::Popen& same = p;
        p = std::move(same);
        CHECK(p.pid() == other);
        CHECK(support::is_alive(other));
        q = std::move(p);
        CHECK(q.pid() == other);
        q.in().close();
        CHECK(q.wait().code() == 3);
    }
    CHECK(before.holds());
}

TEST_CASE("jobs live in a vector") {
    const Census census;
    std::vector<leash::Popen> jobs;
    for (int i = 0; i < 10; ++i) jobs.emplace_back(child({"wait-then-exit", std::to_string(i)}), waiting(census));
    jobs.erase(jobs.begin() + 3);
    CHECK(census.reaches(9));
    for (leash::Popen& p : jobs) p.in().close();
    CHECK(jobs[3].wait().code() == 4);
    CHECK(jobs[0].wait().code() == 0);
    jobs.clear();
    CHECK(census.is_empty());
}

TEST_CASE("a detached job runs on, and is the host's to reap") {
    const Census census;
    const std::set<int> before = support::open_descriptors();
    pid_t pid = -1;
    {
        leash::Options options = support::silent(census);
        options.timeout = 1ms;  // a deadline does not come along
        leash::Popen p(child({"sleep"}), options);
        static_cast<void>(p.exit_handle());
        pid = p.detach();
        CHECK(p.pid() == -1);
        CHECK(p.detach() == -1);
    }
    CHECK(support::open_descriptors() == before);
    REQUIRE(pid > 1);
    std::this_thread::sleep_for(10ms);
    CHECK(support::is_alive(pid));
    ::kill(pid, SIGUSR1);
    int status = 0;
    CHECK(::waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGUSR1);
}

TEST_CASE("a start that fails leaves no handle and nothing to clean up") {
    const NothingLeft before;
    leash::Options options;
    options.in = leash::piped;
    options.out = leash::piped;
    options.err = leash::piped;
    CHECK_THROWS_AS(static_cast<void>(leash::Popen({"/no/such/program"}, options)), leash::SpawnError);
    CHECK(before.holds());
}

// ---- its own deadline

TEST_CASE("a job's deadline is kept by whichever call waits, reads or polls") {
    const Census census;
    leash::Options options = waiting(census);
    options.timeout = 50ms;
    leash::Popen p(child({"sleep"}), options);
    CHECK_FALSE(p.timed_out());
    SUBCASE("wait") { CHECK(p.wait().signal() == SIGTERM); }
    SUBCASE("wait_for") { CHECK(p.wait_for(1h)->signal() == SIGTERM); }
    SUBCASE("poll") {
        CHECK(support::eventually([&] { return p.poll().has_value(); }));
    }
    SUBCASE("poll, once, late") {
        std::this_thread::sleep_for(60ms);
        CHECK(p.poll().has_value());  // it ends the job, and that it may wait for
    }
    SUBCASE("read") {
        const leash::Read read = p.out().read();
        CHECK(read.eof);
        CHECK_FALSE(read.timed_out);
    }
    SUBCASE("lines") {
        for (const std::string_view line : p.out().lines()) CHECK(line == "");
    }
    SUBCASE("write") {
        const leash::Written written = p.in().write(std::string(1'000'000, 'x'));
        CHECK_FALSE(written.complete);
    }
    SUBCASE("communicate") {
        const leash::Captured captured = p.communicate();
        CHECK_FALSE(captured.timed_out);  // of that call
        CHECK(captured.status->signal() == SIGTERM);
    }
    CHECK(p.wait().signal() == SIGTERM);
    CHECK(p.timed_out());
    CHECK_FALSE(p.cancelled());
    CHECK(p.survivors().empty());
    CHECK(census.reaches(0));
}

TEST_CASE("a job that ends before its deadline has not timed out") {
    const Census census;
    leash::Options options = waiting(census);
    options.timeout = 1h;
    leash::Popen p(child({"exit", "3"}), options);
    CHECK(p.wait().code() == 3);
    CHECK_FALSE(p.timed_out());
    CHECK_FALSE(p.communicate().timed_out);
}

TEST_CASE("a handle with a deadline that nobody waits on is ended by its destructor") {
    const Census census;
    {
        leash::Options options = waiting(census);
        options.timeout = 1h;
        leash::Popen p(child({"sleep"}), options);
    }
    CHECK(census.reaches(0));
}

// ---- everything at once

TEST_CASE("64 MB go both ways through cat, on one thread") {
    const Census census;
    leash::Popen p(child({"cat"}), waiting(census));
    const std::string data = pattern(std::size_t{64} << 20);
    const leash::Captured captured = p.communicate(data);
    CHECK(captured.status->success());
    CHECK((captured.out == data));
    CHECK(captured.err == "");
    CHECK(captured.unwritten == 0);
    CHECK_FALSE(captured.timed_out);
    CHECK(captured.held.empty());
}

TEST_CASE("communicate closes an input that it has nothing for, and waits where nothing is piped") {
    const Census census;
    leash::Popen p(child({"count"}), waiting(census));
    CHECK(p.communicate().out == "0 0\n");
    leash::Popen q(child({"exit", "8"}), support::silent(census));
    const leash::Captured captured = q.communicate("not piped");
    CHECK(captured.status->code() == 8);
    CHECK(captured.unwritten == 9);
}

TEST_CASE("communicate can be called again after it has timed out, and nothing is lost or given twice") {
    const Census census;
    leash::Popen p(child({"cat"}), waiting(census));
    const std::string first = pattern(3'000'000), second = std::string(1'000'000, 'B');
    CHECK(p.send_signal(SIGSTOP).has_value());
    CHECK(support::eventually([&] { return support::state_of(p.pid()) == 'T'; }));
    leash::Captured captured = p.communicate(first, 20ms);
    CHECK(captured.timed_out);
    CHECK_FALSE(captured.status.has_value());
    CHECK(captured.unwritten > 0);
    CHECK(captured.unwritten <= first.size());
    CHECK(captured.out == "");
    captured = p.communicate(second, 1ms);  // after what is left
    CHECK(captured.timed_out);
    CHECK(captured.unwritten > second.size());
    CHECK_FALSE(p.timed_out());  // the call's time was up, not the job's
    CHECK(p.send_signal(SIGCONT).has_value());
    std::string earlier;
    do {
        captured = p.communicate({}, 2ms);
        CHECK((captured.out.compare(0, earlier.size(), earlier) == 0));  // what was returned before is there
        earlier = captured.out;
    } while (!captured.status);
    CHECK((captured.out == first + second));
    CHECK(captured.unwritten == 0);
    CHECK_FALSE(captured.timed_out);
    CHECK(captured.status->success());
    CHECK(p.communicate().out == "");  // handed over
}

TEST_CASE("communicate with no time at all still moves what can be moved") {
    const Census census;
    leash::Popen p(child({"cat"}), waiting(census));
    leash::Captured captured;
    const std::string data = pattern(300'000);
    captured = p.communicate(data, 0s);
    CHECK(support::eventually([&] {
        captured = p.communicate({}, 0s);
        return captured.status.has_value();
    }));
    CHECK((captured.out == data));
}

TEST_CASE("a call after what had been read line by line gives the rest") {
    const Census census;
    leash::Popen p(child({"print", "first\n", "second\n", "third"}), waiting(census));
    CHECK(p.out().read_until("\n").data == "first\n");
    CHECK(p.communicate().out == "second\nthird");
}

TEST_CASE("input for a child that never reads ends with the time") {
    const Census census;
    leash::Popen p(child({"sleep"}), waiting(census));
    leash::Captured captured = p.communicate(std::string(1'000'000, 'x'), 30ms);
    CHECK(captured.timed_out);
    CHECK(captured.unwritten > 0);
    CHECK_FALSE(captured.status.has_value());

    leash::Options options = support::capture(census);
    options.in = leash::bytes(std::string(1'000'000, 'x'));
    options.timeout = 30ms;
    const leash::Result result = leash::run(child({"sleep", "said"}), options);
    CHECK(result.timed_out);
    CHECK(result.unwritten > 0);
    CHECK(result.status.signal() == SIGTERM);
}

TEST_CASE("input that a child closes is no error, and is counted") {
    const Census census;
    leash::Popen p(child({"close-input"}), waiting(census));
    expect(p, "closed\n");
    const leash::Captured captured = p.communicate(std::string(1'000'000, 'x'), 30ms);
    CHECK(captured.timed_out);  // it lives on
    CHECK(captured.unwritten == 1'000'000);
    leash::Popen q(child({"read-and-exit", "10", "3"}), waiting(census));
    const leash::Captured rest = q.communicate(std::string(1'000'000, 'x'));
    CHECK(rest.status->code() == 3);
    CHECK(rest.unwritten > 0);
}

TEST_CASE("a child that closes all its descriptors and lives on has not ended") {
    const Census census;
    leash::Popen p(child({"close-all"}), waiting(census));
    CHECK(p.out().read_all().eof);
    CHECK(p.err().read_all().eof);
    CHECK_FALSE(p.poll().has_value());
    CHECK_FALSE(p.wait_for(20ms).has_value());
    const leash::Captured captured = p.communicate({}, 20ms);
    CHECK(captured.timed_out);
    CHECK_FALSE(captured.status.has_value());
    CHECK(p.kill().has_value());
    CHECK(p.communicate().status->signal() == SIGKILL);
}

TEST_CASE("a child that closes its output first and ends later is waited for") {
    const Census census;
    leash::Popen p(child({"close-output-wait-exit", "6"}), waiting(census));
    CHECK(p.out().read_all().eof);
    CHECK_FALSE(p.poll().has_value());
    CHECK(p.communicate().status->code() == 6);
}

TEST_CASE("what the leader had written is there, also when it has ended long before it is read") {
    const Census census;
    leash::Popen p(child({"write", "50000"}), waiting(census));
    CHECK(p.wait().success());
    std::this_thread::sleep_for(p.poll() ? 250ms : 0ms);  // past the drain
    CHECK((p.communicate().out == pattern(50'000)));
    leash::Popen q(child({"write", "50000"}), waiting(census));
    CHECK(q.wait().success());
    CHECK((q.out().read_all().data == pattern(50'000)));
}

TEST_CASE("a job that refuses a signal is not waited for") {
    if (::geteuid() != 0) return;
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        leash::Options options = support::silent(census);
        options.drain = 50ms;
        std::optional<leash::Popen> p(std::in_place, child({"sleep"}), options);
        if (::setresuid(65534, 65534, 65534) != 0) return "";
        support::Stopwatch watch;
        HOST_NEEDS(p->stop(10ms).unknown());
        HOST_NEEDS(watch.elapsed() < 3s);  // it takes 60 ms, and 5 s where it is waited for after the refusal
        p.reset();
        HOST_NEEDS(watch.elapsed() < 3s);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a job that ended in time has not timed out, be the first look at it ever so late") {
    const Census census;
    leash::Options options = support::silent(census);
    options.timeout = 5s;
    leash::Popen p(child({"exit", "3"}), options);
    REQUIRE(support::eventually([&] { return support::state_of(p.pid()) == 'Z'; }, 4s));
    std::this_thread::sleep_for(5s);  // past the deadline
    CHECK(p.wait().code() == 3);
    CHECK_FALSE(p.timed_out());
}

TEST_CASE("an exit handle stays the same after the end, and readable") {
    const Census census;
    leash::Popen p(child({"exit", "3"}), support::silent(census));
    const int handle = p.exit_handle();
    CHECK(p.wait().code() == 3);
    CHECK(p.exit_handle() == handle);
}

TEST_CASE("zombies of the group that their new parent does not reap hold no call up") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        // The parent of the host: orphans come to it, and it does not care.
        HOST_NEEDS(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
        return support::in_host([&]() -> std::string {
            leash::Options options = support::silent(census);
            options.drain = 100s;
            leash::Popen p(leash::shell("sleep 300 & sleep 300"), options);
            HOST_NEEDS(census.reaches(3));
            const support::Stopwatch watch;
            HOST_NEEDS(p.stop(100s).signal() == SIGTERM);
            HOST_NEEDS(watch.elapsed() < 20s);
            HOST_NEEDS(p.survivors().empty());
            return "";
        });
    });
    CHECK(wrong == "");
}

TEST_CASE("a job that had no pidfd for want of descriptors gets one when there are some") {
    if (support::closes_by_list) {
        MESSAGE("no start here below a lowered limit: skipped");
        return;
    }
    const Census census;
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    leash::Options options;
    options.env = census.env();
    options.in = leash::fd(null);
    options.out = leash::fd(null);
    options.err = leash::fd(null);
    if (!support::has_exit_handle()) return;
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit none_left = before;
    none_left.rlim_cur = static_cast<rlim_t>(null) + 1;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none_left) == 0);
    auto started = leash::Popen::try_spawn(child({"sleep"}), options);
    const int at_first = started ? started->exit_handle() : 0;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    REQUIRE(started);
    CHECK(at_first == -1);
    CHECK(started->exit_handle() >= 0);
    ::close(null);
}

// The edges of ending a job: who stays, who is told what, and that no bound gives way.
#include "support.hpp"

#include <doctest/doctest.h>

#include <atomic>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

using namespace support;

namespace {

/// Should a test have failed and left zombies: for the next one's sake.
void reap_all() {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {}
}

constexpr auto slack = 10s;  // for a loaded machine; nothing here waits for it

leash::Command dash(const std::string& script) { return leash::args({"/bin/dash", "-c", script, "/bin/dash"}); }

leash::Options captured(const Census& census) {
    leash::Options options;
    options.out = leash::piped;
    options.err = leash::piped;
    options.env = census.env();
    options.grace = 100ms;
    options.drain = 5s;
    return options;
}

/// A socket that listens on this port of 127.0.0.1, close-on-exec or not; -1 where it is taken.
int listen_on(int port, int flags) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | flags, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<unsigned short>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    void* const generic = &address;
    if (::bind(listener, static_cast<sockaddr*>(generic), sizeof address) == 0 && ::listen(listener, 5) == 0)
        return listener;
    ::close(listener);
    return -1;
}

/// A free port below those that systems hand out by themselves, and ours as long as this lives: other runs of this
/// test respect the lock.
class Port {
  public:
    Port() {
        for (int port = 20000; port < 30000 && number_ < 0; ++port) {
            const std::string path = "/tmp/leash_port." + std::to_string(port);
            lock_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
            const bool locked = lock_ >= 0 && ::flock(lock_, LOCK_EX | LOCK_NB) == 0;
            const int listener = locked ? listen_on(port, SOCK_CLOEXEC) : -1;
            if (listener >= 0) {
                ::close(listener);
                number_ = port;
            } else if (lock_ >= 0) {
                ::close(lock_);
            }
        }
    }
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;
    ~Port() {
        if (number_ > 0) ::close(lock_);
    }
    int number() const { return number_; }

  private:
    int number_ = -1, lock_ = -1;
};

bool can_bind(int port) {
    const int listener = listen_on(port, SOCK_CLOEXEC);
    if (listener >= 0) ::close(listener);
    return listener >= 0;
}

const char* const escape_with_stdout =
    "exec 4>&1; x=$(setsid \"$0\" -c 'echo up; exec sleep 30 >&4 4>&-' </dev/null 2>/dev/null &); ";

}  // namespace

TEST_CASE("the founding incident: a resident program can bind its port again, whatever its commands left behind") {
    const Port reserved;
    const int port = reserved.number();
    const NothingLeft nothing_left;
    const Census census;
    REQUIRE(port > 0);
    const int listener = listen_on(port, 0);  // an ordinary socket, inheritable
    REQUIRE(listener >= 0);
    leash::Options options = captured(census);
    options.timeout = 200ms;
    for (const char* const script : {"sleep 30; true", "sleep 30 & sleep 30", "(trap '' TERM; sleep 30) & sleep 30",
                                     "setsid sleep 30 & sleep 30"}) {
        options.drain = 100ms;
        CHECK(leash::run(leash::shell(script), options).timed_out);
    }
    ::close(listener);
    CHECK(can_bind(port));  // the escapee lives, and does not have it
    CHECK(nothing_left.holds());
}

TEST_CASE("a server that a command left behind has given its port back when the call returns") {
    const Port reserved;
    const int port = reserved.number();
    const NothingLeft nothing_left;
    const Census census;
    REQUIRE(port > 0);
    const std::string server = "'" + helper() + "' listen " + std::to_string(port);
    const std::string number = std::to_string(port) + "\n";
    leash::Options options = captured(census);

    SUBCASE("by a timeout") {
        options.timeout = 500ms;
        const leash::Result result = leash::run(dash(server + " & wait; wait; true"), options);
        CHECK(can_bind(port));
        CHECK(result.timed_out);
        CHECK(result.survivors.empty());
    }
    SUBCASE("by the leader's end") {
        options.in = leash::piped;
        leash::Popen job(dash(server + " & read x; exit 0"), options);
        REQUIRE(job.out().read_until("\n", 20s).data == number);
        CHECK_FALSE(can_bind(port));
        job.in().close();
        CHECK(job.wait().success());
        CHECK(can_bind(port));
    }
    SUBCASE("by stop()") {
        leash::Popen job(dash(server + " & wait; true"), options);
        REQUIRE(job.out().read_until("\n", 20s).data == number);
        job.stop(1s);
        CHECK(can_bind(port));
    }
    SUBCASE("by the destructor") {
        {
            leash::Popen job(dash(server + " & wait; true"), options);
            REQUIRE(job.out().read_until("\n", 20s).data == number);
        }
        CHECK(can_bind(port));
    }
    SUBCASE("by kill()") {
        leash::Popen job(dash(server + " & wait; true"), options);
        REQUIRE(job.out().read_until("\n", 20s).data == number);
        CHECK(job.kill());
        job.wait();
        CHECK(can_bind(port));
    }
    CHECK(census.is_empty());
    CHECK(nothing_left.holds());
}

TEST_CASE("stragglers that are to be left stay where the leader ended by itself, and go where it was ended") {
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options = captured(census);
    options.stragglers = leash::Stragglers::leave;
    const char* const daemon = "sleep 30 </dev/null >/dev/null 2>&1 & echo ready; ";

    SUBCASE("run() of a leader that ends") {
        const leash::Result result = leash::run(dash(std::string(daemon) + "exit 3"), options);
        CHECK(result.status.code() == 3);
        CHECK(result.survivors.empty());
        CHECK(census.reaches(1));
    }
    SUBCASE("wait() for a leader that ends, and the handle's end") {
        {
            leash::Popen job(dash(std::string(daemon) + "exit 3"), options);
            CHECK(job.wait().code() == 3);
            CHECK(job.survivors().empty());
        }
        CHECK(census.reaches(1));
    }
    SUBCASE("a leader that ended, before anybody waited, and then the handle's end") {
        {
            leash::Popen job(dash(std::string(daemon) + "exit 3"), options);
            REQUIRE(eventually([&] { return !is_alive(job.pid()); }));
        }
        CHECK(census.reaches(1));
    }
    SUBCASE("a timeout") {
        options.timeout = 200ms;
        CHECK(leash::run(dash(std::string(daemon) + "sleep 30; true"), options).timed_out);
        CHECK(census.is_empty());
    }
    SUBCASE("a timeout that the leader obeys and a member ignores") {
        options.timeout = 200ms;
        CHECK(leash::run(dash("(trap '' TERM; sleep 30; true) & wait"), options).timed_out);
        CHECK(census.is_empty());
    }
    SUBCASE("stop()") {
        leash::Popen job(dash("(trap '' TERM; echo ready; sleep 30; true) & wait; wait"), options);
        REQUIRE(job.out().read_until("ready\n", 20s));
        job.stop(1s);
        CHECK(census.is_empty());
    }
    SUBCASE("the destructor") {
        {
            leash::Popen job(dash(std::string(daemon) + "sleep 30; true"), options);
            REQUIRE(job.out().read_until("ready\n", 20s));
        }
        CHECK(census.is_empty());
    }
    CHECK(nothing_left.holds());
}

TEST_CASE("a job in a session of its own ends as whole as one in a group of its own") {
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options = captured(census);
    options.group = leash::Group::session;
    const char* const script = "trap 'exit 7' TERM; (trap '' TERM; echo ready; sleep 30; true) & wait; wait";

    SUBCASE("by a timeout") {
        options.timeout = 300ms;
        options.grace = 1s;
        const leash::Result result = leash::run(dash(script), options);
        CHECK(census.is_empty());
        CHECK(result.timed_out);
        if (result.out == "ready\n") CHECK(result.status.code() == 7);
    }
    SUBCASE("by stop()") {
        leash::Popen job(dash(script), options);
        REQUIRE(job.out().read_until("ready\n", 20s));
        CHECK(job.stop(1s).code() == 7);
        CHECK(census.is_empty());
    }
    SUBCASE("by kill()") {
        leash::Popen job(dash(script), options);
        REQUIRE(job.out().read_until("ready\n", 20s));
        CHECK(job.kill());
        CHECK(job.wait().signal() == SIGKILL);
        CHECK(census.is_empty());
    }
    SUBCASE("by the destructor") {
        {
            leash::Popen job(dash(script), options);
            REQUIRE(job.out().read_until("ready\n", 20s));
        }
        CHECK(census.is_empty());
    }
    SUBCASE("a stopped leader, which in an orphaned group nobody continues") {
        leash::Popen job(dash("echo ready; kill -STOP $$; sleep 30"), options);
        REQUIRE(job.out().read_until("ready\n", 20s));
        REQUIRE(eventually([&] { return state_of(job.pid()) == 'T'; }));
        const Stopwatch watch;
        CHECK(job.stop(30s).signal() == SIGTERM);
        CHECK(watch.elapsed() < 30s);
    }
    CHECK(nothing_left.holds());
}

TEST_CASE("a stopped job is ended by its SIGTERM, and does not sit out its grace") {
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options = captured(census);
    options.grace = 60s;
    leash::ExitStatus status;
    const Stopwatch watch;

    SUBCASE("a timeout of run()") {
        options.timeout = 300ms;
        const leash::Result result = leash::run(dash("kill -STOP $$; sleep 30"), options);
        status = result.status;
        CHECK(result.timed_out);
    }
    SUBCASE("stop() of a whole group that was stopped") {
        // exec: a shell that has just called vfork() does not stop before its child goes on
        leash::Popen job(dash("sleep 30 & echo ready; exec sleep 30"), options);
        REQUIRE(job.out().read_until("ready\n", 20s));
        CHECK(job.send_signal(SIGSTOP));
        REQUIRE(eventually([&] { return state_of(job.pid()) == 'T'; }));
        status = job.stop(60s);
    }
    SUBCASE("terminate()") {
        leash::Popen job(dash("echo ready; kill -STOP $$; sleep 30"), options);
        REQUIRE(job.out().read_until("ready\n", 20s));
        REQUIRE(eventually([&] { return state_of(job.pid()) == 'T'; }));
        CHECK(job.terminate());
        status = job.wait_for(50s).value_or(leash::ExitStatus());
    }
    CHECK(status.signal() == SIGTERM);
    CHECK(watch.elapsed() < 50s);
    CHECK(census.is_empty());
    CHECK(nothing_left.holds());
}

TEST_CASE("what came before the end is returned, on both streams") {
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options = captured(census);
    const char* const script = "echo some; echo more >&2; printf rest; sleep 30; echo late";
    CHECK(in_time(500ms, [&](std::chrono::milliseconds timeout) {
        options.timeout = timeout;
        const leash::Result result = leash::run(dash(script), options);
        CHECK(result.timed_out);
        CHECK(census.is_empty());
        return result.out == "some\nrest" && result.err == "more\n";
    }));
    CHECK(nothing_left.holds());
}

TEST_CASE("with an escapee at the pipe the call is bounded, says so, and the job's own output is complete") {
    const NothingLeft nothing_left;
    Census census;
    leash::Options options = captured(census);
    options.drain = 100ms;
    bool escaped = true;
    // many writes: the last of them is in the pipe when the leader ends
    const std::string script = std::string(escape_with_stdout) + "'" + helper() + "' write ";

    SUBCASE("read while it comes") {
        const Stopwatch watch;
        const leash::Result result = leash::run(dash(script + "3000000; exit 3"), options);
        CHECK(watch.elapsed() < 100ms + slack);
        CHECK(watch.elapsed() >= 100ms);
        CHECK(result.status.code() == 3);
        CHECK(!result.held.empty());
        CHECK_FALSE(result.timed_out);
        CHECK(result.out.size() == 3000000);
    }
    SUBCASE("read long after the leader's end and the drain") {
        leash::Popen job(dash(script + "60000; exit 3"), options);
        CHECK(job.wait().code() == 3);
        std::this_thread::sleep_for(200ms);
        const Stopwatch watch;
        const leash::Captured late = job.communicate();
        CHECK(watch.elapsed() < 100ms + slack);
        CHECK(late.out.size() == 60000);
        CHECK(!late.held.empty());
        CHECK(late.status->code() == 3);
    }
    SUBCASE("read line by line") {
        leash::Popen job(dash(script + "60000; exit 3"), options);
        std::size_t bytes = 0;
        const Stopwatch watch;
        for (const std::string_view line : job.out().lines()) bytes += line.size() + 1;
        CHECK(watch.elapsed() < 100ms + slack);
        // 60000 is no multiple of 64: the last line has no newline
        CHECK(bytes == 60001);
        CHECK(job.out().held());
    }
    SUBCASE("given to a sink") {
        std::size_t bytes = 0;
        options.out = leash::sink([&](std::string_view chunk) { bytes += chunk.size(); });
        const Stopwatch watch;
        const leash::Result result = leash::run(dash(script + "3000000; exit 3"), options);
        CHECK(watch.elapsed() < 100ms + slack);
        CHECK(bytes == 3000000);
        CHECK(!result.held.empty());
    }
    SUBCASE("and after a timeout") {
        options.timeout = 300ms;
        const Stopwatch watch;
        const std::string late = std::string(escape_with_stdout) + "echo ready; sleep 30; true";
        const leash::Result result = leash::run(dash(late), options);
        CHECK(watch.elapsed() < 500ms + slack);
        CHECK(result.timed_out);
        escaped = result.out == "ready\n";
        if (escaped) CHECK(!result.held.empty());
    }
    CHECK(census.alive().size() <= 1);
    if (escaped) CHECK(census.reaches(1));
    CHECK(nothing_left.holds());
}

TEST_CASE("an escapee that floods the pipe holds no call beyond its bound") {
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options = captured(census);
    options.drain = 100ms;
    options.max_output = 1000;
    const char* const script =
        "exec 4>&1; x=$(setsid \"$0\" -c 'printf \"%02000d\\n\" 0 >&4; echo up; exec yes >&4 4>&-' </dev/null "
        "2>/dev/null &); ";

    SUBCASE("run()") {
        const Stopwatch watch;
        const leash::Result result = leash::run(dash(std::string(script) + "exit 3"), options);
        CHECK(watch.elapsed() < 100ms + slack);
        CHECK(result.status.code() == 3);
        CHECK(!result.held.empty());
        CHECK(result.out.size() == 1000);
        CHECK(result.out_truncated);
    }
    SUBCASE("run() with a timeout") {
        options.timeout = 300ms;
        const Stopwatch watch;
        const leash::Result result = leash::run(dash(std::string(script) + "sleep 30; true"), options);
        CHECK(watch.elapsed() < 500ms + slack);
        CHECK(result.timed_out);
    }
    SUBCASE("lines()") {
        leash::Popen job(dash(std::string(script) + "exit 3"), options);
        const Stopwatch watch;
        std::size_t lines = 0;
        for (const std::string_view line : job.out().lines()) lines += line.empty() ? 0U : 1U;
        CHECK(watch.elapsed() < 100ms + slack);
        CHECK(lines > 0);
        CHECK(job.wait().code() == 3);
    }
    SUBCASE("a communicate() long after the end") {
        leash::Popen job(dash(std::string(script) + "exit 3"), options);
        job.wait();
        std::this_thread::sleep_for(150ms);
        const Stopwatch watch;
        CHECK(!job.communicate().held.empty());
        CHECK(watch.elapsed() < 100ms + slack);
    }
    CHECK(census.alive().size() <= 1);
    CHECK(nothing_left.holds());
}

TEST_CASE("the deadline covers a child that never reads its large input") {
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options = captured(census);
    options.timeout = 200ms;
    const std::string large(8 << 20, 'x');
    const Stopwatch watch;

    SUBCASE("run()") {
        options.in = leash::bytes(large);
        const leash::Result result = leash::run(dash("sleep 30; true"), options);
        CHECK(result.timed_out);
        CHECK(result.status.signaled());
        CHECK(result.unwritten > 0);
        CHECK(result.unwritten < large.size());
    }
    SUBCASE("run() with an escapee that holds the input") {
        options.in = leash::bytes(large);
        options.drain = 100ms;
        const char* const script =
            "exec 4<&0; x=$(setsid \"$0\" -c 'echo up; exec sleep 30 >/dev/null <&4 4<&-' </dev/null 2>/dev/null &);"
            " sleep 30; true";
        const leash::Result result = leash::run(dash(script), options);
        CHECK(result.timed_out);
        CHECK(result.unwritten > 0);
    }
    SUBCASE("communicate()") {
        options.in = leash::piped;
        leash::Popen job(dash("sleep 30; true"), options);
        const leash::Captured captured = job.communicate(large);
        CHECK(job.timed_out());
        CHECK(captured.unwritten > 0);
        REQUIRE(captured.status);
        CHECK(captured.status->signaled());
    }
    SUBCASE("in().write()") {
        options.in = leash::piped;
        leash::Popen job(dash("sleep 30; true"), options);
        const leash::Written written = job.in().write(large);
        CHECK_FALSE(written.complete);
        CHECK(written.count < large.size());
        CHECK(job.timed_out());
        CHECK(job.wait().signaled());
    }
    CHECK(watch.elapsed() < 500ms + slack);
    CHECK(nothing_left.holds());
}

TEST_CASE("communicate() with a limit of its own leaves the job alone, again and again") {
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options = captured(census);
    options.in = leash::piped;
    {
        leash::Popen job(dash("sleep 30 & cat; echo; echo end; exit 3"), options);
        const Stopwatch watch;
        leash::Captured captured = job.communicate("some", 1ms);
        for (int i = 0; i < 3 && !captured.status; ++i) captured = job.communicate({}, 1ms);
        if (!captured.status) captured = job.communicate();
        CHECK(watch.elapsed() < options.drain.length() + slack);
        REQUIRE(captured.status);
        // its input is at the end from the first call on: it goes by itself, and takes the member with it
        CHECK(captured.status->code() == 3);
        CHECK(captured.out == "some\nend\n");
        CHECK_FALSE(captured.timed_out);
        CHECK_FALSE(job.timed_out());
        CHECK(census.is_empty());
    }
    CHECK(nothing_left.holds());
}

TEST_CASE("a look that does not wait still ends the members: at the next wait() they are gone, and none survived") {
    const NothingLeft nothing_left;
    for (int round = 0; round < 20; ++round) {
        const Census census;
        leash::Options options = captured(census);
        options.drain = 20ms;
        leash::Popen job(dash("for i in 1 2 3 4 5; do sleep 30 & done; exit 0"), options);
        std::optional<leash::ExitStatus> status;
        REQUIRE(eventually([&] { return (status = round % 2 == 0 ? job.wait_for(0ms) : job.poll()).has_value(); }));
        CHECK(job.wait() == *status);
        CHECK(census.is_empty());
        CHECK(job.survivors().empty());
    }
    CHECK(nothing_left.holds());
}

TEST_CASE("without any grace and drain a job is still ended whole, and its handle leaves nothing") {
    const NothingLeft nothing_left;
    for (int round = 0; round < 10; ++round) {
        const Census census;
        leash::Options options = captured(census);
        options.grace = 0ms;
        options.drain = 0ms;
        {
            leash::Popen job(dash("trap '' TERM; sleep 30 & sleep 30 & echo ready; sleep 30; true"), options);
            REQUIRE(job.out().read_until("ready\n", 20s));
            CHECK(job.stop(0ms).signal() == SIGKILL);
        }
        options.timeout = 20ms;
        const leash::Result result = leash::run(dash("sleep 300 & sleep 300; true"), options);
        CHECK(result.timed_out);
        CHECK(result.status.signaled());  // a leader that was killed is waited for, drain or not
        CHECK(census.reaches(0));
        CHECK(nothing_left.holds());
        reap_all();
    }
}

TEST_CASE("a leader that moved to another group is ended all the same") {
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options = captured(census);
    options.drain = 300ms;

    SUBCASE("by stop()") {
        leash::Popen job({helper(), "change-group"}, options);
        REQUIRE(job.out().read_until("ready\n", 20s));
        CHECK(job.stop(20s).signal() == SIGTERM);
    }
    SUBCASE("by kill()") {
        leash::Popen job({helper(), "change-group"}, options);
        REQUIRE(job.out().read_until("ready\n", 20s));
        CHECK(job.kill());
        CHECK(job.wait().signal() == SIGKILL);
    }
    SUBCASE("by a timeout") {
        options.timeout = 300ms;
        const Stopwatch watch;
        const leash::Result result = leash::run({helper(), "change-group"}, options);
        CHECK(watch.elapsed() < slack);
        CHECK(result.timed_out);
        CHECK(result.status.signaled());
    }
    SUBCASE("by the destructor") {
        leash::Popen job({helper(), "change-group"}, options);
        REQUIRE(job.out().read_until("ready\n", 20s));
    }
    CHECK(census.is_empty());  // whom it moved to is its child, and is found by that
    CHECK(nothing_left.holds());
}

TEST_CASE("a leader that cannot be reaped yet holds no call beyond its bound, and is reaped once it can be") {
    // A process that is traced by somebody else shows itself to its parent only when the tracer lets go.
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options = captured(census);
    options.in = leash::piped;
    options.drain = 100ms;
    int go[2], up[2];
    REQUIRE(::pipe2(go, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(up, O_CLOEXEC) == 0);
    std::optional<leash::Popen> job(std::in_place, dash("echo ready; read x; sleep 30"), options);
    REQUIRE(job->out().read_until("ready\n", 20s));
    const pid_t leader = job->pid();

    const pid_t tracer = ::fork();
    if (tracer == 0) {
        ::close(go[1]);
        char c = ::ptrace(PTRACE_SEIZE, leader, nullptr, nullptr) == 0 ? 'y' : 'n';
        static_cast<void>(!::write(up[1], &c, 1));
        static_cast<void>(!::read(go[0], &c, 1));  // until the test says so, or is gone
        ::_exit(0);
    }
    REQUIRE(tracer > 1);
    char answer = 'n';
    CHECK(::read(up[0], &answer, 1) == 1);
    const auto let_go = [&] {
        ::close(go[1]);
        ::waitpid(tracer, nullptr, 0);
    };

    if (answer == 'y') {
        SUBCASE("and its handle outlives that") {
            const Stopwatch watch;
            const leash::ExitStatus status = job->stop(50ms);
            CHECK(watch.elapsed() < 150ms + slack);
            CHECK(status.unknown());
            CHECK(!job->survivors().empty());
            let_go();
            CHECK(eventually([&] { return state_of(leader) == 'Z' || state_of(leader) == '\0'; }));
            // given up, and yet: once it has ended, its end is told
            CHECK(eventually([&] { return job->wait().signaled(); }));
            CHECK(job->survivors().empty());
            job.reset();
        }
        SUBCASE("and the tracer lets go while it is waited for") {
            CHECK(job->kill());
            CHECK(eventually([&] { return state_of(leader) == 'Z'; }));
            const Effort effort;
            CHECK_FALSE(job->wait_for(500ms));  // its handle tells of an end all the time
            CHECK(effort.time() < 100ms);
            CHECK_FALSE(job->poll());
            let_go();
            CHECK(job->wait_for(20s) == leash::ExitStatus::from_signal(SIGKILL));
            job.reset();
        }
    } else {
        MESSAGE("ptrace is not permitted here: skipped");
        let_go();
        job.reset();
    }
    for (const int fd : {go[0], up[0], up[1]}) ::close(fd);
    CHECK(nothing_left.holds());
    reap_all();
}

TEST_CASE("a token that was fired before it was given ends the job in the first call, or keeps it from starting") {
    const NothingLeft nothing_left;
    {
        const Census census;
        leash::Options options = captured(census);
        leash::Cancel cancel;
        cancel.fire();
        options.cancel = cancel;
        const leash::Result result = leash::run(dash("sleep 30; true"), options);
        CHECK(result.cancelled);
        CHECK(result.status.unknown());
        CHECK_FALSE(result.ok());

        leash::Popen job(dash("sleep 30 & sleep 30; true"), options);
        const Stopwatch watch;
        CHECK(job.wait().signal() == SIGTERM);
        CHECK(watch.elapsed() < slack);
        CHECK(job.cancelled());
        CHECK(census.is_empty());
    }
    CHECK(nothing_left.holds());
}

TEST_CASE("one token ends many jobs, each in its own thread") {
    const NothingLeft nothing_left;
    {
        const Census census;
        leash::Cancel cancel;
        std::vector<std::thread> threads;
        std::vector<leash::Result> results(8);
        for (leash::Result& result : results) {
            threads.emplace_back([&census, cancel, &result] {
                leash::Options options = captured(census);
                options.cancel = cancel;
                result = leash::run(dash("sleep 30 & sleep 30; true"), options);
            });
        }
        CHECK(eventually([&] { return census.alive().size() >= 8; }));
        const Stopwatch watch;
        cancel.fire();
        for (std::thread& thread : threads) thread.join();
        CHECK(watch.elapsed() < slack);
        for (const leash::Result& result : results) CHECK(result.cancelled);
        CHECK(census.is_empty());
    }
    CHECK(nothing_left.holds());
}

TEST_CASE("a job outlives the thread that started it") {
    const NothingLeft nothing_left;
    const Census census;
    std::optional<leash::Popen> job;
    std::thread([&] {
        leash::Options options = captured(census);
        options.in = leash::piped;
        job.emplace(dash("echo ready; read x; exit 9"), options);
    }).join();
    REQUIRE(job->out().read_until("ready\n", 20s));
    CHECK_FALSE(job->wait_for(30ms));
    job->in().close();
    CHECK(job->wait().code() == 9);
    job.reset();
    CHECK(nothing_left.holds());
}

TEST_CASE("a short job's end of output never waits for a long one that was started beside it") {
    const NothingLeft nothing_left;
    const Census census;
    {
        std::vector<leash::Popen> long_ones;
        std::atomic<bool> stop{false};
        std::vector<std::thread> threads;
        // started and ended at the same time by other threads: the moments at which a pipe's end could be inherited
        for (int i = 0; i < 3; ++i) {
            threads.emplace_back([&] {
                while (!stop) {
                    leash::Options options = captured(census);
                    options.in = leash::piped;
                    leash::Popen beside({helper(), "sleep"}, options);
                    std::this_thread::sleep_for(1ms);
                }
            });
        }
        for (int i = 0; i < 3; ++i) long_ones.emplace_back(dash("sleep 30; true"), captured(census));
        for (int i = 0; i < 50; ++i) {
            leash::Options options = captured(census);
            options.in = leash::bytes("to the end");
            options.timeout = 30s;
            const leash::Result result = leash::run({"cat"}, options);
            CHECK(result.ok());
            CHECK(result.out == "to the end");
            CHECK(result.held.empty());
        }
        stop = true;
        for (std::thread& thread : threads) thread.join();
    }
    CHECK(census.is_empty());
    CHECK(nothing_left.holds());
}

TEST_CASE("a copy of the handle in a forked child of the host does the job no harm") {
    const NothingLeft nothing_left;
    const Census census;
    {
        leash::Options options = captured(census);
        options.in = leash::piped;
        options.timeout = 60s;
        leash::Popen job(dash("sleep 30 & echo ready; read x; exit 3"), options);
        REQUIRE(job.out().read_until("ready\n", 20s));
        const pid_t child = ::fork();
        if (child == 0) {
            bool harmless = !job.kill() && !job.terminate() && !job.send_signal(SIGKILL);
            job.stop(0ms);
            { const leash::Popen dies_here(std::move(job)); }
            ::_exit(harmless ? 0 : 1);
        }
        REQUIRE(child > 1);
        int status = 0;
        CHECK(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
        CHECK(census.reaches(2));
        CHECK_FALSE(job.poll());
        job.in().close();
        CHECK(job.wait().code() == 3);
    }
    CHECK(census.is_empty());
    CHECK(nothing_left.holds());
}

// The founding incident, in many shapes: what a shell command can leave behind, times the ways a job can end. Whatever
// the pair, the call comes back promptly and tells the truth, and afterwards no process, zombie or descriptor is left.
#include "support.hpp"

#include <doctest/doctest.h>

using namespace support;

namespace {

/// What becomes of the leader when SIGTERM comes, and then, where that does not help, SIGKILL.
struct End {
    leash::ExitStatus status;
    bool needs_kill = false;
};

const End dies{leash::ExitStatus::from_signal(SIGTERM), false};
const End resists{leash::ExitStatus::from_signal(SIGKILL), true};
End answers(int code) { return {leash::ExitStatus::from_code(code), false}; }
End stubborn(int code) { return {leash::ExitStatus::from_code(code), true}; }  // somebody else of it resists

/// One kind of job. Its script says "ready" on standard output when it is in the state that matters; $0 is the shell.
struct Shape {
    const char* name;
    const char* script;
    End end = dies;
    bool by_itself = false;    // the leader ends without us: `end` is how
    std::size_t escapees = 0;  // members that left the group: they stay alive, and hold no call beyond its bound
    bool held = false;         // an escapee holds standard output or error
    bool bash_only = false;
    bool apart = false;  // a parent link leads to one outside the group, once it is ready
};

// An escapee has left the group for certain before the leader goes on: the command substitution ends only when the
// escapee has closed its pipe, and it does that after setsid.
const Shape shapes[] = {
    {"a command behind which the shell waits", "echo ready; sleep 30; true"},
    {"a command that takes the shell's place", "echo ready; exec sleep 30"},
    {"one command in the background, one in front", "sleep 30 & echo ready; sleep 30"},
    {"a pipeline", "echo ready; sleep 30 | sleep 30 | cat"},
    {"nested shells", "\"$0\" -c '\"$0\" -c \"echo ready; sleep 30; true\" \"$0\"; true' \"$0\"; true"},

    {"the leader is gone, a member holds standard output", "sleep 30 </dev/null 2>/dev/null & echo ready; exit 3",
     answers(3), true},
    {"the leader is gone, a member holds standard error", "sleep 30 </dev/null >/dev/null & echo ready; exit 3",
     answers(3), true},
    {"the leader is gone, a member holds standard input",
     "exec 4<&0; sleep 30 <&4 4<&- >/dev/null 2>&1 & echo ready; exit 3", answers(3), true},
    {"the leader is gone, three members hold all streams",
     "exec 4<&0; for i in 1 2 3; do sleep 30 <&4 & done; echo ready; exit 3", answers(3), true},
    {"the leader is gone, members that hold nothing stay",
     "for i in 1 2 3 4 5; do sleep 30 </dev/null >/dev/null 2>&1 & done; echo ready; exit 0", answers(0), true},
    {"the leader is gone, a member that ignores SIGTERM stays",
     "exec 4>&1; x=$( (trap '' TERM; echo up; exec sleep 30 >&4 4>&-) & ); echo ready; exit 4", stubborn(4), true},
    {"the leader is gone, a stopped member stays", "sleep 30 & kill -STOP $!; echo ready; exit 0", answers(0), true},
    {"the leader was killed, a member stays", "sleep 30 & echo ready; kill -KILL $$", {resists.status, false}, true},

    {"an escapee holds standard output",
     "exec 4>&1; x=$(setsid \"$0\" -c 'echo up; exec sleep 30 >&4 4>&-' </dev/null 2>/dev/null &);"
     " echo ready; exit 3",
     answers(3), true, 1, true},
    {"an escapee holds standard error",
     "exec 4>&2; x=$(setsid \"$0\" -c 'echo up; exec sleep 30 >/dev/null 2>&4 4>&-' </dev/null 2>/dev/null &);"
     " echo ready; exit 3",
     answers(3), true, 1, true},
    {"an escapee holds standard input",
     "exec 4<&0; x=$(setsid \"$0\" -c 'echo up; exec sleep 30 >/dev/null <&4 4<&-' </dev/null 2>/dev/null &);"
     " echo ready; exit 3",
     answers(3), true, 1, false},
    {"an escapee holds standard output while the leader lives on",
     "exec 4>&1; x=$(setsid \"$0\" -c 'echo up; exec sleep 30 >&4 4>&-' </dev/null 2>/dev/null &);"
     " echo ready; sleep 30; true",
     dies, false, 1, true},
    {"an escapee by job control holds standard output", "set -m; sleep 30 & set +m; echo ready; exit 3", answers(3),
     true, 1, true, true},

    {"the leader goes on SIGTERM, a member ignores it",
     "trap 'exit 7' TERM; (trap '' TERM; echo ready; sleep 30; sleep 30) & wait; wait", stubborn(7)},
    {"the leader outlives SIGTERM, its members do not", "trap : TERM; echo ready; while :; do sleep 30 & wait; done",
     resists},
    {"everyone ignores SIGTERM", "trap '' TERM; sleep 30 & echo ready; sleep 30; sleep 30", resists},
    {"the leader answers SIGTERM by starting one more",
     "trap 'sleep 30 & exit 5' TERM; echo ready; sleep 30 & wait; wait", stubborn(5)},
    {"the leader stops itself", "echo ready; kill -STOP $$; sleep 30"},
    {"a stopped leader that ignores SIGTERM", "trap '' TERM; echo ready; kill -STOP $$; sleep 30; sleep 30", resists},
    {"leader and members are all stopped", "sleep 30 & kill -STOP $!; echo ready; kill -STOP $$; sleep 30"},

    // Four chains in which each process starts its successor and goes: there is always somebody new. A chain ends by
    // itself after a while, so that no failure of this test can take the machine down.
    {"a forking storm",
     "f() { /bin/true; test $1 -gt 3000 || f $(($1 + 1)) & }; f 0; f 0; f 0; f 0; echo ready; sleep 30; true"},
    {"a forking storm that ignores SIGTERM, and a leader that does not",
     // Of new shells, since dash ends what calls itself a thousand times: within the grace, by itself.
     "trap 'exit 6' TERM; (trap '' TERM;"
     " s='/bin/true; test $1 -gt 3000 || \"$0\" -c \"$2\" \"$0\" $(($1 + 1)) \"$2\" &';"
     " set -- 0 \"$s\"; eval \"$s\"; eval \"$s\"; eval \"$s\"; echo ready) & wait; sleep 30 & wait; wait",
     stubborn(6)},
    {"a forking storm whose leader is gone",
     "f() { /bin/true; test $1 -gt 3000 || f $(($1 + 1)) & }; f 0; f 0; f 0; f 0; echo ready; exit 0", answers(0),
     true},

    {"a member in a session of its own, whose parent lives",
     "(setsid \"$0\" -c 'echo ready; exec sleep 30'; true); true", dies, false, 0, false, false, true},
    {"a background writer after the leader", "echo ready; (sleep 0.01; echo late) & exit 3", answers(3), true},

    {"it closes all its streams and lives on", "echo ready; exec <&- >&- 2>&-; sleep 30; true"},
    {"it floods standard output", "echo ready; yes; true"},
    {"it floods standard error", "echo ready; yes >&2; true"},
    {"it floods both and ignores SIGTERM", "trap '' TERM; echo ready; yes & yes >&2; sleep 30", resists},
};

constexpr auto slack = 10s;  // for a loaded machine; nothing here waits for it

struct Trial {
    const char* shell;
    const Shape& shape;
    Census census;
    leash::Options options;

    Trial(const char* with, const Shape& what) : shell(with), shape(what) {
        options.in = leash::piped;
        options.out = leash::piped;
        options.err = leash::piped;
        options.env = census.env();
        // Where they must be used up they are short, though long enough for SIGKILL on a loaded machine. Where they must
        // not be, using them up would be beyond the bound.
        options.grace = grace();
        options.drain = shape.by_itself ? 100ms : shape.held ? 500ms : 20s;
        options.max_output = 64 * 1024;
    }

    /// Of a stop that has to kill. Where the leader answers SIGTERM before, it needs some of it.
    std::chrono::milliseconds grace() const {
        if (!shape.end.needs_kill) return 20s;
        return !shape.by_itself && shape.end.status.exited() ? 2s : 100ms;
    }

    leash::Command command() const { return leash::args({shell, "-c", shape.script, shell}); }

    /// The job ends by its own deadline; or, where its leader goes by itself, long before that.
    void give_deadline() { options.timeout = shape.by_itself ? 60s : 100ms; }
    /// How long a call may take which ends the job. bash forks with SIGTERM blocked (5.2: `INT TERM CHLD`), so that
    /// whom it is just starting when that comes does not get it, and has all of the grace: before it is ready.
    std::chrono::nanoseconds bound(bool ready) const {
        std::chrono::nanoseconds most = slack;
        if (!shape.by_itself) most += 100ms;
        if (shape.end.needs_kill || (!ready && std::strcmp(shell, "/bin/bash") == 0)) most += options.grace.length();
        if (shape.held || shape.by_itself) most += options.drain.length();
        return most;
    }

    bool await_ready(leash::Popen& job) const {
        const bool ready = job.out().read_until("ready\n", 20s).complete;
        // a leader that goes by itself has to be gone before the test goes on
        if (ready && shape.by_itself) return eventually([&] { return !is_alive(job.pid()); });
        return ready;
    }

    /// After SIGTERM, `grace` and SIGKILL, or after the leader's own end.
    void check_end(leash::ExitStatus status, bool ready) const {
        CAPTURE(status.describe());
        // A deadline can come before the script is ready; then only this much is sure.
        if (ready) CHECK(status == shape.end.status);
        else CHECK((status.signaled() || status.exited()));
    }
    /// Right at the return of the call that ended it, without any further wait.
    void check_gone(bool ready = true) const {
        CHECK(census.alive().size() <= shape.escapees + (shape.apart && !ready ? 1 : 0));
        // an escapee in the middle of its exec has no environment to be found by
        if (ready) CHECK(census.reaches(shape.escapees));
    }
};

/// Runs one way of ending over all the shapes, under dash and under bash where there is one.
template <class Way>
void for_each_shape(Way way) {
    for (const char* const shell : {"/bin/dash", "/bin/bash"}) {
        if (::access(shell, X_OK) != 0) continue;
        for (const Shape& shape : shapes) {
            if (shape.bash_only && std::strcmp(shell, "/bin/bash") != 0) continue;
            INFO(std::string(shell), ": ", std::string(shape.name));
            const NothingLeft nothing_left;
            {
                Trial trial(shell, shape);
                way(trial);
            }
            CHECK(nothing_left.holds());
        }
    }
}

/// A thread that is joined whatever happens.
class Thread {
  public:
    template <class Function>
    explicit Thread(Function function) : thread_(std::move(function)) {}
    ~Thread() { thread_.join(); }

  private:
    std::thread thread_;
};

}  // namespace

TEST_CASE("run() with a timeout ends every shape of job, and returns what had come") {
    for_each_shape([](Trial& trial) {
        trial.give_deadline();
        const Stopwatch watch;
        const leash::Result result = leash::run(trial.command(), trial.options);
        const bool ready = result.out.rfind("ready\n", 0) == 0;
        CHECK(watch.elapsed() < trial.bound(ready));
        trial.check_gone(ready);
        if (trial.shape.by_itself) CHECK(ready);
        trial.check_end(result.status, ready);
        CHECK(result.timed_out == !trial.shape.by_itself);
        CHECK_FALSE(result.cancelled);
        CHECK(result.survivors.empty());
        if (ready) CHECK(result.held.empty() != trial.shape.held);
        if (ready && trial.shape.end.needs_kill && !trial.shape.by_itself) CHECK(watch.elapsed() >= 200ms);
        CHECK(result.out.size() <= trial.options.max_output);
    });
}

TEST_CASE("wait() finds that the job's time is up, and ends it") {
    for_each_shape([](Trial& trial) {
        trial.give_deadline();
        const Stopwatch watch;
        leash::Popen job(trial.command(), trial.options);
        const bool ready = trial.await_ready(job);
        const leash::ExitStatus status = job.wait();
        CHECK(watch.elapsed() < trial.bound(ready));
        trial.check_gone(ready);
        trial.check_end(status, ready);
        CHECK(job.timed_out() == !trial.shape.by_itself);
        CHECK(job.survivors().empty());
    });
}

TEST_CASE("wait_for() finds that the job's time is up, and ends it") {
    for_each_shape([](Trial& trial) {
        trial.give_deadline();
        const Stopwatch watch;
        leash::Popen job(trial.command(), trial.options);
        const bool ready = trial.await_ready(job);
        std::optional<leash::ExitStatus> status;
        while (!status && watch.elapsed() < 30s) status = job.wait_for(30ms);
        CHECK(watch.elapsed() < trial.bound(ready));
        REQUIRE(status);
        trial.check_end(*status, ready);
        CHECK(job.timed_out() == !trial.shape.by_itself);
        CHECK(job.wait() == *status);
        trial.check_gone(ready);
        CHECK(job.survivors().empty());
    });
}

TEST_CASE("poll() finds that the job's time is up, and ends it") {
    for_each_shape([](Trial& trial) {
        trial.give_deadline();
        const Stopwatch watch;
        leash::Popen job(trial.command(), trial.options);
        const bool ready = trial.await_ready(job);
        std::optional<leash::ExitStatus> status;
        while (!status && watch.elapsed() < 30s) {
            status = job.poll();
            if (!status) std::this_thread::sleep_for(2ms);
        }
        CHECK(watch.elapsed() < trial.bound(ready));
        REQUIRE(status);
        trial.check_end(*status, ready);
        CHECK(job.timed_out() == !trial.shape.by_itself);
        // poll() does not wait for the killed to vanish, wait() does
        CHECK(job.wait() == *status);
        trial.check_gone(ready);
        CHECK(job.survivors().empty());
    });
}

TEST_CASE("communicate() finds that the job's time is up, and ends it") {
    for_each_shape([](Trial& trial) {
        trial.give_deadline();
        const Stopwatch watch;
        leash::Popen job(trial.command(), trial.options);
        const leash::Captured captured = job.communicate();
        const bool ready = captured.out.rfind("ready\n", 0) == 0;
        CHECK(watch.elapsed() < trial.bound(ready));
        trial.check_gone(ready);
        REQUIRE(captured.status);
        if (trial.shape.by_itself) CHECK(ready);
        trial.check_end(*captured.status, ready);
        CHECK(job.timed_out() == !trial.shape.by_itself);
        if (ready) CHECK(captured.held.empty() != trial.shape.held);
        CHECK(job.survivors().empty());
    });
}

TEST_CASE("lines() ends when the job's time is up, and the job with it") {
    for_each_shape([](Trial& trial) {
        trial.give_deadline();
        const Stopwatch watch;
        leash::Popen job(trial.command(), trial.options);
        bool ready = false;
        for (const std::string_view line : job.out().lines()) ready = ready || line == "ready";
        if (trial.shape.by_itself) CHECK(ready);
        const leash::ExitStatus status = job.wait();
        CHECK(watch.elapsed() < trial.bound(ready));
        trial.check_gone(ready);
        trial.check_end(status, ready);
        CHECK(job.timed_out() == !trial.shape.by_itself);
        CHECK(job.survivors().empty());
    });
}

TEST_CASE("the destructor ends every shape of job") {
    for_each_shape([](Trial& trial) {
        Stopwatch watch;
        {
            leash::Popen job(trial.command(), trial.options);
            REQUIRE(trial.await_ready(job));
            watch = Stopwatch();
        }
        CHECK(watch.elapsed() < trial.options.drain.length() + slack);
        trial.check_gone();
    });
}

TEST_CASE("an exception on its way through ends every shape of job") {
    for_each_shape([](Trial& trial) {
        bool ready = false;
        try {
            leash::Popen job(trial.command(), trial.options);
            ready = trial.await_ready(job);
            throw 1;
        } catch (int) {}
        CHECK(ready);
        trial.check_gone();
    });
}

TEST_CASE("stop() ends every shape of job within its grace") {
    for_each_shape([](Trial& trial) {
        leash::Popen job(trial.command(), trial.options);
        REQUIRE(trial.await_ready(job));
        const Stopwatch watch;
        const auto grace = trial.grace();  // what is not used is not waited for
        const leash::ExitStatus status = job.stop(grace);
        CHECK(watch.elapsed() < trial.options.drain.length() + slack);
        if (trial.shape.end.needs_kill) CHECK(watch.elapsed() >= grace);
        trial.check_gone();
        trial.check_end(status, true);
        CHECK_FALSE(job.timed_out());
        CHECK_FALSE(job.cancelled());
        CHECK(job.survivors().empty());
        CHECK(job.stop(grace) == status);
        CHECK(job.poll() == status);
        CHECK(job.terminate().error().code == std::errc::no_such_process);
        CHECK(job.kill().error().code == std::errc::no_such_process);
    });
}

TEST_CASE("communicate() that timed out, then stop(): nothing of the job is left, nothing of its output is lost") {
    for_each_shape([](Trial& trial) {
        leash::Popen job(trial.command(), trial.options);
        leash::Captured first;
        REQUIRE(eventually([&] {
            first = job.communicate({}, 20ms);
            return first.status || first.out.rfind("ready\n", 0) == 0;
        }));
        // One that is about to go by itself would be met by the SIGTERM, and lead to those who have left its group.
        if (trial.shape.by_itself) REQUIRE(eventually([&] { return !is_alive(job.pid()); }));
        const Stopwatch watch;
        const leash::ExitStatus status = job.stop(trial.grace());
        const leash::Captured last = job.communicate();
        CHECK(watch.elapsed() < trial.options.drain.length() + slack);
        trial.check_gone();
        CHECK(last.status == status);
        trial.check_end(status, true);
        const std::string& out = first.status ? first.out : last.out;
        CHECK(out.rfind("ready\n", 0) == 0);
        CHECK((!first.held.empty() || !last.held.empty()) == trial.shape.held);
        CHECK_FALSE(job.timed_out());
        CHECK(job.survivors().empty());
    });
}

TEST_CASE("kill() from another thread wakes the one that waits") {
    for_each_shape([](Trial& trial) {
        leash::Popen job(trial.command(), trial.options);
        REQUIRE(trial.await_ready(job));
        const Stopwatch watch;
        leash::ExitStatus status;
        {
            const Thread killer([&] { static_cast<void>(job.kill()); });
            status = job.wait();
        }
        CHECK(watch.elapsed() < trial.options.drain.length() + slack);
        trial.check_gone();
        if (trial.shape.by_itself) trial.check_end(status, true);
        else CHECK(status == leash::ExitStatus::from_signal(SIGKILL));
        CHECK(job.survivors().empty());
    });
}

TEST_CASE("terminate(), then wait(): what does not go is still there to be killed") {
    for_each_shape([](Trial& trial) {
        if (trial.shape.apart) return;  // that one gets no signal: terminate() means the group
        // what outlives its leader is not to be ended by the drain before kill() can do it
        if (trial.shape.end.needs_kill) trial.options.drain = 60s;
        leash::Popen job(trial.command(), trial.options);
        REQUIRE(trial.await_ready(job));
        const Stopwatch watch;
        static_cast<void>(job.terminate());
        leash::ExitStatus status;
        if (trial.shape.end.needs_kill) {
            CHECK_FALSE(job.wait_for(trial.grace()));
            CHECK(job.kill());
        }
        status = job.wait();
        CHECK(watch.elapsed() < (trial.shape.end.needs_kill ? 0s : trial.options.drain.length()) + slack);
        trial.check_gone();
        trial.check_end(status, true);
        CHECK(job.survivors().empty());
    });
}

TEST_CASE("a Cancel that another thread fires ends the job, whatever its owner does with it") {
    int turn = 0;
    for_each_shape([&](Trial& trial) {
        leash::Cancel cancel;
        trial.options.cancel = cancel;
        leash::Popen job(trial.command(), trial.options);
        REQUIRE(trial.await_ready(job));
        const Stopwatch watch;
        leash::ExitStatus status;
        {
            const Thread canceller([cancel]() mutable { cancel.fire(); });
            switch (turn++ % 3) {
                case 0: status = job.wait(); break;
                case 1: status = job.communicate().status.value_or(leash::ExitStatus()); break;
                default: {
                    const leash::Read rest = job.err().read_all();
                    CHECK((rest.complete || rest.timed_out));
                    status = job.wait();
                }
            }
        }
        CHECK(watch.elapsed() < trial.options.grace.length() + trial.options.drain.length() + slack);
        trial.check_gone();
        trial.check_end(status, true);
        if (!trial.shape.by_itself) CHECK(job.cancelled());  // what the leader left may have ended first
        CHECK_FALSE(job.timed_out());
        CHECK(job.survivors().empty());
    });
}

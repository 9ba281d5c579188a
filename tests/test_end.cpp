// tests/test_end.cpp - the end of a job: nothing lost, nobody cut short, nobody forgotten.
//
// Where something must not be waited for, it would take `for_long`, and the test wants to be through in less.
#include <doctest/doctest.h>

#include "inside.hpp"
#include "support.hpp"

#include <algorithm>
#include <functional>
#include <mutex>

#include <poll.h>
#include <sys/prctl.h>

#if defined(__linux__)
#include <sched.h>
#endif

using leash::EndedBy;
using leash::Supervisor;
using support::capture;
using support::Census;
using support::child;
using support::eventually;
using support::helper;
using support::NothingLeft;
using support::pattern;
using support::pids;
using support::read_file;
using support::silent;
using support::Stopwatch;
using support::TemporaryDirectory;
using namespace std::chrono_literals;

namespace {

constexpr auto for_long = 60s, soon = 30s;

bool has_program(const char* name) {
    leash::Options options;
    options.out = leash::null;
    const bool has = leash::run(leash::shell("command -v \"$1\"", {name}), options).ok();
    if (!has) MESSAGE("skipped: there is no ", std::string(name), " here");
    return has;
}

/// Several at a time, so that they are in each other's way.
const leash::RunAllOptions at_once = [] {
    leash::RunAllOptions how;
    how.max_running = 6;
    return how;
}();

/// Options under which a job may take as long as it likes to come to its end, and is not to use that up.
leash::Options patient(leash::Options options) {
    options.grace = for_long;
    options.drain = for_long;
    return options;
}

/// The pid that a straggler has written down once its leader had ended; 0 where it has not.
pid_t written_in(const std::string& path) { return std::atoi(read_file(path).c_str()); }

}  // namespace

TEST_SUITE_BEGIN("end");

// ---- the end by itself

TEST_CASE("what is written after the leader's end is not lost, be it ever so much") {
    const Census census;
    const NothingLeft before;
    leash::Options options = patient(capture(census));
    std::vector<leash::Task> jobs;
    const auto size = [](std::size_t round) { return round % 10 == 0 ? 1'000'000U : 5000U; };
    for (std::size_t round = 0; round < 100; ++round)
        jobs.push_back({child({"write-after", std::to_string(size(round))}), options});
    const auto results = leash::run_all(std::move(jobs), at_once);
    for (std::size_t round = 0; round < 100; ++round) {
        const leash::Result& r = results[round].value();
        CHECK(r.ok());
        REQUIRE(r.out == pattern(size(round)));
        CHECK(r.stragglers.empty());
        CHECK(r.held.empty());
    }
    CHECK(census.is_empty());
    CHECK(before.holds());
}

TEST_CASE("the output of a process substitution is not lost") {
    if (!has_program("bash")) return;
    const Census census;
    std::string lines;
    for (int i = 1; i <= 2000; ++i) lines += std::to_string(i) + "\n";
    leash::Options options = patient(capture(census));
    std::vector<leash::Task> jobs;
    for (int round = 0; round < 100; ++round)
        jobs.push_back({{"bash", "-c", "exec > >(cat) 2>&1; seq 1 2000"}, options});
    for (const auto& result : leash::run_all(std::move(jobs), at_once)) {
        const leash::Result& r = result.value();
        CHECK(r.ok());
        REQUIRE(r.out == lines);
        CHECK(support::told(r) == "exited 0");
    }
    CHECK(census.is_empty());
}

TEST_CASE(
    "what the leader leaves behind has the drain, is ended then and named, and the job is as good as its leader") {
    const Census census;
    leash::Options options = capture(census);
    options.drain = 150ms;
    leash::Command command = child({"fork-holder", "0", "1"});
    SUBCASE("it holds a stream") {}
    SUBCASE("it holds none") { command = child({"fork-holder", "0"}); }
    SUBCASE("it ignores SIGTERM") { command = child({"fork-ignoring-holder", "0"}); }
    SUBCASE("in a session") { options.group = leash::Group::session; }
    const Stopwatch watch;
    const leash::Result r = leash::run(command, options);
    CHECK(watch.elapsed() >= 150ms);
    CHECK(census.is_empty());
    CHECK(r.ok());
    CHECK(r.ended_by == EndedBy::itself);
    REQUIRE(r.stragglers.size() == 1);
    CHECK(std::to_string(r.stragglers[0].pid) + "\n" == r.out);
    CHECK(r.stragglers[0].command.find(command.argv()[1]) != std::string::npos);
    CHECK(r.stragglers[0].why == "");
    CHECK(r.survivors.empty());
    CHECK(r.held.empty());
    const std::string& line = r.stragglers[0].command;
    CHECK(support::told(r) == "exited 0; left behind and killed: " + std::to_string(r.stragglers[0].pid) + " " +
                                  line.substr(0, line.find(' ')));
}

TEST_CASE(
    "all that are left behind are named, those included who have a group of their own and a parent that is left") {
    const Census census;
    const TemporaryDirectory directory;
    leash::Options options = silent(census);
    options.drain = 300ms;
    // a leader that ends, its child that lives, and that one's child in a group of its own
    const std::string script = "\"$1\" apart group 1 >\"$2\" & until grep -q ready \"$2\"; do sleep 0.01; done";
    const leash::Result r = leash::run(leash::shell(script, {helper(), directory / "out"}), options);
    CHECK(r.ok());
    CHECK(census.is_empty());  // both were ended
    CHECK(r.stragglers.size() >= 1);
}

TEST_CASE("with a drain of nothing all ends with the leader, and is named") {
    const Census census;
    leash::Options options = capture(census);
    options.drain = 0s;
    const Stopwatch watch;
    for (int round = 0; round < 20; ++round) {
        const leash::Result r = leash::run(child({"fork-ignoring-holder", "0", "1"}), options);
        CHECK(r.ok());
        CHECK(pids(r.stragglers) == std::vector<pid_t>{std::atoi(r.out.c_str())});
        CHECK(r.survivors.empty());
        CHECK(census.is_empty());
    }
    CHECK(watch.elapsed() < 20s);
}

TEST_CASE("a job that leaves nobody behind, or nobody who stays, does not take the drain") {
    const Census census;
    const leash::Options options = patient(capture(census));
    const auto is_quick = [](const std::function<leash::Result()>& run) {
        const Stopwatch watch;
        const leash::Result r = run();
        CHECK(watch.elapsed() < soon);
        CHECK(r.ok());
        CHECK(r.stragglers.empty());
        CHECK(r.held.empty());
    };
    SUBCASE("nobody") {
        is_quick([&] { return leash::run({"true"}, options); });
        is_quick([&] { return leash::run({"true"}, patient(silent(census))); });
    }
    SUBCASE("a pipeline") {
        is_quick([&] { return leash::run(leash::args({"echo", "a"}) | leash::args({"cat"}), options); });
    }
    SUBCASE("a group of the host's") {
        leash::Options inherited = options;
        inherited.group = leash::Group::inherited;
        is_quick([&] { return leash::run({"true"}, inherited); });
    }
    SUBCASE("one that stays for a moment, and says nothing") {
        const TemporaryDirectory directory;
        const std::string go = directory.file("go", "");
        is_quick([&] { return leash::run(child({"orphan", directory / "it", "quiet", go}), options); });
    }
    SUBCASE("one that has got a new parent, which does not reap it") {
#if defined(__linux__)
        const std::string wrong = support::in_host([&]() -> std::string {
            HOST_NEEDS(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
            return support::in_host([&]() -> std::string {
                const TemporaryDirectory directory;
                const std::string go = directory.file("go", "");
                const Stopwatch watch;
                HOST_NEEDS(leash::run(child({"orphan", directory / "it", "quiet", go}), options).ok());
                HOST_NEEDS(watch.elapsed() < soon);
                return "";
            });
        });
        CHECK(wrong == "");
#endif
    }
}

TEST_CASE("a job that drains is not over: it has no status, takes signals, and tells when to look again") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string it = directory / "it", go = directory / "go";
    const NothingLeft before;
    {
        leash::Popen p(child({"orphan", it, "quiet", go}), patient(silent(census)));
        REQUIRE(eventually([&] { return written_in(it) > 0; }));
        CHECK_FALSE(p.poll());
        CHECK_FALSE(p.wait_for(20ms));
        CHECK_FALSE(p.communicate({}, 20ms).status);
        CHECK(p.stragglers().empty());
        CHECK_FALSE(p.time_left().is_none());
        CHECK(p.time_left().length() <= for_long);
        CHECK(p.send_signal(SIGCONT));
        CHECK(p.send_signal(0));
        directory.file("go", "");
        const Stopwatch watch;
        CHECK(p.wait().success());
        CHECK(watch.elapsed() < soon);
        CHECK(p.ended_by() == EndedBy::itself);
        CHECK(p.time_left().length() == 0ns);
        const auto sent = p.send_signal(SIGUSR1);
        REQUIRE_FALSE(sent);
        CHECK(sent.error().message().find("the job has ended") != std::string::npos);
    }
    CHECK(before.holds());
}

// ---- other ways with stragglers

TEST_CASE("a daemon that is to be left comes up for certain") {
    const Census census;
    const TemporaryDirectory directory;
    leash::Options options = silent(census);
    options.stragglers = leash::Stragglers::leave;
    std::string all;
    for (int round = 0; round < 100; ++round) {
        REQUIRE(leash::run(child({"daemon", directory / "came"}), options).ok());
        all += "up\n";
    }
    CHECK(eventually([&] { return read_file(directory / "came") == all; }));
}

TEST_CASE("who is left has no part in the end, but for the streams that it holds, and those have the drain") {
    const Census census;
    leash::Options options = patient(capture(census));
    options.stragglers = leash::Stragglers::leave;
    const Stopwatch watch;
    const leash::Result free = leash::run(child({"fork-holder", "3"}), options);
    CHECK(watch.elapsed() < soon);
    CHECK(free.status.code() == 3);
    options.drain = 100ms;
    const Stopwatch again;
    const leash::Result held = leash::run(child({"fork-holder", "4", "2"}), options);
    CHECK(again.elapsed() >= 100ms);
    CHECK(held.status.code() == 4);
    REQUIRE(held.held.size() == 1);
    CHECK(std::to_string(held.held[0].pid) + "\n" == held.out);
    CHECK(held.held[0].why == "holds err");
    for (const leash::Result* const r : {&free, &held}) {
        CHECK(support::is_alive(std::atoi(r->out.c_str())));
        CHECK(r->stragglers.empty());
        CHECK(r->survivors.empty());
    }
}

TEST_CASE("one that waits for stragglers lasts until they have ended, and its output, whatever the drain is") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string it = directory / "it", go = directory / "go";
    leash::Options options = capture(census);
    options.stragglers = leash::Stragglers::wait;
    options.drain = 0s;
    options.grace = for_long;
    SUBCASE("their output is the job's") {
        const leash::Result r = leash::run(child({"write-after", "1000000"}), options);
        CHECK(r.ok());
        CHECK(r.out == pattern(1'000'000));
        CHECK(r.stragglers.empty());
    }
    SUBCASE("they say nothing") {
        leash::Popen p(child({"orphan", it, "quiet", go}), options);
        REQUIRE(eventually([&] { return written_in(it) > 0; }));
        CHECK_FALSE(p.wait_for(50ms));
        CHECK(support::is_alive(written_in(it)));
        directory.file("go", "");
        CHECK(p.wait().success());
        CHECK(p.ended_by() == EndedBy::itself);
    }
    SUBCASE("one out of reach that holds a stream is waited for") {
        std::thread releases([&] {
            eventually([&] { return written_in(it) > 0; });
            directory.file("go", "");
        });
        const leash::Result r = leash::run(child({"orphan", it, "apart", go}), options);
        releases.join();
        CHECK(r.ok());
        CHECK(r.held.empty());
    }
    SUBCASE("stop() ends it") {
        leash::Popen p(child({"orphan", it, "holds"}), options);
        REQUIRE(eventually([&] { return written_in(it) > 0; }));
        CHECK_FALSE(p.wait_for(20ms));
        const Stopwatch watch;
        CHECK(p.stop(for_long).success());
        CHECK(watch.elapsed() < soon);
        CHECK(p.ended_by() == EndedBy::stop);
        CHECK(census.is_empty());
    }
    SUBCASE("its timeout ends it") {
        CHECK(support::in_time(200ms, [&](auto timeout) {
            options.timeout = timeout;
            const leash::Result r = leash::run(child({"orphan", it, "holds"}), options);
            CHECK(r.ended_by == EndedBy::timeout);
            CHECK(r.timed_out);
            CHECK_FALSE(r.ok());
            CHECK(census.is_empty());
            return r.status.exited();
        }));
    }
}

// ---- the end by force

TEST_CASE("the grace is for all of it, and a server behind a shell that dies at once comes to its end in order") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string state = directory / "state";
    const leash::Command server = leash::shell("\"$1\" save-on-term \"$2\"; echo done", {helper(), state});
    leash::Options options = patient(capture(census));
    const Stopwatch watch;
    leash::Result r;
    const auto is_ready = [](leash::Popen& p) { CHECK(p.out().read_until("ready\n", soon)); };
    const auto take = [&](leash::Popen& p) {
        r.status = p.wait();
        r.ended_by = p.ended_by();
        r.stragglers = p.stragglers();
    };
    EndedBy expected = EndedBy::stop;
    SUBCASE("stop()") {
        leash::Popen p(server, options);
        is_ready(p);
        p.stop(for_long);
        take(p);
    }
    SUBCASE("a cancel") {
        expected = EndedBy::cancel;
        options.cancel = leash::Cancel();
        options.out = leash::sink([&](std::string_view) { options.cancel->fire(); });
        r = leash::run(server, options);
    }
    SUBCASE("the timeout") {
        expected = EndedBy::timeout;
        options.cancel = std::nullopt;
        bool was_ready = false;
        options.out = leash::sink([&](std::string_view) { was_ready = true; });
        CHECK(support::in_time(200ms, [&](auto timeout) {
            options.timeout = timeout;
            r = leash::run(server, options);
            return was_ready;
        }));
    }
    SUBCASE("a Supervisor's cancel()") {
        expected = EndedBy::cancel;
        Supervisor jobs;
        const auto id = jobs.add(leash::Popen(server, options)).value();
        while (auto event = jobs.next(soon)) {
            if (event->kind == Supervisor::Event::output) jobs.cancel();
            if (event->kind == Supervisor::Event::ended) break;
        }
        take(jobs.job(id));
    }
    CHECK(read_file(state) == "saved");
    CHECK(r.status.signal() == SIGTERM);
    CHECK(r.ended_by == expected);
    CHECK(r.stragglers.empty());
    CHECK(watch.elapsed() < for_long);
    CHECK(census.is_empty());
}

TEST_CASE("when the grace is over, those who are left get SIGKILL") {
    const Census census;
    leash::Options options = capture(census);
    leash::Popen p(leash::shell("\"$1\" ignore-term; echo done", {helper()}), options);
    CHECK(p.out().read_until("ready\n", soon));
    const Stopwatch watch;
    CHECK(p.stop(100ms).signal() == SIGTERM);
    CHECK(watch.elapsed() >= 100ms);
    CHECK(census.is_empty());
    CHECK(p.stragglers().empty());
    CHECK(p.survivors().empty());
}

#if defined(__linux__)

TEST_CASE("a forced end reaches who has made a group or a session of its own, as long as its parent is there") {
    const Census census;
    leash::Options options = capture(census);
    options.grace = 50ms;
    for (const char* const kind : {"group", "session"}) {
        for (const char* const ignores : {"", "children", "all"}) {
            CAPTURE(std::string(kind));
            CAPTURE(std::string(ignores));
            const leash::Command command = child({"apart", kind, "3", ignores});
            const auto start = [&](const leash::Options& how) {
                auto p = leash::Popen(command, how);
                CHECK(p.out().read_until("ready\n", soon));
                return p;
            };
            {
                leash::Popen p = start(options);
                p.stop(50ms);
                CHECK(census.is_empty());
            }
            {
                leash::Popen p = start(options);
                CHECK(p.kill());
                p.wait();
                CHECK(p.ended_by() == EndedBy::kill);
                CHECK(census.is_empty());
            }
            { leash::Popen p = start(options); }
            CHECK(census.is_empty());
            {
                Supervisor jobs;
                CHECK(jobs.add(start(options)));
            }
            CHECK(census.is_empty());
            leash::Options cancelled = options;
            cancelled.cancel = leash::Cancel();
            cancelled.out = leash::sink([&](std::string_view) { cancelled.cancel->fire(); });
            CHECK(leash::run(command, cancelled).ended_by == EndedBy::cancel);
            CHECK(census.is_empty());
            leash::Options timed = options;
            CHECK(support::in_time(50ms, [&](auto timeout) {
                // Before it is ready one may start the next one between the look and its own TERM: to that one nothing leads.
                // In the grace it may still become so.
                const Census attempt;
                bool was_ready = false;
                const Stopwatch watch;
                timed.env = attempt.env();
                timed.timeout = timeout;
                timed.out = leash::sink([&](std::string_view) { was_ready = watch.elapsed() < timeout; });
                const leash::Result r = leash::run(command, timed);
                CHECK(r.ended_by == EndedBy::timeout);
                if (was_ready) CHECK(attempt.is_empty());
                return was_ready;
            }));
        }
    }
}

TEST_CASE(
    "who is apart is the same process whatever it has become between two looks: by exec, in size, by its parent") {
    if (!has_program("setsid")) return;
    const Census census;
    const auto ready = [&](const char* script) {
        leash::Popen p(leash::shell("setsid sh -c \"$1\" & wait; wait", {script}), capture(census));
        CHECK(p.out().read_until("ready\n", soon));
        return p;
    };
    for (int round = 0; round < 20; ++round) {
        CAPTURE(round);
        {
            leash::Popen p = ready("echo ready; exec sleep 30");  // it is just becoming that
            const Stopwatch watch;
            CHECK(p.stop(for_long).signal() == SIGTERM);
            CHECK(watch.elapsed() < soon);
        }
        CHECK(census.is_empty());
    }
    leash::Popen p = ready("trap 'exec sleep 30' TERM; echo ready; while :; do sleep 0.01; done");
    CHECK(p.stop(500ms).signal() == SIGTERM);
    CHECK(census.is_empty());
}

TEST_CASE("who is apart and starts others all the time takes them along") {
    if (!has_program("setsid")) return;
    const Census census;
    for (int round = 0; round < 20; ++round) {
        CAPTURE(round);
        {
            leash::Popen p(
                leash::shell("setsid sh -c 'echo ready; i=0; while test $((i += 1)) -lt 1000; do sleep 30 & done; wait'"
                             " & wait; wait"),
                capture(census));
            CHECK(p.out().read_until("ready\n", soon));
            REQUIRE(support::eventually([&] { return census.alive().size() > 10; }));
            CHECK(p.kill());
            CHECK(p.wait().signal() == SIGKILL);
        }
        CHECK(census.is_empty());
    }
}

TEST_CASE("at a forced end nobody is continued by the end of its parent, and starts one more") {
    const Census census;
    for (int round = 0; round < 10; ++round) {
        for (const char* const below : {"leader", "child"}) {
            CAPTURE(std::string(below));
            leash::Options options = capture(census);
            options.group = leash::Group::session;  // in which nobody but its own is a parent
            leash::Popen p(child({"continued", below, "200"}), options);
            CHECK(p.out().read_until("ready\n", soon));
            CHECK(p.kill());
            CHECK(p.wait().signal() == SIGKILL);
            CHECK(census.is_empty());
        }
    }
}

#if defined(__linux__)
TEST_CASE("of those who each start the next one and go, the present one is met at each look at all processes") {
    const Census census;
    leash::Options options = capture(census);
    options.in = leash::null;
    leash::Popen p(leash::shell("sh -c \"$1\" sh \"$1\" 0 & echo ready; exit 3",
                                {"test $2 -gt 100000 || sh -c \"$1\" sh \"$1\" $(($2 + 1)) &"}),
                   options);
    CHECK(p.out().read_until("ready\n", soon));
    REQUIRE(eventually([&] { return !support::is_alive(p.pid()); }));
    leash::detail::os::ProcessTable table;
    if (!table.read_now()) return;  // nobody is to be seen here
    int missed = 0;
    for (int look = 0; look < 300; ++look) {
        REQUIRE(table.read_now());
        missed += std::none_of(table.begin(), table.end(), [&](const leash::detail::os::Seen& one) {
            return one.group == p.pid() && one.is_alive();
        });
    }
    CHECK(missed == 0);
    CHECK(eventually([&] { return !census.alive().empty(); }));  // it went on all the time; the census may miss it once
    p.kill();
    CHECK(p.wait().code() == 3);
    CHECK(census.is_empty());
}
#endif

TEST_CASE("who is apart has the grace too, and the job is over when that one has gone") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string state = directory / "state";
    leash::Popen p(leash::shell("setsid \"$1\" save-on-term \"$2\"; echo done", {helper(), state}),
                   patient(capture(census)));
    if (!has_program("setsid")) return;
    CHECK(p.out().read_until("ready\n", soon));
    const Stopwatch watch;
    CHECK(p.stop(for_long).signal() == SIGTERM);
    CHECK(watch.elapsed() < soon);
    CHECK(read_file(state) == "saved");
    CHECK(census.is_empty());
}

TEST_CASE("the tools that make groups of their own are reached through") {
    const Census census;
    leash::Options options = capture(census);
    std::vector<const char*> command;
    SUBCASE("timeout") { command = {"timeout", "1000"}; }
    SUBCASE("setsid") { command = {"setsid", "--wait"}; }
    SUBCASE("bash -m") { command = {"bash", "-m", "-c", "\"$@\"; true", "bash"}; }
    if (command.empty() || !has_program(command[0])) return;
    std::vector<std::string> argv(command.begin(), command.end());
    for (const char* const one : {"apart", "group", "1", "all"}) {
        if (argv.size() == command.size()) argv.push_back(helper());
        argv.emplace_back(one);
    }
    leash::Popen p(leash::shell("\"$@\"; true", argv), options);
    CHECK(p.out().read_until("ready\n", soon));
    p.stop(50ms);
    CHECK(census.is_empty());
}

#endif

TEST_CASE("terminate() and other signals mean the group only") {
    const Census census;
    leash::Popen p(child({"apart", "session", "1"}), patient(silent(census)));
    REQUIRE(census.reaches(2));
    REQUIRE(eventually([&] {
        for (const pid_t pid : census.alive()) {
            if (pid != p.pid() && ::getsid(pid) == pid) return true;
        }
        return false;
    }));
    CHECK(p.terminate());
    CHECK(p.wait().signal() == SIGTERM);
    CHECK(p.ended_by() == EndedBy::itself);
    CHECK(census.alive().size() == 1);  // its parent has gone: nobody's links lead to it now
}

TEST_CASE("a leader that goes from group to group does not slip through") {
    const Census census;
    const NothingLeft before;
    for (int round = 0; round < 30; ++round) {
        leash::Popen p(child({"flip-group"}), capture(census));
        CHECK(p.out().read_until("ready\n", soon));
        const Stopwatch watch;
        if (round % 2 == 0) p.stop(0s);
        else CHECK(p.kill());
        CHECK(p.wait().signal() > 0);
        CHECK(watch.elapsed() < 4s);  // five seconds are what the kernel may take to end one that got its SIGKILL
        CHECK(p.survivors().empty());
#if defined(__linux__)
        CHECK(census.is_empty());
#endif
    }
    CHECK(before.holds());
}

// ---- while it drains

namespace {

/// How a job that drains came to its end.
struct End {
    leash::ExitStatus status;
    EndedBy by = EndedBy::memory;
    std::vector<pid_t> held, stragglers;
};

End end_of(leash::Popen& p, std::optional<leash::ExitStatus> status) {
    return {status.value_or(leash::ExitStatus()), p.ended_by(), {}, pids(p.stragglers())};
}
End end_of(const leash::Result& r) { return {r.status, r.ended_by, pids(r.held), pids(r.stragglers)}; }

/// What is done in another thread as soon as the job drains, which its straggler tells with a file: to the handle, where
/// there is one, which has to live until that is done.
class Meanwhile {
  public:
    Meanwhile(std::string path, std::function<void(leash::Popen*)> act)
        : path_(std::move(path)), act_(std::move(act)) {}
    void start(leash::Popen* p) {
        thread_ = std::thread([this, p] {
            if (eventually([this] { return is_over_ || written_in(path_) > 0; }) && !is_over_) act_(p);
        });
    }
    void join() {
        is_over_ = true;
        thread_.join();
    }

  private:
    const std::string path_;
    const std::function<void(leash::Popen*)> act_;
    std::atomic<bool> is_over_{false};
    std::thread thread_;
};

/// What may see a job to its end.
struct Way {
    const char* name;
    bool has_handle, reads;
    End (*see)(const leash::Command&, const leash::Options&, Meanwhile& meanwhile);
};

const Way ways[] = {
    {"run()", false, true,
     [](const leash::Command& command, const leash::Options& options, Meanwhile& meanwhile) {
         meanwhile.start(nullptr);
         const leash::Result r = leash::run(command, options);
         meanwhile.join();
         return end_of(r);
     }},
    {"wait()", true, false,
     [](const leash::Command& command, const leash::Options& options, Meanwhile& meanwhile) {
         leash::Popen p(command, options);
         meanwhile.start(&p);
         const auto status = p.wait();
         meanwhile.join();
         return end_of(p, status);
     }},
    {"wait_for()", true, false,
     [](const leash::Command& command, const leash::Options& options, Meanwhile& meanwhile) {
         leash::Popen p(command, options);
         meanwhile.start(&p);
         const auto status = p.wait_for(for_long);
         meanwhile.join();
         return end_of(p, status);
     }},
    {"poll()", true, false,
     [](const leash::Command& command, const leash::Options& options, Meanwhile& meanwhile) {
         leash::Popen p(command, options);
         meanwhile.start(&p);
         std::optional<leash::ExitStatus> status;
         eventually([&] { return (status = p.poll()).has_value(); }, for_long);
         meanwhile.join();
         return end_of(p, status);
     }},
    {"read_all()", true, true,
     [](const leash::Command& command, const leash::Options& options, Meanwhile& meanwhile) {
         leash::Popen p(command, options);
         meanwhile.start(&p);
         static_cast<void>(p.out().read_all());
         static_cast<void>(p.err().read_all());
         const auto status = p.wait();
         meanwhile.join();
         return end_of(p, status);
     }},
    {"communicate()", true, true,
     [](const leash::Command& command, const leash::Options& options, Meanwhile& meanwhile) {
         leash::Popen p(command, options);
         meanwhile.start(&p);
         const leash::Captured captured = p.communicate();
         meanwhile.join();
         End end = end_of(p, captured.status);
         end.held = pids(captured.held);
         return end;
     }},
    {"a Supervisor", true, true,
     [](const leash::Command& command, const leash::Options& options, Meanwhile& meanwhile) {
         Supervisor jobs;
         const auto id = jobs.add(leash::Popen(command, options)).value();
         meanwhile.start(&jobs.job(id));
         for (auto event = jobs.next(for_long); event && event->kind != Supervisor::Event::ended;)
             event = jobs.next(for_long);
         meanwhile.join();
         leash::Popen p = jobs.remove(id);
         const leash::Captured captured = p.communicate({}, 0s);
         End end = end_of(p, captured.status);
         end.held = pids(captured.held);
         return end;
     }},
    {"run_all()", false, true,
     [](const leash::Command& command, const leash::Options& options, Meanwhile& meanwhile) {
         meanwhile.start(nullptr);
         std::vector<leash::Task> jobs;
         jobs.push_back({command, options});
         const auto results = leash::run_all(std::move(jobs));
         meanwhile.join();
         return end_of(results[0].value());
     }},
};

/// Where the job drains, `act` is done in another thread.
End see(const Way& way, const char* kind, const leash::Options& options, std::function<void(leash::Popen*)> act) {
    const TemporaryDirectory directory;
    const std::string it = directory / "it";
    Meanwhile meanwhile(it, std::move(act));
    const End end = way.see(child({"orphan", it, kind}), options, meanwhile);
    // Who was too late to be ended may be late to write it down, too.
    if (!end.held.empty()) CHECK(eventually([&] { return end.held[0] == written_in(it); }));
    return end;
}

}  // namespace

TEST_CASE("a cancel ends a job that drains, at once, whoever waits for it in whichever way") {
    const Census census;
    for (const Way& way : ways) {
        for (const char* const kind : {"holds", "quiet", "apart"}) {
            const bool is_apart = std::string(kind) == "apart";
            if (is_apart && !way.reads) continue;
            CAPTURE(std::string(way.name));
            CAPTURE(std::string(kind));
            const Census own;
            leash::Options options = patient(capture(own));
            options.cancel = leash::Cancel();
            const Stopwatch watch;
            const End end = see(way, kind, options, [&](leash::Popen*) { options.cancel->fire(); });
            CHECK(watch.elapsed() < soon);
            CHECK(end.status.success());
            CHECK(end.by == EndedBy::cancel);
            CHECK(end.stragglers.empty());
            CHECK(own.alive().size() == (is_apart ? 1 : 0));
        }
    }
}

TEST_CASE("the timeout and the idle timeout end a job that drains, whoever waits for it in whichever way") {
    for (const Way& way : ways) {
        for (const char* const kind : {"holds", "quiet", "apart"}) {
            for (const bool idle : {false, true}) {
                const bool is_apart = std::string(kind) == "apart";
                if ((is_apart || idle) && !way.reads) continue;
                if (idle && std::string(kind) == "quiet") continue;
                CAPTURE(std::string(way.name));
                CAPTURE(std::string(kind));
                CAPTURE(idle);
                CHECK(support::in_time(100ms, [&](auto timeout) {
                    const Census own;
                    leash::Options options = patient(capture(own));
                    options.drain = 4 * timeout;
                    (idle ? options.idle_timeout : options.timeout) = timeout;
                    const End end = see(way, kind, options, [](leash::Popen*) {});
                    // The leader was late itself, or had been so when it was seen to have ended, or when those who
                    // descend from it were looked for.
                    if (!end.status.success() || end.by == EndedBy::itself) return false;
                    if (is_apart && own.is_empty()) return false;
                    CHECK(end.by == (idle ? EndedBy::idle_timeout : EndedBy::timeout));
                    CHECK(end.stragglers.empty());
                    CHECK(own.alive().size() == (is_apart ? 1 : 0));
                    return true;
                }));
            }
        }
    }
}

TEST_CASE("stop(), kill() and signals reach a job that drains, whoever waits for it in whichever way") {
    for (const Way& way : ways) {
        if (!way.has_handle) continue;
        for (const char* const kind : {"holds", "quiet"}) {
            CAPTURE(std::string(way.name));
            CAPTURE(std::string(kind));
            const auto attempt = [&](const std::function<void(leash::Popen*)>& act) {
                const Census own;
                const Stopwatch watch;
                const End end = see(way, kind, patient(capture(own)), act);
                CHECK(watch.elapsed() < soon);
                CHECK(end.status.success());
                CHECK(end.stragglers.empty());
                CHECK(own.is_empty());
                return end.by;
            };
            CHECK(attempt([](leash::Popen* p) { CHECK(p->stop(for_long).success()); }) == EndedBy::stop);
            CHECK(attempt([](leash::Popen* p) { CHECK(p->kill()); }) == EndedBy::kill);
            CHECK(attempt([](leash::Popen* p) { CHECK(p->send_signal(SIGKILL)); }) == EndedBy::kill);
            CHECK(attempt([](leash::Popen* p) { CHECK(p->send_signal(SIGUSR1)); }) == EndedBy::itself);
            CHECK(attempt([](leash::Popen* p) { CHECK(p->terminate()); }) == EndedBy::itself);
        }
    }
}

TEST_CASE("a handle that dies while its job drains ends it, and so does a Supervisor") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string it = directory / "it";
    const NothingLeft before;
    for (const bool supervised : {false, true}) {
        Supervisor jobs;
        leash::Popen p(child({"orphan", it + (supervised ? "1" : "0"), "holds"}), patient(capture(census)));
        REQUIRE(eventually([&] { return written_in(it + (supervised ? "1" : "0")) > 0; }));
        CHECK_FALSE(p.wait_for(20ms));
        if (supervised) CHECK(jobs.add(std::move(p)));
    }
    CHECK(census.is_empty());
    CHECK(before.holds());
}

TEST_CASE("a deadline that had passed before the end was seen does not count, nor against who was left") {
    const Census census;
    leash::Options options = silent(census);
    options.drain = 50ms;
    options.timeout = 100ms;
    leash::Popen p(child({"fork-holder", "0"}), options);
    REQUIRE(eventually([&] { return support::state_of(p.pid()) == 'Z'; }));
    std::this_thread::sleep_for(110ms);
    CHECK(p.wait().success());
    CHECK(p.ended_by() == EndedBy::itself);
    CHECK(p.stragglers().size() == 1);
    CHECK(census.is_empty());
}

TEST_CASE("a deadline that had passed before the end was seen ends who is waited for: nothing else would") {
    const Census census;
    leash::Options options = silent(census);
    options.stragglers = leash::Stragglers::wait;
    options.timeout = 100ms;
    leash::Popen p(child({"fork-holder", "0"}), options);
    REQUIRE(eventually([&] { return support::state_of(p.pid()) == 'Z'; }));
    std::this_thread::sleep_for(110ms);
    REQUIRE(p.wait_for(soon));
    CHECK(p.ended_by() == EndedBy::timeout);
    CHECK(census.is_empty());
}

TEST_CASE("a cause that finds nothing to end does not count") {
    const Census census;
    leash::Options options = silent(census);
    options.cancel = leash::Cancel();
    leash::Popen p({"true"}, options);
    CHECK(p.wait().success());
    options.cancel->fire();
    CHECK(p.poll()->success());
    CHECK(p.stop().success());
    CHECK_FALSE(p.kill());
    CHECK(p.ended_by() == EndedBy::itself);
}

// ---- why it was ended

TEST_CASE("each cause is told, and only that") {
    const Census census;
    leash::Options options = silent(census);
    options.out = leash::piped;
    options.grace = 50ms;
    options.cancel = leash::Cancel();
    const auto is_told = [](leash::Popen& p, EndedBy why) {
        CHECK(p.wait().signaled());
        CHECK(p.ended_by() == why);
        CHECK(p.timed_out() == (why == EndedBy::timeout || why == EndedBy::idle_timeout));
        CHECK(p.cancelled() == (why == EndedBy::cancel));
    };
    const auto is_in_result = [](const leash::Result& r, EndedBy why, const char* text) {
        CHECK(r.ended_by == why);
        CHECK(r.timed_out == (why == EndedBy::timeout || why == EndedBy::idle_timeout));
        CHECK(r.cancelled == (why == EndedBy::cancel));
        CHECK_FALSE(r.ok());
        CHECK(support::told(r) == r.status.describe() + text);
    };
    SUBCASE("by a signal that somebody else sends, or the handle as such: itself") {
        leash::Popen p(child({"sleep"}), options);
        CHECK(p.send_signal(SIGTERM));
        is_told(p, EndedBy::itself);
    }
    SUBCASE("stop") {
        leash::Popen p(child({"sleep"}), options);
        p.stop();
        is_told(p, EndedBy::stop);
    }
    SUBCASE("kill") {
        leash::Popen p(child({"sleep"}), options);
        CHECK(p.kill());
        is_told(p, EndedBy::kill);
    }
    SUBCASE("the signal of kill()") {
        leash::Popen p(child({"sleep"}), options);
        CHECK(p.send_signal(SIGKILL));
        is_told(p, EndedBy::kill);
    }
    SUBCASE("cancel") {
        leash::Popen p(child({"sleep"}), options);
        options.cancel->fire();
        is_told(p, EndedBy::cancel);
        options.cancel = leash::Cancel();
        options.out = leash::sink([&](std::string_view) { options.cancel->fire(); });
        is_in_result(leash::run(child({"sleep", "a"}), options), EndedBy::cancel, ", cancelled");
    }
    SUBCASE("timeout") {
        options.timeout = 50ms;
        leash::Popen p(child({"sleep"}), options);
        is_told(p, EndedBy::timeout);
        is_in_result(leash::run(child({"sleep"}), options), EndedBy::timeout, ", timed out");
    }
    SUBCASE("idle timeout") {
        options.idle_timeout = 50ms;
        leash::Popen p(child({"sleep"}), options);
        CHECK_FALSE(p.out().read());
        is_told(p, EndedBy::idle_timeout);
        is_in_result(leash::run(child({"sleep"}), options), EndedBy::idle_timeout, ", timed out without output");
    }
    CHECK(census.is_empty());
}

TEST_CASE("of two causes the one counts whose grace was over first") {
    const Census census;
    leash::Options options = capture(census);
    options.grace = for_long;
    const Stopwatch watch;
    SUBCASE("a timeout with a long grace, then stop() with a short one") {
        options.timeout = 100ms;
        leash::Popen p(child({"ignore-term"}), options);
        std::thread waits([&] { p.wait(); });
        CHECK(eventually([&] { return p.ended_by() == EndedBy::timeout; }));
        CHECK(p.stop(20ms).signal() > 0);
        waits.join();
        CHECK(p.ended_by() == EndedBy::stop);
        CHECK_FALSE(p.timed_out());
    }
    SUBCASE("a stop() with a long one, then a cancel with a short one, in other threads") {
        options.grace = 20ms;
        options.cancel = leash::Cancel();
        leash::Popen p(child({"ignore-term"}), options);
        CHECK(p.out().read_until("ready\n", soon));
        std::thread stops([&] { p.stop(for_long); });
        CHECK(eventually([&] { return p.ended_by() == EndedBy::stop; }));
        options.cancel->fire();
        CHECK(p.wait().signal() == SIGKILL);
        stops.join();
        CHECK(p.ended_by() == EndedBy::cancel);
    }
    SUBCASE("a stop() with a short one, then a cancel with a long one") {
        options.cancel = leash::Cancel();
        leash::Popen p(child({"ignore-term"}), options);
        CHECK(p.out().read_until("ready\n", soon));
        std::thread stops([&] { p.stop(200ms); });
        CHECK(eventually([&] { return p.ended_by() == EndedBy::stop; }));
        options.cancel->fire();
        CHECK(p.wait().signal() == SIGKILL);
        stops.join();
        CHECK(p.ended_by() == EndedBy::stop);
    }
    CHECK(watch.elapsed() < soon);
    CHECK(census.is_empty());
}

// ---- how it is asked to

namespace {

/// Each signal that the child was told by, and which ended it.
std::string told(leash::Popen& p) {
    const std::string out = p.out().read_all().data;
    return out + p.wait().describe();
}

}  // namespace

TEST_CASE("stop_sequence: each signal in its turn, whatever ends the job, and SIGKILL when the last one's time is up") {
    const Census census;
    leash::Options options = capture(census);
    options.stop_sequence = {{SIGINT, 20ms}, {SIGUSR1, 0s}, {SIGHUP, 20ms}};
    const Stopwatch watch;
    const std::string all = "02\n10\n01\nkilled by SIGKILL (9)";
    const auto start = [&] {
        leash::Popen p(child({"report-signals"}), options);
        CHECK(p.out().read_until("ready\n", soon));
        return p;
    };
    // On a loaded machine it takes longer steps for the child to hear each one by itself.
    const auto in_steps = [&](const std::function<bool(std::chrono::milliseconds)>& ends) {
        return support::in_time(20ms, [&](std::chrono::milliseconds step) {
            options.stop_sequence = {{SIGINT, step}, {SIGUSR1, step}, {SIGHUP, step}};
            return ends(step);
        });
    };
    SUBCASE("stop()") {
        CHECK(in_steps([&](std::chrono::milliseconds step) {
            leash::Popen p = start();
            const Stopwatch ending;
            CHECK(p.stop().signal() == SIGKILL);
            CHECK(ending.elapsed() >= 3 * step - 1ms);
            CHECK(p.ended_by() == EndedBy::stop);
            return told(p) == all;
        }));
    }
    SUBCASE("a timeout") {
        CHECK(in_steps([&](std::chrono::milliseconds step) {
            options.timeout = 5 * step;
            leash::Popen p(child({"report-signals"}), options);
            return p.out().read_until("ready\n") && told(p) == all && p.timed_out();
        }));
    }
    SUBCASE("silence, and the last step ends it") {
        CHECK(in_steps([&](std::chrono::milliseconds step) {
            options.stop_sequence.push_back({SIGTERM, for_long});
            options.idle_timeout = 2 * step;
            leash::Popen p(child({"report-signals"}), options);
            return p.out().read_until("ready\n") && told(p) == "02\n10\n01\nkilled by SIGTERM (15)" &&
                   p.ended_by() == EndedBy::idle_timeout;
        }));
    }
    SUBCASE("a Supervisor's cancel, and a pipeline") {
        CHECK(in_steps([&](std::chrono::milliseconds) {
            Supervisor jobs;
            const auto id = jobs.add(start()).value();
            const leash::Command reports = child({"report-signals"});
            const auto other = jobs.add(leash::Popen(reports | reports, options)).value();
            CHECK(jobs.job(other).out().read_until("ready\n", soon));
            jobs.cancel();
            while (jobs.next(soon)) {}
            CHECK(jobs.job(other).wait().signal() == SIGKILL);
            return told(jobs.job(id)) == all;
        }));
    }
    SUBCASE("of run_all()") {
        options.timeout = 100ms;
        const auto results = leash::run_all({{child({"report-signals"}), options}});
        CHECK(results[0].value().timed_out);
        CHECK(results[0].value().status.signal() > 0);
    }
    SUBCASE("to the leader where the group is the host's") {
        options.group = leash::Group::inherited;
        options.reach = leash::Reach::tree;
        CHECK(in_steps([&](std::chrono::milliseconds) {
            leash::Popen p = start();
            p.stop();
            return told(p) == all;
        }));
    }
    SUBCASE("it is over as soon as nobody is left") {
        options.stop_sequence = {{SIGINT, for_long}, {SIGTERM, for_long}};
        leash::Popen p(child({"sleep"}), options);
        CHECK(p.stop().signal() == SIGINT);
    }
    SUBCASE("stop() with a time is SIGTERM and that time, also on the way") {
        options.stop_sequence = {{SIGINT, for_long}, {SIGUSR2, for_long}};
        leash::Popen p = start();
        std::thread stops([&] { p.stop(); });
        CHECK(p.out().read_until("02\n", soon));
        CHECK(p.stop(10s).signal() == SIGTERM);
        stops.join();
        CHECK(told(p) == "killed by SIGTERM (15)");
    }
    SUBCASE("the sequence, where it is the shorter way") {
        options.stop_sequence = {{SIGINT, 10s}};
        leash::Popen p(child({"ignore-term"}), options);
        CHECK(p.out().read_until("ready\n", soon));
        std::thread stops([&] { p.stop(for_long); });
        CHECK(eventually([&] { return p.ended_by() == EndedBy::stop; }));
        CHECK(p.stop().signal() == SIGINT);
        stops.join();
    }
    CHECK(watch.elapsed() < soon);
    CHECK(census.is_empty());
}

TEST_CASE("stop() without a time takes the grace of the options") {
    const Census census;
    leash::Options options = capture(census);
    options.grace = 20ms;
    leash::Popen p(child({"ignore-term"}), options);
    CHECK(p.out().read_until("ready\n", soon));
    CHECK(p.stop().signal() == SIGKILL);
    CHECK(census.is_empty());
}

TEST_CASE("stop_sequence: what makes no sense is refused by name") {
    const auto why = [](std::vector<leash::StopStep> steps, leash::Grace grace = {}) {
        leash::Options options;
        options.stop_sequence = std::move(steps);
        options.grace = grace;
        const auto started = leash::Popen::try_spawn({"true"}, options);
        REQUIRE_FALSE(started);
        CHECK(started.error().step == leash::Step::options);
        CHECK(started.error().subject == "stop_sequence");
        return std::string(started.error().hint);
    };
    CHECK(why({{SIGTERM, 1s}}, 1s).find("grace") != std::string::npos);  // what it would be anyway, but said
    CHECK(why({{0, 1s}}) == "there is no such signal");
    CHECK(why({{-SIGINT, 1s}}) == "there is no such signal");
    CHECK(why({{NSIG, 1s}}) == "there is no such signal");
    CHECK(why({{SIGINT, 1s}, {SIGKILL, 1s}}).find("SIGKILL") == 0);
    CHECK(why({{SIGSTOP, 1s}}).find("SIGSTOP") == 0);
    CHECK(why({{SIGINT, -1s}}) == "a time must not be negative");
    CHECK(why({{SIGINT, leash::Timeout::none()}}) == "must be finite");
    CHECK(why({{SIGINT, 1'700'000h}, {SIGINT, 1'700'000h}}) == "must be finite");
}

TEST_CASE("interrupt() is SIGINT to all of it, and a leader can be told alone") {
    const Census census;
    SUBCASE("interrupt()") {
        leash::Popen p(child({"report-signals"}), capture(census));
        CHECK(p.out().read_until("ready\n", soon));
        CHECK(p.interrupt());
        CHECK(p.out().read_until("02\n", soon));
    }
    SUBCASE("also to one that is stopped") {
        leash::Popen p(child({"stop-self"}), capture(census));
        CHECK(eventually([&] { return p.stopped() == SIGSTOP; }));
        CHECK(p.interrupt());
        CHECK(p.wait().signal() == SIGINT);
        const auto late = p.interrupt();
        CHECK(late.error().code == std::errc::no_such_process);
        CHECK(late.error().subject == "SIGINT to pid " + std::to_string(p.pid()));
    }
    SUBCASE("the leader alone") {
        leash::Popen p(child({"report-signals"}) | child({"cat"}), capture(census));
        CHECK(p.out().read_until("ready\n", soon));
        CHECK(p.send_signal(SIGUSR1, leash::leader));
        CHECK(p.out().read_until("10\n", soon));
        CHECK(p.send_signal(SIGKILL, leash::leader));
        CHECK(p.wait().success());
        CHECK(p.statuses()[0].signal() == SIGKILL);
        CHECK(p.ended_by() == EndedBy::itself);
        const auto late = p.send_signal(SIGUSR1, leash::leader);
        CHECK(late.error().hint == "the leader has ended; nothing was signalled");
    }
    SUBCASE("a leader that has ended, while the job goes on") {
        leash::Options options = capture(census);
        options.stragglers = leash::Stragglers::wait;
        leash::Popen p(leash::shell("\"$1\" report-signals & exit 0", {helper()}), options);
        CHECK(p.out().read_until("ready\n", soon));
        // statuses() tells what has been seen, and poll() looks.
        CHECK(eventually([&] { return !p.poll() && p.statuses()[0].success(); }));
        CHECK(p.send_signal(SIGUSR1, leash::leader).error().code == std::errc::no_such_process);
        CHECK(p.send_signal(SIGUSR2));
        CHECK(p.out().read_until("12\n", soon));
    }
    SUBCASE("a number that is no signal") {
        leash::Popen p(child({"sleep"}), capture(census));
        CHECK(p.send_signal(-1, leash::leader).error().code == std::errc::invalid_argument);
        CHECK(p.send_signal(-1).error().code == std::errc::invalid_argument);
    }
    CHECK(census.is_empty());
}

// ---- suspended

TEST_CASE("suspend() stops the whole job and its clocks, resume() lets both go on") {
    const Census census;
    leash::Options options = capture(census);
    const auto is_stopped = [](leash::Pid pid) { return eventually([&] { return support::state_of(pid) == 'T'; }); };
    SUBCASE("the timeout") {
        for (const bool in_thread : {false, true}) {
            const Stopwatch watch;
            options.timeout = 40ms;
            leash::Popen p(child({"sleep"}), options);
            std::thread waits;
            if (in_thread) waits = std::thread([&] { p.wait(); });
            const bool in_time = p.suspend() && p.ended_by() == EndedBy::itself;
            if (!in_time) {
                p.kill();
                if (in_thread) waits.join();
                continue;
            }
            CHECK(is_stopped(p.pid()));
            CHECK(p.stopped() == SIGSTOP);
            CHECK(p.suspend());  // as it is
            CHECK_FALSE(p.wait_for(60ms));
            CHECK(p.ended_by() == EndedBy::itself);
            CHECK(p.time_left().length() > 0s);
            CHECK(p.resume());
            if (in_thread) waits.join();
            CHECK(p.wait().signal() == SIGTERM);
            CHECK(p.timed_out());
            CHECK(watch.elapsed() >= 99ms);
        }
    }
    SUBCASE("the timeout, where somebody else lets it go on") {
        CHECK(support::in_time(40ms, [&](std::chrono::milliseconds timeout) {
            options.timeout = timeout;
            leash::Popen p(child({"sleep"}), options);
            if (!p.suspend()) return false;
            CHECK(is_stopped(p.pid()));
            CHECK(::kill(p.pid(), SIGCONT) == 0);
            CHECK(p.wait_for(soon));
            return p.timed_out();
        }));
    }
    SUBCASE("silence, and a Supervisor") {
        CHECK(support::in_time(50ms, [&](std::chrono::milliseconds idle) {
            options.idle_timeout = idle;
            Supervisor jobs;
            leash::Popen p(child({"report-signals"}), options);
            if (!p.out().read_until("ready\n", soon)) return false;
            CHECK(p.suspend());
            const auto id = jobs.add(std::move(p)).value();
            CHECK_FALSE(jobs.next(idle + 20ms));
            CHECK(jobs.job(id).resume());
            CHECK(jobs.next(soon)->kind == Supervisor::Event::ending);
            while (jobs.next(soon)) {}
            CHECK(jobs.job(id).ended_by() == EndedBy::idle_timeout);
            return true;
        }));
    }
    SUBCASE("the grace") {
        CHECK(support::in_time(40ms, [&](std::chrono::milliseconds grace) {
            leash::Popen p(child({"ignore-term"}), options);
            CHECK(p.out().read_until("ready\n", soon));
            std::thread stops([&] { p.stop(grace); });
            CHECK(eventually([&] { return p.ended_by() == EndedBy::stop; }));
            const bool in_time = p.suspend().has_value();
            if (in_time) {
                CHECK(is_stopped(p.pid()));
                CHECK_FALSE(p.wait_for(grace + 20ms));
                CHECK(p.resume());
            }
            stops.join();
            CHECK(p.wait().signal() == SIGKILL);
            return in_time;
        }));
    }
    SUBCASE("all of it") {
        leash::Popen p(child({"report-signals"}) | child({"cat"}), options);
        CHECK(p.out().read_until("ready\n", soon));
        CHECK(p.suspend());
        CHECK(p.send_signal(SIGUSR1, leash::leader));
        CHECK(eventually([&] { return p.stopped() == SIGSTOP; }));
        CHECK(p.resume());
        CHECK(p.out().read_until("10\n", soon));
    }
    SUBCASE("whatever ends it lets it go on, or kills it") {
        const std::function<void(leash::Popen&)> ends[] = {
            [](leash::Popen& p) { CHECK(p.stop(for_long).code() == 4); },
            [](leash::Popen& p) {
                CHECK(p.terminate());
                CHECK(p.wait().code() == 4);
            },
            [](leash::Popen& p) {
                CHECK(p.send_signal(SIGCONT));
                CHECK(p.wait().signal() == SIGTERM);
                CHECK(p.timed_out());
            },
            [](leash::Popen& p) {
                CHECK(p.kill());
                CHECK(p.wait().signal() == SIGKILL);
                CHECK(p.suspend().error().code == std::errc::no_such_process);
                CHECK(p.resume().error().hint == std::string("the job has ended, or is being killed"));
            },
            [](leash::Popen& p) {
                CHECK(p.send_signal(SIGKILL, leash::leader));
                CHECK(p.wait().signal() == SIGKILL);
            },
            [](leash::Popen& p) { p = leash::Popen(); },
            [&](leash::Popen& p) {
                options.cancel->fire();
                CHECK(p.wait().code() == 4);
            },
        };
        int number = 0;
        for (const auto& way : ends) {
            CAPTURE(number);
            options.cancel = leash::Cancel();
            options.timeout = number++ == 2 ? 60ms : leash::Timeout();
            leash::Popen p(child({number == 3 ? "sleep" : "catch-term", "4"}), options);
            if (number != 3) CHECK(p.out().read_until("ready\n", soon));
            CHECK(p.suspend());
            CHECK(is_stopped(p.pid()));
            way(p);
        }
    }
    SUBCASE("a leader that is killed meanwhile, and a drain that stands still") {
        options.drain = 30ms;
        leash::Popen p(leash::shell("\"$1\" sleep & echo $!; wait", {helper()}), options);
        const int below = std::atoi(p.out().read_until("\n", soon).data.c_str());
        CHECK(p.suspend());
        CHECK(p.send_signal(SIGKILL, leash::leader));
        CHECK_FALSE(p.wait_for(60ms));
        CHECK(is_stopped(below));
        CHECK(p.resume());
        CHECK(p.wait().signal() == SIGKILL);
        CHECK(p.stragglers().size() == 1);
    }
    CHECK(leash::Popen().suspend().error().code == std::errc::no_such_process);
    CHECK(census.is_empty());
}

// ---- who is told of

#if defined(__linux__)

TEST_CASE("who holds a stream is named, for each stream, and stays") {
    const Census census;
    leash::Options options = capture(census);
    options.drain = 100ms;
    const auto named = [&](const leash::Result& r, std::vector<std::string> whys) {
        std::vector<std::string> told;
        for (const leash::Process& one : r.held) {
            CHECK(std::to_string(one.pid) + "\n" == r.out);
            CHECK(one.command.find("setsid-holder") != std::string::npos);
            CHECK(support::told(r).find("; held: " + std::to_string(one.pid) + " " + helper() + " (" + one.why) !=
                  std::string::npos);
            told.push_back(one.why);
        }
        CHECK(told == whys);
        CHECK(r.ok());
        CHECK(r.stragglers.empty());
        CHECK(r.survivors.empty());
        CHECK(support::is_alive(std::atoi(r.out.c_str())));
    };
    named(leash::run(child({"setsid-holder", "0"}), options), {});
    named(leash::run(child({"setsid-holder", "0", "1"}), options), {"holds out"});
    named(leash::run(child({"setsid-holder", "0", "2"}), options), {"holds err"});
    const leash::Result both = leash::run(child({"setsid-holder", "0", "1", "2"}), options);
    CHECK(both.held.size() == 2);
}

TEST_CASE("after a forced end who is out of reach holds nobody up, whatever the drain is") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string it = directory / "it";
    leash::Options options = patient(capture(census));
    options.cancel = leash::Cancel();
    std::thread cancels([&] {
        eventually([&] { return written_in(it) > 0; });
        options.cancel->fire();
    });
    const Stopwatch watch;
    const leash::Result r =
        leash::run(leash::shell("\"$1\" orphan \"$2\" apart; exec \"$1\" sleep", {helper(), it}), options);
    cancels.join();
    CHECK(watch.elapsed() < soon);
    CHECK(r.ended_by == EndedBy::cancel);
    CHECK(r.status.signal() == SIGTERM);
    CHECK(pids(r.held) == std::vector<pid_t>{written_in(it), written_in(it)});
    CHECK(r.survivors.empty());
    CHECK(census.alive().size() == 1);
}

TEST_CASE("with a /proc of another namespace nobody is told of who cannot be known, and nothing waits for it") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        if (::unshare(CLONE_NEWPID) != 0) return "not permitted";
        return support::in_host([&]() -> std::string {  // pid 1 there, with the numbers of the outer ones in /proc
            HOST_NEEDS(::getpid() == 1);
            leash::Options options = silent(census);
            options.grace = 0s;
            options.timeout = 50ms;
            for (int round = 0; round < 3; ++round) {
                const leash::Result r = leash::run(child({"ignore-term"}), options);
                HOST_NEEDS(r.ended_by == EndedBy::timeout);
                HOST_NEEDS(r.status.signal() > 0);
                HOST_NEEDS(r.survivors.empty());
                HOST_NEEDS(r.stragglers.empty());
            }
            options = capture(census);
            options.drain = 100ms;
            const leash::Result left = leash::run(child({"fork-holder", "0", "1"}), options);
            HOST_NEEDS(left.ok());
            HOST_NEEDS(left.survivors.empty());
            HOST_NEEDS(left.stragglers.empty());
            const leash::Result held = leash::run(child({"setsid-holder", "0", "1"}), options);
            HOST_NEEDS(held.ok());
            HOST_NEEDS(held.survivors.empty());
            HOST_NEEDS(pids(held.held) == std::vector<pid_t>{-1});
            HOST_NEEDS(held.held[0].why == "holds out");
            HOST_NEEDS(held.held[0].command == "");
            return "";
        });
    });
    if (wrong == "not permitted") MESSAGE("no namespace can be had here: skipped");
    else CHECK(wrong == "");
}

#endif

// ---- stops, and terminals

TEST_CASE("what has stopped a job is told as long as it is stopped, and ends nothing") {
    const Census census;
    leash::Popen p(child({"stop-self"}), capture(census));
    CHECK(p.out().read_until("ready\n", soon));
    CHECK(eventually([&] { return p.stopped() == SIGSTOP; }));
    CHECK_FALSE(p.wait_for(50ms));
    CHECK(p.stopped() == SIGSTOP);
    CHECK(p.send_signal(SIGCONT));
    CHECK(p.out().read_until("continued\n", soon));
    CHECK(p.stopped() == 0);
    CHECK(p.send_signal(SIGTSTP));
    CHECK(eventually([&] { return p.stopped() == SIGTSTP; }));
    p.stop(for_long);
    CHECK(p.stopped() == 0);
}

namespace {

/// A host of its own, which this program is when it is started as `program end-host what…`: at a terminal, or to be
/// ended by force.
int host(const std::vector<std::string>& all) {
    const std::string what = all.at(0), script = all.at(1);
    if (what == "tool") {
        leash::Options options;
        options.out = leash::inherit;
        return leash::run(leash::shell(script, {helper()}), options).ok() ? 0 : 1;
    }
    if (script.find("echo hello") == 0) leash::run({"stty", "tostop"}, leash::Options::interactive()).check_ok();
    const leash::Command command = leash::shell(script, {helper()});
    leash::Options options;
    options.grace = for_long;
    options.drain = for_long;
    if (what == "captured") options.out = leash::piped;
    if (what == "timed") options.timeout = for_long;
    if (what == "session") options.group = leash::Group::session;
    leash::Result r;
    if (what == "supervised") {
        Supervisor jobs;
        const auto id = jobs.add(leash::Popen(command, options)).value();
        for (auto event = jobs.next(); event && event->kind != Supervisor::Event::ended;) event = jobs.next();
        r.status = jobs.job(id).wait();
        r.ended_by = jobs.job(id).ended_by();
    } else if (what == "polled") {
        leash::Popen p(command, options);
        while (!p.poll()) {
            pollfd exit{p.exit_handle(), POLLIN, 0};
            const std::chrono::milliseconds left(p.time_left().length());
            ::poll(&exit, 1, static_cast<int>(std::min<std::chrono::milliseconds>(left, for_long).count()) + 1);
        }
        r.status = p.wait();
        r.ended_by = p.ended_by();
    } else if (what == "pipeline") {
        static_cast<leash::Result&>(r) = leash::run(child({"sleep"}) | command, options);
    } else {
        r = leash::run(command, options);
    }
    std::printf("host: %s\n", r.describe().c_str());
    return 0;
}

/// Before main(), which is doctest's.
[[maybe_unused]] const bool is_host = [] {
    const std::string line = read_file("/proc/self/cmdline");
    std::vector<std::string> all;
    for (std::size_t from = 0, end; (end = line.find('\0', from)) != std::string::npos; from = end + 1)
        all.push_back(line.substr(from, end - from));
    if (all.size() < 4 || all[1] != "end-host") return false;
    all.erase(all.begin(), all.begin() + 2);
    const int code = host(all);
    std::fflush(nullptr);
    std::_Exit(code);
}();

std::string own_program() {
    char path[4096];
    const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
    return std::string(path, n > 0 ? static_cast<std::size_t>(n) : 0);
}

leash::Options at_terminal(const Census& census) {
    leash::Options options = patient(capture(census));
    options.in = leash::tty;
    options.out = leash::tty;
    options.err = leash::tty;
    options.timeout = for_long;
    return options;
}

}  // namespace

TEST_CASE(
    "a job that the host's terminal has stopped is ended, whoever waits for it in whichever way, and it is told") {
    const Census census;
    const std::vector<std::string> scripts{"read -r x < /dev/tty", "stty -echo < /dev/tty", "echo hello"};
    for (const char* const way : {"waits", "timed", "captured", "supervised", "polled", "pipeline"}) {
        for (const std::string& script : scripts) {
            if (script == "echo hello" && std::string(way) == "captured") continue;  // that goes to no terminal
            CAPTURE(std::string(way));
            CAPTURE(script);
            const Stopwatch watch;
            const leash::Result r =
                leash::run(leash::args({own_program(), "end-host", way, script}), at_terminal(census));
            CHECK(watch.elapsed() < soon);
            CHECK(r.ok());
            CHECK(r.out.find("ended because the host's terminal stopped it") != std::string::npos);
        }
    }
    CHECK(census.is_empty());
}

TEST_CASE("only a terminal's stop, of a job in a group of its own, is an end") {
    const Census census;
    const auto told = [&](const char* way, const char* script) {
        return leash::run(leash::args({own_program(), "end-host", way, script}), at_terminal(census)).out;
    };
    // in a session of its own there is no terminal to be stopped by
    CHECK(told("session", "read -r x < /dev/tty").find(": exited ") != std::string::npos);
    CHECK(told("timed", "(sleep 0.3; kill -CONT $$) & kill -STOP $$; exit 7").find(": exited 7 in ") !=
          std::string::npos);
    CHECK(told("waits", "sleep 0.3; exit 7").find(": exited 7 in ") != std::string::npos);
    CHECK(census.is_empty());
}

TEST_CASE("a shell at a terminal of the job's own is hung up, with all its jobs") {
    if (!has_program("bash")) return;
    const Census census;
    leash::Options options = at_terminal(census);
    options.env.set("PS1", "leash> ").set("TERM", "dumb").set("HELPER", helper());
    for (const char* const ignores : {"", "trap '' TERM; "}) {
        for (const bool by_handle : {false, true}) {
            CAPTURE(by_handle);
            {
                leash::Popen p({"bash", "--norc", "--noprofile", "--noediting", "-i"}, options);
                CHECK(p.out().expect("leash> ", soon));
                CHECK(p.in().write(
                    std::string(ignores) + "\"$HELPER\" sleep 're''ady' & \"$HELPER\" sleep 'al''so' &\n", soon));
                CHECK(p.out().expect("ready", soon).complete);
                REQUIRE(census.reaches(3));
                const Stopwatch watch;
                if (!by_handle) {
                    CHECK(p.stop(for_long).signal() == SIGHUP);
                    CHECK(p.ended_by() == EndedBy::stop);
                }
                CHECK(watch.elapsed() < soon);
            }
            CHECK(census.is_empty());
        }
    }
}

#if defined(__linux__)

TEST_CASE("a job that uses leash itself takes its own jobs along, also where it gets SIGKILL") {
    const Census census;
    leash::Options options = patient(capture(census));
    for (const int way : {0, 1, 2}) {
        {
            leash::Popen tool(leash::args({own_program(), "end-host", "tool", "exec \"$1\" sleep 'ready\n'"}), options);
            CHECK(tool.out().read_until("ready\n", soon));
            REQUIRE(census.reaches(2));
            if (way == 1) CHECK(tool.kill());
            if (way == 2) CHECK(tool.stop(for_long).signal() == SIGTERM);
            if (way != 0) CHECK(tool.wait().signaled());
        }
        CHECK(census.is_empty());
    }
}

#endif

// ---- sinks

namespace {

/// A sink that is at its work until it is told to go on.
class SlowSink {
  public:
    SlowSink() = default;
    ~SlowSink() { go_on(); }
    leash::Sink get() {
        return leash::sink([this](std::string_view) {
            is_busy_ = true;
            in_time_ = eventually([this] { return goes_on_.load(); }, for_long);
        });
    }
    bool is_busy() const {
        return eventually([this] { return is_busy_.load(); });
    }
    void go_on() { goes_on_ = true; }

  private:
    std::atomic<bool> is_busy_{false}, goes_on_{false}, in_time_{true};
};

}  // namespace

TEST_CASE("a sink that is busy for another job holds up no job that has a deadline") {
    const Census census;
    SlowSink slow;
    leash::Options options = silent(census);
    options.out = slow.get();
    std::thread other([&] { leash::run(child({"print", "a"}), options).check_ok(); });
    CHECK(slow.is_busy());
    leash::Options timed = options;
    timed.grace = 0s;
    timed.timeout = 100ms;
    const Stopwatch watch;
    const leash::Result r = leash::run(child({"sleep", "b"}), timed);
    CHECK(watch.elapsed() < soon);
    CHECK(r.ended_by == EndedBy::timeout);
    slow.go_on();
    other.join();
    CHECK(census.is_empty());
}

TEST_CASE("a call beside a busy sink of the same job keeps its time, and the job its deadline") {
    const Census census;
    SlowSink slow;
    leash::Options options = silent(census);
    options.out = slow.get();
    options.grace = 0s;
    SUBCASE("the call's") {
        leash::Popen p(child({"sleep", "a"}), options);
        std::thread other([&] { p.wait(); });
        CHECK(slow.is_busy());
        const Stopwatch watch;
        CHECK_FALSE(p.wait_for(50ms));
        CHECK_FALSE(p.poll());
        CHECK(watch.elapsed() < soon);
        CHECK(p.kill());
        slow.go_on();
        other.join();
    }
    SUBCASE("the job's") {
        options.timeout = 1s;
        leash::Popen p(child({"sleep", "a"}), options);
        std::thread other([&] { p.wait(); });
        CHECK(slow.is_busy());
        const Stopwatch watch;
        p.wait();
        static_cast<void>(p.poll());
        static_cast<void>(p.wait_for(for_long));
        CHECK(watch.elapsed() < soon);
        CHECK(p.ended_by() == EndedBy::timeout);
        CHECK(census.is_empty());
        slow.go_on();
        other.join();
    }
    SUBCASE("stop()") {
        leash::Popen p(child({"sleep", "a"}), options);
        std::thread other([&] { p.wait(); });
        CHECK(slow.is_busy());
        const Stopwatch watch;
        CHECK(p.stop(0s).signal() > 0);
        CHECK(watch.elapsed() < soon);
        CHECK(census.is_empty());
        slow.go_on();
        other.join();
    }
}

TEST_CASE("a sink that starts a job with itself as its sink gets that job's end, and goes on") {
    const Census census;
    const Stopwatch watch;
    leash::Options inner = silent(census), outer = inner;
    int depth = 0, came = 0;
    leash::Sink self = leash::sink([&](std::string_view) {
        ++came;
        if (depth++ > 0) return;
        const leash::Result r = leash::run(child({"print", "inner"}), inner);
        CHECK((r.status.exited() || r.status.signal() == SIGPIPE));
    });
    inner.out = self;
    inner.timeout = for_long;
    outer.out = self;
    CHECK(leash::run(child({"print", "outer"}), outer).ok());
    CHECK(came == 1);
    CHECK(watch.elapsed() < soon);
}

TEST_CASE("a call on a job out of its own sink comes back at once, with nothing") {
    const Census census;
    const Stopwatch watch;
    leash::Options options = capture(census);
    leash::Popen* job = nullptr;
    std::atomic<bool> is_known{false};
    int calls = 0;
    options.out = leash::sink([&](std::string_view) {
        if (!eventually([&] { return is_known.load(); })) return;
        ++calls;
        CHECK_FALSE(job->poll());
        CHECK_FALSE(job->wait_for(for_long));
        CHECK(job->wait().unknown());
        CHECK(job->stop(for_long).unknown());
        CHECK(job->err().read().error == std::errc::resource_deadlock_would_occur);
    });
    leash::Popen p(child({"print-and-wait", "a"}), options);
    job = &p;
    is_known = true;
    CHECK(p.wait().signal() == SIGTERM);  // of the stop() in there
    CHECK(calls == 1);
    CHECK(watch.elapsed() < soon);
}

TEST_CASE("a sink that throws in one thread takes no grace away that another one has given") {
    const Census census;
    const TemporaryDirectory directory;
    for (int round = 0; round < 5; ++round) {
        const std::string thrown = directory / ("thrown" + std::to_string(round)), state = directory / "state";
        leash::Options options = patient(silent(census));
        std::atomic<bool> is_ready{false};
        options.out = leash::sink([&](std::string_view chunk) {
            if (chunk.find("ready") != std::string_view::npos) is_ready = true;
            if (chunk.find("cleaning") != std::string_view::npos) throw 1;
        });
        const auto until_thrown = [&](auto wait) {
            try {
                wait();
            } catch (int) {
                directory.file("thrown" + std::to_string(round), "x");
            }
        };
        leash::Popen p(leash::shell("trap 'echo cleaning; until test -s \"$1\"; do sleep 0.01; done; exit 5' TERM;"
                                    "echo ready; while :; do sleep 0.01; done",
                                    {thrown}),
                       options);
        std::thread other([&] { until_thrown([&] { p.wait(); }); });
        CHECK(eventually([&] { return is_ready.load(); }));
        const Stopwatch watch;
        until_thrown([&] { p.stop(for_long); });
        other.join();
        CHECK(p.wait().code() == 5);
        CHECK(p.ended_by() == EndedBy::stop);
        CHECK(watch.elapsed() < soon);
    }
    CHECK(census.is_empty());
}

// ---- event loops, and copies of the host

TEST_CASE("when another call than poll() has found the end, time_left() is zero: no handle tells of that again") {
    const Census census;
    leash::Popen p(child({"exit", "0"}), capture(census));
    REQUIRE(p.out().read_all(20s).eof);
    REQUIRE(p.err().read_all(20s).eof);
    // reaped already, where a read was the one that found it
    REQUIRE(eventually([&] { return support::state_of(p.pid()) == 'Z' || support::state_of(p.pid()) == '\0'; }));
    const bool is_told = eventually([&] {
        p.exit_handle();  // looks; the first time may be too early to be sure that nobody is left
        return p.time_left().length() == 0ns;
    });
    CHECK(is_told);
    CHECK(p.poll());
}

TEST_CASE("a loop with an exit handle and time_left() is told of the end, and not woken in vain while the job drains") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string it = directory / "it";
    leash::Options options = silent(census);
    const auto loop = [&](leash::Popen& p) {
        int rounds = 0;
        while (!p.poll() && rounds < 10'000) {
            const int exit = p.exit_handle();
            pollfd ready{exit, POLLIN, 0};
            const auto left = p.time_left();
            const auto most = std::min<std::chrono::nanoseconds>(left.length(), for_long);
            ::poll(&ready, exit < 0 ? 0 : 1,
                   static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(most).count()) + 1);
            ++rounds;
        }
        return rounds;
    };
    SUBCASE("by itself") {
        options.drain = 500ms;
        leash::Popen p(child({"orphan", it, "quiet"}), options);
        const int rounds = loop(p);
        CHECK(rounds > 0);
        CHECK(rounds < 40);
        CHECK(p.wait().success());
        CHECK(p.stragglers().size() == 1);
    }
    SUBCASE("when the last one goes, with no limit of time") {
        options.stragglers = leash::Stragglers::wait;
        leash::Popen p(child({"orphan", it, "quiet", directory / "go"}), options);
        std::thread releases([&] {
            eventually([&] { return written_in(it) > 0; });
            std::this_thread::sleep_for(200ms);
            directory.file("go", "");
        });
        const Stopwatch watch;
        CHECK(loop(p) < 40);
        CHECK(watch.elapsed() < soon);
        releases.join();
        CHECK(p.wait().success());
        CHECK(p.stragglers().empty());
    }
    SUBCASE("in the grace") {
        leash::Popen p(child({"ignore-term"}), options);
        options.grace = 300ms;
        options.timeout = 50ms;
        leash::Popen late(child({"ignore-term"}), options);
        CHECK(loop(late) < 40);
        CHECK(late.ended_by() == EndedBy::timeout);
    }
    SUBCASE("a Supervisor's") {
        options.drain = 500ms;
        Supervisor jobs;
        for (int i = 0; i < 3; ++i)
            CHECK(jobs.add(leash::Popen(child({"orphan", it + std::to_string(i), "quiet"}), options)));
        int rounds = 0, ended = 0;
        while (ended < 3 && rounds < 10'000) {
            for (auto event = jobs.next(0s); event; event = jobs.next(0s))
                ended += event->kind == Supervisor::Event::ended ? 1 : 0;
            pollfd ready{jobs.handle(), POLLIN, 0};
            const auto most = std::min<std::chrono::nanoseconds>(jobs.time_left().length(), 1s);
            if (ended < 3)
                ::poll(&ready, 1,
                       static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(most).count()) + 1);
            ++rounds;
        }
        CHECK(ended == 3);
        CHECK(rounds < 120);
    }
    CHECK(census.reaches(0));
}

TEST_CASE("a forked copy of the host does not end a job that drains") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string it = directory / "it";
    leash::Popen p(child({"orphan", it, "holds"}), patient(capture(census)));
    REQUIRE(eventually([&] { return written_in(it) > 0; }));
    CHECK_FALSE(p.wait_for(20ms));
    for (const int way : {0, 1, 2, 3}) {
        const std::string wrong = support::in_host([&]() -> std::string {
            if (way == 1) static_cast<void>(p.kill());
            if (way == 2) static_cast<void>(p.stop(0s));
            if (way == 3) static_cast<void>(p.terminate());
            const leash::Popen ends(std::move(p));
            return "";
        });
        CHECK(wrong == "");
        CHECK_FALSE(p.wait_for(20ms));
        CHECK(support::is_alive(written_in(it)));
    }
    CHECK(p.stop(for_long).success());
    CHECK(census.is_empty());
}

TEST_SUITE_END();

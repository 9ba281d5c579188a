// tests/test_reach.cpp - Reach::tree: what has left the job's group ends with it, and nobody else does.
#include <doctest/doctest.h>

#include "inside.hpp"
#include "support.hpp"

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)

#include <sched.h>
#include <spawn.h>

using leash::EndedBy;
using leash::Reach;
using support::Census;
using support::child;
using support::eventually;
using support::helper;
using support::is_alive;
using support::pids;
using support::read_file;
using support::Stopwatch;
using support::TemporaryDirectory;
using namespace std::chrono_literals;

namespace {

constexpr auto for_long = 60s, soon = 30s;

leash::Options with_tree(const Census& census) {
    leash::Options options = support::capture(census);
    options.reach = Reach::tree;
    options.drain = 100ms;
    options.grace = 100ms;
    return options;
}

/// One that has got away, as it says itself; it is killed with the test, whatever its environment is.
class Escaped {
  public:
    Escaped(const TemporaryDirectory& directory, int number) : path_(directory / ("pid" + std::to_string(number))) {}
    Escaped(const Escaped&) = delete;
    Escaped& operator=(const Escaped&) = delete;
    ~Escaped() {
        if (is_there()) ::kill(pid(), SIGKILL);
    }
    const std::string& path() const { return path_; }
    pid_t pid() const { return std::atoi(read_file(path_).c_str()); }
    bool is_there() const { return pid() > 1 && is_alive(pid()); }

  private:
    std::string path_;
};

/// The helper's `escape`.
leash::Command escape(const Escaped& who, std::vector<std::string> steps) {
    std::vector<std::string> argv{helper(), "escape", who.path()};
    argv.insert(argv.end(), steps.begin(), steps.end());
    return leash::args(std::move(argv));
}

/// Ways to leave a group, none of which an end of the group alone reaches.
const std::vector<std::vector<std::string>> ways = {
    {"group", "fork"},
    {"session"},
    {"session", "fork"},
    {"session", "fork", "close"},
    {"session", "fork", "close", "ignore"},
    {"fork", "session", "split", "group", "fork", "session", "close"},
    {"session", "fork", "clear"},                             // known by the job's pipes
    {"session", "split", "fork", "group", "close", "clear"},  // by its session
};

}  // namespace

TEST_SUITE_BEGIN("reach");

TEST_CASE("who has got away is ended with the job, when the leader ends by itself, and named") {
    const Census census;
    const TemporaryDirectory directory;
    int number = 0;
    for (const auto& way : ways) {
        CAPTURE(number);
        const Escaped who(directory, ++number);
        const leash::Result r = leash::run(escape(who, way), with_tree(census));
        CHECK(r.ok());
        CHECK(r.reach == Reach::tree);
        CHECK(!who.is_there());
        const auto left = pids(r.stragglers);
        CHECK(std::count(left.begin(), left.end(), who.pid()) == 1);
        CHECK(r.survivors.empty());
        CHECK(r.held.empty());
        CHECK(census.is_empty());

        const Escaped other(directory, ++number);
        const Census left_alone;
        leash::Options group = with_tree(left_alone);
        group.reach = Reach::group;
        CHECK(leash::run(escape(other, way), group).reach == Reach::group);
        CHECK(other.is_there());  // or this case would show nothing
    }
}

TEST_CASE("every forced end reaches who has got away, in whichever group it is") {
    const Census census;
    const TemporaryDirectory directory;
    int number = 0;
    for (auto way : ways) {
        CAPTURE(number);
        way.push_back("stay");
        const auto start = [&](const Escaped& who, const leash::Options& options) {
            leash::Popen job(escape(who, way), options);
            CHECK(job.out().read_until("ready\n", soon));
            CHECK(who.is_there());
            CHECK(job.reach() == Reach::tree);
            return job;
        };
        const Escaped stopped(directory, ++number), killed(directory, ++number), dropped(directory, ++number),
            supervised(directory, ++number), cancelled(directory, ++number), timed(directory, ++number);
        start(stopped, with_tree(census)).stop(50ms);
        CHECK(!stopped.is_there());
        {
            leash::Popen job = start(killed, with_tree(census));
            CHECK(job.kill());
            job.wait();
            CHECK(!killed.is_there());
        }
        { leash::Popen job = start(dropped, with_tree(census)); }
        CHECK(!dropped.is_there());
        {
            leash::Supervisor jobs;
            CHECK(jobs.add(start(supervised, with_tree(census))));
        }
        CHECK(!supervised.is_there());
        {
            leash::Options options = with_tree(census);
            options.cancel = leash::Cancel();
            leash::Popen job = start(cancelled, options);
            options.cancel->fire();
            job.wait();
            CHECK(job.ended_by() == EndedBy::cancel);
            CHECK(!cancelled.is_there());
        }
        leash::Options options = with_tree(census);
        CHECK(support::in_time(200ms, [&](auto timeout) {
            options.timeout = timeout;
            ::unlink(timed.path().c_str());
            CHECK(leash::run(escape(timed, way), options).ended_by == EndedBy::timeout);
            CHECK(!timed.is_there());
            return timed.pid() > 1;
        }));
        CHECK(census.is_empty());
    }
}

TEST_CASE("who goes on without its first thread is alive, though it is shown as a zombie") {
    const TemporaryDirectory directory;
    // It ends who is left, and at its own end only: as long as the first thread is there, it sees that one.
    const Census census;
    int number = 0;
    const auto is_there = [](const Escaped& who) {
        return read_file("/proc/" + std::to_string(who.pid()) + "/status").find("Threads:\t2\n") != std::string::npos;
    };
    const auto run_as = [&](const Escaped& who, Reach reach, const std::vector<std::string>& way,
                            leash::Stragglers stragglers) {
        leash::Options options = with_tree(census);
        options.reach = reach;
        options.stragglers = stragglers;
        return leash::run(escape(who, way), options);
    };
    for (const Reach reach : {Reach::group, Reach::tree}) {
        std::vector<std::string> way = {"close", "thread"};
        if (reach == Reach::tree) way.insert(way.begin(), {"session", "fork"});
        const Escaped left(directory, ++number), ended(directory, ++number);
        CHECK(run_as(left, reach, way, leash::Stragglers::leave).ok());
        CHECK(eventually([&] { return is_there(left); }));
        ::kill(left.pid(), SIGKILL);
        const auto named = pids(run_as(ended, reach, way, leash::Stragglers::kill).stragglers);
        CHECK(named == std::vector<pid_t>{ended.pid()});
        const bool is_left = is_there(ended);
        CHECK(!is_left);
        if (is_left) ::kill(ended.pid(), SIGKILL);
    }
}

TEST_CASE("it gets SIGTERM with the group, and has the grace") {
    const Census census;
    const TemporaryDirectory directory;
    leash::Options options = with_tree(census);
    options.grace = for_long;
    options.drain = for_long;
    const std::string state = directory / "state";
    const char* const daemon = "trap 'echo saved > \"$0\"; exit' TERM; echo ready; while :; do sleep 0.01; done";
    leash::Popen job(leash::shell("(setsid sh -c \"$1\" \"$2\" &); sleep 60", {daemon, state}), options);
    CHECK(job.out().read_until("ready\n", soon));
    const Stopwatch watch;
    job.stop(for_long);
    CHECK(read_file(state) == "saved\n");
    CHECK(watch.elapsed() < soon);
    CHECK(census.is_empty());
}

TEST_CASE("it has the drain: who ends by itself is not ended, and a job that nobody has left does not take it") {
    const Census census;
    const TemporaryDirectory directory;
    leash::Options options = with_tree(census);
    options.drain = for_long;
    const Stopwatch watch;
    for (int round = 0; round < 20; ++round) {
        const std::string name = directory / ("done" + std::to_string(round));
        const leash::Result r = leash::run(
            leash::shell("setsid sh -c 'sleep 0.02; : > \"$1\"' sh \"$1\" > /dev/null 2>&1 & echo begun", {name}),
            options);
        CHECK(r.ok());
        CHECK(r.stragglers.empty());
        CHECK(r.out == "begun\n");
        CHECK(::access(name.c_str(), F_OK) == 0);  // waited for, though it held no stream
        CHECK(leash::run(child({"exit", "3"}), options).status.code() == 3);
    }
    CHECK(watch.elapsed() < soon);
}

TEST_CASE("who clears its environment is known from the time when it had parents, if the host was awake then") {
    const Census census;
    const TemporaryDirectory directory;
    const Escaped who(directory, 1);
    leash::Options options = with_tree(census);
    options.in = leash::piped;
    leash::Popen job(escape(who, {"session", "close", "clear", "told"}), options);
    CHECK(job.out().read_until("ready\n", soon));
    CHECK(!job.wait_for(100ms));
    job.in().close();
    CHECK(job.wait().success());
    CHECK(!who.is_there());
    CHECK(pids(job.stragglers()) == std::vector<pid_t>{who.pid()});
}

TEST_CASE("who was meant to stay stays") {
    const Census census;
    const TemporaryDirectory directory;
    leash::Options options = with_tree(census);
    SUBCASE("by removing LEASH_JOB alone, at the leader's end") {
        const Escaped who(directory, 1);
        CHECK(leash::run(escape(who, {"session", "fork", "spare"}), options).ok());
        CHECK(who.is_there());
    }
    SUBCASE("by removing LEASH_JOB alone, at a forced end") {
        for (const char* const end : {"stop", "kill"}) {
            const Escaped who(directory, *end);
            leash::Popen job(escape(who, {"session", "spare", "stay"}), options);
            CHECK(job.out().read_until("ready\n", soon));
            CHECK(!job.wait_for(50ms));
            if (*end == 's') job.stop(10ms);
            else CHECK(job.kill());
            job.wait();
            CHECK(who.is_there());
            CHECK(job.survivors().empty());
        }
    }
    SUBCASE("by removing LEASH_JOB, though a shell has dropped or changed other variables") {
        const Escaped who(directory, 1);
        options.env.set("OLDPWD", "/nowhere").set("BASH_FUNC_module%%", "() { :; }");
        CHECK(leash::run(leash::shell("\"$@\"", {helper(), "escape", who.path(), "session", "fork", "spare"}), options)
                  .ok());
        CHECK(who.is_there());
    }
    SUBCASE("by Stragglers::leave") {
        const Escaped who(directory, 1);
        options.stragglers = leash::Stragglers::leave;
        CHECK(leash::run(escape(who, {"session", "fork", "close"}), options).ok());
        CHECK(who.is_there());
    }
    SUBCASE("by detach()") {
        const Escaped who(directory, 1);
        leash::Popen job(escape(who, {"session", "fork", "stay"}), options);
        CHECK(job.out().read_until("ready\n", soon));
        const pid_t leader = job.detach();
        CHECK(who.is_there());
        ::kill(leader, SIGKILL);
        ::waitpid(leader, nullptr, 0);
    }
    SUBCASE("but not in the job's session, nor with an environment of its own") {
        const Escaped same(directory, 1), renamed(directory, 2);
        CHECK(leash::run(escape(same, {"group", "fork", "spare"}), options).ok());
        CHECK(!same.is_there());
        CHECK(leash::run(escape(renamed, {"session", "fork", "rename"}), options).ok());
        CHECK(!renamed.is_there());
    }
}

TEST_CASE("Stragglers::wait waits for it, and Group::inherited has it too") {
    const Census census;
    const TemporaryDirectory directory;
    leash::Options options = with_tree(census);
    options.stragglers = leash::Stragglers::wait;
    const std::string name = directory / "done";
    CHECK(leash::run(leash::shell("setsid sh -c 'sleep 0.3; : > \"$1\"' sh \"$1\" > /dev/null 2>&1 &", {name}), options)
              .ok());
    CHECK(::access(name.c_str(), F_OK) == 0);

    const Escaped who(directory, 1);
    options = with_tree(census);
    options.group = leash::Group::inherited;
    CHECK(leash::run(escape(who, {"session", "fork", "close"}), options).ok());
    CHECK(!who.is_there());
}

TEST_CASE("jobs inside of jobs carry the cookies of all") {
    const auto given = [](leash::Options options) {
        options.out = leash::piped;
        options.reach = Reach::tree;
        return leash::run(child({"env", "LEASH_JOB"}), options).out;
    };
    const std::string wrong = support::in_host([&]() -> std::string {
        ::unsetenv("LEASH_JOB");
        const std::string alone = given({});
        HOST_NEEDS(alone.size() == 32 && alone.find(':') == std::string::npos);
        HOST_NEEDS(given({}) != alone);
        ::setenv("LEASH_JOB", "outer", 1);
        HOST_NEEDS(given({}).substr(0, 6) == "outer:");
        HOST_NEEDS(given({}).size() == 38);
        leash::Options options;
        options.env = leash::Env::empty();
        HOST_NEEDS(given(options).substr(0, 6) == "outer:");
        options.env.unset("LEASH_JOB");
        HOST_NEEDS(given(options).substr(0, 6) == "outer:");  // as with any variable that an empty environment has not
        options.env = leash::Env::inherited();
        options.env.unset("LEASH_JOB");
        HOST_NEEDS(given(options).size() == 32);
        // Names that are kept by pattern are no word on this one.
        options.env = leash::Env::inherited().only({"PATH"});
        HOST_NEEDS(given(options).substr(0, 6) == "outer:");
        options = {};
        options.out = leash::piped;
        HOST_NEEDS(leash::run(child({"env", "LEASH_JOB"}), options).out == "outer");
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a bomb of daemons is ended") {
    const Census census;
    leash::Options options = with_tree(census);
    options.out = leash::null;
    options.err = leash::null;
    const TemporaryDirectory directory;
    // Each starts two, which have a session of their own and no parent; 2^7 would come.
    const std::string script = directory.file(
        "bomb",
        "#!/bin/sh\ntest $1 -gt 6 && exec sleep 60\nfor i in 1 2; do (setsid \"$0\" $(($1 + 1)) &); done\nsleep 60\n",
        0755);
    for (int round = 0; round < 3; ++round) {
        leash::Popen job(leash::args({script, "1"}), options);
        CHECK(eventually([&] { return census.alive().size() > 20; }));
        job.stop(10ms);
        CHECK(census.is_empty());
    }
}

TEST_CASE("who executes a program again and again, and shows its environment at few moments only, is no stranger") {
    using leash::detail::os::Traces;
    const Census census;
    leash::Options options = support::silent(census);
    for (char name = 'A'; name <= 'Z'; ++name) options.env.set(std::string(3, name), std::string(3000, 'x'));
    const auto traces = Traces::make(options.env);
    if (!traces) return;  // there is no Reach::tree here, as another test says
    (*traces)->begin(::getpid());
    const leash::Popen job(leash::shell("eval \"$1\"", {"exec sh -c \"$1\" sh \"$1\""}), options);
    leash::detail::os::Seen seen{};
    REQUIRE(look_at_process(job.pid(), seen));
    int known = 0, strangers = 0;
    for (int look = 0; look < 1000; ++look) {
        const Traces::Answer answer = (*traces)->are_borne_by(seen);
        known += answer == Traces::Answer::yes ? 1 : 0;
        strangers += answer == Traces::Answer::no ? 1 : 0;
    }
    CHECK(strangers == 0);
    CHECK(known > 0);
}

TEST_CASE("nobody else is ended: no stranger that comes and goes, no copy of the host, nobody who notes a cookie") {
    const Census census;
    const TemporaryDirectory directory;
    std::atomic<bool> stop{false};
    std::atomic<int> harmed{0}, strangers{0};
    std::thread others([&] {
        std::string program = helper(), verb = "exit", code = "7";
        char* argv[] = {&program[0], &verb[0], &code[0], nullptr};
        while (!stop) {
            pid_t stranger = -1;
            posix_spawnattr_t attributes;
            ::posix_spawnattr_init(&attributes);
            ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
            if (::posix_spawn(&stranger, program.c_str(), nullptr, &attributes, argv, environ) == 0) {
                int status = 0;
                while (::waitpid(stranger, &status, 0) < 0 && errno == EINTR) {}
                ++strangers;
                if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) ++harmed;
            }
            ::posix_spawnattr_destroy(&attributes);
        }
    });
    pid_t copy = -1;
    std::optional<leash::Popen> keeper;
    for (int number = 0; number < 30; ++number) {
        const Escaped who(directory, number);
        leash::Popen job(escape(who, {"session", "fork", "stay"}), with_tree(census));
        CHECK(job.out().read_until("ready\n", soon));
        if (copy < 0) copy = ::fork();
        if (copy == 0) {
            ::alarm(300);
            for (;;) ::pause();
        }
        if (!keeper) {
            const std::string cookie = support::variable_of(job.pid(), "LEASH_JOB");
            REQUIRE(cookie != "");
            keeper.emplace(child({"sleep"}), support::keeping(cookie, support::silent(census)));
        }
        job.stop(10ms);
        CHECK(!who.is_there());
        if (number == 0) CHECK(is_alive(keeper->pid()));
    }
    CHECK(eventually([&] { return strangers > 300; }));
    stop = true;
    others.join();
    CHECK(harmed == 0);
    CHECK(is_alive(copy));
    ::kill(copy, SIGKILL);
    ::waitpid(copy, nullptr, 0);
}

TEST_CASE("nor whoever has the other end of a pipe of its, or a terminal of the same kind") {
    const Census census;
    const TemporaryDirectory directory;
    const Escaped who(directory, 1);
    leash::Options options = with_tree(census);
    options.in = leash::piped;
    leash::Options at_terminal = with_tree(census);
    at_terminal.out = leash::tty;
    leash::Popen job(escape(who, {"session", "fork", "stay"}), options),
        other(child({"print-and-wait", "x"}), at_terminal);
    CHECK(job.out().read_until("ready\n", soon));
    CHECK(other.out().read_until("x", soon));
    // Neither is a copy of this program, and they have nothing else of the jobs', not even the variables.
    const auto stranger = [&](int descriptor) {
        const pid_t pid = ::fork();
        if (pid != 0) return pid;
        ::setsid();
        ::dup2(descriptor, 9);
        ::execle("/bin/sleep", "sleep", "60", nullptr, std::vector<char*>{nullptr}.data());
        ::_exit(98);
    };
    const int terminal = ::open("/dev/ptmx", O_RDWR | O_CLOEXEC);
    const std::vector<pid_t> strangers = {stranger(job.out().handle()), stranger(job.in().handle()),
                                          stranger(terminal)};
    for (const pid_t one : strangers) {
        CHECK(
            eventually([&] { return read_file("/proc/" + std::to_string(one) + "/cmdline").rfind("sleep", 0) == 0; }));
    }
    job.stop(10ms);
    other.stop(10ms);
    CHECK(!who.is_there());
    for (const pid_t one : strangers) {
        CHECK(is_alive(one));
        ::kill(one, SIGKILL);
        ::waitpid(one, nullptr, 0);
    }
    ::close(terminal);
}

TEST_CASE("where it cannot be told whose a process is, the job does not start, and that is said") {
    const std::string wrong = support::in_host([&]() -> std::string {
        if (::unshare(CLONE_NEWPID) != 0) return "not permitted";
        return support::in_host([&]() -> std::string {  // pid 1 there, with the numbers of the outer ones in /proc
            leash::Options options;
            options.reach = Reach::tree;
            const auto refused = leash::try_run(child({"exit", "0"}), options);
            HOST_NEEDS(!refused);
            HOST_NEEDS(refused.error().step == leash::Step::options);
            HOST_NEEDS(refused.error().code == std::errc::operation_not_supported);
            HOST_NEEDS(refused.error().message().find("/proc") != std::string::npos);
            return "";
        });
    });
    if (wrong == "not permitted") MESSAGE("no namespace can be had here: skipped");
    else CHECK(wrong == "");
}

TEST_SUITE_END();

#endif

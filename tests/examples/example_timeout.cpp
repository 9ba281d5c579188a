// tests/examples/example_timeout.cpp - examples/timeout.cpp, measured by what coreutils' timeout(1) does.

#include "example.hpp"

using namespace support;

namespace {

leash::Result timeout(std::vector<std::string> arguments, const Census& census, std::string input = {}) {
    return run_example("timeout", std::move(arguments), census, std::move(input));
}

/// As a shell has it in $?.
int shell_code(leash::ExitStatus status) { return status.signaled() ? 128 + status.signal() : status.code(); }

bool is_coreutils_here() {
    leash::Options options;
    options.out = leash::piped;
    options.err = leash::null;
    const auto version = leash::try_run({"timeout", "--version"}, options);
    return version && contains(version->out, "coreutils");
}

}  // namespace

TEST_CASE("timeout exits as coreutils' timeout does") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string no_program = directory.file("text", "no program", 0644);
    struct Row {
        std::vector<std::string> arguments;
        int code;
    };
    const std::vector<Row> rows = {
        {{"60", "true"}, 0},
        {{"60", "sh", "-c", "exit 3"}, 3},
        {{"60", "sh", "-c", "kill -TERM $$"}, 128 + SIGTERM},
        {{"60", "sh", "-c", "kill -KILL $$"}, 128 + SIGKILL},
        {{"0.2", "sleep", "60"}, 124},
        {{"0.2s", "sleep", "60"}, 124},
        {{"0.003m", "sleep", "10"}, 124},
        {{"0.00005h", "sleep", "10"}, 124},
        {{"0.000002d", "sleep", "10"}, 124},
        {{"1m", "sleep", "1.1"}, 0},
        {{"0.2", "sh", "-c", "trap 'exit 0' TERM; sleep 60 & wait"}, 124},
        {{"0", "sleep", "0.3"}, 0},  // no limit
        {{"1e9d", "true"}, 0},
        {{"60", "no-such-program"}, 127},
        {{"60", "/no/such/program"}, 127},
        {{"60", no_program}, 126},
        {{"60", "/"}, 126},
        {{}, 125},
        {{"60"}, 125},
        {{"soon", "true"}, 125},
        {{"10x", "true"}, 125},
        {{"nan", "true"}, 125},
        {{"", "true"}, 125},
        {{"-1", "true"}, 125},
        {{"--nothing", "60", "true"}, 125},
    };
    const bool compare = is_coreutils_here();
    for (const Row& row : rows) {
        std::string shown = "timeout";
        for (const std::string& one : row.arguments) shown += " " + one;
        CAPTURE(shown);
        const leash::Result ours = timeout(row.arguments, census);
        CHECK(ours.status.code() == row.code);
        CHECK(ours.out.empty());
        CHECK(ours.err.empty() == (row.code < 125 || row.code > 127));
        if (!compare) continue;
        std::vector<std::string> theirs = row.arguments;
        theirs.insert(theirs.begin(), "timeout");
        CHECK(shell_code(leash::run(leash::args(theirs), capture(census)).status) == row.code);
    }
    CHECK(census.reaches(0));
}

TEST_CASE("timeout --grace: 137 where only SIGKILL helped") {
    const Census census;
    const auto result = with_growing_time(
        [&](const std::string& time) {
            return timeout({"--grace", "0.1", time, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 60; done"},
                           census);
        },
        [](const leash::Result& r) { return r.out == "ready\n"; });
    CHECK(result.out == "ready\n");
    CHECK(result.status.code() == 137);
    CHECK(census.reaches(0));
}

TEST_CASE("timeout ends the whole tree, and what the command left behind") {
    const Census census;
    CHECK(timeout({"0.3", "sh", "-c", "(sleep 60 & sleep 60) & sleep 60"}, census).status.code() == 124);
    CHECK(census.reaches(0));
    CHECK(timeout({"60", "sh", "-c", "sleep 60 & exit 5"}, census).status.code() == 5);
    CHECK(census.reaches(0));
}

TEST_CASE("timeout hands the streams on") {
    const Census census;
    for (const bool idle : {false, true}) {
        std::vector<std::string> arguments{"60", "sh", "-c", "cat; echo complaint >&2; exit 7"};
        if (idle) arguments.insert(arguments.begin(), {"--idle", "60"});
        const std::string input = pattern(1'000'000);
        const leash::Result result = timeout(arguments, census, input);
        CHECK(result.status.code() == 7);
        CHECK(result.out == input);
        CHECK(result.err == "complaint\n");
    }
}

TEST_CASE("timeout --idle ends what has nothing more to say") {
    const Census census;
    const auto result = with_growing_time(
        [&](const std::string& time) {
            return timeout({"--idle", time, "0", "sh", "-c", "echo one; echo two >&2; sleep 60 & sleep 60"}, census);
        },
        [](const leash::Result& r) { return r.err == "two\n"; });
    CHECK(result.out == "one\n");
    CHECK(result.err == "two\n");
    CHECK(result.status.code() == 124);
    CHECK(census.reaches(0));
}

TEST_CASE("timeout --idle ends the command when the reader of its output has gone") {
    const Census census;
    leash::Options options = capture(census);
    options.timeout = 120s;
    const auto result = leash::run(
        example("timeout", {"--idle", "60", "60", "sh", "-c", "trap '' PIPE TERM; while :; do echo y; done"}) |
            leash::args({"head", "-n1"}),
        options);
    CHECK(result.out == "y\n");
    CHECK(result.statuses[0].code() == 128 + SIGPIPE);
    CHECK(census.reaches(0));
}

TEST_CASE("a signal to timeout ends the command, and says so") {
    const Census census;
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
        struct sigaction now {};
        ::sigaction(number, nullptr, &now);
        if (now.sa_handler == SIG_IGN) continue;  // as in the background of a script: then it is ignored there, too
        leash::Options options = capture(census);
        options.stragglers = leash::Stragglers::leave;
        leash::Popen job(example("timeout", {"60", "sh", "-c", "echo ready; sleep 60 & sleep 60"}), options);
        REQUIRE(job.out().read_until("\n", 60s).data == "ready\n");
        ::kill(job.pid(), number);  // to timeout alone
        CHECK(job.wait().code() == 128 + number);
        CHECK(census.reaches(0));
    }
}

TEST_CASE("timeout leaves a signal alone that was ignored when it started") {
    const Census census;
    leash::Options options = capture(census);
    options.in = leash::piped;
    leash::Popen job(
        leash::shell("trap '' HUP; exec \"$@\"", {path_of("timeout"), "60", "sh", "-c", "echo ready; cat"}), options);
    REQUIRE(job.out().read_until("\n", 60s).data == "ready\n");
    ::kill(job.pid(), SIGHUP);
    CHECK(job.communicate("still here\n", 60s).out == "still here\n");
    CHECK(job.wait().code() == 0);
}

// tests/examples/example_loops.cpp - one program in several event loops: epoll.cpp, asio.cpp, uv.cpp, supervisor.cpp; and restart.cpp,
// where a Supervisor is the loop.

#include "example.hpp"

using namespace support;

namespace {

const std::vector<std::string>& loops() {
    static const std::vector<std::string> all = {
        "epoll",
        "supervisor",
#if !defined(LEASH_WITHOUT_asio)
        "asio",
#endif
#if !defined(LEASH_WITHOUT_uv)
        "uv",
#endif
    };
    return all;
}

/// What it says of one job, in order: its lines, and how it ended.
std::string said_of(int number, const std::string& out) {
    std::string said;
    for (std::size_t from = 0, end; (end = out.find('\n', from)) != std::string::npos; from = end + 1) {
        const std::string line = out.substr(from, end - from + 1);
        const std::string name = std::to_string(number);
        if (line.substr(0, name.size() + 1) == name + "|" || line.substr(0, name.size() + 1) == name + ":")
            said += line.substr(name.size());
    }
    return said;
}

}  // namespace

TEST_CASE("loops: each job's lines and end") {
    const std::string big = leash::check_output({"seq", "50000"});
    for (const std::string& loop : loops()) {
        CAPTURE(loop);
        const Census census;
        const leash::Result result =
            run_example(loop,
                        {"60", "echo one; echo two >&2; exit 3", "printf 'no newline'", "kill -9 $$",
                         "exec >&- 2>&-; exit 4", "sleep 60 & echo left behind", "seq 50000", "exec no-such-program"},
                        census);
        CHECK(result.err.empty());
        CHECK(result.status.code() == 0);
        CHECK(said_of(1, result.out) == "| one\n| two\n: exited 3\n");
        CHECK(said_of(2, result.out) == "| no newline\n: exited 0\n");
        CHECK(said_of(3, result.out) == ": killed by SIGKILL (9)\n");
        CHECK(said_of(4, result.out) == ": exited 4\n");
        CHECK(said_of(5, result.out) == "| left behind\n: exited 0\n");
        std::string numbers = said_of(6, result.out);
        CHECK(contains(numbers, "\n: exited 0\n"));
        numbers.erase(std::remove_if(numbers.begin(), numbers.end(), [](char c) { return c == '|' || c == ' '; }),
                      numbers.end());
        CHECK(numbers == big + ":exited0\n");
        CHECK(contains(said_of(7, result.out), ": exited 127\n"));
        CHECK(census.reaches(0));
    }
}

TEST_CASE("loops: jobs run side by side, and lines are shown as they come") {
    for (const std::string& loop : loops()) {
        CAPTURE(loop);
        const Census census;
        const TemporaryDirectory directory;
        for (const char* const name : {"a", "b"}) REQUIRE(::mkfifo((directory / name).c_str(), 0600) == 0);
        leash::Options options = capture(census);
        options.cwd = directory.path();
        options.timeout = 120s;
        directory.file("much", std::string(2'000'000, '\n'));
        leash::Popen job(example(loop, {"60", "cat much; echo first; cat a", "cat b; echo last"}), options);
        REQUIRE(job.out().read_until("1| first\n", 60s));
        CHECK(leash::run(leash::shell("echo to b >b"), options).ok());  // nobody would read it if 1 had to end first
        CHECK(job.out().read_until("exited 0\n", 60s).data == "2| to b\n2| last\n2: exited 0\n");
        CHECK(leash::run(leash::shell("echo to a >a"), options).ok());
        CHECK(job.communicate({}, 60s).out == "1| to a\n1: exited 0\n");
        CHECK(job.wait().code() == 0);
    }
}

TEST_CASE("loops: SIGTERM when the time is up, SIGKILL a second later, to the whole tree") {
    for (const std::string& loop : loops()) {
        CAPTURE(loop);
        const Census census;
        const leash::Result result = with_growing_time(
            [&](const std::string& time) {
                return run_example(loop,
                                   {time, "sleep 60 & sleep 60", "echo done",
                                    "trap '' TERM; echo stubborn; while :; do sleep 60; done",
                                    "trap 'echo goodbye; exit 5' TERM; echo polite; sleep 60 & wait"},
                                   census);
            },
            [](const leash::Result& r) { return contains(r.out, "| stubborn\n") && contains(r.out, "| polite\n"); });
        CHECK(result.status.code() == 0);
        CHECK(said_of(1, result.out) == ": killed by SIGTERM (15)\n");
        CHECK(said_of(2, result.out) == "| done\n: exited 0\n");
        CHECK(said_of(3, result.out) == "| stubborn\n: killed by SIGKILL (9)\n");
        CHECK(said_of(4, result.out) == "| polite\n| goodbye\n: exited 5\n");
        CHECK(census.reaches(0));
    }
}

TEST_CASE("loops: a process that left the group and holds the output keeps nobody") {
    for (const std::string& loop : loops()) {
        CAPTURE(loop);
        const Census census;
        const Stopwatch watch;
        const leash::Result result = run_example(loop, {"60", helper() + " setsid-holder 6 1"}, census);
        CHECK(contains(said_of(1, result.out), "\n: exited 6\n"));
        CHECK(watch.elapsed() < 50s);
        CHECK(census.alive().size() == 1);
    }
}

TEST_CASE("loops: one that floods does not keep the timer or the others away") {
    for (const std::string& loop : loops()) {
        CAPTURE(loop);
        const Census census;
        leash::Options options = silent(census);
        options.timeout = 120s;
        const Stopwatch watch;
        CHECK(leash::run(example(loop, {"0.5", "yes", "exec sleep 60"}), options).ok());
        CHECK(watch.elapsed() < 50s);
        CHECK(census.reaches(0));
    }
}

TEST_CASE("loops: waiting for a job that has closed its output costs nothing") {
    for (const std::string& loop : loops()) {
        CAPTURE(loop);
        const Census census;
        const leash::Result result = run_example(loop, {"60", "exec >&- 2>&-; sleep 2"}, census);
        CHECK(result.out == "1: exited 0\n");
        CHECK(result.usage.user + result.usage.system < 200ms);
    }
}

TEST_CASE("loops: what the leader left behind is waited for, shown, and costs nothing meanwhile") {
    for (const std::string& loop : loops()) {
        CAPTURE(loop);
        const Census census;
        const TemporaryDirectory directory;
        leash::Options options = capture(census);
        options.cwd = directory.path();
        options.stragglers = leash::Stragglers::leave;  // nobody but the example tidies up
        options.timeout = 120s;
        // The writers go on when the leader has ended, which closes the FIFO: the one says more, the other nothing.
        const leash::Result result =
            leash::run(example(loop, {"60", "mkfifo 1; (read -r _ <1; echo late) & exec 9>1; echo early",
                                      "mkfifo 2; exec >&- 2>&-; (read -r _ <2; touch done) & exec 9>2; exit 4",
                                      "sleep 60 & echo left behind"}),
                       options);
        CHECK(said_of(1, result.out) == "| early\n| late\n: exited 0\n");
        CHECK(said_of(2, result.out) == ": exited 4\n");
        CHECK(::access((directory / "done").c_str(), F_OK) == 0);
        CHECK(said_of(3, result.out) == "| left behind\n: exited 0\n");
        CHECK(result.usage.user + result.usage.system < 500ms);  // the last one is waited for as long as the drain
        CHECK(census.reaches(0));
    }
}

TEST_CASE("supervisor: Ctrl-C ends all jobs") {
    const Census census;
    leash::Popen job(example("supervisor", {"60", "echo ready; sleep 60 & sleep 60"}), capture(census));
    REQUIRE(job.out().read_until("\n", 60s).data == "1| ready\n");
    ::kill(job.pid(), SIGINT);
    CHECK(job.communicate({}, 60s).out == "1: killed by SIGTERM (15)\n");
    CHECK(job.wait().code() == 0);
    CHECK(census.reaches(0));
}

TEST_CASE("restart: what fails is started again, later each time, until it exits with 0") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string file = directory / "tries";
    const leash::Result result = run_example(
        "restart", {"0.01", "3600", "echo >>'" + file + "'; [ $(wc -l <'" + file + "') -gt 3 ]", "true"}, census);
    CHECK(result.ok());
    CHECK(said_of(1, result.out) ==
          ": exited 1, again in 0.01 s\n: exited 1, again in 0.02 s\n: exited 1, again in 0.04 s\n: exited 0\n");
    CHECK(said_of(2, result.out) == ": exited 0\n");
    CHECK(census.reaches(0));
}

TEST_CASE("restart: Ctrl-C ends what runs, and what waits for its restart") {
    const Census census;
    leash::Popen job(example("restart", {"3600", "3600", "exit 7", "exec sleep 60"}), capture(census));
    CHECK(job.out().read_until("\n", 60s).data == "1: exited 7, again in 3600 s\n");
    ::kill(job.pid(), SIGINT);
    const leash::Captured said = job.communicate({}, 60s);
    CHECK(said.out == "2: killed by SIGTERM (15)\n");
    CHECK(job.wait().success());
    CHECK(census.reaches(0));
}

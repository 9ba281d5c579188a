// tests/examples/example_parallel.cpp - examples/parallel.cpp.

#include "example.hpp"

using namespace support;

TEST_CASE("parallel: what each command says stays together") {
    const Census census;
    const leash::Result result = run_example("parallel", {"4", "sh", "-c", "echo $0 out; echo $0 err >&2"}, census,
                                             leash::check_output({"seq", "20"}));
    CHECK(result.status.code() == 0);
    CHECK(result.err == "20 of 20 done, 0 failed\n");
    for (int i = 1; i <= 20; ++i) {
        const std::string name = std::to_string(i);
        CHECK(contains("\n" + result.out, "\n" + name + " out\n" + name + " err\n"));
    }
    CHECK(result.out.size() == leash::check_output(leash::shell("seq -f '%g out' 20; seq -f '%g err' 20")).size());
    CHECK(census.reaches(0));
}

TEST_CASE("parallel: so many at a time, and no more") {
    const Census census;
    const TemporaryDirectory directory;
    REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
    leash::Options options = capture(census);
    options.cwd = directory.path();
    options.timeout = 120s;
    options.in = leash::bytes("echo met >fifo\ncat fifo\n");  // each waits for the other
    CHECK(leash::run(example("parallel", {"2", "sh", "-c"}), options).out == "met\n");
    options.in = leash::bytes(leash::check_output({"seq", "30"}));  // each fails where another one runs
    CHECK(leash::run(example("parallel", {"1", "sh", "-c", "mkdir lock && rmdir lock"}), options).err ==
          "30 of 30 done, 0 failed\n");
}

TEST_CASE("parallel: failures are named, and exit as with xargs") {
    const Census census;
    leash::Result result = run_example("parallel", {"1", "sh", "-c", "exit $0"}, census, "0\n3\n0\n4\n");
    CHECK(result.err == "3: exited 3\n4: exited 4\n4 of 4 done, 2 failed\n");
    CHECK(result.status.code() == 123);
    result = run_example("parallel", {"2", "no-such-program"}, census, "a\n");
    CHECK(contains(result.err, "a: leash: program \"no-such-program\""));
    CHECK(contains(result.err, "\n1 of 1 done, 1 failed\n"));
    CHECK(result.status.code() == 127);
    CHECK(run_example("parallel", {"2", "/"}, census, "a\n").status.code() == 126);
    CHECK(run_example("parallel", {"2", "no-such-program"}, census).err == "0 of 0 done, 0 failed\n");
    CHECK(run_example("parallel", {"many", "true"}, census).status.code() == 1);
}

TEST_CASE("parallel: a live line at a terminal") {
    const Census census;
    const TemporaryDirectory directory;
    leash::Options options = capture(census);
    options.err = leash::tty;
    options.in = leash::file(directory.file("lines", "a\nb\n"));
    options.timeout = 120s;
    const leash::Result result = leash::run(example("parallel", {"1", "echo"}), options);
    const std::string clear = "\r\033[K";
    CHECK(result.out == "a\nb\n");
    CHECK(result.err == clear + "0 of 2 done, 1 running" + clear + clear + "1 of 2 done, 0 running" +  //
                            clear + "1 of 2 done, 1 running" + clear + clear + "2 of 2 done, 0 running" + clear +
                            "2 of 2 done, 0 failed\r\n");
}

TEST_CASE("parallel: Ctrl-C ends what runs, and starts no more") {
    const Census census;
    const TemporaryDirectory directory;
    leash::Options options = capture(census);
    options.cwd = directory.path();
    options.in = leash::bytes("1\n2\n3\n");
    for (const char* const name : {"1", "2"}) REQUIRE(::mkfifo((directory / name).c_str(), 0600) == 0);
    leash::Popen job(example("parallel", {"2", "sh", "-c", "echo ready >$0; sleep 60 & sleep 60"}), options);
    for (const char* const name : {"1", "2"}) CHECK(leash::run({"cat", name}, options).out == "ready\n");
    ::kill(job.pid(), SIGINT);
    const leash::Captured said = job.communicate({}, 60s);
    CHECK(contains(said.err, "2 of 3 done, 2 failed, interrupted\n"));
    CHECK(job.wait().code() == 130);
    CHECK(census.reaches(0));
}

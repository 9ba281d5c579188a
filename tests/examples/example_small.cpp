// tests/examples/example_small.cpp - quickstart, no_exceptions, pipeline, tail, expect, lsp, pty.

#include "example.hpp"

#include <cstdio>

using namespace support;

TEST_CASE("quickstart") {
    const Census census;
    const leash::Result result = run_example("quickstart", {"root"}, census);
    CHECK(result.ok());
    CHECK(contains(result.out, "root"));
    CHECK(contains(result.out, "\nin names: "));
    CHECK(contains(result.out, "\nthe sleeper was killed by SIGTERM (15), timed out: true\n"));
    CHECK(contains(run_example("quickstart", {"no such name"}, census).out, "grep exited 1\nin names: 0\n"));
    CHECK(census.reaches(0));
}

TEST_CASE("no_exceptions") {
    const Census census;
    const leash::Result result = run_example("no_exceptions", {}, census);
    CHECK(result.ok());
    CHECK(result.out ==
          "leash: program \"gti\": No such file or directory (not found in the child's PATH)\n"
          "step program, subject gti, is ENOENT: yes\n"
          "exited 3, said: half of it\n"
          "stopped: killed by SIGTERM (15)\n");
    CHECK(census.reaches(0));
}

TEST_CASE("pipeline") {
    const Census census;
    const leash::Result result = run_example("pipeline", {}, census);
    CHECK(result.ok());
    CHECK(result.out ==
          "all is well\n"
          "  stage 0: exited 0\n"
          "  stage 1: exited 0\n"
          "  stage 2: exited 0\n"
          "  stage 3: exited 0\n"
          "  ok: yes, output:       3 pear\n"
          "SIGPIPE ends an early stage, since a later one has had enough: no failure\n"
          "  stage 0: killed by SIGPIPE (13)\n"
          "  stage 1: exited 0\n"
          "  ok: yes, output: y\n"
          "a stage in the middle fails: so does the whole\n"
          "  stage 0: exited 0\n"
          "  stage 1: exited 3\n"
          "    says: out of order\n"
          "  stage 2: exited 0\n"
          "  ok: no, output: 6\n"
          "a stage does not exist: none is left running\n"
          "  not started: leash: stage 1: program \"no-such-program\": No such file or directory "
          "(not found in the child's PATH)\n");
    CHECK(census.reaches(0));
}

TEST_CASE("tail shows lines as they are written, and ends at the one that was waited for") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string log = directory.file("log", "starting\n");
    leash::Popen tail(example("tail", {log, "ready", "60"}), capture(census));
    REQUIRE(tail.out().read_until("\n", 60s).data == "1: starting\n");
    const auto append = [&](const char* text) {
        CHECK(leash::run(leash::shell("printf \"$1\" >>\"$2\"", {text, log})).ok());
    };
    append("half ");
    append("a line\n");
    REQUIRE(tail.out().read_until("\n", 60s).data == "2: half a line\n");
    append("now ready\nmore\n");
    CHECK(tail.communicate({}, 60s).out == "3: now ready\n");
    CHECK(tail.wait().code() == 0);
    CHECK(census.reaches(0));
}

TEST_CASE("tail gives up after a silence, or at Ctrl-C") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string log = directory.file("log", "starting\n");
    const leash::Result result = run_example("tail", {log, "ready", "0.3"}, census);
    CHECK(result.status.code() == 1);
    CHECK(contains(result.out, "silence: tail killed by SIGTERM (15)\n"));
    CHECK(run_example("tail", {}, census).status.code() == 2);

    leash::Popen tail(example("tail", {log, "ready", "60"}), capture(census));
    REQUIRE(tail.out().read_until("\n", 60s).data == "1: starting\n");
    ::kill(tail.pid(), SIGINT);
    CHECK(tail.communicate({}, 60s).out == "interrupted: tail killed by SIGTERM (15)\n");
    CHECK(tail.wait().code() == 1);
    CHECK(census.reaches(0));
}

TEST_CASE("expect: a conversation at a terminal") {
    const Census census;
    const leash::Result right = run_example("expect", {"ada", "sesame", "6 * 7", "2 + 2"}, census);
    CHECK(right.out == "6 * 7 = 42\r\n2 + 2 = 4\r\nthe calculator exited 0\n");
    CHECK(right.status.code() == 0);
    const leash::Result wrong = run_example("expect", {"ada", "swordfish", "6 * 7"}, census);
    CHECK(wrong.out == "wrong password; the calculator exited 1\n");
    CHECK(wrong.status.code() == 1);
    const leash::Result stranded = run_example("expect", {"ada", "sesame", "6 *", "1"}, census);
    CHECK(contains(stranded.out, "no answer: exited "));
    CHECK(stranded.status.code() == 1);
    CHECK(census.reaches(0));
}

TEST_CASE("lsp: messages that say how long they are") {
    const Census census;
    // A server of three answers, which are cut anywhere, and come after a message that nobody has asked for.
    const leash::Result result = run_example(
        "lsp",
        {"/bin/sh", "-c",
         "say() { printf 'Content-Type: x\\r\\nContent-Le'; printf 'ngth: %s\\r\\n\\r\\n%s' \"${#1}\" \"$1\"; };"
         "say '{\"method\":\"window/logMessage\"}';"
         "say '{\"id\":1,\"result\":{\"serverInfo\":{\"name\":\"small\"}}}';"
         "say '{\"id\":2,\"result\":[{\"range\":{\"start\":{\"character\":4,\"line\":7}}}]}';"
         "say '{\"id\":3}'; cat >/dev/null; exit 5"},
        census);
    CHECK(result.out == "the server is small\nanswer is declared in line 7\nthe server exited 5\n");
    CHECK(result.ok());
    // The real one, where there is one.
    const leash::Result real = run_example("lsp", {}, census);
    const bool is_there = !contains(real.out, "no server");
    if (is_there) CHECK(real.out == "the server is clangd\nanswer is declared in line 0\nthe server exited 0\n");
    CHECK(real.ok());
    CHECK(contains(run_example("lsp", {"cat"}, census).out, "the server "));
    CHECK(run_example("lsp", {"true"}, census).out == "it does not answer: exited 0\n");
    CHECK(contains(run_example("lsp", {"no-such-server"}, census).out, "no server: leash: program"));
    CHECK(census.reaches(0));
}

TEST_CASE("pty: what is different at a terminal") {
    const Census census;
    const leash::Result result = run_example("pty", {}, census);
    CHECK(result.status.code() == 0);
    CHECK(contains(result.out, "ls at a pipe:     /\\n\n"));
    CHECK(contains(result.out, "ls at a terminal: \\e["));
    CHECK(contains(result.out,
                   "at first:         40 120\\r\\n\n"
                   "resized:          50 132\\r\\n\n"
                   "after Ctrl-C:     interrupted, exited 5\n"));
    CHECK(census.reaches(0));
}

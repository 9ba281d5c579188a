// tests/test_run.cpp - one call from a command to its result.
#include <doctest/doctest.h>

#include "support.hpp"

#include <chrono>
#include <stdexcept>

using leash::Step;
using support::Census;
using support::child;
using support::NothingLeft;
using support::pattern;
using namespace std::chrono_literals;

TEST_CASE("run gives the status, the output and the use, and leaves nothing") {
    const Census census;
    const NothingLeft before;
    const leash::Result result = leash::run(child({"print-to", "1", "out", "2", "err"}), support::capture(census));
    CHECK(result.ok());
    CHECK(result.status.describe() == "exited 0");
    CHECK(result.out == "out");
    CHECK(result.err == "err");
    CHECK_FALSE(result.timed_out);
    CHECK_FALSE(result.cancelled);
    CHECK(result.survivors.empty());
    CHECK_FALSE(result.out_truncated);
    CHECK_FALSE(result.err_truncated);
    CHECK(result.held.empty());
    CHECK(result.unwritten == 0);
    CHECK(result.usage.peak_memory != 0U);
    CHECK(census.is_empty());
    CHECK(before.holds());
}

TEST_CASE("no status is an exception of run, and a start that fails is one") {
    const NothingLeft before;
    CHECK(leash::run(child({"exit", "3"})).status.code() == 3);
    CHECK_FALSE(leash::run(child({"exit", "3"})).ok());
    CHECK(leash::run(child({"kill", "9"})).status.signal() == 9);
    CHECK_THROWS_AS(static_cast<void>(leash::run({"/no/such/program"})), leash::SpawnError);
    CHECK_THROWS_AS(static_cast<void>(leash::run(leash::args(std::vector<std::string>()))), leash::SpawnError);
    CHECK(before.holds());
}

TEST_CASE("try_run gives an Error instead of throwing") {
    const NothingLeft before;
    const leash::Expected<leash::Result> good = leash::try_run({"true"});
    REQUIRE(good.has_value());
    CHECK(good->ok());
    const leash::Expected<leash::Result> bad = leash::try_run({"/no/such/program"});
    REQUIRE_FALSE(bad.has_value());
    CHECK(bad.error().step == Step::program);
    CHECK(before.holds());
}

TEST_CASE("the examples of the documentation do what they say") {
    leash::Options options;
    options.out = leash::piped;
    options.err = leash::piped;
    options.timeout = 60s;
    CHECK(leash::run({"echo", "-1"}, options).out == "-1\n");
    const std::string name = "root";
    CHECK(leash::run(leash::shell("grep -c -- \"^$1:\" /etc/passwd", {name}), options).out == "1\n");
    leash::Popen p(leash::shell("printf 'a\\nb\\n' | grep b"), options);
    for (const std::string_view line : p.out().lines()) CHECK(line == "b");
    CHECK(leash::check_output({"uname"}) == leash::run({"uname"}, options).out);
}

TEST_CASE("ok is an exit of 0, in time and not cancelled") {
    leash::Result result;
    CHECK_FALSE(result.ok());
    result.status = leash::ExitStatus::from_code(0);
    CHECK(result.ok());
    result.timed_out = true;
    CHECK_FALSE(result.ok());
    result.timed_out = false;
    result.cancelled = true;
    CHECK_FALSE(result.ok());
    result.cancelled = false;
    result.status = leash::ExitStatus::from_signal(SIGTERM);
    CHECK_FALSE(result.ok());
}

namespace {

/// Runs it with a timeout that lets the child say something first, however busy the machine is.
leash::Result run_past_its_time(const leash::Command& command, leash::Options options) {
    leash::Result result;
    CHECK(support::in_time(100ms, [&](std::chrono::milliseconds timeout) {
        options.timeout = timeout;
        const support::Stopwatch watch;
        result = leash::run(command, options);
        CHECK(watch.elapsed() >= timeout);
        return !result.out.empty();
    }));
    return result;
}

}  // namespace

TEST_CASE("a run whose time is up ends the job and returns what had come") {
    const Census census;
    const NothingLeft before;
    leash::Options options = support::capture(census);
    options.grace = 60s;
    SUBCASE("politely") {
        const leash::Result result = run_past_its_time(child({"print-and-wait", "partial"}), options);
        CHECK(result.timed_out);
        CHECK(result.status.describe() == "killed by SIGTERM (15)");
        CHECK(result.out == "partial");
    }
    SUBCASE("by force") {
        options.grace = 20ms;
        const leash::Result result = run_past_its_time(child({"ignore-term"}), options);
        CHECK(result.timed_out);
        CHECK(result.status.describe() == "killed by SIGKILL (9)");
    }
    SUBCASE("in a flood") {
        options.max_output = 1000;
        const leash::Result result = run_past_its_time(child({"flood"}), options);
        CHECK(result.timed_out);
        CHECK(result.out == pattern(1000));
        CHECK(result.out_truncated);
    }
    SUBCASE("with an exit of 0 on the way out") {
        const leash::Result result = run_past_its_time(child({"catch-term", "0"}), options);
        CHECK(result.timed_out);
        CHECK(result.status.success());
        CHECK_FALSE(result.ok());
    }
    CHECK(census.reaches(0));
    CHECK(before.holds());
}

TEST_CASE("a run with an input that is piped and not given closes it") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    CHECK(leash::run(child({"count"}), options).out == "0 0\n");
}

TEST_CASE("many runs in a row leave nothing") {
    const Census census;
    const NothingLeft before;
    leash::Options options = support::capture(census);
    options.in = leash::bytes("x");
    options.timeout = 1h;
    for (int i = 0; i < 200; ++i) CHECK(leash::run(child({"cat"}), options).out == "x");
    CHECK(before.holds());
}

TEST_CASE("options can be used again, and are not changed") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::bytes("again");
    const leash::Command command = child({"cat"});
    for (int i = 0; i < 3; ++i) CHECK(leash::run(command, options).out == "again");
}

// ---- check_output

TEST_CASE("check_output gives the output of a command that succeeds, whatever the options said of out") {
    CHECK(leash::check_output(child({"print", "text\n"})) == "text\n");
    leash::Options options;
    options.out = leash::null;
    options.err = leash::null;
    CHECK(leash::check_output(child({"print", "text"}), options) == "text");
    CHECK_THROWS_AS(static_cast<void>(leash::check_output({"/no/such/program"})), leash::SpawnError);
    CHECK_THROWS_AS(static_cast<void>(leash::check_output(leash::args(std::vector<std::string>()))), leash::SpawnError);
}

TEST_CASE("check_ok gives the result on, or throws it") {
    const Census census;
    leash::Options options = support::capture(census);
    const leash::Result fine = leash::run(child({"print", "text"}), options);
    CHECK(&fine.check_ok() == &fine);
    CHECK(leash::run(child({"print", "text"}), options).check_ok().out == "text");
    const leash::Result taken = leash::run(child({"print", "text"}), options).check_ok();
    CHECK(taken.out == "text");
    leash::run(child({"exit", "0"}), options).check_ok();  // and no warning

    const leash::Result failed = leash::run(leash::shell("echo some; echo the reason >&2; exit 3"), options);
    for (const bool is_temporary : {false, true}) {
        try {
            if (is_temporary) leash::Result(failed).check_ok();
            else failed.check_ok();
            CHECK(false);
        } catch (const leash::ProcessFailed& e) {
            CHECK(e.status().code() == 3);
            CHECK(e.err() == "the reason\n");
            CHECK(e.result().out == "some\n");
            CHECK(std::string(e.what()) == "leash: \"/bin/sh\" exited 3: the reason");
        }
    }
    CHECK(failed.err == "the reason\n");
    // also what ended with 0, but was ended
    options.timeout = 50ms;
    const leash::Result late = leash::run(child({"catch-term", "0"}), options);
    CHECK_THROWS_AS(static_cast<void>(late.check_ok()), leash::ProcessFailed);
}

TEST_CASE("capture is run with out and err piped, where the options do not say otherwise") {
    const Census census;
    leash::Options options;
    options.env = census.env();
    const leash::Command command = child({"print-to", "1", "out", "2", "err"});
    CHECK(leash::capture(command).out == "out");
    CHECK(leash::try_capture(command)->err == "err");
    CHECK(leash::capture(command | leash::args({"cat"}), options).out == "out");
    CHECK(leash::capture({"sh", "-c", "echo hi; exit 3"}, options).status.code() == 3);
    options.err = leash::to_out;
    CHECK(leash::capture(command, options).out == "outerr");
    options.err = leash::null;
    std::string heard;
    options.out = leash::sink([&](std::string_view chunk) { heard += chunk; });
    const leash::Result result = leash::capture(command, options);
    CHECK(result.out == "");
    CHECK(result.err == "");
    CHECK(heard == "out");
    CHECK_THROWS_AS(static_cast<void>(leash::capture({"/no/such/program"})), leash::SpawnError);
    CHECK_FALSE(leash::try_capture(leash::args({"cat"}) | leash::args({"/no/such/program"})));
}

TEST_CASE("describe() is one line, and has nothing in it that may be secret") {
    const Census census;
    leash::Options options = support::capture(census);
    options.env = census.mark(leash::Env::inherited().set("TOKEN", "hush-hush"));
    options.drain = 50ms;
    options.max_output = 2;
    const leash::Result result =
        leash::run(leash::shell("\"$2\" sleep hush-hush & echo hush-hush; echo hush-hush >&2; exit 3",
                                {"hush-hush", support::helper()}),
                   options);
    REQUIRE(result.stragglers.size() == 1);
    CHECK(result.command == "/bin/sh");
    const std::string text = result.describe();
    CHECK(text.find("/bin/sh: exited 3 in ") == 0);
    CHECK(text.find(" s, out cut off, err cut off; left behind and killed: " +
                    std::to_string(result.stragglers[0].pid) + " " + support::helper()) != std::string::npos);
    for (const char* const secret : {"hush", "sleep", "TOKEN", "\n"}) CHECK(text.find(secret) == std::string::npos);

    leash::Result made;
    CHECK(made.describe() == "unknown in 0.000 s");
    made.command = "g\033[2Jit";
    made.status = leash::ExitStatus::from_code(0);
    made.duration = 3'601'042ms;
    CHECK(made.describe() == "g\\x1b[2Jit: exited 0 in 3601.042 s");
}

TEST_CASE("duration is from before the start to the end") {
    const Census census;
    leash::Options options = support::capture(census);
    const auto before = std::chrono::steady_clock::now();
    const auto result = leash::run(leash::shell("sleep 0.05"), options);
    CHECK(result.duration >= 50ms);
    CHECK(result.duration <= std::chrono::steady_clock::now() - before);
    options.cancel = leash::Cancel();
    options.cancel->fire();
    const auto cancelled = leash::run(child({"sleep"}), options);
    CHECK(cancelled.duration == 0s);
    CHECK(cancelled.command == support::helper());
}

TEST_CASE("check_output throws with the program, the status and the end of err") {
    const Census census;
    const NothingLeft before;
    try {
        static_cast<void>(leash::check_output(leash::shell("echo partial; echo one >&2; echo the reason >&2; exit 3")));
        CHECK(false);
    } catch (const leash::ProcessFailed& e) {
        CHECK(e.status() == leash::ExitStatus::from_code(3));
        CHECK(e.err() == "one\nthe reason\n");
        CHECK(e.result().out == "partial\n");
        const std::string what = e.what(), end = " exited 3: one\nthe reason";
        CHECK(what.find("leash: ") == 0);
        CHECK(what.find("sh") < what.find(end));
        CHECK(what.substr(what.size() - end.size()) == end);
        const std::runtime_error& as_base = e;
        CHECK(std::string(as_base.what()) == e.what());
    }
    try {
        static_cast<void>(leash::check_output(child({"kill", "9"})));
        CHECK(false);
    } catch (const leash::ProcessFailed& e) {
        CHECK(e.status().signal() == SIGKILL);
        CHECK(e.err() == "");
        CHECK(std::string(e.what()) == "leash: \"" + support::helper() + "\" killed by SIGKILL (9)");
    }
    CHECK(before.holds());
}

TEST_CASE("what a message quotes of err moves no cursor and sets no title") {
    const auto said = [](leash::Command command) {
        try {
            static_cast<void>(leash::check_output(std::move(command)));
        } catch (const leash::ProcessFailed& e) {
            CHECK(e.err().find("\\x") == std::string::npos);  // that is as it came
            return std::string(e.what());
        }
        return std::string();
    };
    // ESC, BEL, a carriage return, and U+009B, which is ESC [ in UTF-8; newlines, tabs and letters stay
    const std::string text =
        "\033]0;owned\a\r\xc2\x9b"
        "2Jtwo\tlines\n\u732b";
    const std::string what = said(leash::shell("printf %s \"$1\" >&2; exit 1", {text}));
    const std::string end =
        " exited 1: \\x1b]0;owned\\x07\\r\\xc2\\x9b"
        "2Jtwo\tlines\n\u732b";
    CHECK(what.substr(what.size() < end.size() ? 0 : what.size() - end.size()) == end);
    CHECK(said(leash::shell("# \033[2J \n exit 1")).find('\033') == std::string::npos);
}

TEST_CASE("what a message quotes is cut between two characters") {
    std::string cats;
    for (int i = 0; i < 30'000; ++i) cats += "\u732b";
    for (const char* const shift : {"", "x", "xx"}) {
        try {
            static_cast<void>(leash::check_output(leash::shell(
                std::string("#") + shift + cats.substr(0, 300) + "\nprintf %s \"$1\" >&2; exit 1", {shift + cats})));
            CHECK(false);
        } catch (const leash::ProcessFailed& e) {
            const auto is_whole = [](std::string_view text) {  // as far as there are cats
                const std::size_t first = text.find('\xe7');
                return first != std::string_view::npos && (text.size() - first) % 3 == 0;
            };
            const std::string what = e.what();
            const std::size_t name_end = what.find("...\""), tail = what.find(" exited 1: ") + 11;
            REQUIRE(name_end != std::string::npos);
            CHECK(is_whole(what.substr(0, name_end)));
            CHECK(what.substr(tail, 3) == "\u732b");
            CHECK(is_whole(what.substr(tail)));
            CHECK(e.err().substr(0, 3) == "\u732b");
            CHECK(e.err().size() > 64 * 1024 - 4);
        }
    }
}

TEST_CASE("check_output keeps the end of a long err, and 64 KiB of it at the most") {
    try {
        static_cast<void>(leash::check_output(
            leash::shell("\"$1\" write 1000000 2; echo the reason >&2; exit 1", {support::helper()})));
        CHECK(false);
    } catch (const leash::ProcessFailed& e) {
        CHECK(e.err().size() <= 64 * 1024);
        CHECK(e.err().size() > 60 * 1024);
        const std::string end = "the reason\n";
        CHECK((e.err().substr(e.err().size() - end.size()) == end));
        const std::string expected = pattern(1'000'000) + end;
        CHECK((e.err() == expected.substr(expected.size() - e.err().size())));
        const std::string what = e.what();
        CHECK(what.size() < 4000);
        CHECK(what.find("the reason") != std::string::npos);
    }
}

TEST_CASE("check_output leaves err where the options send it") {
    const Census census;
    leash::Options options = support::capture(census);
    const auto failure = [&] {
        try {
            static_cast<void>(leash::check_output(leash::shell("echo reason >&2; exit 1"), options));
        } catch (const leash::ProcessFailed& e) {
            return e.result();
        }
        return leash::Result();
    };
    CHECK(failure().err == "reason\n");  // piped
    options.err = leash::to_out;
    CHECK(failure().out == "reason\n");
    std::string heard;
    options.err = leash::sink([&](std::string_view chunk) { heard += chunk; });
    CHECK(failure().err == "");
    CHECK(heard == "reason\n");
}

TEST_CASE("check_output says when the time was up or a token was fired") {
    const Census census;
    leash::Options options;
    options.env = census.env();
    options.timeout = 50ms;
    const auto what = [&] {
        try {
            static_cast<void>(leash::check_output(child({"sleep"}), options));
        } catch (const leash::ProcessFailed& e) {
            return std::string(e.what());
        }
        return std::string();
    };
    CHECK(what().find("killed by SIGTERM (15), timed out") != std::string::npos);
    options.timeout = leash::Timeout::none();
    options.cancel = leash::Cancel();
    options.cancel->fire();
    CHECK(what().find("cancelled") != std::string::npos);
    // also where the command went with 0
    options.cancel = std::nullopt;
    options.timeout = 100ms;
    try {
        static_cast<void>(leash::check_output(child({"catch-term", "0"}), options));
        CHECK(false);
    } catch (const leash::ProcessFailed& e) {
        CHECK(e.result().timed_out);
    }
}

TEST_CASE("what a sink throws leaves through run, and nothing is left") {
    const Census census;
    const NothingLeft before;
    leash::Options options = support::capture(census);
    options.err = leash::sink([](std::string_view chunk) { throw std::runtime_error(std::string(chunk)); });
    CHECK_THROWS_WITH_AS(static_cast<void>(leash::try_run(leash::shell("echo bad >&2; sleep 1000"), options)), "bad\n",
                         std::runtime_error);
    CHECK(census.reaches(0));
    CHECK(before.holds());
}

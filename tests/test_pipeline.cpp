// tests/test_pipeline.cpp - several commands as one job: one group, one deadline, one end.
#include <doctest/doctest.h>

#include "support.hpp"

#include <optional>
#include <set>
#include <stdexcept>

using leash::Step;
using support::Census;
using support::child;
using support::NothingLeft;
using support::pattern;
using namespace std::chrono_literals;

namespace {

leash::Command cat() { return child({"cat"}); }

}  // namespace

TEST_CASE("each stage's output is the next one's input, the first has in, the last has out") {
    const Census census;
    const NothingLeft before;
    leash::Options options = support::capture(census);
    options.in = leash::bytes("b\na\nb\n");
    const leash::Result result =
        leash::run(leash::args({"sort"}) | leash::args({"uniq"}) | leash::shell("tr a-z A-Z; exit 3"), options);
    CHECK(result.out == "A\nB\n");
    CHECK(result.status.code() == 3);
    REQUIRE(result.statuses.size() == 3);
    CHECK(result.statuses[0].success());
    CHECK(result.statuses[1].success());
    CHECK(result.statuses[2] == result.status);
    CHECK_FALSE(result.ok());
    CHECK(before.holds());
}

TEST_CASE("a pipeline is built stage by stage, and copies") {
    leash::Pipeline pipeline = cat() | cat();
    CHECK(pipeline.stages().size() == 2);
    const leash::Pipeline longer = pipeline | child({"count"});
    CHECK(longer.stages().size() == 3);
    CHECK(longer.stages().back().argv().back() == "count");
    CHECK(pipeline.append(cat()).stages().size() == 3);
    CHECK(std::move(pipeline).stages().size() == 3);
}

TEST_CASE("two pipelines make one, and one whose stages were taken is refused") {
    const Census census;
    leash::Options options = support::capture(census);
    leash::Pipeline front = leash::args({"echo", "a"}) | cat();
    leash::Pipeline rest = leash::args({"tr", "a", "b"}) | leash::args({"tr", "b", "c"});
    const leash::Result result = leash::run(front | rest, options);
    CHECK(result.out == "c\n");
    CHECK(result.statuses.size() == 4);

    CHECK(std::move(front).stages().size() == 2);
    const std::vector<leash::Command> taken = std::move(rest).stages();
    for (const leash::ErrorOutput& err : {leash::ErrorOutput(leash::piped), leash::ErrorOutput(leash::per_stage)}) {
        options.err = err;
        const auto refused = leash::try_run(rest, options);
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().step == Step::command);
        CHECK(refused.error().code == std::errc::invalid_argument);
    }
}

TEST_CASE("what a pipeline cannot have is refused") {
    leash::Options executable, session, terminal;
    executable.executable = "/bin/cat";
    session.group = leash::Group::session;
    terminal.out = leash::tty;
    for (const leash::Options& options : {executable, session, terminal}) {
        const auto refused = leash::try_run(cat() | cat(), options);
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().step == Step::options);
        CHECK(refused.error().code == std::errc::invalid_argument);
    }
}

TEST_CASE("any amount flows through a pipeline") {
    const Census census;
    leash::Options options = support::capture(census);
    const std::string data = pattern(8'000'000);
    options.in = leash::bytes(data);
    const leash::Result result = leash::run(cat() | cat() | cat(), options);
    CHECK(result.ok());
    CHECK((result.out == data));
    leash::Popen p(cat() | cat(), options);
    CHECK((p.communicate().out == data));
}

TEST_CASE("err is every stage's, in one stream") {
    const Census census;
    const leash::Result result =
        leash::run(leash::shell("echo one >&2") | leash::shell("cat; echo two >&2"), support::capture(census));
    CHECK(result.ok());
    CHECK(result.err == "one\ntwo\n");
}

TEST_CASE("a pipeline is ok where every stage did its part, and an end by SIGPIPE is one before the last") {
    const Census census;
    const leash::Options options = support::capture(census);
    leash::Result result = leash::run(child({"flood"}) | leash::args({"head", "-c", "10"}), options);
    CHECK(result.out == pattern(10));
    CHECK(result.status.success());
    CHECK(result.ok());  // the flood ended because head had enough

    result = leash::run(child({"exit", "4"}) | cat(), options);
    CHECK(result.status.success());
    CHECK(result.statuses[0].code() == 4);
    CHECK_FALSE(result.ok());
    CHECK_FALSE(leash::run(child({"print", "x"}) | child({"kill", "13"}), options).ok());
    CHECK_FALSE(leash::run(child({"kill", "9"}) | cat(), options).ok());
}

TEST_CASE("all stages are in one group, which a signal reaches") {
    const Census census;
    leash::Options options = support::capture(census);
    const auto ids = leash::run(
        leash::shell("\"$1\" ids", {support::helper()}) | leash::shell("cat; \"$1\" ids", {support::helper()}),
        options);
    const auto all = support::words(ids.out);
    REQUIRE(all.size() >= 8);
    CHECK(all[1] == all[5]);
    CHECK(all[1] != std::to_string(::getpgrp()));

    leash::Popen p(child({"sleep"}) | child({"sleep"}) | child({"sleep"}), options);
    CHECK(census.reaches(3));
    CHECK_FALSE(p.poll().has_value());
    CHECK(p.terminate().has_value());
    CHECK(p.wait().signal() == SIGTERM);
    const auto statuses = p.statuses();
    REQUIRE(statuses.size() == 3);
    for (const leash::ExitStatus& status : statuses) CHECK(status.signal() == SIGTERM);
    CHECK(census.reaches(0));
}

TEST_CASE("a pipeline has ended when every stage has") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    SUBCASE("the last one goes first") {
        leash::Popen p(child({"read-and-exit", "1", "3"}) | child({"exit", "0"}), options);
        CHECK_FALSE(p.wait_for(50ms).has_value());
        p.in().close();
        CHECK(p.wait().success());
        CHECK(p.statuses()[0].exited());
    }
    SUBCASE("the first one goes first") {
        leash::Popen p(child({"exit", "0"}) | leash::shell("cat; exec \"$1\" sleep", {support::helper()}), options);
        REQUIRE(support::eventually([&] { return support::state_of(p.pid()) == 'Z'; }));
        CHECK_FALSE(p.wait_for(50ms).has_value());
        CHECK(p.kill().has_value());
        CHECK(p.wait().signal() == SIGKILL);
        CHECK(p.statuses()[0].success());
    }
    CHECK(census.reaches(0));
}

TEST_CASE("the deadline, a token, stop and the destructor end every stage") {
    const Census census;
    const NothingLeft before;
    leash::Options options = support::capture(census);
    options.grace = 20ms;
    const leash::Pipeline pipeline = child({"ignore-term"}) | child({"fork-and-wait"}) | child({"sleep"});
    SUBCASE("deadline") {
        options.timeout = 100ms;
        CHECK(leash::run(pipeline, options).timed_out);
    }
    SUBCASE("token") {
        options.cancel = leash::Cancel();
        leash::Popen p(pipeline, options);
        CHECK(census.reaches(4));
        options.cancel->fire();
        CHECK(p.wait().signal() == SIGTERM);
        CHECK(p.cancelled());
    }
    SUBCASE("stop") {
        leash::Popen p(pipeline, options);
        CHECK(census.reaches(4));
        CHECK(p.stop(20ms).signaled());
    }
    SUBCASE("destructor") {
        leash::Popen p(pipeline, options);
        CHECK(census.reaches(4));
    }
    CHECK(census.reaches(0));
    CHECK(before.holds());
}

TEST_CASE("a stage that cannot start is named by its number, and ends the ones before it") {
    const Census census;
    const NothingLeft before;
    const leash::Options options = support::capture(census);
    const support::TemporaryDirectory directory;
    const std::string script = directory.file("script", "no #!", 0755);  // found out only by the start itself
    for (const std::string& bad : {script, std::string("/no/such/program")}) {
        for (int at = 0; at < 3; ++at) {
            std::vector<leash::Command> stages(3, child({"sleep"}));
            stages[static_cast<std::size_t>(at)] = leash::args({bad});
            const auto refused = leash::try_run(stages[0] | stages[1] | stages[2], options);
            REQUIRE_FALSE(refused.has_value());
            CHECK(refused.error().step == Step::program);
            CHECK(refused.error().stage == at);
            CHECK(refused.error().subject == bad);
            CHECK(refused.error().message().find("stage " + std::to_string(at)) != std::string::npos);
            CHECK(census.reaches(0));
        }
    }
    CHECK_THROWS_AS(static_cast<void>(leash::run(cat() | leash::args({script}), options)), leash::SpawnError);
    CHECK_THROWS_AS(static_cast<void>(leash::Popen(cat() | leash::args({script}), options)), leash::SpawnError);
    CHECK(leash::Popen::try_spawn(cat() | cat(), options).has_value());
    CHECK(before.holds());
}

TEST_CASE("the stages of a pipeline have 0, 1, 2 and what was listed, and nothing of each other") {
    const Census census;
    leash::Options options = support::capture(census);
    options.pass_fds = {{2, 7}};
    const auto fds = [] { return leash::shell("cat; \"$1\" fds", {support::helper()}); };
    const std::string out = leash::run(fds() | fds() | fds(), options).out;
    std::string numbers;
    for (std::size_t from = 0; from < out.size(); from = out.find('\n', from) + 1)
        numbers += std::to_string(std::atoi(out.c_str() + from)) + " ";
    CHECK(numbers == "0 1 2 7 0 1 2 7 0 1 2 7 ");
}

TEST_CASE("a single command has one status") {
    const Census census;
    leash::Popen p(child({"exit", "3"}), support::silent(census));
    CHECK(p.wait().code() == 3);
    REQUIRE(p.statuses().size() == 1);
    CHECK(p.statuses()[0].code() == 3);
    leash::Popen q(std::move(p));
    CHECK(p.statuses().empty());
}

// ---- err, stage by stage

TEST_CASE("with per_stage each stage's err is told apart") {
    const Census census;
    const NothingLeft before;
    leash::Options options = support::capture(census);
    options.err = leash::per_stage;
    const leash::Pipeline pipeline =
        leash::shell("echo one >&2; echo data") | cat() | leash::shell("cat; echo three >&2; exit 3");
    const std::vector<std::string> wanted{"one\n", "", "three\n"};
    const leash::Result result = leash::run(pipeline, options);
    CHECK(result.errs == wanted);
    CHECK(result.err == "");
    CHECK(result.out == "data\n");
    CHECK(result.status.code() == 3);
    const leash::Captured captured = leash::Popen(pipeline, options).communicate();
    CHECK(captured.errs == wanted);
    CHECK(captured.err == "");

    // a single command is a stage too; otherwise there is one err, and no list
    const leash::Result single = leash::run(child({"print-to", "2", "x"}), options);
    CHECK(single.errs == std::vector<std::string>{"x"});
    CHECK(single.err == "");
    options.err = leash::piped;
    CHECK(leash::run(pipeline, options).errs.empty());
    CHECK(before.holds());
}

TEST_CASE("with per_stage any amount comes from all at once, and the limit is for each") {
    const Census census;
    leash::Options options = support::capture(census);
    options.err = leash::per_stage;
    const auto writer = [](std::size_t size) { return child({"write", std::to_string(size), "2"}); };
    const leash::Pipeline pipeline = writer(3'000'000) | writer(2'000'000) | child({"write-both", "1000000"});
    leash::Result result = leash::run(pipeline, options);
    REQUIRE(result.errs.size() == 3);
    CHECK((result.errs[0] == pattern(3'000'000)));
    CHECK((result.errs[1] == pattern(2'000'000)));
    CHECK((result.errs[2] == pattern(1'000'000)));
    CHECK((result.out == pattern(1'000'000)));

    options.max_output = 1'500'000;
    options.keep = leash::Keep::tail;
    result = leash::run(pipeline, options);
    REQUIRE(result.errs.size() == 3);
    CHECK((result.errs[0] == pattern(1'500'000, 1'500'000)));
    CHECK((result.errs[1] == pattern(1'500'000, 500'000)));
    CHECK((result.errs[2] == pattern(1'000'000)));
    CHECK(result.err_truncated);
    CHECK(result.err_dropped == 2'000'000);
    CHECK_FALSE(result.out_truncated);
}

TEST_CASE("a Popen reads the err of each stage by its number; any other number means none") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    options.err = leash::per_stage;
    const auto says = [](const char* word) { return leash::shell("echo \"$1\" >&2; cat", {word}); };
    leash::Popen p(says("one") | says("two") | says("three"), options);
    CHECK(p.err(2).read_until("\n", 20s).data == "three\n");
    CHECK(p.err(0).read_until("\n", 20s).data == "one\n");
    CHECK(p.err(1).read_until("\n", 20s).data == "two\n");
    CHECK(p.err(3).handle() == -1);
    CHECK(p.err(3).read().error == std::errc::bad_file_descriptor);
    CHECK(p.err(0).handle() == p.err().handle());
    const std::set<int> handles{p.err(0).handle(), p.err(1).handle(), p.err(2).handle(), p.out().handle()};
    CHECK(handles.size() == 4);
    CHECK(handles.count(-1) == 0);
    CHECK_FALSE(p.err(1).try_read().complete);
    p.in().close();
    for (std::size_t stage = 0; stage < 3; ++stage) {
        CHECK(p.err(stage).read_all(20s).data == "");
        CHECK_FALSE(p.err(stage).is_open());
    }
    CHECK(p.wait().success());

    options.err = leash::piped;  // one stream for all
    leash::Popen q(says("one") | says("two"), options);
    CHECK(q.err(1).handle() == q.err(0).handle());
}

TEST_CASE("communicate() with per_stage goes on after a timeout, and loses nothing") {
    const Census census;
    leash::Options options = support::capture(census);
    options.err = leash::per_stage;
    const leash::Command stays = leash::shell("echo two >&2; exec \"$1\" sleep", {support::helper()});
    leash::Popen p(leash::shell("echo one >&2") | stays, options);
    const std::vector<std::string> wanted{"one\n", "two\n"};
    leash::Captured captured;
    CHECK(support::eventually([&] {
        captured = p.communicate({}, 20ms);
        return captured.errs == wanted;
    }));
    CHECK(captured.timed_out);
    CHECK(p.kill().has_value());
    CHECK(p.communicate().errs == wanted);
}

TEST_CASE("forty stages, each with an err of its own") {
    const Census census;
    const NothingLeft before;
    leash::Options options = support::capture(census);
    options.in = leash::bytes("data");
    options.err = leash::per_stage;
    const auto stage = [](int i) {
        return leash::shell("\"$1\" cat; echo $2 >&2", {support::helper(), std::to_string(i)});
    };
    leash::Pipeline pipeline = stage(0) | stage(1);
    for (int i = 2; i < 40; ++i) pipeline.append(stage(i));
    const leash::Result result = leash::run(pipeline, options);
    CHECK(result.ok());
    CHECK(result.out == "data");
    REQUIRE(result.errs.size() == 40);
    for (std::size_t i = 0; i < 40; ++i) CHECK(result.errs[i] == std::to_string(i) + "\n");
    CHECK(before.holds());
}

TEST_CASE("with per_stage one that holds a stage's err past the end is cut off, and nothing leaks into other stages") {
    const Census census;
    const NothingLeft before;
    leash::Options options = support::capture(census);
    options.err = leash::per_stage;
    options.drain = 50ms;
    leash::Result result = leash::run(child({"setsid-holder", "0", "2"}) | cat(), options);
    CHECK(!result.held.empty());
    CHECK(result.ok());
    const auto fds = [] { return leash::shell("cat; \"$1\" fds", {support::helper()}); };
    const std::string out = leash::run(fds() | fds() | fds(), options).out;
    std::string numbers;
    for (std::size_t from = 0; from < out.size(); from = out.find('\n', from) + 1)
        numbers += std::to_string(std::atoi(out.c_str() + from)) + " ";
    CHECK(numbers == "0 1 2 0 1 2 0 1 2 ");
    const auto refused = leash::try_run(cat() | leash::args({"/no/such/program"}), options);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().stage == 1);
    CHECK(before.holds());
}

// ---- which stage failed

TEST_CASE("the one result tells of every stage, also where it is asked as that of a command would be") {
    const Census census;
    const leash::Result failed = leash::run(leash::shell("exit 3") | cat(), support::capture(census));
    CHECK(failed.status.success());
    CHECK_FALSE(failed.ok());
    REQUIRE(failed.statuses.size() == 2);
    CHECK(failed.command == "/bin/sh | " + support::helper());
    CHECK(failed.describe().find("/bin/sh | " + support::helper() + ": stage 0: exited 3 in ") == 0);
    try {
        failed.check_ok();
        CHECK(false);
    } catch (const leash::ProcessFailed& e) {
        CHECK(e.status().code() == 3);
        CHECK(std::string(e.what()) == "leash: \"/bin/sh | " + support::helper() + ": stage 0\" exited 3");
    }
    CHECK(leash::run(cat() | cat(), support::capture(census)).check_ok().statuses.size() == 2);
    const leash::Result single = leash::run(leash::shell("exit 3"), support::capture(census));
    CHECK(single.statuses.empty());
    CHECK(single.failed_stage() == 0);
    CHECK_FALSE(single.ok());
}

TEST_CASE("failed_stage() is the last one that did not do its part") {
    const Census census;
    const leash::Options options = support::capture(census);
    const auto failed = [&](const leash::Pipeline& pipeline) {
        const leash::Result result = leash::run(pipeline, options);
        CHECK(result.ok() == (result.failed_stage() == result.statuses.size()));
        return result.failed_stage();
    };
    const leash::Command fails = child({"exit", "4"}), works = cat(), enough = leash::args({"head", "-c", "1"});
    CHECK(failed(works | works | works) == 3);
    CHECK(failed(fails | works | works) == 0);
    CHECK(failed(fails | fails | works) == 1);
    CHECK(failed(fails | works | fails) == 2);
    CHECK(failed(child({"flood"}) | works | enough) == 3);
    CHECK(failed(fails | child({"flood"}) | enough) == 0);
    CHECK(failed(works | child({"kill", "13"})) == 1);  // the last one has nobody who had enough
    CHECK(failed(child({"kill", "9"}) | works) == 0);
    CHECK(leash::Result().failed_stage() == 0);
}

TEST_CASE("check_output gives the output of a pipeline of which every stage did its part") {
    const Census census;
    leash::Options options;
    options.env = census.env();
    CHECK(leash::check_output(leash::shell("echo b; echo a") | leash::args({"sort"}), options) == "a\nb\n");
    CHECK(leash::check_output(child({"flood"}) | leash::args({"head", "-c", "3"}), options) == pattern(3));
    const leash::Pipeline none = cat() | leash::args({"/no/such"});
    CHECK_THROWS_AS(static_cast<void>(leash::check_output(none, options)), leash::SpawnError);
}

TEST_CASE("check_output tells of the last stage that failed: its name, its status, and with per_stage its err") {
    const Census census;
    leash::Options options;
    options.env = census.env();
    const auto failure = [&](const leash::Pipeline& pipeline) -> std::optional<leash::ProcessFailed> {
        try {
            static_cast<void>(leash::check_output(pipeline, options));
        } catch (const leash::ProcessFailed& e) {
            return e;
        }
        return std::nullopt;
    };
    const leash::Pipeline pipeline = leash::shell("echo no tea >&2; exit 3") |
                                     leash::shell("cat; echo no cup >&2; exit 5") |
                                     leash::shell("echo fine >&2; cat >&2; echo output");
    auto failed = failure(pipeline);
    REQUIRE(failed);
    CHECK(failed->status().code() == 5);
    CHECK(failed->result().out == "output\n");
    CHECK(std::string(failed->what()).find("sh: cat; echo no cup >&2; exit 5\" exited 5: ") != std::string::npos);
    for (const char* const word : {"no tea\n", "no cup\n", "fine\n"})
        CHECK(failed->err().find(word) != std::string::npos);

    options.err = leash::per_stage;
    failed = failure(pipeline);
    REQUIRE(failed);
    CHECK(failed->err() == "no cup\n");
    CHECK(std::string(failed->what()) == "leash: \"sh: cat; echo no cup >&2; exit 5\" exited 5: no cup");
    CHECK(failed->result().errs == std::vector<std::string>{"no tea\n", "no cup\n", "fine\n"});

    // in time is part of it: then the status is that of one which was ended
    options.timeout = 100ms;
    failed = failure(child({"exit", "0"}) | child({"sleep"}));
    REQUIRE(failed);
    CHECK(failed->result().timed_out);
    CHECK(failed->status().signal() == SIGTERM);
    options.timeout = leash::Timeout::none();
    options.cancel = leash::Cancel();
    options.cancel->fire();
    failed = failure(child({"exit", "0"}) | child({"exit", "0"}));
    REQUIRE(failed);
    CHECK(failed->result().cancelled);
    CHECK(std::string(failed->what()).find("cancelled") != std::string::npos);
}

TEST_CASE("output of the last of many stages is seen at once") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    options.err = leash::per_stage;
    leash::Pipeline pipeline = child({"cat"}) | child({"cat"});
    for (int i = 2; i < 39; ++i) pipeline.append(child({"cat"}));
    pipeline.append(leash::shell("read x; sleep 0.2; echo ready >&2; cat"));
    leash::Popen job(pipeline, options);
    CHECK(job.in().write("go\n"));
    const support::Stopwatch watch;
    CHECK(job.err(39).read_until("ready\n", 60s).complete);
    CHECK(watch.elapsed() < 30s);
}

TEST_CASE("nobody looks again and again at a pipeline of a hundred stages") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    SUBCASE("with one err for all") {}
    SUBCASE("with an err for each") { options.err = leash::per_stage; }
    leash::Pipeline pipeline = child({"cat"}) | child({"cat"});
    for (int i = 2; i < 100; ++i) pipeline.append(child({"cat"}));
    leash::Popen job(pipeline, options);
    REQUIRE(job.in().write("go\n"));
    REQUIRE(job.out().read_until("go\n", 60s));  // all are up
    const support::Effort effort;
    CHECK_FALSE(job.err().read_until("more\n", 2s));  // waits for them all, the streams and the ends
    CHECK(effort.sleeps() < 50 + support::looks(2s));
    CHECK(job.communicate().status);
}

TEST_CASE("a poll() has room for a thousand stages, and says so where it has none") {
    leash::detail::os::WaitSet set;
    int added = 0;
    while (added < 100'000 && set.readable(100 + added)) ++added;
    CHECK(added >= 1000 + 3);  // in, out, the cancel token
    CHECK(added < 100'000);
    CHECK_FALSE(set.may_be_ready(100));
    CHECK_FALSE(set.may_be_ready(100 + added - 1));
    CHECK_FALSE(set.may_be_ready(100));
    CHECK(set.may_be_ready(100 + added));  // nobody has asked
    set.clear();
    CHECK(set.empty());
    CHECK(set.writable(100));
    CHECK_FALSE(set.readable(-1));
}

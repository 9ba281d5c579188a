// tests/test_pipeline.cpp - several commands as one job: one group, one deadline, one end.
#include <doctest/doctest.h>

#include "support.hpp"

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
    const leash::PipelineResult result =
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

TEST_CASE("any amount flows through a pipeline") {
    const Census census;
    leash::Options options = support::capture(census);
    const std::string data = pattern(8'000'000);
    options.in = leash::bytes(data);
    const leash::PipelineResult result = leash::run(cat() | cat() | cat(), options);
    CHECK(result.ok());
    CHECK((result.out == data));
    leash::Popen p(cat() | cat(), options);
    CHECK((p.communicate().out == data));
}

TEST_CASE("err is every stage's, in one stream") {
    const Census census;
    const leash::PipelineResult result =
        leash::run(leash::shell("echo one >&2") | leash::shell("cat; echo two >&2"), support::capture(census));
    CHECK(result.ok());
    CHECK(result.err == "one\ntwo\n");
}

TEST_CASE("a pipeline is ok where every stage did its part, and an end by SIGPIPE is one before the last") {
    const Census census;
    const leash::Options options = support::capture(census);
    leash::PipelineResult result = leash::run(child({"flood"}) | leash::args({"head", "-c", "10"}), options);
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
    const auto ids = leash::run(leash::shell("\"$1\" ids", {support::helper()}) |
                                    leash::shell("cat; \"$1\" ids", {support::helper()}),
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
        CHECK_FALSE(p.wait_for(50ms).has_value());
        CHECK(support::is_alive(p.pid()) == (support::state_of(p.pid()) != 'Z'));
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
    CHECK_THROWS_AS(leash::Popen(cat() | leash::args({script}), options), leash::SpawnError);
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

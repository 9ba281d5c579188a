// tests/test_error.cpp - errors: what they say, and how they travel.
#include <doctest/doctest.h>

#include "support.hpp"

#include <leash/format.hpp>

#include <sstream>

using leash::Error;
using leash::Expected;
using leash::Step;
using support::child;

namespace {

Error missing() { return Error{std::make_error_code(std::errc::no_such_file_or_directory), Step::program, "gti", ""}; }

}  // namespace

TEST_CASE("each step has its word") {
    const std::pair<Step, const char*> all[] = {
        {Step::command, "command"},         {Step::environment, "environment"},
        {Step::options, "options"},         {Step::program, "program"},
        {Step::interpreter, "interpreter"}, {Step::cwd, "cwd"},
        {Step::redirect, "redirect"},       {Step::spawn, "spawn"},
        {Step::signal, "signal"},           {Step::stream, "stream"},
    };
    for (const auto& [step, word] : all) CHECK(std::string(leash::to_string(step)) == word);
}

TEST_CASE("a message has the step, the subject, the system's words and the hint, and nothing where there is none") {
    Error error = missing();
    CHECK(error.message() == "leash: program \"gti\": No such file or directory");
    error.hint = "not found in the child's PATH";
    CHECK(error.message() == "leash: program \"gti\": No such file or directory (not found in the child's PATH)");
    error.subject.clear();
    error.hint = "";
    CHECK(error.message() == "leash: program: No such file or directory");
}

TEST_CASE("control characters of a subject are escaped: a message may go to a terminal") {
    Error error = missing();
    error.subject = "a\nb\rc\td\x1b[2Je\x7f \xc3\xa9";
    CHECK(error.message() == "leash: program \"a\\nb\\rc\\td\\x1b[2Je\\x7f \xc3\xa9\": No such file or directory");
}

TEST_CASE("a SpawnError is a system_error that carries the whole Error") {
    const leash::SpawnError thrown(missing());
    const std::system_error& as_base = thrown;
    CHECK(as_base.code() == std::errc::no_such_file_or_directory);
    CHECK(thrown.step() == Step::program);
    CHECK(thrown.subject() == "gti");
    CHECK(thrown.error().message() == missing().message());
    CHECK(std::string(as_base.what()) == missing().message());
}

TEST_CASE("where a running job is concerned, what is thrown is a SystemError, and no SpawnError") {
    for (const Step step : {Step::signal, Step::stream, Step::spawn, Step::options}) {
        Error error = missing();
        error.step = step;
        const Expected<void> bad(error);
        const bool is_start = step == Step::spawn || step == Step::options;
        try {
            bad.value();
            CHECK(false);
        } catch (const leash::SpawnError& e) {
            CHECK(is_start);
            CHECK(e.step() == step);
        } catch (const leash::SystemError& e) {
            CHECK_FALSE(is_start);
            CHECK(e.step() == step);
            CHECK(std::string(e.what()) == error.message());
        }
    }
    leash::Popen over(child({"exit", "0"}));
    over.wait();
    CHECK_THROWS_AS(over.terminate().value(), leash::SystemError);
}

TEST_CASE("what the system has said is of its category, and what leash has refused is not") {
    const leash::Error by_system = leash::try_run({"/no/such/program"}).error();
    CHECK(by_system.code.category() == std::system_category());
    CHECK(by_system.code == std::errc::no_such_file_or_directory);
    const leash::Error by_leash = leash::try_run({""}).error();
    CHECK(by_leash.code.category() == std::generic_category());
    CHECK(by_leash.code == std::errc::invalid_argument);
}

TEST_CASE("errors, statuses and results go into a stream, and to {fmt}, as they are told of") {
    std::ostringstream said;
    said << missing() << '|' << leash::ExitStatus::from_code(3) << '|' << leash::Result();
    CHECK(said.str() == missing().message() + "|exited 3|unknown in 0.000 s");
    CHECK(format_as(missing()) == missing().message());
    CHECK(format_as(leash::ExitStatus::from_code(3)) == "exited 3");
    CHECK(format_as(leash::Result()) == leash::Result().describe());
}

#if defined(__cpp_lib_format)
TEST_CASE("std::format takes them as strings") {
    CHECK(std::format("{} [{:>10}]", missing(), leash::ExitStatus::from_code(3)) ==
          missing().message() + " [  exited 3]");
    CHECK(std::format("{}", leash::Result()) == leash::Result().describe());
}
#endif

TEST_CASE("an Expected holds a value or an error, and says which") {
    Expected<std::string> good(std::string("text"));
    CHECK(good.has_value());
    CHECK(static_cast<bool>(good));
    CHECK(*good == "text");
    CHECK(good->size() == 4);
    CHECK(good.value() == "text");
    CHECK(!good.error().code);
    const Expected<std::string>& constant = good;
    CHECK(*constant == "text");
    CHECK(constant->size() == 4);
    CHECK(constant.value() == "text");
    CHECK(std::move(good).value() == "text");

    Expected<std::string> bad(missing());
    CHECK_FALSE(bad.has_value());
    CHECK_FALSE(static_cast<bool>(bad));
    CHECK(bad.error().subject == "gti");
    CHECK_THROWS_AS(static_cast<void>(bad.value()), leash::SpawnError);
    CHECK(std::move(bad).error().step == Step::program);
}

TEST_CASE("an Expected is copied where its value is, and the traits say so") {
    using Job = Expected<leash::Popen>;
    static_assert(!std::is_copy_constructible_v<Job> && !std::is_copy_assignable_v<Job>);
    static_assert(std::is_nothrow_move_constructible_v<Job> && std::is_nothrow_move_assignable_v<Job>);
    static_assert(std::is_same_v<Job::value_type, leash::Popen> && std::is_same_v<Job::error_type, Error>);
    using Text = Expected<std::string>;
    static_assert(std::is_copy_constructible_v<Text> && std::is_copy_assignable_v<Text>);
    static_assert(std::is_convertible_v<const char*, Text> && std::is_convertible_v<Error, Text>);
    static_assert(!std::is_convertible_v<int, Text> && !std::is_constructible_v<Job, leash::Command>);

    Text one = "one", other = missing();
    Text copy = one;
    CHECK(copy == "one");
    CHECK(one == std::string("one"));
    copy = other;
    CHECK(copy.error().subject == "gti");
    CHECK(copy != "one");
    copy = one;
    copy = std::as_const(copy);
    Text& same = copy;
    copy = std::move(same);
    CHECK(copy == "one");
    CHECK(!copy.error().code);
    one = std::move(other);
    CHECK_FALSE(one);
    const Text constant = "text";
    CHECK(*std::move(constant) == "text");
    CHECK(std::move(constant).value() == "text");
}

TEST_CASE("an Expected goes on with its value, or with its error") {
    using Text = Expected<std::string>;
    const Text good = "text", bad = missing();
    CHECK(good.value_or("other") == "text");
    CHECK(bad.value_or("other") == "other");
    CHECK(Text(missing()).value_or("other") == "other");

    const auto size = [](const std::string& text) { return text.size(); };
    CHECK(good.transform(size) == 4U);
    CHECK(bad.transform(size).error().subject == "gti");
    int calls = 0;
    const Expected<void> nothing = good.transform([&](const std::string&) { ++calls; });
    CHECK(nothing);
    CHECK(calls == 1);
    *nothing;
    CHECK(nothing.transform([] { return 3; }) == 3);

    const auto first = [](const std::string& text) -> Expected<char> {
        if (text.empty()) return missing();
        return text[0];
    };
    CHECK(good.and_then(first) == 't');
    CHECK_FALSE(Text("").and_then(first));
    CHECK_FALSE(bad.and_then(first));
    CHECK_FALSE(good.and_then([](const std::string&) -> Expected<void> { return missing(); }));
    CHECK(nothing.and_then([&] { return first("x"); }) == 'x');

    const auto mend = [](const Error& error) -> Text { return error.subject; };
    CHECK(good.or_else(mend) == "text");
    CHECK(bad.or_else(mend) == "gti");
    const auto name = [](Error error) {
        error.subject = "other";
        return error;
    };
    CHECK(bad.transform_error(name).error().subject == "other");
    CHECK(good.transform_error(name) == "text");
    CHECK(Expected<void>(missing()).transform_error(name).error().subject == "other");
    CHECK(Expected<void>(missing()).or_else([](const Error&) -> Expected<void> { return {}; }));

    // What can only be moved, as a job can, goes on too.
    auto moved = leash::Popen::try_spawn({"true"}).transform([](leash::Popen&& job) { return std::move(job); });
    REQUIRE(moved);
    CHECK(std::move(moved).and_then([](leash::Popen job) -> Expected<int> { return job.wait().code(); }) == 0);
}

TEST_CASE("an Expected without a value says success or an error") {
    const Expected<void> good;
    CHECK(good.has_value());
    CHECK(!good.error().code);
    CHECK_NOTHROW(good.value());
    const Expected<void> bad(missing());
    CHECK_FALSE(static_cast<bool>(bad));
    CHECK(bad.error().step == Step::program);
    CHECK_THROWS_AS(bad.value(), leash::SpawnError);
}

TEST_CASE("what fails to start says so by exception or by Expected, with the same words") {
    const leash::Expected<leash::Popen> refused = leash::Popen::try_spawn({"/no/such/program"});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == std::errc::no_such_file_or_directory);
    CHECK(refused.error().step == Step::program);
    CHECK(refused.error().subject == "/no/such/program");
    std::string said;
    try {
        leash::Popen p({"/no/such/program"});
    } catch (const leash::SpawnError& e) {
        said = e.what();
    }
    CHECK(said == refused.error().message());
}

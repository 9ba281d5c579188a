// tests/test_error.cpp - errors: what they say, and how they travel.
#include <doctest/doctest.h>

#include "support.hpp"

using leash::Error;
using leash::Expected;
using leash::Step;

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

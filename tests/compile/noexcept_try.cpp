// tests/compile/noexcept_try.cpp - built without exceptions and without RTTI, and run.
#include <leash/leash.hpp>

#if LEASH_EXCEPTIONS
#error "this is for -fno-exceptions"
#endif

#include <chrono>

#include <cstdio>

namespace {

int failures = 0;

void check(bool good, const char* what) {
    if (good) return;
    std::fprintf(stderr, "noexcept_try: %s\n", what);
    ++failures;
}

}  // namespace

int main() {
    using namespace std::chrono_literals;

    leash::Options options;
    options.in = leash::bytes("in");
    options.out = leash::piped;
    options.err = leash::sink([](std::string_view) {});
    leash::Expected<leash::Result> result = leash::try_run(leash::shell("cat; echo \"$1\"; exit 3", {"out"}), options);
    check(result.has_value() && result->status.code() == 3, "a shell that exits with 3");
    check(result.has_value() && result->out == "inout\n", "its output");

    leash::Expected<leash::Result> missing = leash::try_run({"/nonexistent/program"});
    check(!missing, "a program that does not exist");
    check(missing.error().code == std::errc::no_such_file_or_directory, "its code");
    check(missing.error().step == leash::Step::program, "its step");
    check(missing.error().subject == "/nonexistent/program", "its subject");
    check(!missing.error().message().empty(), "its message");

    options = {};
    options.timeout = 50ms;
    options.grace = 0ms;
    const auto late = leash::try_run({"sleep", "60"}, options);
    check(late.has_value() && late->timed_out && late->status.signaled(), "a deadline");

    options = {};
    options.in = leash::piped;
    options.out = leash::piped;
    leash::Expected<leash::Popen> job = leash::Popen::try_spawn({"cat"}, options);
    check(job.has_value(), "a job");
    if (job) {
        check(job->in().write("line\n").complete, "writing to it");
        check(job->out().read_until("\n").data == "line\n", "reading from it");
        check(job->terminate().has_value(), "terminating it");
        check(job->wait().signal() == SIGTERM, "its status");
        check(!job->kill(), "no signal after the end");
    }
    return failures == 0 ? 0 : 1;
}

// tests/module - a program that imports leash, and uses a part of each header.
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

import leash;

using namespace std::chrono_literals;

namespace {

int failures = 0;

void check(bool holds, const char* what) {
    if (holds) return;
    std::printf("not so: %s\n", what);
    ++failures;
}

}  // namespace

int main() {
    leash::Result hello = leash::run({"echo", "hello"}, {.out = leash::piped, .timeout = 60s});
    check(hello.ok() && hello.out == "hello\n", "run() captures");
    check(hello.usage.user < 60s && hello.ended_by == leash::EndedBy::itself, "the result tells more");

    leash::Popen job(leash::shell("echo \"$1\"; echo \"$NAME\"", {"a b"}),
                     {.out = leash::piped, .env = leash::Env::inherited().set("NAME", "value")});
    std::string lines;
    for (const std::string_view line : job.out().lines()) lines += std::string(line) + ";";
    check(lines == "a b;value;", "a Popen is read by lines");
    check(job.wait_until(std::chrono::steady_clock::now() + 60s)->success(), "and waited for");

    std::size_t bytes = 0;
    const auto count = leash::sink([&](std::string_view chunk) { bytes += chunk.size(); });
    check(leash::run(leash::args({"seq", "1000"}) | leash::args({"cat"}), {.out = count}).ok() && bytes == 3893,
          "a pipeline writes to a sink");

    std::vector<leash::Task> jobs;
    jobs.push_back({{"true"}});
    jobs.push_back({{"/no/such/program"}});
    const auto results = leash::run_all(std::move(jobs));
    check(results[0] && results[0]->ok(), "run_all() runs");
    check(!results[1] && results[1].error().step == leash::Step::program, "and tells of errors");

    leash::Cancel cancel;
    leash::Supervisor supervisor;
    supervisor.add(leash::Popen({"sleep", "60"}, {.cancel = cancel})).value();
    cancel.fire();
    bool ended = false;
    while (const auto event = supervisor.next(60s)) ended |= event->kind == leash::Supervisor::Event::ended;
    check(ended, "a Supervisor tells of a cancelled job");

    try {
        leash::run({"/no/such/program"}).check_ok();
        check(false, "run() throws");
    } catch (const leash::SpawnError& error) {
        check(error.subject() == "/no/such/program", "what it throws has the thing");
    }
    try {
        leash::check_output({"false"});
        check(false, "check_output() throws");
    } catch (const leash::ProcessFailed& failed) {
        check(failed.status().code() == 1, "what it throws has the status");
    }
    return failures;
}

// bench/leash.cpp - leash, as its tour shows it.
#include "harness.hpp"

#include <leash/leash.hpp>

namespace {

using namespace bench;

void run(const Args& args) { static_cast<void>(leash::run(leash::args(args))); }

std::string capture(const Args& args) { return leash::run(leash::args(args), {.out = leash::piped}).out; }

std::size_t sink(const Args& args) {
    std::size_t count = 0;
    static_cast<void>(
        leash::run(leash::args(args), {.out = leash::sink([&](std::string_view piece) { count += piece.size(); })}));
    return count;
}

std::string both(const Args& args, std::string input) {
    leash::Popen p(leash::args(args), {.in = leash::piped, .out = leash::piped});
    return p.communicate(std::move(input)).out;
}

bool wait(const Args& args, milliseconds timeout) {
    leash::Popen p(leash::args(args));
    return p.wait_for(timeout).has_value();
}

std::string deadline(const Args& args, milliseconds timeout) {
    return leash::run(leash::args(args), {.out = leash::piped, .timeout = timeout}).out;
}

std::size_t many(const Commands& commands, int count, int at_most, bool capture) {
    std::vector<leash::Task> jobs;
    leash::Options options;
    if (capture) options.out = leash::piped;
    for (int i = 0; i < count; ++i) jobs.push_back({leash::args(commands(i)), options});
    std::size_t bytes = 0;
    for (const auto& result : leash::run_all(std::move(jobs), {.max_running = static_cast<std::size_t>(at_most)}))
        bytes += result.value().out.size();
    return bytes;
}

}  // namespace

int main() {
    const auto number = [](int n) { return std::to_string(n); };
    return bench::serve(
        {.version = number(LEASH_VERSION_MAJOR) + "." + number(LEASH_VERSION_MINOR) + "." + number(LEASH_VERSION_PATCH),
         .run = run,
         .capture = capture,
         .sink = sink,
         .both = both,
         .wait = wait,
         .deadline = deadline,
         .many = many});
}

// examples/parallel.cpp - xargs -P with a live progress line: a command for each line of the input, so many at a time.
//
//     g++ -std=c++20 -Iinclude examples/parallel.cpp -o parallel -pthread
//
//     ls *.c | ./parallel 4 gcc -c      runs "gcc -c a.c", "gcc -c b.c", …, four at a time
//
// What a command says is shown when it has ended, so that nothing is mixed up. The last line sums up. Exits as xargs
// does: 123 where a command failed, 126 or 127 where it could not be run or does not exist, 130 after Ctrl-C.

#include <leash/leash.hpp>

#include <iostream>
#include <string>
#include <vector>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

namespace {
leash::Cancel interrupted;
}

int main(int argc, char** argv) {
    const int at_most = argc > 2 ? std::atoi(argv[1]) : 0;
    if (at_most < 1) {
        std::fprintf(stderr, "usage: parallel AT_MOST COMMAND [ARGUMENT]... <lines\n");
        return 1;
    }
    std::signal(SIGINT, [](int) { interrupted.fire(); });

    std::vector<leash::Task> jobs;
    std::vector<std::string> lines;
    for (std::string line; std::getline(std::cin, line); lines.push_back(line)) {
        std::vector<std::string> command(argv + 2, argv + argc);
        command.push_back(line);
        jobs.push_back({leash::args(command), {.out = leash::piped, .err = leash::to_out}});
    }

    std::size_t running = 0, done = 0, failed = 0;
    int code = 0;
    const char* const clear_line = ::isatty(STDERR_FILENO) == 1 ? "\r\033[K" : nullptr;
    const auto show_progress = [&] {
        if (clear_line == nullptr) return;
        std::fprintf(stderr, "%s%zu of %zu done, %zu running", clear_line, done, lines.size(), running);
    };
    const auto results = leash::run_all(
        std::move(jobs),
        {.max_running = static_cast<std::size_t>(at_most),
         .on_start =
             [&](std::size_t, const leash::Popen&) {
                 ++running;
                 show_progress();
             },
         .on_end =
             [&](std::size_t i, const leash::Expected<leash::Result>& result) {
                 ++done;
                 if (result) --running;
                 if (clear_line != nullptr) std::fputs(clear_line, stderr);
                 if (result) std::fwrite(result->out.data(), 1, result->out.size(), stdout);
                 std::fflush(stdout);
                 if (!result || !result->ok()) {
                     ++failed;
                     std::fprintf(stderr, "%s: %s\n", lines[i].c_str(),
                                  result ? result->status.describe().c_str() : result.error().message().c_str());
                     code = result ? 123 : result.error().code == std::errc::no_such_file_or_directory ? 127 : 126;
                 }
                 show_progress();
             },
         .cancel = interrupted});
    if (clear_line != nullptr) std::fputs(clear_line, stderr);
    std::fprintf(stderr, "%zu of %zu done, %zu failed%s\n", done, lines.size(), failed,
                 interrupted.fired() ? ", interrupted" : "");
    return interrupted.fired() ? 130 : code;
}

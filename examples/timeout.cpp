// examples/timeout.cpp - a better timeout(1): it ends all that the command has started, and can wait for silence.
//
//     g++ -std=c++20 -Iinclude examples/timeout.cpp -o timeout -pthread
//
//     ./timeout [--grace 2s] [--idle 30s] DURATION COMMAND [ARGUMENT]...
//
// When DURATION has passed, or nothing was written for as long as --idle says, the command and its descendants get
// SIGTERM, and after --grace (1s) SIGKILL. What the command leaves behind when it ends has 2 s until that. Durations and exit codes are those of coreutils: 0.5, 10s, 2m, 1h, 1d, and 0
// for no limit; 124 timed out, 137 only SIGKILL ended it, 125 timeout itself failed, 126 the command cannot be run,
// 127 there is none; otherwise the command's own, or 128 + n where signal n ended it or this program.

#include <leash/leash.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

namespace {

leash::Cancel interrupted;
volatile std::sig_atomic_t interrupted_by = 0;

void interrupt(int number) {
    interrupted_by = number;
    interrupted.fire();
}

[[noreturn]] void fail(const std::string& why, int code = 125) {
    std::fprintf(stderr, "timeout: %s\n", why.c_str());
    std::exit(code);
}

std::chrono::duration<double> duration(const char* text) {
    char* unit = nullptr;
    const double count = std::strtod(text, &unit);
    const std::string_view name = unit;
    const double seconds = name.empty() || name == "s" ? 1
                           : name == "m"               ? 60
                           : name == "h"               ? 3600
                           : name == "d"               ? 86400
                                                       : 0;
    if (unit == text || seconds == 0 || !(count >= 0)) fail(std::string("invalid duration: ") + text);
    return std::chrono::duration<double>(count * seconds);
}

leash::Timeout limit(const char* text) {
    const auto length = duration(text);
    return length.count() > 0 ? leash::Timeout(length) : leash::Timeout::none();
}

/// Hands on what the command writes. Where our reader has gone, the command shall end as well.
leash::Sink copy_to(std::FILE* file) {
    return leash::sink([file](std::string_view chunk) {
        const bool all = std::fwrite(chunk.data(), 1, chunk.size(), file) == chunk.size() && std::fflush(file) == 0;
        if (!all) interrupt(SIGPIPE);
    });
}

}  // namespace

int main(int argc, char** argv) {
    leash::Options options;
    options.in = leash::inherit;
    if (::tcgetpgrp(STDIN_FILENO) >= 0) options = leash::Options::interactive();  // Ctrl-C and Ctrl-Z are the command's

    int at = 1;
    for (; at + 1 < argc && std::string_view(argv[at]).substr(0, 2) == "--"; at += 2) {
        const std::string_view name = argv[at];
        if (name == "--grace") {
            options.grace = duration(argv[at + 1]);
        } else if (name == "--idle") {
            options.idle_timeout = limit(argv[at + 1]);
            options.out = copy_to(stdout);  // the silence is leash's to notice: the output goes through its hands
            options.err = copy_to(stderr);
        } else {
            fail("unknown option: " + std::string(name));
        }
    }
    if (argc - at < 2) fail("usage: timeout [--grace DURATION] [--idle DURATION] DURATION COMMAND [ARGUMENT]...");
    options.timeout = limit(argv[at]);
    options.cancel = interrupted;

    std::signal(SIGPIPE, SIG_IGN);  // for copy_to(); the command gets the default
    for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM}) {
        if (std::signal(number, interrupt) == SIG_IGN) std::signal(number, SIG_IGN);  // nohup means it
    }

    const auto result = leash::try_run(leash::args(std::vector<std::string>(argv + at + 1, argv + argc)), options);
    if (!result) {
        const leash::Error& error = result.error();
        const bool is_command = error.step == leash::Step::program || error.step == leash::Step::interpreter;
        fail(error.message(), !is_command ? 125 : error.code == std::errc::no_such_file_or_directory ? 127 : 126);
    }
    const leash::ExitStatus status = result->status;
    if (result->cancelled) return 128 + interrupted_by;
    if (result->timed_out && status.signal() != SIGKILL) return 124;
    if (status.signaled()) return 128 + status.signal();
    return status.exited() ? status.code() : 125;
}

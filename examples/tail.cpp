// examples/tail.cpp - streaming: follows a log line by line as it grows, until a line says what was waited for.
//
//     g++ -std=c++20 -Iinclude examples/tail.cpp -o tail -pthread
//
//     ./tail FILE TEXT [SECONDS]     exits 0 at a line with TEXT, 1 where nothing was written for SECONDS (10)

#include <leash/leash.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {
leash::Cancel interrupted;
}

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: tail FILE TEXT [SECONDS]\n");
        return 2;
    }
    std::signal(SIGINT, [](int) { interrupted.fire(); });  // ends the loop below, and the job with it

    const std::chrono::duration<double> silence(argc > 3 ? std::atof(argv[3]) : 10);
    leash::Popen follower({"tail", "-n", "+1", "-F", "--", argv[1]},
                          {.out = leash::piped, .err = leash::null, .idle_timeout = silence, .cancel = interrupted});

    int number = 0;
    for (const std::string_view line : follower.out().lines()) {
        std::printf("%d: %.*s\n", ++number, static_cast<int>(line.size()), line.data());
        std::fflush(stdout);
        if (line.find(argv[2]) != std::string_view::npos) return 0;  // the handle goes out of scope, and tail(1) ends
    }
    // The job's own limits are kept by whoever reads: it has been ended when the loop is over.
    const leash::ExitStatus status = follower.wait();
    std::printf("%s: tail %s\n",
                follower.ended_by() == leash::EndedBy::idle_timeout ? "silence"
                : follower.cancelled()                              ? "interrupted"
                                                                    : "no more",
                status.describe().c_str());
    return 1;
}

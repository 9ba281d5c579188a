// examples/asio.cpp - jobs in an event loop of Asio's (stand-alone, Debian's libasio-dev): nothing in it blocks.
//
//     g++ -std=c++20 -Iinclude examples/asio.cpp -o asio -pthread
//
//     ./asio SECONDS SCRIPT...      runs the scripts side by side and shows their lines as they come; what still runs
//                                   after SECONDS gets SIGTERM, and a second later SIGKILL

#include <leash/asio.hpp>

#include <chrono>
#include <string_view>

#include <cstdio>
#include <cstdlib>

#include <asio/io_context.hpp>

namespace {

void run(asio::io_context& loop, int number, const char* script, std::chrono::duration<double> limit) {
    const auto show = [number](std::string_view line) {
        std::printf("%d| %.*s\n", number, static_cast<int>(line.size()), line.data());
        std::fflush(stdout);
    };
    leash::async_try_run(loop, leash::shell(script),
                         {.out = leash::line_sink(show), .err = leash::to_out, .timeout = limit},
                         [number](const leash::Expected<leash::Result>& result) {
                             if (result) std::printf("%d: %s\n", number, result->status.describe().c_str());
                             else std::printf("%d: %s\n", number, result.error().message().c_str());
                             std::fflush(stdout);
                         });
}

}  // namespace

int main(int argc, char** argv) {
    asio::io_context loop;
    for (int i = 2; i < argc; ++i) run(loop, i - 1, argv[i], std::chrono::duration<double>(std::atof(argv[1])));
    loop.run();
}

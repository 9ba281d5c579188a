// bench/boost_v1.cpp - Boost.Process v1: child, and the futures and buffers that it serves on an io_context.
#include "harness.hpp"

#include <future>
#include <memory>

#include <boost/asio.hpp>
#include <boost/process.hpp>
#include <boost/process/async.hpp>
#include <boost/version.hpp>

namespace {

using namespace bench;
namespace bp = boost::process;
namespace asio = boost::asio;

struct Command {
    std::string program;
    std::vector<std::string> arguments;
    explicit Command(const Args& args) : program(args[0]), arguments(args.begin() + 1, args.end()) {}
};

void run(const Args& args) {
    const Command command(args);
    bp::child child(command.program, command.arguments);
    child.wait();
}

std::string capture(const Args& args) {
    const Command command(args);
    asio::io_context context;
    std::future<std::string> out;
    bp::child child(command.program, command.arguments, bp::std_out > out, context);
    context.run();
    child.wait();
    return out.get();
}

std::size_t sink(const Args& args) {
    const Command command(args);
    bp::ipstream out;
    bp::child child(command.program, command.arguments, bp::std_out > out);
    std::size_t count = 0;
    char buffer[64 * 1024];
    while (out.read(buffer, sizeof buffer) || out.gcount() > 0) count += static_cast<std::size_t>(out.gcount());
    child.wait();
    return count;
}

std::string both(const Args& args, std::string input) {
    const Command command(args);
    asio::io_context context;
    std::future<std::string> out;
    bp::child child(command.program, command.arguments, bp::std_in<asio::buffer(input), bp::std_out> out, context);
    context.run();
    child.wait();
    return out.get();
}

bool wait(const Args& args, milliseconds timeout) {
    const Command command(args);
    bp::child child(command.program, command.arguments);
    const bool ended = child.wait_for(timeout);
    if (!ended) child.terminate();
    return ended;
}

std::string deadline(const Args& args, milliseconds timeout) {
    const Command command(args);
    asio::io_context context;
    std::future<std::string> out;
    bp::child child(command.program, command.arguments, bp::std_out > out, context);
    context.run_for(timeout);
    if (child.running()) child.terminate();
    context.run();
    return out.get();
}

std::size_t many(const Commands& commands, int count, int at_most, bool capture) {
    struct Job {
        std::future<std::string> out;
        bp::child child;
    };
    asio::io_context context;
    std::size_t bytes = 0;
    int started = 0;
    std::vector<std::unique_ptr<Job>> jobs;
    const std::function<void()> next = [&] {
        if (started == count) return;
        const Command command(commands(started++));
        jobs.push_back(std::make_unique<Job>());
        Job& job = *jobs.back();
        // Posted: a start inside the handler would change the list that its caller walks (seen by AddressSanitizer).
        const auto ended = [&](int, const std::error_code&) { asio::post(context, next); };
        job.child =
            capture ? bp::child(command.program, command.arguments, bp::std_out > job.out, context, bp::on_exit = ended)
                    : bp::child(command.program, command.arguments, context, bp::on_exit = ended);
    };
    for (int i = 0; i < at_most; ++i) next();
    context.run();
    for (const auto& job : jobs) {
        if (capture) bytes += job->out.get().size();
    }
    return bytes;
}

}  // namespace

int main() {
    return bench::serve({.version = BOOST_LIB_VERSION,
                         .run = run,
                         .capture = capture,
                         .sink = sink,
                         .both = both,
                         .wait = wait,
                         .deadline = deadline,
                         .many = many});
}

// bench/boost_v2.cpp - Boost.Process v2: process and Asio's pipes on an io_context.
#include "harness.hpp"

#include <memory>

#include <boost/asio.hpp>
#include <boost/process/v2.hpp>
#include <boost/version.hpp>

namespace {

using namespace bench;
namespace bp = boost::process::v2;
namespace asio = boost::asio;
using Error = boost::system::error_code;

struct Command {
    std::string program;
    std::vector<std::string> arguments;
    explicit Command(const Args& args) : program(args[0]), arguments(args.begin() + 1, args.end()) {}
};

bp::process start(asio::io_context& context, const Args& args) {
    const Command command(args);
    return bp::process(context, command.program, command.arguments);
}
bp::process start(asio::io_context& context, const Args& args, asio::readable_pipe& out) {
    const Command command(args);
    return bp::process(context, command.program, command.arguments, bp::process_stdio{{}, out, {}});
}

void run(const Args& args) {
    asio::io_context context;
    start(context, args).wait();
}

std::string capture(const Args& args) {
    asio::io_context context;
    asio::readable_pipe out(context);
    bp::process child = start(context, args, out);
    std::string all;
    Error error;
    asio::read(out, asio::dynamic_buffer(all), error);
    child.wait();
    return all;
}

std::size_t sink(const Args& args) {
    asio::io_context context;
    asio::readable_pipe out(context);
    bp::process child = start(context, args, out);
    std::size_t count = 0;
    char buffer[64 * 1024];
    Error error;
    while (!error) count += out.read_some(asio::buffer(buffer), error);
    child.wait();
    return count;
}

std::string both(const Args& args, std::string input) {
    const Command command(args);
    asio::io_context context;
    asio::writable_pipe in(context);
    asio::readable_pipe out(context);
    bp::process child(context, command.program, command.arguments, bp::process_stdio{in, out, {}});
    std::string all;
    asio::async_write(in, asio::buffer(input), [&](Error, std::size_t) { in.close(); });
    asio::async_read(out, asio::dynamic_buffer(all), [](Error, std::size_t) {});
    context.run();
    child.wait();
    return all;
}

bool wait(const Args& args, milliseconds timeout) {
    asio::io_context context;
    bp::process child = start(context, args);
    asio::steady_timer timer(context, timeout);
    bool ended = false;
    timer.async_wait([&](Error error) {
        if (!error) child.terminate();
    });
    child.async_wait([&](Error, int) {
        ended = true;
        timer.cancel();
    });
    context.run();
    return ended;
}

std::string deadline(const Args& args, milliseconds timeout) {
    asio::io_context context;
    asio::readable_pipe out(context);
    bp::process child = start(context, args, out);
    asio::steady_timer timer(context, timeout);
    std::string all;
    timer.async_wait([&](Error error) {
        if (!error) child.terminate();
    });
    child.async_wait([&](Error, int) { timer.cancel(); });
    asio::async_read(out, asio::dynamic_buffer(all), [](Error, std::size_t) {});
    context.run();
    return all;
}

std::size_t many(const Commands& commands, int count, int at_most, bool capture) {
    struct Job {
        asio::readable_pipe out;
        bp::process child;
        std::string output;
        int open = 0;
    };
    asio::io_context context;
    std::size_t bytes = 0;
    int started = 0;
    const std::function<void()> next = [&] {
        if (started == count) return;
        const Args args = commands(started++);
        const auto job = std::make_shared<Job>(Job{asio::readable_pipe(context), bp::process(context), {}, 1});
        const auto done = [&, job] {
            if (--job->open > 0) return;
            bytes += job->output.size();
            next();
        };
        if (capture) {
            job->child = start(context, args, job->out);
            ++job->open;
            asio::async_read(job->out, asio::dynamic_buffer(job->output), [done](Error, std::size_t) { done(); });
        } else {
            job->child = start(context, args);
        }
        job->child.async_wait([done](Error, int) { done(); });
    };
    for (int i = 0; i < at_most; ++i) next();
    context.run();
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

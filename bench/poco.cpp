// bench/poco.cpp - Poco: Process::launch with pipe streams. It has no timed wait, and none for more than one child.
#include "harness.hpp"

#include <istream>

#include <Poco/Environment.h>
#include <Poco/Pipe.h>
#include <Poco/PipeStream.h>
#include <Poco/Process.h>
#include <Poco/StreamCopier.h>
#include <Poco/Timer.h>

namespace {

using namespace bench;

Poco::ProcessHandle start(const Args& args, Poco::Pipe* out) {
    return Poco::Process::launch(args[0], Poco::Process::Args(args.begin() + 1, args.end()), nullptr, out, nullptr);
}

void run(const Args& args) { start(args, nullptr).wait(); }

std::string capture(const Args& args) {
    Poco::Pipe out;
    const Poco::ProcessHandle child = start(args, &out);
    Poco::PipeInputStream stream(out);
    std::string all;
    Poco::StreamCopier::copyToString(stream, all);
    child.wait();
    return all;
}

std::size_t sink(const Args& args) {
    Poco::Pipe out;
    const Poco::ProcessHandle child = start(args, &out);
    Poco::PipeInputStream stream(out);
    std::size_t count = 0;
    char buffer[64 * 1024];
    while (stream.read(buffer, sizeof buffer) || stream.gcount() > 0)
        count += static_cast<std::size_t>(stream.gcount());
    child.wait();
    return count;
}

struct Killer {
    Poco::ProcessHandle child;
    void fire(Poco::Timer&) { Poco::Process::kill(child); }
};

std::string deadline(const Args& args, milliseconds timeout) {
    Poco::Pipe out;
    Killer killer{start(args, &out)};
    Poco::Timer timer(timeout.count(), 0);
    timer.start(Poco::TimerCallback<Killer>(killer, &Killer::fire));
    Poco::PipeInputStream stream(out);
    std::string all;
    Poco::StreamCopier::copyToString(stream, all);
    killer.child.wait();
    return all;
}

}  // namespace

int main() {
    const Poco::UInt32 version = Poco::Environment::libraryVersion();
    const auto part = [&](int shift) { return std::to_string(version >> shift & 0xff); };
    return bench::serve({.version = part(24) + "." + part(16) + "." + part(8),
                         .run = run,
                         .capture = capture,
                         .sink = sink,
                         .deadline = deadline});
}

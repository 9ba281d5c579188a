// bench/bare.cpp - the least that starts a program: posix_spawn without any attribute, and a blocking waitpid. Every
// descriptor that is not close-on-exec leaks into the child, and only the child itself can be signalled.
#include "posix.hpp"

namespace {

using namespace bench;

pid_t start(const Args& args, const posix_spawn_file_actions_t* actions) {
    pid_t pid = -1;
    expect(::posix_spawn(&pid, args[0].c_str(), actions, nullptr, pointers(args).data(), environ) == 0, "no start");
    return pid;
}

void run(const Args& args) { reap(start(args, nullptr)); }

std::string capture(const Args& args) {
    const Pipe out;
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, out.write, 1);
    const pid_t pid = start(args, &actions);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(out.write);
    std::string all;
    char buffer[64 * 1024];
    for (ssize_t n; (n = ::read(out.read, buffer, sizeof buffer)) > 0;) all.append(buffer, static_cast<std::size_t>(n));
    ::close(out.read);
    reap(pid);
    return all;
}

/// It cannot be timed: the yardstick for those that can.
bool wait(const Args& args, milliseconds) {
    reap(start(args, nullptr));
    return true;
}

}  // namespace

int main() { return bench::serve({.version = "posix_spawn", .run = run, .capture = capture, .wait = wait}); }

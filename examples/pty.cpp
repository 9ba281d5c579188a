// examples/pty.cpp - programs at a pseudo-terminal: they see a terminal, of a size that can change.
//
//     g++ -std=c++20 -Iinclude examples/pty.cpp -o pty -pthread && ./pty

#include <leash/leash.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

namespace {

/// With the control characters as one can read them.
std::string readable(const std::string& text) {
    std::string shown;
    for (const char c : text) shown += c == '\r' ? "\\r" : c == '\n' ? "\\n" : c == '\033' ? "\\e" : std::string(1, c);
    return shown;
}

}  // namespace

int main() {
    const leash::Env env = leash::Env::inherited().set("TERM", "xterm").unset("LS_COLORS");
    const leash::Command ls{"ls", "-d", "--color=auto", "/"};
    std::printf("ls at a pipe:     %s\n", readable(leash::run(ls, {.out = leash::piped, .env = env}).out).c_str());
    std::printf("ls at a terminal: %s\n", readable(leash::run(ls, {.out = leash::tty, .env = env}).out).c_str());

    // One that tells the size of its terminal, whenever that changes.
    leash::Popen job(leash::shell("trap 'stty size' WINCH; trap 'echo interrupted; exit 5' INT; stty size;"
                                  "while :; do sleep 60 & wait; done"),
                     {.in = leash::tty, .out = leash::tty, .terminal = {.rows = 40, .columns = 120}, .timeout = 30s});
    std::printf("at first:         %s\n", readable(job.out().read_until("\n", 10s).data).c_str());
    job.resize(50, 132).value();
    std::printf("resized:          %s\n", readable(job.out().read_until("\n", 10s).data).c_str());

    // Ctrl-C is a character like any other that is typed: the terminal makes a signal of it.
    job.in().write("\x03", 10s);
    std::printf("after Ctrl-C:     %s, ", readable(job.out().expect("interrupted", 10s).matched).c_str());
    std::printf("%s\n", job.wait().describe().c_str());
}

// examples/expect.cpp - a conversation at a terminal: questions that are asked there, and nowhere else, are answered.
//
//     g++ -std=c++20 -Iinclude examples/expect.cpp -o expect -pthread
//
//     ./expect USER PASSWORD TERM...      logs in, and has each sum worked out ("6 * 7"); the password is "sesame"

#include <leash/leash.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

namespace {

/// It asks as ssh, sudo or passwd do: at the terminal, whatever its standard input is.
const char* const calculator = R"sh(
    exec </dev/tty >/dev/tty
    printf 'login: ' && read -r user
    modes=$(stty -g) && stty -echo && printf 'password: ' && read -r password && stty "$modes" && echo
    test "$password" = sesame || { echo "access denied for $user"; exit 1; }
    while printf '%s$ ' "$user" && read -r sum && test "$sum" != exit; do echo "$(($sum))"; done
)sh";

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: expect USER PASSWORD TERM...\n");
        return 2;
    }
    const std::string user = argv[1], password = argv[2];

    // One terminal, for all streams that say so; what we write to it does not come back.
    leash::Popen job(leash::shell(calculator),
                     {.in = leash::tty, .out = leash::tty, .terminal = {.echo = false}, .timeout = 30s});
    const auto say = [&](const std::string& line) { return static_cast<bool>(job.in().write(line + "\n", 10s)); };

    for (int next = 3;;) {
        const leash::Match match = job.out().expect({"login: ", "password: ", "access denied", user + "$ "}, 10s);
        if (!match) {
            std::printf("no answer: %s\n", match.timed_out ? "timed out" : job.wait().describe().c_str());
            return 1;
        }
        if (match.which == 0) {
            say(user);
        } else if (match.which == 1) {
            say(password);
        } else if (match.which == 2) {
            std::printf("wrong password; the calculator %s\n", job.wait().describe().c_str());
            return 1;
        } else {  // its prompt; what stood before it is the answer to the last sum
            if (next > 3) std::printf("%s = %s", argv[next - 1], match.before.c_str());
            if (next == argc) break;
            say(argv[next++]);
        }
    }
    say("exit");
    std::printf("the calculator %s\n", job.wait().describe().c_str());
}

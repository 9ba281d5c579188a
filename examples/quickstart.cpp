#include <leash/leash.hpp>

#include <chrono>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

int main(int argc, char** argv) {
    const std::string word = argc > 1 ? argv[1] : "root";

    // A list is argv: no shell is involved. The timeout applies to grep and to every process that it starts.
    leash::Result r = leash::run({"grep", "-n", "--", word, "/etc/passwd"}, {.out = leash::piped, .timeout = 5s});
    if (r.ok()) std::cout << r.out;
    else std::cout << "grep " << r.status.describe() << (r.timed_out ? ", timed out" : "") << '\n';

    // A shell runs only if you say so. Parameters are passed as data; they never become a part of the script.
    r = leash::run(leash::shell("cut -d: -f1 /etc/passwd | grep -c -- \"$1\"", {word}), {.out = leash::piped});
    std::cout << "in names: " << r.out;

    // The timeout ends both sleeps and the shell: this takes half a second, not a minute.
    r = leash::run(leash::shell("sleep 60 & sleep 60"), {.timeout = 500ms});
    std::cout << "the sleeper was " << r.status.describe() << ", timed out: " << std::boolalpha << r.timed_out << '\n';
}

// expect: leash: a string is no input: write leash::bytes("data") or leash::file("path").
// expect: leash: a number is no input: write leash::fd(number).
// expect: leash: a pointer is no input: write leash::piped or leash::fd(fileno(file)).
// expect: leash: a function is no input by itself: write leash::source(function).
// expect: leash: a string is no output: write leash::file("path"), or leash::piped to read it.
// expect: leash: a number is no output: write leash::fd(number).
// expect: leash: a pointer is no output: write leash::piped, leash::sink(function) or leash::fd(fileno(file)).
// expect: leash: a function is no output by itself: write leash::sink(function).
#include <leash/leash.hpp>

int main() {
    leash::Options options;
    options.in = "data";
    options.in = 7;
    std::string text;
    options.in = &text;
    options.in = [] { return std::string(); };
    options.out = std::string("path");
    options.err = 2;
    options.out = &text;
    options.out = [](std::string_view) {};
}

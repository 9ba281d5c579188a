// tests/main.cpp - doctest's main, compiled once for all test programs.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <signal.h>

// Under nohup, or behind a shell's `&`, a program ignores these, and so would the children of its tests. With a handler
// it is as immune itself, and they are not: exec makes a default of it.
[[maybe_unused]] static const bool children_ignore_nothing = [] {
    for (const int signal : {SIGHUP, SIGINT, SIGQUIT}) {
        struct sigaction action {};
        if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_IGN) continue;
        action.sa_handler = [](int) {};
        action.sa_flags = SA_RESTART;
        ::sigaction(signal, &action, nullptr);
    }
    return true;
}();

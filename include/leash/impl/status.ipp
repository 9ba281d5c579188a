// leash/impl/status.ipp - the bodies of <leash/status.hpp>.
#ifndef LEASH_0_1_0_IMPL_STATUS_IPP
#define LEASH_0_1_0_IMPL_STATUS_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <string>

#include <csignal>

#include <leash/detail/text.hpp>
#include <leash/status.hpp>

namespace leash {
inline namespace LEASH_ABI {

LEASH_INLINE const char* signal_name(int number) noexcept {
    switch (number) {
        case SIGHUP: return "SIGHUP";
        case SIGINT: return "SIGINT";
        case SIGQUIT: return "SIGQUIT";
        case SIGILL: return "SIGILL";
        case SIGTRAP: return "SIGTRAP";
        case SIGABRT: return "SIGABRT";
        case SIGBUS: return "SIGBUS";
        case SIGFPE: return "SIGFPE";
        case SIGKILL: return "SIGKILL";
        case SIGUSR1: return "SIGUSR1";
        case SIGSEGV: return "SIGSEGV";
        case SIGUSR2: return "SIGUSR2";
        case SIGPIPE: return "SIGPIPE";
        case SIGALRM: return "SIGALRM";
        case SIGTERM: return "SIGTERM";
        case SIGCHLD: return "SIGCHLD";
        case SIGCONT: return "SIGCONT";
        case SIGSTOP: return "SIGSTOP";
        case SIGTSTP: return "SIGTSTP";
        case SIGTTIN: return "SIGTTIN";
        case SIGTTOU: return "SIGTTOU";
        case SIGURG: return "SIGURG";
        case SIGXCPU: return "SIGXCPU";
        case SIGXFSZ: return "SIGXFSZ";
        case SIGVTALRM: return "SIGVTALRM";
        case SIGPROF: return "SIGPROF";
        case SIGWINCH: return "SIGWINCH";
        case SIGIO: return "SIGIO";
        case SIGSYS: return "SIGSYS";
        default: return "signal";
    }
}

[[gnu::cold]] LEASH_INLINE const char* to_string(EndedBy why) noexcept {
    switch (why) {
        case EndedBy::itself: return "itself";
        case EndedBy::timeout: return "timeout";
        case EndedBy::idle_timeout: return "idle_timeout";
        case EndedBy::cancel: return "cancel";
        case EndedBy::stop: return "stop";
        case EndedBy::kill: return "kill";
        case EndedBy::terminal_stop: return "terminal_stop";
        case EndedBy::memory: return "memory";
    }
    return "?";
}

LEASH_INLINE std::string ExitStatus::describe() const {
    if (exited()) return detail::concat({"exited ", detail::decimal(number_)});
    if (!signaled()) return "unknown";
    return detail::concat(
        {"killed by ", signal_name(number_), " (", detail::decimal(number_), ")", core_ ? ", core dumped" : ""});
}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_STATUS_IPP

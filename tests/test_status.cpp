// tests/test_status.cpp - how a process ended: never folded into one number, never a guess.
#include <doctest/doctest.h>

#include "support.hpp"

#include <sys/resource.h>

using leash::ExitStatus;
using support::Census;
using support::child;
using support::NothingLeft;

namespace {

leash::Result end_of(std::initializer_list<leash::Arg> verb) {
    const Census census;
    return leash::run(child(verb), support::silent(census));
}

}  // namespace

TEST_CASE("a status is exited, killed by a signal, or unknown, and each says only its own") {
    constexpr ExitStatus unknown;
    static_assert(unknown.unknown() && !unknown.exited() && !unknown.signaled() && !unknown.success());
    static_assert(unknown.code() == -1 && unknown.signal() == 0 && !unknown.core_dumped());
    CHECK(unknown.describe() == "unknown");

    constexpr ExitStatus zero = ExitStatus::from_code(0);
    static_assert(zero.exited() && zero.success() && zero.code() == 0 && !zero.signaled() && !zero.unknown());
    CHECK(zero.describe() == "exited 0");

    constexpr ExitStatus nine = ExitStatus::from_code(9);
    static_assert(nine.exited() && !nine.success() && nine.code() == 9 && nine.signal() == 0);
    CHECK(nine.describe() == "exited 9");

    constexpr ExitStatus killed = ExitStatus::from_signal(SIGKILL);
    static_assert(killed.signaled() && !killed.exited() && !killed.success() && killed.signal() == SIGKILL);
    static_assert(killed.code() == -1 && !killed.core_dumped());
    CHECK(killed.describe() == "killed by SIGKILL (9)");

    constexpr ExitStatus dumped = ExitStatus::from_signal(SIGSEGV, true);
    static_assert(dumped.core_dumped() && dumped.signal() == SIGSEGV);
    CHECK(dumped.describe() == "killed by SIGSEGV (11), core dumped");
}

TEST_CASE("statuses are equal only where all is equal") {
    CHECK(ExitStatus() == ExitStatus());
    CHECK(ExitStatus::from_code(3) == ExitStatus::from_code(3));
    CHECK(ExitStatus::from_code(9) != ExitStatus::from_signal(9));
    CHECK(ExitStatus() != ExitStatus::from_code(0));
    CHECK(ExitStatus::from_signal(11, true) != ExitStatus::from_signal(11));
    CHECK_FALSE(ExitStatus::from_code(3) != ExitStatus::from_code(3));
}

TEST_CASE("signals have their names") {
    const std::pair<int, const char*> all[] = {
        {SIGHUP, "SIGHUP"},       {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"},   {SIGILL, "SIGILL"},
        {SIGTRAP, "SIGTRAP"},     {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},     {SIGFPE, "SIGFPE"},
        {SIGKILL, "SIGKILL"},     {SIGUSR1, "SIGUSR1"}, {SIGSEGV, "SIGSEGV"},   {SIGUSR2, "SIGUSR2"},
        {SIGPIPE, "SIGPIPE"},     {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"},   {SIGCHLD, "SIGCHLD"},
        {SIGCONT, "SIGCONT"},     {SIGSTOP, "SIGSTOP"}, {SIGTSTP, "SIGTSTP"},   {SIGTTIN, "SIGTTIN"},
        {SIGTTOU, "SIGTTOU"},     {SIGURG, "SIGURG"},   {SIGXCPU, "SIGXCPU"},   {SIGXFSZ, "SIGXFSZ"},
        {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"}, {SIGWINCH, "SIGWINCH"}, {SIGIO, "SIGIO"},
        {SIGSYS, "SIGSYS"},
    };
    for (const auto& [number, name] : all) CHECK(std::string(leash::signal_name(number)) == name);
    CHECK(std::string(leash::signal_name(0)) == "signal");
    CHECK(std::string(leash::signal_name(-1)) == "signal");
    CHECK(std::string(leash::signal_name(1000)) == "signal");
}

TEST_CASE("an exit code arrives as it was given, and is never taken for a signal") {
    const NothingLeft before;
    for (const int code : {0, 1, 2, 9, 15, 42, 126, 127, 128, 137, 139, 143, 254, 255}) {
        const leash::Result result = end_of({"exit", std::to_string(code)});
        CHECK(result.status == ExitStatus::from_code(code));
        CHECK(result.ok() == (code == 0));
    }
    CHECK(before.holds());
}

TEST_CASE("a signal that kills arrives as a signal, and is never taken for an exit code") {
    const NothingLeft before;
    for (const int number : {SIGHUP, SIGINT, SIGKILL, SIGUSR1, SIGPIPE, SIGALRM, SIGTERM, SIGRTMIN + 1}) {
        const leash::Result result = end_of({"kill", std::to_string(number)});
        CHECK(result.status == ExitStatus::from_signal(number));
        CHECK_FALSE(result.ok());
        CHECK_FALSE(result.timed_out);
    }
    const ExitStatus real_time = end_of({"kill", std::to_string(SIGRTMIN)}).status;
    CHECK(real_time.describe() == "killed by signal (" + std::to_string(SIGRTMIN) + ")");
    CHECK(end_of({"kill", "9"}).status != end_of({"exit", "137"}).status);
    CHECK(before.holds());
}

TEST_CASE("a core dump is reported where the system makes one, and only there") {
    CHECK_FALSE(end_of({"kill", std::to_string(SIGABRT)}).status.core_dumped());  // the helper forbids it

    const support::TemporaryDirectory directory;
    const std::string wrong = support::in_host([&]() -> std::string {
        rlimit limit{};
        ::getrlimit(RLIMIT_CORE, &limit);
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_CORE, &limit);
        if (::chdir(directory.path().c_str()) != 0) return "chdir";
        // what the system itself says of such an end
        const pid_t plain = ::fork();
        if (plain == 0) {
            ::execl(support::helper().c_str(), "helper", "kill", std::to_string(SIGABRT).c_str(), "core",
                    static_cast<char*>(nullptr));
            ::_exit(127);
        }
        int raw = 0;
        ::waitpid(plain, &raw, 0);
        const bool dumps = WIFSIGNALED(raw) && WCOREDUMP(raw);
        leash::Options options;
        options.out = leash::null;
        options.err = leash::null;
        const ExitStatus status = leash::run(child({"kill", std::to_string(SIGABRT), "core"}), options).status;
        HOST_NEEDS(status.signal() == SIGABRT);
        HOST_NEEDS(status.core_dumped() == dumps);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("what the leader used is told once it has ended") {
    const Census census;
    leash::Options options = support::silent(census);
    options.in = leash::piped;
    leash::Popen p(child({"wait-then-exit", "0"}), options);
    CHECK(p.usage().user.count() == 0);
    CHECK(p.usage().system.count() == 0);
    CHECK_FALSE(p.usage().peak_memory);
    p.in().close();
    CHECK(p.wait().success());

    const leash::Result busy = end_of({"spin", "60", "1"});
    CHECK(busy.ok());
    CHECK(busy.usage.user >= std::chrono::milliseconds(50));
    CHECK(busy.usage.user < std::chrono::minutes(5));
    CHECK(busy.usage.system < std::chrono::minutes(5));
}

TEST_CASE("what ended a job has a name") {
    using leash::EndedBy;
    const std::pair<EndedBy, std::string> all[] = {{EndedBy::itself, "itself"},
                                                   {EndedBy::timeout, "timeout"},
                                                   {EndedBy::idle_timeout, "idle_timeout"},
                                                   {EndedBy::cancel, "cancel"},
                                                   {EndedBy::stop, "stop"},
                                                   {EndedBy::kill, "kill"},
                                                   {EndedBy::terminal_stop, "terminal_stop"},
                                                   {EndedBy::memory, "memory"}};
    for (const auto& [why, name] : all) CHECK(leash::to_string(why) == name);
    CHECK(std::string(leash::to_string(static_cast<EndedBy>(99))) == "?");
}

TEST_CASE("the peak of memory is the child's, or unknown where the host's own may be counted in") {
    const std::string wrong = support::in_host([]() -> std::string {
        constexpr std::size_t mib = std::size_t{1} << 20;
        const std::string ours(64 * mib, 'x');  // touched
        rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        const std::size_t mark = static_cast<std::size_t>(usage.ru_maxrss) * 1024;
        HOST_NEEDS(mark >= ours.size());
        HOST_NEEDS(!end_of({"exit", "0"}).usage.peak_memory);
        HOST_NEEDS(!end_of({"spin", "0", "16"}).usage.peak_memory);
        const std::size_t more = mark + 64 * mib;
        const leash::Result large = end_of({"spin", "0", std::to_string(more / mib)});
        HOST_NEEDS(large.usage.peak_memory);
        HOST_NEEDS(*large.usage.peak_memory >= more - mib);
        HOST_NEEDS(*large.usage.peak_memory < more + 64 * mib);
        return "";
    });
    CHECK(wrong == "");
}

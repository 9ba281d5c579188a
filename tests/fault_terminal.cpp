// tests/fault_terminal.cpp - faults for a child at a terminal of its own, and for a job in the host's foreground.
#include "fault.hpp"

#include <doctest/doctest.h>

#include <sys/ioctl.h>
#include <termios.h>

using namespace faults;
using leash::detail::os::has_direct_start;

namespace {

// ---- a terminal for the child

leash::Options at_terminal(const Census& census) {
    leash::Options options = marked(census);
    options.in = leash::tty;
    options.out = leash::tty;
    options.err = leash::tty;
    options.terminal.echo = false;
    return options;
}

Outcome captured(const Census& census) {
    Outcome outcome;
    leash::Options options = at_terminal(census);
    options.in = leash::null;
    auto result = leash::try_run({helper(), "print", "one\n", "two\n"}, std::move(options));
    if (!result) return outcome.error = result.error(), outcome;
    expect(outcome, result->ok(), "status");
    expect(outcome, result->out == "one\r\ntwo\r\n", "output");
    expect(outcome, result->held.empty(), "held");
    outcome.survivors = !result->survivors.empty();
    return outcome;
}

Outcome only_err(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.out = leash::piped;
    options.err = leash::tty;
    auto result = leash::try_run({helper(), "print-to", "2", "one\n", "1", "two\n"}, std::move(options));
    if (!result) return outcome.error = result.error(), outcome;
    expect(outcome, result->ok() && result->err == "one\r\n" && result->out == "two\n", "output");
    outcome.survivors = !result->survivors.empty();
    return outcome;
}

Outcome conversation(const Census& census) {
    Outcome outcome;
    auto job = leash::Popen::try_spawn({helper(), "ping-pong"}, at_terminal(census));
    if (!job) return outcome.error = job.error(), outcome;
    const auto resized = job->resize(30, 90);
    if (!resized) expect(outcome, is_true(resized.error()), "a true error of resize()");
    const leash::Written written = job->in().write("half a line", 20s);
    if (written.complete) {
        const leash::Captured all = job->communicate({}, 20s);
        outcome.partial = !all.status;  // the character that ends the input could not be written
        if (all.status) expect(outcome, all.status->success() && all.out.empty(), "the end of the input");
    } else {
        outcome.partial = true;
        expect(outcome, static_cast<bool>(written.error), "a write that failed says why");
    }
    outcome.survivors = !job->survivors().empty();
    return outcome;
}

Outcome question_and_answer(const Census& census) {
    Outcome outcome;
    auto job = leash::Popen::try_spawn({helper(), "password"}, at_terminal(census));
    if (!job) return outcome.error = job.error(), outcome;
    expect(outcome, job->out().expect({"Password: "}, 20s).complete, "prompt");
    const leash::Written written = job->in().write("sesame\n", 20s);
    if (!written.complete) return outcome.partial = true, outcome;
    expect(outcome, job->out().expect("it is sesame", 20s).before == "\r\n", "answer");
    expect(outcome, job->wait().success(), "status");
    outcome.survivors = !job->survivors().empty();
    return outcome;
}

Outcome killed_at_terminal(const Census& census) {
    Outcome outcome;
    leash::Options options = at_terminal(census);
    options.timeout = 60ms;
    auto job = leash::Popen::try_spawn(dash("trap '' TERM HUP; sleep 30 & echo ready; sleep 30; true"), options);
    if (!job) return outcome.error = job.error(), outcome;
    const leash::ExitStatus status = job->wait();
    outcome.survivors = !job->survivors().empty();
    if (!outcome.survivors) expect(outcome, status.signaled() && job->timed_out(), "status");
    return outcome;
}

Outcome hung_up(const Census& census) {
    Outcome outcome;
    auto job = leash::Popen::try_spawn(dash("sleep 30 & echo ready; sleep 30; true"), at_terminal(census));
    if (!job) return outcome.error = job.error(), outcome;
    expect(outcome, job->out().expect("ready", 20s).complete, "ready");
    return outcome;
}

const Scenario at_its_own[] = {
    {"output at a terminal", captured},
    {"err at a terminal", only_err},
    {"a size, half a line and its end", conversation},
    {"a question and an answer", question_and_answer},
    {"a timeout at a terminal", killed_at_terminal},
    {"the destructor at a terminal", hung_up, std::nullopt, true},
};

// ---- the host's terminal, lent

/// The other side of the terminal that controls this host; see as_host_at_terminal().
int keyboard = -1;

/// Runs `body` in a forked host that is the leader of a session, with a terminal as its standard input.
std::string as_host_at_terminal(const std::function<std::string()>& body) {
    return in_host([&]() -> std::string {
        ::signal(SIGHUP, SIG_IGN);
        HOST_NEEDS(::setsid() > 0);
        keyboard = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        HOST_NEEDS(keyboard >= 0 && ::grantpt(keyboard) == 0 && ::unlockpt(keyboard) == 0);
        const int terminal = ::open(::ptsname(keyboard), O_RDWR | O_NOCTTY | O_CLOEXEC);
        HOST_NEEDS(terminal >= 0 && ::ioctl(terminal, TIOCSCTTY, 0) == 0 && ::dup2(terminal, 0) == 0);
        ::close(terminal);
        return body();
    });
}

bool is_cooked() {
    termios modes{};
    return ::tcgetattr(0, &modes) == 0 && (modes.c_lflag & ICANON) != 0;
}

/// Has the host its terminal again, and in its own mode? Whatever fails, the next scenario finds it so.
void check_terminal(Outcome& outcome) {
    const Fault* const fault = fault_of_this_thread;
    const auto fails = [&](const std::string& call) { return fault->fired && fault->call == call; };
    const bool is_mine = ::tcgetpgrp(0) == ::getpgrp(), cooked = is_cooked();
    if (!fails("tcsetpgrp")) expect(outcome, is_mine, "the terminal is not the host's");
    if (!fails("tcsetattr") && !fails("tcgetattr")) expect(outcome, cooked, "the terminal's modes");
    sigset_t output, before;
    ::sigemptyset(&output);
    ::sigaddset(&output, SIGTTOU);
    ::pthread_sigmask(SIG_BLOCK, &output, &before);
    ::tcsetpgrp(0, ::getpgrp());
    termios modes{};
    ::tcgetattr(0, &modes);
    modes.c_lflag |= ICANON;
    ::tcsetattr(0, TCSANOW, &modes);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

leash::Options in_foreground(const Census& census) {
    leash::Options options = leash::Options::interactive();
    options.in = leash::fd(0);
    options.env = census.env();
    options.grace = 30ms;
    options.drain = 5s;
    options.out = leash::null;
    return options;
}

Outcome reads(const Census& census) {
    Outcome outcome;
    static_cast<void>(!::write(keyboard, "typed\n", 6));
    auto result = leash::try_run({helper(), "read-and-exit", "6", "7"}, in_foreground(census));
    if (result) {
        expect(outcome, result->status.code() == 7, "status " + result->status.describe());
        outcome.survivors = !result->survivors.empty();
    } else {
        outcome.error = result.error();
    }
    ::tcflush(0, TCIFLUSH);
    check_terminal(outcome);
    return outcome;
}

Outcome stops(const Census& census) {  // the host cannot: nobody is there to continue it
    Outcome outcome;
    const char* const script = "stty -icanon; kill -TSTP $$; kill -TSTP $$; stty icanon; exit 3";
    auto result = leash::try_run(dash(script), in_foreground(census));
    if (result) {
        expect(outcome, result->status.code() == 3, "status");
        outcome.survivors = !result->survivors.empty();
    } else {
        outcome.error = result.error();
    }
    check_terminal(outcome);
    return outcome;
}

Outcome dies_in_raw_mode(const Census& census) {
    Outcome outcome;
    auto result = leash::try_run(dash("stty -icanon; kill -KILL $$"), in_foreground(census));
    if (result) {
        expect(outcome, result->status.signal() == SIGKILL, "status");
        outcome.survivors = !result->survivors.empty();
    } else {
        outcome.error = result.error();
    }
    check_terminal(outcome);
    return outcome;
}

Outcome dropped(const Census& census) {
    Outcome outcome;
    leash::Options options = in_foreground(census);
    options.out = leash::piped;
    auto job = leash::Popen::try_spawn(dash("stty -icanon; sleep 30 & echo ready; sleep 30; true"), options);
    if (job) {
        expect(outcome, job->out().read_until("ready\n", 20s).complete, "ready");
        leash::Popen ends(*std::move(job));
    } else {
        outcome.error = job.error();
    }
    check_terminal(outcome);
    return outcome;
}

Outcome pipeline(const Census& census) {
    Outcome outcome;
    static_cast<void>(!::write(keyboard, "typed\n", 6));
    leash::Options options = in_foreground(census);
    options.out = leash::piped;
    // It reads when the other one is there: where a fault leaves them in the background, it is stopped then, and with it
    // a process that has not come to its exec yet, for which posix_spawn would wait.
    const TemporaryDirectory directory;
    const std::string second = directory / "second";
    auto result = leash::try_run(dash("until [ -e '" + second + "' ]; do sleep 0.01; done; read x; echo \"$x\"") |
                                     dash(": >'" + second + "'; exec '" + helper() + "' cat"),
                                 options);
    if (result) {
        expect(outcome, result->ok() && result->out == "typed\n", "output");
        outcome.survivors = !result->survivors.empty();
    } else {
        outcome.error = result.error();
    }
    ::tcflush(0, TCIFLUSH);
    check_terminal(outcome);
    return outcome;
}

Outcome cannot_start(const Census& census) {
    Outcome outcome;
    const TemporaryDirectory directory;
    const std::string script = directory.file("script", "no #!", 0755);
    auto job = leash::Popen::try_spawn({script}, in_foreground(census));
    if (job) expect(outcome, false, "it cannot have been started");
    else outcome.error = job.error();
    check_terminal(outcome);
    return outcome;
}

const Scenario at_the_hosts[] = {
    {"a job that reads", reads},
    {"a job that stops", stops},
    {"a job that dies in raw mode", dies_in_raw_mode},
    {"a job that is dropped", dropped, std::nullopt, true},
    {"a pipeline", pipeline},
    {"a job that cannot start", cannot_start, leash::Step::program},
};

}  // namespace

TEST_CASE("every system call may fail once for a child at a terminal") {
    const Tried tried = try_all(at_its_own, {}, false);
    MESSAGE(tried.attempts, " attempts");
    CHECK(tried.wrong == "");
    CHECK(unseen(tried, {"open_terminal", "unlock_terminal", "tcgetattr", "tcsetattr", "set_window",
                         has_direct_start ? "child_action" : "spawn_actions_open"}) == "");
}

TEST_CASE("every system call may fail once for a job in the foreground of the host's terminal") {
    const std::string wrong = as_host_at_terminal([]() -> std::string {
        const Tried tried = try_all(at_the_hosts, {}, false);
        return tried.wrong + unseen(tried, {"tcgetpgrp", "tcsetpgrp", "tcgetattr", "tcsetattr", "stop_own_group"});
    });
    CHECK(wrong == "");
}

TEST_CASE("a pipeline has the terminal before its second stage is started") {
    if (has_direct_start) return;  // the first child takes it before its exec, for which the start waits
    const std::string wrong = as_host_at_terminal([]() -> std::string {
        const Census census;
        std::vector<std::string> order;
        Fault recorder;
        recorder.order = &order;
        {
            const Armed armed(recorder);
            HOST_NEEDS(pipeline(census).wrong == "");
        }
        int started = 0;
        for (const std::string& call : order) {
            if (call == "posix_spawn") ++started;
            if (call == "tcsetpgrp" || call == "spawn_actions_tcsetpgrp") break;
        }
        HOST_NEEDS(started < 2);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a Ctrl-Z between the start of the job and its handle is followed") {
    const std::string wrong = as_host_at_terminal([]() -> std::string {
        const Census census;
        leash::Options options = in_foreground(census);
        options.in = leash::piped;  // or it could be stopped for reading the terminal first
        options.out = leash::piped;
        std::vector<std::string> order;
        bool was_stopped = false;
        Fault ctrl_z;
        ctrl_z.call = has_direct_start ? "close" : "open_exit";  // the first thing after the start
        ctrl_z.nth = 1;
        ctrl_z.before = [&] {
            const pid_t group = ::tcgetpgrp(0);
            siginfo_t stopped{};
            was_stopped = group != ::getpgrp() && ::write(keyboard, "\32", 1) == 1 &&
                          ::waitid(P_PGID, static_cast<id_t>(group), &stopped, WSTOPPED | WNOWAIT) == 0;
            ctrl_z.order = &order;
        };
        const Armed armed(ctrl_z);
        leash::Popen job({helper(), "ping-pong"}, options);
        HOST_NEEDS(was_stopped);
        static_cast<void>(job.poll());
        HOST_NEEDS(std::count(order.begin(), order.end(), "stop_own_group") == 1);
        // The host cannot be stopped here, and lets it go on.
        HOST_NEEDS(job.in().write("one\n", 20s));
        HOST_NEEDS(job.out().read_until("got one\n", 20s).complete);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a job that read the terminal before it was lent it goes on, also where nobody waits for it") {
    const std::string wrong = as_host_at_terminal([]() -> std::string {
        const Census census;
        leash::Options options = in_foreground(census);
        options.out = leash::piped;
        // Only where the host lends it: elsewhere the child has it from its start.
        Fault early;
        early.call = "tcsetpgrp";
        early.nth = 1;
        bool was_stopped = leash::detail::sys::has_tcsetpgrp_action;
        early.before = [&] {
            siginfo_t stopped{};
            was_stopped = ::waitid(P_ALL, 0, &stopped, WSTOPPED | WNOWAIT) == 0;
        };
        std::optional<leash::Popen> job;
        {
            const Armed armed(early);
            job.emplace(leash::Command{helper(), "ping-pong"}, options);
        }
        HOST_NEEDS(was_stopped);
        HOST_NEEDS(eventually([&] { return state_of(job->pid()) == 'S'; }));
        HOST_NEEDS(::write(keyboard, "one\n", 4) == 4);
        HOST_NEEDS(job->out().read_until("got one\n", 20s).complete);
        return "";
    });
    CHECK(wrong == "");
}

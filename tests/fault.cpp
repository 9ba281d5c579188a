// Every system call of the back end fails once, at each place where a scenario makes it. What comes out is then either
// right, or a true error; never a crash, a hang, or something left behind.
#include "support.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

using namespace support;

namespace {

/// What is to fail: the nth call of a name, with an errno (-1: a read or write of one byte). Of this thread only.
struct Fault {
    const char* call = nullptr;
    int nth = 0;  // counts down
    int error = 0;
    bool fired = false;
    bool no_pidfd = false;  // besides, as on an old kernel
    std::map<std::string, int>* seen = nullptr;  // or all are counted and none fails,
    std::vector<std::string>* order = nullptr;   // or told in their order
};
thread_local Fault* fault_of_this_thread = nullptr;

class Armed {
  public:
    explicit Armed(Fault& fault) { fault_of_this_thread = &fault; }
    Armed(const Armed&) = delete;
    Armed& operator=(const Armed&) = delete;
    ~Armed() { fault_of_this_thread = nullptr; }
};

}  // namespace

int leash_fault(const char* call) noexcept {
    Fault* const fault = fault_of_this_thread;
    if (fault == nullptr) return 0;
    const bool by_pidfd = std::strcmp(call, "open_exit") == 0 || std::strcmp(call, "signal_through") == 0;
    if (fault->no_pidfd && by_pidfd) return ENOSYS;
    if (fault->seen != nullptr) {
        fault_of_this_thread = nullptr;  // counting must not count itself
        ++(*fault->seen)[call];
        fault_of_this_thread = fault;
        return 0;
    }
    if (fault->order != nullptr) {
        fault->order->push_back(call);
        return 0;
    }
    if (fault->call == nullptr || std::strcmp(call, fault->call) != 0 || --fault->nth != 0) return 0;
    fault->fired = true;
    return fault->error;
}

namespace {

/// The errors that a call can meet in real life. Those that it cannot (EBADF for a descriptor that is ours, ECHILD for
/// a child that nobody else waits for) would prove nothing.
struct Call {
    const char* name;
    std::vector<int> errors;
};
const Call calls[] = {
    {"open", {EINTR, EMFILE, ENFILE, ENOMEM, EACCES}},
    {"close", {EINTR, EIO}},
    {"read", {EINTR, EAGAIN, -1}},
    {"write", {EINTR, EAGAIN, -1, EPIPE, ENOSPC}},
    {"pipe", {EMFILE, ENFILE}},
    {"fcntl", {EMFILE, EINVAL, EPERM}},
    {"fstat", {ENOMEM}},
    {"lseek", {EIO}},
    {"memfd_create", {EMFILE, ENFILE, ENOMEM, EPERM}},
    {"poll", {EINTR, ENOMEM, EINVAL, EAGAIN}},
    {"epoll_create", {EMFILE, ENFILE, ENOMEM, ENOSYS}},
    {"epoll_control", {ENOMEM, ENOSPC, EPERM}},  // ENOSPC: the user's limit; EPERM: a handle that cannot be watched
    {"epoll_wait", {EINTR}},
    {"stat", {ENOMEM, EACCES, EIO, ENOENT}},
    {"access", {ENOMEM, EACCES, EIO}},
    {"getcwd", {ENOMEM, EACCES, ERANGE}},
    {"tcgetpgrp", {ENOTTY, EIO}},
    {"tcsetpgrp", {ENOTTY, EIO, EPERM}},  // ENOTTY and EIO: the terminal has hung up
    {"tcgetattr", {EIO}},
    {"tcsetattr", {EIO, EINTR}},
    {"set_window", {EIO}},
    {"open_terminal", {EAGAIN, EMFILE, ENFILE, ENOSPC, ENOMEM, EACCES, ENOENT}},  // ENOENT: no /dev/ptmx here
    {"unlock_terminal", {EACCES, EIO}},
    {"opendir", {EMFILE, ENFILE, ENOMEM}},
    {"spawn_actions_init", {ENOMEM}},
    {"spawn_actions_dup2", {ENOMEM}},
    {"spawn_actions_close", {ENOMEM}},
    {"spawn_actions_open", {ENOMEM}},
    {"spawn_attributes_init", {ENOMEM}},
    {"posix_spawn", {EAGAIN, ENOMEM, EINTR, EPERM, EINVAL, ENOSYS, ETXTBSY, E2BIG, EMFILE}},
    {"waitid", {EINTR}},
    {"reap", {EINTR}},
    {"kill", {EPERM}},
    {"getpgid", {EPERM}},
    {"open_exit", {ENOSYS, EPERM, EINVAL, EMFILE, ENFILE, ENOMEM}},
    {"signal_through", {ENOSYS, EPERM, EINVAL}},
    {"signals_by_flags", {ENOSYS}},
    {"reap_member", {EINTR}},
    // how much a pipe holds: cannot fail for a pipe
    {"ioctl", {}},
    // two signals to oneself: cannot fail
    {"stop_own_group", {}},
};

const std::vector<int>* errors_of(const std::string& name) {
    for (const Call& call : calls) {
        if (name == call.name) return &call.errors;
    }
    return nullptr;
}

/// Nothing but trying again, or the second-best way, is called for: no scenario may notice.
bool is_harmless(const Fault& fault) {
    const std::string name = fault.call == nullptr ? "" : fault.call;
    if (name == "posix_spawn") return fault.error == ETXTBSY;
    if (fault.error == EINTR || fault.error == EAGAIN || fault.error == -1 || fault.error == ERANGE) return true;
    for (const char* const one : {"", "close", "poll", "tcgetpgrp", "opendir", "open_exit", "signal_through", "signals_by_flags",
                                  "getpgid"}) {
        if (name == one) return true;
    }
    return false;
}

/// What a scenario tells. `wrong` is empty where all that it gave is right.
struct Outcome {
    std::string wrong;
    std::optional<leash::Error> error;
    bool survivors = false;  // the library says so itself: something could not be ended
    bool partial = false;    // and likewise: not all input was written
};

void expect(Outcome& outcome, bool holds, const char* what) {
    if (!holds) outcome.wrong += std::string(outcome.wrong.empty() ? "" : ", ") + what;
}

leash::Command dash(const std::string& script) { return leash::args({"/bin/dash", "-c", script, "/bin/dash"}); }

leash::Options marked(const Census& census) {
    leash::Options options;
    options.env = census.env();
    options.grace = 30ms;
    options.drain = 5s;  // used up only where something holds on
    return options;
}

/// An error with a code, and words.
bool is_true(const leash::Error& error) { return error.code && error.code.value() > 0 && !error.message().empty(); }

// ---- the scenarios: each does one thing from start to end, handles and all

Outcome simple_run(const Census& census) {
    Outcome outcome;
    auto result = leash::try_run(dash("exit 3"), marked(census));
    if (!result) return outcome.error = result.error(), outcome;
    expect(outcome, result->status.code() == 3, "status");
    expect(outcome, !result->timed_out && !result->cancelled && !result->held, "flags");
    outcome.survivors = result->survivors;
    return outcome;
}

Outcome looked_up(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.cwd = "/";
    options.out = leash::piped;
    auto result = leash::try_run({"sh", "-c", "pwd"}, std::move(options));
    if (!result) return outcome.error = result.error(), outcome;
    expect(outcome, result->ok() && result->out == "/\n", "output");
    outcome.survivors = result->survivors;
    return outcome;
}

Outcome both_streams_and_input(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    const std::string input(200'000, 'x');
    options.in = leash::bytes(input);
    options.out = leash::piped;
    options.err = leash::piped;
    auto result = leash::try_run(dash("cat; echo more >&2; exit 3"), std::move(options));
    if (!result) return outcome.error = result.error(), outcome;
    // an input that could not be written whole is told
    expect(outcome, result->out.size() + result->unwritten == input.size(), "output");
    outcome.partial = result->unwritten > 0;
    expect(outcome, result->err == "more\n", "error output");
    expect(outcome, result->status.code() == 3, "status");
    expect(outcome, !result->timed_out && !result->held, "flags");
    outcome.survivors = result->survivors;
    return outcome;
}

Outcome timeout_with_members(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.out = leash::piped;
    options.timeout = 60ms;
    auto job = leash::Popen::try_spawn(dash("trap '' TERM; sleep 30 & echo ready; sleep 30; true"), std::move(options));
    if (!job) return outcome.error = job.error(), outcome;
    const leash::Captured captured = job->communicate();
    outcome.survivors = job->survivors();
    if (outcome.survivors) return outcome;
    expect(outcome, captured.timed_out, "timed_out");
    expect(outcome, !captured.held, "held");
    expect(outcome, captured.status && captured.status->signaled(), "status");
    expect(outcome, captured.out == "ready\n" || captured.out.empty(), "output");
    return outcome;
}

Outcome stragglers(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.out = leash::piped;
    auto result = leash::try_run(dash("sleep 30 & sleep 30 & exit 3"), std::move(options));
    if (!result) return outcome.error = result.error(), outcome;
    expect(outcome, result->status.code() == 3, "status");
    outcome.survivors = result->survivors;
    if (!outcome.survivors) expect(outcome, !result->held, "held");
    return outcome;
}

Outcome redirects(const Census& census) {
    Outcome outcome;
    char path[] = "/tmp/leash_fault.XXXXXX";
    const int file = ::mkstemp(path);
    leash::Options options = marked(census);
    options.in = leash::bytes(std::string(100'000, 'y'));
    options.out = leash::file(path);
    options.err = leash::to_out;
    options.pass_fds = {{file, 7}, {file, 5}, {2, 9}};
    bool ended = false;
    {
        auto job = leash::Popen::try_spawn(dash("cat && : >&5 && : >&7 && : >&9 && exit 4"), std::move(options));
        if (!job) {
            outcome.error = job.error();
        } else {
            expect(outcome, job->wait().code() == 4, "status");
            outcome.survivors = job->survivors();
            ended = true;
        }
    }
    if (ended) expect(outcome, ::lseek(file, 0, SEEK_END) == 100'000, "file");
    ::close(file);
    ::unlink(path);
    return outcome;
}

Outcome cancelled(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    leash::Cancel cancel;
    options.cancel = cancel;
    options.out = leash::piped;
    auto job = leash::Popen::try_spawn(dash("sleep 30 & echo ready; sleep 30; true"), std::move(options));
    if (!job) return outcome.error = job.error(), outcome;
    const pid_t leader = job->pid();
    std::thread canceller([&] {
        std::this_thread::sleep_for(10ms);
        cancel.fire();
    });
    const leash::Captured captured = job->communicate();
    canceller.join();
    outcome.survivors = job->survivors();
    if (outcome.survivors) return outcome;
    expect(outcome, leader > 1 && captured.cancelled && !captured.timed_out, "flags");
    expect(outcome, captured.status && captured.status->signaled(), "status");
    return outcome;
}

Outcome waits_and_looks(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.in = leash::piped;
    options.out = leash::piped;
    auto job = leash::Popen::try_spawn(dash("echo ready; read x; echo got $x; sleep 30 & exit 5"), std::move(options));
    if (!job) return outcome.error = job.error(), outcome;
    static_cast<void>(job->exit_handle());
    const leash::Read line = job->out().read_until("\n", 20s);
    expect(outcome, line.complete && line.data == "ready\n", "line");
    expect(outcome, !job->poll() && !job->wait_for(5ms), "still runs");
    const leash::Written written = job->in().write("it\n", 20s);
    if (!written.complete) {
        outcome.partial = true;
        expect(outcome, static_cast<bool>(written.error), "a write that failed says why");
        job->in().close();
        expect(outcome, job->wait().code() == 5, "status after a failed write");
        outcome.survivors = job->survivors();
        return outcome;
    }
    std::string rest;
    for (const std::string_view one : job->out().lines(20s)) rest += one;
    expect(outcome, rest == "got it", "rest");
    expect(outcome, job->wait().code() == 5, "status");
    expect(outcome, job->poll() == leash::ExitStatus::from_code(5), "poll");
    outcome.survivors = job->survivors();
    return outcome;
}

Outcome stopped(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.out = leash::piped;
    options.group = leash::Group::session;
    auto job = leash::Popen::try_spawn(dash("sleep 30 & echo ready; sleep 30; true"), std::move(options));
    if (!job) return outcome.error = job.error(), outcome;
    const bool ready = job->out().read_until("ready\n", 20s).complete;
    const leash::ExitStatus status = job->stop(1s);
    outcome.survivors = job->survivors();
    if (outcome.survivors) return outcome;
    expect(outcome, ready, "ready");
    expect(outcome, status.signaled(), "status");
    return outcome;
}

Outcome destroyed(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.out = leash::piped;
    auto job = leash::Popen::try_spawn(dash("trap '' TERM; sleep 30 & echo ready; sleep 30; true"), std::move(options));
    if (!job) return outcome.error = job.error(), outcome;
    expect(outcome, job->out().read_until("ready\n", 20s).complete, "ready");
    return outcome;
}

Outcome sink(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    std::size_t bytes = 0;
    options.out = leash::sink([&](std::string_view chunk) { bytes += chunk.size(); });
    options.err = leash::to_out;
    auto job = leash::Popen::try_spawn({helper(), "write", "300000"}, std::move(options));
    if (!job) return outcome.error = job.error(), outcome;
    expect(outcome, job->wait().success(), "status");
    expect(outcome, bytes == 300'000, "all of it");
    outcome.survivors = job->survivors();
    return outcome;
}

Outcome missing_interpreter(const Census& census) {
    Outcome outcome;
    char path[] = "/tmp/leash_fault.XXXXXX";
    const int file = ::mkstemp(path);
    const std::string text = "#!/nowhere/interpreter\n";
    static_cast<void>(!::write(file, text.data(), text.size()));
    ::fchmod(file, 0755);
    ::close(file);
    leash::Options options = marked(census);
    options.cwd = "/tmp";
    auto job = leash::Popen::try_spawn({path}, std::move(options));
    if (job) expect(outcome, false, "it cannot have been started");
    else outcome.error = job.error();
    ::unlink(path);
    return outcome;
}

Outcome missing_cwd(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.cwd = "/nowhere";
    auto job = leash::Popen::try_spawn(dash("exit 0"), std::move(options));
    if (job) expect(outcome, false, "it cannot have been started");
    else outcome.error = job.error();
    return outcome;
}

Outcome relative_program(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.cwd = "/";
    options.env = census.mark(leash::Env::inherited().set("PATH", "../../../../../../../../bin"));
    auto result = leash::try_run({"dash", "-c", "exit 6"}, std::move(options));
    if (!result) return outcome.error = result.error(), outcome;
    expect(outcome, result->status.code() == 6, "status");
    outcome.survivors = result->survivors;
    return outcome;
}

struct Scenario {
    const char* name;
    Outcome (*run)(const Census&);
    std::optional<leash::Step> fails = std::nullopt;  // it ends in an error in any case: of this step
    bool silent = false;                              // no handle is left that could tell of survivors
};
const Scenario scenarios[] = {
    {"a simple run", simple_run},
    {"a program looked up in PATH, with a cwd", looked_up},
    {"both streams captured, with input", both_streams_and_input},
    {"a timeout of a job with members", timeout_with_members},
    {"stragglers", stragglers},
    {"files, bytes and passed descriptors", redirects},
    {"a cancel", cancelled},
    {"waits, looks, reads and writes", waits_and_looks},
    {"stop() of a session", stopped},
    {"the destructor of a running job", destroyed, std::nullopt, true},
    {"a sink", sink},
    {"a script with a missing interpreter", missing_interpreter, leash::Step::interpreter},
    {"a missing cwd", missing_cwd, leash::Step::cwd},
    {"a program by a relative path", relative_program},
};

/// Ends the process with a word where a scenario hangs.
char watchdog_word[200];
class Watchdog {
  public:
    Watchdog(const Scenario& scenario, const Fault& fault) {
        std::snprintf(watchdog_word, sizeof watchdog_word, "hangs: %s, %s fails with %d\n", scenario.name,
                      fault.call == nullptr ? "nothing" : fault.call, fault.error);
        struct sigaction action {};
        action.sa_handler = [](int) {
            static_cast<void>(!::write(2, watchdog_word, std::strlen(watchdog_word)));
            ::_exit(124);
        };
        ::sigaction(SIGALRM, &action, nullptr);
        ::alarm(120);
    }
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;
    ~Watchdog() { ::alarm(0); }
};

void reap_all() {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {}
}

/// One scenario with one fault. False where the fault did not come about: there are no more calls of that name.
bool attempt(const Scenario& scenario, Fault& fault) {
    const NothingLeft nothing_left;
    Outcome outcome;
    {
        const Census census;
        const Watchdog watchdog(scenario, fault);
        const Stopwatch watch;
        {
            const Armed armed(fault);
            outcome = scenario.run(census);
        }
        CHECK(watch.elapsed() < 30s);
        CHECK(outcome.wrong == "");
        if (outcome.error) {
            CAPTURE(outcome.error->message());
            CHECK(is_true(*outcome.error));
            // a file, unlike a pipe, never says EAGAIN: nobody need wait for it
            const bool file_not_ready = scenario.run == redirects && fault.error == EAGAIN;
            if (!scenario.fails) CHECK((fault.fired && (!is_harmless(fault) || file_not_ready)));
            else if (is_harmless(fault)) CHECK(outcome.error->step == *scenario.fails);
        } else {
            CHECK_FALSE(scenario.fails.has_value());
        }
        if (outcome.partial) CHECK((fault.fired && !is_harmless(fault)));
        // A signal that is refused is the one fault after which something may stay, if the library says so.
        const bool refused = fault.call != nullptr && std::strcmp(fault.call, "kill") == 0 && fault.fired;
        if (refused && (outcome.survivors || scenario.silent)) {
            CHECK(eventually([&] {
                for (const pid_t pid : census.alive()) {
                    if (pid > 1) ::kill(pid, SIGKILL);
                }
                reap_all();
                return census.is_empty() && !has_children();
            }));
        } else {
            CHECK_FALSE(outcome.survivors);
            CHECK(census.is_empty());
        }
    }
    CHECK(nothing_left.holds());
    reap_all();
    return fault.fired;
}

}  // namespace

namespace {

/// Every call in `wanted` (all, where that is empty) fails once at every place where a scenario makes it.
std::map<std::string, int> try_all(const std::vector<std::string>& wanted, bool no_pidfd) {
    std::map<std::string, int> all_seen;
    int attempts = 0;
    for (const Scenario& scenario : scenarios) {
        INFO(std::string(scenario.name));
        std::map<std::string, int> seen;
        {
            Fault recorder;
            recorder.seen = &seen;
            recorder.no_pidfd = no_pidfd;
            attempt(scenario, recorder);
        }
        for (const auto& entry : seen) {
            const std::string& name = entry.first;
            all_seen[name] += entry.second;
            if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), name) == wanted.end()) continue;
            const std::vector<int>* const errors = errors_of(name);
            CAPTURE(name);
            REQUIRE(errors != nullptr);  // a new name in the seam wants a row in `calls`
            for (const int error : *errors) {
                CAPTURE(error);
                // How often something is polled or looked at is up to the clock: past a dozen, all are alike.
                for (int nth = 1; nth <= 12; ++nth) {
                    CAPTURE(nth);
                    Fault fault;
                    fault.call = name.c_str();
                    fault.nth = nth;
                    fault.error = error;
                    fault.no_pidfd = no_pidfd;
                    ++attempts;
                    if (!attempt(scenario, fault)) break;
                }
            }
        }
    }
    MESSAGE(attempts, " attempts");
    return all_seen;
}

void check_seen(std::map<std::string, int> seen, std::initializer_list<const char*> names) {
    for (const char* const name : names) {
        CAPTURE(std::string(name));
        CHECK(seen[name] > 0);
    }
}

}  // namespace

TEST_CASE("every system call may fail once, at every place: the result is right or a true error, and nothing stays") {
    check_seen(try_all({}, false), {"open", "close", "read", "write", "pipe", "fcntl", "memfd_create", "poll", "stat",
                                    "access", "posix_spawn", "waitid", "reap", "open_exit"});
}

TEST_CASE("and so they may where there is no pidfd") {
    check_seen(try_all({"poll", "waitid", "reap", "reap_member", "kill", "getpgid", "read"}, true),
               {"poll", "waitid", "reap", "kill"});
}

TEST_CASE("a leader is reaped right after its group was killed, never before: its zombie pins the group's number") {
    for (const Scenario& scenario : scenarios) {
        if (scenario.fails) continue;
        INFO(std::string(scenario.name));
        std::vector<std::string> order;
        Fault recorder;
        recorder.order = &order;
        {
            const Census census;
            const Armed armed(recorder);
            CHECK(scenario.run(census).wrong == "");
        }
        std::string before;
        int reaped = 0;
        for (const std::string& call : order) {
            if (call == "reap") {
                ++reaped;
                CHECK((before == "kill" || before == "signal_through"));
            }
            before = call;
        }
        CHECK(reaped == 1);
    }
}

// Every system call of the back end fails once, at each place where a scenario makes it. What comes out is then either
// right, or a true error; never a crash, a hang, or something left behind.
#include "fault.hpp"

#include <doctest/doctest.h>

#include <sys/mman.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

using namespace faults;
using leash::detail::os::has_direct_start;

int leash_fault(const char* call) noexcept {
    Fault* const fault = fault_of_this_thread;
    if (fault == nullptr) return 0;
    const bool by_pidfd = std::strcmp(call, "open_exit") == 0 || std::strcmp(call, "clone_pidfd") == 0 ||
                          std::strcmp(call, "signal_through") == 0;
    if (fault->no_pidfd && by_pidfd) return ENOSYS;
    if (fault->seen != nullptr) {
        fault_of_this_thread = nullptr;  // counting must not count itself
        ++(*fault->seen)[call];
        fault_of_this_thread = fault;
        return 0;
    }
    if (fault->told) {
        fault->told(call);
        return 0;
    }
    if (fault->order != nullptr) {
        fault->order->push_back(call);
        return 0;
    }
    if (fault->call == nullptr || std::strcmp(call, fault->call) != 0 || --fault->nth != 0) return 0;
    fault->fired = true;
    if (fault->before) fault->before();
    return fault->error;
}

namespace {

Outcome simple_run(const Census& census) {
    Outcome outcome;
    auto result = leash::try_run(dash("exit 3"), marked(census));
    if (!result) return outcome.error = result.error(), outcome;
    expect(outcome, result->status.code() == 3, "status");
    expect(outcome, !result->timed_out && !result->cancelled && result->held.empty(), "flags");
    outcome.survivors = !result->survivors.empty();
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
    outcome.survivors = !result->survivors.empty();
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
    expect(outcome, !result->timed_out && result->held.empty(), "flags");
    outcome.survivors = !result->survivors.empty();
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
    outcome.survivors = !job->survivors().empty();
    if (outcome.survivors) return outcome;
    expect(outcome, job->timed_out(), "timed_out");
    expect(outcome, captured.held.empty(), "held");
    expect(outcome, captured.status && captured.status->signaled(), "status");
    expect(outcome, captured.out == "ready\n" || captured.out.empty(), "output");
    return outcome;
}

Outcome stragglers(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.out = leash::piped;
    options.drain = 10ms;
    auto result = leash::try_run(dash("sleep 30 & sleep 30 & exit 3"), std::move(options));
    if (!result) return outcome.error = result.error(), outcome;
    expect(outcome, result->status.code() == 3, "status");
    // One that was killed may take longer than this drain to let go of the stream. Mostly it is seen to be dying; where the
    // processes could not be looked at, it is taken for one that is out of reach.
    outcome.survivors = !result->survivors.empty();
    outcome.held = !outcome.survivors && !result->held.empty();
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
            outcome.survivors = !job->survivors().empty();
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
    outcome.survivors = !job->survivors().empty();
    if (outcome.survivors) return outcome;
    expect(outcome, leader > 1 && job->cancelled() && !captured.timed_out, "flags");
    expect(outcome, captured.status && captured.status->signaled(), "status");
    return outcome;
}

Outcome waits_and_looks(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.in = leash::piped;
    options.out = leash::piped;
    options.drain = 10ms;
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
        outcome.survivors = !job->survivors().empty();
        return outcome;
    }
    std::string rest;
    for (const std::string_view one : job->out().lines(20s)) rest += one;
    expect(outcome, rest == "got it", "rest");
    expect(outcome, job->wait().code() == 5, "status");
    expect(outcome, job->poll() == leash::ExitStatus::from_code(5), "poll");
    outcome.survivors = !job->survivors().empty();
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
    outcome.survivors = !job->survivors().empty();
    if (outcome.survivors) return outcome;
    expect(outcome, ready, "ready");
    expect(outcome, status.signaled(), "status");
    return outcome;
}

Outcome in_the_hosts_group(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.group = leash::Group::inherited;
    options.timeout = 60ms;
    auto result = leash::try_run({helper(), "ignore-term"}, std::move(options));
    if (!result) return outcome.error = result.error(), outcome;
    outcome.survivors = !result->survivors.empty();
    if (result->survivors.empty()) expect(outcome, result->status.signaled() && result->timed_out, "status");
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
    outcome.survivors = !job->survivors().empty();
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
    outcome.survivors = !result->survivors.empty();
    return outcome;
}

Outcome guarded(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.die_with_parent = true;
    auto result = leash::try_run(dash("exit 3"), options);
    if (!result) return outcome.error = result.error(), outcome;
    expect(outcome, result->status.code() == 3, "status");
    outcome.survivors = !result->survivors.empty();
    return outcome;
}

Outcome bounded(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.umask = 077;
    options.nice = 1;
    options.limits.open_files = 100;
    options.limits.cpu_time = 60s;
    auto result = leash::try_run(dash("exit 3"), std::move(options));
    if (!result) return outcome.error = result.error(), outcome;
    expect(outcome, result->status.code() == 3, "status");
    outcome.survivors = !result->survivors.empty();
    return outcome;
}

Outcome transcript(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.out = leash::piped;
    options.err = leash::piped;
    options.all = true;
    auto result = leash::try_run(dash("echo out; echo err >&2; exit 3"), std::move(options));
    if (!result) return outcome.error = result.error(), outcome;
    expect(outcome, result->status.code() == 3, "status");
    expect(outcome, result->out == "out\n" && result->err == "err\n", "each");
    std::string all = result->all;
    std::sort(all.begin(), all.end());
    expect(outcome, all == "\n\neorrtu" && result->all_dropped == 0, "all of it");
    outcome.survivors = !result->survivors.empty();
    return outcome;
}

Outcome served(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.jobserver = leash::Jobserver::serve(3);
    options.out = leash::piped;
    const leash::Jobserver kept = options.jobserver;
    auto result = leash::try_run(dash("test -p /dev/fd/3 && test -p /dev/fd/4 && echo $MAKEFLAGS"), std::move(options));
    if (!result) return outcome.error = result.error(), outcome;
    expect(outcome, result->ok() && result->out == "-j3 --jobserver-fds=3,4 --jobserver-auth=3,4\n", "has it");
    outcome.survivors = !result->survivors.empty();
    return outcome;
}

Outcome handed_down(const Census& census) {
    Outcome outcome;
    const FromMake make;
    leash::Options options = marked(census);
    options.jobserver = leash::Jobserver::inherited();
    options.out = leash::piped;
    const bool is_there = static_cast<bool>(options.jobserver);
    auto result = leash::try_run(dash("echo $MAKEFLAGS"), std::move(options));
    expect(outcome, make.tokens() == 3, "tokens");
    if (!result) return outcome.error = result.error(), outcome;
    expect(outcome, result->ok() && (!is_there || result->out.find("-j4 --jobserver-fds=") == 0), "has it");
    const Fault& fault = *fault_of_this_thread;  // what could not be looked at is taken for none
    expect(outcome, is_there || (fault.fired && !is_harmless(fault)), "a jobserver");
    outcome.survivors = !result->survivors.empty();
    return outcome;
}

#if defined(__linux__)
Outcome nobodys_child(const Census& census) {
    Outcome outcome;
    const TemporaryDirectory directory;
    leash::Options options;
    options.env = census.env();
    options.cwd = directory.path();
    options.out = leash::file(directory / "out");
    const auto pid = leash::try_spawn_detached(dash("echo here"), std::move(options));
    if (!pid) outcome.error = pid.error();
    // The mark of one that has just been started cannot be read yet.
    if (pid) expect(outcome, eventually([&] { return read_file(directory / "out") == "here\n"; }), "it runs");
    else expect(outcome, read_file(directory / "out").empty(), "it did not run");
    expect(outcome, eventually([&] { return census.alive().empty(); }), "it ends");
    return outcome;
}

/// exec() in a host of its own, which tells by memory that both have what it cannot tell any more.
Outcome replaced(const Census& census) {
    struct Shared {
        bool fired;
        int step, code;
        char subject[200], wrong[200];
        std::size_t count;
        char calls[1000][32];
    };
    Outcome outcome;
    Fault& fault = *fault_of_this_thread;
    void* const memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return outcome.wrong = "no memory", outcome;
    Shared& shared = *new (memory) Shared{};
    leash::Options options;
    options.env = census.env();
    options.cwd = "/";
    options.umask = 022;
    options.out = leash::null;
    const pid_t host = ::fork();
    if (host == 0) {
        if (fault.seen != nullptr) {
            fault.seen = nullptr;
            fault.told = [&](const char* call) { std::snprintf(shared.calls[shared.count++ % 1000], 32, "%s", call); };
        }
        fault.before = [&] { shared.fired = true; };
        const std::set<int> before = open_descriptors();
        const leash::Error error = leash::exec(dash("exit 3"), options);
        const Spared spared;
        shared.step = static_cast<int>(error.step);
        shared.code = error.code.value();
        std::snprintf(shared.subject, sizeof shared.subject, "%s", error.subject.c_str());
        if (open_descriptors() != before) std::snprintf(shared.wrong, sizeof shared.wrong, "the host's descriptors");
        if (has_children()) std::snprintf(shared.wrong, sizeof shared.wrong, "the host's children");
        ::_exit(4);
    }
    int status = -1;
    ::waitpid(host, &status, 0);
    fault.fired = shared.fired;
    for (std::size_t i = 0; fault.seen != nullptr && i < shared.count; ++i) ++(*fault.seen)[shared.calls[i]];
    outcome.wrong = shared.wrong;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 4) {
        outcome.error =
            leash::Error{{shared.code, std::system_category()}, static_cast<leash::Step>(shared.step), shared.subject};
    } else {
        expect(outcome, WIFEXITED(status) && WEXITSTATUS(status) == 3, "status");
    }
    ::munmap(memory, sizeof(Shared));
    return outcome;
}

/// One orphan among the host's children, and one child that is a job.
Outcome adopted(const Census& census) {
    Outcome outcome;
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    {
        std::optional<leash::Popen> job;
        {
            const Spared spared;
            job.emplace(dash("exit 3"), marked(census));
            const pid_t parent = ::fork();
            if (parent == 0) ::_exit(::fork() == 0 ? 7 : 0);
            ::waitpid(parent, nullptr, 0);
            const auto is_over = [&](pid_t pid) { return state_of(pid) == 'Z'; };
            expect(outcome, eventually([&] { return is_over(job->pid()); }), "the job ends");
        }
        std::size_t count = 0;
        expect(outcome, eventually([&] {
                   const auto reaped = leash::reap_orphans();
                   if (reaped) {
                       count += *reaped;
                   } else {
                       outcome.error = reaped.error();
                       expect(outcome, outcome.error->code != std::errc::function_not_supported, "not as documented");
                   }
                   return count > 0;
               }),
               "the orphan is reaped, once nothing fails any more");
        expect(outcome, count == 1, "and nobody else");
        const Spared spared;
        expect(outcome, job->wait().code() == 3, "the job's status");
    }
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
    return outcome;
}
#endif

#if defined(__linux__)
Outcome left_the_group(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.out = leash::piped;
    auto job = leash::Popen::try_spawn(child({"apart", "session", "2", "all"}), std::move(options));
    if (!job) return outcome.error = job.error(), outcome;
    expect(outcome, job->out().read_until("ready\n", 20s).complete, "ready");
    job->kill();
    expect(outcome, job->wait().signaled(), "status");
    outcome.survivors = !job->survivors().empty();
    return outcome;
}

Outcome escaped(const Census& census, leash::Reach reach) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.reach = reach;
    options.in = leash::piped;
    options.out = leash::piped;
    options.drain = 50ms;
    auto job = leash::Popen::try_spawn(dash("setsid dash -c 'echo ready; exec sleep 30 >/dev/null' & read x; exit 3"),
                                       options);
    if (!job) return outcome.error = job.error(), outcome;
    const bool ready = job->out().read_until("ready\n", 20s).complete;
    job->in().close();  // which the leader waits for
    expect(outcome, job->wait().code() == 3, "status");
    expect(outcome, ready, "ready");
    outcome.survivors = !job->survivors().empty();
    return outcome;
}
#endif

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
    {"a timeout in the host's group", in_the_hosts_group},
    {"the destructor of a running job", destroyed, std::nullopt, true},
    {"a sink", sink},
    {"a script with a missing interpreter", missing_interpreter, leash::Step::interpreter},
    {"a missing cwd", missing_cwd, leash::Step::cwd},
    {"a program by a relative path", relative_program},
    {"a job with a guardian", guarded},
    {"with a umask, a nice value and limits", bounded},
};
constexpr int half = 10;  // up to here they make all calls that the first of the tests asks for
const Scenario with_extras[] = {{"the transcript", transcript},
                                {"a jobserver that is served", served},
                                {"a jobserver that is inherited", handed_down}};
#if defined(__linux__)
Outcome escaped_from_tree(const Census& census) { return escaped(census, leash::Reach::tree); }
Outcome escaped_in_cgroup(const Census& census) { return escaped(census, leash::Reach::cgroup); }

const Scenario alone[] = {{"a program that is nobody's child", nobodys_child, std::nullopt, false, true},
                          {"exec()", replaced, std::nullopt, false, true},
                          {"orphans", adopted}};
const Scenario with_cgroup[] = {{"a daemon, and Reach::cgroup", escaped_in_cgroup}};
const Scenario with_pidfds[] = {{"SIGKILL, where some have left the group", left_the_group},
                                {"a daemon, and Reach::tree", escaped_from_tree}};
#endif

std::vector<Scenario> first_scenarios() { return {std::begin(scenarios), std::begin(scenarios) + half}; }
std::vector<Scenario> other_scenarios() { return {std::begin(scenarios) + half, std::end(scenarios)}; }

}  // namespace

TEST_CASE("every system call may fail once, at every place: the result is right or a true error, and nothing stays") {
    const Tried tried = try_all(first_scenarios(), {}, false);
    MESSAGE(tried.attempts, " attempts");
    CHECK(tried.wrong == "");
    CHECK(unseen(tried, {"open", "close", "read", "write", "pipe", "fcntl", "memfd_create", "poll", "stat", "access",
                         start_call, "waitid", "reap", has_direct_start ? "clone_pidfd" : "open_exit",
                         has_direct_start ? "clone" : "signals_by_flags"}) == "");
}

// A case of its own, so that the two run side by side.
TEST_CASE("so it may in the other half of what jobs do") {
    const Tried tried = try_all(other_scenarios(), {}, false);
    MESSAGE(tried.attempts, " attempts");
    CHECK(tried.wrong == "");
#if defined(__linux__)
    CHECK(try_all(with_pidfds, {}, false).wrong == "");
    leash::Options options;
    options.reach = leash::Reach::cgroup;
    if (leash::try_run({"true"}, options)) CHECK(try_all(with_cgroup, {}, false).wrong == "");
#endif
}

TEST_CASE("so it may with a transcript or a jobserver, without a handle, and where orphans are reaped") {
    const Tried tried = try_all(with_extras, {"open", "read", "write", "pipe", "fcntl", "fstat", start_call}, false);
    MESSAGE(tried.attempts, " attempts");
    CHECK(tried.wrong == "");
    CHECK(unseen(tried, {"open", "read", "write", "pipe", "fcntl", "fstat"}) == "");
#if defined(__linux__)
    if (!has_direct_start) return;
    const Tried apart = try_all(alone, {}, false);
    MESSAGE(apart.attempts, " attempts");
    CHECK(apart.wrong == "");
    CHECK(unseen(apart, {"open", "close_range", "clone", "child_action", "exec", "readlink", "open_exit", "reap"}) ==
          "");
#endif
}

TEST_CASE("a plain run makes no more system calls than it needs") {
    if (support::closes_by_list) return;  // as many as the host has descriptors
    std::map<std::string, int> seen;
    Fault recorder;
    recorder.seen = &seen;
    const std::string program = "/bin/true";  // with a slash: the search costs as many as PATH has directories
    {
        const Armed armed(recorder);
        CHECK(leash::run({program}).ok());
    }
    CHECK(seen["waitid"] <= 2);  // has it ended already, and else until it has
    // What a child is to fail with, and whether a pidfd is wanted, are only questions to the test.
    for (const char* const one :
         {"child_table", "child_part", "child_group", "child_action", "exec", "clone_pidfd", "poll", "waitid"})
        seen.erase(one);
    int total = 0;
    std::string which;
    for (const auto& [name, count] : seen) {
        total += count;
        which += name + " " + std::to_string(count) + ", ";
    }
    INFO(which);
    CHECK(seen["signal_through"] <= 2);            // is the group there, before the leader is reaped and after it
    CHECK(total <= (has_direct_start ? 11 : 17));  // posix_spawn's list has to be made
}

TEST_CASE("and so they may where there is no pidfd") {
    const Tried tried = try_all(scenarios, {"poll", "waitid", "reap", "reap_member", "kill", "getpgid", "read"}, true);
    MESSAGE(tried.attempts, " attempts");
    CHECK(tried.wrong == "");
    CHECK(unseen(tried, {"poll", "waitid", "reap", "kill"}) == "");
}

TEST_CASE("once a leader has been reaped its number is used for no signal any more: its zombie pins it") {
    for (const Scenario& scenario : scenarios) {
        if (scenario.fails || scenario.run == in_the_hosts_group) continue;  // no job, or no group
        for (const bool no_pidfd : {false, true}) {
            INFO(std::string(scenario.name));
            CAPTURE(no_pidfd);
            std::vector<std::string> order;
            Fault recorder;
            recorder.order = &order;
            recorder.no_pidfd = no_pidfd;
            {
                const Census census;
                const Armed armed(recorder);
                CHECK(scenario.run(census).wrong == "");
            }
            const auto reaped = std::find(order.begin(), order.end(), "reap");
            CHECK(reaped != order.end());
            CHECK(std::find(reaped, order.end(), "kill") == order.end());
        }
    }
}

TEST_CASE("each stage that posix_spawn starts is put into the group by the host too, before the next one starts") {
    // Where vfork is a fork, as under qemu-user, the child may not have done so yet.
    for (const leash::Group group : {leash::Group::own, leash::Group::inherited}) {
        const Census census;
        leash::Options options = marked(census);
        options.group = group;
        std::vector<std::string> order, starts;
        Fault recorder;
        recorder.order = &order;
        {
            const Armed armed(recorder);
            CHECK(leash::run(dash("true") | dash("true") | dash("true"), options).ok());
        }
        for (const std::string& call : order) {
            if (call == start_call || call == "setpgid") starts.push_back(call);
        }
        const std::vector<std::string> both{"posix_spawn", "setpgid",     "posix_spawn",
                                            "setpgid",     "posix_spawn", "setpgid"};
        const std::vector<std::string> none(3, start_call);
        CHECK((starts == (group == leash::Group::own && !has_direct_start ? both : none)));
    }
}

TEST_CASE("a child says itself which of its steps has failed, and nothing of it stays") {
    if (!has_direct_start) return;
    struct Case {
        const char* call;
        int nth, error;
        leash::Step step;
        const char* subject;
    };
    const Case cases[] = {{"child_group", 1, EACCES, leash::Step::spawn, "/bin/dash"},
                          {"child_action", 1, EIO, leash::Step::redirect, "in: /dev/null"},
                          {"exec", 1, ENOMEM, leash::Step::spawn, "/bin/dash"},
                          {"exec", 1, E2BIG, leash::Step::spawn, "/bin/dash"},
                          {"exec", 1, EACCES, leash::Step::program, "/bin/dash"}};
    for (const Case& one : cases) {
        CAPTURE(std::string(one.call));
        const NothingLeft before;
        const Census census;
        leash::Options options = marked(census);
        options.cwd = "/";
        Fault fault;
        fault.call = one.call;
        fault.nth = one.nth;
        fault.error = one.error;
        const Armed armed(fault);
        const auto started = leash::Popen::try_spawn(dash("exit 0"), options);
        REQUIRE(!started);
        CHECK(started.error().step == one.step);
        CHECK(started.error().code.value() == one.error);
        CHECK(started.error().subject == one.subject);
        CHECK(census.is_empty());
        CHECK(before.holds());
    }
}

TEST_CASE("a child that had to copy the whole table of descriptors has none of them") {
    if (!has_direct_start) return;
    const Census census;
    const int high = ::fcntl(0, F_DUPFD, 900), low = ::fcntl(0, F_DUPFD, 3);  // not close-on-exec
    REQUIRE(high >= 900);
    for (const bool passes : {false, true}) {
        leash::Options options = marked(census);
        options.out = leash::piped;
        if (passes) options.pass_fds = {{high, 7}};
        Fault fault;
        fault.call = "child_part";
        fault.nth = 1;
        fault.error = ENOSYS;
        const Armed armed(fault);
        const std::string out = leash::run({helper(), "fds"}, options).out;
        INFO(out);
        CHECK(std::count(out.begin(), out.end(), '\n') == (passes ? 4 : 3));
        CHECK(fault.fired);
    }
    ::close(high);
    ::close(low);
}

TEST_CASE("a stage that cannot join the group is told as that, also in the foreground") {
    for (const leash::Group group : {leash::Group::own, leash::Group::foreground, leash::Group::inherited}) {
        CAPTURE(group.is_new());
        const Census census;
        leash::Options options = marked(census);
        options.in = leash::null;
        options.group = group;
        Fault fault;
        fault.call = has_direct_start ? "child_group" : "posix_spawn";
        fault.nth = 2;
        fault.error = EPERM;
        const Armed armed(fault);
        const auto started = leash::Popen::try_spawn(dash("sleep 30") | dash("true"), options);
        REQUIRE(!started);
        CHECK(started.error().stage == 1);
        CHECK(started.error().code == std::errc::operation_not_permitted);
        const std::string hint(started.error().hint);
        CHECK((hint.find("the job's process group no longer exists") == 0) == (group != leash::Group::inherited));
    }
}

TEST_CASE("a process limit that is reached is told as EAGAIN, also by a libc that says EPERM") {
    for (const int truth : {EAGAIN, ENOMEM, 0}) {
        if (has_direct_start && truth == 0) continue;
        CAPTURE(truth);
        const Census census;
        Fault fault;
        fault.call = has_direct_start ? "clone" : "posix_spawn";
        fault.nth = 1;
        fault.error = has_direct_start ? truth : EPERM;
        fault.before = [&] { errno = truth; };
        const Armed armed(fault);
        const auto started = leash::Popen::try_spawn(dash("true"), marked(census));
        REQUIRE(!started);
        CHECK(started.error().code.value() == (truth != 0 ? truth : EPERM));
        if (truth != 0) CHECK(started.error().step == leash::Step::spawn);
    }
}

TEST_CASE("run_all() starts what met the limit of processes when another job has ended") {
    const Census census;
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    std::vector<leash::Task> jobs;
    for (int i = 0; i < 4; ++i) jobs.push_back({dash("exit 0"), marked(census)});
    jobs[0].command = dash("read x <&5; exit 0");  // runs until the third meets the limit
    jobs[0].options.pass_fds = {{ends[0], 5}};
    leash::RunAllOptions how;
    how.max_running = 4;
    Fault fault;
    fault.call = has_direct_start ? "clone" : "posix_spawn";
    fault.nth = 3;
    fault.error = has_direct_start ? EAGAIN : EPERM;
    fault.before = [&] {
        ::close(ends[1]);
        errno = EAGAIN;
    };
    const Armed armed(fault);
    for (const auto& result : leash::run_all(std::move(jobs), how)) CHECK((result && result->ok()));
    CHECK(fault.fired);
    ::close(ends[0]);
}

TEST_CASE("a close that was interrupted is not repeated: the number may be somebody else's by then") {
    for (const int error : {EINTR, EIO}) {
        const Census census;
        leash::Options options = marked(census);
        options.out = leash::piped;
        leash::Popen p(dash("exit 3"), options);
        Fault fault;
        fault.call = "close";
        fault.nth = 1;
        fault.error = error;
        {
            const Armed armed(fault);
            p.out().close();
        }
        CHECK(fault.fired);
        CHECK(fault.nth == 0);  // it counts on with every further one
        CHECK(p.wait().code() == 3);
    }
}

TEST_CASE("a status that somebody takes between the look and the reaping is told all the same") {
    for (const bool no_pidfd : {false, true}) {
        const Census census;
        Fault fault;
        fault.call = "reap";
        fault.nth = 1;
        fault.error = ECHILD;
        fault.no_pidfd = no_pidfd;
        leash::ExitStatus status;
        {
            const Armed armed(fault);
            leash::Popen p(dash("exit 3"), marked(census));
            fault.before = [&] { CHECK(::waitpid(p.pid(), nullptr, 0) == p.pid()); };
            status = p.wait();
            CHECK(p.wait() == status);
        }
        CHECK(fault.fired);
        CHECK(status.code() == 3);
    }
}

TEST_CASE(
    "a status that the kernel cannot tell is unknown; one that it does not tell yet is waited for, but not for ever") {
    enum { cannot, not_yet, never };
    for (const int kind : {cannot, not_yet, never}) {
        CAPTURE(kind);
        const Census census;
        leash::Options options = marked(census);
        options.in = leash::piped;
        leash::Popen p(dash("read x; exit 3"), options);  // nobody has looked at its end
        p.in().close();
        REQUIRE(::waitpid(p.pid(), nullptr, 0) == p.pid());
        Fault fault;
        fault.call = "ask_exit";
        fault.nth = 1;
        fault.error = kind == cannot ? ENOTTY : -1;
        if (kind != not_yet) fault.before = [&] { fault.nth = 1; };
        {
            const Armed armed(fault);
            const Stopwatch watch;
            if (kind == not_yet) CHECK(is_told(p.wait(), leash::ExitStatus::from_code(3)));
            else CHECK(p.wait().unknown());
            CHECK(watch.elapsed() < 20s);
        }
        CHECK(fault.fired);
        if (kind != not_yet) CHECK(p.wait().unknown());
    }
}

TEST_CASE(
    "without a pidfd a group is left alone once somebody else has reaped its leader: the number may be a stranger's") {
    const Census census;
    leash::Options options = marked(census);
    options.drain = 10ms;
    Fault fault;
    fault.no_pidfd = true;
    {
        const Armed armed(fault);
        leash::Popen p(dash("sleep 300 & exit 0"), options);
        REQUIRE(::waitpid(p.pid(), nullptr, 0) == p.pid());  // the thief
        CHECK(p.kill().error().code == std::errc::no_such_process);
        CHECK(p.wait().unknown());
        CHECK(p.terminate().error().code == std::errc::no_such_process);
    }
    CHECK(census.reaches(1));  // it has the number, as a stranger could
}

TEST_CASE("a leader that leaves its group at the very moment of a signal gets it all the same") {
    const Census census;
    leash::Options options = marked(census);
    options.in = leash::piped;
    options.out = leash::piped;
    leash::Popen p({helper(), "change-group", "told"}, options);
    REQUIRE(p.out().read_until("waits\n", 20s).complete);
    const int tell = p.in().handle();
    Fault fault;
    fault.call = "signal_through";  // to the group, which it was seen in
    fault.nth = 1;
    fault.before = [&] {
        CHECK(::write(tell, "\n", 1) == 1);
        CHECK(eventually([&] { return ::getpgid(p.pid()) != p.pid(); }));
    };
    {
        const Armed armed(fault);
        CHECK(p.kill());
    }
    if (!fault.fired) MESSAGE("no signal through a pidfd here: nothing tried");
    CHECK(p.wait_for(20s) == leash::ExitStatus::from_signal(SIGKILL));
}

TEST_CASE("who does not come to stop before it is killed takes along whom it starts until then") {
    const Census census;
    leash::Options options = marked(census);
    options.out = leash::piped;
    leash::Popen p(
        dash("setsid sh -c 'trap \"sleep 30 &\" USR1; sleep 30 & echo $$; while :; do wait; done' & wait; wait"),
        options);
    const leash::Read first = p.out().read_until("\n", 20s);
    if (!first.complete) {
        MESSAGE("skipped: there is no setsid here");
        return;
    }
    const pid_t starter = static_cast<pid_t>(std::atoi(first.data.c_str()));
    REQUIRE(starter > 1);
    REQUIRE(census.reaches(3));
    // As one that gets no processor in the middle of fork(2): no SIGSTOP to it lasts, and it starts one more after the last
    // look, when that has been waited for as long as it is.
    bool has_started = false;
    const Stopwatch watch;
    Fault fault;
    fault.told = [&](const char* call) {
        if (std::strcmp(call, "signal_through") != 0) return;
        ::kill(starter, SIGCONT);
        if (has_started || watch.elapsed() < 200ms) return;
        has_started = true;
        const std::size_t before = census.alive().size();
        ::kill(starter, SIGUSR1);
        CHECK(eventually([&] { return census.alive().size() > before; }));
    };
    {
        const Armed armed(fault);
        CHECK(p.kill());
    }
    if (!has_started) MESSAGE("no signal through a pidfd here: nothing tried");
    CHECK(eventually([&] { return !is_alive(starter); }));  // from now on nobody leads to what it has started
    CHECK(p.wait().signal() == SIGKILL);
    CHECK(census.is_empty());
}

TEST_CASE("a loop that has no handle to wait for is told by time_left() when to look, before the end and after it") {
    const Census census;
    Fault none;
    none.no_pidfd = true;
    const Armed armed(none);
    leash::Options options = marked(census);
    options.in = leash::piped;
    options.drain = 300ms;
    leash::Popen job(dash("read x; sleep 30 & exit 5"), options);
    int rounds = 0;
    while (!job.poll() && rounds < 2000) {
        CHECK(job.exit_handle() == -1);
        const auto left = job.time_left();
        REQUIRE(!left.is_none());
        REQUIRE(left.length() <= 300ms);
        ::poll(nullptr, 0, static_cast<int>(std::chrono::milliseconds(left.length()).count()) + 1);
        if (++rounds == 3) job.in().close();
    }
    CHECK(rounds > 3);
    CHECK(job.time_left().length() == 0ns);  // a call in between may have found the end
    CHECK(job.wait().code() == 5);
    CHECK(census.is_empty());
}

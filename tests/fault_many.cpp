// tests/fault_many.cpp - Supervisor and run_all() where system calls fail, where there is no pidfd, and where jobs are
// very many.
#include "fault.hpp"

#include <doctest/doctest.h>

#include <sys/prctl.h>
#include <sys/resource.h>

using namespace faults;
using Event = leash::Supervisor::Event;
using Id = leash::Supervisor::Id;

namespace {

// ---- the scenarios

/// Starts a job and adds it. One that cannot be added is as it was: it is seen through without the Supervisor.
std::optional<Id> start(leash::Supervisor& jobs, Outcome& outcome, const leash::Command& command,
                        leash::Options options) {
    auto job = leash::Popen::try_spawn(command, std::move(options));
    if (!job) {
        outcome.error = job.error();
        return std::nullopt;
    }
    const auto id = jobs.add(*std::move(job));
    if (id) return *id;
    outcome.error = id.error();
    const leash::Captured captured = job->communicate({}, 20s);
    expect(outcome, captured.status.has_value(), "one that could not be added is as it was");
    outcome.survivors |= !job->survivors().empty();
    return std::nullopt;
}

/// Three jobs that end by themselves, with every kind of handle.
Outcome added_and_told(const Census& census) {
    Outcome outcome;
    leash::Supervisor jobs;
    leash::Options options = marked(census);
    options.out = leash::piped;
    options.err = leash::piped;
    options.cancel = leash::Cancel();
    options.timeout = 60s;
    std::vector<Id> ids;
    for (int i = 0; i < 3; ++i) {
        if (const auto id = start(jobs, outcome, dash("echo out; echo err >&2; exit 3"), options)) ids.push_back(*id);
    }
    std::map<Id, int> ends;
    for (std::size_t left = ids.size(); left > 0;) {
        const auto event = jobs.next(20s);
        if (!event) break;
        if (event->kind != Event::ended) continue;
        --left;
        ++ends[event->id];
    }
    expect(outcome, !jobs.next(), "all is told");
    for (const Id id : ids) {
        expect(outcome, ends[id] == 1, "each ends once");
        leash::Popen job = jobs.remove(id);
        const leash::Captured captured = job.communicate({}, 20s);
        expect(outcome, captured.out == "out\n" && captured.err == "err\n", "output");
        expect(outcome, captured.status && captured.status->code() == 3, "status");
        expect(outcome, !captured.timed_out && job.ended_by() == leash::EndedBy::itself && captured.held.empty(),
               "flags");
        outcome.survivors |= !job.survivors().empty();
    }
    return outcome;
}

/// The same, where nothing fails but in add().
Outcome only_added(const Census& census) {
    Outcome outcome;
    leash::Supervisor jobs;
    leash::Options options = marked(census);
    options.out = leash::piped;
    options.err = leash::piped;
    options.cancel = leash::Cancel();
    std::size_t left = 0;
    for (int i = 0; i < 2; ++i) {
        auto job = [&] {
            const Spared spared;
            return leash::Popen::try_spawn(dash("echo out; exit 3"), options);
        }();
        if (!job) return outcome.error = job.error(), outcome;
        const pid_t pid = job->pid();
        const auto id = jobs.add(*std::move(job));
        const Spared spared;
        if (id) {
            ++left;
            expect(outcome, jobs.job(*id).pid() == pid, "the job is in it");
            continue;
        }
        outcome.error = id.error();
        expect(outcome, job->pid() == pid && jobs.size() == left, "one that could not be added is as it was");
        const auto again = jobs.add(*std::move(job));
        expect(outcome, again.has_value(), "and can be added when there is room");
        ++left;
    }
    const Spared spared;
    while (left > 0) {
        const auto event = jobs.next(20s);
        if (!event) break;
        if (event->kind != Event::ended) continue;
        --left;
        leash::Popen job = jobs.remove(event->id);
        const leash::Captured captured = job.communicate({}, 20s);
        expect(outcome, captured.out == "out\n" && captured.status && captured.status->code() == 3, "result");
    }
    expect(outcome, left == 0 && jobs.empty(), "all have ended");
    return outcome;
}

/// Jobs that must be ended: by their deadlines, by a token, by cancel(), by the end of the set.
Outcome ended_by_force(const Census& census) {
    Outcome outcome;
    leash::Supervisor jobs;
    leash::Options options = marked(census);
    options.out = leash::piped;
    const auto stubborn = dash("trap '' TERM; sleep 30 & echo ready; sleep 30; true");
    leash::Options timed = options, tokened = options;
    timed.timeout = 50ms;
    tokened.cancel = leash::Cancel();
    const auto first = start(jobs, outcome, stubborn, timed);
    if (outcome.error) return outcome;
    const auto second = start(jobs, outcome, stubborn, tokened);
    if (outcome.error) return outcome;
    tokened.cancel->fire();
    for (std::size_t left = 2; left > 0;) {
        const auto event = jobs.next(20s);
        if (!event) break;
        if (event->kind == Event::ended) --left;
    }
    for (const Id id : {*first, *second}) {
        leash::Popen job = jobs.remove(id);
        const leash::Captured captured = job.communicate({}, 20s);
        outcome.survivors |= !job.survivors().empty();
        if (!job.survivors().empty()) continue;
        expect(outcome, captured.status && captured.status->signaled(), "status");
        expect(outcome, id == *first ? job.timed_out() : job.cancelled(), "flags");
    }
    if (outcome.survivors) return outcome;
    if (const auto third = start(jobs, outcome, stubborn, options)) {
        jobs.cancel();
        const auto event = jobs.next(20s);
        expect(outcome, event && event->id == *third, "told");
    }
    return outcome;
}

/// A descriptor of ours, a timer and a token beside jobs of which one has its input from a function, the other from the
/// queue of its pipe.
Outcome watched_and_fed(const Census& census) {
    Outcome outcome;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return outcome.wrong = "no pipe", outcome;
    const leash::detail::os::Fd read(ends[0]), write(ends[1]);
    leash::Supervisor jobs;
    leash::Options options = marked(census);
    const auto watch = jobs.watch(read.get(), 7);
    if (!watch) return outcome.error = watch.error(), outcome;
    const leash::Cancel token;
    if (const auto with = jobs.cancel_with(token); !with) return outcome.error = with.error(), outcome;
    const Id timer = jobs.after(1ms);
    constexpr std::size_t size = 100'000;  // more than a pipe holds
    int pieces = 4;
    options.out = leash::piped;
    options.in = leash::source([&] { return pieces-- > 0 ? std::string(size / 4, 'x') : std::string(); });
    const auto first = start(jobs, outcome, dash("exec wc -c"), options);
    if (!first) return outcome;
    options.in = leash::piped;
    auto job = leash::Popen::try_spawn(dash("exec wc -c"), options);
    if (!job) return outcome.error = job.error(), outcome;
    outcome.partial = !job->in().enqueue(std::string(size, 'y'));
    job->in().finish();
    const auto second = jobs.add(*std::move(job));
    if (!second) return outcome.error = second.error(), outcome;
    int readable = 0, timers = 0;
    while (!jobs.done() || readable == 0) {
        const auto event = jobs.next(20s);
        if (!event) break;
        if (event->kind == Event::timer) {
            ++timers;
            expect(outcome, event->id == timer && ::write(write.get(), "x", 1) == 1, "the timer's event");
        }
        if (event->kind == Event::readable) {
            char byte;
            ++readable;
            expect(outcome, event->id == *watch && event->tag == 7 && ::read(read.get(), &byte, 1) == 1, "the watch's");
        }
    }
    expect(outcome, timers == 1 && readable == 1, "each is told once");
    expect(outcome, jobs.forget(*watch) && !jobs.forget(timer), "forgotten");
    for (const Id id : {*first, *second}) {
        leash::Popen ended = jobs.remove(id);
        const leash::Captured captured = ended.communicate({}, 20s);
        outcome.survivors |= !ended.survivors().empty();
        expect(outcome, captured.status && captured.status->success(), "status");
        if (captured.unwritten > 0 || std::atoi(captured.out.c_str()) != int{size}) outcome.partial = true;
    }
    return outcome;
}

/// run_all() with the tokens of the `make` that runs the host.
Outcome run_with_tokens(const Census& census) {
    Outcome outcome;
    const FromMake make;
    leash::RunAllOptions how;
    how.jobserver = leash::Jobserver::inherited();
    how.max_running = 3;
    std::vector<leash::Task> jobs;
    for (int i = 0; i < 3; ++i) {
        jobs.push_back({dash("echo $MAKEFLAGS"), marked(census)});
        jobs.back().options.out = leash::piped;
    }
    const bool is_there = static_cast<bool>(how.jobserver);
    for (const auto& result : leash::run_all(std::move(jobs), std::move(how))) {
        if (!result) {
            outcome.error = result.error();
            continue;
        }
        expect(outcome, result->ok(), "ok");
        expect(outcome, !is_there || result->out.find("-j4 --jobserver") == 0, "has it");
        outcome.survivors |= !result->survivors.empty();
    }
    const Fault* const fault = fault_of_this_thread;
    const std::string failed = fault->call != nullptr && fault->fired ? fault->call : "";
    expect(outcome, is_there || failed == "fcntl" || failed == "fstat", "a jobserver");
    expect(outcome, make.tokens() == 3 || failed == "write", "tokens");
    return outcome;
}

#if defined(__linux__)
Outcome left_the_group(const Census& census) {
    Outcome outcome;
    leash::Options options = marked(census);
    options.out = leash::piped;
    auto job = leash::Popen::try_spawn(child({"apart", "session", "2", "children"}), std::move(options));
    if (!job) return outcome.error = job.error(), outcome;
    expect(outcome, job->out().read_until("ready\n", 20s).complete, "ready");
    leash::Supervisor jobs;
    const auto id = jobs.add(std::move(*job));
    if (!id) return outcome.error = id.error(), outcome;
    jobs.cancel();
    for (auto event = jobs.next(20s); event && event->kind != Event::ended;) event = jobs.next(20s);
    outcome.survivors = !jobs.job(*id).survivors().empty();
    return outcome;
}
#endif

/// What run_all() gave: each is right, or an error; and no command was started twice.
void judge(Outcome& outcome, const std::vector<leash::Expected<leash::Result>>& results, const std::string& started) {
    const auto lines = words(read_file(started));
    for (std::size_t i = 0; i < results.size(); ++i) {
        const auto starts = std::count(lines.begin(), lines.end(), std::to_string(i));
        if (!results[i]) {
            outcome.error = results[i].error();
            expect(outcome, starts <= 1, "started twice");
            continue;
        }
        outcome.survivors |= !results[i]->survivors.empty();
        expect(outcome, starts == 1, "started once");
        expect(outcome, results[i]->ok(), "ok");
        outcome.partial |= results[i]->unwritten > 0;
        if (results[i]->unwritten > 0) continue;
        expect(outcome, results[i]->out == "out " + std::to_string(i) + "\n", "output");
    }
}

Outcome run_together(const Census& census, std::size_t count, std::size_t at_most) {
    Outcome outcome;
    const TemporaryDirectory directory;
    std::vector<leash::Task> jobs;
    for (std::size_t i = 0; i < count; ++i) {
        leash::Options options = marked(census);
        options.out = leash::piped;
        options.in = leash::bytes("out");
        options.cancel = leash::Cancel();
        const std::string number = std::to_string(i);
        jobs.push_back(
            {dash("echo " + number + " >> '" + directory / "started" + "'; read x; echo $x " + number), options});
    }
    leash::RunAllOptions how;
    how.max_running = at_most;
    how.cancel = leash::Cancel();
    std::size_t ends = 0;
    how.on_end = [&](std::size_t, const leash::Expected<leash::Result>&) { ++ends; };
    const auto results = leash::run_all(std::move(jobs), std::move(how));
    expect(outcome, ends == count, "each end is told");
    judge(outcome, results, directory / "started");
    return outcome;
}
Outcome run_one_by_one(const Census& census) { return run_together(census, 2, 1); }
Outcome run_at_once(const Census& census) { return run_together(census, 3, 3); }

const Scenario scenarios[] = {
    {"added, told and removed", added_and_told},
    {"ended by force", ended_by_force, std::nullopt, true},
    {"run_all, one after the other", run_one_by_one},
    {"run_all, at once", run_at_once},
};
#if defined(__linux__)
const Scenario apart[] = {
    {"ended by force, where some have left the group", left_the_group, std::nullopt, false, false, false}};
#endif
const Scenario with_others[] = {{"a watch, a timer, a source and a queue", watched_and_fed},
                                {"run_all with a jobserver", run_with_tokens}};
const Scenario adding[] = {{"add() alone", only_added}};

/// All but epoll_control, of which only the adding can fail: the kernel has nothing to allocate in order to change or to
/// remove what is there.
const std::vector<std::string> of_interest = {
    "read",   "write", "pipe", "fcntl",   "memfd_create", "epoll_create",   "epoll_wait", start_call,
    "waitid", "reap",  "kill", "getpgid", "open_exit",    "signal_through", "poll"};

/// Counts the calls that it sees.
class Counted {
  public:
    Counted() { recorder_.seen = &seen_; }
    template <class Function>
    auto operator()(Function function) {
        const Armed armed(recorder_);
        return function();
    }
    int total() const {
        int sum = 0;
        for (const auto& one : seen_) sum += one.second;
        return sum;
    }

  private:
    std::map<std::string, int> seen_;
    Fault recorder_;
};

void raise_descriptor_limit() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 100'000);
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

TEST_CASE("a Supervisor and run_all() where a system call fails once, at every place") {
    const Tried tried = try_all(scenarios, of_interest, false);
    MESSAGE(tried.attempts, " attempts");
    CHECK(tried.wrong == "");
    CHECK(unseen(tried, {"read", "pipe", "epoll_create", "epoll_control", "epoll_wait", start_call, "waitid", "reap",
                         "open_exit"}) == "");
#if defined(__linux__)
    CHECK(try_all(apart, {}, false).wrong == "");
#endif
}

TEST_CASE("every system call may fail once beside a Supervisor's watches, and where tokens limit what runs") {
    const Tried tried =
        try_all(with_others, {"open", "read", "write", "fcntl", "fstat", "epoll_create", "epoll_control"}, false);
    MESSAGE(tried.attempts, " attempts");
    CHECK(tried.wrong == "");
    CHECK(unseen(tried, {"open", "read", "write", "fcntl", "fstat", "epoll_control"}) == "");
}

TEST_CASE("a job that cannot be added is as it was, and can be added later") {
    const Tried tried = try_all(adding, {}, false);
    CHECK(tried.wrong == "");
    CHECK(unseen(tried, {"epoll_create", "epoll_control", "pipe"}) == "");
}

TEST_CASE("a command that was started but cannot be watched is seen through all the same") {
    const Census census;
    const TemporaryDirectory directory;
    // The first one stays quiet until the second one has come.
    std::vector<leash::Task> jobs;
    leash::Options options = marked(census);
    options.out = leash::piped;
    options.timeout = 60s;
    const std::string started = directory / "started";
    jobs.push_back(
        {dash("echo 0 >> '" + started + "'; until grep -qs 1 '" + started + "'; do sleep 0.01; done; echo out 0"),
         options});
    jobs.push_back({dash("echo 1 >> '" + started + "'; echo out 1"), options});
    leash::RunAllOptions how;
    how.max_running = 2;
    for (int nth = 1; nth <= 4; ++nth) {  // each has an output and an exit to be watched
        CAPTURE(nth);
        ::unlink(started.c_str());
        Fault fault;
        fault.call = "epoll_control";
        fault.nth = nth;
        fault.error = ENOMEM;
        std::vector<leash::Expected<leash::Result>> results;
        {
            const Armed armed(fault);
            results = leash::run_all(jobs, how);
        }
        CHECK(fault.fired);
        Outcome outcome;
        judge(outcome, results, started);
        CHECK(outcome.wrong == "");
        CHECK(results[0].has_value());
        CHECK(results[1].has_value());
    }
    CHECK(census.is_empty());
}

TEST_CASE("a command that was started but cannot be watched is ended with the others") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string started = directory / "started";
    leash::RunAllOptions how;
    how.max_running = 2;
    how.cancel = leash::Cancel();
    std::vector<std::size_t> starts, ends;
    how.on_start = [&](std::size_t index, const leash::Popen&) { starts.push_back(index); };
    how.on_end = [&](std::size_t index, const leash::Expected<leash::Result>&) { ends.push_back(index); };
    leash::Options options = marked(census);
    options.out = leash::piped;
    options.grace = 20s;  // not used up: all of them go on SIGTERM
    std::vector<leash::Task> jobs;
    leash::Options first = options;
    first.out = leash::sink([&](std::string_view) { how.cancel->fire(); });
    jobs.push_back({dash("until grep -qs 1 '" + started + "'; do sleep 0.01; done; echo go; sleep 30"), first});
    jobs.push_back({dash("echo out; echo 1 >> '" + started + "'; sleep 30"), options});
    jobs.push_back({dash("echo 2 >> '" + started + "'"), options});
    Fault fault;
    fault.call = "epoll_control";
    fault.nth = 4;  // the token, the first job's output, its exit, the second job's output
    fault.error = ENOMEM;
    std::vector<leash::Expected<leash::Result>> results;
    {
        const Armed armed(fault);
        results = leash::run_all(std::move(jobs), how);
    }
    CHECK(fault.fired);
    REQUIRE(results.size() == 3);
    for (const auto& result : results) {
        REQUIRE(result.has_value());
        CHECK(result->cancelled);
    }
    CHECK(results[0]->status.signal() == SIGTERM);
    CHECK(results[1]->status.signal() == SIGTERM);
    CHECK(results[1]->out == "out\n");
    CHECK(starts == std::vector<std::size_t>{0, 1});
    CHECK(ends.size() == 2);
    CHECK(read_file(started) == "1\n");
    CHECK(census.is_empty());
}

TEST_CASE("a command that was started but cannot be watched has its own deadline, and the others theirs") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string go = directory / "go";
    leash::Options options = marked(census);
    options.out = leash::piped;
    options.timeout = 60s;
    leash::Options timed = options;
    timed.timeout = 100ms;
    std::vector<leash::Task> jobs;  // the first one ends when the second one has been ended for being late
    jobs.push_back({dash("until test -e '" + go + "'; do sleep 0.01; done"), options});
    jobs.push_back({dash("echo out; sleep 30"), timed});
    leash::RunAllOptions how;
    how.max_running = 2;
    how.on_end = [&](std::size_t index, const leash::Expected<leash::Result>&) {
        if (index == 1) directory.file("go", "");
    };
    Fault fault;
    fault.call = "epoll_control";
    fault.nth = 3;  // the first job's output, its exit, the second job's output
    fault.error = ENOSPC;
    const Armed armed(fault);
    const auto results = leash::run_all(std::move(jobs), how);
    CHECK(fault.fired);
    CHECK(results[0]->ok());
    CHECK(results[1]->timed_out);
    CHECK(results[1]->out == "out\n");
}

TEST_CASE("starting the next one never keeps those that run waiting") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string go = directory / "go", busy = directory.file("busy", read_file("/bin/true"), 0755);
    leash::Options options = marked(census);
    options.timeout = 60s;
    std::vector<leash::Task> jobs;
    jobs.push_back({dash("until test -e '" + go + "'; do sleep 0.01; done"), options});
    leash::RunAllOptions how;
    how.max_running = 3;
    how.on_end = [&](std::size_t index, const leash::Expected<leash::Result>&) {
        if (index == 2) directory.file("go", "");
    };
    std::map<std::string, int> seen;
    Fault recorder;
    recorder.seen = &seen;
    SUBCASE("programs that are being written") {
        const leash::detail::os::Fd writer = leash::detail::os::Fd::open(busy.c_str(), O_WRONLY);
        for (int i = 0; i < 2; ++i) jobs.push_back({leash::args({busy}), options});
        const Armed armed(recorder);
        const auto results = leash::run_all(std::move(jobs), how);
        CHECK(results[0]->ok());
        for (const std::size_t i : {1U, 2U}) {
            REQUIRE_FALSE(results[i].has_value());
            CHECK(results[i].error().code == std::errc::text_file_busy);
        }
        CHECK(seen[start_call] == 1 + 2 * 8);
        CHECK(seen["poll"] == 0);  // nobody has slept: only in the wait for all
        CHECK(seen["epoll_wait"] >= 2 * 7);
    }
    SUBCASE("inputs that are large") {
        constexpr std::size_t size = 10'000'000;
        options.in = leash::bytes(pattern(size));
        jobs.push_back({dash("exit 3"), options});
        jobs.push_back({dash("read x; echo \"$x\"; wc -c"), options});
        jobs.back().options.out = leash::piped;
        const Armed armed(recorder);
        const auto results = leash::run_all(std::move(jobs), how);
        CHECK(results[0]->ok());
        CHECK(results[1]->status.code() == 3);
        CHECK(results[1]->unwritten > size / 2);
        CHECK(results[2]->ok());
        CHECK(results[2]->unwritten == 0);
        CHECK(results[2]->out == pattern(63) + "\n" + std::to_string(size - 64) + "\n");
        CHECK(seen["memfd_create"] == 0);  // which would be filled at the start
    }
    SUBCASE("and one whose program is there at the next try is started then") {
        Fault fault;
        fault.call = start_call;
        fault.nth = 2;
        fault.error = ETXTBSY;
        jobs.push_back({leash::args({busy}), options});
        jobs.push_back({leash::args({busy}), options});
        const Armed armed(fault);
        const auto results = leash::run_all(std::move(jobs), how);
        CHECK(fault.fired);
        for (const auto& result : results) CHECK(result->ok());
    }
}

TEST_CASE("hundreds of quiet jobs without a pidfd: next() is on time, and sees the end of one") {
    raise_descriptor_limit();
    const NothingLeft nothing_left;
    const Census census;
    {
        Fault fault;
        fault.no_pidfd = true;
        const Armed armed(fault);
        leash::Supervisor jobs;
        leash::Options options = silent(census);
        Id last = 0;
        for (int i = 0; i < 500; ++i) last = jobs.add(leash::Popen(child({"sleep"}), options)).value();
        for (int i = 0; i < 10; ++i) static_cast<void>(jobs.next(20ms));  // the first looks come at shorter distances
        for (int round = 0; round < 5; ++round) {
            std::map<std::string, int> seen;
            fault.seen = &seen;
            const Stopwatch watch;
            CHECK_FALSE(jobs.next(100ms));
            CHECK(watch.elapsed() >= 99ms);
            CHECK(watch.elapsed() < 5s);
            fault.seen = nullptr;
            CHECK(seen["waitid"] >= 500);
            CHECK(seen["waitid"] < 500 * (3 + watch.elapsed() / 10ms));  // all are looked at, each 10 ms
        }
        CHECK_FALSE(jobs.next(0s));
        CHECK(jobs.job(last).kill());
        const Stopwatch watch;
        const auto event = jobs.next(60s);
        CHECK(watch.elapsed() < 10s);
        REQUIRE(event);
        CHECK(event->kind == Event::ended);
        CHECK(event->id == last);
    }
    CHECK(census.is_empty());
    CHECK(nothing_left.holds());
}

TEST_CASE("what an event costs does not grow with the number of jobs") {
    raise_descriptor_limit();
    const Census census;
    const auto cost = [&](int quiet) {
        leash::Supervisor jobs;
        leash::Options options = silent(census);
        options.timeout = 1h;
        options.cancel = leash::Cancel();
        for (int i = 0; i < quiet; ++i) static_cast<void>(jobs.add(leash::Popen(child({"sleep"}), options)).value());
        options.in = leash::piped;
        options.out = leash::piped;
        const Id talks = jobs.add(leash::Popen(child({"ping-pong"}), options)).value();
        CHECK_FALSE(jobs.next(0s));  // everyone's first step
        Counted talking, ending;
        for (int round = 0; round < 50; ++round) {
            REQUIRE(jobs.job(talks).in().write("x\n", 20s));
            CHECK(talking([&] { return jobs.next(20s); })->kind == Event::output);
            CHECK(jobs.job(talks).out().try_read().data == "got x\n");
        }
        for (int round = 0; round < 20; ++round) {
            options.in = leash::null;
            options.out = leash::null;
            leash::Popen job(child({"exit", "0"}), options);  // not counted: it may close what is open one by one
            const auto id = ending([&] { return jobs.add(std::move(job)); });
            CHECK(ending([&] { return jobs.next(20s); })->kind == Event::ended);
            ending([&] { static_cast<void>(jobs.remove(*id)); });
        }
        return std::make_pair(talking.total(), ending.total());
    };
    const auto few = cost(200), many = cost(1000);
    MESSAGE(few.first, " and ", many.first, " calls for 50 outputs; ", few.second, " and ", many.second,
            " for 20 jobs");
    CHECK(many.first < few.first + 50);
    CHECK(many.second < few.second + few.second / 4);
    CHECK(census.is_empty());
}

#if defined(__linux__)

TEST_CASE("one look at all processes serves all jobs whose dead nobody reaps") {
    constexpr int count = 60;
    const Census census;
    // Orphans go to the outer host, which does not care: their zombies stay.
    const std::string wrong = in_host([&]() -> std::string {
        HOST_NEEDS(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
        return in_host([&]() -> std::string {
            for (const bool drains : {false, true}) {
                std::map<std::string, int> seen;
                int ended = 0;
                Fault recorder;
                recorder.seen = &seen;
                leash::Supervisor jobs;
                leash::Options options = silent(census);
                options.drain = 1s;
                options.grace = 20s;
                for (int i = 0; i < count; ++i) {
                    const auto command = drains ? child({"fork-ignoring-holder", "0"}) : child({"fork-and-wait"});
                    HOST_NEEDS(jobs.add(leash::Popen(command, options)).has_value());
                }
                HOST_NEEDS(census.reaches(drains ? count : 2 * count));
                const Armed armed(recorder);
                if (!drains) jobs.cancel();
                while (ended < count) {
                    const auto event = jobs.next(20s);
                    HOST_NEEDS(event.has_value());
                    if (event->kind == Event::ended) ++ended;
                }
                // How many there are, and so how many files one reading of the list opens; besides it is a few for each job.
                leash::detail::os::Directory directory("/proc");
                int all = 0;
                while (const char* const name = directory.next()) all += std::atoi(name) > 0 ? 1 : 0;
                HOST_NEEDS(all > count);
                HOST_NEEDS(seen["open"] < 30 * count + all * (seen["epoll_wait"] + 2));
            }
            return "";
        });
    });
    CHECK(wrong == "");
}

#endif

TEST_CASE("what is still in a set that dies is killed, all of it, before any of it is waited for") {
    const NothingLeft nothing_left;
    const Census census;
    std::vector<std::string> order;
    Fault recorder;
    {
        leash::Supervisor jobs;
        for (int i = 0; i < 10; ++i)
            static_cast<void>(jobs.add(leash::Popen(child({"ignore-term"}), silent(census))).value());
        recorder.order = &order;
        fault_of_this_thread = &recorder;
    }
    fault_of_this_thread = nullptr;
    std::ptrdiff_t killed = 0;
    for (const std::string& call : order) {
        if (call == "reap") break;
        killed += call == "kill" || call == "signal_through" ? 1 : 0;
    }
    CHECK(killed >= 10);
    CHECK(std::count(order.begin(), order.end(), "reap") == 10);
    CHECK(census.is_empty());
    CHECK(nothing_left.holds());
}

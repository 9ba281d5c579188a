// tests/test_run_all.cpp - many commands to their results: how many at a time, in which order, and what stops them.
#include <doctest/doctest.h>

#include "support.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>

#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/time.h>

using support::Census;
using support::child;
using support::NothingLeft;
using support::pattern;
using namespace std::chrono_literals;
using Ended = leash::Expected<leash::Result>;
using Results = std::vector<Ended>;

namespace {

/// What the callbacks of one run_all() were told.
struct Told {
    std::vector<std::size_t> starts, ends;
    std::size_t most = 0;  // at a time

    leash::RunAllOptions follow(leash::RunAllOptions how = {}) {
        how.on_start = [this](std::size_t index, const leash::Popen&) {
            starts.push_back(index);
            most = std::max(most, starts.size() - ends.size());
        };
        how.on_end = [this](std::size_t index, const Ended&) { ends.push_back(index); };
        return how;
    }
};

leash::RunAllOptions at_most(std::size_t count) {
    leash::RunAllOptions how;
    how.max_running = count;
    return how;
}

/// Commands that tell of their start by a line in a file: who was started, and how often.
class Starts {
  public:
    /// Its line, and then whatever `after` does.
    leash::Command command(std::size_t index, const std::string& after = "") const {
        return leash::shell("echo \"$2\" >> \"$1\"; " + after, {path_, std::to_string(index)});
    }
    std::vector<std::string> seen() const {
        auto all = support::words(support::read_file(path_));
        std::sort(all.begin(), all.end());
        return all;
    }
    /// Each of so many once, and no other.
    bool each_once(std::size_t count) const {
        std::vector<std::string> wanted;
        for (std::size_t i = 0; i < count; ++i) wanted.push_back(std::to_string(i));
        std::sort(wanted.begin(), wanted.end());
        return seen() == wanted;
    }

  private:
    support::TemporaryDirectory directory_;
    // also for a host that is not root any more
    std::string path_ = directory_.file("started", "", 0666);
    bool open_to_all_ = ::chmod(directory_.path().c_str(), 0755) == 0;
};

/// Was it kept from starting?
bool is_not_started(const Ended& result) {
    const std::string said = ": not started, cancelled";  // at its end, and no time
    return result && result->cancelled && result->status.unknown() && !result->ok() && !result->timed_out &&
           result->describe() == result->command + said;
}

bool all_ok(const Results& results) {
    return std::all_of(results.begin(), results.end(), [](const auto& result) { return result && result->ok(); });
}

struct Thrown : std::runtime_error {
    Thrown() : std::runtime_error("thrown by a callback") {}
};

leash::Cancel* of_handler = nullptr;

bool set_limit(decltype(RLIMIT_NOFILE) which, std::size_t most) {
    rlimit limit{};
    if (::getrlimit(which, &limit) != 0) return false;
    limit.rlim_cur = most;
    return ::setrlimit(which, &limit) == 0;
}

/// In a host: room for so many descriptors more.
bool leave_descriptors(std::size_t count) {
    const int top = *support::open_descriptors().rbegin() + 1;
    int last;
    do last = ::dup(0);  // no gap below
    while (last >= 0 && last < top);
    return last >= 0 && set_limit(RLIMIT_NOFILE, static_cast<std::size_t>(last) + 1 + count);
}

// AddressSanitizer keeps what was freed for a while, to see whether it is used.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool keeps_the_freed = true;
#elif defined(__clang__)
constexpr bool keeps_the_freed = __has_feature(address_sanitizer);
#else
constexpr bool keeps_the_freed = false;
#endif

long resident_pages() {
    return std::strtol(support::words(support::read_file("/proc/self/statm"))[1].c_str(), nullptr, 10);
}

}  // namespace

TEST_CASE("the results come in the order of the list, whatever the order of the ends") {
    const Census census;
    const NothingLeft before;
    std::vector<leash::Task> jobs;
    leash::Options options = support::capture(census);
    // Each waits until the end of the next one in the list has been told.
    const support::TemporaryDirectory directory;
    constexpr std::size_t count = 6;
    for (std::size_t i = 0; i < count; ++i) {
        const char* const script = "while [ ! -e \"$1\" ]; do sleep 0.01; done; echo \"$2\"; echo e >&2; exit \"$2\"";
        const std::string awaited = i + 1 < count ? directory / std::to_string(i + 1) : directory.path();
        jobs.push_back({leash::shell(script, {awaited, std::to_string(i)}), options});
    }
    Told told;
    leash::RunAllOptions how = told.follow(at_most(count));
    const auto follow = how.on_end;
    how.on_end = [&](std::size_t index, const Ended& result) {
        follow(index, result);
        directory.file(std::to_string(index), "");
    };
    const Results results = leash::run_all(jobs, how);
    REQUIRE(results.size() == count);
    for (std::size_t i = 0; i < count; ++i) {
        REQUIRE(results[i]);
        CHECK(results[i]->out == std::to_string(i) + "\n");
        CHECK(results[i]->err == "e\n");
        CHECK(results[i]->status.code() == static_cast<int>(i));
        CHECK(results[i]->ok() == (i == 0));
        CHECK_FALSE(results[i]->cancelled);
    }
    CHECK(told.starts == std::vector<std::size_t>{0, 1, 2, 3, 4, 5});
    CHECK(told.ends == std::vector<std::size_t>{5, 4, 3, 2, 1, 0});
    CHECK(census.is_empty());
    CHECK(before.holds());
}

TEST_CASE("pipelines are tasks as well, and each result is of all its stages") {
    const Census census;
    const NothingLeft before;
    const leash::Options options = support::capture(census);
    leash::Options with_input = options;
    with_input.in = leash::bytes("b\na\n");
    std::vector<leash::Task> tasks;
    tasks.push_back({leash::args({"cat"}) | leash::args({"sort"}), with_input});
    tasks.push_back({leash::shell("exit 3") | leash::args({"cat"}), options});
    tasks.push_back({leash::args({"cat"}) | leash::args({"/no/such"}), options});
    tasks.push_back({{"sh", "-c", "exit 4"}, options});
    CHECK(tasks[1].command.stages().size() == 2);
    const Results results = leash::run_all(tasks, at_most(2));
    REQUIRE(results.size() == 4);
    CHECK(results[0]->ok());
    CHECK(results[0]->out == "a\nb\n");
    CHECK(results[0]->statuses.size() == 2);
    CHECK(results[0]->command == "cat | sort");
    CHECK(results[0]->duration > 0s);
    CHECK_FALSE(results[1]->ok());
    CHECK(results[1]->failed_stage() == 0);
    CHECK(results[2].error().stage == 1);
    CHECK(results[3]->status.code() == 4);
    CHECK(results[3]->statuses.empty());
    CHECK(census.is_empty());
    CHECK(before.holds());
}

TEST_CASE("no more than max_running run at a time, and as many as that do") {
    const Census census;
    const NothingLeft before;
    for (const std::size_t most : {std::size_t{1}, std::size_t{3}}) {
        CAPTURE(most);
        // Each says how many run. The first ones wait for each other: until as many run as may, and all have said so.
        const support::TemporaryDirectory directory;
        const char* const script =
            "count() { ls \"$1\" | wc -l; }\n"
            ": > \"$1/$$\"\n"
            "while [ $(count \"$1\") -lt $3 ] && [ $(count \"$2\") -lt $3 ]; do sleep 0.01; done\n"
            "count \"$1\"\n"
            ": > \"$2/$$\"\n"
            "while [ $(count \"$2\") -lt $3 ]; do sleep 0.01; done\n"
            "rm \"$1/$$\"";
        const auto command =
            leash::shell(script, {directory.directory("running"), directory.directory("said"), std::to_string(most)});
        Told told;
        const Results results = leash::run_all(std::vector<leash::Task>(3 * most, {command, support::capture(census)}),
                                               told.follow(at_most(most)));
        CHECK(all_ok(results));
        CHECK(results.size() == 3 * most);
        for (const auto& result : results) CHECK(std::stoul(result->out) <= most);
        CHECK(told.most == most);
    }
    CHECK(census.is_empty());
    CHECK(before.holds());
}

TEST_CASE("max_running = 1 is one after the other") {
    const Census census;
    std::string order;
    leash::RunAllOptions how = at_most(1);
    how.on_start = [&](std::size_t index, const leash::Popen&) { order += "+" + std::to_string(index); };
    how.on_end = [&](std::size_t index, const Ended&) { order += "-" + std::to_string(index); };
    CHECK(all_ok(leash::run_all(std::vector<leash::Task>(4, {child({"exit", "0"}), support::capture(census)}), how)));
    CHECK(order == "+0-0+1-1+2-2+3-3");
}

TEST_CASE("max_running above the number of jobs starts them all at once") {
    const Census census;
    const NothingLeft before;
    {
        leash::Cancel all_run;
        Told told;
        leash::RunAllOptions how = told.follow(at_most(512));
        how.cancel = all_run;
        const auto follow = how.on_start;
        how.on_start = [&](std::size_t index, leash::Popen& job) {
            follow(index, job);
            if (index == 59) all_run.fire();
        };
        const std::vector<leash::Task> jobs(60, {child({"sleep"}), support::silent(census)});
        const Results results = leash::run_all(jobs, how);
        CHECK(told.most == 60);
        for (const auto& result : results) CHECK((result && result->cancelled && result->status.signal() == SIGTERM));
    }
    CHECK(census.is_empty());
    CHECK(before.holds());
}

TEST_CASE("max_running = 0 means as many as there are processors for this process") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        cpu_set_t allowed{}, one{};
        HOST_NEEDS(::sched_getaffinity(0, sizeof allowed, &allowed) == 0);
        const auto peak = [&](std::size_t jobs) {
            Told told;
            leash::Options options = support::silent(census);
            options.timeout = 1s;  // the last one is started before the first one ends
            const std::vector<leash::Task> list(jobs, {child({"sleep"}), options});
            static_cast<void>(leash::run_all(list, told.follow()));
            return told.most;
        };
        const std::size_t count = static_cast<std::size_t>(CPU_COUNT(&allowed));
        HOST_NEEDS(peak(count + 1) == count);
        for (std::size_t cpu = 0; CPU_COUNT(&one) == 0; ++cpu) {
            if (CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &one);
        }
        HOST_NEEDS(::sched_setaffinity(0, sizeof one, &one) == 0);
        HOST_NEEDS(peak(3) == 1);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("an empty list has no results, and nothing is told") {
    const NothingLeft before;
    Told told;
    leash::RunAllOptions how = told.follow();
    CHECK(leash::run_all({}).empty());
    how.cancel = leash::Cancel();
    how.stop_on_failure = true;
    CHECK(leash::run_all({}, how).empty());
    how.cancel->fire();
    CHECK(leash::run_all({}, how).empty());
    CHECK(told.starts.empty());
    CHECK(told.ends.empty());
    how = {};
    CHECK(before.holds());
}

TEST_CASE("one that cannot be started is an error of its own, and concerns no other") {
    const Census census;
    const NothingLeft before;
    for (const std::size_t most : {std::size_t{1}, std::size_t{512}}) {
        CAPTURE(most);
        leash::Options nowhere = support::capture(census);
        nowhere.cwd = "/nowhere";
        std::vector<leash::Task> jobs;
        jobs.push_back({{"/nowhere/program"}, support::capture(census)});
        jobs.push_back({child({"print", "x"}), support::capture(census)});
        jobs.push_back({child({"print", "x"}), nowhere});
        jobs.push_back({leash::args({}), support::capture(census)});
        jobs.push_back({child({"print", "y"}), support::capture(census)});
        Told told;
        const Results results = leash::run_all(jobs, told.follow(at_most(most)));
        REQUIRE(results.size() == 5);
        REQUIRE_FALSE(results[0]);
        CHECK(results[0].error().step == leash::Step::program);
        CHECK(results[0].error().code == std::errc::no_such_file_or_directory);
        CHECK(results[0].error().subject == "/nowhere/program");
        CHECK(results[1].value().out == "x");
        REQUIRE_FALSE(results[2]);
        CHECK(results[2].error().step == leash::Step::cwd);
        CHECK_FALSE(results[3]);
        CHECK(results[4].value().out == "y");
        CHECK(told.starts == std::vector<std::size_t>{1, 4});
        std::sort(told.ends.begin(), told.ends.end());
        CHECK(told.ends == std::vector<std::size_t>{0, 1, 2, 3, 4});
    }
    CHECK(before.holds());
}

TEST_CASE("the callbacks are told of the job and of its result: the same as comes back") {
    const Census census;
    std::map<std::size_t, pid_t> pids;
    std::map<std::size_t, std::string> outputs;
    leash::RunAllOptions how = at_most(2);
    how.on_start = [&](std::size_t index, leash::Popen& job) {
        if (index == 5) CHECK(job.kill());
        else pids[index] = job.pid();
    };
    how.on_end = [&](std::size_t index, const Ended& result) {
        if (result) outputs[index] = result->out;
        else outputs[index] = result.error().subject;
    };
    std::vector<leash::Task> jobs(5, {leash::shell("echo $$"), support::capture(census)});
    jobs[2].command = {"/nowhere/program"};
    jobs.push_back({child({"sleep"}), support::capture(census)});
    const Results results = leash::run_all(jobs, how);
    CHECK(pids.size() == 4);
    CHECK(outputs.size() == 6);
    CHECK(results[5]->ended_by == leash::EndedBy::kill);
    CHECK(outputs[2] == "/nowhere/program");
    for (const auto& one : pids) {
        CHECK(results[one.first]->out == std::to_string(one.second) + "\n");
        CHECK(outputs[one.first] == results[one.first]->out);
    }
}

TEST_CASE("on_start can write to a job, and its input ends when that has returned and all is written") {
    const NothingLeft before;
    leash::Options piped, terminal, given;
    piped.in = leash::piped;
    piped.out = leash::piped;
    terminal.in = leash::tty;
    terminal.out = leash::tty;
    terminal.terminal.echo = false;
    given.in = leash::bytes("given");
    given.out = leash::piped;
    const leash::Command cat = leash::args({"cat"});
    const std::string much = pattern(1'000'000);
    leash::RunAllOptions how = at_most(3);
    how.on_start = [&](std::size_t index, leash::Popen& job) {
        if (index == 0) CHECK(job.in().write("written "));
        if (index == 0) CHECK(job.in().try_write("and more"));
        if (index == 1) CHECK(job.in().enqueue(much));
        if (index == 2) CHECK(job.in().write("line\n"));
        if (index == 3) CHECK(!job.in().enqueue("more"));
    };
    const Results results =
        leash::run_all({{cat, piped}, {cat, piped}, {cat, terminal}, {cat, given}, {cat, piped}}, how);
    REQUIRE(all_ok(results));
    CHECK(results[0]->out == "written and more");
    CHECK(results[1]->out == much);
    CHECK(results[2]->out == "line\r\n");
    CHECK(results[3]->out == "given");
    CHECK(results[4]->out.empty());
    CHECK(before.holds());
}

TEST_CASE("what a callback throws leaves run_all(), and nothing is left behind") {
    const Census census;
    const NothingLeft before;
    leash::RunAllOptions how = at_most(10);
    std::vector<leash::Task> jobs(9, {child({"ignore-term"}), support::capture(census)});
    bool thrown = false;
    SUBCASE("at a start") {
        how.on_start = [](std::size_t index, const leash::Popen&) {
            if (index == 5) throw Thrown();
        };
    }
    SUBCASE("at an end") {
        jobs[3].command = child({"exit", "0"});
        how.on_end = [](std::size_t, const Ended&) { throw Thrown(); };
    }
    SUBCASE("at the end of one that could not be started") {
        jobs[3].command = {"/nowhere/program"};
        how.on_end = [](std::size_t, const Ended&) { throw Thrown(); };
    }
    SUBCASE("in a sink") {
        jobs[3].options.out = leash::sink([](std::string_view) { throw Thrown(); });
    }
    try {
        static_cast<void>(leash::run_all(jobs, how));
    } catch (const Thrown&) {
        thrown = true;
    }
    CHECK(thrown);
    CHECK(census.is_empty());
    CHECK(before.holds());
}

TEST_CASE("with stop_on_failure the first failure ends those that run, and keeps the rest from starting") {
    const Census census;
    const NothingLeft before;
    const Starts starts;
    leash::Options options = support::silent(census);
    options.grace = 20s;
    std::vector<leash::Task> jobs;
    for (std::size_t i = 0; i < 6; ++i) jobs.push_back({starts.command(i, "exec sleep 60"), options});
    leash::RunAllOptions how = at_most(3);
    how.stop_on_failure = true;
    std::size_t failing = 2;
    bool is_error = false;
    SUBCASE("a status") { jobs[2].command = starts.command(2, "exit 3"); }
    SUBCASE("a timeout") { jobs[2].options.timeout = 300ms; }
    SUBCASE("a start") {
        jobs[2].command = {"/nowhere/program"};
        is_error = true;
    }
    SUBCASE("one that was cancelled before") {
        jobs[2].options.cancel = leash::Cancel();
        jobs[2].options.cancel->fire();
    }
    SUBCASE("the very first start") {
        jobs[0].command = {"/nowhere/program"};
        failing = 0;
        is_error = true;
    }
    Told told;
    const support::Stopwatch watch;
    const Results results = leash::run_all(jobs, told.follow(how));
    CHECK(watch.elapsed() < 15s);
    REQUIRE(results.size() == 6);
    CHECK(results[failing].has_value() == !is_error);
    CHECK((is_error || !results[failing]->ok()));
    for (std::size_t i = 0; i < failing; ++i) {
        CHECK(results[i].value().cancelled);
        CHECK(results[i]->status.signal() == SIGTERM);
    }
    for (std::size_t i = failing + 1; i < 6; ++i) CHECK(is_not_started(results[i]));
    REQUIRE(told.ends.size() == failing + 1);
    CHECK(told.ends.front() == failing);
    for (const std::string& line : starts.seen()) CHECK(std::stoul(line) <= failing);
    CHECK(census.is_empty());
    CHECK(before.holds());
}

TEST_CASE("stop_on_failure does nothing where nothing fails, and without it a failure stops nobody") {
    const Census census;
    const Starts starts;
    std::vector<leash::Task> jobs;
    for (std::size_t i = 0; i < 8; ++i) jobs.push_back({starts.command(i), support::silent(census)});
    leash::RunAllOptions how = at_most(3);
    SUBCASE("with") {
        how.stop_on_failure = true;
        CHECK(all_ok(leash::run_all(jobs, how)));
    }
    SUBCASE("without") {
        for (leash::Task& job : jobs) job.options.timeout = 60s;
        jobs[0].command = starts.command(0, "exit 1");
        jobs[1].command = starts.command(1, "kill -9 $$");
        const Results results = leash::run_all(jobs, how);
        CHECK(results[0]->status.code() == 1);
        CHECK(results[1]->status.signal() == SIGKILL);
        for (std::size_t i = 2; i < 8; ++i) CHECK(results[i]->ok());
    }
    CHECK(starts.each_once(8));
}

TEST_CASE("a cancel ends those that run, with their grace, and keeps the rest from starting") {
    const Census census;
    const NothingLeft before;
    const Starts starts;
    leash::Options options = support::silent(census);
    options.grace = 20s;
    std::vector<leash::Task> jobs;
    for (std::size_t i = 0; i < 6; ++i) jobs.push_back({starts.command(i, "exec sleep 60"), options});
    leash::Cancel stop;
    Told told;
    leash::RunAllOptions how = told.follow(at_most(3));
    how.cancel = stop;
    const support::Stopwatch watch;
    std::size_t started = 3;
    Results results;
    SUBCASE("before") {
        started = 0;
        stop.fire();
        results = leash::run_all(jobs, how);
    }
    SUBCASE("during, by another thread") {
        std::thread firing([&] {
            static_cast<void>(support::eventually([&] { return starts.seen().size() == 3; }));
            stop.fire();
        });
        results = leash::run_all(jobs, how);
        firing.join();
    }
    SUBCASE("by a callback") {
        started = 2;
        const auto follow = how.on_start;
        how.on_start = [&](std::size_t index, leash::Popen& job) {
            follow(index, job);
            if (index == 1) stop.fire();
        };
        results = leash::run_all(jobs, how);
    }
    SUBCASE("by a signal handler") {
        of_handler = &stop;
        struct sigaction action {
        }, kept{};
        action.sa_handler = [](int) { of_handler->fire(); };
        ::sigaction(SIGALRM, &action, &kept);
        const auto follow = how.on_start;
        how.on_start = [&](std::size_t index, leash::Popen& job) {
            follow(index, job);
            itimerval soon{};
            soon.it_value.tv_usec = 50'000;
            if (index == 2) ::setitimer(ITIMER_REAL, &soon, nullptr);
        };
        results = leash::run_all(jobs, how);
        ::sigaction(SIGALRM, &kept, nullptr);
    }
    SUBCASE("by a thread, and it is the token of each job too") {
        for (leash::Task& job : jobs) job.options.cancel = stop;
        std::thread firing([&] {
            static_cast<void>(support::eventually([&] { return starts.seen().size() == 3; }));
            stop.fire();
        });
        results = leash::run_all(jobs, how);
        firing.join();
        for (leash::Task& job : jobs) job.options.cancel.reset();
    }
    CHECK(watch.elapsed() < 15s);
    REQUIRE(results.size() == 6);
    for (std::size_t i = 0; i < 6; ++i) {
        CAPTURE(i);
        if (i >= started) CHECK(is_not_started(results[i]));
        else CHECK((results[i].value().cancelled && results[i]->status.signal() == SIGTERM));
    }
    CHECK(told.starts.size() == started);
    CHECK(told.ends.size() == started);
    CHECK(starts.seen().size() <= started);  // one may have been ended before its first line
    CHECK(census.is_empty());
    how = {};
    stop = leash::Cancel();  // with its pipe
    CHECK(before.holds());
}

TEST_CASE("a job's own token concerns that job alone; fired before, it is not even started, as in run()") {
    const Census census;
    const Starts starts;
    leash::Options options = support::silent(census);
    std::vector<leash::Task> jobs;
    for (std::size_t i = 0; i < 6; ++i) jobs.push_back({starts.command(i), options});
    jobs[1].command = starts.command(1, "exec sleep 60");
    jobs[1].options.cancel = leash::Cancel();
    jobs[3].options.cancel = leash::Cancel();
    jobs[3].options.cancel->fire();
    Told told;
    leash::RunAllOptions how = told.follow(at_most(2));
    const auto follow = how.on_end;
    how.on_end = [&](std::size_t index, const Ended& result) {
        follow(index, result);
        if (index != 5) return;
        CHECK(support::eventually([&] { return starts.seen().size() == 5; }));
        jobs[1].options.cancel->fire();
    };
    const Results results = leash::run_all(jobs, how);
    for (const std::size_t i : {0u, 2u, 4u, 5u}) CHECK(results[i].value().ok());
    CHECK(results[1].value().cancelled);
    CHECK(results[1]->status.signal() == SIGTERM);
    CHECK(is_not_started(results[3]));
    CHECK(starts.seen() == std::vector<std::string>{"0", "1", "2", "4", "5"});
    CHECK(told.starts == std::vector<std::size_t>{0, 1, 2, 4, 5});
    CHECK(told.ends.size() == 6);
    CHECK(told.ends.back() == 1);
}

TEST_CASE("each has its own deadlines, from its own start") {
    const Census census;
    leash::Options options = support::capture(census);
    options.grace = 50ms;
    std::vector<leash::Task> jobs(4, {child({"sleep"}), options});
    jobs[0].options.timeout = 500ms;
    jobs[1].options.timeout = 500ms;
    jobs[2].options.idle_timeout = 100ms;
    jobs[3] = {child({"ignore-term"}), options};
    jobs[3].options.timeout = 100ms;
    support::Stopwatch watch;  // each begins after the end of the one before
    std::array<std::chrono::milliseconds, 4> took{};
    leash::RunAllOptions how = at_most(1);
    how.on_end = [&](std::size_t index, const Ended&) {
        took[index] = watch.elapsed();
        watch = {};
    };
    const Results results = leash::run_all(jobs, how);
    for (std::size_t i = 0; i < 4; ++i) {
        CAPTURE(i);
        CHECK(results[i].value().timed_out);
        CHECK((results[i]->ended_by == leash::EndedBy::idle_timeout) == (i == 2));
        const bool ignores = results[i]->out == "ready\n";
        CHECK(results[i]->status.signal() == (ignores ? SIGKILL : SIGTERM));
        CHECK_FALSE(results[i]->cancelled);
        CHECK(took[i] >= (i < 2 ? 500ms : 100ms));
        CHECK(took[i] < 10s);
    }
}

TEST_CASE("inputs: bytes, an empty one, one that nobody writes to, a terminal's end") {
    const Census census;
    const NothingLeft before;
    leash::Options options = support::capture(census);
    options.timeout = 30s;
    std::vector<leash::Task> jobs(5, {child({"cat"}), options});
    jobs[0].options.in = leash::bytes(pattern(300'000));
    jobs[1].options.in = leash::bytes("");
    jobs[2].options.in = leash::piped;
    jobs[3].options.in = leash::null;
    jobs[4].options.in = leash::tty;
    jobs[4].options.out = leash::tty;
    const Results results = leash::run_all(jobs, at_most(3));
    REQUIRE(all_ok(results));
    CHECK((results[0]->out == pattern(300'000)));
    CHECK(results[0]->unwritten == 0);
    for (std::size_t i = 1; i < 4; ++i) CHECK(results[i]->out == "");
    CHECK(before.holds());
}

TEST_CASE("outputs: captured within their limits, sinks, shared ones too, and terminals") {
    const Census census;
    const NothingLeft before;
    std::size_t heard = 0;
    {
        const auto sink = leash::sink([&](std::string_view chunk) { heard += chunk.size(); });
        std::vector<leash::Task> jobs(6, {child({"write-both", "200000"}), support::capture(census)});
        jobs[1].options.max_output = 1000;
        jobs[1].options.keep = leash::Keep::tail;
        jobs[2].options.out = sink;
        jobs[3].options.err = sink;
        jobs[4].options.out = sink;
        jobs[4].options.err = leash::to_out;
        jobs[5] = {child({"isatty", "1"}), support::capture(census)};
        jobs[5].options.out = leash::tty;
        const Results results = leash::run_all(jobs, at_most(6));
        REQUIRE(all_ok(results));
        CHECK((results[0]->out == pattern(200'000)));
        CHECK((results[0]->err == pattern(200'000)));
        CHECK((results[1]->out == pattern(1000, 199'000)));
        CHECK(results[1]->out_dropped == 199'000);
        CHECK(heard == 800'000);
        CHECK(results[2]->out == "");
        CHECK(results[5]->out == "terminal\r\n");
    }
    CHECK(before.holds());
}

TEST_CASE("an escapee that holds a pipe holds up its own job for the drain, and no other") {
    const Census census;
    const NothingLeft before;
    leash::Options options = support::capture(census);
    options.drain = 300ms;
    std::vector<leash::Task> jobs(4, {child({"print", "x"}), options});
    jobs[3].command = child({"setsid-holder", "3", "1"});
    Told told;
    leash::RunAllOptions how = told.follow(at_most(4));
    std::vector<pid_t> pids;
    // The drain counts from the first look at the last one: the ends of the others are there by then.
    how.on_start = [&](std::size_t, const leash::Popen& p) {
        pids.push_back(p.pid());
        for (std::size_t i = 0; pids.size() == 4 && i < 3; ++i)
            CHECK(support::eventually([&] { return !support::is_alive(pids[i]); }));
    };
    const Results results = leash::run_all(jobs, how);
    CHECK(!results[3].value().held.empty());
    CHECK(results[3]->status.code() == 3);
    CHECK(support::words(results[3]->out).size() == 1);  // its number
    for (std::size_t i = 0; i < 3; ++i) CHECK((results[i]->ok() && results[i]->held.empty() && results[i]->out == "x"));
    CHECK(told.ends.back() == 3);
    CHECK(census.reaches(1));
    CHECK(before.holds());
}

/// A task that ends when so many of its like run.
static leash::Task meeting(const support::TemporaryDirectory& place, int of_how_many, int which) {
    leash::Options options;
    options.out = leash::piped;
    options.timeout = 60s;
    return {leash::shell(
                "touch \"$1/$2\"; while test \"$(ls \"$1\" | wc -l)\" -lt $3; do sleep 0.01; done; echo $MAKEFLAGS",
                {place.path(), std::to_string(which), std::to_string(of_how_many)}),
            options};
}

TEST_CASE("with a jobserver so many run as it has tokens for, and all of them are given back") {
    const std::string wrong = support::in_host([]() -> std::string {
        int ends[2];
        HOST_NEEDS(::pipe(ends) == 0 && ::write(ends[1], "ab", 2) == 2);
        const auto tokens = [&] {
            int count = -1;
            ::ioctl(ends[0], FIONREAD, &count);
            return count;
        };
        const std::string numbers = std::to_string(ends[0]) + "," + std::to_string(ends[1]);
        ::setenv("MAKEFLAGS", ("-j3 --jobserver-auth=" + numbers).c_str(), 1);
        leash::RunAllOptions how;
        how.jobserver = leash::Jobserver::inherited();
        {
            const support::TemporaryDirectory place;
            std::vector<leash::Task> tasks;
            for (int i = 0; i < 3; ++i) tasks.push_back(meeting(place, 3, i));
            for (int i = 0; i < 4; ++i) tasks.push_back({child({"exit", "0"})});
            Told told;
            const Results results = leash::run_all(std::move(tasks), told.follow(how));
            HOST_NEEDS(told.most == 3 && told.ends.size() == 7 && tokens() == 2);
            HOST_NEEDS(results[0]->out.find("--jobserver-auth=" + numbers) != std::string::npos);
        }
        const auto many = [](const char* code) {
            std::vector<leash::Task> tasks;
            tasks.push_back({child({"exit", code})});
            for (int i = 0; i < 3; ++i) tasks.push_back({child({"sleep"})});
            return tasks;
        };
        how.stop_on_failure = true;
        HOST_NEEDS(leash::run_all(many("1"), how).size() == 4 && tokens() == 2);
        how.on_end = [](std::size_t, const Ended&) { throw std::runtime_error("thrown"); };
        try {
            static_cast<void>(leash::run_all(many("0"), how));
            return "nothing was thrown";
        } catch (const std::runtime_error&) {
            HOST_NEEDS(tokens() == 2);
        }
        // the very same ones
        char both[2];
        HOST_NEEDS(::read(ends[0], both, 2) == 2 && both[0] + both[1] == 'a' + 'b');
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("what a task was to read goes to no other one, where it was cancelled while it waited for its turn") {
    leash::RunAllOptions how;
    how.max_running = 3;
    how.jobserver = leash::Jobserver::serve(1);
    std::vector<leash::Task> tasks(3, leash::Task{child({"print", "x"})});
    const leash::Cancel cancel;
    tasks[0].options.out = leash::sink([=](std::string_view) { cancel.fire(); });
    tasks[1].options.in = leash::bytes("secret");
    tasks[1].options.cancel = cancel;
    tasks[2].command = child({"cat"});
    tasks[2].options.in = leash::piped;  // which is closed
    tasks[2].options.out = leash::piped;
    const auto results = leash::run_all(std::move(tasks), how);
    CHECK(results[1]->cancelled);
    CHECK(results[1]->unwritten == 6);
    CHECK(results[2]->ok());
    CHECK(results[2]->out == "");
}

TEST_CASE("a token that comes lets the next task start, and none lets one run at a time") {
    const support::TemporaryDirectory place;
    leash::RunAllOptions how;
    how.jobserver = leash::Jobserver::serve(1);
    Told alone;
    std::vector<leash::Task> tasks;
    for (int i = 0; i < 3; ++i) tasks.push_back({child({"exit", "0"})});
    for (const Ended& one : leash::run_all(std::move(tasks), alone.follow(how))) CHECK(one->ok());
    CHECK(alone.most == 1);

    const std::string fifo = place / "fifo";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    tasks.clear();
    tasks.push_back({leash::shell("printf + >&4; read word < \"$1\"", {fifo})});
    tasks.push_back({leash::shell("echo word > \"$1\"", {fifo})});
    for (leash::Task& one : tasks) one.options.timeout = 60s;
    for (const Ended& one : leash::run_all(std::move(tasks), how)) CHECK(one->ok());

    how.jobserver = leash::Jobserver::serve(0);
    tasks.assign(2, leash::Task{child({"exit", "0"})});
    for (const Ended& one : leash::run_all(std::move(tasks), how)) {
        REQUIRE_FALSE(one.has_value());
        CHECK(one.error().subject == "jobserver");
    }
}

TEST_CASE("above max_load one task runs at a time, and below it as many as may") {
    const support::TemporaryDirectory place;
    leash::RunAllOptions how = at_most(3);
    how.max_load = 1e9;
    std::vector<leash::Task> tasks;
    for (int i = 0; i < 3; ++i) tasks.push_back(meeting(place, 3, i));
    for (const Ended& one : leash::run_all(std::move(tasks), how)) CHECK(one->ok());

    double load = 0;
    if (::getloadavg(&load, 1) != 1 || load < 0.05) return;  // it takes long to fall
    how.max_load = 1e-6;
    Told told;
    tasks.clear();
    for (int i = 0; i < 3; ++i) tasks.push_back({child({"exit", "0"})});
    for (const Ended& one : leash::run_all(std::move(tasks), told.follow(how))) CHECK(one->ok());
    CHECK(told.most == 1);
}

TEST_CASE("what a job leaves in its group ends with it, or stays where it is meant to") {
    const Census census;
    leash::Options options = support::capture(census);
    options.drain = 100ms;
    std::vector<leash::Task> jobs(4, {child({"fork-ignoring-holder", "3", "1", "2"}), options});
    jobs[3] = {child({"fork-holder", "3"}), options};
    jobs[3].options.stragglers = leash::Stragglers::leave;
    const support::Stopwatch watch;
    const Results results = leash::run_all(jobs, at_most(2));
    CHECK(watch.elapsed() < 15s);
    for (const Ended& result : results) {
        CHECK(result.value().status.code() == 3);
        CHECK(result->held.empty());
        CHECK(result->survivors.empty());
        CHECK(result->ok() == false);
    }
    for (std::size_t i = 0; i < 3; ++i) CHECK(results[i]->stragglers.size() == 1);
    CHECK(results[3]->stragglers.empty());
    CHECK(census.reaches(1));
}

TEST_CASE("what has ended is handed over between two starts") {
    const Census census;
    std::size_t held = 0, most = 0;
    leash::RunAllOptions how = at_most(512);
    how.on_start = [&](std::size_t, const leash::Popen& job) {
        most = std::max(most, ++held);
        static_cast<void>(support::eventually([&] { return support::state_of(job.pid()) == 'Z'; }));
    };
    how.on_end = [&](std::size_t, const Ended&) { --held; };
    leash::Options options = support::capture(census);
    SUBCASE("what said nothing") {
        const std::vector<leash::Task> jobs(60, {child({"exit", "0"}), support::silent(census)});
        CHECK(all_ok(leash::run_all(jobs, how)));
    }
    SUBCASE("what has said something") {
        CHECK(all_ok(leash::run_all(std::vector<leash::Task>(60, {child({"print", "x"}), options}), how)));
    }
    SUBCASE("while another one talks all the time") {
        std::vector<leash::Task> jobs(60, {child({"print", "x"}), options});
        jobs[0] = {child({"flood"}), options};
        jobs[0].options.max_output = 1000;
        jobs[0].options.cancel = leash::Cancel();
        const auto follow = how.on_start;
        how.on_start = [&](std::size_t index, leash::Popen& job) {
            if (index > 0) return follow(index, job);
            most = std::max(most, ++held);
        };
        const auto end = how.on_end;
        std::size_t ended = 0;
        how.on_end = [&](std::size_t index, const Ended& result) {
            end(index, result);
            if (++ended == 59) jobs[0].options.cancel->fire();
        };
        const Results results = leash::run_all(jobs, how);
        CHECK(results[0].value().cancelled);
        CHECK(std::count_if(results.begin(), results.end(), [](const auto& one) { return one && one->ok(); }) == 59);
    }
    CHECK(held == 0);
    CHECK(most < 15);
}

TEST_CASE("where there are no descriptors or processes for one more, it waits for another one's end") {
    const Census census;
    const Starts starts;
    constexpr std::size_t count = 30;
    std::vector<leash::Task> jobs;
    for (std::size_t i = 0; i < count; ++i)
        jobs.push_back({starts.command(i, "echo \"$2\"; exec sleep 0.5"), support::capture(census)});
    std::string wrong;
    SUBCASE("descriptors") {
        wrong = support::in_host([&]() -> std::string {
            HOST_NEEDS(leave_descriptors(30));
            Told told;
            const Results results = leash::run_all(jobs, told.follow(at_most(512)));
            HOST_NEEDS(all_ok(results));
            for (std::size_t i = 0; i < count; ++i) HOST_NEEDS(results[i]->out == std::to_string(i) + "\n");
            HOST_NEEDS(told.most < count);
            HOST_NEEDS(told.starts.size() == count && told.ends.size() == count);
            return "";
        });
    }
    SUBCASE("descriptors, with tokens of their own") {
        for (leash::Task& job : jobs) job.options.cancel = leash::Cancel();
        wrong = support::in_host([&]() -> std::string {
            HOST_NEEDS(leave_descriptors(30));
            // Nobody else has the tokens, and their pipes.
            HOST_NEEDS(all_ok(leash::run_all(std::move(jobs), at_most(512))));
            return "";
        });
    }
    SUBCASE("processes") {
        wrong = support::in_host([&]() -> std::string {
            // A user of this run's own: the limit counts all that a user has.
            const auto user = static_cast<uid_t>(20'000 + support::Clock::now().time_since_epoch().count() % 40'000);
            if (::geteuid() == 0 && (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(user, user, user) != 0))
                return "cannot become another user";
            HOST_NEEDS(set_limit(RLIMIT_NPROC, 6));
            Told told;
            const Results results = leash::run_all(jobs, told.follow(at_most(512)));
            HOST_NEEDS(all_ok(results));
            HOST_NEEDS(told.most < count);
            return "";
        });
    }
    CHECK(wrong == "");
    CHECK(starts.each_once(count));
    CHECK(census.is_empty());
}

TEST_CASE("a shortage where nothing runs is an error, of each, and not a wait for ever") {
    const Census census;
    const Starts starts;
    std::vector<leash::Task> jobs;
    for (std::size_t i = 0; i < 3; ++i) jobs.push_back({starts.command(i), support::capture(census)});
    for (const std::size_t more : {0u, 1u, 2u, 3u}) {
        CAPTURE(more);
        const std::string wrong = support::in_host([&]() -> std::string {
            HOST_NEEDS(leave_descriptors(more));
            Told told;
            const Results results = leash::run_all(jobs, told.follow(at_most(2)));
            HOST_NEEDS(results.size() == 3);
            for (const auto& result : results) {
                HOST_NEEDS(!result);
                HOST_NEEDS(result.error().code == std::errc::too_many_files_open);
            }
            HOST_NEEDS(told.starts.empty() && told.ends.size() == 3);
            return "";
        });
        CHECK(wrong == "");
    }
    CHECK(starts.seen().empty());
}

TEST_CASE("thousands, one after the other, leave nothing: no descriptor, no zombie, no memory") {
    const Census census;
    const NothingLeft before;
    leash::Options options = support::capture(census);
    options.timeout = 24h;
    options.cancel = leash::Cancel();
    const auto round = [&] {
        return all_ok(leash::run_all(std::vector<leash::Task>(250, {{"/bin/true"}, options}), at_most(4)));
    };
    for (int i = 0; i < 3; ++i) CHECK(round());
    const long pages = resident_pages();
    for (int i = 0; i < 17; ++i) CHECK(round());
    if (!keeps_the_freed) CHECK((resident_pages() - pages) * ::sysconf(_SC_PAGESIZE) < 1'500'000);
    options.cancel.reset();
    CHECK(before.holds());
}

// tests/test_supervisor.cpp - many running jobs in one set: their events, their deadlines, and what becomes of them.
#include <doctest/doctest.h>

#include "support.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <set>
#include <stdexcept>

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/time.h>

using leash::Supervisor;
using Event = leash::Supervisor::Event;
using Id = leash::Supervisor::Id;
using support::Census;
using support::child;
using support::NothingLeft;
using support::pattern;
using namespace std::chrono_literals;

namespace {

constexpr auto long_enough = 60s;  // only there so that a broken test ends

/// Events until so many jobs have ended, or there are no more.
std::vector<Event> events_until_ended(Supervisor& jobs, std::size_t count) {
    std::vector<Event> events;
    while (count > 0) {
        const auto event = jobs.next(long_enough);
        if (!event) break;
        events.push_back(*event);
        if (event->kind == Event::ended) --count;
    }
    return events;
}

/// What was told of a job, as words; an output that follows an output is left out, since the system cuts as it likes.
std::string told(const std::vector<Event>& events, Id id) {
    std::string words;
    Event::Kind last = Event::ended;
    for (const Event& event : events) {
        if (event.id != id) continue;
        if (event.kind == Event::output && last == Event::output && !words.empty()) continue;
        last = event.kind;
        words += words.empty() ? "" : " ";
        words += event.kind == Event::output ? "output" : event.kind == Event::ending ? "ending" : "ended";
    }
    return words;
}

/// Takes events until a job of the set says `text` in all, and gives what it said.
std::string hear(Supervisor& jobs, Id id, const std::string& text) {
    std::string heard;
    const support::Stopwatch watch;
    while (heard.size() < text.size() && watch.elapsed() < long_enough) {
        if (!jobs.next(1s)) continue;
        heard += jobs.job(id).out().try_read().data;
    }
    return heard;
}

/// How many bytes wait in a stream of the host's, at once or soon.
bool soon_pending(int fd, int count) {
    return support::eventually([&] {
        int waiting = 0;
        return ::ioctl(fd, FIONREAD, &waiting) == 0 && waiting == count;
    });
}

/// Nothing happens for so long, and the thread sleeps meanwhile: a wait that looks each 10 ms would wake up a hundred
/// times a second.
void check_quiet(Supervisor& jobs, std::chrono::milliseconds time) {
    const support::Effort effort;
    const support::Stopwatch watch;
    while (watch.elapsed() < time) {
        if (const auto event = jobs.next(time - watch.elapsed())) CHECK(static_cast<int>(event->kind) == -1);
    }
    CHECK(effort.sleeps() < 15 + time / 50ms + support::looks(time));
    CHECK(effort.time() < time / 5);
}

struct Thrown : std::runtime_error {
    Thrown() : std::runtime_error("thrown by a sink") {}
};

/// Raises RLIMIT_NOFILE as far as it goes; gives what it is then.
[[maybe_unused]] std::size_t raise_descriptor_limit() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return static_cast<std::size_t>(std::min<rlim_t>(limit.rlim_cur, 1'000'000));
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

leash::Cancel* of_handler = nullptr;

/// A pipe of the host's.
struct HostPipe {
    HostPipe() { REQUIRE(::pipe2(ends, O_CLOEXEC) == 0); }
    HostPipe(const HostPipe&) = delete;
    HostPipe& operator=(const HostPipe&) = delete;
    ~HostPipe() {
        ::close(ends[0]);
        close_write();
    }
    void close_write() {
        if (ends[1] >= 0) ::close(std::exchange(ends[1], -1));
    }
    int ends[2];
};

}  // namespace

TEST_CASE("a job tells what it says, and then that it has ended, with its number and its tag") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        const Id id = jobs.add(leash::Popen(child({"print", "x"}), support::capture(census)), 7).value();
        CHECK(jobs.size() == 1);
        CHECK(jobs.find(id) == &jobs.job(id));
        const auto events = events_until_ended(jobs, 1);
        CHECK(told(events, id) == "output ended");
        for (const Event& event : events) {
            CHECK(event.id == id);
            CHECK(event.tag == 7);
        }
        CHECK(jobs.size() == 1);
        CHECK_FALSE(jobs.next());  // all is told: it does not wait
        leash::Popen job = jobs.remove(id);
        CHECK(jobs.empty());
        const leash::Captured captured = job.communicate();
        CHECK(captured.out == "x");
        CHECK(captured.status->success());
        CHECK(captured.held.empty());
    }
    CHECK(before.holds());
}

TEST_CASE("an empty Supervisor has nothing to tell, and does not wait") {
    const NothingLeft before;
    {
        Supervisor jobs;
        CHECK(jobs.empty());
        CHECK(jobs.size() == 0);
        CHECK_FALSE(jobs.next());
        CHECK_FALSE(jobs.next(1h));
        CHECK(jobs.find(0) == nullptr);
        CHECK(jobs.find(~Id{0}) == nullptr);
        CHECK(jobs.remove(1).pid() == -1);
        CHECK(jobs.time_left().is_none());
        CHECK(jobs.handle() == -1);
        jobs.cancel();
        CHECK_FALSE(jobs.next());
    }
    CHECK(before.holds());
}

TEST_CASE("a handle without a job is refused") {
    const Census census;
    Supervisor jobs;
    leash::Popen p(child({"sleep"}), support::silent(census));
    const leash::Popen moved(std::move(p));
    const auto refused = jobs.add(std::move(p));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::invalid_argument);
    CHECK(refused.error().step == leash::Step::stream);
    CHECK(jobs.empty());
    CHECK_FALSE(jobs.next());
}

TEST_CASE("many jobs: each tells its own, ends once, and numbers are never used again") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        std::set<Id> all;
        for (int round = 0; round < 3; ++round) {
            std::map<Id, std::uint64_t> tags;
            for (std::uintptr_t i = 0; i < 40; ++i) {
                leash::Popen p(child({"print", std::to_string(i)}), support::capture(census));
                const Id id = jobs.add(std::move(p), i).value();
                CHECK(all.insert(id).second);
                tags[id] = i;
            }
            const auto events = events_until_ended(jobs, tags.size());
            for (const auto& one : tags) {
                CHECK(told(events, one.first) == "output ended");
                leash::Popen p = jobs.remove(one.first);
                CHECK(p.communicate().out == std::to_string(one.second));
                CHECK(jobs.find(one.first) == nullptr);
                CHECK(jobs.remove(one.first).pid() == -1);
            }
            for (const Event& event : events) CHECK(tags.at(event.id) == event.tag);
        }
        CHECK(jobs.empty());
    }
    CHECK(before.holds());
}

TEST_CASE("a job that is removed runs on, its events are dropped, and it may be added again, also elsewhere") {
    const Census census;
    const NothingLeft before;
    {
        leash::Options options = support::capture(census);
        options.in = leash::piped;
        Supervisor jobs, others;
        const Id first = jobs.add(leash::Popen(child({"ping-pong"}), options), 1).value();
        const Id second = jobs.add(leash::Popen(child({"print", "x"}), options), 2).value();
        REQUIRE(jobs.job(first).in().write("a\n", 20s));
        REQUIRE(soon_pending(jobs.job(first).out().handle(), 6));  // the event is there, and nobody has taken it
        leash::Popen p = jobs.remove(first);
        CHECK(jobs.size() == 1);
        CHECK_FALSE(p.poll());
        for (const Event& event : events_until_ended(jobs, 1)) CHECK(event.id == second);
        CHECK_FALSE(jobs.next());
        CHECK(p.out().try_read().data == "got a\n");

        const Id again = others.add(std::move(p), 3).value();
        REQUIRE(others.job(again).in().write("b\n", 20s));
        CHECK(hear(others, again, "got b\n") == "got b\n");
        p = others.remove(again);
        const Id back = jobs.add(std::move(p), 4).value();
        CHECK(back != first);
        jobs.job(back).in().close();
        const auto events = events_until_ended(jobs, 1);
        CHECK(told(events, back) == "output ended");
        CHECK(events.back().tag == 4);
        CHECK(jobs.remove(back).wait().success());
    }
    CHECK(before.holds());
}

TEST_CASE("an event that was found and not taken goes with its job") {
    const Census census;
    Supervisor jobs;
    std::vector<Id> ids;
    for (int i = 0; i < 4; ++i)
        ids.push_back(jobs.add(leash::Popen(child({"print", "x"}), support::capture(census))).value());
    for (const Id id : ids) REQUIRE(support::eventually([&] { return support::state_of(jobs.job(id).pid()) == 'Z'; }));
    const auto event = jobs.next(long_enough);  // finds all of them
    REQUIRE(event);
    for (const Id id : ids) {
        if (id != event->id) CHECK(jobs.remove(id).wait().success());
    }
    const Id late = jobs.add(leash::Popen(child({"exit", "3"}), support::silent(census))).value();
    const auto events = events_until_ended(jobs, 2);
    for (const Event& one : events) CHECK((one.id == event->id || one.id == late));
    CHECK(told(events, late) == "ended");
    CHECK_FALSE(jobs.next());
}

TEST_CASE("between two events a job may be talked to, and at its end it has all that nobody took") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    Supervisor jobs;
    const Id id = jobs.add(leash::Popen(child({"ping-pong"}), options)).value();
    for (const char* const line : {"one", "two"}) {
        REQUIRE(jobs.job(id).in().write(std::string(line) + "\n", 20s));
        const std::string answer = "got " + std::string(line) + "\n";
        CHECK(hear(jobs, id, answer) == answer);
    }
    REQUIRE(jobs.job(id).in().write("three\nfour\n", 20s));
    CHECK(jobs.next(long_enough)->kind == Event::output);
    jobs.job(id).in().close();
    CHECK(told(events_until_ended(jobs, 1), id) == "output ended");
    const leash::Captured captured = jobs.job(id).communicate();
    CHECK(captured.out == "got three\ngot four\n");
    CHECK(captured.status->success());
}

TEST_CASE("a job of the set may be signalled, waited for, read to its end and communicated with directly") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    Supervisor jobs;
    const support::Stopwatch watch;
    SUBCASE("kill") {
        const Id id = jobs.add(leash::Popen(child({"sleep", "x"}), options)).value();
        CHECK(hear(jobs, id, "x") == "x");
        CHECK(jobs.job(id).kill());
        CHECK(told(events_until_ended(jobs, 1), id) == "output ended");
        CHECK(jobs.job(id).wait().signal() == SIGKILL);
    }
    SUBCASE("stop") {
        const Id id = jobs.add(leash::Popen(child({"sleep"}), options)).value();
        CHECK(jobs.job(id).stop(10s).signal() == SIGTERM);
        CHECK(told(events_until_ended(jobs, 1), id) == "output ended");
    }
    SUBCASE("wait") {
        const Id id = jobs.add(leash::Popen(child({"print", "x"}), options)).value();
        CHECK(jobs.job(id).wait().success());
        CHECK(told(events_until_ended(jobs, 1), id) == "output ended");
        CHECK(jobs.job(id).communicate().out == "x");
    }
    SUBCASE("read_all") {
        const Id id = jobs.add(leash::Popen(child({"write", "500000"}), options)).value();
        CHECK((jobs.job(id).out().read_all().data == pattern(500'000)));
        CHECK(events_until_ended(jobs, 1).back().kind == Event::ended);
    }
    SUBCASE("communicate") {
        const Id id = jobs.add(leash::Popen(child({"cat"}), options)).value();
        CHECK_FALSE(jobs.next(0s));
        const leash::Captured captured = jobs.job(id).communicate(pattern(500'000));
        CHECK((captured.out == pattern(500'000)));
        CHECK(events_until_ended(jobs, 1).back().kind == Event::ended);
        CHECK_FALSE(jobs.next());
    }
    SUBCASE("it was over before it was added") {
        leash::Popen p(child({"print", "x"}), options);
        CHECK(p.wait().success());
        const Id id = jobs.add(std::move(p)).value();
        CHECK(told(events_until_ended(jobs, 1), id) == "output ended");
        CHECK(jobs.remove(id).communicate().out == "x");
    }
    SUBCASE("all was over before it was added") {
        leash::Popen p(child({"print", "x"}), options);
        CHECK(p.communicate().out == "x");
        const Id id = jobs.add(std::move(p)).value();
        CHECK(told(events_until_ended(jobs, 1), id) == "ended");
    }
    CHECK(watch.elapsed() < 30s);
    CHECK(census.reaches(0));
}

TEST_CASE("what a communicate() had left to write is written on, while other jobs are served") {
    const Census census;
    constexpr std::size_t size = 5'000'000;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    leash::Popen job(leash::shell("read x; exec wc -c"), options);
    const leash::Captured begun = job.communicate(support::pattern(size), 0s);
    REQUIRE_FALSE(begun.status);
    CHECK(begun.unwritten > 0);
    Supervisor jobs;
    const Id other = jobs.add(leash::Popen(child({"exit", "3"}), options)).value();
    const Id id = jobs.add(std::move(job)).value();
    const auto events = events_until_ended(jobs, 2);
    CHECK(told(events, id) == "output ended");
    CHECK(told(events, other).find("ended") != std::string::npos);
    CHECK(jobs.remove(id).communicate().out == std::to_string(size - 64) + "\n");

    // of one that reads no more it is told how much it did not take
    leash::Popen deaf(child({"read-and-exit", "1", "4"}), options);
    static_cast<void>(deaf.communicate(support::pattern(size), 0s));
    const Id left = jobs.add(std::move(deaf)).value();
    static_cast<void>(events_until_ended(jobs, 1));
    const leash::Captured captured = jobs.remove(left).communicate();
    CHECK(captured.status->code() == 4);
    CHECK(captured.unwritten > 0);
}

TEST_CASE("what is enqueued is written as the jobs take it, with no other thread, and may be followed by the end") {
    const Census census;
    const NothingLeft before;
    {
        const std::string data = pattern(600'000);
        leash::Options options = support::capture(census);
        options.in = leash::piped;
        Supervisor jobs;
        std::map<Id, std::string> heard;
        for (int i = 0; i < 3; ++i) heard[jobs.add(leash::Popen(child({"cat"}), options)).value()] = "";
        for (auto& one : heard) CHECK(jobs.job(one.first).in().enqueue(data));
        const auto hear_all = [&](std::size_t size) {
            const support::Stopwatch watch;
            for (auto& one : heard) {
                while (one.second.size() < size && watch.elapsed() < long_enough) {
                    const auto event = jobs.next(1s);
                    if (event && event->kind == Event::output)
                        heard[event->id] += jobs.job(event->id).out().try_read().data;
                }
                CHECK(one.second.size() == size);
            }
        };
        hear_all(data.size());
        for (auto& one : heard) {  // a second time, after a pause in which nothing was watched
            CHECK(jobs.job(one.first).in().queued() == 0);
            leash::Writer in = jobs.job(one.first).in();
            CHECK(in.enqueue(data));
            CHECK(in.enqueue("end"));
            in.finish();
            CHECK_FALSE(in.enqueue("more"));
        }
        hear_all(2 * data.size() + 3);
        for (const auto& one : heard) CHECK((one.second == data + data + "end"));
        events_until_ended(jobs, heard.size());
        for (const auto& one : heard) CHECK(jobs.remove(one.first).wait().success());
    }
    CHECK(before.holds());
}

TEST_CASE("a foreign loop hears that a job takes what was enqueued; what was removed is watched no more") {
    const Census census;
    leash::Options options = support::silent(census);
    options.in = leash::piped;
    Supervisor jobs;
    const Id id =
        jobs.add(
                leash::Popen(leash::shell("kill -STOP $$; exec \"$1\" count >/dev/null", {support::helper()}), options))
            .value();
    CHECK(support::eventually([&] { return support::state_of(jobs.job(id).pid()) == 'T'; }));
    while (jobs.next(0s)) {}
    leash::Writer in = jobs.job(id).in();
    CHECK(in.enqueue(std::string(600'000, 'x')));
    const std::size_t queued = in.queued();
    CHECK(queued > 0);
    CHECK_FALSE(jobs.next(0s));
    CHECK(jobs.job(id).send_signal(SIGCONT).has_value());
    pollfd ready{jobs.handle(), POLLIN, 0};
    if (ready.fd >= 0) CHECK(::poll(&ready, 1, 60'000) == 1);
    CHECK(support::eventually([&] {
        jobs.next(1ms);
        return in.queued() == 0;
    }));
    leash::Popen job = jobs.remove(id);
    CHECK(job.in().enqueue(std::string(600'000, 'x')));
    job.in().finish();
    CHECK(job.wait_for(60s).has_value());
}

TEST_CASE("a stream that the caller ends, by reading or by closing it, counts as soon as it does") {
    const Census census;
    leash::Options options = support::capture(census);
    options.err = leash::null;
    options.drain = 20s;  // used up only by what is not noticed
    Supervisor jobs;
    const Id id = jobs.add(leash::Popen(child({"setsid-holder", "0", "1"}), options)).value();
    REQUIRE(support::eventually([&] { return support::state_of(jobs.job(id).pid()) == 'Z'; }));
    while (const auto event = jobs.next(500ms))
        CHECK(event->kind == Event::output);  // the leader's end is seen, and held up
    REQUIRE(support::state_of(jobs.job(id).pid()) == '\0');
    const support::Stopwatch watch;
    SUBCASE("closed") { jobs.job(id).out().close(); }
    SUBCASE("read to its end") {
        for (const pid_t pid : census.alive()) ::kill(pid, SIGKILL);
        CHECK(jobs.job(id).out().read_all().complete);
    }
    SUBCASE("communicated") {
        for (const pid_t pid : census.alive()) ::kill(pid, SIGKILL);
        CHECK(jobs.job(id).communicate().status);
    }
    CHECK(told(events_until_ended(jobs, 1), id) == "ended");
    CHECK(watch.elapsed() < 10s);
}

TEST_CASE("a read of one output of a job of the set reads the other meanwhile, and next() tells of that") {
    const Census census;
    leash::Options options = support::capture(census);
    Supervisor jobs;
    const Id id = jobs.add(leash::Popen(leash::shell("echo up >&2; exec sleep 60"), options)).value();
    CHECK(support::eventually([&] {
        CHECK(jobs.job(id).out().read_until("x", 10ms).timed_out);
        return jobs.job(id).err().available() == 3;
    }));
    const auto event = jobs.next(0s);  // no handle tells of it
    REQUIRE(event);
    CHECK(event->kind == Event::output);
    CHECK(jobs.job(id).err().try_read().data == "up\n");
    CHECK_FALSE(jobs.next(0s));
    jobs.remove(id).kill();

    const Id fills = jobs.add(leash::Popen(leash::shell("\"$1\" write 2000000 >&2; echo done; \"$1\" write 5000 >&2",
                                                        {support::helper()}),
                                           options))
                         .value();
    CHECK(jobs.job(fills).out().read_until("\n", 60s).data == "done\n");
    CHECK(told(events_until_ended(jobs, 1), fills) == "output ended");
    CHECK((jobs.job(fills).err().read_all().data == pattern(2'000'000) + pattern(5000)));
}

TEST_CASE("a write to a job of the set reads its output meanwhile, and next() tells of that") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    Supervisor jobs;
    const Id id = jobs.add(leash::Popen(child({"cat"}), options)).value();
    const std::string text = pattern(2'000'000);  // more than the pipes hold
    CHECK(jobs.job(id).in().write(text, long_enough).complete);
    const std::size_t kept = jobs.job(id).out().available();
    CHECK(kept > 0);
    const auto event = jobs.next(long_enough);
    REQUIRE(event);
    CHECK(event->kind == Event::output);
    jobs.job(id).in().close();
    CHECK(told(events_until_ended(jobs, 1), id) == "output ended");
    CHECK((jobs.job(id).out().read_all().data == text));
}

TEST_CASE("what is still in the set dies with it, all of it at once, and nothing is left") {
    const Census census;
    const NothingLeft before;
    const support::Stopwatch watch;
    {
        Supervisor jobs;
        leash::Options options = support::capture(census);
        options.drain = 5s;
        for (int i = 0; i < 10; ++i) {
            REQUIRE(jobs.add(leash::Popen(child({"ignore-term"}), options)));
            REQUIRE(jobs.add(leash::Popen(child({"fork-and-wait"}), options)));
            REQUIRE(jobs.add(leash::Popen(child({"print", "x"}), options)));
            REQUIRE(jobs.add(leash::Popen(child({"cat"}) | child({"sleep"}), options)));
        }
        for (int i = 0; i < 5; ++i) CHECK(jobs.next(long_enough));  // in the middle of it
        jobs.cancel();                                              // and on their way
    }
    CHECK(census.is_empty());
    CHECK(before.holds());
    CHECK(watch.elapsed() < 30s);
}

TEST_CASE("a job whose time is up tells that it is being ended, and then that it has") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        leash::Options options = support::capture(census);
        options.grace = 50ms;
        std::vector<Id> timed;
        const support::Stopwatch watch;
        for (int i = 0; i < 5; ++i) {
            options.timeout = 100ms + i * 20ms;
            timed.push_back(jobs.add(leash::Popen(child({i % 2 == 0 ? "sleep" : "ignore-term"}), options)).value());
        }
        options.timeout = leash::Timeout::none();
        const Id untimed = jobs.add(leash::Popen(child({"sleep"}), options)).value();
        const auto events = events_until_ended(jobs, 5);
        CHECK(watch.elapsed() >= 180ms);
        CHECK(watch.elapsed() < 10s);
        for (std::size_t i = 0; i < timed.size(); ++i) {
            CAPTURE(i);
            const std::string words = told(events, timed[i]);
            CHECK(words.find("ending") != std::string::npos);
            CHECK(words.find("ended") == words.size() - 5);
            leash::Popen p = jobs.remove(timed[i]);
            CHECK(p.timed_out());
            CHECK(p.ended_by() != leash::EndedBy::idle_timeout);
            CHECK_FALSE(p.cancelled());
            CHECK_FALSE(p.communicate().timed_out);  // of that call
            CHECK(p.wait().signaled());
        }
        CHECK(told(events, untimed) == "");
        CHECK_FALSE(jobs.job(untimed).poll());
    }
    CHECK(before.holds());
}

TEST_CASE("a deadline is kept also of a job that talks all the time, or that nobody hears") {
    const Census census;
    Supervisor jobs;
    leash::Options options = support::capture(census);
    options.max_output = 1000;
    CHECK(support::in_time(100ms, [&](std::chrono::milliseconds timeout) {
        options.timeout = timeout;
        const Id talks = jobs.add(leash::Popen(child({"flood"}), options)).value();
        const long pages = resident_pages();
        const support::Stopwatch watch;
        const auto events = events_until_ended(jobs, 1);
        CHECK(watch.elapsed() < timeout + 10s);
        CHECK(told(events, talks).find("ending") != std::string::npos);
        CHECK((resident_pages() - pages) * ::sysconf(_SC_PAGESIZE) < 4'000'000);  // no more than max_output is kept
        leash::Popen job = jobs.remove(talks);
        const leash::Captured captured = job.communicate();
        CHECK(job.timed_out());
        if (captured.out.empty()) return false;
        CHECK((captured.out == pattern(1000)));
        CHECK(captured.out_truncated);
        return true;
    }));
}

TEST_CASE("the idle timeout counts from what a job said last") {
    const Census census;
    Supervisor jobs;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    options.idle_timeout = 2s;
    const Id silent = jobs.add(leash::Popen(child({"sleep"}), options)).value();
    const Id talks = jobs.add(leash::Popen(child({"ping-pong"}), options)).value();
    std::vector<Event> events;
    const support::Stopwatch watch;
    // longer than the timeout, in steps that are shorter
    while (watch.elapsed() < 2500ms ||
           (told(events, silent).find("ended") == std::string::npos && watch.elapsed() < 30s)) {
        CHECK(jobs.job(talks).in().write("x\n", 20s));
        if (const auto event = jobs.next(50ms)) events.push_back(*event);
    }
    CHECK(told(events, silent) == "ending output ended");
    CHECK(told(events, talks) == "output");
    CHECK(jobs.job(silent).ended_by() == leash::EndedBy::idle_timeout);
    CHECK(jobs.job(silent).timed_out());
    CHECK_FALSE(jobs.job(talks).timed_out());
    const auto rest = events_until_ended(jobs, 1);
    CHECK(told(rest, talks).find("ending output ended") != std::string::npos);
    CHECK(jobs.job(talks).ended_by() == leash::EndedBy::idle_timeout);
}

TEST_CASE("the grace is kept, and no more") {
    const Census census;
    Supervisor jobs;
    leash::Options options = support::capture(census);
    // Its end begins when it is ready for it.
    const auto ended = [&](const leash::Command& command) {
        const Id id = jobs.add(leash::Popen(command, options)).value();
        CHECK(hear(jobs, id, "ready\n") == "ready\n");
        jobs.cancel();
        CHECK(told(events_until_ended(jobs, 1), id) == "ending output ended");
        return jobs.job(id).wait();
    };
    SUBCASE("it goes politely") {
        options.grace = 1h;
        CHECK(ended(child({"catch-term", "4"})).code() == 4);
    }
    SUBCASE("it does not") {
        options.grace = 100ms;
        const support::Stopwatch watch;
        CHECK(ended(child({"ignore-term"})).signal() == SIGKILL);
        CHECK(watch.elapsed() >= 100ms);
        CHECK(watch.elapsed() < 10s);
    }
    SUBCASE("there is none") {
        options.grace = 0s;
        CHECK(ended(child({"ignore-term"})).signal() == SIGKILL);
    }
    CHECK(census.reaches(0));
}

TEST_CASE("a job's end waits for its pipes, no longer than the drain, and tells who held them") {
    const Census census;
    Supervisor jobs;
    leash::Options options = support::capture(census);
    options.drain = 300ms;
    const Id held = jobs.add(leash::Popen(child({"setsid-holder", "3", "1"}), options)).value();
    const Id free = jobs.add(leash::Popen(child({"exit", "0"}), options)).value();
    // The drain of the one counts from the first look at it: the end of the other is there by then.
    REQUIRE(support::eventually([&] { return support::state_of(jobs.job(free).pid()) == 'Z'; }));
    const support::Stopwatch watch;
    auto events = events_until_ended(jobs, 1);
    CHECK(events.back().id == free);
    events = events_until_ended(jobs, 1);
    CHECK(told(events, held).find("ended") != std::string::npos);
    CHECK(watch.elapsed() >= 300ms);
    CHECK(watch.elapsed() < 10s);
    const leash::Captured captured = jobs.job(held).communicate();
    CHECK(!captured.held.empty());
    CHECK(captured.status->code() == 3);
    CHECK(support::words(captured.out).size() == 1);  // the escapee's number
    CHECK(census.reaches(1));
}

TEST_CASE("stragglers end with their leader, or stay where they are meant to") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        leash::Options options = support::capture(census);
        SUBCASE("kill") {
            options.drain = 100ms;
            const support::Stopwatch watch;
            const Id id = jobs.add(leash::Popen(child({"fork-ignoring-holder", "3", "1", "2"}), options)).value();
            CHECK(told(events_until_ended(jobs, 1), id).find("ended") != std::string::npos);
            CHECK(watch.elapsed() < 20s);
            CHECK(jobs.job(id).communicate().held.empty());
            REQUIRE(jobs.job(id).stragglers().size() == 1);
            CHECK(jobs.job(id).stragglers()[0].command.find("fork-ignoring-holder") != std::string::npos);
            CHECK(census.is_empty());
        }
        SUBCASE("leave") {
            options.stragglers = leash::Stragglers::leave;
            const Id id = jobs.add(leash::Popen(child({"fork-holder", "3"}), options)).value();
            CHECK(told(events_until_ended(jobs, 1), id) == "output ended");
            CHECK(jobs.remove(id).wait().code() == 3);
            CHECK(census.reaches(1));
        }
    }
    CHECK(before.holds());
}

TEST_CASE("a job that has closed all its streams has not ended") {
    const Census census;
    Supervisor jobs;
    const Id id = jobs.add(leash::Popen(child({"close-all"}), support::capture(census))).value();
    CHECK(jobs.next(long_enough)->kind == Event::output);  // the ends
    while (jobs.next(100ms) || jobs.job(id).out().is_open() || jobs.job(id).err().is_open()) {}
    CHECK(jobs.job(id).out().try_read().eof);
    CHECK(jobs.job(id).err().try_read().eof);
    check_quiet(jobs, 500ms);
    CHECK(jobs.job(id).kill());
    CHECK(told(events_until_ended(jobs, 1), id) == "ended");
}

TEST_CASE("a pipeline is one job here too") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        leash::Options options = support::capture(census);
        options.in = leash::piped;
        options.err = leash::per_stage;
        const auto stage = [](const char* name) {
            return leash::shell("\"$1\" cat; echo \"$2\" >&2; exit 3", {support::helper(), name});
        };
        const Id id = jobs.add(leash::Popen(stage("a") | stage("b") | stage("c"), options)).value();
        const Id other =
            jobs.add(leash::Popen(child({"exit", "0"}) | child({"sleep"}), support::capture(census))).value();
        REQUIRE(jobs.job(id).in().write("through\n", 20s));
        CHECK(hear(jobs, id, "through\n") == "through\n");
        CHECK_FALSE(jobs.job(id).poll());
        jobs.job(id).in().close();
        const auto events = events_until_ended(jobs, 1);
        CHECK(told(events, id) == "output ended");
        CHECK(told(events, other) == "");
        leash::Popen p = jobs.remove(id);
        const leash::Captured captured = p.communicate();
        REQUIRE(captured.errs.size() == 3);
        CHECK(captured.errs[0] == "a\n");
        CHECK(captured.errs[1] == "b\n");
        CHECK(captured.errs[2] == "c\n");
        for (const leash::ExitStatus& status : p.statuses()) CHECK(status.code() == 3);
        CHECK(support::eventually([&] { return !support::is_alive(jobs.job(other).pid()); }));  // its first stage
        CHECK(jobs.job(other).terminate());
        CHECK(told(events_until_ended(jobs, 1), other) == "output ended");
        CHECK(jobs.job(other).statuses()[0].success());
        CHECK(jobs.job(other).statuses()[1].signal() == SIGTERM);
    }
    CHECK(before.holds());
}

TEST_CASE("the stages of a pipeline may end in any order, and nobody looks again and again meanwhile") {
    const Census census;
    Supervisor jobs;
    leash::Options options = support::capture(census);
    const Id first =
        jobs.add(leash::Popen(child({"exit", "0"}) | child({"sleep"}) | child({"exit", "0"}), options)).value();
    const Id last =
        jobs.add(leash::Popen(child({"sleep"}) | child({"exit", "0"}) | child({"exit", "0"}), options)).value();
    while (jobs.next(200ms) || jobs.job(first).out().is_open() || jobs.job(last).out().is_open()) {}
    CHECK_FALSE(jobs.job(first).poll());
    CHECK_FALSE(jobs.job(last).poll());
    check_quiet(jobs, 700ms);
    CHECK(jobs.job(first).kill());
    CHECK(jobs.job(last).kill());
    const auto events = events_until_ended(jobs, 2);
    CHECK(told(events, first).find("ended") != std::string::npos);
    CHECK(told(events, last).find("ended") != std::string::npos);
}

TEST_CASE("a job at a terminal") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        leash::Options options = support::capture(census);
        options.in = leash::tty;
        options.out = leash::tty;
        options.err = leash::tty;
        options.terminal.echo = false;
        SUBCASE("is talked to, and ends at the end of its input") {
            const Id id = jobs.add(leash::Popen(child({"ping-pong"}), options)).value();
            REQUIRE(jobs.job(id).in().write("x\n", 20s));
            CHECK(hear(jobs, id, "got x\r\n") == "got x\r\n");
            jobs.job(id).in().close();
            CHECK(told(events_until_ended(jobs, 1), id) == "output ended");
            CHECK(jobs.job(id).communicate().held.empty());
        }
        SUBCASE("may lose its input, and says on") {
            const Id id = jobs.add(leash::Popen(child({"sleep", "x"}), options)).value();
            CHECK(hear(jobs, id, "x") == "x");
            jobs.job(id).in().close();
            check_quiet(jobs, 700ms);
            CHECK(jobs.job(id).kill());
            CHECK(told(events_until_ended(jobs, 1), id) == "output ended");
        }
        SUBCASE("may have its output closed, and the input stays") {
            const Id id = jobs.add(leash::Popen(child({"wait-then-exit", "5"}), options)).value();
            CHECK(hear(jobs, id, "ready\r\n") == "ready\r\n");
            jobs.job(id).out().close();
            check_quiet(jobs, 700ms);
            REQUIRE(jobs.job(id).in().write("abc\n", 20s));
            jobs.job(id).in().close();
            CHECK(told(events_until_ended(jobs, 1), id) == "ended");
            // Nobody has the terminal open any more: it is hung up, unless it has read its end of file before.
            const leash::ExitStatus status = jobs.job(id).wait();
            CHECK((status.signal() == SIGHUP || status.code() == 5));
        }
        SUBCASE("may close its side, and lives on") {
            const Id id = jobs.add(leash::Popen(child({"close-all"}), options)).value();
            CHECK(told(events_until_ended(jobs, 0), id) == "");
            CHECK(jobs.next(long_enough)->kind == Event::output);
            check_quiet(jobs, 700ms);
            CHECK(jobs.job(id).kill());
            CHECK(told(events_until_ended(jobs, 1), id) == "ended");
        }
        SUBCASE("may close its side before it ends, as many programs do, and is not hung up for it") {
            options.in = leash::null;
            const auto silent = leash::shell("exec <&- >&- 2>&-; sleep 0.1; exit 3");
            const Id id = jobs.add(leash::Popen(silent, options)).value();
            CHECK(told(events_until_ended(jobs, 1), id) == "output ended");
            CHECK(jobs.job(id).wait().code() == 3);
            CHECK(leash::run(silent, options).status.code() == 3);
            options.in = leash::tty;
            CHECK(leash::run(silent, options).status.code() == 3);
        }
        SUBCASE("has its deadline") {
            options.timeout = 100ms;
            const Id id = jobs.add(leash::Popen(child({"sleep"}), options)).value();
            CHECK(told(events_until_ended(jobs, 1), id) == "ending output ended");
            CHECK(jobs.job(id).timed_out());
        }
        SUBCASE("is removed, with a stream closed, and added again") {
            leash::Popen p(child({"ping-pong"}), options);
            for (int i = 0; i < 3; ++i) {
                const Id id = jobs.add(std::move(p)).value();
                REQUIRE(jobs.job(id).in().write("x\n", 20s));
                CHECK(hear(jobs, id, "got x\r\n") == "got x\r\n");
                if (i == 2) jobs.job(id).out().close();
                p = jobs.remove(id);
            }
            CHECK(jobs.empty());
            const Id id = jobs.add(std::move(p)).value();
            jobs.job(id).in().close();
            CHECK(told(events_until_ended(jobs, 1), id) == "ended");
        }
    }
    CHECK(census.reaches(0));
    CHECK(before.holds());
}

TEST_CASE("sinks are served, with no output event, and several jobs may share one") {
    const Census census;
    Supervisor jobs;
    std::string heard;
    leash::Options options = support::silent(census);
    options.out = leash::sink([&](std::string_view chunk) { heard += chunk; });
    const leash::Options with_err = [&] {
        leash::Options both = options;
        both.err = leash::to_out;
        return both;
    }();
    std::vector<Id> ids;
    for (int i = 0; i < 10; ++i)
        ids.push_back(jobs.add(leash::Popen(child({"write", "10000"}), i % 2 ? options : with_err)).value());
    const auto events = events_until_ended(jobs, 10);
    CHECK(events.size() == 10);
    for (const Id id : ids) CHECK(told(events, id) == "ended");
    CHECK(heard.size() == 100'000);
}

TEST_CASE("what a sink throws leaves through next(), and no job and no event is lost by it") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        leash::Options throwing = support::capture(census);
        std::size_t seen = 0, thrown = 0;
        throwing.err = leash::sink([&](std::string_view chunk) {
            seen += chunk.size();
            throw Thrown();
        });
        std::map<Id, std::string> told_of;
        std::vector<Id> ids;
        for (int i = 0; i < 20; ++i) {
            const bool throws = i % 2 == 0;
            leash::Popen p(child({"print-to", "1", "o", "2", "eee"}), throws ? throwing : support::capture(census));
            REQUIRE(support::eventually([&] { return support::state_of(p.pid()) == 'Z'; }));  // all are ready at once
            ids.push_back(jobs.add(std::move(p)).value());
        }
        std::vector<Event> events;
        for (int ended = 0; ended < 20 && thrown < 1000;) {
            try {
                const auto event = jobs.next(long_enough);
                REQUIRE(event);
                events.push_back(*event);
                if (event->kind == Event::ended) ++ended;
            } catch (const Thrown&) {
                ++thrown;
            }
        }
        CHECK(thrown == 10);
        CHECK(seen == 30);
        for (const Id id : ids) {
            CHECK(told(events, id) == "output ended");
            CHECK(jobs.remove(id).communicate().out == "o");
        }
    }
    CHECK(before.holds());
}

TEST_CASE("a source that always throws keeps nobody from the end of its time") {
    const Census census;
    Supervisor jobs;
    leash::Options options = support::silent(census);
    options.grace = 0s;
    options.timeout = 50ms;
    CHECK(jobs.add(leash::Popen(child({"sleep"}), options)));
    options.in = leash::source([]() -> std::string { throw Thrown(); });
    CHECK(jobs.add(leash::Popen(child({"sleep"}), options)));
    const support::Stopwatch watch;
    int ended = 0;
    while (ended < 2 && watch.elapsed() < long_enough) {
        try {
            if (const auto event = jobs.next(long_enough)) ended += event->kind == Event::ended;
        } catch (const Thrown&) {}
    }
    CHECK(ended == 2);
}

TEST_CASE("an output that is found together with a sink's exception is told") {
    const Census census;
    const support::TemporaryDirectory directory;
    Supervisor jobs;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    options.err = leash::sink([](std::string_view) { throw Thrown(); });
    const Id id =
        jobs.add(leash::Popen(leash::shell("echo a >&2; read x; echo out; echo b >&2; : > \"$2\"; exec \"$1\" sleep",
                                           {support::helper(), directory / "said"}),
                              options))
            .value();
    CHECK_THROWS_AS(static_cast<void>(jobs.next(long_enough)), Thrown);
    REQUIRE(jobs.job(id).in().write("x\n", 20s));
    REQUIRE(support::eventually([&] { return ::access((directory / "said").c_str(), F_OK) == 0; }));
    CHECK_THROWS_AS(static_cast<void>(jobs.next(long_enough)), Thrown);
    const auto event = jobs.next(5s);
    REQUIRE(event);
    CHECK(event->kind == Event::output);
    CHECK(jobs.job(id).out().try_read().data == "out\n");
}

TEST_CASE("a sink that throws when its stream is cut off, at cancel() or in next(), spares the others") {
    const Census census;
    Supervisor jobs;
    leash::Options options = support::silent(census);
    options.drain = 50ms;
    bool throws = false;
    options.out = leash::sink([&](std::string_view) {
        if (throws) throw Thrown();
    });
    // An escapee that talks: at the end of the drain there is something in the pipe.
    const auto talker = [&] {
        return leash::Popen(leash::shell("setsid sh -c 'while :; do echo x; done' & exit 0"), options);
    };
    std::vector<Id> ids;
    for (int i = 0; i < 3; ++i) {
        ids.push_back(jobs.add(talker()).value());
        ids.push_back(jobs.add(leash::Popen(child({"sleep"}), support::silent(census))).value());
    }
    throws = true;
    std::vector<Event> events;
    bool cancelled = false;
    const support::Stopwatch watch;
    for (std::size_t ended = 0; ended < ids.size() && watch.elapsed() < long_enough;) {
        try {
            if (!cancelled && watch.elapsed() > 300ms) {
                cancelled = true;
                jobs.cancel();
            }
            const auto event = jobs.next(10ms);
            if (!event) continue;
            events.push_back(*event);
            if (event->kind == Event::ended) ++ended;
        } catch (const Thrown&) {}
    }
    for (const Id id : ids) CHECK(told(events, id).find("ended") != std::string::npos);
}

TEST_CASE("a token ends the jobs that have it, and they tell so") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        leash::Cancel shared;
        leash::Options options = support::silent(census);
        options.cancel = shared;
        options.grace = 20s;
        std::vector<Id> ids;
        const support::Stopwatch watch;
        SUBCASE("fired before add") {
            shared.fire();
            for (int i = 0; i < 5; ++i) ids.push_back(jobs.add(leash::Popen(child({"sleep"}), options)).value());
        }
        SUBCASE("fired before next") {
            for (int i = 0; i < 100; ++i) ids.push_back(jobs.add(leash::Popen(child({"sleep"}), options)).value());
            shared.fire();
        }
        SUBCASE("fired during next, by another thread") {
            for (int i = 0; i < 10; ++i) ids.push_back(jobs.add(leash::Popen(child({"sleep"}), options)).value());
            CHECK_FALSE(jobs.next(10ms));
            support::Sleeper waiting;
            std::thread firing([&] {
                CHECK(waiting.falls_asleep());
                shared.fire();
            });
            waiting.this_thread();
            CHECK(jobs.next(long_enough)->kind == Event::ending);
            firing.join();
            const auto events = events_until_ended(jobs, ids.size());
            CHECK(events.size() == 2 * ids.size() - 1);
            ids.clear();
        }
        SUBCASE("fired by a signal handler") {
            for (int i = 0; i < 10; ++i) ids.push_back(jobs.add(leash::Popen(child({"sleep"}), options)).value());
            of_handler = &shared;
            struct sigaction action {
            }, kept{};
            action.sa_handler = [](int) { of_handler->fire(); };
            ::sigaction(SIGALRM, &action, &kept);
            itimerval soon{};
            soon.it_value.tv_usec = 50'000;
            ::setitimer(ITIMER_REAL, &soon, nullptr);
            CHECK(jobs.next(long_enough)->kind == Event::ending);
            ::sigaction(SIGALRM, &kept, nullptr);
            const Id first = ids.front();
            const auto events = events_until_ended(jobs, ids.size());
            CHECK(events.size() == 2 * ids.size() - 1);
            CHECK(told(events, first).find("ended") != std::string::npos);
            ids.clear();
        }
        const Id untouched = jobs.add(leash::Popen(child({"sleep"}), support::silent(census))).value();
        const auto events = events_until_ended(jobs, ids.size());
        CHECK(watch.elapsed() < 15s);
        for (const Id id : ids) {
            CHECK(told(events, id) == "ending ended");
            leash::Popen p = jobs.remove(id);
            CHECK(p.cancelled());
            CHECK_FALSE(p.timed_out());
            CHECK(p.wait().signal() == SIGTERM);
        }
        CHECK_FALSE(jobs.job(untouched).poll());
    }
    CHECK(before.holds());
}

TEST_CASE("tokens of their own end each job alone") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        std::vector<leash::Cancel> tokens(60);
        std::vector<Id> ids;
        for (const leash::Cancel& token : tokens) {
            leash::Options options = support::silent(census);
            options.cancel = token;
            ids.push_back(jobs.add(leash::Popen(child({"sleep"}), options)).value());
        }
        for (std::size_t i = 0; i < 20; ++i) {
            tokens[i].fire();
            const auto events = events_until_ended(jobs, 1);
            CHECK(told(events, ids[i]) == "ending ended");
            CHECK(events.size() == 2);
        }
        for (std::size_t i = 20; i < 40; ++i) static_cast<void>(jobs.remove(ids[i]));
        for (std::size_t i = 20; i < 60; ++i) tokens[i].fire();
        const auto events = events_until_ended(jobs, 20);
        CHECK(events.size() == 40);
        for (std::size_t i = 40; i < 60; ++i) CHECK(told(events, ids[i]) == "ending ended");
        CHECK_FALSE(jobs.next());
    }
    CHECK(before.holds());
}

TEST_CASE("cancel() ends all jobs, each with its grace, and none that comes later") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        leash::Options options = support::silent(census);
        options.grace = 100ms;
        std::vector<Id> ids;
        for (int i = 0; i < 10; ++i)
            ids.push_back(jobs.add(leash::Popen(child({i % 2 ? "ignore-term" : "sleep"}), options)).value());
        const Id over = jobs.add(leash::Popen(child({"exit", "0"}), options)).value();
        CHECK(told(events_until_ended(jobs, 1), over) == "ended");
        jobs.cancel();
        jobs.cancel();
        const Id late = jobs.add(leash::Popen(child({"sleep"}), options)).value();
        const auto events = events_until_ended(jobs, 10);
        for (const Id id : ids) {
            CHECK(told(events, id) == "ending ended");
            CHECK(jobs.job(id).cancelled());
            CHECK(jobs.job(id).wait().signaled());
        }
        CHECK(told(events, over) == "");
        CHECK(told(events, late) == "");
        CHECK_FALSE(jobs.job(over).cancelled());
        CHECK_FALSE(jobs.next(50ms));
        CHECK_FALSE(jobs.job(late).poll());
    }
    CHECK(before.holds());
}

TEST_CASE("next() with zero or less never waits, and with a time it is on time") {
    const Census census;
    Supervisor jobs;
    leash::Options options = support::capture(census);
    options.timeout = 1h;
    for (int i = 0; i < 10; ++i) REQUIRE(jobs.add(leash::Popen(child({"sleep"}), options)));
    const support::Effort effort;
    support::Stopwatch watch;
    for (int i = 0; i < 200; ++i) {
        CHECK_FALSE(jobs.next(0s));
        CHECK_FALSE(jobs.next(-5s));
    }
    CHECK(effort.sleeps() < 20);
    for (const auto time : {1ms, 20ms, 150ms}) {
        watch = {};
        CHECK_FALSE(jobs.next(time));
        CHECK(watch.elapsed() >= time - 1ms);  // elapsed() rounds down
        CHECK(watch.elapsed() < time + 5s);
    }
}

TEST_CASE("a next() with a time comes back on time also where jobs never stop talking to their sinks") {
    const Census census;
    Supervisor jobs;
    leash::Options options = support::silent(census);
    std::size_t heard = 0;
    options.out = leash::sink([&](std::string_view chunk) { heard += chunk.size(); });
    for (int i = 0; i < 4; ++i) REQUIRE(jobs.add(leash::Popen(child({"flood"}), options)));
    support::Stopwatch watch;
    while (heard == 0 && watch.elapsed() < long_enough) CHECK_FALSE(jobs.next(10ms));
    watch = {};
    heard = 0;
    CHECK_FALSE(jobs.next(200ms));
    CHECK(watch.elapsed() >= 199ms);
    CHECK(watch.elapsed() < 10s);
    CHECK(heard > 0);
    CHECK_FALSE(jobs.next(0s));
}

namespace {

/// A poll() loop of one's own around a Supervisor: until `count` have ended. Gives how often it woke up; -1 where it
/// would have slept for ever.
int foreign_loop(Supervisor& jobs, std::size_t count, std::vector<Event>& events) {
    for (int rounds = 0;; ++rounds) {
        const leash::Timeout left = jobs.time_left();
        const bool forever = left.is_none() || left.length() > long_enough;
        const auto wait = forever
                              ? std::chrono::milliseconds(10s)
                              : std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(left.length()));
        pollfd handle{jobs.handle(), POLLIN, 0};
        const int ready = ::poll(&handle, 1, static_cast<int>(wait.count()));
        if (ready == 0 && forever) return -1;
        try {
            while (const auto event = jobs.next(0s)) {
                events.push_back(*event);
                if (event->kind == Event::ended && --count == 0) return rounds;
            }
        } catch (const Thrown&) {}
    }
}

}  // namespace

TEST_CASE("in a foreign loop its handle and time_left() are enough, and wake nobody in vain") {
    const Census census;
    Supervisor jobs;
    leash::Options options = support::capture(census);
    options.grace = 100ms;
    options.timeout = 500ms;
    const Id late = jobs.add(leash::Popen(child({"ignore-term"}), options)).value();
    options.timeout = leash::Timeout::none();
    options.drain = 700ms;
    const Id held = jobs.add(leash::Popen(child({"setsid-holder", "0", "1", "2"}), options)).value();
    const Id talks = jobs.add(leash::Popen(child({"print-slowly", "a", "b", "c", "d"}), options)).value();
    const int handle = jobs.handle();
    CHECK(handle > 2);
    CHECK((::fcntl(handle, F_GETFD) & FD_CLOEXEC) != 0);
    std::vector<Event> events;
    const support::Stopwatch watch;
    const int rounds = foreign_loop(jobs, 3, events);
    CHECK(rounds > 0);
    CHECK(rounds < 60 + support::looks(watch.elapsed()));
    CHECK(jobs.handle() == handle);
    CHECK(told(events, late).find("ending output ended") != std::string::npos);
    CHECK(told(events, held) == "output ended");
    CHECK(told(events, talks) == "output ended");
    CHECK(jobs.time_left().is_none());
}

TEST_CASE("a foreign loop goes on after what a sink threw") {
    const Census census;
    Supervisor jobs;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    options.err = leash::sink([](std::string_view) { throw Thrown(); });
    std::vector<Id> ids;
    for (int i = 0; i < 6; ++i)
        ids.push_back(jobs.add(leash::Popen(leash::shell("read x; echo e >&2; echo o"), options)).value());
    CHECK_FALSE(jobs.next(50ms));
    for (const Id id : ids) REQUIRE(jobs.job(id).in().write("x\n", 20s));
    for (const Id id : ids) REQUIRE(support::eventually([&] { return !support::is_alive(jobs.job(id).pid()); }));
    std::vector<Event> events;  // all are ready at once
    CHECK(foreign_loop(jobs, ids.size(), events) > 0);
    for (const Id id : ids) CHECK(told(events, id) == "output ended");
}

TEST_CASE("where nothing happens nothing is done") {
    const Census census;
    Supervisor jobs;
    leash::Options options = support::capture(census);
    options.timeout = 1h;
    options.idle_timeout = 1h;
    options.in = leash::piped;
    SUBCASE("jobs that sleep") {
        for (int i = 0; i < 50; ++i) REQUIRE(jobs.add(leash::Popen(child({"sleep"}), options)));
    }
    SUBCASE("one that is stopped") {
        const Id id = jobs.add(leash::Popen(child({"stop-self"}), options)).value();
        REQUIRE(support::eventually([&] { return support::state_of(jobs.job(id).pid()) == 'T'; }));
    }
    SUBCASE("one that has ended, with a pipe that is held") {
        options.drain = 20s;
        const Id id = jobs.add(leash::Popen(child({"setsid-holder", "0", "1"}), options)).value();
        REQUIRE(support::eventually([&] { return support::state_of(jobs.job(id).pid()) == 'Z'; }));
    }
    SUBCASE("one that was cancelled, and takes its time") {
        options.cancel = leash::Cancel();
        options.grace = 1h;
        const Id id = jobs.add(leash::Popen(child({"ignore-term"}), options)).value();
        CHECK(hear(jobs, id, "ready\n") == "ready\n");
        options.cancel->fire();
        CHECK(jobs.next(long_enough)->kind == Event::ending);
    }
    SUBCASE("one that was cancelled before it came") {
        options.cancel = leash::Cancel();
        options.grace = 1h;
        leash::Popen p(child({"ignore-term"}), options);
        CHECK(p.out().read_until("ready\n", 20s));
        options.cancel->fire();
        REQUIRE(jobs.add(std::move(p)));
        CHECK(jobs.next(long_enough)->kind == Event::ending);
    }
    SUBCASE("one that was cancelled here") {
        options.grace = 1h;
        const Id id = jobs.add(leash::Popen(child({"ignore-term"}), options)).value();
        CHECK(hear(jobs, id, "ready\n") == "ready\n");
        jobs.cancel();
        CHECK(jobs.next(long_enough)->kind == Event::ending);
    }
    SUBCASE("one whose streams are all closed, by the host") {
        const Id id = jobs.add(leash::Popen(child({"sleep"}), options)).value();
        jobs.job(id).out().close();
        jobs.job(id).err().close();
        jobs.job(id).in().close();
    }
    SUBCASE("one whose end nobody takes out") {
        REQUIRE(jobs.add(leash::Popen(child({"exit", "0"}), options)));
        CHECK(events_until_ended(jobs, 1).back().kind == Event::ended);
        REQUIRE(jobs.add(leash::Popen(child({"sleep"}), options)));
    }
    while (jobs.next(200ms)) {}
    check_quiet(jobs, 1s);
}

TEST_CASE("what was done with a handle in the set, detach() and moving it away, does no harm") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        const Id moved = jobs.add(leash::Popen(child({"sleep"}), support::capture(census))).value();
        { const leash::Popen p = std::move(jobs.job(moved)); }
        CHECK(told(events_until_ended(jobs, 1), moved).find("ended") != std::string::npos);
        CHECK(jobs.remove(moved).pid() == -1);
        const Id assigned = jobs.add(leash::Popen(child({"sleep"}), support::capture(census))).value();
        jobs.job(assigned) = leash::Popen(child({"sleep"}), support::capture(census));
        CHECK(told(events_until_ended(jobs, 1), assigned).find("ended") != std::string::npos);
    }
    CHECK(census.reaches(0));
    CHECK(before.holds());
}

TEST_CASE("of a status that somebody else took the truth is told or nothing, and the job has ended") {
    const Census census;
    static_cast<void>(support::kernel_keeps_statuses());  // asked while SIGCHLD is not ignored
    const std::string wrong = support::in_host([&]() -> std::string {
        Supervisor jobs;
        std::vector<Id> ids;
        for (int i = 0; i < 3; ++i)
            ids.push_back(jobs.add(leash::Popen(child({"exit", "3"}), support::capture(census))).value());
        for (int i = 0; i < 3; ++i) HOST_NEEDS(::waitpid(-1, nullptr, 0) > 0);
        HOST_NEEDS(events_until_ended(jobs, 3).back().kind == Event::ended);
        const auto three = leash::ExitStatus::from_code(3);
        for (const Id id : ids) HOST_NEEDS(support::is_told(jobs.job(id).wait(), three));
        ::signal(SIGCHLD, SIG_IGN);
        const Id id = jobs.add(leash::Popen(child({"exit", "3"}), support::capture(census))).value();
        HOST_NEEDS(events_until_ended(jobs, 1).back().id == id);
        const leash::ExitStatus status = jobs.job(id).wait();
        HOST_NEEDS(status.unknown() || support::is_told(status, three));  // it may have ended before it had a handle
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a host that is out of descriptors is told so, and the job is as it was") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        leash::Options options = support::capture(census);
        options.in = leash::piped;
        options.max_output = 3;
        leash::Popen p(child({"ping-pong"}), options);
        const pid_t pid = p.pid();
        rlimit limit{}, none{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        none = limit;
        none.rlim_cur = 3;
        Supervisor jobs;
        ::setrlimit(RLIMIT_NOFILE, &none);
        const auto refused = jobs.add(std::move(p));
        ::setrlimit(RLIMIT_NOFILE, &limit);
        HOST_NEEDS(!refused);
        HOST_NEEDS(refused.error().code == std::errc::too_many_files_open);
        HOST_NEEDS(refused.error().step == leash::Step::stream);
        HOST_NEEDS(jobs.empty() && !jobs.next());
        HOST_NEEDS(p.pid() == pid && !p.poll());
        const auto added = jobs.add(std::move(p));
        HOST_NEEDS(added);
        HOST_NEEDS(jobs.job(*added).in().write("x\n", 20s));
        jobs.job(*added).in().close();
        HOST_NEEDS(events_until_ended(jobs, 1).back().kind == Event::ended);
        const leash::Captured captured = jobs.job(*added).communicate();
        HOST_NEEDS(captured.out == "got" && captured.out_dropped == 3);

        // Out of descriptors afterwards: those that are in it need no more.
        options.cancel = leash::Cancel();
        options.timeout = 5s;
        leash::Popen q(child({"sleep"}), options);
        ::setrlimit(RLIMIT_NOFILE, &none);
        const auto last = jobs.add(std::move(q));
        const bool added_too = last.has_value();
        options.cancel->fire();
        const auto events = added_too ? events_until_ended(jobs, 1) : std::vector<Event>();
        ::setrlimit(RLIMIT_NOFILE, &limit);
        HOST_NEEDS(added_too);
        HOST_NEEDS(told(events, *last) == "ending output ended");
        HOST_NEEDS(jobs.job(*last).cancelled());
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a forked copy of the host that drops its copy of the set touches none of the jobs") {
    const Census census;
    Supervisor* const jobs = new Supervisor;
    const Id id = jobs->add(leash::Popen(child({"sleep", "x"}), support::capture(census))).value();
    CHECK(hear(*jobs, id, "x") == "x");
    const std::string wrong = support::in_host([&]() -> std::string {
        jobs->cancel();
        delete jobs;
        return "";
    });
    CHECK(wrong == "");
    CHECK_FALSE(jobs->next(50ms));
    CHECK_FALSE(jobs->job(id).poll());
    CHECK(jobs->job(id).kill());
    CHECK(told(events_until_ended(*jobs, 1), id) == "output ended");
    delete jobs;
}

TEST_CASE("a forked copy of the host may go on with its copy of the set, and the original hears all the same") {
    const Census census;
    const NothingLeft before;
    {
        leash::Cancel cancel;
        leash::Options options = support::capture(census);
        options.in = leash::piped;
        options.cancel = cancel;
        Supervisor jobs;
        std::vector<Id> ids;
        for (int i = 0; i < 3; ++i) {
            ids.push_back(jobs.add(leash::Popen(child({"wait-then-exit", "5"}), options)).value());
            CHECK(hear(jobs, ids.back(), "ready\n") == "ready\n");
        }
        const int handle = jobs.handle();
        const std::string wrong = support::in_host([&]() -> std::string {
            HOST_NEEDS(jobs.handle() == -1 || handle == -1);
            HOST_NEEDS(jobs.time_left().length() == 0ns);
            leash::Popen copy = jobs.remove(ids[0]);
            HOST_NEEDS(copy.wait().unknown());
            const Id own = jobs.add(leash::Popen(child({"print", "mine"}), options)).value();
            HOST_NEEDS(jobs.handle() >= 0 || handle == -1);
            const auto events = events_until_ended(jobs, 3);
            HOST_NEEDS(told(events, ids[1]) == "ended");
            HOST_NEEDS(told(events, ids[2]) == "ended");
            HOST_NEEDS(told(events, own) == "output ended");
            HOST_NEEDS(!jobs.next(0s));
            HOST_NEEDS(jobs.job(ids[1]).wait().unknown());
            HOST_NEEDS(jobs.remove(own).communicate().out == "mine");
            HOST_NEEDS(jobs.remove(ids[1]).wait().unknown());
            return "";
        });
        CHECK(wrong == "");
        CHECK(jobs.handle() == handle);
        CHECK_FALSE(jobs.next(0s));
        for (const Id id : ids) {
            CHECK_FALSE(jobs.job(id).poll());
            CHECK(jobs.job(id).in().write("data\n"));
            jobs.job(id).in().close();
        }
        const auto events = events_until_ended(jobs, 3);
        for (const Id id : ids) {
            CHECK(told(events, id).find("ended") != std::string::npos);
            CHECK(jobs.job(id).wait().code() == 5);
        }
    }
    CHECK(before.holds());
}

TEST_CASE("jobs that come and go leave no memory behind, be their deadlines ever so far") {
    const Census census;
    leash::Options options = support::silent(census);
    options.timeout = 24h;
    leash::Popen p(child({"sleep"}), options);
    Supervisor jobs;
    const auto come_and_go = [&](int times) {
        for (int i = 0; i < times; ++i) {
            const Id id = jobs.add(std::move(p)).value();
            CHECK_FALSE(jobs.next(0s));
            p = jobs.remove(id);
        }
    };
    come_and_go(1000);
    const long before = resident_pages();
    come_and_go(100'000);
    if (!keeps_the_freed) CHECK((resident_pages() - before) * ::sysconf(_SC_PAGESIZE) < 1'500'000);
    CHECK(jobs.time_left().is_none());
}

TEST_CASE("a number of a job that was removed means no job, also where another one has its place") {
    const Census census;
    leash::Supervisor jobs;
    const auto first = jobs.add(leash::Popen(child({"sleep"}), support::silent(census)));
    REQUIRE(first);
    leash::Popen removed = jobs.remove(*first);
    const auto second = jobs.add(leash::Popen(child({"sleep"}), support::silent(census)));
    REQUIRE(second);
    CHECK(jobs.find(*first) == nullptr);
    CHECK(jobs.remove(*first).pid() == -1);
    CHECK(jobs.find(*second) != nullptr);
    CHECK(jobs.job(*second).pid() > 0);
}

TEST_CASE("a token that two jobs share still ends the one when the other was removed") {
    const Census census;
    leash::Options options = support::silent(census);
    options.cancel = leash::Cancel();
    leash::Supervisor jobs;
    const auto first = jobs.add(leash::Popen(child({"sleep"}), options));
    const auto second = jobs.add(leash::Popen(child({"sleep"}), options));
    REQUIRE(first);
    REQUIRE(second);
    CHECK_FALSE(jobs.next(50ms));  // by now both are merely watched
    const leash::Popen removed = jobs.remove(*first);
    options.cancel->fire();
    const auto event = jobs.next(20s);
    REQUIRE(event);
    CHECK(event->kind == leash::Supervisor::Event::ending);
    CHECK(event->id == *second);
}

TEST_CASE("cancel() of a job that is being ended already tells nothing twice") {
    const Census census;
    leash::Options options = support::silent(census);
    options.grace = 200ms;
    leash::Supervisor jobs;
    const auto id = jobs.add(leash::Popen(leash::shell("trap '' TERM; while :; do sleep 0.01; done"), options));
    REQUIRE(id);
    jobs.cancel();
    auto event = jobs.next(20s);
    REQUIRE(event);
    CHECK(event->kind == leash::Supervisor::Event::ending);
    jobs.cancel();
    event = jobs.next(20s);
    REQUIRE(event);
    CHECK(event->kind == leash::Supervisor::Event::ended);
}

TEST_SUITE_BEGIN("threads of Supervisors");

TEST_CASE("Supervisors in threads of their own share a token, which another thread fires") {
    const Census census;
    const NothingLeft before;
    {
        leash::Cancel shared;
        leash::Options options = support::capture(census);
        options.cancel = shared;
        options.grace = 20s;
        constexpr int count = 6;
        std::atomic<int> ready{0}, right{0};
        std::vector<std::thread> threads;
        for (int thread = 0; thread < count; ++thread) {
            threads.emplace_back([&, thread] {
                Supervisor jobs;
                std::vector<Id> ids;
                for (int i = 0; i < 4; ++i) {
                    // Some wait already when it is fired, some do not watch it yet.
                    if (i == 2 && thread % 2 == 0) ++ready;
                    ids.push_back(jobs.add(leash::Popen(child({"sleep", "x"}), options)).value());
                    static_cast<void>(jobs.next(1ms));
                }
                if (thread % 2 != 0) ++ready;
                static_cast<void>(events_until_ended(jobs, ids.size()));
                for (const Id id : ids) {
                    leash::Popen job = jobs.remove(id);
                    if (job.cancelled() && job.wait().signal() == SIGTERM) ++right;
                }
            });
        }
        while (ready < count) std::this_thread::yield();
        shared.fire();
        for (std::thread& thread : threads) thread.join();
        CHECK(right == 4 * count);
    }
    CHECK(census.is_empty());
    CHECK(before.holds());
}

TEST_CASE("jobs of a set that runs are signalled, asked and waited for by other threads") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        std::vector<leash::Popen*> handles;
        std::map<Id, int> ends;
        for (int i = 0; i < 40; ++i) {
            const Id id =
                jobs.add(leash::Popen(child({i % 2 == 0 ? "sleep" : "ignore-term"}), support::silent(census))).value();
            handles.push_back(&jobs.job(id));
            ends[id] = 0;
        }
        std::atomic<int> wrong{0};
        std::vector<std::thread> threads;
        for (std::size_t thread = 0; thread < 4; ++thread) {
            threads.emplace_back([&, thread] {
                for (std::size_t i = 0; i < handles.size(); ++i) {
                    leash::Popen& job = *handles[(i + 10 * thread) % handles.size()];
                    if (thread == 0) static_cast<void>(job.terminate());
                    if (thread == 1) static_cast<void>(job.poll());
                    if (thread == 2 && !job.kill() && !job.wait().signaled()) ++wrong;
                    if (thread == 3 && !job.wait().signaled()) ++wrong;
                }
            });
        }
        for (const Event& event : events_until_ended(jobs, handles.size())) {
            CHECK(event.kind == Event::ended);
            ++ends[event.id];
        }
        for (std::thread& thread : threads) thread.join();
        CHECK(wrong == 0);
        for (const auto& one : ends) CHECK(one.second == 1);
        CHECK_FALSE(jobs.next());
    }
    CHECK(census.is_empty());
    CHECK(before.holds());
}

TEST_CASE("run_all() in many threads at once: each gets its own, and one token ends all") {
    const Census census;
    const NothingLeft before;
    {
        leash::RunAllOptions how;
        how.max_running = 3;
        how.cancel = leash::Cancel();
        std::atomic<int> heard{0}, right{0}, over{0};
        std::vector<std::thread> threads;
        for (int thread = 0; thread < 5; ++thread) {
            threads.emplace_back([&, thread] {
                leash::Options options = support::capture(census);
                options.err = leash::sink([&](std::string_view chunk) { heard += static_cast<int>(chunk.size()); });
                std::vector<leash::Task> list;
                for (int i = 0; i < 6; ++i) {
                    const std::string text = std::to_string(thread) + "." + std::to_string(i);
                    list.push_back({child({"print-to", "1", text, "2", "e"}), options});
                }
                list.push_back({child({"sleep"}), options});
                leash::RunAllOptions mine = how;
                mine.on_end = [&, ends = 0](std::size_t, const leash::Expected<leash::Result>&) mutable {
                    if (++ends == 6) ++over;
                };
                const auto results = leash::run_all(list, mine);
                for (std::size_t i = 0; i < 6; ++i) {
                    if (results[i] && results[i]->out == std::to_string(thread) + "." + std::to_string(i)) ++right;
                }
                if (results[6] && results[6]->cancelled) ++right;
            });
        }
        while (over < 5) std::this_thread::yield();
        how.cancel->fire();
        for (std::thread& thread : threads) thread.join();
        CHECK(heard == 30);
        CHECK(right == 35);
    }
    CHECK(census.is_empty());
    CHECK(before.holds());
}

TEST_SUITE_END();

// ---- what else it waits for

TEST_CASE("timers are told once each, in their order, also without a job; then there is nothing to wait for") {
    const NothingLeft before;
    {
        Supervisor jobs;
        CHECK(jobs.done());
        std::string second = "second";
        const support::Stopwatch watch;
        const Id later = jobs.after(30ms, &second);
        const Id sooner = jobs.after(10ms, 1);
        const Id at_once = jobs.after(-1h, 2);
        const Id taken_back = jobs.after(20ms);
        CHECK(std::set<Id>{later, sooner, at_once, taken_back, 0}.size() == 5);
        CHECK_FALSE(jobs.done());
        CHECK(jobs.empty());  // of jobs
        CHECK(jobs.find(later) == nullptr);
        CHECK(jobs.remove(later).pid() == -1);
        CHECK(jobs.forget(taken_back));
        CHECK_FALSE(jobs.forget(taken_back));

        auto event = jobs.next(0s);
        REQUIRE(event);
        CHECK(event->kind == Event::timer);
        CHECK(event->id == at_once);
        CHECK(event->tag == 2);
        CHECK_FALSE(jobs.time_left().is_none());
        CHECK(jobs.time_left() <= 10ms);
        event = jobs.next();
        REQUIRE(event);
        CHECK(event->id == sooner);
        CHECK(event->tag == 1);
        CHECK(watch.elapsed() >= 10ms);
        event = jobs.next(long_enough);
        REQUIRE(event);
        CHECK(event->id == later);
        CHECK(event->tag_as<std::string>() == &second);
        CHECK(watch.elapsed() >= 30ms);
        CHECK_FALSE(jobs.forget(later));
        CHECK(jobs.done());
        CHECK(jobs.time_left().is_none());
        CHECK_FALSE(jobs.next());

        const Id never = jobs.after(leash::Timeout::none());
        CHECK(jobs.time_left().is_none());
        CHECK_FALSE(jobs.next(1ms));
        CHECK_FALSE(jobs.done());  // so it was the time that was up
        CHECK(jobs.forget(never));

        // One that has come and was not told is taken back too.
        const Id both[] = {jobs.after(0s), jobs.after(0s)};
        CHECK(jobs.next(0s)->id == both[0]);
        CHECK(jobs.forget(both[1]));
        CHECK_FALSE(jobs.next());
    }
    CHECK(before.holds());
}

TEST_CASE("a timer comes also while jobs talk, and starts again what has ended") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        leash::Options options = support::capture(census);
        static_cast<void>(jobs.add(leash::Popen(leash::shell("while :; do echo more; done"), options)).value());
        int starts = 0, ticks = 0;
        const auto start = [&] {
            ++starts;
            return jobs.add(leash::Popen(child({"exit", "3"}), options), 3).value();
        };
        start();
        while (starts < 3 || ticks < 3) {
            const auto event = jobs.next(long_enough);
            REQUIRE(event);
            if (event->kind == Event::output && event->tag == 0)
                static_cast<void>(jobs.job(event->id).out().try_read());
            if (event->kind == Event::ended) {
                CHECK(jobs.remove(event->id).status()->code() == 3);
                CHECK(jobs.after(1ms, 7) != 0);
            }
            if (event->kind != Event::timer) continue;
            CHECK(event->tag == 7);
            ++ticks;
            start();
        }
    }
    CHECK(before.holds());
}

TEST_CASE("a descriptor that is watched is told of as long as it is readable, and never stops the jobs") {
    const Census census;
    const NothingLeft before;
    {
        HostPipe pipe;
        Supervisor jobs;
        char tag = 0;
        const Id watched = jobs.watch(pipe.ends[0], &tag).value();
        CHECK(jobs.done());
        CHECK(jobs.empty());
        CHECK(jobs.handle() > 2);
        CHECK_FALSE(jobs.next(1ms));  // waits, though there is no job
        REQUIRE(::write(pipe.ends[1], "xy", 2) == 2);
        for (int i = 0; i < 2; ++i) {
            const auto event = jobs.next(long_enough);
            REQUIRE(event);
            CHECK(event->kind == Event::readable);
            CHECK(event->id == watched);
            CHECK(event->tag_as<char>() == &tag);
            char byte = 0;
            CHECK(::read(pipe.ends[0], &byte, 1) == 1);
        }
        CHECK_FALSE(jobs.next(0s));

        // Readable all the time, and a job comes to its end all the same.
        REQUIRE(::write(pipe.ends[1], "x", 1) == 1);
        const Id id = jobs.add(leash::Popen(child({"print", "word"}), support::capture(census))).value();
        bool ended = false;
        for (const support::Stopwatch watch; !ended && watch.elapsed() < long_enough;) {
            const auto event = jobs.next();
            REQUIRE(event);
            ended = event->kind == Event::ended;
        }
        CHECK(ended);
        CHECK(jobs.remove(id).communicate().out == "word");
        CHECK(jobs.forget(watched));
        CHECK_FALSE(jobs.forget(watched));
        CHECK_FALSE(jobs.next());

        // Its end is told too.
        const Id ends = jobs.watch(pipe.ends[0], 9).value();
        char byte = 0;
        CHECK(::read(pipe.ends[0], &byte, 1) == 1);
        CHECK_FALSE(jobs.next(0s));
        pipe.close_write();
        CHECK(jobs.next(long_enough)->tag == 9);
        CHECK(jobs.next(long_enough)->id == ends);

        CHECK(jobs.watch(-1).error().code == std::errc::bad_file_descriptor);
        CHECK(jobs.watch(-1).error().step == leash::Step::stream);
        CHECK(jobs.watch(-1).error().subject == "-1");
        const int file = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        const auto refused = jobs.watch(file);  // by epoll
        if (!refused) CHECK(refused.error().code == std::errc::operation_not_permitted);
        if (!refused) CHECK(refused.error().hint == "a file is always readable: there is nothing to wait for");
        if (refused) CHECK(jobs.forget(*refused));
        ::close(file);
    }
    CHECK(before.holds());
}

TEST_CASE("what a signal handler fires is seen whenever the signal comes; one that only interrupts is not told of") {
    const Census census;
    const NothingLeft before;
    {
        leash::Cancel seen;
        of_handler = &seen;
        struct sigaction action {
        }, old_usr1{}, old_alrm{};
        action.sa_handler = [](int) { of_handler->fire(); };  // without SA_RESTART
        ::sigaction(SIGUSR1, &action, &old_usr1);
        action.sa_handler = [](int) {};
        ::sigaction(SIGALRM, &action, &old_alrm);

        Supervisor jobs;
        static_cast<void>(jobs.add(leash::Popen(child({"sleep"}), support::silent(census))).value());
        const Id watched = jobs.watch(seen.handle(), 5).value();
        itimerval often{}, never{};
        often.it_interval.tv_usec = often.it_value.tv_usec = 2'000;
        ::setitimer(ITIMER_REAL, &often, nullptr);
        const support::Stopwatch watch;
        CHECK_FALSE(jobs.next(20ms));
        CHECK(watch.elapsed() >= 20ms);
        ::setitimer(ITIMER_REAL, &never, nullptr);

        ::raise(SIGUSR1);  // before the wait: a flag alone would be missed
        const auto event = jobs.next(long_enough);
        REQUIRE(event);
        CHECK(event->kind == Event::readable);
        CHECK(event->tag == 5);
        CHECK(jobs.next(long_enough)->id == watched);  // for ever
        CHECK(jobs.forget(watched));
        CHECK_FALSE(jobs.next(0s));
        ::sigaction(SIGUSR1, &old_usr1, nullptr);
        ::sigaction(SIGALRM, &old_alrm, nullptr);
    }
    CHECK(before.holds());
}

TEST_CASE("a token for all jobs ends those that are in the set and those that come, and another one takes its place") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        const leash::Cancel first, second;
        CHECK(jobs.cancel_with(first));
        CHECK_FALSE(jobs.next());  // is nothing to wait for
        const Id id = jobs.add(leash::Popen(child({"sleep"}), support::silent(census))).value();
        CHECK(jobs.cancel_with(second));
        first.fire();
        CHECK_FALSE(jobs.next(0s));
        second.fire();
        CHECK(told(events_until_ended(jobs, 1), id) == "ending ended");
        CHECK(jobs.remove(id).cancelled());

        const Id late = jobs.add(leash::Popen(child({"sleep"}), support::silent(census))).value();
        CHECK(told(events_until_ended(jobs, 1), late) == "ending ended");

        // Fired before it was given.
        Supervisor others;
        const Id other = others.add(leash::Popen(child({"sleep"}), support::silent(census))).value();
        CHECK(others.cancel_with(first));
        CHECK(told(events_until_ended(others, 1), other) == "ending ended");
    }
    CHECK(census.reaches(0));
    CHECK(before.holds());
}

TEST_CASE("a copy of the host has neither the timers nor the watches, and the original keeps them") {
    HostPipe pipe;
    Supervisor jobs;
    const Id timer = jobs.after(1h);
    const Id watched = jobs.watch(pipe.ends[0]).value();
    const std::string wrong = support::in_host([&]() -> std::string {
        HOST_NEEDS(!jobs.next());  // and does not wait
        HOST_NEEDS(jobs.done());
        HOST_NEEDS(!jobs.forget(timer) && !jobs.forget(watched));
        const Id own = jobs.after(1ms);
        HOST_NEEDS(jobs.next()->id == own);
        return "";
    });
    CHECK(wrong == "");
    REQUIRE(::write(pipe.ends[1], "x", 1) == 1);
    CHECK(jobs.next(long_enough)->id == watched);
    CHECK(jobs.forget(timer));
    CHECK(jobs.forget(watched));
}

TEST_CASE("a job that has said much and was read holds no memory, be there ever so many") {
    const Census census;
    const NothingLeft before;
    {
        Supervisor jobs;
        std::vector<Id> ids;
        for (int i = 0; i < 100; ++i) {
            leash::Options options = support::capture(census);
            options.in = leash::piped;
            const auto script = leash::shell("read begin; head -c 60000 /dev/zero; read end");
            ids.push_back(jobs.add(leash::Popen(script, options)).value());
        }
        const long pages = resident_pages();
        for (const Id id : ids) {  // one after the other: what waits to be taken is held
            CHECK(jobs.job(id).in().write("\n", long_enough));
            for (std::size_t read = 0; read < 60'000;) {
                const auto event = jobs.next(long_enough);
                REQUIRE(event);
                REQUIRE(event->id == id);
                read += jobs.job(id).out().try_read().data.size();
            }
        }
        if (!keeps_the_freed) CHECK((resident_pages() - pages) * ::sysconf(_SC_PAGESIZE) < 4'000'000);
    }
    CHECK(census.reaches(0));
    CHECK(before.holds());
}

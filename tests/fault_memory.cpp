// tests/fault_memory.cpp - memory that runs out, at every place of a call in turn.
#include "support.hpp"

#include <doctest/doctest.h>

#include <map>
#include <new>
#include <utility>

#include <sys/ioctl.h>
#include <sys/resource.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

// A sanitizer has its own operator new and its own idea of the address space.
#if !SANITIZED

using namespace support;

namespace {

thread_local int allocations_left = -1;  // of this thread, until one fails; -1: none does

}  // namespace

// Not inlined: g++ 12 would see free() meet operator new, and warn of what is no mismatch here.
[[gnu::noinline]] void* operator new(std::size_t size) {
    if (allocations_left > 0 && --allocations_left == 0) {
        allocations_left = -1;
        throw std::bad_alloc();
    }
    if (void* const memory = std::malloc(size > 0 ? size : 1)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

/// communicate() to the end of the job, the nth allocation in it failing; called again where that makes it throw.
leash::Captured communicate_with(leash::Popen& job, int nth, const std::string& input, bool& failed) {
    failed = false;
    std::string given = input;
    allocations_left = nth;
    try {
        leash::Captured captured = job.communicate(std::move(given), 60s);
        allocations_left = -1;
        return captured;
    } catch (const std::bad_alloc&) {
        allocations_left = -1;
        failed = true;
    }
    return job.communicate({}, 60s);
}

}  // namespace

TEST_CASE("no output is lost where memory runs out in the middle of communicate(), which can be called again") {
    const NothingLeft nothing_left;
    const Census census;
    constexpr std::size_t size = 1'500'000;
    struct How {
        const char* what;
        const char* verb;
        leash::Keep keep;
        std::size_t most;
    };
    for (const How& how :
         {How{"all of both streams", "write-both", leash::Keep::head, SIZE_MAX},
          How{"the end", "write", leash::Keep::tail, 300'000}, How{"both ends", "write", leash::Keep::ends, 300'000},
          How{"the end of both", "write-both", leash::Keep::tail, 300'000}}) {
        CAPTURE(std::string(how.what));
        bool failed = true;
        for (int nth = 1; failed && nth < 1000; ++nth) {
            CAPTURE(nth);
            leash::Options options = capture(census);
            options.keep = how.keep;
            options.max_output = how.most;
            leash::Popen job(child({how.verb, std::to_string(size)}), options);
            const leash::Captured captured = communicate_with(job, nth, "", failed);
            REQUIRE(captured.status);
            CHECK(captured.status->success());
            const std::string all = pattern(size);
            const std::size_t head = how.keep == leash::Keep::head   ? size
                                     : how.keep == leash::Keep::ends ? how.most / 2
                                                                     : 0;
            const std::size_t tail = how.keep == leash::Keep::head ? 0 : how.most - head;
            const std::string wanted = all.substr(0, head) + all.substr(size - tail);
            CHECK((captured.out == wanted));
            CHECK(captured.out_dropped == size - wanted.size());
            const bool both = std::strcmp(how.verb, "write-both") == 0;
            CHECK((captured.err == (both ? wanted : "")));
            CHECK(captured.err_dropped == (both ? size - wanted.size() : 0));
        }
        CHECK_FALSE(failed);  // every place has had its turn
    }
    CHECK(nothing_left.holds());
}

TEST_CASE("no stage of a pipeline is left where memory runs out while it starts, nor its guardian") {
    const NothingLeft nothing_left;
    bool failed = true;
    bool has_guardian = false;
    SUBCASE("without one") {}
    SUBCASE("with one") { has_guardian = true; }
    for (int nth = 1; failed && nth < 1000; ++nth) {
        CAPTURE(nth);
        const Census census;
        leash::Options options = capture(census);
        options.die_with_parent = has_guardian;
#if defined(__linux__)
        if (has_guardian) options.reach = leash::Reach::tree;
#endif
        leash::Pipeline stages = child({"sleep"}) | child({"sleep"}) | child({"sleep"});
        failed = false;
        allocations_left = nth;
        try {
            leash::Popen job(std::move(stages), std::move(options));
            allocations_left = -1;
        } catch (const std::bad_alloc&) {
            allocations_left = -1;
            failed = true;
        }
        CHECK(census.is_empty());
    }
    CHECK_FALSE(failed);  // every place has had its turn
    CHECK(nothing_left.holds());
}

TEST_CASE("ending a job needs no memory") {
    const Census census;
    {
        leash::Popen job(child({"sleep"}) | child({"sleep"}), capture(census));
        REQUIRE(census.reaches(2));
        allocations_left = 1;
    }
    const int left = std::exchange(allocations_left, -1);
    CHECK(left == 1);  // none was made: it would have thrown in a destructor
    CHECK(census.is_empty());
}

TEST_CASE("a reply that could not be stored for want of memory is there at the next read") {
    const Census census;
    leash::Options options = capture(census);
    options.in = leash::piped;
    const std::string question = pattern(5'000);
    bool failed = true;
    for (int nth = 1; failed && nth < 100; ++nth) {
        CAPTURE(nth);
        leash::Popen job(child({"cat"}), options);  // a new one, which has no room yet
        REQUIRE(job.in().write(question, 20s));
        failed = false;
        std::string reply;
        allocations_left = nth;
        try {
            reply = job.out().read(question.size(), 20s).data;
            allocations_left = -1;
        } catch (const std::bad_alloc&) {
            allocations_left = -1;
            failed = true;
        }
        while (reply.size() < question.size()) {
            const leash::Read rest = job.out().read(question.size() - reply.size(), 20s);
            REQUIRE(rest);
            reply += rest.data;
        }
        CHECK((reply == question));
    }
    CHECK_FALSE(failed);
}

TEST_CASE("the address space may be limited to what an output needs, and no more") {
    const Census census;
    const std::string wrong = in_host([&]() -> std::string {
        constexpr std::size_t megabyte = std::size_t{1} << 20, size = 100 * megabyte;
        leash::Popen job(child({"write", std::to_string(size)}), capture(census));
        // The child is there, under no limit, and has filled its pipe.
        const int capacity = ::fcntl(job.out().handle(), F_GETPIPE_SZ);
        HOST_NEEDS(capacity > 0);
        HOST_NEEDS(eventually([&] {
            int waiting = 0;
            return ::ioctl(job.out().handle(), FIONREAD, &waiting) == 0 && waiting == capacity;
        }));
        std::FILE* const statm = std::fopen("/proc/self/statm", "re");
        unsigned long pages = 0;
        const int read = statm != nullptr ? std::fscanf(statm, "%lu", &pages) : 0;
        if (statm != nullptr) std::fclose(statm);
        HOST_NEEDS(read == 1);
        // The buffer and, while it grows, the one before.
        const rlim_t most = static_cast<rlim_t>(pages) * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + 250 * megabyte;
        const rlimit limit{most, most};
        HOST_NEEDS(::setrlimit(RLIMIT_AS, &limit) == 0);
        const leash::Captured captured = job.communicate();
        HOST_NEEDS(captured.out.size() == size);
        HOST_NEEDS(captured.status && captured.status->success());
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE(
    "no job, no event and no output is lost where memory runs out in add() or next(), which can be called again") {
    using Event = leash::Supervisor::Event;
    const NothingLeft nothing_left;
    constexpr std::size_t size = 300'000;
    bool failed = true;
    for (int nth = 1; failed && nth < 1000; ++nth) {
        CAPTURE(nth);
        const Census census;
        leash::Options options = capture(census);
        options.timeout = 60s;
        options.cancel = leash::Cancel();
        leash::Supervisor jobs;
        failed = false;
        const auto again = [&](auto function) {
            for (;;) {
                try {
                    return function();
                } catch (const std::bad_alloc&) {
                    failed = true;
                }
            }
        };
        std::map<leash::Supervisor::Id, int> ends;
        int left_over = nth;  // while the test itself is at work
        for (int i = 0; i < 3; ++i) {
            leash::Popen job(child({"write-both", std::to_string(size)}), options);
            const pid_t pid = job.pid();
            allocations_left = left_over;
            const auto id = again([&] {
                REQUIRE(job.pid() == pid);
                return jobs.add(std::move(job));
            });
            left_over = std::exchange(allocations_left, -1);
            ends[id.value()] = 0;
        }
        allocations_left = left_over;
        for (std::size_t left = ends.size(); left > 0;) {
            const auto event = again([&] { return jobs.next(60s); });
            left_over = std::exchange(allocations_left, -1);
            REQUIRE(event);
            if (event->kind == Event::ended) {
                --left;
                ++ends[event->id];
            }
            allocations_left = left_over;
        }
        allocations_left = -1;
        CHECK_FALSE(jobs.next());
        for (const auto& [id, count] : ends) {
            CHECK(count == 1);
            const leash::Captured captured = jobs.remove(id).communicate();
            CHECK(captured.status->success());
            CHECK((captured.out == pattern(size)));
            CHECK((captured.err == pattern(size)));
        }
    }
    CHECK_FALSE(failed);  // every place has had its turn
    CHECK(nothing_left.holds());
}

TEST_CASE("run_all() leaves nothing, and starts nothing twice, where memory runs out") {
    const NothingLeft nothing_left;
    bool failed = true;
    for (int nth = 1; failed && nth < 3000; ++nth) {
        CAPTURE(nth);
        const Census census;
        const TemporaryDirectory directory;
        leash::Options options = capture(census);
        options.env = census.mark(leash::Env::empty());
        options.cancel = leash::Cancel();
        std::vector<leash::Task> jobs;
        for (int i = 0; i < 3; ++i)
            jobs.push_back(
                {leash::shell("echo $2 >> \"$1\"; echo $2", {directory / "started", std::to_string(i)}), options});
        leash::RunAllOptions how;
        how.max_running = 2;
        how.cancel = leash::Cancel();
        std::vector<leash::Expected<leash::Result>> results;
        failed = false;
        allocations_left = nth;
        try {
            results = leash::run_all(std::move(jobs), std::move(how));
            allocations_left = -1;
        } catch (const std::bad_alloc&) {
            allocations_left = -1;
            failed = true;
        }
        CHECK(census.is_empty());
        const auto started = words(read_file(directory / "started"));
        CHECK(std::set<std::string>(started.begin(), started.end()).size() == started.size());
        if (failed) continue;
        for (std::size_t i = 0; i < 3; ++i) CHECK(results[i].value().out == std::to_string(i) + "\n");
    }
    CHECK_FALSE(failed);  // every place has had its turn
    CHECK(nothing_left.holds());
}

#endif

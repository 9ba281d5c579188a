// tests/torture/torture.cpp - random children, started in random ways from many threads, in a host that opens, forks
// and interrupts meanwhile. After each job nothing of it may be left, and after each round nothing at all.
//
//     torture [seconds [threads [seed]]]
#include "children.hpp"
#include "dice.hpp"
#include "jobs.hpp"
#include "noise.hpp"

#include "../support.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using support::Clock;
using torture::Dice;
using torture::Tally;

std::mutex mutex;
std::string failure;  // the first one
std::atomic<bool> failed{false};

void fail(const std::string& what) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (failure.empty()) failure = what;
    failed = true;
}

/// What a thread does now, for when it hangs.
struct Worker {
    std::thread thread;
    std::atomic<const char*> way{"nothing"};
    std::atomic<Clock::rep> since{0};
    Tally tally;

    void work(std::uint64_t seed, Clock::time_point end) {
        Dice dice(seed);
        while (Clock::now() < end && !failed) {
            const torture::Way& next = torture::ways[dice.between(0, static_cast<int>(std::size(torture::ways)) - 1)];
            way = next.name;
            since = Clock::now().time_since_epoch().count();
            torture::Job job(dice, tally);
            try {
                (job.*next.take)();
                job.check_nothing_left();
                ++tally.jobs[next.name];
            } catch (const std::exception& e) {
                fail(std::string(next.name) + " of \"" + job.describe() + "\": " + e.what());
            }
        }
        way = "nothing";
    }

    bool hangs() const {
        const auto began = Clock::time_point(Clock::duration(since.load()));
        return std::string(way) != "nothing" && Clock::now() - began > 180s;
    }
};

/// So many threads for a while, with noise; then all must be as it was.
void round(std::uint64_t seed, unsigned threads, Clock::time_point end, Tally& total) {
    const support::NothingLeft before;
    std::vector<Worker> workers(threads);
    std::vector<pthread_t> handles;
    for (Worker& worker : workers) {
        worker.thread = std::thread([&worker, end, seed = ++seed] { worker.work(seed, end); });
        handles.push_back(worker.thread.native_handle());
    }
    {
        const torture::Noise noise(++seed, handles);
        for (bool busy = true; busy;) {
            std::this_thread::sleep_for(20ms);
            busy = false;
            for (const Worker& worker : workers) {
                busy |= std::string(worker.way) != "nothing";
                if (!worker.hangs()) continue;
                std::fprintf(stderr, "torture: a thread hangs in %s\n", worker.way.load());
                std::abort();
            }
            busy |= Clock::now() < end && !failed;
        }
    }
    for (Worker& worker : workers) {
        worker.thread.join();
        total.add(worker.tally);
    }
    if (!before.holds()) fail("after a round: a descriptor or a child more than before");
}

void report(const char* title, const std::map<std::string, long>& counts) {
    std::printf("%s", title);
    for (const auto& [name, count] : counts) std::printf("  %s %ld", name.c_str(), count);
    std::printf("\n");
}

}  // namespace

int main(int count, char** values) {
    const auto number = [&](int index, std::uint64_t otherwise) {
        return index < count ? std::strtoull(values[index], nullptr, 10) : otherwise;
    };
    const auto seconds = number(1, 60);
    const auto threads = static_cast<unsigned>(number(2, 8));
    const auto seed = number(3, std::random_device()());
    std::printf("torture: %llu s, %u threads, seed %llu\n", static_cast<unsigned long long>(seconds), threads,
                static_cast<unsigned long long>(seed));
    std::fflush(stdout);

    const auto end = Clock::now() + std::chrono::seconds(seconds);
    Tally total;
    long rounds = 0;
    for (; Clock::now() < end && !failed; ++rounds)
        round(seed + static_cast<std::uint64_t>(rounds) * 1000, threads, std::min(end, Clock::now() + 5s), total);

    long jobs = 0;
    for (const auto& [name, one] : total.jobs) jobs += one;
    report("jobs:    ", total.jobs);
    report("children:", total.children);
    std::printf("ends:      by themselves %ld  timed out %ld  cancelled %ld  by force %ld  not started %ld\n",
                total.by_themselves, total.timed_out, total.cancelled, total.by_force, total.not_started);
    std::printf("besides:   held %ld  survivors %ld  escaped and caught %ld  latest return %lld ms after its bound\n",
                total.held, total.survivors, total.escaped, static_cast<long long>(total.latest.count()));
    std::printf("noise:     descriptors opened %ld  forks %ld  signals %ld\n", torture::opened.load(),
                torture::forked.load(), torture::signalled.load());
    std::printf("%ld jobs in %ld rounds: %s\n", jobs, rounds, failed ? "FAILED" : "nothing is left");
    if (failed) std::printf("%s\n", failure.c_str());
    return failed ? 1 : 0;
}

// examples/epoll.cpp - jobs in an event loop of one's own, with epoll(7): nothing in it blocks.
//
//     g++ -std=c++20 -Iinclude examples/epoll.cpp -o epoll -pthread
//
//     ./epoll SECONDS SCRIPT...      runs the scripts side by side and shows their lines as they come; what still runs
//                                    after SECONDS gets SIGTERM, and a second later SIGKILL

#include <leash/leash.hpp>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <string>
#include <string_view>

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

struct Job {
    unsigned number;
    leash::Popen popen;
    std::string line = {};  // has no end yet
};

void watch(int loop, int handle, unsigned number, unsigned events = EPOLLIN) {
    epoll_event event{};
    event.events = events;
    event.data.u32 = number;
    // One that is watched already has told what it knew, or will.
    if (::epoll_ctl(loop, EPOLL_CTL_ADD, handle, &event) != 0 && errno != EEXIST) std::perror("epoll_ctl");
}

void show(Job& job, std::string_view chunk) {
    for (std::size_t end; (end = chunk.find('\n')) != std::string_view::npos; chunk.remove_prefix(end + 1)) {
        std::printf("%u| %s%.*s\n", job.number, job.line.c_str(), static_cast<int>(end), chunk.data());
        job.line.clear();
    }
    job.line += chunk;
}

/// Something has happened: output, an end, or both. Takes what there is, without waiting; true once the job is over.
bool advance(int loop, Job& job) {
    // Where the leader has left somebody behind, it is that one's handle now. Asked before poll(), which has the last word.
    const int exit = job.popen.exit_handle();
    const auto status = job.popen.poll();  // before the read: if it is over, all that it wrote is in the pipe now
    for (bool more = true; more;) {
        const leash::Read read = job.popen.out().try_read(SIZE_MAX);  // all: of what is left, epoll would not tell
        show(job, read.data);
        more = status && read;
    }
    if (!status) {
        watch(loop, exit, job.number, EPOLLIN | EPOLLET);  // told once: it stays readable
        return false;
    }
    if (!job.line.empty()) show(job, "\n");
    std::printf("%u: %s\n", job.number, status->describe().c_str());
    return true;
}

void set_timer(int timer, double seconds) {
    itimerspec when{};
    when.it_value.tv_sec = static_cast<std::time_t>(seconds);
    when.it_value.tv_nsec = static_cast<long>(std::fmod(seconds, 1) * 1e9) + 1;  // zero would mean never
    ::timerfd_settime(timer, 0, &when, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
    const int loop = ::epoll_create1(EPOLL_CLOEXEC), timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    watch(loop, timer, 0);
    set_timer(timer, argc > 1 ? std::atof(argv[1]) : 0);

    std::map<unsigned, Job> jobs;
    for (int i = 2; i < argc; ++i) {
        const unsigned number = static_cast<unsigned>(i - 1);
        // No Options::timeout: the call that keeps it also waits for the grace. Here the loop has a timer for that.
        leash::Popen popen(leash::shell(argv[i]), {.out = leash::piped, .err = leash::to_out});
        // All handles stay the Popen's own, which closes them; with that they are out of the epoll.
        watch(loop, popen.out().handle(), number);
        watch(loop, popen.exit_handle(), number, EPOLLIN | EPOLLET);
        jobs.emplace(number, Job{number, std::move(popen)});
    }

    const auto advance_one = [&](auto found) {
        return advance(loop, found->second) ? jobs.erase(found) : std::next(found);
    };
    for (bool asked = false; !jobs.empty();) {
        // Not everything has a handle that tells: see Popen::time_left().
        std::chrono::nanoseconds left = 1h;
        for (const auto& [number, job] : jobs)
            left = std::min<std::chrono::nanoseconds>(left, job.popen.time_left().length());
        epoll_event event;
        const int milliseconds = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
        const int count = ::epoll_wait(loop, &event, 1, milliseconds);
        if (count == 0) {
            for (auto next = jobs.begin(); next != jobs.end();) next = advance_one(next);
        } else if (count == 1 && event.data.u32 == 0) {  // the timer
            for (auto& [number, job] : jobs) asked ? job.popen.kill() : job.popen.terminate();
            asked = true;
            set_timer(timer, 1);
        } else if (count == 1) {
            if (const auto found = jobs.find(event.data.u32); found != jobs.end()) advance_one(found);
        }
        std::fflush(stdout);
    }
    ::close(timer);
    ::close(loop);
}

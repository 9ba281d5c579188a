// examples/uv.cpp - jobs in an event loop of libuv's (Debian's libuv1-dev): nothing in it blocks.
//
//     g++ -std=c++20 -Iinclude examples/uv.cpp -o uv -pthread -luv
//
//     ./uv SECONDS SCRIPT...      runs the scripts side by side and shows their lines as they come; what still runs
//                                 after SECONDS gets SIGTERM, and a second later SIGKILL

#include <leash/leash.hpp>

#include <algorithm>
#include <chrono>
#include <list>
#include <string>
#include <string_view>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <unistd.h>
#include <uv.h>

using namespace std::chrono_literals;

namespace {

struct Job;

/// Waits for a process's end, by a duplicate: libuv wants no descriptor closed that it watches, and a Popen closes its own
/// when it has somebody else to wait for.
struct Exit {
    Job* job;
    int handle;
    uv_poll_t poll = {};
};

struct Job {
    int number;
    leash::Popen popen;
    int leader = popen.exit_handle();
    std::string line = {};  // has no end yet
    uv_poll_t output = {};
    uv_timer_t timer = {}, look = {};
    Exit* exit = nullptr;
};

void show(Job& job, std::string_view chunk) {
    for (std::size_t end; (end = chunk.find('\n')) != std::string_view::npos; chunk.remove_prefix(end + 1)) {
        std::printf("%d| %s%.*s\n", job.number, job.line.c_str(), static_cast<int>(end), chunk.data());
        job.line.clear();
    }
    job.line += chunk;
}

template <class Handle>
void close(Handle& handle) {
    uv_close(reinterpret_cast<uv_handle_t*>(&handle), nullptr);
}

void close_exit(Job& job) {
    if (job.exit == nullptr) return;
    uv_close(reinterpret_cast<uv_handle_t*>(&job.exit->poll),
             [](uv_handle_t* h) { delete static_cast<Exit*>(h->data); });
    ::close(job.exit->handle);
    job.exit = nullptr;
}

/// Something has happened: output, an end, or both. Takes what there is, without waiting.
void advance(Job& job) {
    // libuv wants no descriptor closed that it watches, and the read may find the end of the stream, and close it.
    uv_poll_stop(&job.output);
    const auto status = job.popen.poll();  // before the read: if it is over, all that it wrote is in the pipe now
    for (bool more = true; more;) {
        const leash::Read read = job.popen.out().try_read(SIZE_MAX);  // all: of what is left, libuv would not tell
        show(job, read.data);
        more = status && read;
    }
    if (!status) {
        const auto said = [](uv_poll_t* handle, int, int) { advance(*static_cast<Job*>(handle->data)); };
        if (job.popen.out().is_open()) uv_poll_start(&job.output, UV_READABLE, said);
        // Not everything has a handle that tells: see Popen::time_left().
        const auto left = std::min<std::chrono::nanoseconds>(job.popen.time_left().length(), 1h);
        const auto look = [](uv_timer_t* timer) { advance(*static_cast<Job*>(timer->data)); };
        const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
        uv_timer_start(&job.look, look, static_cast<std::uint64_t>(milliseconds), 0);
    } else {
        if (!job.line.empty()) show(job, "\n");
        std::printf("%d: %s\n", job.number, status->describe().c_str());
        close(job.output);
        close(job.timer);
        close(job.look);
        close_exit(job);
    }
    std::fflush(stdout);
}

void wait_for_exit(Job& job, int handle) {
    job.exit = new Exit{&job, ::fcntl(handle, F_DUPFD_CLOEXEC, 0)};
    job.exit->poll.data = job.exit;
    uv_poll_init(uv_default_loop(), &job.exit->poll, job.exit->handle);
    uv_poll_start(&job.exit->poll, UV_READABLE, [](uv_poll_t* poll, int, int) {
        Job& one = *static_cast<Exit*>(poll->data)->job;
        close_exit(one);
        // Where the leader has left somebody behind, it is that one's handle now. Asked before poll(), which has the last
        // word. The leader's own would be readable for ever, and tell nothing.
        const int next = one.popen.exit_handle();
        advance(one);
        if (uv_is_closing(reinterpret_cast<uv_handle_t*>(&one.look)) == 0 && next != one.leader)
            wait_for_exit(one, next);
    });
}

void terminate(uv_timer_t* timer) {
    static_cast<Job*>(timer->data)->popen.terminate();
    uv_timer_start(
        timer, [](uv_timer_t* later) { static_cast<Job*>(later->data)->popen.kill(); }, 1000, 0);
}

}  // namespace

int main(int argc, char** argv) {
    std::list<Job> jobs;  // libuv has pointers to them until it is done
    for (int i = 2; i < argc; ++i) {
        // No Options::timeout: the call that keeps it also waits for the grace. Here the loop has a timer for that.
        Job& job = jobs.emplace_back(
            Job{i - 1, leash::Popen(leash::shell(argv[i]), {.out = leash::piped, .err = leash::to_out})});
        job.output.data = job.timer.data = job.look.data = &job;
        uv_poll_init(uv_default_loop(), &job.output, job.popen.out().handle());
        uv_timer_init(uv_default_loop(), &job.timer);
        uv_timer_init(uv_default_loop(), &job.look);
        wait_for_exit(job, job.leader);
        advance(job);
        uv_timer_start(&job.timer, terminate, static_cast<std::uint64_t>(std::atof(argv[1]) * 1000), 0);
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

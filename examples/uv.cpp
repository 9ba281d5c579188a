// examples/uv.cpp - jobs in an event loop of libuv's (Debian's libuv1-dev): nothing in it blocks.
//
//     g++ -std=c++20 -Iinclude examples/uv.cpp -o uv -pthread -luv
//
//     ./uv SECONDS SCRIPT...      runs the scripts side by side and shows their lines as they come; what still runs
//                                 after SECONDS gets SIGTERM, and a second later SIGKILL

#include <leash/leash.hpp>

#include <list>
#include <string>
#include <string_view>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <uv.h>

namespace {

struct Job {
    int number;
    leash::Popen popen;
    std::string line = {};  // has no end yet
    uv_poll_t output = {}, exit = {};
    uv_timer_t timer = {};
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

/// Something has happened: output, the end, or both. Takes what there is, without waiting.
void advance(uv_poll_t* handle, int, int) {
    Job& job = *static_cast<Job*>(handle->data);
    // libuv wants no descriptor closed that it watches, and the read may find the end of the stream, and close it.
    uv_poll_stop(&job.output);
    const auto status = job.popen.poll();  // before the read: if it has ended, all that it wrote is in the pipe now
    for (bool more = true; more;) {
        const leash::Read read = job.popen.out().try_read(SIZE_MAX);  // all: of what is left, libuv would not tell
        show(job, read.data);
        more = status && read;
    }
    if (!status) {
        if (job.popen.out().is_open()) uv_poll_start(&job.output, UV_READABLE, advance);
    } else {
        if (!job.line.empty()) show(job, "\n");
        std::printf("%d: %s\n", job.number, status->describe().c_str());
        close(job.output);
        close(job.exit);
        close(job.timer);
    }
    std::fflush(stdout);
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
        job.output.data = job.exit.data = job.timer.data = &job;
        uv_poll_init(uv_default_loop(), &job.output, job.popen.out().handle());
        uv_poll_init(uv_default_loop(), &job.exit, job.popen.exit_handle());
        uv_timer_init(uv_default_loop(), &job.timer);
        uv_poll_start(&job.output, UV_READABLE, advance);
        uv_poll_start(&job.exit, UV_READABLE, advance);
        uv_timer_start(&job.timer, terminate, static_cast<std::uint64_t>(std::atof(argv[1]) * 1000), 0);
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

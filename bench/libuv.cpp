// bench/libuv.cpp - libuv: uv_spawn with an exit callback, streams and a timer on one loop.
#include "harness.hpp"

#include <memory>

#include <uv.h>

namespace {

using namespace bench;

/// A child, its pipes and its timer; deletes itself when all of them are closed, and then calls `done`.
struct Job {
    uv_process_t process{};
    uv_pipe_t in{}, out{};
    uv_timer_t timer{};
    uv_write_t write{};
    std::string input;
    std::function<void(std::string_view)> take;
    std::function<void()> done;
    int handles = 0;
    char buffer[64 * 1024];

    static Job& of(void* handle) { return *static_cast<Job*>(static_cast<uv_handle_t*>(handle)->data); }

    template <class Handle>
    void add(Handle& handle) {
        handle.data = this;
        ++handles;
    }
    template <class Handle>
    void close(Handle& handle) {
        if (handle.data == nullptr || uv_is_closing(reinterpret_cast<uv_handle_t*>(&handle))) return;
        uv_close(reinterpret_cast<uv_handle_t*>(&handle), [](uv_handle_t* closed) {
            Job& job = of(closed);
            if (--job.handles > 0) return;
            if (job.done) job.done();
            delete &job;
        });
    }

    void start(const Args& args) {
        uv_stdio_container_t stdio[3];
        stdio[0].flags = UV_IGNORE;
        stdio[1].flags = stdio[2].flags = UV_INHERIT_FD;
        stdio[1].data.fd = 1;
        stdio[2].data.fd = 2;
        if (!input.empty()) {
            uv_pipe_init(uv_default_loop(), &in, 0);
            add(in);
            stdio[0].flags = static_cast<uv_stdio_flags>(UV_CREATE_PIPE | UV_READABLE_PIPE);
            stdio[0].data.stream = reinterpret_cast<uv_stream_t*>(&in);
        }
        if (take) {
            uv_pipe_init(uv_default_loop(), &out, 0);
            add(out);
            stdio[1].flags = static_cast<uv_stdio_flags>(UV_CREATE_PIPE | UV_WRITABLE_PIPE);
            stdio[1].data.stream = reinterpret_cast<uv_stream_t*>(&out);
        }
        std::vector<char*> argv;
        for (const std::string& one : args) argv.push_back(const_cast<char*>(one.c_str()));
        argv.push_back(nullptr);
        uv_process_options_t options{};
        options.file = argv[0];
        options.args = argv.data();
        options.stdio = stdio;
        options.stdio_count = 3;
        options.exit_cb = [](uv_process_t* ended, int64_t, int) {
            Job& job = of(ended);
            job.close(job.timer);
            job.close(job.process);
        };
        add(process);
        expect(uv_spawn(uv_default_loop(), &process, &options) == 0, "no start");
        if (take) {
            uv_read_start(
                reinterpret_cast<uv_stream_t*>(&out),
                [](uv_handle_t* handle, std::size_t, uv_buf_t* to) {
                    *to = uv_buf_init(of(handle).buffer, sizeof buffer);
                },
                [](uv_stream_t* stream, ssize_t n, const uv_buf_t* from) {
                    Job& job = of(stream);
                    if (n > 0) job.take(std::string_view(from->base, static_cast<std::size_t>(n)));
                    if (n < 0) job.close(job.out);
                });
        }
        if (!input.empty()) {
            const uv_buf_t data = uv_buf_init(input.data(), static_cast<unsigned>(input.size()));
            write.data = this;
            uv_write(&write, reinterpret_cast<uv_stream_t*>(&in), &data, 1, [](uv_write_t* request, int) {
                Job& job = *static_cast<Job*>(request->data);
                job.close(job.in);
            });
        }
    }

    void kill_after(milliseconds timeout) {
        uv_timer_init(uv_default_loop(), &timer);
        add(timer);
        uv_timer_start(
            &timer,
            [](uv_timer_t* fired) {
                Job& job = of(fired);
                uv_process_kill(&job.process, SIGKILL);
                job.close(job.timer);
            },
            static_cast<std::uint64_t>(timeout.count()), 0);
    }
};

void loop() { uv_run(uv_default_loop(), UV_RUN_DEFAULT); }

void run(const Args& args) {
    (new Job)->start(args);
    loop();
}

std::string both(const Args& args, std::string input) {
    std::string all;
    Job* const job = new Job;
    job->input = std::move(input);
    job->take = [&](std::string_view piece) { all += piece; };
    job->start(args);
    loop();
    return all;
}

std::string capture(const Args& args) { return both(args, {}); }

std::size_t sink(const Args& args) {
    std::size_t count = 0;
    Job* const job = new Job;
    job->take = [&](std::string_view piece) { count += piece.size(); };
    job->start(args);
    loop();
    return count;
}

bool wait(const Args& args, milliseconds timeout) {
    Job* const job = new Job;
    job->start(args);
    job->kill_after(timeout);
    loop();
    return true;
}

std::string deadline(const Args& args, milliseconds timeout) {
    std::string all;
    Job* const job = new Job;
    job->take = [&](std::string_view piece) { all += piece; };
    job->start(args);
    job->kill_after(timeout);
    loop();
    return all;
}

std::size_t many(const Commands& commands, int count, int at_most, bool capture) {
    std::size_t bytes = 0;
    int started = 0;
    std::function<void()> next = [&] {
        if (started == count) return;
        Job* const job = new Job;
        if (capture) job->take = [&](std::string_view piece) { bytes += piece.size(); };
        job->done = next;
        job->start(commands(started++));
    };
    for (int i = 0; i < at_most; ++i) next();
    loop();
    return bytes;
}

}  // namespace

int main() {
    return bench::serve({.version = uv_version_string(),
                         .run = run,
                         .capture = capture,
                         .sink = sink,
                         .both = both,
                         .wait = wait,
                         .deadline = deadline,
                         .many = many});
}

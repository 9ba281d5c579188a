#include <string>
#include <uv.h>

static std::string all;
static char buffer[4096];

int main() {
    uv_loop_t* const loop = uv_default_loop();
    uv_pipe_t out;
    uv_pipe_init(loop, &out, 0);
    uv_stdio_container_t stdio[2] = {};
    stdio[1].flags = static_cast<uv_stdio_flags>(UV_CREATE_PIPE | UV_WRITABLE_PIPE);
    stdio[1].data.stream = reinterpret_cast<uv_stream_t*>(&out);
    char program[] = "/bin/echo", argument[] = "hi";
    char* argv[] = {program, argument, nullptr};
    uv_process_t process;
    uv_process_options_t options{};
    options.file = program;
    options.args = argv;
    options.stdio = stdio;
    options.stdio_count = 2;
    options.exit_cb = [](uv_process_t* ended, int64_t, int) {
        uv_close(reinterpret_cast<uv_handle_t*>(ended), nullptr);
    };
    uv_spawn(loop, &process, &options);
    uv_read_start(
        reinterpret_cast<uv_stream_t*>(&out),
        [](uv_handle_t*, size_t, uv_buf_t* to) { *to = uv_buf_init(buffer, sizeof buffer); },
        [](uv_stream_t* stream, ssize_t n, const uv_buf_t* from) {
            if (n > 0) all.append(from->base, static_cast<std::size_t>(n));
            if (n < 0) uv_close(reinterpret_cast<uv_handle_t*>(stream), nullptr);
        });
    uv_run(loop, UV_RUN_DEFAULT);
    return all == "hi\n" ? 0 : 1;
}

// bench/glib.cpp - GLib: GSubprocess, communicate, and the asynchronous forms on the main loop.
#include "harness.hpp"

#include <gio/gio.h>

namespace {

using namespace bench;

GSubprocess* start(const Args& args, int flags) {
    std::vector<const char*> argv;
    for (const std::string& one : args) argv.push_back(one.c_str());
    argv.push_back(nullptr);
    GSubprocess* const child = g_subprocess_newv(argv.data(), static_cast<GSubprocessFlags>(flags), nullptr);
    expect(child != nullptr, "no start");
    return child;
}

std::string take(GBytes* bytes) {
    gsize size = 0;
    const void* const data = bytes != nullptr ? g_bytes_get_data(bytes, &size) : nullptr;
    std::string all(static_cast<const char*>(data), size);
    if (bytes != nullptr) g_bytes_unref(bytes);
    return all;
}

void run(const Args& args) {
    GSubprocess* const child = start(args, G_SUBPROCESS_FLAGS_NONE);
    g_subprocess_wait(child, nullptr, nullptr);
    g_object_unref(child);
}

std::string capture(const Args& args) {
    GSubprocess* const child = start(args, G_SUBPROCESS_FLAGS_STDOUT_PIPE);
    GBytes* out = nullptr;
    g_subprocess_communicate(child, nullptr, nullptr, &out, nullptr, nullptr);
    g_object_unref(child);
    return take(out);
}

std::size_t sink(const Args& args) {
    GSubprocess* const child = start(args, G_SUBPROCESS_FLAGS_STDOUT_PIPE);
    GInputStream* const out = g_subprocess_get_stdout_pipe(child);
    char buffer[64 * 1024];
    std::size_t count = 0;
    for (gssize n; (n = g_input_stream_read(out, buffer, sizeof buffer, nullptr, nullptr)) > 0;)
        count += static_cast<std::size_t>(n);
    g_subprocess_wait(child, nullptr, nullptr);
    g_object_unref(child);
    return count;
}

std::string both(const Args& args, std::string input) {
    GSubprocess* const child = start(args, G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE);
    GBytes* const in = g_bytes_new_static(input.data(), input.size());
    GBytes* out = nullptr;
    g_subprocess_communicate(child, in, nullptr, &out, nullptr, nullptr);
    g_bytes_unref(in);
    g_object_unref(child);
    return take(out);
}

/// Runs the main loop until the asynchronous call is through, or the time is up: then it is cancelled.
struct Timed {
    GMainLoop* loop = g_main_loop_new(nullptr, FALSE);
    GCancellable* cancel = g_cancellable_new();
    GAsyncResult* result = nullptr;

    ~Timed() {
        g_object_unref(result);
        g_object_unref(cancel);
        g_main_loop_unref(loop);
    }
    static void done(GObject*, GAsyncResult* result, gpointer self) {
        Timed& timed = *static_cast<Timed*>(self);
        timed.result = G_ASYNC_RESULT(g_object_ref(result));
        g_main_loop_quit(timed.loop);
    }
    void run(milliseconds timeout) {
        bool fired = false;
        const std::pair<GCancellable*, bool*> what{cancel, &fired};
        const guint source = g_timeout_add(
            static_cast<guint>(timeout.count()),
            [](gpointer data) {
                const auto& [cancellable, flag] = *static_cast<const std::pair<GCancellable*, bool*>*>(data);
                *flag = true;
                g_cancellable_cancel(cancellable);
                return G_SOURCE_REMOVE;
            },
            const_cast<std::pair<GCancellable*, bool*>*>(&what));
        g_main_loop_run(loop);
        if (!fired) g_source_remove(source);
    }
};

bool wait(const Args& args, milliseconds timeout) {
    GSubprocess* const child = start(args, G_SUBPROCESS_FLAGS_NONE);
    Timed timed;
    g_subprocess_wait_async(child, timed.cancel, Timed::done, &timed);
    timed.run(timeout);
    const bool ended = g_subprocess_wait_finish(child, timed.result, nullptr);
    if (!ended) g_subprocess_force_exit(child);
    g_object_unref(child);
    return ended;
}

std::string deadline(const Args& args, milliseconds timeout) {
    GSubprocess* const child = start(args, G_SUBPROCESS_FLAGS_STDOUT_PIPE);
    Timed timed;
    g_subprocess_communicate_async(child, nullptr, timed.cancel, Timed::done, &timed);
    timed.run(timeout);
    GBytes* out = nullptr;
    if (!g_subprocess_communicate_finish(child, timed.result, &out, nullptr, nullptr)) {
        g_subprocess_force_exit(child);
        g_subprocess_wait(child, nullptr, nullptr);
    }
    g_object_unref(child);
    return take(out);
}

struct Many {
    const Commands& commands;
    int count;
    bool capture;
    GMainLoop* loop = g_main_loop_new(nullptr, FALSE);
    int started = 0, ended = 0;
    std::size_t bytes = 0;

    void next() {
        if (started == count) return;
        const Args args = commands(started++);
        if (capture)
            g_subprocess_communicate_async(start(args, G_SUBPROCESS_FLAGS_STDOUT_PIPE), nullptr, nullptr, done, this);
        else g_subprocess_wait_async(start(args, G_SUBPROCESS_FLAGS_NONE), nullptr, done, this);
    }
    static void done(GObject* source, GAsyncResult* result, gpointer self) {
        Many& many = *static_cast<Many*>(self);
        GSubprocess* const child = G_SUBPROCESS(source);
        if (many.capture) {
            GBytes* out = nullptr;
            g_subprocess_communicate_finish(child, result, &out, nullptr, nullptr);
            many.bytes += take(out).size();
        } else {
            g_subprocess_wait_finish(child, result, nullptr);
        }
        g_object_unref(child);
        if (++many.ended == many.count) g_main_loop_quit(many.loop);
        many.next();
    }
};

std::size_t many(const Commands& commands, int count, int at_most, bool capture) {
    Many many{commands, count, capture};
    for (int i = 0; i < at_most; ++i) many.next();
    g_main_loop_run(many.loop);
    g_main_loop_unref(many.loop);
    return many.bytes;
}

}  // namespace

int main() {
    const auto number = [](guint n) { return std::to_string(n); };
    return bench::serve(
        {.version = number(glib_major_version) + "." + number(glib_minor_version) + "." + number(glib_micro_version),
         .run = run,
         .capture = capture,
         .sink = sink,
         .both = both,
         .wait = wait,
         .deadline = deadline,
         .many = many});
}

#include <gio/gio.h>

int main() {
    GSubprocess* const child = g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE, nullptr, "/bin/echo", "hi", nullptr);
    char* out = nullptr;
    g_subprocess_communicate_utf8(child, nullptr, nullptr, &out, nullptr, nullptr);
    const int differs = g_strcmp0(out, "hi\n");
    g_free(out);
    g_object_unref(child);
    return differs;
}

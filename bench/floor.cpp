// bench/floor.cpp - the same promises as leash's, written by hand for each case with nothing in between: posix_spawn
// with a process group, an empty signal mask, default signals and closefrom, then poll and a pidfd.
#include "posix.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

namespace {

using namespace bench;

pid_t start(const Args& args, int in, int out) {
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    if (in >= 0) ::posix_spawn_file_actions_adddup2(&actions, in, 0);
    if (out >= 0) ::posix_spawn_file_actions_adddup2(&actions, out, 1);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t none, defaults;
    ::sigemptyset(&none);
    ::sigemptyset(&defaults);
    ::sigaddset(&defaults, SIGPIPE);
    ::sigaddset(&defaults, SIGCHLD);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &defaults);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, args[0].c_str(), &actions, &attributes, pointers(args).data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    expect(error == 0, "no start");
    return pid;
}

int open_pidfd(pid_t pid) {
    const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    expect(fd >= 0, "no pidfd");
    return fd;
}

void run(const Args& args) { reap(start(args, -1, -1)); }

// Of the sizes from 64 KiB to 1 MiB, for pipes and reads, this is the fastest, or as fast as any.
constexpr std::size_t scratch_size = 256 * 1024;
char scratch[scratch_size];

/// Gives every piece to `take`. The pipe is grown once a read has come back full.
template <class Take>
void read_all(int fd, Take take) {
    bool grown = false;
    std::size_t size = 64 * 1024;
    for (ssize_t n; (n = ::read(fd, scratch, size)) > 0;) {
        take(std::string_view(scratch, static_cast<std::size_t>(n)));
        if (grown || static_cast<std::size_t>(n) < size) continue;
        grown = true;
        ::fcntl(fd, F_SETPIPE_SZ, scratch_size);
        size = scratch_size;
    }
}

template <class Take>
void stream(const Args& args, Take take) {
    const Pipe out;
    const pid_t pid = start(args, -1, out.write);
    ::close(out.write);
    read_all(out.read, take);
    ::close(out.read);
    reap(pid);
}

std::string capture(const Args& args) {
    std::string all;
    stream(args, [&](std::string_view piece) { all.append(piece); });
    return all;
}

std::size_t sink(const Args& args) {
    std::size_t count = 0;
    stream(args, [&](std::string_view piece) { count += piece.size(); });
    return count;
}

void nonblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

std::string both(const Args& args, std::string input) {
    const Pipe in, out;
    const pid_t pid = start(args, in.read, out.write);
    ::close(in.read);
    ::close(out.write);
    ::fcntl(in.write, F_SETPIPE_SZ, scratch_size);
    ::fcntl(out.read, F_SETPIPE_SZ, scratch_size);
    nonblocking(in.write);
    nonblocking(out.read);
    std::string all;
    std::string_view left = input;
    pollfd ends[2] = {{out.read, POLLIN, 0}, {in.write, POLLOUT, 0}};
    for (;;) {
        ::poll(ends, 2, -1);
        if (ends[1].revents != 0) {
            const ssize_t n = ::write(in.write, left.data(), left.size());
            if (n > 0) left.remove_prefix(static_cast<std::size_t>(n));
            if (left.empty() || (n < 0 && errno == EPIPE)) {
                ::close(in.write);
                ends[1] = {-1, 0, 0};
            }
        }
        if (ends[0].revents != 0) {
            const ssize_t n = ::read(out.read, scratch, scratch_size);
            if (n == 0) break;
            if (n > 0) all.append(scratch, static_cast<std::size_t>(n));
        }
    }
    ::close(out.read);
    reap(pid);
    return all;
}

bool wait(const Args& args, milliseconds timeout) {
    const pid_t pid = start(args, -1, -1);
    pollfd exit{open_pidfd(pid), POLLIN, 0};
    const bool ended = ::poll(&exit, 1, static_cast<int>(timeout.count())) == 1;
    if (!ended) ::kill(-pid, SIGKILL);
    reap(pid);
    ::close(exit.fd);
    return ended;
}

/// At the deadline the group is killed, and what the pipe holds then is all there is: no wait for its end.
std::string deadline(const Args& args, milliseconds timeout) {
    const std::int64_t end = now() + timeout / std::chrono::nanoseconds(1);
    const Pipe out;
    const pid_t pid = start(args, -1, out.write);
    ::close(out.write);
    nonblocking(out.read);
    std::string all;
    const auto read = [&] {
        ssize_t n;
        while ((n = ::read(out.read, scratch, scratch_size)) > 0) all.append(scratch, static_cast<std::size_t>(n));
        return n == 0;
    };
    pollfd readable{out.read, POLLIN, 0};
    for (std::int64_t left; (left = end - now()) > 0;) {
        if (::poll(&readable, 1, static_cast<int>(left / 1'000'000) + 1) == 1 && read()) break;
    }
    ::kill(-pid, SIGKILL);
    read();
    ::close(out.read);
    reap(pid);
    return all;
}

/// One thread, a pidfd per child (and a pipe) in one epoll.
std::size_t many(const Commands& commands, int count, int at_most, bool capture) {
    struct Slot {
        pid_t pid = -1;
        int exit = -1, out = -1;
        std::string output;
    };
    std::vector<Slot> slots(static_cast<std::size_t>(at_most));
    std::vector<std::size_t> idle;
    for (std::size_t i = slots.size(); i-- > 0;) idle.push_back(i);
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    const auto watch = [&](int fd, std::size_t slot, bool is_exit) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = slot * 2 + is_exit;
        expect(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "not watched");
    };
    std::size_t bytes = 0;
    int started = 0, ended = 0;
    while (ended < count) {
        while (started < count && !idle.empty()) {
            const std::size_t i = idle.back();
            idle.pop_back();
            Slot& slot = slots[i];
            const Args args = commands(started++);
            if (capture) {
                const Pipe out;
                nonblocking(out.read);
                slot.pid = start(args, -1, out.write);
                ::close(out.write);
                slot.out = out.read;
                slot.output.clear();
                watch(slot.out, i, false);
            } else {
                slot.pid = start(args, -1, -1);
            }
            slot.exit = open_pidfd(slot.pid);
            watch(slot.exit, i, true);
        }
        epoll_event events[64];
        const int ready = ::epoll_wait(epoll, events, 64, -1);
        for (int e = 0; e < ready; ++e) {
            const std::size_t i = events[e].data.u64 / 2;
            Slot& slot = slots[i];
            if (events[e].data.u64 % 2 == 1) {
                reap(slot.pid);
                ::close(std::exchange(slot.exit, -1));
            } else {
                ssize_t n;
                while ((n = ::read(slot.out, scratch, scratch_size)) > 0)
                    slot.output.append(scratch, static_cast<std::size_t>(n));
                if (n == 0) ::close(std::exchange(slot.out, -1));
            }
            if (slot.exit >= 0 || slot.out >= 0) continue;
            bytes += slot.output.size();
            ++ended;
            idle.push_back(i);
        }
    }
    ::close(epoll);
    return bytes;
}

}  // namespace

int main() {
    return bench::serve({.version = "posix_spawn, poll, pidfd, epoll",
                         .run = run,
                         .capture = capture,
                         .sink = sink,
                         .both = both,
                         .wait = wait,
                         .deadline = deadline,
                         .many = many});
}

// leash/detail/posix/fd.hpp - descriptors that are owned, and how they are made, read, written and closed.
#pragma once

#include <leash/config.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include <leash/deadline.hpp>
#include <leash/detail/posix/syscalls.hpp>
#include <leash/detail/text.hpp>
#include <leash/error.hpp>

#if LEASH_POSIX

namespace LEASH_NAMESPACE::detail::os {

using sys::Mutex;
using Pid = pid_t;

/// Locks a Mutex for a scope.
class Lock {
  public:
    explicit Lock(Mutex& mutex) noexcept : mutex_(mutex) { mutex_.lock(); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() { mutex_.unlock(); }

  private:
    Mutex& mutex_;
};

/// A descriptor that is ours to close. Always close-on-exec, always above 2.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int number) noexcept : number_(number) {}
    Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            close();
            number_ = std::exchange(other.number_, -1);
        }
        return *this;
    }
    ~Fd() { close(); }

    bool is_open() const noexcept { return number_ >= 0; }
    int get() const noexcept { return number_; }

    void close() noexcept {
        // Never again after EINTR: on Linux the number is free by then, and may be somebody else's.
        if (number_ >= 0) sys::close(std::exchange(number_, -1));
    }

  private:
    int number_ = -1;
};

inline Error last_error(Step step, std::string subject, const char* hint = "") {
    return make_error(errno, step, std::move(subject), hint);
}

/// A duplicate numbered `least` or higher; the original stays.
inline int duplicate_above(int fd, int least) noexcept { return sys::fcntl(fd, F_DUPFD_CLOEXEC, least); }

/// A host that was started with 0, 1 or 2 closed gets those numbers for its next files, and a redirection of the
/// child's standard streams would then run over them: such a descriptor is moved up. False with errno.
inline bool move_above_standard(Fd& fd) noexcept {
    if (fd.get() > 2) return true;
    const int moved = duplicate_above(fd.get(), 3);
    if (moved < 0) return false;
    fd = Fd(moved);
    return true;
}

/// An open directory.
class Directory {
  public:
    explicit Directory(const char* path) noexcept : directory_(sys::opendir(path)) {}
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory() {
        if (directory_ != nullptr) ::closedir(directory_);
    }
    bool is_open() const noexcept { return directory_ != nullptr; }
    /// The next entry's name; nullptr after the last.
    const char* next() noexcept {
        const dirent* const entry = ::readdir(directory_);
        return entry != nullptr ? entry->d_name : nullptr;
    }

  private:
    DIR* directory_;
};

struct PipeEnds {
    Fd read, write;
};

/// A pipe whose ends both block, as between two children.
inline Expected<PipeEnds> make_pipe(const char* stream) {
    int numbers[2];
    if (sys::pipe(numbers) != 0) return make_error(errno, Step::redirect, stream, "no pipe could be made");
    PipeEnds ends{Fd(numbers[0]), Fd(numbers[1])};
    if (!move_above_standard(ends.read) || !move_above_standard(ends.write))
        return make_error(errno, Step::redirect, stream, "no pipe could be made");
    return ends;
}

/// Makes our end of a pipe non-blocking, which the child's end does not see: a pipe's two ends are two file
/// descriptions. False with errno.
inline bool make_nonblocking(const Fd& fd) noexcept { return sys::fcntl(fd.get(), F_SETFL, O_NONBLOCK) == 0; }

/// Opens a user's file. O_NONBLOCK keeps a FIFO from blocking the host (it is taken off again: the child shares the
/// description), O_NOCTTY keeps a terminal from becoming the host's.
inline Expected<Fd> open_file(const std::string& path, int flags, const char* stream) {
    const std::string subject = concat({stream, ": ", path});
    int number;
    do number = sys::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
    while (number < 0 && errno == EINTR);
    if (number < 0) return last_error(Step::redirect, subject, errno == ENXIO ? "nobody reads this FIFO" : "");
    Fd fd(number);
    if (sys::fcntl(number, F_SETFL, flags & O_APPEND) != 0 || !move_above_standard(fd))
        return last_error(Step::redirect, subject);
    return fd;
}

/// The host's own descriptor, checked: it is open, whatever it is.
inline bool is_open(int number) noexcept { return number >= 0 && sys::fcntl(number, F_GETFD) >= 0; }

/// The host's own descriptor: is it the terminal that controls the host?
inline bool is_controlling_terminal(int number) noexcept { return sys::tcgetpgrp(number) >= 0; }

/// Non-blocking. At the end of input 0; where there is nothing yet -1 with EAGAIN.
inline ssize_t read_some(const Fd& fd, char* data, std::size_t size) noexcept {
    ssize_t n;
    do n = sys::read(fd.get(), data, size);
    while (n < 0 && errno == EINTR);
    return n;
}

/// Non-blocking, and never a SIGPIPE: -1 with EAGAIN or EPIPE.
inline ssize_t write_some(const Fd& fd, std::string_view data) noexcept {
    sys::NoSigpipe guard;
    ssize_t n;
    do n = sys::write(fd.get(), data.data(), data.size());
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EPIPE) guard.broken();
    return n;
}

/// Has the other side of a terminal been closed by all?
inline bool is_hung_up(const Fd& fd) noexcept {
    pollfd asked{fd.get(), 0, 0};
    return sys::poll(&asked, 1, std::chrono::nanoseconds(0)) == 1 && (asked.revents & POLLHUP) != 0;
}

/// How many bytes can be read at once without waiting.
inline std::size_t bytes_waiting(const Fd& fd) noexcept {
    int count = 0;
    return sys::pending(fd.get(), &count) == 0 && count > 0 ? static_cast<std::size_t>(count) : 0;
}

/// Asks for a pipe of 256 KiB, which sleeps a quarter as often as one of 64 and reaches 95 % of the speed of one of
/// 1 MiB. Only asked once a pipe was found full, since an unprivileged user has a quota (64 MiB in all), past which
/// the kernel refuses (EPERM) and every new pipe is small: a refusal is fine.
inline void grow_pipe(const Fd& fd) noexcept {
#if defined(F_SETPIPE_SZ)  // Linux 2.6.35
    sys::fcntl(fd.get(), F_SETPIPE_SZ, 256 * 1024);
#else
    static_cast<void>(fd);
#endif
}

/// A file without a name that holds the data, to be read from its start.
inline Expected<Fd> file_with(std::string_view data, const char* stream) {
    Fd fd(sys::unnamed_file());
    if (!fd.is_open() || !move_above_standard(fd)) return last_error(Step::redirect, stream, "no file for the bytes");
    while (!data.empty()) {
        const ssize_t n = write_some(fd, data);
        if (n <= 0) return last_error(Step::redirect, stream, "the bytes could not be stored");
        data.remove_prefix(static_cast<std::size_t>(n));
    }
    if (sys::lseek(fd.get(), 0, SEEK_SET) != 0) return last_error(Step::redirect, stream);
    return fd;
}

/// What a thread waits for: some handles and a deadline, in one poll(). It allocates nothing: a job must be able to end
/// also where there is no memory. What is more than it holds counts as a handle that cannot be had.
class WaitSet {
  public:
    void clear() noexcept { count_ = 0; }

    /// A handle to be waited for; false where it is not open, or there is no room for it.
    bool readable(int fd) noexcept { return add(fd, POLLIN); }
    bool writable(int fd) noexcept { return add(fd, POLLOUT); }
    bool empty() const noexcept { return count_ == 0; }

    /// Until one is ready or the deadline has come. An interruption counts as neither: the caller looks again.
    void wait(Deadline deadline) noexcept {
        if (sys::poll(fds_, static_cast<nfds_t>(count_), deadline.remaining()) >= 0) return;
        const bool interrupted = errno == EINTR;
        for (int i = 0; i < count_; ++i) fds_[i].revents = interrupted ? short{0} : fds_[i].events;
        // No memory, or RLIMIT_NOFILE is now below the number of handles (EINVAL): every handle counts as ready,
        // which non-blocking calls can bear, and the pause keeps that from burning a core.
        if (!interrupted) sys::poll(nullptr, 0, std::chrono::milliseconds(1));
    }

    bool any_ready() const noexcept {
        for (int i = 0; i < count_; ++i) {
            if (fds_[i].revents != 0) return true;
        }
        return false;
    }
    /// It is ready, or nobody has asked.
    bool may_be_ready(int fd) const noexcept {
        for (int i = 0; i < count_; ++i) {
            if (fds_[i].fd == fd) return fds_[i].revents != 0;
        }
        return true;
    }

  private:
    static constexpr int capacity = 32;
    bool add(int fd, short events) noexcept {
        if (fd < 0 || count_ == capacity) return false;
        fds_[count_].fd = fd;
        fds_[count_].events = events;
        fds_[count_].revents = 0;
        ++count_;
        return true;
    }
    pollfd fds_[capacity];
    int count_ = 0;
};

/// Sleeps until then.
inline void sleep_until(Deadline deadline) noexcept { sys::poll(nullptr, 0, deadline.remaining()); }

}  // namespace leash::detail::os

#endif  // LEASH_POSIX

// leash/detail/posix/event.hpp - a flag that another thread raises and that a poll() sees.
#pragma once

#include <leash/config.hpp>

#include <atomic>

#include <leash/detail/posix/fd.hpp>

#if LEASH_POSIX

namespace LEASH_NAMESPACE::detail::os {

/// Raised once and for all. raise() only stores to atomics and writes to a pipe: it may be called from a signal
/// handler. The pipe is made when first somebody waits.
class Event {
  public:
    void raise() noexcept {
        raised_.store(true);
        const int error = errno;
        const int end = write_end_.load();
        // Sequentially consistent: either this sees the pipe, or handle() sees the flag. A forked copy of the host
        // shares the pipe and not the flag: it is not to wake this one.
        if (end >= 0 && owner_.load() == sys::getpid()) wake(end);
        errno = error;
    }

    bool raised() const noexcept { return raised_.load(); }

    /// Readable once raised. -1 with errno where no pipe can be had.
    int handle() noexcept {
        Lock lock(mutex_);
        if (!read_.is_open()) {
            auto ends = make_pipe("cancel");
            if (ends && !make_nonblocking(ends->write)) return -1;
            if (!ends) return errno = ends.error().code.value(), -1;
            read_ = std::move(ends->read);
            write_ = std::move(ends->write);
            owner_.store(sys::getpid());
            write_end_.store(write_.get());
            if (raised_.load()) wake(write_.get());
        }
        return read_.get();
    }

  private:
    static void wake(int end) noexcept {
        // A full pipe is as readable as can be. The read end is open as long as this one: no SIGPIPE.
        static_cast<void>(sys::write(end, "!", 1));
    }
    static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

    std::atomic<bool> raised_{false};
    std::atomic<int> write_end_{-1};
    std::atomic<Pid> owner_{-1};
    Mutex mutex_;
    Fd read_, write_;
};

}  // namespace leash::detail::os

#endif  // LEASH_POSIX

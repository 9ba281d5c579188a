// leash/detail/posix/sys/guards.hpp - under what this thread makes its system calls.
#ifndef LEASH_0_1_0_DETAIL_POSIX_SYS_GUARDS_HPP
#define LEASH_0_1_0_DETAIL_POSIX_SYS_GUARDS_HPP

#include <leash/config.hpp>

#if LEASH_POSIX

#include <cerrno>
#include <csignal>

#include <pthread.h>
#include <unistd.h>

namespace leash {
inline namespace LEASH_ABI {
namespace detail::sys {

inline int fail(int error) noexcept {
    errno = error;
    return -1;
}

/// While it lives, this thread cannot be cancelled (pthread_cancel). What waits for a job holds processes and locks, and
/// the unwinding that a cancellation is would end the host in the first function that is noexcept: so it surrounds every
/// call here that POSIX lets be a cancellation point. It costs some nanoseconds, and may be used in a signal handler.
class NoCancellation {
  public:
    [[gnu::noinline]] NoCancellation() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    NoCancellation(const NoCancellation&) = delete;
    NoCancellation& operator=(const NoCancellation&) = delete;
    [[gnu::noinline]] ~NoCancellation() { ::pthread_setcancelstate(before_, &before_); }

  private:
    int before_ = PTHREAD_CANCEL_ENABLE;
};

/// While it lives, this thread is not stopped for using a terminal from the background.
class NoStop {
  public:
    NoStop() noexcept {
        sigset_t output;
        sigemptyset(&output);
        sigaddset(&output, SIGTTOU);
        ::pthread_sigmask(SIG_BLOCK, &output, &before_);
    }
    NoStop(const NoStop&) = delete;
    NoStop& operator=(const NoStop&) = delete;
    ~NoStop() {
        const int error = errno;
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = error;
    }

  private:
    sigset_t before_{};
};

/// While it lives, a write that fails is an error and no signal to this thread, whatever the host does with those
/// signals: to a broken pipe (EPIPE, SIGPIPE), past RLIMIT_FSIZE (EFBIG, SIGXFSZ). The host's dispositions stay
/// untouched. Both go to the thread that writes (POSIX.1-2008, write), so that blocking them there and consuming the one
/// that came is enough.
class NoWriteSignal {
  public:
    NoWriteSignal() noexcept {
        sigset_t both;
        sigemptyset(&both);
        sigaddset(&both, SIGPIPE);
        sigaddset(&both, SIGXFSZ);
        ::sigpending(&pending_);
        active_ = ::pthread_sigmask(SIG_BLOCK, &both, &before_) == 0;
    }
    NoWriteSignal(const NoWriteSignal&) = delete;
    NoWriteSignal& operator=(const NoWriteSignal&) = delete;
    ~NoWriteSignal() {
        if (!active_) return;
        const int error = errno;
        // One that was pending before was blocked before, and is the host's to keep.
        if (raised_ != 0 && sigismember(&pending_, raised_) == 0) consume();
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = error;
    }
    /// The write gave this errno: there may be a signal to consume.
    void failed(int error) noexcept { raised_ = error == EPIPE ? SIGPIPE : error == EFBIG ? SIGXFSZ : 0; }

  private:
    void consume() const noexcept {
        sigset_t pending, one;
        ::sigpending(&pending);
        if (sigismember(&pending, raised_) != 1) return;
        sigemptyset(&one);
        sigaddset(&one, raised_);
        int consumed = 0;
        const NoCancellation guard;
        ::sigwait(&one, &consumed);
    }
    bool active_ = false;
    int raised_ = 0;
    sigset_t pending_{};
    sigset_t before_{};
};

/// A mutex; <mutex> would cost every user more than all of leash.
class Mutex {
  public:
    Mutex() = default;
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;
    ~Mutex() { ::pthread_mutex_destroy(&mutex_); }
    void lock() noexcept { ::pthread_mutex_lock(&mutex_); }
    void unlock() noexcept { ::pthread_mutex_unlock(&mutex_); }

  private:
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

}  // namespace detail::sys
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#endif  // LEASH_0_1_0_DETAIL_POSIX_SYS_GUARDS_HPP

// leash/detail/posix/poller.hpp - one wait for very many handles.
#pragma once

#include <leash/config.hpp>

#include <vector>

#include <cstdint>

#include <leash/deadline.hpp>
#include <leash/detail/posix/fd.hpp>

// EPOLL: Linux 2.6.27 (epoll_create1). Elsewhere one poll() over all: right, but it looks at every handle each time.
#if defined(__linux__)
#define LEASH_EPOLL 1
#else
#define LEASH_EPOLL 0
#endif

#if LEASH_POSIX

namespace LEASH_NAMESPACE::detail::os {

/// Handles that are waited for until they are readable. Each tells that once, by its token, and then no more until it is
/// rearmed: so one that has been closed cannot go on telling, as it would while some copy of it is still open.
class Poller {
  public:
#if LEASH_EPOLL
    /// False with errno.
    bool open() noexcept {
        if (epoll_.is_open()) return true;
        epoll_ = Fd(sys::epoll_create());
        if (epoll_.is_open() && !move_above_standard(epoll_)) epoll_.close();
        return epoll_.is_open();
    }
    /// Readable when one of the handles is; -1 where this system has no such thing.
    int handle() const noexcept { return epoll_.get(); }

    /// False with errno.
    bool add(int fd, std::uint64_t token) { return sys::epoll_control(epoll_.get(), EPOLL_CTL_ADD, fd, token) == 0; }
    void rearm(int fd, std::uint64_t token) noexcept { sys::epoll_control(epoll_.get(), EPOLL_CTL_MOD, fd, token); }
    void remove(int fd) noexcept { sys::epoll_control(epoll_.get(), EPOLL_CTL_DEL, fd, 0); }

    /// Waits until one is ready, the deadline has come, or a signal did. Does not wait while take() has more.
    void wait(Deadline deadline) noexcept {
        if (next_ < count_) return;
        next_ = 0;
        count_ = sys::epoll_wait(epoll_.get(), events_, batch, deadline.remaining());
    }
    bool has_more() const noexcept { return next_ < count_; }
    /// The token of one that is ready; false where wait() is to be called again.
    bool take(std::uint64_t& token) noexcept {
        if (next_ >= count_) return false;
        token = events_[next_++].data.u64;
        return true;
    }

  private:
    static constexpr int batch = 64;
    Fd epoll_;
    epoll_event events_[batch];
    int count_ = 0, next_ = 0;
#else
    bool open() noexcept { return true; }
    int handle() const noexcept { return -1; }

    bool add(int fd, std::uint64_t token) {
        remove(fd);  // one that was closed without a word
        fds_.push_back(pollfd{fd, POLLIN, 0});
        tokens_.push_back(token);
        return true;
    }
    void rearm(int fd, std::uint64_t) noexcept {
        for (pollfd& one : fds_) {
            if (one.fd == fd || one.fd == ~fd) one.fd = fd;
        }
    }
    void remove(int fd) noexcept {
        for (std::size_t i = fds_.size(); i-- > 0;) {
            if (fds_[i].fd != fd && fds_[i].fd != ~fd) continue;
            fds_.erase(fds_.begin() + static_cast<std::ptrdiff_t>(i));
            tokens_.erase(tokens_.begin() + static_cast<std::ptrdiff_t>(i));
        }
    }

    void wait(Deadline deadline) noexcept {
        if (!waited_) waited_ = sys::poll(fds_.data(), static_cast<nfds_t>(fds_.size()), deadline.remaining()) > 0;
    }
    bool has_more() const noexcept { return waited_; }
    bool take(std::uint64_t& token) noexcept {
        for (std::size_t i = 0; waited_ && i < fds_.size(); ++i) {
            if (fds_[i].fd < 0 || fds_[i].revents == 0) continue;
            fds_[i].revents = 0;
            fds_[i].fd = ~fds_[i].fd;  // poll() passes over what is negative
            token = tokens_[i];
            return true;
        }
        return waited_ = false;
    }

  private:
    std::vector<pollfd> fds_;
    std::vector<std::uint64_t> tokens_;
    bool waited_ = false;
#endif
};

}  // namespace leash::detail::os

#endif  // LEASH_POSIX

#undef LEASH_EPOLL

// leash/detail/posix/foreground.hpp - the terminal that controls the host, lent to a job and taken back.
#pragma once

#include <leash/config.hpp>

#include <utility>

#include <leash/detail/posix/fd.hpp>

#if LEASH_POSIX

namespace LEASH_NAMESPACE::detail::os {

/// What a shell does for a job in the foreground (POSIX.1-2017, 11.1.2 and tcsetpgrp): the job's group becomes the
/// terminal's foreground group, so that it may read, and gets Ctrl-C and Ctrl-Z; when it has stopped or ended, the
/// host's group is that again, and the terminal's modes are as they were before. Whoever is in the background himself
/// lends nothing.
class Foreground {
  public:
    Foreground() = default;
    Foreground(Foreground&& other) noexcept { *this = std::move(other); }
    Foreground& operator=(Foreground&& other) noexcept {
        terminal_ = std::move(other.terminal_);
        host_ = other.host_;
        lent_ = std::exchange(other.lent_, false);
        host_modes_ = other.host_modes_;
        job_modes_ = other.job_modes_;
        return *this;
    }
    ~Foreground() { take_back(true); }

    /// Looks whether there is a terminal; without one nothing here does anything. 0, or the errno where that cannot be
    /// told: EMFILE and the like.
    int open() noexcept {
        host_ = sys::getpgrp();
        terminal_ = Fd::open("/dev/tty", O_RDWR | O_NOCTTY);
        // Where the system has no such file, one of the standard streams may be the terminal all the same.
        for (int fd = 0; fd <= 2 && !terminal_.is_open() && !is_shortage(errno); ++fd) {
            if (is_controlling_terminal(fd)) terminal_ = Fd(duplicate_above(fd, 3));
        }
        return !terminal_.is_open() && is_shortage(errno) ? errno : 0;
    }
    bool is_open() const noexcept { return terminal_.is_open(); }
    int handle() const noexcept { return terminal_.get(); }

    bool is_mine() const noexcept { return is_open() && sys::tcgetpgrp(terminal_.get()) == host_; }
    bool is_lent() const noexcept { return lent_; }

    /// Before a child is started that takes it: from now on it is to be taken back.
    void prepare() noexcept {
        host_modes_.read(terminal_);
        lent_ = true;
    }

    void lend(Pid group) noexcept {
        prepare();
        job_modes_.restore(terminal_);
        sys::tcsetpgrp(terminal_.get(), group);
    }

    /// `restoring` the modes that the host had: not where the job ended by itself, since it may be one that is there to
    /// change them (stty, reset).
    void take_back(bool restoring) noexcept {
        if (!std::exchange(lent_, false)) return;
        // Meanwhile the shell that started the host may have taken it (somebody stopped the host alone), or given it to
        // the host itself: then it is not the job's any more.
        const Pid now = sys::tcgetpgrp(terminal_.get());
        if (now == host_ || now == sys::getpgid(sys::getppid()) || now == sys::getpgid(sys::getsid())) return;
        sys::tcsetpgrp(terminal_.get(), host_);
        if (!restoring) return;
        job_modes_.read(terminal_);
        host_modes_.restore(terminal_);
    }

  private:
    struct Modes {
        termios modes{};
        bool known = false;
        void read(const Fd& terminal) noexcept { known = sys::tcgetattr(terminal.get(), &modes) == 0; }
        void restore(const Fd& terminal) const noexcept {
            if (known) sys::tcsetattr(terminal.get(), &modes);
        }
    };

    Fd terminal_;
    Pid host_ = -1;
    bool lent_ = false;
    Modes host_modes_, job_modes_;
};

}  // namespace leash::detail::os

#endif  // LEASH_POSIX

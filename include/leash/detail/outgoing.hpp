// leash/detail/outgoing.hpp - what we write and the child reads.
#ifndef LEASH_0_1_0_DETAIL_OUTGOING_HPP
#define LEASH_0_1_0_DETAIL_OUTGOING_HPP

#include <string>
#include <string_view>
#include <utility>

#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/terminal.hpp>
#include <leash/detail/shared.hpp>
#include <leash/detail/stream_function.hpp>
#include <leash/detail/turnstile.hpp>
#include <leash/options.hpp>

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

/// One pipe, or terminal, for what is to be written.
class Outgoing {
  public:
    explicit Outgoing(const Stdio& stream) : source_(stream.function), is_terminal_(stream.is(Stdio::Kind::tty)) {}

    void begin(os::Fd fd) noexcept { fd_ = std::move(fd); }

    bool is_open() const noexcept { return handle() >= 0; }
    int handle() const noexcept {
        const os::Lock lock(mutex_);
        return fd_.get();
    }
    /// The same where there is something to be written; -1 where there is not.
    int writing() const noexcept {
        const os::Lock lock(mutex_);
        return todo().empty() && (!source_ || finishing_) ? -1 : fd_.get();
    }
    bool has_source() const noexcept { return static_cast<bool>(source_); }
    /// Is it this thread that is in its source?
    bool is_mine() const noexcept { return turnstile_.is_mine(); }
    bool is_writing() const noexcept { return writing() >= 0; }
    bool is_idle() const noexcept {
        const os::Lock lock(mutex_);
        return todo().empty();
    }
    /// More may be added.
    bool is_unfinished() const noexcept {
        const os::Lock lock(mutex_);
        return fd_.is_open() && !finishing_;
    }
    /// How much of what was added is not written.
    std::size_t unwritten() const noexcept {
        const os::Lock lock(mutex_);
        return ending_ ? 0 : queue_.size() - written_;
    }
    /// The same of what was lent.
    std::size_t lent() const noexcept {
        const os::Lock lock(mutex_);
        return lent_.size() + lost_;
    }
    /// EPIPE where the child has closed its end; 0 while nothing went wrong.
    int error() const noexcept {
        const os::Lock lock(mutex_);
        return error_;
    }

    /// Adds to what is to be written, and owns it. All or nothing, should memory run out.
    [[gnu::cold]] void add(std::string data) {
        const os::Lock lock(mutex_);
        if (written_ >= queue_.size()) {
            queue_ = std::move(data);
            written_ = 0;
            return;
        }
        if (written_ > queue_.size() / 2) {  // so that each byte is moved once at the most
            queue_.erase(0, written_);
            written_ = 0;
        }
        queue_ += data;
    }
    /// What is to be written next, owned by the caller until it is, or withdraw() is called. Only when idle.
    void lend(std::string_view data) noexcept {
        const os::Lock lock(mutex_);
        lent_ = data;
        lost_ = 0;
    }
    void withdraw() noexcept { lend({}); }

    /// No more to come: the pipe is closed as soon as all is written. A source knows its end itself.
    [[gnu::cold]] void finish() noexcept {
        if (source_) return;
        const os::Lock lock(mutex_);
        finishing_ = true;
        if (todo().empty()) end();
    }
    /// The same at once: what waits to be written is dropped.
    void finish_now() noexcept {
        const os::Lock lock(mutex_);
        drop();
        finishing_ = true;
        end();
        fd_.close();
    }
    void close() noexcept {
        const os::Lock lock(mutex_);
        fd_.close();
    }
    /// Gives the descriptor away: see Writer::release().
    int release() noexcept {
        const os::Lock lock(mutex_);
        return is_terminal_ || !todo().empty() ? -1 : os::give_away(fd_);
    }

    /// Whom to tell that there is something to be written again: a Supervisor, whose thread's this is then.
    void tell_queue(void (*tell)(void*), void* whom) noexcept {
        tell_ = tell;
        whom_ = whom;
    }
    void told_queue() const {
        if (tell_ != nullptr && is_writing()) tell_(whom_);
    }

    /// Writes what the pipe takes; of a child that reads as fast as we write, a few times what a pipe can hold, so that
    /// whoever keeps a deadline looks at it in between. False where another thread is in its source.
    bool push() {
        if (source_) return feed();
        const os::Lock lock(mutex_);
        write();
        return true;
    }

  private:
    static constexpr std::size_t largest = 256 * 1024;  // at once: as much as a pipe holds that was made larger

    [[gnu::cold]] bool feed() {
        const Turn stream(&turnstile_);
        if (!stream) return false;
        for (int round = 0; round < 4; ++round) {
            if (!wants_more()) return true;
            const Turn function(&source_->turnstile);
            // Its function has started a job that wants something of that same function: it would wait for itself.
            if (!function && source_->turnstile.is_mine()) return give_up(EDEADLK);
            if (!function) return false;
            std::string piece;
            source_->read(piece);
            const os::Lock lock(mutex_);
            finishing_ = piece.empty();
            queue_ = std::move(piece);
            written_ = 0;
            write();
        }
        return true;
    }
    bool wants_more() noexcept {
        const os::Lock lock(mutex_);
        write();
        return todo().empty() && !finishing_ && fd_.is_open();
    }
    bool give_up(int error) noexcept {
        const os::Lock lock(mutex_);
        error_ = error;
        fd_.close();
        return true;
    }

    // These hold the lock.

    std::string_view todo() const noexcept { return lent_.empty() ? std::string_view(queue_).substr(written_) : lent_; }
    void done(std::size_t count) noexcept {
        if (!lent_.empty()) return lent_.remove_prefix(count);
        written_ += count;
        if (written_ < queue_.size()) return;
        queue_ = {};
        written_ = 0;
    }
    void drop() noexcept {
        lost_ += lent_.size();
        lent_ = {};
        queue_.clear();
        written_ = 0;
    }

    void write() noexcept {
        for (int round = 0; round < 4 && !todo().empty() && fd_.is_open(); ++round) {
            const std::string_view piece = todo().substr(0, largest);
            const ssize_t n = os::write_some(fd_, piece);
            if (n < 0) {
                // A terminal that nobody has open takes a little, then nothing more; elsewhere than on Linux: EIO.
                const bool is_gone = is_terminal_ && (errno == EIO || (errno == EAGAIN && os::is_hung_up(fd_)));
                if (errno == EAGAIN && !is_gone) return;
                error_ = is_gone ? EPIPE : errno;
                fd_.close();
                return;
            }
            const std::size_t count = static_cast<std::size_t>(n);
            is_in_line_ = piece[count - 1] != '\n' && piece[count - 1] != '\r';
            if (count < piece.size() && !grown_) {
                grown_ = true;
                os::grow_pipe(fd_);
            }
            done(count);
        }
        if (todo().empty() && finishing_) end();
    }

    /// To close a terminal would hang it up. Its end of file is a character, and in the middle of a line it takes two:
    /// the first one ends the line.
    [[gnu::cold]] void end() noexcept {
        if (!is_terminal_ || ending_ || !fd_.is_open()) return fd_.close();
        ending_ = true;
        drop();
        queue_.assign(is_in_line_ ? 2 : 1, os::end_of_file_character(fd_));  // of so few bytes no string takes memory
        write();
    }

    const Shared<StreamFunction> source_;
    Turnstile turnstile_;      // one thread at a time is in it
    mutable os::Mutex mutex_;  // whoever waits for the job writes what was added
    os::Fd fd_;
    std::string queue_;
    std::size_t written_ = 0;  // of it
    std::string_view lent_;    // before it
    std::size_t lost_ = 0;     // of what was lent: dropped, since a sink has closed this meanwhile
    void (*tell_)(void*) = nullptr;
    void* whom_ = nullptr;
    const bool is_terminal_;
    bool is_in_line_ = false;
    bool finishing_ = false;
    bool ending_ = false;  // what is to be written is the end of file
    bool grown_ = false;
    int error_ = 0;
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_DETAIL_OUTGOING_HPP

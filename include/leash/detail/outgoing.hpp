// leash/detail/outgoing.hpp - what we write and the child reads.
#ifndef LEASH_0_1_0_DETAIL_OUTGOING_HPP
#define LEASH_0_1_0_DETAIL_OUTGOING_HPP

#include <string>
#include <string_view>
#include <utility>

#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/terminal.hpp>
#include <leash/options.hpp>

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

/// One pipe, or terminal, for what is to be written.
class Outgoing {
  public:
    explicit Outgoing(const Stdio& stream) : is_terminal_(stream.is(Stdio::Kind::tty)) {}

    void begin(os::Fd fd) noexcept { fd_ = std::move(fd); }

    bool is_open() const noexcept { return fd_.is_open(); }
    int handle() const noexcept { return fd_.get(); }
    bool is_idle() const noexcept { return todo_.empty(); }
    bool is_writing() const noexcept { return is_open() && !is_idle(); }
    std::size_t unwritten() const noexcept { return ending_ ? 0 : todo_.size(); }
    /// EPIPE where the child has closed its end; 0 while nothing went wrong.
    int error() const noexcept { return error_; }

    /// Adds to what is to be written, and owns it.
    void add(std::string data) {
        if (todo_.empty()) {
            owned_ = std::move(data);
        } else {
            std::string rest(todo_);
            owned_ = std::move(rest) + data;
        }
        todo_ = owned_;
    }
    /// What is to be written, owned by the caller until it is, or withdraw() is called. Only when idle.
    void lend(std::string_view data) noexcept { todo_ = data; }
    void withdraw() noexcept { todo_ = {}; }

    /// No more to come: the pipe is closed as soon as all is written.
    void finish() noexcept {
        finishing_ = true;
        if (todo_.empty()) end();
    }
    /// The same at once: what waits to be written is dropped.
    void finish_now() noexcept {
        todo_ = {};
        finish();
        fd_.close();
    }
    void close() noexcept { fd_.close(); }
    /// Gives the descriptor away: see Writer::release().
    int release() noexcept { return is_terminal_ || !is_idle() ? -1 : os::give_away(fd_); }

    /// Writes what the pipe takes; of a child that reads as fast as we write, a few times what a pipe can hold, so that
    /// whoever keeps a deadline looks at it in between.
    void push() noexcept {
        for (int round = 0; round < 4 && !todo_.empty() && fd_.is_open(); ++round) {
            const std::string_view piece = todo_.substr(0, largest);
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
            is_in_line_ = todo_[count - 1] != '\n' && todo_[count - 1] != '\r';
            if (count < piece.size() && !grown_) {
                grown_ = true;
                os::grow_pipe(fd_);
            }
            todo_.remove_prefix(count);
        }
        if (todo_.empty() && finishing_) end();
    }

  private:
    static constexpr std::size_t largest = 256 * 1024;  // at once: as much as a pipe holds that was made larger

    /// To close a terminal would hang it up. Its end of file is a character, and in the middle of a line it takes two:
    /// the first one ends the line.
    void end() noexcept {
        if (!is_terminal_ || ending_ || !fd_.is_open()) return fd_.close();
        ending_ = true;
        ends_[0] = ends_[1] = os::end_of_file_character(fd_);
        todo_ = std::string_view(ends_, is_in_line_ ? 2 : 1);
        push();
    }

    os::Fd fd_;
    std::string owned_;
    std::string_view todo_;
    char ends_[2] = {};
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

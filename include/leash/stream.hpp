// leash/stream.hpp - the ends of a job's pipes: Reader and Writer.
#ifndef LEASH_0_1_0_STREAM_HPP
#define LEASH_0_1_0_STREAM_HPP

#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <cstddef>
#include <cstdint>

#include <leash/config.hpp>
#include <leash/deadline.hpp>
#include <leash/fwd.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {
class Condition;
class Incoming;
class Pump;
}  // namespace detail

/// The result of a read. Converts to true if the read returned what was asked for.
struct Read {
    std::string data = {};   ///< the bytes that were read
    bool complete = false;   ///< true if `data` is what was asked for
    bool eof = false;        ///< true if the stream has ended and `data` is the last of it
    bool timed_out = false;  ///< true if the timeout of the call expired first; the next read returns what had come
    /// Why the read failed: EBADF if not piped; EDEADLK if called in a sink of the same job; EMSGSIZE: see
    /// read_until().
    std::error_code error = {};

    explicit operator bool() const noexcept { return complete; }  ///< `complete`
};

/// The result of Reader::expect(). Converts to true if one of the patterns appeared.
struct Match {
    std::size_t which = SIZE_MAX;  ///< the index of the pattern that appeared; SIZE_MAX if none did
    std::string before;            ///< the text before the match; at the end of the stream, all the rest
    std::string matched;           ///< the pattern itself, or what the function of expect_if() found
    bool complete = false;         ///< true if there is a match
    bool eof = false;              ///< true if the stream ended without a match
    bool timed_out = false;      ///< true if the timeout of the call expired first; the next read returns what had come
    std::error_code error = {};  ///< why the stream could not be read: see Read::error

    explicit operator bool() const noexcept { return complete; }  ///< `complete`
};

/// The result of a write. Converts to true if all was written.
struct Written {
    std::size_t count = 0;       ///< how many bytes were written to the pipe
    bool complete = false;       ///< true if all bytes were written
    bool timed_out = false;      ///< true if the timeout of the call expired first
    std::error_code error = {};  ///< EPIPE: the child closed its input; EBADF: not piped, or closed; EDEADLK: in a sink

    explicit operator bool() const noexcept { return complete; }  ///< `complete`
};

/// The host's end of a piped `out` or `err`: Popen::out(), Popen::err(). Small, and valid as long as its Popen (also if
/// that is moved). Only one thread at a time may use a stream. If the job's own timeout has expired, every call ends
/// the job. The stream ends with the job, at the latest `drain` after the leader ended (with Stragglers::wait, without
/// this limit).
///
/// While a read waits (not with timeout 0), it also reads the job's other piped outputs and keeps that for their next
/// read, in order, so a job that fills one of them does not block. Output that another thread waits for is left to that
/// thread. handle() does not report what was kept any more; available() does, and in a Supervisor an `output` event.
/// Options::max_output bounds it: a read never drops anything, but once so much of another output is waiting, the job
/// blocks at it until you read that.
class Reader {
  public:
    class Lines;

    /// Waits until there is data, then returns at most `most` bytes of it. At end of file: eof, and no data. Default
    /// timeout: no limit.
    [[nodiscard]] Read read(std::size_t most = 64 * 1024, Timeout timeout = {});

    /// Returns what is there now and does not wait: for event loops, when handle() is readable. Not complete if there
    /// is nothing yet; eof at the end. If you give `most`, call it until it is not complete: data that was read but not
    /// returned is no longer in the descriptor, so the event loop does not report it.
    [[nodiscard]] Read try_read(std::size_t most = SIZE_MAX);

    /// Reads up to and including the first `delimiter` ("\n", "> "). If the stream ends before it, the result is not
    /// complete, and data is the rest.
    [[nodiscard]] Read read_until(std::string_view delimiter, Timeout timeout = {});

    /// The same with a limit, for a child that is not trusted. If the delimiter does not end within the first `most`
    /// bytes, returns those bytes, not complete, with the error EMSGSIZE; the next read continues after them. Keeps at
    /// most `most` bytes plus 1 MiB in memory.
    [[nodiscard]] Read read_until(std::string_view delimiter, std::size_t most, Timeout timeout);

    /// Do not compile: a delimiter is a string.
    /// @{
    // Compilers show the line:
    // clang-format off
    Read read_until(char, Timeout = {}) = delete;          // leash: a delimiter is a string: write read_until("\n").
    Read read_until(char, std::size_t, Timeout) = delete;  // leash: a delimiter is a string: write read_until("\n", most, timeout).
    // clang-format on
    /// @}

    /// Reads exactly `count` bytes, for example a message body whose length was in the header. If the stream ends
    /// before, the result is not complete, and data is the rest. It keeps all bytes in memory: check a length that
    /// another program sent.
    [[nodiscard]] Read read_exactly(std::size_t count, Timeout timeout = {});

    /// Reads until one of the patterns (plain text) appears: `expect({"password: ", "$ "}, 5s).which`. The match that
    /// starts first in the stream wins; at the same place, the first in the list. A match is reported at once, even if
    /// a longer pattern could still match. The next read returns what follows the match. For other patterns see
    /// expect_if(). The result may be ignored.
    Match expect(std::initializer_list<std::string_view> patterns, Timeout timeout = {});
    /// The same with one pattern.
    Match expect(std::string_view pattern, Timeout timeout = {});
    /// Does not compile: one pair of braces is enough. (In C++20 two strings in braces of their own would be one pattern,
    /// from one address to another.)
    Match expect(std::initializer_list<std::initializer_list<const char*>> patterns, Timeout timeout = {}) = delete;
    /// The same with a range of patterns that convert to std::string_view, for example a vector of strings.
    template <class Range, class = std::enable_if_t<!std::is_convertible_v<const Range&, std::string_view>>,
              class = decltype(std::string_view(*std::declval<const Range&>().begin()))>
    Match expect(const Range& patterns, Timeout timeout = {}) {
        // Copies: it may make its members as they are asked for.
        const std::vector<std::decay_t<decltype(*patterns.begin())>> kept(patterns.begin(), patterns.end());
        // Dependent, so that it is compiled only where this is called.
        const std::vector<decltype(std::string_view(*patterns.begin()))> all(kept.begin(), kept.end());
        return expect_any(all.data(), all.size(), timeout);
    }

    /// The same with a function, for example for regular expressions. leash calls `find(waiting)` with all unread text,
    /// each time that there is more. It returns the part that it found, as a std::string_view into that text, or a
    /// default-constructed one. Later calls get the same text again with more at the end: if the text can be long, let
    /// the function remember how far it has searched.
    template <class Function>
    Match expect_if(Function find, Timeout timeout = {}) {
        return expect_by(
            &find,
            [](void* it, std::string_view waiting) -> std::string_view {
                return (*static_cast<Function*>(it))(waiting);
            },
            timeout);
    }

    /// Reads to the end of the stream. If `timeout` expires first, data is empty, and the next read returns what had
    /// come.
    [[nodiscard]] Read read_all(Timeout timeout = {});

    /// Returns a range of lines for a range-based for. `timeout` limits all lines together. The range ends with the
    /// stream or when the time is up: see Lines::timed_out(). If the stream is not piped, or the call is made in a sink
    /// of the job, begin() throws SystemError (EBADF, EDEADLK); without exceptions there are no lines, and
    /// Lines::error() tells why.
    [[nodiscard]] Lines lines(Timeout timeout = {});

    /// Returns how many bytes leash has read from the descriptor that you have not taken yet. handle() does not report
    /// them any more. Bytes that are still in the pipe do not count.
    std::size_t available() const noexcept;

    /// False once the stream has ended, or if it was never piped. What was read before can still be taken.
    bool is_open() const noexcept;
    /// True if leash stopped reading because the job had ended but a process still had the stream open when `drain` ran
    /// out. Streams::held names the process.
    bool held() const noexcept;
    /// Returns the descriptor for event loops; non-blocking, and it belongs to the Popen. no_handle once the stream has
    /// ended.
    Handle handle() const noexcept;
    /// Closes the host's end: the child gets SIGPIPE at its next write. What was read before can still be taken.
    void close() noexcept;
    /// Returns the descriptor and gives it up. The caller must close it. It is blocking again and close-on-exec. For
    /// the Popen the stream has ended: it no longer waits for it. What leash had read before (available() bytes) comes
    /// before what the descriptor returns, and can still be taken. If there is no descriptor (not piped, or ended) or
    /// it is a terminal, which `in` shares, changes nothing and returns no_handle. If the job is in a Supervisor,
    /// remove it first.
    [[nodiscard]] Handle release();

  private:
    friend class Popen;
    Reader(detail::Pump* pump, detail::Incoming* stream, bool is_err) : pump_(pump), stream_(stream), is_err_(is_err) {}

    /// Waits until there is enough or the stream has ended; false if the limit came first.
    bool wait(detail::Condition enough, detail::Deadline limit);

    Match expect_any(const std::string_view* patterns, std::size_t count, Timeout timeout);

    /// expect_if() without the type of its function.
    Match expect_by(void* function, std::string_view (*ask)(void*, std::string_view), Timeout timeout);

    /// Reads until the delimiter is there; returns its place in the unread text, or npos.
    std::size_t find(std::string_view delimiter, detail::Deadline limit);

    Read give(std::size_t count, bool complete, bool timed_out);

    /// The result of every read from an empty Popen.
    static Read give_nothing();
    bool is_piped() const noexcept;

    detail::Pump* pump_;
    detail::Incoming* stream_;  // nullptr of an empty handle; nothing is open then
    bool is_err_;
};

/// The lines of a stream, for a range-based for. Each line is without its newline; a carriage return stays. Text
/// without a newline at the end of the stream is a line too. A view is valid until the next step, or another read of
/// the stream. A line can have any length. Only the loop's condition waits for the next line: `views::take(3)` neither
/// waits for a fourth line nor takes it.
class Reader::Lines {
  public:
    class iterator {
      public:
        using value_type = std::string_view;
        using reference = std::string_view;
        using pointer = const std::string_view*;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;

        iterator() = default;
        std::string_view operator*() const { return *operator->(); }
        const std::string_view* operator->() const {
            lines_->look();
            return &lines_->line_;
        }
        iterator& operator++() {
            lines_->look();
            lines_->is_due_ = true;  // and no more: who takes so many has no use for the next one
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(iterator a, iterator b) { return a.current() == b.current(); }
        friend bool operator!=(iterator a, iterator b) { return a.current() != b.current(); }

      private:
        friend class Lines;
        explicit iterator(Lines* lines) noexcept : lines_(lines) {}
        Lines* current() const { return lines_ != nullptr && lines_->look() ? lines_ : nullptr; }
        Lines* lines_ = nullptr;
    };

    /// Moves the range, only before begin(), as in `p.out().lines() | std::views::take(3)`. `other` has no lines
    /// afterwards.
    /// @{
    Lines(Lines&& other) noexcept : reader_(other.reader_), limit_(other.limit_) { other.reader_.stream_ = nullptr; }
    Lines& operator=(Lines&& other) noexcept;
    /// @}
    /// The last line that was seen counts as read, also if the loop was left early.
    ~Lines();

    /// Input iterators over std::string_view. Call begin() only once.
    /// @{
    iterator begin();
    iterator end() noexcept { return iterator(nullptr); }
    /// @}

    /// Returns why the stream could not be read; no error if the stream has just ended, or lines may follow.
    std::error_code error() const noexcept { return error_; }
    /// True if the lines ended because the timeout expired; the next read returns what had come of the next line.
    bool timed_out() const noexcept { return timed_out_; }

  private:
    friend class Reader;
    Lines(Reader reader, detail::Deadline limit) : reader_(reader), limit_(limit) {}

    bool next();
    bool look();
    [[noreturn]] void fail() const;

    Reader reader_;
    detail::Deadline limit_;
    std::string_view line_;
    std::error_code error_;
    bool timed_out_ = false;
    bool has_line_ = false;
    bool is_due_ = false;  // the next one, as soon as somebody looks
};

/// The host's end of a piped `in`: Popen::in(). Small, and valid as long as its Popen (also if that is moved). Only one
/// thread at a time may use it. Never raises SIGPIPE in the host.
class Writer {
  public:
    /// Writes all of `data`, until the timeout expires, the child closes its input, or the job ends. Writes first what
    /// enqueue() has queued. While the child does not read, write() reads the child's piped output and keeps it for the
    /// next read (at most Options::max_output), so a conversation of any size works on one thread. handle() does not
    /// report that output any more; available() does, and Supervisor::next(). A line of Reader::lines() stays valid.
    Written write(std::string_view data, Timeout timeout = {});

    /// Writes what the pipe takes now and does not wait: for event loops, when handle() is writable. `count` is how
    /// much.
    Written try_write(std::string_view data);

    /// Queues `data` and never waits. Writes at once what the pipe takes. Later calls that wait for, poll or read from
    /// the job write the rest, and so do write() and Supervisor::next(). (A call that another thread is in already does
    /// not: if another thread reads, use write().) Returns false if `in` is not open or finish() was called; then
    /// nothing is queued. Returns false also if the child has closed its input: queued() is then what was not written.
    bool enqueue(std::string data);
    /// Returns how many bytes are not written yet, of enqueue() and of a communicate() that timed out.
    std::size_t queued() const noexcept;
    /// Gives the child end of file when the queue is written. A later call that waits or polls writes the queue.
    void finish() noexcept;

    /// False once either side has closed it, or if it was never piped.
    bool is_open() const noexcept;
    /// Returns the descriptor for event loops; non-blocking, and it belongs to the Popen. no_handle if it is closed.
    Handle handle() const noexcept;
    /// Gives the child end of file at once; drops what is queued. For a tty: sends Ctrl-D, and the terminal stays open.
    /// If the terminal's input buffer is full (some KiB that the child has not read), Ctrl-D is lost; communicate()
    /// waits for room.
    void close() noexcept;
    /// Returns the descriptor and gives it up. The caller must close it. It is blocking again and close-on-exec; a
    /// write to it can raise SIGPIPE. For the Popen it is closed. If there is no descriptor, if data is still queued,
    /// or if it is a terminal, which `out` shares, changes nothing and returns no_handle. If the job is in a
    /// Supervisor, remove it first.
    [[nodiscard]] Handle release() noexcept;

  private:
    friend class Popen;
    explicit Writer(detail::Pump* pump) : pump_(pump) {}

    bool drain(detail::Deadline limit, bool lent_only);

    detail::Pump* pump_;
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/stream.ipp>

#endif  // LEASH_0_1_0_STREAM_HPP

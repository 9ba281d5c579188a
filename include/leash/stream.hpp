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
    std::string data = {};   ///< the bytes
    bool complete = false;   ///< data is what was asked for
    bool eof = false;        ///< the stream has ended, and data is the last of it
    bool timed_out = false;  ///< the call's own time was up first; what had come stays for the next read
    std::error_code error =
        {};  ///< the stream could not be read: EBADF where it is not piped, EDEADLK in a sink of the job's

    explicit operator bool() const noexcept { return complete; }  ///< `complete`
};

/// The result of Reader::expect(). Converts to true if one of the patterns appeared.
struct Match {
    std::size_t which = SIZE_MAX;  ///< the index of the pattern that came; SIZE_MAX where none did
    std::string before;            ///< what stood before it; at the end of the stream: all the rest
    std::string matched;           ///< the pattern itself, or what the function found
    bool complete = false;         ///< it came
    bool eof = false;              ///< the stream ended before one did
    bool timed_out = false;        ///< the call's own time was up first; what had come stays for the next read
    std::error_code error = {};    ///< the stream could not be read: EBADF where it is not piped

    explicit operator bool() const noexcept { return complete; }  ///< `complete`
};

/// The result of a write. Converts to true if all was written.
struct Written {
    std::size_t count = 0;       ///< how many bytes the pipe took
    bool complete = false;       ///< all of them
    bool timed_out = false;      ///< the call's own time was up first
    std::error_code error = {};  ///< EPIPE: the child reads no more; EBADF: not piped, or closed; EDEADLK: in a sink

    explicit operator bool() const noexcept { return complete; }  ///< `complete`
};

/// The host's end of a piped `out` or `err`: Popen::out(), Popen::err(). A light handle, valid as long as its Popen
/// (which may be moved). One thread at a time per stream. Every call keeps the job's own deadline too, and ends the
/// job when that has passed; the stream ends when the job has ended, at the latest `drain` after its leader (not with
/// Stragglers::wait).
class Reader {
  public:
    class Lines;

    /// Waits for the first byte, then gives what there is, at most `most` bytes. At the end: eof, and no data.
    [[nodiscard]] Read read(std::size_t most = 64 * 1024, Timeout timeout = {});

    /// What there is now, without waiting: for event loops, once handle() is readable. Not complete where there is
    /// nothing yet; eof at the end. With a `most`, call it until it is not complete: what was read and not handed
    /// over is not in the descriptor any more, so that no loop tells of it.
    [[nodiscard]] Read try_read(std::size_t most = SIZE_MAX);

    /// Reads up to and including the first `delimiter` ("\n", "> "). Not complete where the stream ends before it:
    /// then data is the rest.
    [[nodiscard]] Read read_until(std::string_view delimiter, Timeout timeout = {});

    /// The same of one who may be hostile, or broken: where the delimiter has not come to its end within `most` bytes, it
    /// gives those, not complete, with the error EMSGSIZE, and what comes behind them is for the next read. No more than
    /// `most` and a MiB is held in memory.
    [[nodiscard]] Read read_until(std::string_view delimiter, std::size_t most, Timeout timeout);

    /// Reads just so many bytes: the body of a message whose length stood in its header. Not complete where the stream
    /// ends before: then data is the rest. It keeps them all in memory: look at a length that somebody else has sent first.
    [[nodiscard]] Read read_exactly(std::size_t count, Timeout timeout = {});

    /// Reads until one of the patterns appears, for conversations: `expect({"password: ", "$ "}, 5s).which`. The match that
    /// starts first in the stream wins; at the same place, the first in the list. A match is reported at once, even if a
    /// longer pattern could still match. What follows it stays for the next read. A
    /// pattern is plain text; see expect_if() for others. Where it only waits, its result may be ignored.
    Match expect(std::initializer_list<std::string_view> patterns, Timeout timeout = {});
    /// The same with one pattern.
    Match expect(std::string_view pattern, Timeout timeout = {});
    /// With those of any range whose members convert to std::string_view, a vector of strings say.
    template <class Range, class = std::enable_if_t<!std::is_convertible_v<const Range&, std::string_view>>,
              class = decltype(std::string_view(*std::declval<const Range&>().begin()))>
    Match expect(const Range& patterns, Timeout timeout = {}) {
        // Copies: it may make its members as they are asked for.
        const std::vector<std::decay_t<decltype(*patterns.begin())>> kept(patterns.begin(), patterns.end());
        const std::vector<std::string_view> all(kept.begin(), kept.end());
        return expect_any(all.data(), all.size(), timeout);
    }

    /// The same with a function: it is given all that waits, each time that there is more of it, and returns the part
    /// that it was looking for, or a default-constructed std::string_view. For regular expressions, say. What it did not
    /// find it is given again: where much may come before, let it remember how far it has looked.
    template <class Function>
    Match expect_if(Function find, Timeout timeout = {}) {
        return expect_by(
            &find,
            [](void* it, std::string_view waiting) -> std::string_view {
                return (*static_cast<Function*>(it))(waiting);
            },
            timeout);
    }

    /// Reads to the end of the stream.
    [[nodiscard]] Read read_all(Timeout timeout = {});

    /// A range of lines; `timeout` is for all of them together. It ends with the stream or when the time is up:
    /// Lines::timed_out() tells which. Of a stream that is not piped, or out of a sink of the job's, begin() throws a
    /// std::system_error of what a read() reports (EBADF, EDEADLK); without exceptions it has no lines, and Lines::error().
    [[nodiscard]] Lines lines(Timeout timeout = {});

    /// How many bytes are here already: what has been read of the descriptor and not been taken, so that handle() does not
    /// tell of it any more. What the pipe still has does not count.
    std::size_t available() const noexcept;

    /// False once the stream has ended, or was never piped; what has been read before can still be taken.
    bool is_open() const noexcept;
    /// The stream was cut off: the job had ended, but somebody out of its reach held on to it. Streams::held says who.
    bool held() const noexcept;
    /// The descriptor, for event loops; non-blocking and the Popen's own; no_handle once the stream has ended.
    Handle handle() const noexcept;
    /// Stops reading: the child's next write gets SIGPIPE. What has been read before can still be taken.
    void close() noexcept;
    /// Gives the descriptor away: it is the caller's to read and to close, blocks again, and stays close-on-exec. For the
    /// Popen the stream has ended: neither it nor its deadline waits for it any more. What has been read before comes before
    /// what the descriptor gives, and can still be taken: available() bytes. no_handle, and nothing has changed, where there is no
    /// descriptor (not piped, or ended), or it is a terminal, which `in` shares. Out of a Supervisor remove the job first.
    [[nodiscard]] Handle release();

  private:
    friend class Popen;
    Reader(detail::Pump* pump, detail::Incoming* stream, bool is_err) : pump_(pump), stream_(stream), is_err_(is_err) {}

    /// Until there is enough or the stream has ended; false where the limit came first.
    bool wait(detail::Condition enough, detail::Deadline limit);

    Match expect_any(const std::string_view* patterns, std::size_t count, Timeout timeout);

    /// expect_if(), whatever its function is.
    Match expect_by(void* function, std::string_view (*ask)(void*, std::string_view), Timeout timeout);

    /// Where the delimiter stands in what waits, read on until it comes; npos where it does not.
    std::size_t find(std::string_view delimiter, detail::Deadline limit);

    Read give(std::size_t count, bool complete, bool timed_out);

    /// What every read of an empty handle's stream answers.
    static Read give_nothing();
    bool is_piped() const noexcept;

    detail::Pump* pump_;
    detail::Incoming* stream_;  // nullptr of an empty handle; nothing is open then
    bool is_err_;
};

/// The lines of the stream, for a range-based for: without their newline; a carriage return stays; one without a newline
/// at the end of the stream is a line too. A view is valid until the next step, or the next read of the stream by other
/// means. Lines can be of any length.
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
        std::string_view operator*() const noexcept { return lines_->line_; }
        const std::string_view* operator->() const noexcept { return &lines_->line_; }
        iterator& operator++() {
            if (!lines_->next()) lines_ = nullptr;
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(iterator a, iterator b) noexcept { return a.lines_ == b.lines_; }
        friend bool operator!=(iterator a, iterator b) noexcept { return a.lines_ != b.lines_; }

      private:
        friend class Lines;
        explicit iterator(Lines* lines) noexcept : lines_(lines) {}
        Lines* lines_ = nullptr;
    };

    /// Only before begin(), as `p.out().lines() | std::views::take(3)` does it; the one that was moved from has no lines.
    /// @{
    Lines(Lines&& other) noexcept : reader_(other.reader_), limit_(other.limit_) { other.reader_.stream_ = nullptr; }
    Lines& operator=(Lines&& other) noexcept;
    /// @}
    /// The line that was seen last counts as read, also where the loop was left early.
    ~Lines();

    /// An input iterator over std::string_view; once only.
    /// @{
    iterator begin();
    iterator end() noexcept { return iterator(nullptr); }
    /// @}

    /// It has ended, or never began, since the stream could not be read; nothing where it has come to its end, or may go on.
    std::error_code error() const noexcept { return error_; }
    /// It has ended since its time was up: what had come of the next line stays for the next read.
    bool timed_out() const noexcept { return timed_out_; }

  private:
    friend class Reader;
    Lines(Reader reader, detail::Deadline limit) : reader_(reader), limit_(limit) {}

    bool next();

    Reader reader_;
    detail::Deadline limit_;
    std::string_view line_;
    std::error_code error_;
    bool timed_out_ = false;
};

/// The host's end of a piped `in`: Popen::in(). A light handle, valid as long as its Popen (which may be moved).
/// One thread at a time. Never raises SIGPIPE.
class Writer {
  public:
    /// Writes all of it, or until the time is up, the child closes its end, or the job ends. As long as the child takes
    /// nothing, what it says on piped streams is read, for the next who reads (Options::max_output bounds it, as with
    /// communicate()): so a conversation of any size works on one thread. A handle() does not tell of that any more, but
    /// available() does. A line of Reader::lines() stays valid. Not so in a Supervisor: there enqueue() is for it.
    Written write(std::string_view data, Timeout timeout = {});

    /// What the pipe takes now, without waiting: for event loops, once handle() is writable. `count` says how much.
    Written try_write(std::string_view data);

    /// Takes it into a queue, and never waits. What the pipe takes is written at once, the rest by whatever call that begins
    /// from then on waits for, polls or reads from the job, and by Supervisor::next(); write() waits for it first. (A call in
    /// which another thread is already does not hear of it: beside a thread that reads, use write().) False where `in` is not
    /// open, was finished, or the child reads no more: then what is left in the queue stays there.
    bool enqueue(std::string data);
    /// How many bytes of it, and of what a communicate() that timed out had left, the pipe has not taken yet.
    std::size_t queued() const noexcept;
    /// End of file for the child as soon as the queue is written: who polls or waits sees to it.
    void finish() noexcept;

    /// False once it was closed, by either side, or was never piped.
    bool is_open() const noexcept;
    /// The descriptor, for event loops; non-blocking and the Popen's own; no_handle when closed.
    Handle handle() const noexcept;
    /// End of file for the child, at once: what is queued is dropped. (Of a tty:
    /// Ctrl-D, and the terminal stays. Where the terminal takes no more at the moment, some KiB that the child has not
    /// read, the Ctrl-D is lost. communicate() waits.)
    void close() noexcept;
    /// Gives the descriptor away: it is the caller's to write and to close, blocks again, and stays close-on-exec; a write to
    /// it can raise SIGPIPE. For the Popen it is closed. no_handle, and nothing has changed, where there is none, where something
    /// waits to be written still, or where it is a terminal, which `out` shares. Out of a Supervisor remove the job first.
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

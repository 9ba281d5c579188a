// leash/stream.hpp - the ends of a job's pipes: Reader and Writer.
#ifndef LEASH_0_1_0_STREAM_HPP
#define LEASH_0_1_0_STREAM_HPP

#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <cstddef>
#include <cstdint>

#include <leash/config.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/pump.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// What a read gave. True where it gave what was asked for.
struct Read {
    std::string data = {};   ///< the bytes
    bool complete = false;   ///< data is what was asked for
    bool eof = false;        ///< the stream has ended, and data is the last of it
    bool timed_out = false;  ///< the call's own time was up first; what had come stays for the next read
    std::error_code error =
        {};  ///< the stream could not be read: EBADF where it is not piped, EDEADLK in a sink of the job's

    explicit operator bool() const noexcept { return complete; }  ///< `complete`
};

/// What Reader::expect() found. True where one of the patterns came.
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

/// What a write did. True where all was written.
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
    Read read(std::size_t most = 64 * 1024, Timeout timeout = {}) {
        const bool came = wait([&] { return !stream_->waiting().empty(); }, detail::Deadline::after(timeout));
        const std::string_view waiting = stream_->waiting();
        return give(waiting.size() < most ? waiting.size() : most, !waiting.empty(), !came);
    }

    /// What there is now, without waiting: for event loops, once handle() is readable. Not complete where there is
    /// nothing yet; eof at the end. With a `most`, call it until it is not complete: what was read and not handed
    /// over is not in the descriptor any more, so that no loop tells of it.
    Read try_read(std::size_t most = SIZE_MAX) { return read(most, std::chrono::nanoseconds(0)); }

    /// Reads up to and including the first `delimiter` ("\n", "> "). Not complete where the stream ends before it:
    /// then data is the rest.
    Read read_until(std::string_view delimiter, Timeout timeout = {}) {
        const std::size_t at = find(delimiter, detail::Deadline::after(timeout));
        if (at != std::string_view::npos) return give(at + delimiter.size(), true, false);
        return stream_->is_open() ? give(0, false, true) : give(stream_->waiting().size(), false, false);
    }

    /// Reads until one of the patterns comes, for conversations: `expect({"password: ", "$ "}, 5s).which`. Of several
    /// the one that comes first in the stream counts, and at the same place the one that is first in the list; one that
    /// is there counts at once, though a longer one might still come. What stands behind it stays for the next read. A
    /// pattern is plain text; see expect_if() for others.
    Match expect(std::initializer_list<std::string_view> patterns, Timeout timeout = {}) {
        std::size_t which = 0;
        Match match = expect_if(
            [&](std::string_view waiting) {
                std::size_t at = std::string_view::npos, index = 0;
                std::string_view found;
                for (const std::string_view pattern : patterns) {
                    const std::size_t here = stream_->find(pattern);
                    if (here < at) {
                        at = here;
                        found = waiting.substr(here, pattern.size());
                        which = index;
                    }
                    ++index;
                }
                return found;
            },
            timeout);
        if (match.complete) match.which = which;
        return match;
    }
    /// With a single one.
    Match expect(std::string_view pattern, Timeout timeout = {}) { return expect({pattern}, timeout); }

    /// The same with a function: it is given all that waits, each time that there is more of it, and returns the part
    /// that it was looking for, or a default-constructed std::string_view. For regular expressions, say. What it did not
    /// find it is given again: where much may come before, let it remember how far it has looked.
    template <class Function>
    Match expect_if(Function find, Timeout timeout = {}) {
        std::string_view found;
        std::size_t seen = SIZE_MAX;
        wait(
            [&] {
                const std::string_view all = stream_->waiting();
                if (std::exchange(seen, all.size()) != all.size()) found = find(all);
                return found.data() != nullptr;
            },
            detail::Deadline::after(timeout));
        const std::string_view waiting = stream_->waiting();
        Match match;
        match.complete = found.data() != nullptr;
        const std::size_t before = match.complete ? static_cast<std::size_t>(found.data() - waiting.data()) : 0;
        match.matched = std::string(found);
        if (match.complete) match.which = 0;
        const std::size_t rest = is_open() ? 0 : waiting.size();
        Read read = give(match.complete ? before + found.size() : rest, match.complete, !match.complete && is_open());
        match.before = std::move(read.data);
        if (match.complete) match.before.resize(before);
        match.eof = !match.complete && !read.timed_out;
        match.timed_out = read.timed_out;
        match.error = read.error;
        return match;
    }

    /// Reads to the end of the stream.
    Read read_all(Timeout timeout = {}) {
        const bool came = wait([] { return false; }, detail::Deadline::after(timeout));
        return came ? give(stream_->waiting().size(), stream_->error() == 0 && stream_->is_piped(), false)
                    : give(0, false, true);
    }

    /// A range of lines; `timeout` is for all of them together. It ends with the stream or when the time is up:
    /// is_open() tells which.
    Lines lines(Timeout timeout = {});

    /// False once the stream has ended, or was never piped; what has been read before can still be taken.
    bool is_open() const noexcept { return stream_->is_piped() && stream_->is_open(); }
    /// The stream was cut off: the job had ended, but somebody out of its reach held on to it. Streams::held says who.
    bool held() const noexcept { return stream_->held(); }
    /// The descriptor, for event loops; non-blocking and the Popen's own; -1 once the stream has ended.
    int handle() const noexcept { return stream_->is_piped() ? stream_->handle() : -1; }
    /// Stops reading: the child's next write gets SIGPIPE. What has been read before can still be taken.
    void close() noexcept {
        if (stream_->is_piped()) stream_->close();
    }

  private:
    friend class Popen;
    Reader(detail::Pump* pump, detail::Incoming* stream, bool is_err) : pump_(pump), stream_(stream), is_err_(is_err) {}

    /// Until there is enough or the stream has ended; false where the limit came first.
    template <class Enough>
    bool wait(Enough enough, detail::Deadline limit) {
        stream_->begin_reading();
        detail::Pump::Want want;
        (is_err_ ? want.err : want.out) = true;
        const auto done = [&] { return enough() || !is_open(); };
        return done() || pump_->drive(want, limit, done);
    }

    /// Where the delimiter stands in what waits, read on until it comes; npos where it does not.
    std::size_t find(std::string_view delimiter, detail::Deadline limit) {
        std::size_t at = std::string_view::npos;
        wait([&] { return (at = stream_->find(delimiter)) != std::string_view::npos; }, limit);
        return at;
    }

    Read give(std::size_t count, bool complete, bool timed_out) {
        Read read;
        read.data = std::string(stream_->waiting().substr(0, count));
        stream_->take(count);
        read.complete = complete;
        read.timed_out = timed_out;
        read.eof = !is_open() && stream_->waiting().empty();
        int error = stream_->is_piped() ? stream_->error() : static_cast<int>(std::errc::bad_file_descriptor);
        if (timed_out && pump_->is_in_sink()) {
            read.timed_out = false;
            error = static_cast<int>(std::errc::resource_deadlock_would_occur);
        }
        if (error != 0 && !complete) read.error = std::error_code(error, std::generic_category());
        return read;
    }

    detail::Pump* pump_;
    detail::Incoming* stream_;
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

    Lines(const Lines&) = delete;
    Lines& operator=(const Lines&) = delete;
    /// The line that was seen last counts as read, also where the loop was left early.
    ~Lines() { reader_.stream_->take_shown(); }

    /// An input iterator over std::string_view; once only.
    /// @{
    iterator begin() { return iterator(next() ? this : nullptr); }
    iterator end() noexcept { return iterator(nullptr); }
    /// @}

  private:
    friend class Reader;
    Lines(Reader reader, detail::Deadline limit) : reader_(reader), limit_(limit) {}

    bool next() {
        const std::size_t end = reader_.find("\n", limit_);
        const std::string_view waiting = reader_.stream_->waiting();
        if (end == std::string_view::npos) {
            // The rest is a line only if the stream has ended; after a timeout it is the start of one.
            if (waiting.empty() || reader_.stream_->is_open()) return false;
            line_ = waiting;
            reader_.stream_->show(waiting.size());
            return true;
        }
        line_ = waiting.substr(0, end);
        reader_.stream_->show(end + 1);
        return true;
    }

    Reader reader_;
    detail::Deadline limit_;
    std::string_view line_;
};

inline Reader::Lines Reader::lines(Timeout timeout) { return Lines(*this, detail::Deadline::after(timeout)); }

/// The host's end of a piped `in`: Popen::in(). A light handle, valid as long as its Popen (which may be moved).
/// One thread at a time. Never raises SIGPIPE.
class Writer {
  public:
    /// Writes all of it, or until the time is up, the child closes its end, or the job ends. It reads nothing
    /// meanwhile: a child that answers at length before it has read all blocks both; communicate() does not.
    Written write(std::string_view data, Timeout timeout = {}) {
        const detail::Deadline limit = detail::Deadline::after(timeout);
        Written written;
        // What a communicate() that timed out left over goes first.
        if (drain(limit)) {
            const Loan loan(pump_->in, data);  // also taken back when a sink throws
            written.complete = drain(limit);
            written.count = data.size() - pump_->in.unwritten();
        }
        if (!written.complete) {
            const int broken = pump_->in.error();
            if (broken != 0) written.error = std::error_code(broken, std::generic_category());
            else if (!is_open()) written.error = std::make_error_code(std::errc::bad_file_descriptor);
            else if (pump_->is_in_sink())
                written.error = std::make_error_code(std::errc::resource_deadlock_would_occur);
            else written.timed_out = true;
        }
        return written;
    }

    /// What the pipe takes now, without waiting: for event loops, once handle() is writable. `count` says how much.
    Written try_write(std::string_view data) { return write(data, std::chrono::nanoseconds(0)); }

    /// False once it was closed, by either side, or was never piped.
    bool is_open() const noexcept { return pump_->in.is_open(); }
    /// The descriptor, for event loops; non-blocking and the Popen's own; -1 when closed.
    int handle() const noexcept { return pump_->in.handle(); }
    /// End of file for the child, at once: what a communicate() that timed out has left to write is dropped. (Of a tty:
    /// Ctrl-D, and the terminal stays. Where the terminal takes no more at the moment, some KiB that the child has not
    /// read, the Ctrl-D is lost. communicate() waits.)
    void close() noexcept { pump_->in.finish_now(); }

  private:
    friend class Popen;
    explicit Writer(detail::Pump* pump) : pump_(pump) {}

    class Loan {
      public:
        Loan(detail::Outgoing& to, std::string_view data) noexcept : to_(to) { to_.lend(data); }
        Loan(const Loan&) = delete;
        Loan& operator=(const Loan&) = delete;
        ~Loan() { to_.withdraw(); }

      private:
        detail::Outgoing& to_;
    };

    bool drain(detail::Deadline limit) {
        if (!is_open()) return false;
        pump_->in.push();
        detail::Pump::Want want;
        want.in = true;
        pump_->drive(want, limit, [&] { return pump_->in.is_idle() || !is_open(); });
        return pump_->in.is_idle();
    }

    detail::Pump* pump_;
};

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_STREAM_HPP

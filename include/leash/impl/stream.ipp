// leash/impl/stream.ipp - the bodies of <leash/stream.hpp>.
#ifndef LEASH_0_1_0_IMPL_STREAM_IPP
#define LEASH_0_1_0_IMPL_STREAM_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <cstddef>
#include <cstdint>

#include <leash/detail/condition.hpp>
#include <leash/detail/incoming.hpp>
#include <leash/detail/outgoing.hpp>
#include <leash/detail/pump.hpp>
#include <leash/error.hpp>
#include <leash/stream.hpp>

namespace leash {
inline namespace LEASH_ABI {

LEASH_INLINE Read Reader::read(std::size_t most, Timeout timeout) {
    if (stream_ == nullptr) return give_nothing();
    const detail::Incoming::Use use(*stream_);
    const bool came = wait([&] { return !stream_->waiting().empty(); }, detail::Deadline::after(timeout));
    const std::string_view waiting = stream_->waiting();
    return give(waiting.size() < most ? waiting.size() : most, !waiting.empty(), !came);
}

LEASH_INLINE Read Reader::try_read(std::size_t most) { return read(most, Duration()); }

LEASH_INLINE Read Reader::read_until(std::string_view delimiter, Timeout timeout) {
    if (stream_ == nullptr) return give_nothing();
    const detail::Incoming::Use use(*stream_);
    const std::size_t at = find(delimiter, detail::Deadline::after(timeout));
    if (at != std::string_view::npos) return give(at + delimiter.size(), true, false);
    return stream_->is_open() ? give(0, false, true) : give(stream_->waiting().size(), false, false);
}

LEASH_INLINE Read Reader::read_until(std::string_view delimiter, std::size_t most, Timeout timeout) {
    if (stream_ == nullptr) return give_nothing();
    const detail::Incoming::Use use(*stream_);
    std::size_t at = std::string_view::npos;
    wait(
        [&] {
            at = stream_->find(delimiter);
            return at != std::string_view::npos || stream_->waiting().size() >= most;
        },
        detail::Deadline::after(timeout));
    const std::size_t count = stream_->waiting().size();
    if (at <= most && delimiter.size() <= most - at) return give(at + delimiter.size(), true, false);
    const bool is_over = count == 0 && !is_open();  // also where nothing was asked for
    if (count < most || is_over) return is_open() ? give(0, false, true) : give(count, false, false);
    Read read = give(most, false, false);
    read.error = std::make_error_code(std::errc::message_size);
    return read;
}

LEASH_INLINE Read Reader::read_exactly(std::size_t count, Timeout timeout) {
    if (stream_ == nullptr) return give_nothing();
    const detail::Incoming::Use use(*stream_);
    const bool came = wait([&] { return stream_->waiting().size() >= count; }, detail::Deadline::after(timeout));
    const std::size_t size = stream_->waiting().size();
    if (size >= count) return give(count, stream_->is_piped(), false);
    return came ? give(size, false, false) : give(0, false, true);
}

LEASH_INLINE Match Reader::expect(std::initializer_list<std::string_view> patterns, Timeout timeout) {
    return expect_any(patterns.begin(), patterns.size(), timeout);
}

LEASH_INLINE Match Reader::expect_any(const std::string_view* patterns, std::size_t count, Timeout timeout) {
    std::size_t which = 0;
    Match match = expect_if(
        [&](std::string_view waiting) {
            std::size_t at = std::string_view::npos;
            std::string_view found;
            for (std::size_t index = 0; index < count; ++index) {
                const std::size_t here = stream_->find(patterns[index]);
                if (here >= at) continue;
                at = here;
                found = waiting.substr(here, patterns[index].size());
                which = index;
            }
            return found;
        },
        timeout);
    if (match.complete) match.which = which;
    return match;
}

LEASH_INLINE Match Reader::expect(std::string_view pattern, Timeout timeout) {
    return expect_any(&pattern, 1, timeout);
}

LEASH_INLINE Read Reader::read_all(Timeout timeout) {
    if (stream_ == nullptr) return give_nothing();
    const detail::Incoming::Use use(*stream_);
    const bool came = wait([] { return false; }, detail::Deadline::after(timeout));
    return came ? give(stream_->waiting().size(), stream_->error() == 0 && stream_->is_piped(), false)
                : give(0, false, true);
}

LEASH_INLINE std::size_t Reader::available() const noexcept {
    if (stream_ == nullptr) return 0;
    const detail::Incoming::Use use(*stream_);
    return stream_->count_waiting();
}

LEASH_INLINE bool Reader::is_open() const noexcept { return is_piped() && stream_->is_open(); }

LEASH_INLINE bool Reader::held() const noexcept { return stream_ != nullptr && stream_->held(); }

LEASH_INLINE Handle Reader::handle() const noexcept { return is_piped() ? stream_->handle() : -1; }

LEASH_INLINE void Reader::close() noexcept {
    if (!is_piped()) return;
    const detail::Incoming::Use use(*stream_);
    stream_->close();
}

LEASH_INLINE Handle Reader::release() {
    if (!is_piped() || !pump_->is_original()) return -1;
    const detail::Incoming::Use use(*stream_);
    return stream_->release();
}

LEASH_INLINE bool Reader::is_piped() const noexcept { return stream_ != nullptr && stream_->is_piped(); }

LEASH_INLINE bool Reader::wait(detail::Condition enough, detail::Deadline limit) {
    stream_->begin_reading(pump_->keep);
    const auto done = [&] { return enough() || !is_open(); };
    if (done()) return true;
    detail::Pump::Want want;
    want.one = stream_;
    want.aside = !limit.passed();  // what is not in its descriptor any more, no event loop sees
    return pump_->drive(want, limit, done);
}

LEASH_INLINE Match Reader::expect_by(void* function, std::string_view (*ask)(void*, std::string_view),
                                     Timeout timeout) {
    if (stream_ == nullptr) {
        Match none;
        none.eof = true;
        none.error = give_nothing().error;
        return none;
    }
    const detail::Incoming::Use use(*stream_);
    std::string_view found;
    std::size_t seen = SIZE_MAX;
    wait(
        [&] {
            const std::string_view all = stream_->waiting();
            if (std::exchange(seen, all.size()) != all.size()) found = ask(function, all);
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
    match.eof = !match.complete && read.eof;
    match.timed_out = read.timed_out;
    match.error = read.error;
    return match;
}

LEASH_INLINE std::size_t Reader::find(std::string_view delimiter, detail::Deadline limit) {
    std::size_t at = std::string_view::npos;
    wait([&] { return (at = stream_->find(delimiter)) != std::string_view::npos; }, limit);
    return at;
}

LEASH_INLINE Read Reader::give(std::size_t count, bool complete, bool timed_out) {
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
    if (error != 0 && !complete) read.error = std::error_code(error, std::system_category());
    return read;
}

LEASH_INLINE Read Reader::give_nothing() {
    Read read;
    read.eof = true;
    read.error = std::make_error_code(std::errc::bad_file_descriptor);
    return read;
}

LEASH_INLINE Reader::Lines::~Lines() {
    if (reader_.stream_ == nullptr) return;
    const detail::Incoming::Use use(*reader_.stream_);
    reader_.stream_->take_shown();
}

LEASH_INLINE Reader::Lines& Reader::Lines::operator=(Lines&& other) noexcept {
    if (this == &other) return *this;
    reader_ = other.reader_;
    limit_ = other.limit_;
    other.reader_.stream_ = nullptr;
    return *this;
}

LEASH_INLINE Reader::Lines::iterator Reader::Lines::begin() {
    error_ = {};
    timed_out_ = false;
    is_due_ = false;
    has_line_ = next();
#if LEASH_EXCEPTIONS
    if (error_) fail();
#endif
    return iterator(has_line_ ? this : nullptr);
}

[[gnu::cold]] LEASH_INLINE void Reader::Lines::fail() const {
    Error error;
    error.code = error_;
    error.step = Step::stream;
    error.subject = reader_.is_err_ ? "err" : "out";
    if (reader_.stream_ == nullptr) error.hint = "there is no such stream: no job, or no stage with this number";
    else if (error_ == std::errc::resource_deadlock_would_occur) error.hint = "read in a sink of the same job";
    else if (error_ == std::errc::bad_file_descriptor)
        error.hint = reader_.is_err_ ? "not piped: set .err = leash::piped" : "not piped: set .out = leash::piped";
    detail::raise_error(error);
}

/// Is there a line to be seen? What is thrown on the way leaves it due.
LEASH_INLINE bool Reader::Lines::look() {
    if (is_due_) has_line_ = next();
    is_due_ = false;
    return has_line_;
}

LEASH_INLINE bool Reader::Lines::next() {
    if (reader_.stream_ == nullptr) {
        error_ = give_nothing().error;
        return false;
    }
    const detail::Incoming::Use use(*reader_.stream_);
    const std::size_t end = reader_.find("\n", limit_);
    const std::string_view waiting = reader_.stream_->waiting();
    const bool is_open = reader_.is_open();
    // The rest is a line only if the stream has ended; after a timeout it is the start of one.
    if (end == std::string_view::npos && (waiting.empty() || is_open)) {
        const Read nothing = reader_.give(0, false, is_open);
        error_ = nothing.error;
        timed_out_ = nothing.timed_out;
        return false;
    }
    line_ = waiting.substr(0, end);
    reader_.stream_->show(end == std::string_view::npos ? waiting.size() : end + 1);
    return true;
}

LEASH_INLINE Reader::Lines Reader::lines(Timeout timeout) { return Lines(*this, detail::Deadline::after(timeout)); }

namespace detail {

/// What is to be written is the caller's for as long as the call.
class Loan {
  public:
    Loan(Outgoing& to, std::string_view data) noexcept : to_(to) { to_.lend(data); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() { to_.withdraw(); }

  private:
    Outgoing& to_;
};

}  // namespace detail

LEASH_INLINE Written Writer::write(std::string_view data, Timeout timeout) {
    const detail::Deadline limit = detail::Deadline::after(timeout);
    Written written;
    // What waits to be written goes first.
    if (drain(limit, false)) {
        const detail::Loan loan(pump_->in, data);  // also taken back when a sink throws
        written.complete = drain(limit, true);
        written.count = data.size() - pump_->in.lent();
    }
    if (!written.complete) {
        const int broken = pump_ != nullptr ? pump_->in.error() : 0;
        if (broken != 0) written.error = std::error_code(broken, std::system_category());
        else if (!is_open()) written.error = std::make_error_code(std::errc::bad_file_descriptor);
        else if (pump_->is_in_sink()) written.error = std::make_error_code(std::errc::resource_deadlock_would_occur);
        else written.timed_out = true;
    }
    return written;
}

LEASH_INLINE Written Writer::try_write(std::string_view data) { return write(data, Duration()); }

LEASH_INLINE bool Writer::is_open() const noexcept { return handle() >= 0; }

LEASH_INLINE Handle Writer::handle() const noexcept {
    return pump_ != nullptr && !pump_->in.has_source() ? pump_->in.handle() : -1;
}

LEASH_INLINE void Writer::close() noexcept {
    if (pump_ != nullptr && !pump_->in.has_source() && pump_->is_original()) pump_->in.finish_now();
}

LEASH_INLINE Handle Writer::release() noexcept { return is_open() && pump_->is_original() ? pump_->in.release() : -1; }

LEASH_INLINE bool Writer::enqueue(std::string data) {
    if (!is_open() || !pump_->is_original() || !pump_->in.is_unfinished()) return false;
    pump_->in.add(std::move(data));
    pump_->in.push();
    pump_->in.told_queue();
    return is_open();
}

LEASH_INLINE std::size_t Writer::queued() const noexcept { return pump_ != nullptr ? pump_->in.unwritten() : 0; }

LEASH_INLINE void Writer::finish() noexcept {
    if (pump_ == nullptr || !pump_->is_original()) return;
    pump_->in.finish();
    pump_->in.told_queue();  // a terminal's end of file is written, too
}

LEASH_INLINE bool Writer::drain(detail::Deadline limit, bool lent_only) {
    if (!is_open() || !pump_->is_original()) return false;
    detail::Outgoing& in = pump_->in;
    in.push();
    detail::Pump::Want want;
    want.in = true;
    // What is not in its descriptor any more, no event loop sees; a Supervisor is told.
    want.aside = !limit.passed();
    const auto done = [&] { return lent_only ? in.lent() == 0 : in.is_idle(); };
    pump_->drive(want, limit, [&] { return done() || !in.is_open(); });
    return done();
}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_STREAM_IPP

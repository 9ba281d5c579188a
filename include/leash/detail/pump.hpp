// leash/detail/pump.hpp - one wait for everything: the streams, the exit, the cancel token and the deadlines of a job.
//
// Whatever waits for a job, reads from it or writes to it is a call of Pump::drive(), which says what it wants moved
// and when it is done. There is no thread: who calls does the work.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <leash/cancel.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/posix/event.hpp>
#include <leash/detail/posix/exit_watch.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/foreground.hpp>
#include <leash/detail/posix/job.hpp>
#include <leash/detail/posix/spawn.hpp>
#include <leash/detail/posix/terminal.hpp>
#include <leash/detail/posix/tree.hpp>
#include <leash/detail/shared.hpp>
#include <leash/detail/text.hpp>
#include <leash/options.hpp>
#include <leash/status.hpp>

namespace LEASH_NAMESPACE::detail {

/// Lets a string grow as fast as the output comes: growing by four spares most of the page faults that copying costs,
/// and what is reserved but not reached is never touched. Large strings grow by two, for hosts whose address space is
/// limited.
inline void make_room(std::string& text, std::size_t more) {
    const std::size_t needed = text.size() + more;
    if (needed <= text.capacity()) return;
    constexpr std::size_t large = std::size_t{64} << 20;
    const std::size_t grown = text.capacity() * (text.capacity() < large ? 4 : 2);
    text.reserve(grown > needed ? grown : needed);
}

/// How much of an output is kept, and which part of it.
struct Limit {
    std::size_t most = SIZE_MAX;
    Keep which = Keep::head;

    std::size_t head() const noexcept { return which == Keep::head ? most : which == Keep::ends ? most - most / 2 : 0; }
    std::size_t tail() const noexcept { return most - head(); }
};

/// What the child writes and we read: a pipe into a buffer, or into a sink.
class Incoming {
  public:
    Incoming() = default;
    explicit Incoming(const Stdio& stream) : sink_(stream.function), is_terminal_(stream.is(Stdio::Kind::tty)) {}
    Incoming(const Incoming&) = delete;
    Incoming& operator=(const Incoming&) = delete;
    ~Incoming() { delete[] scratch_; }

    void begin(os::Fd fd) noexcept {
        fd_ = std::move(fd);
        handle_.store(fd_.get(), std::memory_order_release);
        piped_ = fd_.is_open() && !sink_;
    }

    /// Raised at the stream's end, however it comes about: for a Supervisor, whose thread the stream's is then.
    void tell_end(std::atomic<bool>* flag) noexcept { told_ = flag; }

    bool is_piped() const noexcept { return piped_; }
    bool has_sink() const noexcept { return static_cast<bool>(sink_); }
    bool is_open() const noexcept { return handle() >= 0; }
    int handle() const noexcept { return handle_.load(std::memory_order_acquire); }
    bool held() const noexcept { return held_.load(std::memory_order_relaxed); }
    /// Nobody waits for it any more: it was in a slow sink's hands when its time was over.
    bool is_abandoned() const noexcept { return abandoned_.load(std::memory_order_relaxed); }
    /// Is it this thread that is at it, and so in its sink?
    bool is_mine() const noexcept { return turnstile_.is_mine(); }
    int error() const noexcept { return error_; }

    /// What has been read and not been taken.
    std::string_view waiting() const noexcept { return std::string_view(buffer_).substr(taken_); }

    /// Where a text first begins in what waits; npos where it does not. However often a text is asked for, each byte is
    /// looked at once for it: how far the search has come is remembered.
    std::size_t find(std::string_view text) {
        Search& search = search_for(text);
        const std::string_view all = waiting();
        const std::size_t at = all.find(text, search.next > before_ ? search.next - before_ : 0);
        if (at != std::string_view::npos) search.next = before_ + at;
        // only what is new, and a text that began at the end
        else if (all.size() >= text.size()) search.next = before_ + all.size() - text.size() + 1;
        return at;
    }

    void take(std::size_t count) {
        before_ += count;
        taken_ += count;
        if (gap_ != none) gap_ -= count < gap_ ? count : gap_;
        if (taken_ >= buffer_.size()) {
            buffer_.clear();
            taken_ = 0;
        } else if (taken_ > buffer_.size() / 2 && taken_ > smallest) {
            buffer_.erase(0, taken_);
            taken_ = 0;
        }
    }

    /// The first bytes of what waits are on show as a line. Whatever is read next begins behind them.
    void show(std::size_t count) noexcept { shown_ = count; }

    void take_shown() { take(std::exchange(shown_, 0)); }

    /// Before a reader looks at what waits: what was shown is taken, and what a limit had set apart joins the rest.
    void begin_reading() {
        take_shown();
        if (tail_.empty()) return;
        make_room(buffer_, tail_.size());
        if (dropped_ > 0) gap_ = waiting().size();
        buffer_.append(tail_);
        tail_.clear();
    }

    /// What the limit keeps of all that waits, as a copy.
    std::string captured(Limit limit) const {
        const Kept kept = select(limit);
        return concat({kept.head, kept.tail, kept.last});
    }
    /// How many bytes that leaves out, of all that came.
    std::size_t dropped(Limit limit) const noexcept { return select(limit).dropped; }
    /// Where in captured() they are missing; 0 where none are.
    std::size_t seam(Limit limit) const noexcept {
        const Kept kept = select(limit);
        return kept.dropped > 0 ? kept.head.size() : 0;
    }
    /// Makes what waits just what is kept, for take_captured(). All or nothing, should memory run out.
    void cut(Limit limit) {
        const Kept kept = select(limit);
        if (kept.dropped > dropped_) {
            const std::size_t seam = kept.head.size(), missing = kept.dropped;
            buffer_ = captured(limit);
            tail_.clear();
            searches_.clear();
            taken_ = shown_ = 0;
            dropped_ = missing;
            gap_ = seam;
        } else {
            begin_reading();
        }
    }
    /// Hands it over.
    std::string take_captured() noexcept {
        searches_.clear();
        gap_ = none;
        buffer_.erase(0, std::exchange(taken_, 0));
        return std::exchange(buffer_, std::string());
    }

    /// Memory ran out before what was read could be kept: pull() has it at hand.
    bool has_unsaved() const noexcept { return unsaved_ > 0; }

    enum class Pulled { nothing, something, busy };

    /// Reads what is there, and keeps what the limit says: something, the end included, or nothing. `busy` where
    /// another thread is at it.
    Pulled pull(Limit keep) {
        const Turn stream(&turnstile_), function(sink_ ? &sink_->turnstile : nullptr);
        if (stream && !function && sink_->turnstile.is_mine()) {
            // Its function has started a job that says something to that same function: it would wait for itself.
            error_ = EDEADLK;
            shut();
            return Pulled::something;
        }
        if (!stream || !function) return Pulled::busy;
        if (!is_open()) return Pulled::nothing;
        bool something = false;
        // A few full reads in a row before the next poll(), which would cost 3 % between each two.
        for (int round = 0; round < 4 && is_open(); ++round) {
            const std::size_t asked = size_, count = read_once(keep);
            something |= count > 0 || !is_open();
            if (count < asked) break;
        }
        return something ? Pulled::something : Pulled::nothing;
    }

    /// The job is over and the drain with it, but somebody outside the group still has the stream open. What is in
    /// the pipe at this moment was written in time and is read, be the reader ever so late; then it is closed, and
    /// note(handle) told before. True where it was cut off. With `in_any_case` also where a sink is busy: what that has
    /// not had by now, it never gets.
    template <class Note>
    bool expire(Limit keep, bool in_any_case, Note note) {
        const Turn stream(&turnstile_), function(sink_ ? &sink_->turnstile : nullptr);
        if (!stream || !is_open()) {
            if (!stream && in_any_case) abandoned_.store(true, std::memory_order_relaxed);
            return false;
        }
        if (!function && !in_any_case) return false;
        // A terminal cannot tell how much that is: then all that can be read at once, up to more than it can hold.
        std::size_t left = is_terminal_ ? largest : os::bytes_waiting(fd_) + unsaved_;
        for (bool last = left == 0; function; last = left == 0) {
            const std::size_t count = read_once(keep);
            if (!is_open()) return false;  // its end came after all: for that, one read more than there are bytes
            if (count == 0 || last) break;
            left -= count < left ? count : left;
        }
        note(fd_.get());
        held_.store(true, std::memory_order_relaxed);
        shut();
        fd_.close();
        return true;
    }

    void close() noexcept {
        for (os::Backoff backoff;; os::sleep_until(backoff.next())) {
            const Turn stream(&turnstile_);
            if (stream) {
                shut();
                fd_.close();
            }
            if (stream || !is_terminal_) return;  // a terminal may be in resize(), for a moment
        }
    }

    /// The size of the terminal that this is. 0, or the errno; EAGAIN where another thread is at it.
    int resize(unsigned short rows, unsigned short columns) noexcept {
        if (!is_terminal_) return ENOTTY;  // before the turn: a sink that asks this has it already
        const Turn stream(&turnstile_);
        if (!stream) return EAGAIN;
        if (!is_open()) return ENOTTY;
        return sys::set_window(fd_.get(), rows, columns) == 0 ? 0 : errno;
    }

  private:
    static constexpr std::size_t smallest = 64 * 1024, largest = 256 * 1024;

    /// What a limit keeps: a part before the gap, and one behind it, of which the end may be in tail_.
    struct Kept {
        std::string_view head, tail, last;
        std::size_t dropped;  // of all that came
    };

    /// Cut at the edges of characters, which the job's own words may be read by.
    Kept select(Limit limit) const noexcept {
        const std::string_view first = waiting().substr(shown_);
        const std::size_t total = first.size() + tail_.size();
        if (total <= limit.most && dropped_ == 0) return {first, {}, tail_, 0};
        std::size_t head = total > limit.most ? limit.head() : gap_ != none ? gap_ : first.size();
        if (head > first.size()) head = first.size();
        const std::size_t tail = limit.most - head;
        Kept kept{whole_head(first.substr(0, head)), first.substr(head), tail_, dropped_};
        const std::size_t of_both = kept.tail.size() + kept.last.size();
        const auto leave_out = [&](std::size_t count) {
            const std::size_t of_tail = count < kept.tail.size() ? count : kept.tail.size();
            kept.tail.remove_prefix(of_tail);
            kept.last.remove_prefix(count - of_tail);
        };
        if (of_both > tail) leave_out(of_both - tail);
        leave_out(count_rest(kept.tail, kept.last));
        kept.dropped += total - kept.head.size() - kept.tail.size() - kept.last.size();
        return kept;
    }

    /// A text that was asked for, and the first place where it may begin, counted as `before_` is.
    struct Search {
        std::string text;
        std::size_t next;
    };

    Search& search_for(std::string_view text) {
        Search* useless = nullptr;  // it would begin anew
        for (Search& search : searches_) {
            if (search.text == text) return search;
            if (search.next <= before_) useless = &search;
        }
        if (useless == nullptr) {
            searches_.push_back({std::string(text), 0});
            return searches_.back();
        }
        useless->text = text;
        return *useless;
    }

    /// One read, delivered; how many bytes. Should memory run out on the way, what was read is delivered next time.
    std::size_t read_once(Limit keep) {
        if (unsaved_ == 0) {
            if (scratch_ == nullptr) scratch_ = new char[size_];
            const ssize_t n = os::read_some(fd_, scratch_, size_);
            if (n <= 0) {
                if (n < 0 && errno == EAGAIN) return 0;
                // Linux's way to say that nobody has the terminal open any more; elsewhere it is 0 as of a pipe.
                const bool is_end = n == 0 || (is_terminal_ && errno == EIO);
                if (!is_end) error_ = errno;
                shut();
                return 0;
            }
            unsaved_ = static_cast<std::size_t>(n);
        }
        const std::size_t count = unsaved_;
        if (sink_) {
            unsaved_ = 0;  // given once, whatever the function does with it
            sink_->write(std::string_view(scratch_, count));
        } else {
            save(std::string_view(scratch_, count), keep);
            unsaved_ = 0;
        }
        if (count == size_ && size_ < largest) {
            os::grow_pipe(fd_);
            delete[] std::exchange(scratch_, nullptr);
            size_ = largest;
        }
        return count;
    }

    /// All or nothing, should memory run out.
    void save(std::string_view chunk, Limit keep) {
        const std::size_t have = buffer_.size() - taken_;
        const std::string_view first = chunk.substr(0, keep.head() > have ? keep.head() - have : 0);
        const std::string_view rest = chunk.substr(first.size());
        const std::string_view last = keep.tail() > 0 ? rest : std::string_view();
        make_room(buffer_, first.size());
        make_room(tail_, last.size());
        buffer_.append(first);
        tail_.append(last);
        dropped_ += rest.size() - last.size();
        // Cut off now and then, so that each byte is moved once at the most.
        if (tail_.size() / 2 > keep.tail() && tail_.size() > largest) {
            dropped_ += tail_.size() - keep.tail();
            tail_.erase(0, tail_.size() - keep.tail());
        }
    }

    /// It has come to its end. A terminal stays open all the same: without a host it would be hung up, and SIGHUP
    /// would end a child that has merely closed its streams before it ends.
    void shut() noexcept {
        handle_.store(-1, std::memory_order_release);
        if (told_ != nullptr) *told_ = true;
        if (!is_terminal_) fd_.close();
        delete[] std::exchange(scratch_, nullptr);
        unsaved_ = 0;
    }

    os::Fd fd_;
    Shared<SinkFunction> sink_;
    bool is_terminal_ = false;
    bool piped_ = false;
    std::atomic<int> handle_{-1};  // fd_'s number for those who only watch; -1 once it has ended
    Turnstile turnstile_;          // one thread at a time
    std::atomic<bool>* told_ = nullptr;

    // Read into memory that stays warm, then copied: reading straight into a growing string would fault its pages
    // in while the pipe is locked, and stall the writer.
    char* scratch_ = nullptr;
    std::size_t unsaved_ = 0;  // bytes in it that nobody has had yet
    std::size_t size_ = smallest;

    std::string buffer_;
    std::size_t taken_ = 0;
    std::size_t shown_ = 0;
    std::string tail_;        // of what the head had no room for
    std::size_t before_ = 0;  // how much was taken, ever
    std::vector<Search> searches_;
    std::size_t dropped_ = 0;
    static constexpr std::size_t none = SIZE_MAX;
    std::size_t gap_ = none;  // where in what waits they are missing; none: between it and tail_
    std::atomic<bool> held_{false}, abandoned_{false};
    int error_ = 0;
};

/// What we write and the child reads.
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

/// Refers to a question of the caller's, without a copy. (As a template, drive() would be compiled for each of them.)
class Condition {
  public:
    template <class Question>
    Condition(const Question& question) noexcept
        : question_(&question), ask_([](const void* it) { return (*static_cast<const Question*>(it))(); }) {}
    bool operator()() const { return ask_(question_); }

  private:
    const void* question_;
    bool (*ask_)(const void*);
};

/// A running job and everything about it that can be waited for.
class Pump : public Counted {
  public:
    /// What a call wants moved, besides the sinks, which everybody moves.
    struct Want {
        bool in = false, out = false, err = false;
        Limit keep = {};
    };

    /// Made before the process is: once that runs, nothing can fail any more that would leave it to nobody.
    Pump(std::size_t processes, const Options& options, Deadline deadline)
        : job(options.group),
          in(options.in),
          out(options.out),
          err(options.err),
          later_errs_(options.err.is(Stdio::Kind::per_stage) && processes > 0 ? processes - 1 : 0),
          stragglers_kept_(options.group == Group::inherited ? Stragglers::leave : options.stragglers),
          has_terminal_(has_terminal(options.in, options.out, options.err)),
          may_stop_(options.group == Group::own && !has_terminal_),
          deadline_(deadline),
          idle_timeout_(options.idle_timeout),
          grace_(options.grace),
          drain_(options.drain),
          cancel_(options.cancel) {
        job.expect(processes);
    }

    void begin(os::Started started) noexcept {
        job.begin(started.pids);
        in.begin(std::move(started.in));
        out.begin(std::move(started.out));
        err.begin(std::move(started.err));
        for (std::size_t i = 0; i < started.later_errs.size(); ++i)
            later_errs_[i].begin(std::move(started.later_errs[i]));
        foreground_ = std::move(started.foreground);
        if (may_stop_) next_stop_look_ = Deadline::after(first_stop_look);
        // Where the host lent it just after the start, the child may have been stopped for reading too early. It is not
        // told to go on unasked: somebody's Ctrl-Z may have come by now, and would be lost.
        if (!sys::has_tcsetpgrp_action && foreground_.is_lent()) follow_stop();
    }

    os::Job job;
    Outgoing in;
    Incoming out, err;

    std::size_t count_errs() const noexcept { return 1 + later_errs_.size(); }
    /// With per_stage, that stage's; otherwise that of all.
    Incoming& err_of(std::size_t stage) noexcept {
        return stage == 0 || stage > later_errs_.size() ? err : later_errs_[stage - 1];
    }
    void tell_stream_ends(std::atomic<bool>* flag) noexcept {
        out.tell_end(flag);
        err.tell_end(flag);
        for (Incoming& stream : later_errs_) stream.tell_end(flag);
    }
    void close_streams() noexcept {
        in.close();
        out.close();
        err.close();
        for (Incoming& stream : later_errs_) stream.close();
    }

    /// The size of the terminal that a stream is: 0, or the errno. A thread that reads it is at it for moments only.
    int resize(unsigned short rows, unsigned short columns) noexcept {
        os::Backoff backoff;
        for (;;) {
            const int first = out.resize(rows, columns);
            const int error = first == ENOTTY ? err.resize(rows, columns) : first;
            if (error != EAGAIN) return error;
            os::sleep_until(backoff.next());
        }
    }

    /// It is over, or has been given up: nothing more is to be waited for but its streams.
    bool is_over() noexcept {
        os::Lock lock(mutex_);
        return phase_ >= Phase::given_up;
    }
    EndedBy ended_by() noexcept {
        os::Lock lock(mutex_);
        return ended_by_;
    }
    // Who is told of in the result.
    std::vector<Process> stragglers() { return list(stragglers_); }
    std::vector<Process> survivors() { return list(survivors_); }
    std::vector<Process> holders() { return list(holders_); }

    /// The job is over, and every sink has had all its output.
    bool is_complete() noexcept { return is_over() && !any_moving({}); }

    /// Every stream of output has come to its end.
    bool is_drained() const noexcept {
        Want all;
        all.out = all.err = true;
        return !any_moving(all);
    }

    /// Is this thread in a sink of the job's? Then it is what everything here would wait for.
    bool is_in_sink() const noexcept {
        bool any = out.is_mine() || err.is_mine();
        for (const Incoming& stream : later_errs_) any |= stream.is_mine();
        return any;
    }

    /// A call that is left by an exception, out of a sink or for want of memory, does not go on driving. Should the
    /// job be on its way to its end, and no other call be here that drives, nobody else would know: it is killed, so
    /// that all who wait see it end.
    class Driving {
      public:
        explicit Driving(Pump& pump) noexcept : pump_(pump) {
            os::Lock lock(pump_.mutex_);
            ++pump_.drivers_;
        }
        Driving(const Driving&) = delete;
        Driving& operator=(const Driving&) = delete;
        ~Driving() {
            os::Lock lock(pump_.mutex_);
            if (--pump_.drivers_ > 0 || is_orderly_ || pump_.phase_ != Phase::terminating) return;
            os::ProcessTable table;
            pump_.kill(table, pump_.ended_by_);
        }
        void is_orderly() noexcept { is_orderly_ = true; }

      private:
        Pump& pump_;
        bool is_orderly_ = false;
    };

    /// Moves data, sees the exit, keeps the job's own deadline, until done() or `limit`; true for done().
    /// When the job's deadline has passed, or it was cancelled, the call that finds it so ends the job, and takes up
    /// to grace + drain longer than its limit. False at once out of a sink of the job's.
    bool drive(const Want& want, Deadline limit, Condition done) {
        if (is_in_sink()) return false;
        const sys::NoCancellation guard;
        os::Backoff backoff;
        os::WaitSet set;
        os::ProcessTable table;
        bool unclear = false;  // a handle told of an end and there was none: they are of no use for a while
        bool crowded = false;  // another thread is at a sink: likewise
        bool ends_it = false;  // this call found that the job must end
        bool last = false;
        int cancel = -1;
        const Deadline start = idle_timeout_.is_none() ? Deadline::never() : Deadline::now();
        Driving driving(*this);
        for (;;) {
            each_moving(want, [&](Incoming& stream) {
                if (stream.is_piped() && stream.has_unsaved()) stream.pull(want.keep);
            });
            if (advance(want, start, table)) ends_it = true;
            if (foreground_.is_open()) follow_stop();
            const bool is_done = done();
            if (is_done || (last && !ends_it)) {
                driving.is_orderly();
                return is_done;
            }
            last = !ends_it && limit.passed();  // one round more, that does not wait: what is ready is moved

            set.clear();
            Deadline until = ends_it ? Deadline::never() : limit;
            bool blind = crowded || unclear;  // something may happen that no handle tells
            if (want.in && !in.is_idle()) set.writable(in.handle());
            if (!crowded) each_moving(want, [&](Incoming& stream) { blind |= !set.readable(stream.handle()); });
            const std::size_t running = job.running();
            const Next next = next_change(want, start);
            until = sooner(until, next.at);
            if (next.by_cancel && cancel < 0) cancel = cancel_->handle();
            if (next.by_cancel) blind |= !set.readable(cancel);
            if (next.by_exit && !last) {
                // Nothing else can happen: that costs no handle. It tells of the stop of one process only.
                const bool or_stop = foreground_.is_open() || next.may_stop;
                if (set.empty() && running > 0 && until.is_never() && !blind && !(or_stop && running > 1)) {
                    job.wait_for_exit(or_stop);
                    unclear = !job.has_ended() && job.running() == running;
                    if (unclear && next.may_stop) look_for_stop_now();
                    continue;
                }
                if (!unclear) blind |= !job.watch(set);
                // No handle tells of a stop.
                if (foreground_.is_open()) until = sooner(until, Deadline::after(std::chrono::milliseconds(50)));
                if (next.may_stop) until = sooner(until, next.stop_look);
            }
            // The drain is over and yet this is not done: the stream to be closed is in another thread's hands.
            // Or another thread has just found it over, and nothing will tell of that any more.
            if (next.is_late || (next.is_over && set.empty())) until = backoff.next();
            else if (blind) until = sooner(until, backoff.next());
            set.wait(last ? limit : until);

            bool moved = want.in && !in.is_idle() && set.may_be_ready(in.handle());
            if (moved) in.push();
            crowded = false;
            each_moving(want, [&](Incoming& stream) {
                if (!set.may_be_ready(stream.handle())) return;
                const Incoming::Pulled pulled = stream.pull(want.keep);
                if (pulled == Incoming::Pulled::busy) crowded = true;
                if (pulled == Incoming::Pulled::something) note_output();
                moved = true;
            });
            unclear = running > 0 && next.by_exit && !moved && set.any_ready() && !job.has_ended() &&
                      job.running() == running;
        }
    }

    /// What step() found.
    struct Step {
        bool output = false;    // something came, be it the end of a stream
        bool ending = false;    // this call found that the job must end
        bool ended = false;     // it is over, and its streams too: nothing more will come
        bool draining = false;  // it is over, but a stream is not
        bool by_exit = false;   // its exit handle tells when to look
        bool by_rest = false;   // that is another one now, of somebody who was left behind
        bool blind = false;     // something may happen that no handle tells: look again soon
        Deadline next;          // when to look again in any case
    };

    /// drive() for one who waits for many jobs at once, and never waits here: moves what `ready` has, sees the exit,
    /// keeps the deadlines. `start` is when the job came to be watched; `table` serves all jobs of one look. What was
    /// found before a sink threw is in `found`.
    void step(const Want& want, Deadline start, unsigned ready, os::ProcessTable& table, Step& found) {
        if (want.in && (ready & in_ready) != 0) in.push();
        each_moving(want, [&](Incoming& stream) {
            const unsigned which = &stream == &out ? out_ready : err_ready;
            if ((ready & which) == 0 && !stream.has_unsaved()) return;
            const Incoming::Pulled pulled = stream.pull(want.keep);
            found.blind |= pulled == Incoming::Pulled::busy;
            if (pulled != Incoming::Pulled::something) return;
            note_output();
            found.output |= stream.is_piped();
        });
        found.ending = advance(want, start, table);
        if (foreground_.is_open()) follow_stop();
        const Next next = next_change(want, start);
        found.next = next.may_stop ? sooner(next.at, next.stop_look) : next.at;
        const bool over = is_over(), moving = any_moving(want);
        found.ended = over && !moving;
        found.draining = over && moving;
        found.by_exit = next.by_exit && (!next.has_ended || next.by_rest);
        found.by_rest = next.by_rest;
        found.blind |= foreground_.is_open() || next.is_late;
    }
    static constexpr unsigned out_ready = 1, err_ready = 2, in_ready = 4;

    /// When somebody has to look again, should nothing else tell before. Never for one that no clock concerns.
    Deadline next_look() {
        const Next next = next_change({}, Deadline::never());
        return next.may_stop ? sooner(next.at, next.stop_look) : next.at;
    }

    /// Readable when there is somebody less to wait for.
    int exit_handle() {
        os::Lock lock(mutex_);
        os::ProcessTable table;
        see(table);
        if (has_ended_ && phase_ < Phase::given_up && !is_rest_watched_) {
            rest_looks_ = looks_from_afar;
            rest_look_ = Deadline::now();
            see(table);
        }
        return job.exit_handle();
    }

    /// Readable when the job's token is fired; -1 where it has none, or it was, or there is no handle to be had.
    int cancel_handle() noexcept { return cancel_ && !cancel_->fired() ? cancel_->handle() : -1; }
    bool may_be_cancelled() const noexcept { return cancel_ && !cancel_->fired(); }

    /// Begins the end for a reason, as the deadline does: SIGTERM, and after `grace` SIGKILL, in whichever call drives
    /// then. False where nothing is to be ended any more.
    bool begin_end(EndedBy why, Timeout grace) {
        os::ProcessTable table;
        return begin_end(why, grace, table);
    }
    bool begin_end(EndedBy why, Timeout grace, os::ProcessTable& table) {
        os::Lock lock(mutex_);
        see(table);
        if (phase_ >= Phase::given_up && !is_drained()) {
            cut(why);
            return true;
        }
        if (phase_ > Phase::terminating) return false;
        terminate(why, grace, table);
        return true;
    }
    /// As if its token had been fired.
    bool cancel(os::ProcessTable& table) {
        {
            os::Lock lock(mutex_);
            if (cancel_seen_) return false;
            cancel_seen_ = true;
        }
        return begin_end(EndedBy::cancel, grace_, table);
    }

    /// SIGKILL at once. 0, or the errno. Where it is refused, the job goes on, unless its handle is to go.
    int begin_kill(bool in_any_case) {
        os::ProcessTable table;
        return begin_kill(in_any_case, table);
    }
    int begin_kill(bool in_any_case, os::ProcessTable& table) {
        os::Lock lock(mutex_);
        see(table);
        if (phase_ == Phase::over) return ESRCH;
        if (!in_any_case && job.is_out_of_reach()) return EPERM;
        return kill(table, EndedBy::kill);
    }

  private:
    /// running → over, by itself: draining → over, or draining → killing → over, where somebody does not come to an end.
    /// By force: → terminating → killing → over, from either. given_up: killed, or not to be killed, and not gone yet.
    enum class Phase { running, draining, terminating, killing, given_up, over };

    /// How long a killed process may take to be gone before it is given up. Only the kernel's own work is waited for
    /// here: tearing down tens of gigabytes takes it a second.
    static constexpr std::chrono::seconds longest_death{5};
    /// How long to go on after a forced end, or a KILL to what was left: only one that is out of reach can still write.
    static constexpr std::chrono::milliseconds aftermath{200};
    /// How often to ask the group whether it is empty before all processes are looked at: mostly it is in a moment.
    static constexpr unsigned looks_from_afar = 5;
    /// When to look first whether the terminal has stopped a job, and how often at the least: no handle tells.
    static constexpr std::chrono::milliseconds first_stop_look{20}, longest_stop_look{250};

    static bool moves(const Incoming& stream, bool wanted) noexcept {
        return stream.is_open() && (wanted || stream.has_sink()) && !stream.is_abandoned();
    }
    template <class Function>
    void each_moving(const Want& want, Function function) {
        if (moves(out, want.out)) function(out);
        if (moves(err, want.err)) function(err);
        for (Incoming& stream : later_errs_) {
            if (moves(stream, want.err)) function(stream);
        }
    }
    bool any_moving(const Want& want) const noexcept {
        bool any = moves(out, want.out) || moves(err, want.err);
        for (const Incoming& stream : later_errs_) any |= moves(stream, want.err);
        return any;
    }

    /// Is there anything that the call waits for besides the end?
    bool is_moving(const Want& want) const noexcept {
        return any_moving(want) || (want.in && in.is_open() && !in.is_idle());
    }

    std::vector<Process> list(const os::Notes<os::Named>& names) {
        os::Lock lock(mutex_);
        std::vector<Process> all;
        all.reserve(names.size());
        for (const os::Named& one : names) all.push_back({one.pid, printable(one.command), one.why});
        return all;
    }

    /// What time and the others have brought about. True where this call has just found that the job must end.
    bool advance(const Want& want, Deadline start, os::ProcessTable& table) {
        bool begun = false, is_late, is_forced;
        {
            os::Lock lock(mutex_);
            // First: what has ended by itself is not ended for being late. Whoever waits late finds the truth.
            see(table);
            const EndedBy why = reason(want, start);
            if (why != EndedBy::itself) {
                begun = phase_ <= Phase::terminating;
                if (begun) terminate(why, grace_, table);
                else cut(why);
            }
            if (phase_end_.passed()) time_is_up(table);
            is_late = streams_end_.passed();
            is_forced = ended_by_ != EndedBy::itself || cut_by_ != EndedBy::itself;
        }
        if (is_late) expire(want, is_forced, table);
        return begun;
    }

    void expire(const Want& want, bool is_forced, os::ProcessTable& table) {
        if (want.in) in.close();
        os::Notes<os::Named> found;
        bool any_held = false;
        each_moving(want, [&](Incoming& stream) {
            const char* const name = &stream == &out ? "holds out" : "holds err";
            const auto note = [&](int handle) {
                const std::size_t before = found.size();
                os::name_holders(handle, name, table, found);
                if (found.size() == before) found.add({-1, name, {}});
            };
            any_held |= stream.expire(want.keep, is_forced, note);
        });
        if (!any_held) return;
        os::Lock lock(mutex_);
        for (const os::Named& one : found) holders_.add(one);
        if (cut_by_ != EndedBy::itself) end_by(cut_by_);
    }

    /// When the phase changes next by itself, and what else may change it.
    struct Next {
        Deadline at;
        Deadline stop_look;
        bool by_exit = false, has_ended = false, by_rest = false, by_cancel = false;
        bool may_stop = false;
        bool is_over = false;
        bool is_late = false;  // what there is to be closed is in another thread's hands
    };
    Next next_change(const Want& want, Deadline start) {
        os::Lock lock(mutex_);
        Next next;
        const bool moving = is_moving(want);
        if (phase_ < Phase::given_up) {
            next.at = phase_end_;
            next.by_exit = true;
            next.has_ended = has_ended_;
            next.by_rest = is_rest_watched_;
            if (has_ended_ && !is_rest_watched_) next.at = sooner(next.at, rest_look_);
            if (phase_ == Phase::killing && !has_ended_) next.at = sooner(next.at, rest_look_);
        }
        if (phase_ <= Phase::terminating || (phase_ >= Phase::given_up && moving)) {
            if (!deadline_seen_) next.at = sooner(next.at, deadline_);
            next.at = sooner(next.at, idle_end(want, start));
            next.by_cancel = cancel_.has_value() && !cancel_seen_;
        }
        if (moving) next.at = sooner(next.at, streams_end_);
        next.is_over = phase_ >= Phase::given_up;
        next.is_late = phase_ >= Phase::given_up && any_moving(want) && streams_end_.passed();
        next.may_stop = phase_ == Phase::running && may_stop_ && !next_stop_look_.is_never();
        next.stop_look = next_stop_look_;
        return next;
    }

    /// Where the job at the terminal has stopped (Ctrl-Z, or it read the terminal from the background), so does the
    /// host, and both go on together. A host that is in the foreground has no reason to stop: it can let the job go
    /// on at once. So it does with one that was stopped for the terminal, and has been lent it since.
    void follow_stop() {
        const int number = job.take_stop();
        if (number == 0) return;
        bool stops = false;
        {
            os::Lock lock(mutex_);
            if (!os::Job::is_for_terminal(number) || !foreground_.belongs_to(job.pid())) {
                stops = !foreground_.is_mine();
                foreground_.take_back(true);
            }
        }
        if (stops) sys::stop_own_group(number == SIGSTOP ? SIGTSTP : number);
        // A host that cannot be stopped would go round and round with a job that stops again and again.
        os::sleep_until(Deadline::after(std::chrono::milliseconds(10)));
        resume();
    }

    /// The job goes on: in the foreground, if that is the host's.
    void resume() {
        os::Lock lock(mutex_);
        os::ProcessTable table;
        see(table);
        if (has_ended_) return;
        if (foreground_.is_mine()) foreground_.lend(job.pid());
        job.send(SIGCONT);
    }

    void note_output() noexcept {
        if (idle_timeout_.is_none()) return;
        os::Lock lock(mutex_);
        last_output_ = Deadline::now();
    }

    void look_for_stop_now() noexcept {
        os::Lock lock(mutex_);
        next_stop_look_ = Deadline::now();
    }

    // These hold the lock.

    /// When a call that began at `start` has heard nothing for too long, from any stream, in any thread.
    Deadline idle_end(const Want& want, Deadline start) const {
        if (idle_timeout_.is_none() || !any_moving(want)) return {};
        const bool heard = !last_output_.is_never() && earlier(start, last_output_);
        return (heard ? last_output_ : start).plus(idle_timeout_);
    }

    /// What ends the job now; `itself` where nothing does. Each is told once.
    EndedBy reason(const Want& want, Deadline start) {
        if (phase_ == Phase::killing || (phase_ >= Phase::given_up && !is_moving(want))) return EndedBy::itself;
        if (cancel_ && !cancel_seen_ && cancel_->fired()) {
            cancel_seen_ = true;
            return EndedBy::cancel;
        }
        if (!deadline_seen_ && deadline_.passed()) {
            deadline_seen_ = true;
            return EndedBy::timeout;
        }
        if (phase_ != Phase::terminating && idle_end(want, start).passed()) return EndedBy::idle_timeout;
        return phase_ == Phase::running && may_stop_ && has_stopped() ? EndedBy::terminal_stop : EndedBy::itself;
    }

    /// For good: the terminal that the host and the job share has stopped the job for using it.
    bool has_stopped() {
        if (!next_stop_look_.passed()) return false;
        if (stop_pause_.length() == std::chrono::nanoseconds::zero()) {
            // Without a terminal that controls the host there is none that could stop the job.
            if (!os::Fd::open("/dev/tty", O_RDWR | O_NOCTTY).is_open() && !os::is_shortage(errno)) {
                may_stop_ = false;
                return false;
            }
            stop_pause_ = first_stop_look;
        }
        const auto twice = stop_pause_.length() * 2;
        stop_pause_ = twice < longest_stop_look ? twice : longest_stop_look;
        next_stop_look_ = Deadline::after(stop_pause_);
        return os::Job::is_for_terminal(job.stopped_by());
    }

    /// The first reason counts.
    void end_by(EndedBy why) noexcept {
        if (ended_by_ == EndedBy::itself) ended_by_ = why;
    }
    bool is_forced() const noexcept { return ended_by_ != EndedBy::itself; }

    Timeout after_force() const noexcept { return drain_.length() < aftermath ? drain_ : Timeout(aftermath); }

    /// Looks whether it has ended, and who is left.
    void see(os::ProcessTable& table) {
        if (phase_ == Phase::over) return;
        if (!has_ended_) {
            has_ended_ = job.has_ended();
            if (!has_ended_ && phase_ == Phase::killing && rest_look_.passed()) {
                job.kill(table);  // one may have slipped from group to group, or have been stopped on the way
                rest_look_ = rest_pause_.next();
            }
            if (!has_ended_) return;
            if (!job.is_ours())
                close_streams();  // what a forked copy of the host reads would be missing in the original
            foreground_.take_back(!job.ended().status.exited());
            rest_look_ = rest_since_ = Deadline::now();
            rest_pause_ = {};
            if (phase_ == Phase::running) {
                const bool waits = stragglers_kept_ == Stragglers::wait;
                // One whose deadline had passed by then was not late itself, and nor is what it left; but where that is
                // waited for, nothing else bounds it.
                if (!waits) deadline_seen_ |= deadline_.passed();
                phase_ = Phase::draining;
                streams_end_ = waits ? Deadline::never() : Deadline::after(drain_);
                phase_end_ = streams_end_;
            } else if (phase_ >= Phase::killing) {
                phase_end_ = Deadline::after(after_force());
            }
        }
        const bool leaves = phase_ == Phase::draining && stragglers_kept_ == Stragglers::leave;
        if (leaves || is_alone(table)) finish();
    }

    /// Is nobody left?
    bool is_alone(os::ProcessTable& table) {
        if (!is_rest_watched_ && !rest_look_.passed()) return false;
        const os::Job::Rest rest = job.look_for_rest(++rest_looks_ > looks_from_afar, table, rest_since_);
        // Who was there at that time has to be looked for anew; one who was not cannot have come since.
        if (!table.read_at().is_never() && earlier(rest_since_, table.read_at())) rest_since_ = table.read_at();
        is_rest_watched_ = rest == os::Job::Rest::watched;
        rest_look_ = rest_pause_.next();
        if (rest != os::Job::Rest::nobody && phase_ == Phase::killing)
            job.kill(table);  // it may have been refused once
        if (rest != os::Job::Rest::unknown || !is_drained()) return rest == os::Job::Rest::nobody;
        // Nobody says anything any more, and that is all that can be told here.
        job.kill(table);
        return true;
    }

    void finish() {
        if (!job.close()) return;
        if (phase_ == Phase::given_up) survivors_.cut(0);
        if (is_forced() || phase_ >= Phase::killing)
            streams_end_ = sooner(streams_end_, Deadline::after(after_force()));
        phase_ = Phase::over;
        phase_end_ = Deadline::never();
    }

    /// The phase has lasted as long as it may.
    void time_is_up(os::ProcessTable& table) {
        switch (phase_) {
            case Phase::draining:
                job.name_rest(table, phase_end_, stragglers_);
                kill(table, EndedBy::itself);
                break;
            case Phase::terminating: kill(table, ended_by_); break;
            case Phase::killing:  // another user's, or stuck in the kernel: the bound holds all the same
                job.name_rest(table, phase_end_, survivors_);
                if (has_ended_ && !death_end_.passed() && any_is_dying()) {
                    survivors_.cut(0);
                    job.kill(table);
                    phase_end_ = rest_pause_.next();
                    break;
                }
                streams_end_ = Deadline::now();
                if (has_ended_) return finish();
                phase_ = Phase::given_up;
                phase_end_ = Deadline::never();
                break;
            case Phase::running:
            case Phase::given_up:
            case Phase::over: break;
        }
    }

    /// Is any of those who are still there on the way out? They all got SIGKILL, but those whom it cannot reach.
    bool any_is_dying() const noexcept {
        bool any = false;
        for (const os::Named& one : survivors_) any |= *one.why == '\0';
        return any;
    }

    /// Nothing more is waited for but a stream that somebody out of reach holds: not any more.
    void cut(EndedBy why) noexcept {
        cut_by_ = why;
        streams_end_ = Deadline::now();
    }

    /// Also where it is on its way already: the shorter grace counts, and the reason for it.
    void terminate(EndedBy why, Timeout grace, os::ProcessTable& table) {
        const Deadline end = Deadline::after(grace);
        if (phase_ == Phase::terminating && !earlier(end, phase_end_)) return;
        ended_by_ = why;
        phase_end_ = end;
        if (phase_ == Phase::terminating) return;
        job.terminate(has_terminal_, table);
        streams_end_ = Deadline::never();  // they too have the grace
        phase_ = Phase::terminating;
        rest_pause_ = {};
    }

    /// 0, or the errno.
    int kill(os::ProcessTable& table, EndedBy why) {
        const int error = job.kill(table);
        if (phase_ >= Phase::killing) return error;
        // Refused, it will not end for having been asked: no use in waiting.
        const bool refused = error == EPERM || job.is_out_of_reach();
        end_by(why);
        phase_ = Phase::killing;
        rest_pause_ = {};
        rest_look_ = rest_pause_.next();
        death_end_ = refused ? Deadline::now() : Deadline::after(longest_death);
        streams_end_ = Deadline::never();  // as long as somebody who was killed is on the way out
        if (has_ended_) phase_end_ = Deadline::after(after_force());
        else phase_end_ = death_end_;
        return error;
    }

    os::Foreground foreground_;
    std::vector<Incoming> later_errs_;  // with per_stage, of the stages behind the first

    const Stragglers stragglers_kept_;
    const bool has_terminal_;  // of its own
    bool may_stop_;            // at the host's terminal
    const Deadline deadline_;
    const Timeout idle_timeout_, grace_, drain_;
    const std::optional<Cancel> cancel_;

    os::Mutex mutex_;
    Phase phase_ = Phase::running;
    Deadline phase_end_;    // of the drain, of the grace, of the wait after SIGKILL
    Deadline death_end_;    // of the wait after SIGKILL, also for those whom the leader has left behind
    Deadline streams_end_;  // when those that somebody still holds are closed
    Deadline last_output_;
    EndedBy ended_by_ = EndedBy::itself;
    EndedBy cut_by_ = EndedBy::itself;  // likewise, where only a stream was left, and only if it was cut off
    bool has_ended_ = false;            // what was started has
    bool deadline_seen_ = false, cancel_seen_ = false;
    unsigned drivers_ = 0;

    Deadline rest_look_;   // when to ask next who is left
    Deadline rest_since_;  // what was seen before is of no use
    os::Backoff rest_pause_;
    unsigned rest_looks_ = 0;
    bool is_rest_watched_ = false;  // instead of asking

    Deadline next_stop_look_;
    Timeout stop_pause_ = std::chrono::nanoseconds(0);

    os::Notes<os::Named> stragglers_, survivors_, holders_;
};

}  // namespace leash::detail

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

    bool is_piped() const noexcept { return piped_; }
    bool has_sink() const noexcept { return static_cast<bool>(sink_); }
    bool is_open() const noexcept { return handle() >= 0; }
    int handle() const noexcept { return handle_.load(std::memory_order_acquire); }
    bool held() const noexcept { return held_.load(std::memory_order_relaxed); }
    int error() const noexcept { return error_; }

    /// What has been read and not been taken.
    std::string_view waiting() const noexcept { return std::string_view(buffer_).substr(taken_); }

    void take(std::size_t count) {
        taken_ += count;
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
        buffer_.append(tail_);
        tail_.clear();
    }

    /// What the limit keeps of all that waits, as a copy.
    std::string captured(Limit limit) const {
        const std::string_view first = waiting().substr(shown_), last = tail_;
        const std::size_t total = first.size() + last.size();
        if (total <= limit.most) return concat({first, last});
        const std::size_t head = limit.head() < first.size() ? limit.head() : first.size();
        const std::size_t tail = limit.most - head;
        const std::size_t of_first = tail > last.size() ? tail - last.size() : 0;
        return concat({first.substr(0, head), first.substr(first.size() - of_first),
                       last.substr(last.size() > tail ? last.size() - tail : 0)});
    }
    /// How many bytes that leaves out, of all that came.
    std::size_t dropped(Limit limit) const noexcept {
        const std::size_t total = waiting().size() - shown_ + tail_.size();
        return dropped_ + (total > limit.most ? total - limit.most : 0);
    }
    /// Makes what waits just what is kept, for take_captured(). All or nothing, should memory run out.
    void cut(Limit limit) {
        const std::size_t missing = dropped(limit);
        if (missing > dropped_) {
            buffer_ = captured(limit);
            tail_.clear();
            taken_ = shown_ = 0;
            dropped_ = missing;
        } else {
            begin_reading();
        }
    }
    /// Hands it over.
    std::string take_captured() noexcept {
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
    /// the pipe at this moment was written in time and is read, be the reader ever so late; then it is closed.
    void expire(Limit keep) {
        const Turn stream(&turnstile_), function(sink_ ? &sink_->turnstile : nullptr);
        if (!stream || !function || !is_open()) return;
        // A terminal cannot tell how much that is: then all that can be read at once, up to more than it can hold.
        std::size_t left = is_terminal_ ? largest : os::bytes_waiting(fd_) + unsaved_;
        for (bool last = left == 0;; last = left == 0) {
            const std::size_t count = read_once(keep);
            if (!is_open()) return;  // its end came after all: for that, one read more than there are bytes
            if (count == 0 || last) break;
            left -= count < left ? count : left;
        }
        held_.store(true, std::memory_order_relaxed);
        shut();
        fd_.close();
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

    // Read into memory that stays warm, then copied: reading straight into a growing string would fault its pages
    // in while the pipe is locked, and stall the writer.
    char* scratch_ = nullptr;
    std::size_t unsaved_ = 0;  // bytes in it that nobody has had yet
    std::size_t size_ = smallest;

    std::string buffer_;
    std::size_t taken_ = 0;
    std::size_t shown_ = 0;
    std::string tail_;  // of what the head had no room for
    std::size_t dropped_ = 0;
    std::atomic<bool> held_{false};
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

    /// Writes what the pipe takes.
    void push() noexcept {
        while (!todo_.empty() && fd_.is_open()) {
            const ssize_t n = os::write_some(fd_, todo_);
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
            if (count < todo_.size() && !grown_) {
                grown_ = true;
                os::grow_pipe(fd_);
            }
            todo_.remove_prefix(count);
        }
        if (todo_.empty() && finishing_) end();
    }

  private:
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
        : job(options.group, options.stragglers),
          in(options.in),
          out(options.out),
          err(options.err),
          later_errs_(options.err.is(Stdio::Kind::per_stage) && processes > 0 ? processes - 1 : 0),
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
    bool held() const noexcept {
        bool any = out.held() || err.held();
        for (const Incoming& stream : later_errs_) any |= stream.held();
        return any;
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

    /// It has ended, or has been given up: nothing more is to be waited for.
    bool is_over() noexcept {
        os::Lock lock(mutex_);
        return phase_ >= Phase::given_up;
    }
    bool timed_out() noexcept {
        os::Lock lock(mutex_);
        return timed_out_;
    }
    bool idle() noexcept {
        os::Lock lock(mutex_);
        return idle_;
    }
    bool cancelled() noexcept {
        os::Lock lock(mutex_);
        return cancelled_;
    }
    bool survivors() noexcept {
        os::Lock lock(mutex_);
        return survivors_;
    }

    /// The leader has ended and every sink has had all its output.
    bool is_complete() noexcept { return is_over() && !any_moving({}); }

    /// Every stream of output has come to its end.
    bool is_drained() const noexcept {
        Want all;
        all.out = all.err = true;
        return !any_moving(all);
    }

    /// Moves data, sees the exit, keeps the job's own deadline, until done() or `limit`; true for done().
    /// When the job's deadline has passed, or it was cancelled, the call that finds it so ends the job, and takes up
    /// to grace + drain longer than its limit.
    bool drive(const Want& want, Deadline limit, Condition done) {
        const sys::NoCancellation guard;
        os::Backoff backoff;
        os::WaitSet set;
        bool unclear = false;  // a handle told of an end and there was none: they are of no use for a while
        bool crowded = false;  // another thread is at a sink: likewise
        bool ends_it = false;  // this call found that the job must end
        bool last = false;
        const Deadline start = idle_timeout_.is_none() ? Deadline::never() : Deadline::now();
        Unwinding unwinding(*this);
        for (;;) {
            each_moving(want, [&](Incoming& stream) {
                if (stream.is_piped() && stream.has_unsaved()) stream.pull(want.keep);
            });
            if (advance(want, start)) ends_it = true;
            if (foreground_.is_open()) follow_stop();
            if (done()) return unwinding.no_more(), true;
            if (last && !ends_it) return unwinding.no_more(), false;
            last = !ends_it && limit.passed();  // one round more, that does not wait: what is ready is moved

            set.clear();
            Deadline until = ends_it ? Deadline::never() : limit;
            bool blind = crowded || unclear;  // something may happen that no handle tells
            if (want.in && !in.is_idle()) set.writable(in.handle());
            if (!crowded) each_moving(want, [&](Incoming& stream) { blind |= !set.readable(stream.handle()); });
            const std::size_t running = job.running();
            const Next next = next_change(want, start);
            until = sooner(until, next.at);
            if (next.by_cancel) blind |= !set.readable(cancel_->handle());
            if (next.by_exit && !last) {
                // Nothing else can happen: that costs no handle. It tells of the stop of one process only.
                if (set.empty() && until.is_never() && !blind && !(foreground_.is_open() && running > 1)) {
                    job.wait_for_exit(foreground_.is_open());
                    unclear = !job.finish() && job.running() == running;
                    continue;
                }
                if (!unclear) blind |= !job.watch(set);
                // No handle tells of a stop.
                if (foreground_.is_open()) until = sooner(until, Deadline::after(std::chrono::milliseconds(50)));
            }
            // The drain is over and yet this is not done: the stream to be closed is in another thread's hands.
            if (!next.by_exit && next.at.passed()) until = backoff.next();
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
            unclear = next.by_exit && !moved && set.any_ready() && !job.finish() && job.running() == running;
        }
    }

    /// What step() found.
    struct Step {
        bool output = false;    // something came, be it the end of a stream
        bool ending = false;    // this call found that the job must end
        bool ended = false;     // it has, and its streams too: nothing more will come
        bool draining = false;  // it has, but a stream has not yet
        bool blind = false;     // something may happen that no handle tells: look again soon
        Deadline next;          // when to look again in any case
    };

    /// drive() for one who waits for many jobs at once, and never waits here: moves what `ready` has, sees the exit,
    /// keeps the deadlines. `start` is when the job came to be watched. What was found before a sink threw is in
    /// `found`.
    void step(const Want& want, Deadline start, unsigned ready, Step& found) {
        each_moving(want, [&](Incoming& stream) {
            const unsigned which = &stream == &out ? out_ready : err_ready;
            if ((ready & which) == 0 && !stream.has_unsaved()) return;
            const Incoming::Pulled pulled = stream.pull(want.keep);
            found.blind |= pulled == Incoming::Pulled::busy;
            if (pulled != Incoming::Pulled::something) return;
            note_output();
            found.output |= stream.is_piped();
        });
        found.ending = advance(want, start);
        if (foreground_.is_open()) follow_stop();
        const Next next = next_change(want, start);
        found.next = next.at;
        if (next.by_exit) {
            found.blind |= foreground_.is_open();
        } else if (any_moving(want)) {
            found.draining = true;
            found.blind |= next.at.passed();  // to be cut off, but in another thread's hands
        } else {
            found.ended = is_settled();
            found.blind |= !found.ended;
        }
    }
    static constexpr unsigned out_ready = 1, err_ready = 2;

    /// Readable when the job's token is fired; -1 where it has none, or it was, or there is no handle to be had.
    int cancel_handle() noexcept { return cancel_ && !cancel_->fired() ? cancel_->handle() : -1; }
    bool may_be_cancelled() const noexcept { return cancel_ && !cancel_->fired(); }

    /// As if its token had been fired; false where there is nothing to end any more, or it was cancelled before.
    bool cancel() {
        os::Lock lock(mutex_);
        if (phase_ > Phase::terminating || has_ended() || cancelled_) return false;
        cancelled_ = true;
        terminate(grace_);
        return true;
    }

    /// Begins the end, as the deadline does: SIGTERM, and after `grace` SIGKILL, in whichever call drives then.
    void begin_stop(Timeout grace) {
        os::Lock lock(mutex_);
        if (!has_ended()) terminate(grace);
    }

    /// SIGKILL at once.
    void begin_kill() {
        os::Lock lock(mutex_);
        if (!has_ended()) kill();
    }

    /// After the job is over: waits, within the drain, until what was killed has really gone, ports and all.
    void settle() {
        const sys::NoCancellation guard;
        os::Backoff backoff;
        while (!is_settled()) os::sleep_until(backoff.next());
    }

    /// The same, asked once.
    bool is_settled() {
        bool late, asked_often;
        {
            os::Lock lock(mutex_);
            if (settled_ || phase_ != Phase::over) return true;
            late = phase_end_.passed();
            asked_often = ++settle_rounds_ > 3;
        }
        bool alive = false;
        if (!job.group_vanished()) {
            // Mostly they are gone within a millisecond. If not, a look at them tells zombies, which wait for their
            // new parent and hold nothing, from those that still run.
            if (!late && !asked_often) return false;
            alive = job.group_is_alive();
            if (!late && alive) return false;
        }
        os::Lock lock(mutex_);
        settled_ = true;
        if (alive) survivors_ = true;
        return true;
    }

  private:
    /// running → terminating → killing → over, or given_up: it was killed, or could not be, and still is not gone.
    enum class Phase { running, terminating, killing, given_up, over };

    /// How long a killed process may take to be gone before it is given up. Only the kernel's own work is waited for
    /// here: tearing down tens of gigabytes takes it a second.
    static constexpr std::chrono::seconds longest_death{5};

    /// A call that is left by an exception, out of a sink or for want of memory, does not go on driving. Should the
    /// job be on its way to its end, nobody else would know: it is killed, so that all who wait see it end.
    class Unwinding {
      public:
        explicit Unwinding(Pump& pump) noexcept : pump_(&pump) {}
        Unwinding(const Unwinding&) = delete;
        Unwinding& operator=(const Unwinding&) = delete;
        ~Unwinding() {
            if (pump_ == nullptr) return;
            os::Lock lock(pump_->mutex_);
            if (pump_->phase_ == Phase::terminating && !pump_->has_ended()) pump_->kill();
        }
        void no_more() noexcept { pump_ = nullptr; }

      private:
        Pump* pump_;
    };

    static bool moves(const Incoming& stream, bool wanted) noexcept {
        return stream.is_open() && (wanted || stream.has_sink());
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

    /// What time and the others have brought about. True where this call has just found that the job must end.
    bool advance(const Want& want, Deadline start) {
        bool begun = false, drained = false;
        {
            os::Lock lock(mutex_);
            // First: what has ended by itself is not ended for being late. Whoever waits late finds the truth.
            if (phase_ != Phase::over && has_ended()) return false;
            if (phase_ == Phase::running || phase_ == Phase::terminating) {
                const bool is_idle = phase_ == Phase::running && idle_end(want, start).passed();
                if (!timed_out_ && (is_idle || deadline_.passed())) {
                    begun = timed_out_ = true;
                    idle_ = is_idle;
                }
                if (!cancelled_ && cancel_ && cancel_->fired()) begun = cancelled_ = true;
                if (begun) terminate(grace_);
            }
            if (phase_ != Phase::running && phase_end_.passed()) {
                switch (phase_) {
                    case Phase::running: break;
                    case Phase::terminating: kill(); break;
                    case Phase::killing:  // another user's, or stuck in the kernel: the bound holds all the same
                        phase_ = Phase::given_up;
                        survivors_ = true;
                        break;
                    case Phase::given_up:
                    case Phase::over: drained = true; break;
                }
            }
        }
        if (drained) {
            if (want.in) in.close();
            each_moving(want, [&](Incoming& stream) { stream.expire(want.keep); });
        }
        return begun;
    }

    /// When the phase changes next by itself, and what else may change it.
    struct Next {
        Deadline at;
        bool by_exit = false, by_cancel = false;
    };
    Next next_change(const Want& want, Deadline start) {
        os::Lock lock(mutex_);
        Next next;
        next.at = phase_ == Phase::running ? idle_end(want, start) : phase_end_;
        if (phase_ <= Phase::terminating && !timed_out_) next.at = sooner(next.at, deadline_);
        next.by_cancel = phase_ <= Phase::terminating && cancel_.has_value() && !cancelled_;
        next.by_exit = phase_ < Phase::given_up;
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
        if (has_ended()) return;
        if (foreground_.is_mine()) foreground_.lend(job.pid());
        job.send(SIGCONT);
    }

    void note_output() noexcept {
        if (idle_timeout_.is_none()) return;
        os::Lock lock(mutex_);
        last_output_ = Deadline::now();
    }

    // These hold the lock.

    /// When a call that began at `start` has heard nothing for too long, from any stream, in any thread.
    Deadline idle_end(const Want& want, Deadline start) const {
        if (idle_timeout_.is_none() || !any_moving(want)) return {};
        const bool heard = !last_output_.is_never() && earlier(start, last_output_);
        return (heard ? last_output_ : start).plus(idle_timeout_);
    }

    bool has_ended() {
        if (phase_ == Phase::over) return true;
        if (!job.finish()) return false;
        foreground_.take_back(!job.ended().status.exited());
        if (phase_ == Phase::given_up) survivors_ = false;
        // Ended by force, it has the drain from the SIGKILL on, and not anew: the bound is one.
        const Deadline drained = Deadline::after(drain_);
        phase_end_ = phase_ >= Phase::killing ? sooner(drained, killed_at_.plus(drain_)) : drained;
        phase_ = Phase::over;
        return true;
    }

    /// Also where it is on its way already: the shorter grace counts.
    void terminate(Timeout grace) {
        if (phase_ > Phase::terminating) return;
        const Deadline end = Deadline::after(grace);
        if (phase_ == Phase::terminating) {
            phase_end_ = sooner(phase_end_, end);
            return;
        }
        job.spare_nobody();
        job.send(SIGTERM);
        job.send(SIGCONT);  // to a stopped process a TERM would only be pending
        phase_ = Phase::terminating;
        phase_end_ = end;
    }

    void kill() {
        job.spare_nobody();
        // Refused, it will not end for having been asked: no use in waiting.
        const bool refused = job.send(SIGKILL) == EPERM || job.is_out_of_reach();
        if (phase_ >= Phase::killing) return;
        phase_ = Phase::killing;
        killed_at_ = Deadline::now();
        phase_end_ = refused ? killed_at_ : Deadline::after(longest_death);
    }

    os::Foreground foreground_;
    std::vector<Incoming> later_errs_;  // with per_stage, of the stages behind the first

    const Deadline deadline_;
    const Timeout idle_timeout_, grace_, drain_;
    const std::optional<Cancel> cancel_;

    os::Mutex mutex_;
    Phase phase_ = Phase::running;
    Deadline phase_end_;  // of the grace, of the wait after SIGKILL, of the drain
    Deadline killed_at_;
    Deadline last_output_;
    bool timed_out_ = false;
    bool idle_ = false;
    bool cancelled_ = false;
    bool survivors_ = false;
    bool settled_ = false;
    unsigned settle_rounds_ = 0;
};

}  // namespace leash::detail

// leash/detail/incoming.hpp - what the child writes and we read: a pipe into a buffer, or into a sink.
#ifndef LEASH_0_1_0_DETAIL_INCOMING_HPP
#define LEASH_0_1_0_DETAIL_INCOMING_HPP

#include <string>
#include <string_view>
#include <utility>

#include <leash/detail/array.hpp>
#include <leash/detail/atomic.hpp>
#include <leash/detail/limit.hpp>
#include <leash/detail/posix/exit_watch.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/sys/ioctl.hpp>
#include <leash/detail/shared.hpp>
#include <leash/detail/stream_function.hpp>
#include <leash/detail/text.hpp>
#include <leash/detail/turnstile.hpp>
#include <leash/options.hpp>

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

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

struct Transcript;

/// What the streams share that a Supervisor waits for: only one is read at a time, but that another thread may be at a sink.
struct Common {
    Common() = default;
    Common(const Common&) = delete;
    Common& operator=(const Common&) = delete;
    ~Common() { delete[] scratch.load(); }

    Atomic<bool> stream_ended{false};  // of any
    Atomic<char*> scratch{nullptr};    // Incoming::largest bytes to read into; with whoever reads at the moment
};

/// One stream of output.
class Incoming {
  public:
    Incoming() = default;
    [[gnu::cold]] explicit Incoming(const Stdio& stream)
        : sink_(stream.function), is_terminal_(stream.is(Stdio::Kind::tty)) {}
    Incoming(const Incoming&) = delete;
    Incoming& operator=(const Incoming&) = delete;
    [[gnu::cold]] ~Incoming() { delete[] scratch_; }

    void begin(os::Fd fd) noexcept {
        fd_ = std::move(fd);
        handle_.store(fd_.get(), __ATOMIC_RELEASE);
        piped_ = fd_.is_open() && !sink_;
    }

    /// For a Supervisor, whose thread the stream's is then: it is told of the stream's end, however that comes about, and
    /// lends the memory to read into, so that a job which is silent holds none. nullptr ends that.
    void join(Common* common) noexcept {
        common_ = common;
        if (common != nullptr && unsaved_.empty()) drop_scratch();
    }

    /// Keeps what is read there too, besides here. Not for sinks.
    void also_to(Transcript* all) noexcept { all_ = all; }

    bool is_piped() const noexcept { return piped_; }
    bool has_sink() const noexcept { return static_cast<bool>(sink_); }
    bool is_open() const noexcept { return handle() >= 0; }
    int handle() const noexcept { return handle_.load(__ATOMIC_ACQUIRE); }
    bool held() const noexcept { return held_.load(__ATOMIC_RELAXED); }
    /// Nobody waits for it any more: it was in a slow sink's hands when its time was over.
    bool is_abandoned() const noexcept { return abandoned_.load(__ATOMIC_RELAXED); }
    /// Is it this thread that is at it, and so in its sink?
    bool is_mine() const noexcept { return turnstile_.is_mine(); }
    int error() const noexcept { return error_; }

    /// What has been read and not been taken.
    std::string_view waiting() const noexcept { return std::string_view(buffer_).substr(taken_); }

    /// How much of it a reader would find, be it set apart.
    std::size_t count_waiting() const noexcept {
        return waiting().size() - shown_ + tail_.size() + aside_.size() + unsaved_.size();
    }

    /// Whoever looks at what waits: a reader for as long as its call, and one who reads aside for moments. A reader may be
    /// in a sink, or a function, of another reader of its own.
    class Use {
      public:
        explicit Use(Incoming& stream) noexcept : stream_(stream.users_.is_mine() ? nullptr : &stream) {
            if (stream_ == nullptr || stream_->users_.enter()) return;
            stream_->is_awaited_.store(true, __ATOMIC_RELAXED);
            for (os::Backoff backoff; !stream_->users_.enter();) os::sleep_until(backoff.next());
            stream_->is_awaited_.store(false, __ATOMIC_RELAXED);
        }
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;
        ~Use() {
            if (stream_ == nullptr) return;
            stream_->is_full_.store(false, __ATOMIC_RELAXED);  // some of it may have been taken
            stream_->users_.leave();
        }

      private:
        Incoming* stream_;
    };

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
            if (common_ != nullptr && buffer_.capacity() > kept_by_the_silent) std::string().swap(buffer_);
        } else if (taken_ > buffer_.size() / 2 && taken_ > smallest) {
            buffer_.erase(0, taken_);
            taken_ = 0;
        }
    }

    /// The first bytes of what waits are on show as a line. Whatever is read next begins behind them.
    void show(std::size_t count) noexcept { shown_ = count; }

    void take_shown() { take(std::exchange(shown_, 0)); }

    /// What was read aside joins the rest. All or nothing, should memory run out.
    [[gnu::cold]] void join_aside(Limit keep) {
        if (aside_.empty()) return;
        save(aside_, keep);
        aside_ = {};
    }

    /// Before a reader looks at what waits: what was shown is taken, and what was set apart joins the rest.
    void begin_reading(Limit keep = {}) {
        take_shown();
        join_aside(keep);
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
    [[gnu::cold]] void cut(Limit limit) {
        const Kept kept = select(limit);
        if (kept.dropped > dropped_) {
            const std::size_t seam = kept.head.size(), missing = kept.dropped;
            buffer_ = captured(limit);
            tail_.clear();
            searches_ = {};
            taken_ = shown_ = 0;
            dropped_ = missing;
            gap_ = seam;
        } else {
            begin_reading();
        }
    }
    /// Hands it over.
    [[gnu::cold]] std::string take_captured() noexcept {
        searches_ = {};
        gap_ = none;
        buffer_.erase(0, std::exchange(taken_, 0));
        return std::exchange(buffer_, std::string());
    }

    /// Memory ran out before what was read could be kept, or a sink has left a part of it: pull() has it at hand.
    bool has_unsaved() const noexcept { return owes_.load(__ATOMIC_RELAXED); }

    enum class Pulled { nothing, something, busy };

    /// pull() for one who only wants the child to go on: what waits, and may be on show, stays as it is, and what comes is
    /// for the next who reads. What the limit does not keep is dropped, or with `is_patient` stays where it is, for as
    /// long as nobody takes some of what waits: is_full(). `busy` where a reader of another thread is at it, who will read
    /// it himself.
    [[gnu::cold]] Pulled pull_aside(Limit keep, bool is_patient) {
        if (is_awaited_.load(__ATOMIC_RELAXED)) return Pulled::busy;  // or he would hardly ever find it free
        const Turn user(&users_);
        if (!user) return Pulled::busy;
        const std::size_t have = waiting().size() + tail_.size() + aside_.size() + unsaved_.size();
        if (is_patient && have >= keep.most) {
            is_full_.store(true, __ATOMIC_RELAXED);
            return Pulled::nothing;
        }
        struct Aside {
            Incoming& stream;
            ~Aside() {
                stream.reads_aside_ = false;
                stream.room_ = SIZE_MAX;
            }
        } const aside{*this};
        reads_aside_ = true;
        if (is_patient) room_ = keep.most - have;
        return pull(keep);
    }
    /// There was no room for more that is read aside.
    bool is_full() const noexcept { return is_full_.load(__ATOMIC_RELAXED); }

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
        if (!aside_.empty() && !reads_aside_) join_aside(keep);
        bool something = false;
        // A few full reads in a row before the next poll(), which would cost 3 % between each two.
        for (int round = 0; round < 4 && is_open() && room_ > 0; ++round) {
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
    [[gnu::cold]] bool expire(Limit keep, bool in_any_case, Note note) {
        const Turn stream(&turnstile_), function(sink_ ? &sink_->turnstile : nullptr);
        if (!stream || !is_open()) {
            if (!stream && in_any_case) abandoned_.store(true, __ATOMIC_RELAXED);
            return false;
        }
        if (!function && !in_any_case) return false;
        if (function) join_aside(keep);
        // A terminal cannot tell how much that is: then all that can be read at once, up to more than it can hold.
        std::size_t left = is_terminal_ ? largest : os::bytes_waiting(fd_) + unsaved_.size();
        for (bool last = left == 0; function; last = left == 0) {
            const std::size_t count = read_once(keep);
            if (!is_open()) return false;  // its end came after all: for that, one read more than there are bytes
            if (count == 0 || last) break;
            left -= count < left ? count : left;
        }
        if (sink_ && function) sink_->finish(rest_);
        note(fd_.get());
        held_.store(true, __ATOMIC_RELAXED);
        shut();
        fd_.close();
        return true;
    }

    [[gnu::cold]] void close() noexcept {
        for (os::Backoff backoff;; os::sleep_until(backoff.next())) {
            const Turn stream(&turnstile_);
            if (stream) {
                shut();
                fd_.close();
            }
            if (stream || !is_terminal_) return;  // a terminal may be in resize(), for a moment
        }
    }

    /// Gives the descriptor away: see Reader::release().
    int release() {
        const Turn stream(&turnstile_);
        if (!stream || !is_open() || is_terminal_) return -1;
        if (!unsaved_.empty()) {
            join_aside({});
            store({});
        }
        const int given = os::give_away(fd_);
        if (given >= 0) shut();
        return given;
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
    static constexpr std::size_t smallest = 64 * 1024, largest = 256 * 1024, kept_by_the_silent = 1024;

    /// What a limit keeps: a part before the gap, and one behind it, of which the end may be in tail_.
    struct Kept {
        std::string_view head, tail, last;
        std::size_t dropped;  // of all that came
    };

    /// Cut at the edges of characters, which the job's own words may be read by.
    [[gnu::cold]] Kept select(Limit limit) const noexcept {
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
        if (useless == nullptr) return searches_.add({std::string(text), 0});
        useless->text = text;
        return *useless;
    }

    /// Whether something is left, be it by an exception.
    struct Owing {
        Incoming& stream;
        ~Owing() { stream.owes_.store(!stream.unsaved_.empty(), __ATOMIC_RELAXED); }
    };

    /// One read, delivered; how many bytes. Should memory run out on the way, what was read is delivered next time.
    std::size_t read_once(Limit keep) {
        if (unsaved_.empty()) {
            take_scratch();
            const ssize_t n = os::read_some(fd_, scratch_, room_ < size_ ? room_ : size_);
            if (n <= 0) {
                if (n < 0 && errno == EAGAIN) {
                    if (common_ != nullptr) drop_scratch();
                    return 0;
                }
                // Linux's way to say that nobody has the terminal open any more; elsewhere it is 0 as of a pipe.
                const bool is_end = n == 0 || (is_terminal_ && errno == EIO);
                if (!is_end) error_ = errno;
                if (sink_) sink_->finish(rest_);  // before anybody takes it for ended
                shut();
                return 0;
            }
            unsaved_ = {scratch_, static_cast<std::size_t>(n)};
            if (reads_aside_) room_ -= unsaved_.size();
        }
        const std::size_t count = unsaved_.size();
        owes_.store(true, __ATOMIC_RELAXED);
        {
            const Owing owing{*this};
            if (sink_) sink_->write(unsaved_, rest_);
            else store(keep);
        }
        const bool grows = count == size_ && size_ < largest;
        if (grows || common_ != nullptr) drop_scratch();
        if (grows) {
            os::grow_pipe(fd_);
            size_ = largest;
        }
        return count;
    }

    /// Keeps what nobody has had yet. Should memory run out on the way, once more: then what the transcript has, it has.
    void store(Limit keep) {
        if (all_ != nullptr && !is_noted_) note();
        if (reads_aside_) set_aside(unsaved_, keep);
        else save(unsaved_, keep);
        is_noted_ = false;
        unsaved_ = {};
    }
    void note();

    void take_scratch() {
        if (scratch_ != nullptr) return;
        if (common_ != nullptr) scratch_ = common_->scratch.exchange(nullptr);
        scratch_size_ = common_ != nullptr ? largest : size_;
        if (scratch_ == nullptr) scratch_ = new char[scratch_size_];
    }
    /// Nobody needs what is in it.
    void drop_scratch() noexcept {
        char* mine = std::exchange(scratch_, nullptr);
        if (mine != nullptr && common_ != nullptr && scratch_size_ == largest) mine = common_->scratch.exchange(mine);
        delete[] mine;
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

    /// The same aside: what a limit will drop when it joins the rest is dropped here.
    [[gnu::cold]] void set_aside(std::string_view chunk, Limit keep) {
        make_room(aside_, chunk.size());
        aside_.append(chunk);
        const std::size_t have = buffer_.size() - taken_, head = keep.head() > have ? keep.head() - have : 0;
        const std::size_t most = head + keep.tail(), slack = keep.tail() > 0 ? largest : 0;
        if (aside_.size() <= most || aside_.size() - most <= slack) return;
        dropped_ += aside_.size() - most;
        aside_.erase(head, aside_.size() - most);
    }

    /// It has come to its end. A terminal stays open all the same: without a host it would be hung up, and SIGHUP
    /// would end a child that has merely closed its streams before it ends.
    void shut() noexcept {
        handle_.store(-1, __ATOMIC_RELEASE);
        if (common_ != nullptr) common_->stream_ended.store(true);
        if (!is_terminal_) fd_.close();
        drop_scratch();
        unsaved_ = {};
        owes_.store(false, __ATOMIC_RELAXED);
    }

    os::Fd fd_;
    Shared<StreamFunction> sink_;
    bool is_terminal_ = false;
    bool piped_ = false;
    Atomic<int> handle_{-1};  // fd_'s number for those who only watch; -1 once it has ended
    Turnstile turnstile_;     // one thread at a time
    Common* common_ = nullptr;

    // Read into memory that stays warm, then copied: reading straight into a growing string would fault its pages
    // in while the pipe is locked, and stall the writer.
    char* scratch_ = nullptr;
    std::size_t scratch_size_ = 0;
    std::string_view unsaved_;  // what of it nobody has had yet
    Atomic<bool> owes_{false};  // the same for those who only watch
    std::string rest_;          // what the sink waits for the rest of
    std::size_t size_ = smallest;
    Transcript* all_ = nullptr;
    bool is_noted_ = false;  // the transcript has what is in unsaved_

    std::string buffer_;
    std::size_t taken_ = 0;
    std::size_t shown_ = 0;
    std::string tail_;   // of what the head had no room for
    std::string aside_;  // of what has come since, while somebody wrote, or read another stream
    bool reads_aside_ = false;
    std::size_t room_ = SIZE_MAX;  // for what is read
    Turnstile users_;              // of all this, where more threads than one may be
    Atomic<bool> is_awaited_{false}, is_full_{false};
    std::size_t before_ = 0;  // how much was taken, ever
    Array<Search> searches_;
    std::size_t dropped_ = 0;
    static constexpr std::size_t none = SIZE_MAX;
    std::size_t gap_ = none;  // where in what waits they are missing; none: between it and tail_
    Atomic<bool> held_{false}, abandoned_{false};
    int error_ = 0;

    friend struct Transcript;
};

/// What several streams said, in the order in which it was read: see Options::all.
struct Transcript : Counted {
    explicit Transcript(Limit bound) noexcept : limit(bound) {}
    [[gnu::cold]] ~Transcript() override = default;

    std::string captured() {
        const os::Lock lock(mutex);
        return text.captured(limit);
    }
    std::size_t dropped() noexcept {
        const os::Lock lock(mutex);
        return text.dropped(limit);
    }
    /// As Incoming has them.
    /// @{
    [[gnu::cold]] void cut() {
        const os::Lock lock(mutex);
        text.cut(limit);
    }
    [[gnu::cold]] std::string take_captured() noexcept {
        const os::Lock lock(mutex);
        return text.take_captured();
    }
    /// @}
    void save(std::string_view chunk) {
        const os::Lock lock(mutex);
        text.save(chunk, limit);
    }

    os::Mutex mutex;  // each stream may be another thread's
    const Limit limit;
    Incoming text;
};

[[gnu::cold]] inline void Incoming::note() {
    all_->save(unsaved_);
    is_noted_ = true;
}

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_DETAIL_INCOMING_HPP

// leash/impl/supervisor.ipp - the bodies of <leash/supervisor.hpp>.
#ifndef LEASH_0_1_0_IMPL_SUPERVISOR_IPP
#define LEASH_0_1_0_IMPL_SUPERVISOR_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <leash/cancel.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/array.hpp>
#include <leash/detail/incoming.hpp>
#include <leash/detail/posix/exit_watch.hpp>
#include <leash/detail/posix/poller.hpp>
#include <leash/detail/posix/sys/guards.hpp>
#include <leash/detail/posix/sys/processes.hpp>
#include <leash/detail/pump.hpp>
#include <leash/detail/shared.hpp>
#include <leash/detail/timers.hpp>
#include <leash/error.hpp>
#include <leash/popen.hpp>
#include <leash/supervisor.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {

/// What a Supervisor is behind its contract, where each member is described.
class SupervisorCore : public Counted {
  public:
    using Id = Supervisor::Id;
    using Event = Supervisor::Event;

    SupervisorCore() = default;
    ~SupervisorCore() override {
        table_.begin_look();
        for (const auto& member : members_) {
            if (member && member->is_job()) member->pump->begin_kill(true, table_);
        }
    }

    /// `anyhow`: also where it cannot be watched, for want of descriptors or the like. Then it is looked at now and then.
    Expected<Id> add(Popen&& job, std::uintptr_t tag, bool anyhow) {
        if (!job.pump_) return make_error(std::errc::invalid_argument, Step::stream, self, "the Popen is empty");
        if (!open()) return os::last_error(Step::stream, self);
        // Nobody here reads what is the original's.
        if (!job.pump_->job.is_ours()) job.pump_->close_streams();
        const int cancel = job.pump_->cancel_handle();  // asked once: next time there may be another answer
        make_room(cancel);
        if (free_.empty())
            return make_error(std::errc::too_many_files_open, Step::stream, self,
                              "more than a million jobs, timers and watches");
        Member& member = enter(std::move(job), tag);
        const Id id = member.id;
        ++size_;
        ++unended_;
        member.pump->join(&common_);
        member.pump->in.tell_queue(&watch_queue, &member);
        member.pump->tell_aside(&note_aside, &member);
        wake(member, member.start);
        if (!watch(member, cancel)) {
            const int error = errno;
            if (!anyhow) {
                job = remove(id);
                return make_error(error, Step::stream, self, "the job cannot be watched");
            }
            member.blind = true;
        }
        table_.begin_look();
        if (token_ && token_->fired()) cancel_one(member);
        return id;
    }

    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    bool done() const noexcept { return unended_ == 0 && alarms_ == 0; }

    Popen* find_job(Id id) const noexcept {
        Member* const member = find(id);
        return member != nullptr && member->is_job() ? &member->job : nullptr;
    }

    Popen remove(Id id) {
        Member* const member = find(id);
        if (member == nullptr || !member->is_job()) return Popen();
        if (!is_copy()) unwatch(*member);
        timers_.remove(*member);
        ready_.remove(*member);
        interrupted_.remove(*member);
        draining_.remove(*member);
        if (!member->told_end) --unended_;
        --size_;
        Popen job = std::move(member->job);
        leave(*member);
        return job;
    }

    Id after(Timeout delay, std::uintptr_t tag) {
        if (is_copy()) start_anew();
        make_room(-1);
        if (free_.empty()) return 0;
        Member& member = enter(Popen(), tag);
        ++alarms_;
        timers_.set(member, Deadline::after(delay));
        return member.id;
    }

    Expected<Id> watch(int fd, std::uintptr_t tag) {
        if (!open()) return os::last_error(Step::stream, self);
        make_room(-1);
        if (free_.empty())
            return make_error(std::errc::too_many_files_open, Step::stream, self,
                              "more than a million jobs, timers and watches");
        os::Fd copy(os::duplicate_above(fd, 3));
        if (!copy.is_open()) return os::last_error(Step::stream, decimal(fd));
        Member& member = enter(Popen(), tag);
        member.watched = std::move(copy);
        ++watches_;
        if (poller_.add(member.watched.get(), member.id << token_bits | watch_token)) return member.id;
        const bool is_file = errno == EPERM;  // epoll's answer
        const Error error = os::last_error(Step::stream, decimal(fd),
                                           is_file ? "a file is always readable: there is nothing to wait for" : "");
        forget(member.id);
        return error;
    }

    bool forget(Id id) noexcept {
        Member* const member = find(id);
        if (member == nullptr || member->is_job()) return false;
        if (member->watched.is_open() && !is_copy()) poller_.remove(member->watched.get());
        member->watched.is_open() ? --watches_ : --alarms_;
        timers_.remove(*member);
        ready_.remove(*member);
        leave(*member);
        return true;
    }

    std::optional<Event> next(Timeout timeout) {
        const sys::NoCancellation guard;
        const Deadline limit = Deadline::after(timeout);
        if (is_copy()) start_anew();
        for (bool last = false;;) {
            if (auto event = take_event()) return event;
            if ((done() && watches_ == 0) || last) return std::nullopt;
            last = limit.passed();
            look(last ? Deadline::now() : limit);
        }
    }

    void cancel() {
        table_.begin_look();
        for (const auto& member : members_) {
            if (member && member->is_job() && !member->has_ended) cancel_one(*member);
        }
    }

    Expected<void> cancel_with(const Cancel& token) {
        if (!open()) return os::last_error(Step::stream, self);
        if (token_handle_ >= 0) unwatch_cancel(std::exchange(token_handle_, -1));
        token_.reset();
        if (token.fired()) {
            cancel();
        } else {
            const int fd = token.handle();
            if (fd < 0) return os::last_error(Step::stream, self);
            make_room(fd);
            if (!watch_cancel(fd)) return os::last_error(Step::stream, self);
            token_handle_ = fd;
        }
        token_ = token;
        return {};
    }

    int handle() const noexcept { return is_copy() ? -1 : poller_.handle(); }

    Timeout time_left() const {
        if (!ready_.empty() || !interrupted_.empty() || poller_.has_more() || common_.stream_ended.load() ||
            (unended_ > 0 && is_copy()))
            return Duration();
        const Timed* const first = timers_.first();
        return first == nullptr ? Timeout::none() : Timeout(first->due().remaining());
    }

  private:
    friend struct AllRunner;

    struct Member;

    /// A member's place in a List.
    struct Place {
        Member* before = nullptr;
        Member* behind = nullptr;
        bool is_in = false;
    };

    /// A job. Or, with an empty handle, a timer, or a descriptor that is watched.
    struct Member : Counted, Timed {
        Member(SupervisorCore& its, Popen&& popen, Id number, std::uintptr_t its_tag)
            : core(its), job(std::move(popen)), pump(job.pump_), id(number), tag(its_tag) {}
        ~Member() override {
            if (!is_job()) return;
            pump->join(nullptr);
            pump->in.tell_queue(nullptr, nullptr);
            pump->tell_aside(nullptr, nullptr);
        }
        bool is_job() const noexcept { return static_cast<bool>(pump); }
        SupervisorCore& core;
        Popen job;
        const Shared<Pump> pump;  // the job's, whatever its user does with the handle
        const Id id;
        const std::uintptr_t tag;
        os::Fd watched;  // a copy of what the user gave: the token of a job, say, is watched already
        const Deadline start = Deadline::now();
        os::Backoff backoff;
        int exit = -1, cancel = -1;  // handles that are watched
        bool blind = false;          // one that should be is not
        bool exit_tells = true;      // the first of them is of use
        bool writes = false;         // `in` is watched
        bool waits = false;          // for another thread: its handles are armed again at its next look
        // Events to be told.
        bool has_output = false, is_ending = false, has_ended = false;
        bool told_end = false;
        Place ready, interrupted, draining;
    };

    /// Members in the order in which they came, linked by a place that each has for it: to come and to go costs the same
    /// however many there are, and takes no memory.
    template <Place Member::*place>
    class List {
      public:
        bool empty() const noexcept { return first_ == nullptr; }
        Member* first() const noexcept { return first_; }
        static Member* behind(const Member& member) noexcept { return (member.*place).behind; }
        /// Nothing where it is in the list already; so with remove().
        void add(Member& member) noexcept {
            Place& its = member.*place;
            if (its.is_in) return;
            its = {last_, nullptr, true};
            link(its.before, its.behind, &member, &member);
        }
        void remove(Member& member) noexcept {
            Place& its = member.*place;
            if (!its.is_in) return;
            link(its.before, its.behind, its.behind, its.before);
            its = {};
        }

      private:
        void link(Member* before, Member* behind, Member* follows, Member* precedes) noexcept {
            (before != nullptr ? (before->*place).behind : first_) = follows;
            (behind != nullptr ? (behind->*place).before : last_) = precedes;
        }
        Member* first_ = nullptr;
        Member* last_ = nullptr;
    };

    static constexpr const char* self = "supervisor";

    // A handle's token: the job's id, and which of its handles. Cancel tokens are nobody's, since many may share them:
    // there it is the handle itself instead of an id.
    enum : std::uint64_t {
        exit_token,
        in_token,
        out_token,
        err_token,
        cancel_token,
        watch_token,
        token_bits = 3,
        slot_bits = 20
    };

    static std::size_t slot_of(Id id) noexcept { return id & ((Id{1} << slot_bits) - 1); }
    Member* find(Id id) const noexcept {
        const std::size_t slot = slot_of(id);
        return slot < members_.size() && members_[slot] && members_[slot]->id == id ? members_[slot].get() : nullptr;
    }

    /// There is room for it.
    Member& enter(Popen&& job, std::uintptr_t tag) {
        const std::size_t slot = free_.back();
        const Id id = ++last_ << slot_bits | slot;
        members_[slot] = Shared<Member>::adopt(new Member(*this, std::move(job), id, tag));
        free_.cut(free_.size() - 1);
        return *members_[slot];
    }
    void leave(Member& member) noexcept {
        const std::size_t slot = slot_of(member.id);
        members_[slot] = {};
        free_.add(slot);
    }

    /// Can it not be watched?
    bool is_blind(Id id) const noexcept {
        const Member* const member = find(id);
        return member != nullptr && member->blind;
    }

    /// For one more job, so that nothing gets lost for want of memory later on.
    void make_room(int cancel) {
        const std::size_t index = cancel >= 0 ? static_cast<std::size_t>(cancel) : 0;
        while (index >= cancels_.size()) cancels_.add(0);
        if (!free_.empty()) return;
        const std::size_t before = members_.size(), after = before < 8 ? 8 : 2 * before;
        if (before >> slot_bits != 0) return;
        free_.reserve(after);
        timers_.reserve(after);
        members_.reserve(after);
        while (members_.size() < after) members_.add({});
        for (std::size_t slot = after; slot > before; --slot) free_.add(slot - 1);
    }

    // ---- forked copies of the host

    /// Is it somebody else's? Or nobody's yet.
    bool is_copy() const noexcept { return owner_ != sys::getpid(); }

    /// The copy's handles are left alone: what is done to the epoll there is done to the original's. The streams that
    /// came along are closed, which the original does not notice, and the jobs are over as soon as somebody looks.
    void start_anew() {
        poller_ = {};
        owner_ = sys::getpid();
        for (int& watchers : cancels_) watchers = 0;
        token_handle_ = -1;
        for (const auto& member : members_) {
            if (!member) continue;
            member->exit = member->cancel = -1;
            member->writes = false;
            if (member->has_ended) continue;
            if (!member->is_job()) {
                member->watched.is_open() ? --watches_ : --alarms_;
                timers_.remove(*member);
                ready_.remove(*member);
                leave(*member);
                continue;
            }
            member->pump->close_streams();
            wake(*member, Deadline::now());
        }
    }

    // ---- handles

    bool watch(Member& member, int cancel) {
        Pump& pump = *member.pump;
        const auto add = [&](int fd, std::uint64_t which) {
            return fd < 0 || poller_.add(fd, member.id << token_bits | which);
        };
        member.writes = pump.in.is_writing();
        if (member.writes && !poller_.add(pump.in.handle(), member.id << token_bits | in_token, true)) return false;
        if (!add(pump.out.handle(), out_token)) return false;
        for (std::size_t i = 0; i < pump.count_errs(); ++i) {
            if (!add(pump.err_of(i).handle(), err_token)) return false;
        }
        watch_exit(member);
        if (cancel >= 0 && !watch_cancel(cancel)) return false;
        member.cancel = cancel;
        member.blind = cancel < 0 && pump.may_be_cancelled();
        return true;
    }

    /// There is something for its `in` to take again.
    [[gnu::cold]] static void watch_queue(void* whom) {
        Member& member = *static_cast<Member*>(whom);
        SupervisorCore& core = member.core;
        if (core.is_copy() || member.has_ended) return;
        const int fd = member.pump->in.handle();
        const std::uint64_t token = member.id << token_bits | in_token;
        if (member.writes) return core.poller_.rearm(fd, token, true);
        member.writes = core.poller_.add(fd, token, true);
        if (member.writes) return;
        member.blind = true;
        core.wake(member, Deadline::now());
    }

    /// A read of one of its streams has read another one, too.
    [[gnu::cold]] static void note_aside(void* whom) noexcept {
        Member& member = *static_cast<Member*>(whom);
        if (member.has_ended) return;
        member.has_output = true;
        member.core.queue(member);
    }

    /// There is room for it in cancels_.
    bool watch_cancel(int fd) {
        const std::size_t index = static_cast<std::size_t>(fd);
        if (cancels_[index] == 0 && !poller_.add(fd, index << token_bits | cancel_token)) return false;
        ++cancels_[index];
        return true;
    }
    void unwatch_cancel(int fd) noexcept {
        if (fd >= 0 && --cancels_[static_cast<std::size_t>(fd)] == 0) poller_.remove(fd);
    }

    /// It is another handle each time that one process has ended and another one is still there.
    void watch_exit(Member& member) {
        const int fd = member.pump->job.exit_handle();
        const std::uint64_t token = member.id << token_bits | exit_token;
        if (member.exit >= 0 && member.exit != fd) poller_.remove(member.exit);
        member.exit = fd >= 0 && (poller_.add(fd, token) || errno == EEXIST) ? fd : -1;
        if (member.exit >= 0) poller_.rearm(fd, token);
    }

    void unwatch(Member& member) noexcept {
        Pump& pump = *member.pump;
        if (member.writes && pump.in.is_open()) poller_.remove(pump.in.handle());
        if (pump.out.is_open()) poller_.remove(pump.out.handle());
        for (std::size_t i = 0; i < pump.count_errs(); ++i) {
            if (pump.err_of(i).is_open()) poller_.remove(pump.err_of(i).handle());
        }
        if (member.exit >= 0) poller_.remove(member.exit);
        unwatch_cancel(std::exchange(member.cancel, -1));
    }

    void rearm(Member& member, std::uint64_t which) {
        Pump& pump = *member.pump;
        const auto again = [&](const Incoming& stream) {
            if (stream.is_open()) poller_.rearm(stream.handle(), member.id << token_bits | which);
        };
        if (which == exit_token && member.exit_tells) watch_exit(member);
        if (which == in_token && member.writes && !member.has_ended && pump.in.is_writing())
            poller_.rearm(pump.in.handle(), member.id << token_bits | which, true);
        if (which == out_token) again(pump.out);
        for (std::size_t i = 0; which == err_token && i < pump.count_errs(); ++i) again(pump.err_of(i));
    }

    void rearm_all(Member& member) {
        for (const std::uint64_t which : {exit_token, in_token, out_token, err_token}) rearm(member, which);
    }

    // ---- what happens

    /// Waits for the handles and the timers once, and lets their jobs take a step.
    void look(Deadline limit) {
        table_.begin_look();
        while (Member* const member = interrupted_.first()) {
            interrupted_.remove(*member);
            limit = Deadline::now();
            // What throws again does so when its handle tells: others have their turn before, and its clocks.
            step(*member, 0);
            member->waits = false;
            rearm_all(*member);
        }
        // A stream that somebody else has read to its end, or closed, was the last thing that its job waited for.
        const bool any_drained = common_.stream_ended.load();
        for (Member *member = any_drained ? draining_.first() : nullptr, *next; member != nullptr; member = next) {
            next = draining_.behind(*member);
            if (!member->pump->is_drained()) continue;
            limit = Deadline::now();
            step(*member, 0);
        }
        if (any_drained) common_.stream_ended.store(false);  // not where a sink has thrown on the way
        const Timed* const first = timers_.first();
        poller_.wait(first == nullptr ? limit : sooner(limit, first->due()));
        table_.begin_look();
        for (std::uint64_t token; poller_.take(token);) {
            const std::uint64_t which = token & ((1U << token_bits) - 1);
            if (which == cancel_token) {
                follow_cancel(static_cast<int>(token >> token_bits));
            } else if (Member* const member = find(token >> token_bits)) {
                if (which == watch_token) {
                    queue(*member);
                    continue;
                }
                step(*member, which == exit_token  ? 0
                              : which == in_token  ? Pump::in_ready
                              : which == out_token ? Pump::out_ready
                                                   : Pump::err_ready);
                if (!member->waits) rearm(*member, which);
            }
        }
        // Those that are due now, and not also those that become due on the way: there may always be one more.
        const Deadline now = Deadline::now();
        while (timers_.first() != nullptr && !earlier(now, timers_.first()->due())) {
            Member& member = static_cast<Member&>(*timers_.first());
            timers_.remove(member);
            if (!member.is_job()) {
                queue(member);
                continue;
            }
            const bool waited = std::exchange(member.waits, false);
            step(member, all_ready);
            if (waited && !member.waits) rearm_all(member);
        }
    }

    /// A token was fired, and that is for good: the jobs that have it take a step, and it is not watched any more.
    void follow_cancel(int fd) {
        poller_.rearm(fd, static_cast<std::uint64_t>(fd) << token_bits | cancel_token);  // a sink may throw on the way
        if (token_ && fd == token_handle_) {
            cancel();
            unwatch_cancel(std::exchange(token_handle_, -1));
        }
        for (const auto& member : members_) {
            if (!member || member->cancel != fd) continue;  // that of a timer or a watch is -1
            step(*member, 0);
            unwatch_cancel(std::exchange(member->cancel, -1));
        }
    }

    /// Makes all that add() may have to make first. False with errno.
    bool open() {
        if (is_copy()) start_anew();
        return poller_.open();
    }

    /// What a step found counts in any case; one that a sink left with an exception is taken anew later: it may not
    /// have seen all.
    class Finding {
      public:
        Finding(SupervisorCore& jobs, Member& member) noexcept : jobs_(jobs), member_(member) {}
        Finding(const Finding&) = delete;
        Finding& operator=(const Finding&) = delete;
        ~Finding() {
            member_.has_output |= step.output;
            member_.is_ending |= step.ending;
            member_.has_ended |= step.ended;
            if (step.output || step.ending || step.ended) jobs_.queue(member_);
            if (!is_whole) jobs_.interrupted_.add(member_);
        }
        Pump::Step step;
        bool is_whole = false;

      private:
        SupervisorCore& jobs_;
        Member& member_;
    };

    static constexpr unsigned all_ready = Pump::in_ready | Pump::out_ready | Pump::err_ready;

    void cancel_one(Member& member) {
        if (!member.pump->cancel(table_)) return;
        member.is_ending = true;
        queue(member);
        wake(member, Deadline::now());  // for its new deadline
    }

    void step(Member& member, unsigned ready) {
        if (member.has_ended) return;
        Finding found(*this, member);
        Pump::Want want;
        want.in = member.pump->in.is_writing();
        want.out = want.err = true;
        want.keep = member.pump->keep;
        const bool stream_ended = common_.stream_ended.load();
        member.pump->step(want, member.start, ready, table_, found.step);
        common_.stream_ended.store(stream_ended);  // what ended in this step is seen here
        found.is_whole = true;
        if (found.step.draining) draining_.add(member);
        else draining_.remove(member);
        member.exit_tells = found.step.by_exit;
        member.waits |= found.step.busy;
        if (found.step.by_rest) watch_exit(member);
        if (found.step.ended) timers_.remove(member);
        else wake(member, when_again(member, found.step));
    }

    /// The next look at it, should no handle tell before.
    static Deadline when_again(Member& member, const Pump::Step& found) noexcept {
        const bool passed = found.next.passed();
        if (!found.blind && !member.blind && (member.exit >= 0 || found.draining) && !passed) return found.next;
        const Deadline soon = member.backoff.next();
        return passed ? soon : sooner(found.next, soon);
    }

    /// Takes a look at it then, if not sooner.
    void wake(Member& member, Deadline at) {
        if (earlier(at, member.due())) timers_.set(member, at);
    }

    void queue(Member& member) noexcept { ready_.add(member); }

    std::optional<Event> take_event() {
        Member* const member = ready_.first();
        if (member == nullptr) return std::nullopt;
        ready_.remove(*member);
        Event event{Event::ended, member->id, member->tag};
        if (!member->is_job()) {
            event.kind = member->watched.is_open() ? Event::readable : Event::timer;
            if (event.kind == Event::timer) forget(event.id);
            else poller_.rearm(member->watched.get(), event.id << token_bits | watch_token);
            return event;
        }
        if (std::exchange(member->has_output, false)) {
            event.kind = Event::output;
        } else if (std::exchange(member->is_ending, false)) {
            event.kind = Event::ending;
        } else {
            member->told_end = true;
            --unended_;
        }
        if (member->is_ending || (member->has_ended && !member->told_end)) queue(*member);
        return event;
    }

    os::Pid owner_ = -1;  // the process that has added the jobs
    os::Poller poller_;
    os::ProcessTable table_;         // for all jobs
    Common common_;                  // its stream_ended: no step has seen it
    Array<Shared<Member>> members_;  // by slot
    Array<std::size_t> free_;        // slots
    Array<int> cancels_;             // by descriptor: how many watch it (int: an Array that there is anyway)
    Timers timers_;
    List<&Member::ready> ready_;              // those with events
    List<&Member::interrupted> interrupted_;  // whose step is to be taken anew
    List<&Member::draining> draining_;        // that have ended, but something holds a stream
    Maybe<Cancel> token_;                     // for all of them
    int token_handle_ = -1;
    std::size_t size_ = 0;
    std::size_t unended_ = 0;               // whose end has not been told
    std::size_t alarms_ = 0, watches_ = 0;  // how many of the members are no jobs
    Id last_ = 0;
};

}  // namespace detail

LEASH_INLINE Supervisor::Supervisor()
    : core_(detail::Shared<detail::SupervisorCore>::adopt(new detail::SupervisorCore)) {}

LEASH_INLINE Supervisor::~Supervisor() = default;

LEASH_INLINE Expected<Supervisor::Id> Supervisor::add(Popen&& job, Tag tag) {
    return core_->add(std::move(job), tag.value, false);
}

LEASH_INLINE std::size_t Supervisor::size() const noexcept { return core_->size(); }

LEASH_INLINE bool Supervisor::empty() const noexcept { return core_->empty(); }

LEASH_INLINE Popen* Supervisor::find(Id id) noexcept { return core_->find_job(id); }

LEASH_INLINE Popen Supervisor::remove(Id id) { return core_->remove(id); }

LEASH_INLINE std::optional<Supervisor::Event> Supervisor::next(Timeout timeout) { return core_->next(timeout); }

LEASH_INLINE bool Supervisor::done() const noexcept { return core_->done(); }

LEASH_INLINE void Supervisor::cancel() { core_->cancel(); }

LEASH_INLINE Expected<void> Supervisor::cancel_with(const Cancel& token) { return core_->cancel_with(token); }

LEASH_INLINE Supervisor::Id Supervisor::after(Timeout delay, Tag tag) { return core_->after(delay, tag.value); }

LEASH_INLINE Expected<Supervisor::Id> Supervisor::watch(Handle fd, Tag tag) { return core_->watch(fd, tag.value); }

LEASH_INLINE bool Supervisor::forget(Id id) noexcept { return core_->forget(id); }

LEASH_INLINE Handle Supervisor::handle() const noexcept { return core_->handle(); }

LEASH_INLINE Timeout Supervisor::time_left() const { return core_->time_left(); }

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_SUPERVISOR_IPP

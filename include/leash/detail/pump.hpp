// leash/detail/pump.hpp - one wait for everything: the streams, the exit, the cancel token and the deadlines of a job.
//
// Whatever waits for a job, reads from it or writes to it is a call of Pump::drive(), which says what it wants moved
// and when it is done. There is no thread: who calls does the work.
#ifndef LEASH_0_1_0_DETAIL_PUMP_HPP
#define LEASH_0_1_0_DETAIL_PUMP_HPP

#include <utility>
#include <vector>

#include <csignal>

#include <leash/cancel.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/array.hpp>
#include <leash/detail/condition.hpp>
#include <leash/detail/incoming.hpp>
#include <leash/detail/limit.hpp>
#include <leash/detail/outgoing.hpp>
#include <leash/detail/posix/exit_watch.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/foreground.hpp>
#include <leash/detail/posix/guardian.hpp>
#include <leash/detail/posix/job.hpp>
#include <leash/detail/posix/spawn.hpp>
#include <leash/detail/posix/sys/guards.hpp>
#include <leash/detail/posix/sys/processes.hpp>
#include <leash/detail/posix/sys/spawn.hpp>
#include <leash/detail/posix/terminal.hpp>
#include <leash/detail/posix/tree.hpp>
#include <leash/detail/shared.hpp>
#include <leash/detail/text.hpp>
#include <leash/options.hpp>
#include <leash/status.hpp>

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

/// A running job and everything about it that can be waited for.
class Pump : public Counted {
  public:
    /// What a call wants moved, besides the sinks, which everybody moves.
    struct Want {
        bool in = false, out = false, err = false;
        const Incoming* one = nullptr;  // a stream of output: what a reader wants
        // As long as nothing can be written, or that one has nothing, what comes is read for the next who reads.
        bool aside = false;
        Limit keep = {};
    };

    /// Made before the process is: once that runs, nothing can fail any more that would leave it to nobody.
    [[gnu::cold]] Pump(std::size_t processes, const Options& options, Deadline deadline)
        : job(options.group),
          keep{options.max_output, options.keep},
          in(stdio_of(options.in)),
          out(stdio_of(options.out)),
          err(stdio_of(options.err)),
          later_errs_(stdio_of(options.err).is(Stdio::Kind::per_stage) && processes > 0 ? processes - 1 : 0),
          reach_(options.reach),
          stragglers_kept_(!options.group.is_new() && options.reach == Reach::group ? Stragglers::leave
                                                                                    : options.stragglers),
          has_terminal_(has_terminal(options)),
          may_stop_(options.group == Group::own && !has_terminal_),
          deadline_(deadline),
          idle_timeout_(options.idle_timeout),
          drain_(options.drain),
          ask_{SIGTERM, options.grace},
          stop_sequence_(options.stop_sequence),
          cancel_(options.cancel) {
        job.expect(processes);
        if (options.die_with_parent) guardian_ = Shared<os::Guardian>::adopt(new os::Guardian);
        if (options.all) begin_transcript({options.max_output, options.keep});
    }
    [[gnu::cold]] ~Pump() override = default;

    /// To be started with the job; nullptr where it needs none.
    os::Guardian* guardian() noexcept { return guardian_.get(); }

    [[gnu::cold]] void begin(os::Started started) noexcept {
        job.begin(started.pids, std::move(started.exits), std::move(started.traces), std::move(started.cgroup));
        if (reach_ == Reach::tree) next_link_look_ = Deadline::now();
        in.begin(std::move(started.in));
        out.begin(std::move(started.out));
        err.begin(std::move(started.err));
        for (std::size_t i = 0; i < started.later_errs.size(); ++i)
            later_errs_[i].begin(std::move(started.later_errs[i]));
        foreground_ = std::move(started.foreground);
        if (may_stop_) next_stop_look_ = Deadline::after(first_stop_look);
        // Where the host lent it just after the start, the child may have been stopped for reading too early. It is not
        // told to go on unasked: somebody's Ctrl-Z may have come by now, and would be lost. Other stops are not for here:
        // a probe stops itself, and nobody follows it.
        if (!sys::has_tcsetpgrp_action && foreground_.is_lent() && os::Job::is_for_terminal(job.stopped_by()))
            follow_stop();
    }

    const Deadline born = Deadline::now();  // before the start
    os::Job job;
    const Limit keep;  // what a communicate() keeps
    Outgoing in;
    Incoming out, err;
    Shared<Transcript> transcript;  // empty where nobody asked for it

    /// Not inlined: at each of their many uses that would be a division by the size of an Incoming.
    /// @{
    [[gnu::noinline]] std::size_t count_errs() const noexcept { return 1 + later_errs_.size(); }
    /// With per_stage, that stage's; otherwise that of all.
    [[gnu::noinline]] Incoming& err_of(std::size_t stage) noexcept {
        return stage == 0 || stage > later_errs_.size() ? err : later_errs_[stage - 1];
    }
    /// `out`, and the errs.
    std::size_t count_outputs() const noexcept { return 1 + count_errs(); }
    [[gnu::noinline]] Incoming& output(std::size_t number) noexcept { return number == 0 ? out : err_of(number - 1); }
    /// @}
    void join(Common* common) noexcept {
        for (std::size_t i = 0; i < count_outputs(); ++i) output(i).join(common);
    }
    /// What was read aside joins what a communicate() has.
    [[gnu::cold]] void join_aside() {
        for (std::size_t i = 0; i < count_outputs(); ++i) output(i).join_aside(keep);
    }
    [[gnu::cold]] void begin_transcript(Limit limit) {
        transcript = Shared<Transcript>::adopt(new Transcript(limit));
        for (std::size_t i = 0; i < count_outputs(); ++i) output(i).also_to(transcript.get());
    }
    [[gnu::cold]] void close_streams() noexcept {
        in.close();
        for (std::size_t i = 0; i < count_outputs(); ++i) output(i).close();
    }

    /// False in a forked copy of the host: what that writes, or gives away, would be missing or too much in the original.
    bool is_original() noexcept {
        if (job.is_ours()) return true;
        in.close();
        return false;
    }

    /// Whom to tell that output was read aside, which no handle tells of any more: a Supervisor, whose thread this is then.
    void tell_aside(void (*tell)(void*), void* whom) noexcept {
        tell_ = tell;
        whom_ = whom;
    }

    /// The size of the terminal that a stream is: 0, or the errno. A thread that reads it is at it for moments only.
    int resize(unsigned short rows, unsigned short columns) noexcept {
        if (!is_original()) return ENOTTY;
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
    Reach reach() const noexcept { return reach_; }
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

    /// Is this thread in a sink or the source of the job's? Then it is what everything here would wait for.
    bool is_in_sink() const noexcept {
        bool any = in.is_mine() || out.is_mine() || err.is_mine();
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
        bool sourced = false;  // another thread is in the source: likewise
        bool engaged = false;  // another thread reads what could be read aside: likewise
        bool ends_it = false;  // this call found that the job must end
        bool last = false;
        int cancel = -1;
        const Deadline start = idle_timeout_.is_none() ? Deadline::never() : Deadline::now();
        Driving driving(*this);
        for (;;) {
            each_moving(want, [&](Incoming& stream) {
                if (stream.has_unsaved()) stream.pull(want.keep);
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
            bool blind = crowded || sourced || engaged || unclear;  // something may happen that no handle tells
            const int writing = sourced ? -1 : in.writing();
            if (writing >= 0) set.writable(writing);
            if (!crowded) {
                each_moving(want, [&](Incoming& stream) { blind |= !set.readable(stream.handle()); });
            }
            const bool aside = want.aside && !engaged;
            if (aside) each_aside(want, [&](Incoming& stream) { set.readable(stream.handle()); });
            const std::size_t running = job.running();
            const Next next = next_change(want, start);
            until = sooner(until, next.at);
            if (next.by_cancel && cancel < 0) cancel = cancel_->handle();
            if (next.by_cancel) blind |= !set.readable(cancel);
            if (next.by_exit && !last) {
                // Nothing else can happen: that costs no handle. It tells of the stop of one process only.
                const bool or_stop = (foreground_.is_open() && !next.is_suspended) || next.may_stop;
                if (set.empty() && running > 0 && until.is_never() && !blind && !(or_stop && running > 1)) {
                    job.wait_for_exit(or_stop);
                    unclear = !job.has_ended() && job.running() == running;
                    if (unclear && next.may_stop) look_for_stop_now();
                    continue;
                }
                if (!unclear) blind |= !job.watch(set);
                // No handle tells of a stop.
                if (foreground_.is_open()) until = sooner(until, Deadline::after(Duration::milliseconds(50)));
                if (next.may_stop) until = sooner(until, next.stop_look);
            }
            // The drain is over and yet this is not done: the stream to be closed is in another thread's hands.
            // Or another thread has just found it over, and nothing will tell of that any more.
            if (next.is_late || (next.is_over && set.empty())) until = backoff.next();
            else if (blind) until = sooner(until, backoff.next());
            set.wait(last ? limit : until);

            bool moved = writing >= 0 && set.may_be_ready(writing);
            crowded = sourced = engaged = false;
            if (moved) sourced = !in.push();
            bool reads_aside = aside && !moved;
            each_moving(want, [&](Incoming& stream) {
                if (!set.may_be_ready(stream.handle())) return;
                const Incoming::Pulled pulled = stream.pull(want.keep);
                if (pulled == Incoming::Pulled::busy) crowded = true;
                if (pulled == Incoming::Pulled::something) note_output();
                moved = true;
            });
            if (want.one != nullptr) reads_aside = aside && !(moved && done());
            if (reads_aside) moved |= read_aside(want, set, engaged);
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
        bool busy = false;      // likewise, since another thread is at it, and its handle tells all the time
        Deadline next;          // when to look again in any case
    };

    /// drive() for one who waits for many jobs at once, and never waits here: moves what `ready` has, sees the exit,
    /// keeps the deadlines. `start` is when the job came to be watched; `table` serves all jobs of one look. What was
    /// found before a sink threw is in `found`.
    void step(const Want& want, Deadline start, unsigned ready, os::ProcessTable& table, Step& found) {
        if ((ready & in_ready) != 0) found.busy |= !in.push();
        each_moving(want, [&](Incoming& stream) {
            const unsigned which = &stream == &out ? out_ready : err_ready;
            if ((ready & which) == 0 && !stream.has_unsaved()) return;
            const Incoming::Pulled pulled = stream.pull(want.keep);
            found.busy |= pulled == Incoming::Pulled::busy;
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
        found.blind |= found.busy || foreground_.is_open() || next.is_late;
    }
    static constexpr unsigned out_ready = 1, err_ready = 2, in_ready = 4;

    /// When somebody has to look again, should no handle tell before. Never for one that no clock concerns.
    Deadline next_look() {
        // Its end may have been found by any call in between, be it a read, and no handle tells of that any more: who has
        // been told that the leader has ended waits for the leader's no longer.
        if (is_complete()) return Deadline::now();
        const Next next = next_change({}, Deadline::never());
        const Deadline at = next.may_stop ? sooner(next.at, next.stop_look) : next.at;
        const bool unseen = next.is_over || (next.by_exit && !next.has_ended);
        return unseen && job.exit_handle() < 0 ? sooner(at, Deadline::after(os::Backoff::longest)) : at;
    }

    /// Readable when there is somebody less to wait for, or where that cannot be told: then a look is due.
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

    /// Begins the end for a reason, as the deadline does: the signals of the options, or only that of `step`, and then
    /// SIGKILL, in whichever call drives then. False where nothing is to be ended any more.
    bool begin_end(EndedBy why, const StopStep* step) {
        os::ProcessTable table;
        return begin_end(why, step, table);
    }
    [[gnu::cold]] bool begin_end(EndedBy why, const StopStep* step, os::ProcessTable& table) {
        os::Lock lock(mutex_);
        see(table);
        if (phase_ >= Phase::given_up && !is_drained()) {
            cut(why);
            return true;
        }
        if (phase_ > Phase::terminating) return false;
        terminate(why, step, table);
        return true;
    }
    /// As if its token had been fired.
    bool cancel(os::ProcessTable& table) {
        {
            os::Lock lock(mutex_);
            if (cancel_seen_) return false;
            cancel_seen_ = true;
        }
        return begin_end(EndedBy::cancel, nullptr, table);
    }

    /// The group stops, and the clocks stand still. 0, or the errno.
    [[gnu::cold]] int suspend() {
        os::Lock lock(mutex_);
        os::ProcessTable table;
        see(table);
        if (phase_ > Phase::terminating) return ESRCH;
        if (!is_suspended()) job.take_continue();  // of an earlier time
        const int error = job.send(SIGSTOP);
        if (error != 0 || is_suspended()) return error;
        foreground_.take_back(true);
        suspended_at_ = Deadline::now();
        return 0;
    }

    /// The job goes on: in the foreground, if that is the host's. 0, or the errno.
    [[gnu::cold]] int resume() {
        os::Lock lock(mutex_);
        os::ProcessTable table;
        see(table);
        if (phase_ > Phase::terminating) return ESRCH;
        if (!has_ended_ && foreground_.is_mine()) foreground_.lend(job.pid());
        return go_on();
    }

    /// SIGCONT, after which its clocks do not stand still. 0, or the errno.
    int send_continue() noexcept {
        os::Lock lock(mutex_);
        return go_on();
    }

    /// SIGKILL at once. 0, or the errno. Where it is refused, the job goes on, unless its handle is to go.
    int begin_kill(bool in_any_case) {
        os::ProcessTable table;
        return begin_kill(in_any_case, table);
    }
    [[gnu::cold]] int begin_kill(bool in_any_case, os::ProcessTable& table) {
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
    static constexpr Duration longest_death = Duration::seconds(5);
    /// How long to go on after a forced end, or a KILL to what was left: only one that is out of reach can still write.
    static constexpr Duration aftermath = Duration::milliseconds(200);
    /// How often to ask the group whether it is empty before all processes are looked at: mostly it is in a moment.
    static constexpr unsigned looks_from_afar = 5;
    /// When to look first whether the terminal has stopped a job, and how often at the least: no handle tells.
    static constexpr Duration first_stop_look = Duration::milliseconds(20);
    static constexpr Duration longest_stop_look = Duration::milliseconds(250);

    bool moves(const Incoming& stream, const Want& want) const noexcept {
        // Asked first: comparing with nullptr makes g++ 12 believe, and warn, that the stream may be nowhere.
        const bool is_one = want.one != nullptr && &stream == want.one;
        const bool wanted = is_one || (&stream == &out ? want.out : want.err);
        return stream.is_open() && (wanted || stream.has_sink()) && !stream.is_abandoned();
    }
    template <class Function>
    void each_moving(const Want& want, Function function) {
        for (std::size_t i = 0; i < count_outputs(); ++i) {
            Incoming& stream = output(i);
            if (moves(stream, want)) function(stream);
        }
    }
    bool any_moving(const Want& want) const noexcept {
        bool any = moves(out, want) || moves(err, want);
        for (const Incoming& stream : later_errs_) any |= moves(stream, want);
        return any;
    }

    template <class Function>
    [[gnu::cold]] void each_aside(const Want& want, Function function) {
        for (std::size_t i = 0; i < count_outputs(); ++i) {
            Incoming& stream = output(i);
            if (!stream.is_piped() || !stream.is_open() || &stream == want.one) continue;
            if (want.one == nullptr || !stream.is_full()) function(stream);
        }
    }

    /// The child may wait until somebody reads that. True where something was ready. A write drops what is past the
    /// limit: it may be all that its caller waits for. A read leaves it there: it may be what another reader has not got
    /// round to yet.
    [[gnu::cold]] bool read_aside(const Want& want, os::WaitSet& set, bool& engaged) {
        bool ready = false;
        each_aside(want, [&](Incoming& stream) {
            if (!set.may_be_ready(stream.handle())) return;
            ready = true;
            const Incoming::Pulled pulled = stream.pull_aside(keep, want.one != nullptr);
            engaged |= pulled == Incoming::Pulled::busy;
            if (pulled != Incoming::Pulled::something) return;
            note_output();
            if (tell_ != nullptr) tell_(whom_);
        });
        return ready;
    }

    /// Is there anything that the call waits for besides the end?
    bool is_moving(const Want& want) const noexcept { return any_moving(want) || (want.in && in.is_writing()); }

    [[gnu::cold]] std::vector<Process> list(const os::Notes<os::Named>& names) {
        os::Lock lock(mutex_);
        std::vector<Process> all(names.size());
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = {names[i].pid, printable(names[i].command), names[i].why};
        return all;
    }

    /// What time and the others have brought about. True where this call has just found that the job must end.
    [[gnu::cold]] bool advance(const Want& want, Deadline start, os::ProcessTable& table) {
        bool begun = false, is_late, is_forced;
        {
            os::Lock lock(mutex_);
            // First: what has ended by itself is not ended for being late. Whoever waits late finds the truth.
            see(table);
            const EndedBy why = reason(want, start);
            if (why != EndedBy::itself) {
                begun = phase_ <= Phase::terminating;
                if (begun) terminate(why, nullptr, table);
                else cut(why);
            }
            if (is_due(phase_end_)) time_is_up(table);
            is_late = is_due(streams_end_);
            is_forced = this->is_forced() || cut_by_ != EndedBy::itself;
        }
        if (is_late) expire(want, is_forced, table);
        return begun;
    }

    [[gnu::cold]] void expire(const Want& want, bool is_forced, os::ProcessTable& table) {
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
        bool is_suspended = false;
        bool is_over = false;
        bool is_late = false;  // what there is to be closed is in another thread's hands
    };
    [[gnu::cold]] Next next_change(const Want& want, Deadline start) {
        os::Lock lock(mutex_);
        Next next;
        const bool moving = is_moving(want);
        if (phase_ < Phase::given_up) {
            next.at = at_soonest(phase_end_);
            next.by_exit = true;
            next.has_ended = has_ended_;
            next.by_rest = is_rest_watched_;
            if (has_ended_ && !is_rest_watched_) next.at = sooner(next.at, rest_look_);
            if (phase_ == Phase::killing && !has_ended_) next.at = sooner(next.at, rest_look_);
        }
        if (phase_ <= Phase::terminating || (phase_ >= Phase::given_up && moving)) {
            if (!deadline_seen_) next.at = sooner(next.at, at_soonest(deadline_));
            next.at = sooner(next.at, idle_end(want, start));
            next.by_cancel = cancel_.has_value() && !cancel_seen_;
        }
        if (moving) next.at = sooner(next.at, at_soonest(streams_end_));
        next.is_over = phase_ >= Phase::given_up;
        next.is_late = phase_ >= Phase::given_up && any_moving(want) && streams_end_.passed();
        next.may_stop = phase_ == Phase::running && may_stop_ && !next_stop_look_.is_never() && !is_suspended();
        next.stop_look = next_stop_look_;
        next.is_suspended = is_suspended();
        // When it goes on, it may be stopped by the terminal again, and nobody wakes those who wait.
        if (next.is_suspended && (may_stop_ || foreground_.is_open()))
            next.at = sooner(next.at, Deadline::after(longest_stop_look));
        return next;
    }

    /// Where the job at the terminal has stopped (Ctrl-Z, or it read the terminal from the background), so does the
    /// host, and both go on together. A host that is in the foreground has no reason to stop: it can let the job go
    /// on at once. So it does with one that was stopped for the terminal, and has been lent it since.
    [[gnu::cold]] void follow_stop() {
        int number;
        bool stops = false;
        {
            os::Lock lock(mutex_);
            number = is_suspended() ? 0 : job.take_stop();
            if (number == 0) return;
            if (!os::Job::is_for_terminal(number) || !foreground_.belongs_to(job.pid())) {
                stops = !foreground_.is_mine();
                foreground_.take_back(true);
            }
        }
        if (stops) sys::stop_own_group(number == SIGSTOP ? SIGTSTP : number);
        // A host that cannot be stopped would go round and round with a job that stops again and again.
        os::sleep_until(Deadline::after(Duration::milliseconds(10)));
        resume();
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

    // While the job is suspended, its clocks stand still: none of their times comes, and those who wait look again when the
    // first one could have come, had it gone on at once, since nobody wakes them when it does.
    bool is_suspended() const noexcept { return !suspended_at_.is_never(); }
    bool is_due(Deadline at) const noexcept { return !is_suspended() && at.passed(); }
    Deadline at_soonest(Deadline at) const noexcept {
        if (!is_suspended() || at.is_never()) return at;
        constexpr Duration least = Duration::milliseconds(10);
        const Duration left = between(suspended_at_, at);
        return Deadline::after(left < least ? least : left);
    }
    [[gnu::cold]] void let_clocks_go() noexcept {
        if (!is_suspended()) return;
        const Duration stood = between(suspended_at_, Deadline::now());
        for (Deadline* const at : {&deadline_, &phase_end_, &kill_at_, &streams_end_}) *at = at->plus(stood);
        last_output_ = Deadline::now();
        suspended_at_ = Deadline::never();
    }
    int go_on() noexcept {
        let_clocks_go();
        return job.send(SIGCONT);
    }

    /// When a call that began at `start` has heard nothing for too long, from any stream, in any thread.
    [[gnu::cold]] Deadline idle_end(const Want& want, Deadline start) const {
        if (idle_timeout_.is_none() || !any_moving(want)) return {};
        if (is_suspended()) return Deadline::after(idle_timeout_);
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
        if (!deadline_seen_ && is_due(deadline_)) {
            deadline_seen_ = true;
            return EndedBy::timeout;
        }
        if (phase_ != Phase::terminating && idle_end(want, start).passed()) return EndedBy::idle_timeout;
        return phase_ == Phase::running && may_stop_ && !is_suspended() && has_stopped() ? EndedBy::terminal_stop
                                                                                         : EndedBy::itself;
    }

    /// For good: the terminal that the host and the job share has stopped the job for using it.
    [[gnu::cold]] bool has_stopped() {
        if (!next_stop_look_.passed()) return false;
        if (stop_pause_ == Duration()) {
            // Without a terminal that controls the host there is none that could stop the job.
            if (!os::Fd::open("/dev/tty", O_RDWR | O_NOCTTY).is_open() && !os::is_shortage(errno)) {
                may_stop_ = false;
                return false;
            }
            stop_pause_ = first_stop_look;
        }
        const Duration twice = stop_pause_ + stop_pause_;
        stop_pause_ = twice < longest_stop_look ? twice : longest_stop_look;
        next_stop_look_ = Deadline::after(stop_pause_);
        return os::Job::is_for_terminal(job.stopped_by());
    }

    /// The first reason counts.
    void end_by(EndedBy why) noexcept {
        if (ended_by_ == EndedBy::itself) ended_by_ = why;
    }
    bool is_forced() const noexcept { return ended_by_ != EndedBy::itself && ended_by_ != EndedBy::memory; }

    Timeout after_force() const noexcept { return drain_.length() < aftermath ? drain_ : Timeout(aftermath); }

    /// Looks whether it has ended, and who is left.
    [[gnu::cold]] void see(os::ProcessTable& table) {
        if (phase_ == Phase::over) return;
        if (is_suspended() && job.take_continue()) let_clocks_go();  // by somebody else
        if (!has_ended_) {
            has_ended_ = job.has_ended();
            if (!has_ended_ && phase_ == Phase::killing && rest_look_.passed()) {
                job.kill(table);  // one may have slipped from group to group, or have been stopped on the way
                rest_look_ = rest_pause_.next();
            }
            if (!has_ended_ && next_link_look_.passed()) note_links(table);
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
                if (!waits) deadline_seen_ |= is_due(deadline_);
                phase_ = Phase::draining;
                streams_end_ =
                    waits ? Deadline::never() : (is_suspended() ? suspended_at_ : Deadline::now()).plus(drain_);
                phase_end_ = streams_end_;
            } else if (phase_ >= Phase::killing) {
                phase_end_ = Deadline::after(after_force());
            }
        }
        const bool leaves = phase_ == Phase::draining && stragglers_kept_ == Stragglers::leave;
        if (leaves || is_alone(table)) finish();
    }

    /// Whenever there is a look in any case: but not all the time, and the less often the more there are.
    [[gnu::cold]] void note_links(os::ProcessTable& table) {
        const auto known = static_cast<std::int64_t>(job.note_descendants(table));
        next_link_look_ = Deadline::after(Duration::milliseconds(20 + 2 * known));
    }

    /// Is nobody left?
    [[gnu::cold]] bool is_alone(os::ProcessTable& table) {
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

    [[gnu::cold]] void finish() {
        if (guardian_) guardian_->dismiss();  // before the group's number is given back
        if (!job.close()) return;
        let_clocks_go();
        if (phase_ == Phase::given_up) survivors_.cut(0);
        if (reach_ == Reach::cgroup && job.was_out_of_memory()) end_by(EndedBy::memory);
        if (is_forced() || phase_ >= Phase::killing)
            streams_end_ = sooner(streams_end_, Deadline::after(after_force()));
        phase_ = Phase::over;
        phase_end_ = Deadline::never();
    }

    /// The phase has lasted as long as it may.
    [[gnu::cold]] void time_is_up(os::ProcessTable& table) {
        switch (phase_) {
            case Phase::draining:
                job.name_rest(table, phase_end_, stragglers_);
                kill(table, EndedBy::itself);
                break;
            case Phase::terminating:
                if (next_step_ < stop_sequence_.size()) ask(stop_sequence_[next_step_++], false, table);
                else kill(table, ended_by_);
                break;
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

    /// Also where it is on its way already: the shorter way counts, and the reason for it.
    [[gnu::cold]] void terminate(EndedBy why, const StopStep* step, os::ProcessTable& table) {
        if (is_suspended()) go_on();
        const bool has_more = step == nullptr && !stop_sequence_.empty();
        const StopStep& first = step != nullptr ? *step : has_more ? stop_sequence_.front() : ask_;
        Duration all = first.grace.length();
        for (std::size_t i = 1; has_more && i < stop_sequence_.size(); ++i)
            all = all + stop_sequence_[i].grace.length();
        const Deadline end = Deadline::after(all);
        const bool is_first = phase_ != Phase::terminating;
        if (!is_first && !earlier(end, kill_at_)) return;
        ended_by_ = why;
        kill_at_ = end;
        next_step_ = has_more ? 1 : stop_sequence_.size();
        const bool is_asked = !is_first && asked_by_ == first.signal && !has_more;
        if (is_asked) phase_end_ = end;
        else ask(first, is_first, table);
        if (!is_first) return;
        streams_end_ = Deadline::never();  // they too have the grace
        phase_ = Phase::terminating;
        rest_pause_ = {};
    }

    /// One step of the way, after which the next one comes, or SIGKILL.
    [[gnu::cold]] void ask(const StopStep& step, bool is_first, os::ProcessTable& table) {
        phase_end_ = next_step_ < stop_sequence_.size() ? sooner(Deadline::after(step.grace), kill_at_) : kill_at_;
        asked_by_ = step.signal;
        job.terminate(step.signal, is_first && has_terminal_, table);
    }

    /// 0, or the errno.
    [[gnu::cold]] int kill(os::ProcessTable& table, EndedBy why) {
        const int error = job.kill(table);
        let_clocks_go();
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

    Shared<os::Guardian> guardian_;
    os::Foreground foreground_;
    Array<Incoming> later_errs_;  // with per_stage, of the stages behind the first

    const Reach reach_;
    const Stragglers stragglers_kept_;
    const bool has_terminal_;  // of its own
    bool may_stop_;            // at the host's terminal
    Deadline deadline_;
    const Timeout idle_timeout_, drain_;
    const StopStep ask_;  // where there is no sequence
    const std::vector<StopStep> stop_sequence_;
    const Maybe<Cancel> cancel_;

    os::Mutex mutex_;
    Phase phase_ = Phase::running;
    Deadline phase_end_;  // of the drain, of a step's grace, of the wait after SIGKILL
    Deadline kill_at_;    // the end of the last step
    int asked_by_ = 0;    // the last signal
    std::size_t next_step_ = 0;
    Deadline death_end_;    // of the wait after SIGKILL, also for those whom the leader has left behind
    Deadline streams_end_;  // when those that somebody still holds are closed
    Deadline last_output_;
    Deadline suspended_at_;  // never where it is not
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
    Duration stop_pause_;
    Deadline next_link_look_;  // with Reach::tree

    os::Notes<os::Named> stragglers_, survivors_, holders_;

    void (*tell_)(void*) = nullptr;
    void* whom_ = nullptr;
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_DETAIL_PUMP_HPP

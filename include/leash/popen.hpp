// leash/popen.hpp - Popen: a running job.
#ifndef LEASH_0_1_0_POPEN_HPP
#define LEASH_0_1_0_POPEN_HPP

#include <chrono>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <leash/command.hpp>
#include <leash/config.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/plan.hpp>
#include <leash/detail/posix/spawn.hpp>
#include <leash/detail/pump.hpp>
#include <leash/detail/text.hpp>
#include <leash/error.hpp>
#include <leash/options.hpp>
#include <leash/pipeline.hpp>
#include <leash/status.hpp>
#include <leash/stream.hpp>

// A Popen that nobody keeps is a job that dies where it was started. g++ looks for that at the constructor only, clang at
// the class; g++ before 10 takes the former for a mistake.
#if __has_cpp_attribute(nodiscard) >= 201907L
#define LEASH_TO_BE_KEPT [[nodiscard]]
#else
#define LEASH_TO_BE_KEPT
#endif

namespace leash {
inline namespace LEASH_ABI {

namespace detail {
struct AllRunner;
}

/// The system's process id: pid_t.
using Pid = detail::os::Pid;

/// What the pipes of a job gave.
struct Streams {
    std::string out;                ///< of the streams that are piped
    std::string err;                ///< likewise
    std::vector<std::string> errs;  ///< with per_stage: of each stage, in order; `err` is empty then
    bool out_truncated = false;     ///< `out` is longer than Options::max_output: this is what Options::keep says
    bool err_truncated = false;     ///< likewise
    std::size_t out_dropped = 0;    ///< how many bytes of `out` are missing
    std::size_t err_dropped = 0;    ///< likewise
    std::size_t out_seam = 0;       ///< where in `out` they are missing: with Keep::ends, in the middle
    std::size_t err_seam = 0;       ///< likewise; not told with per_stage
    /// Who held a stream open to the end of the drain, though the job had ended: what they wrote afterwards is not here;
    /// what the job itself had written is. They have left its group, or are another user's, and then nobody knows who
    /// they are: an entry without a number stands for those.
    std::vector<Process> held;
    std::size_t unwritten = 0;  ///< bytes of the input that the child did not take
};

/// What Popen::communicate() gives.
struct Captured : Streams {
    std::optional<ExitStatus> status;  ///< nullopt while the job runs on
    bool timed_out = false;            ///< the time of this call was up first: the job runs on
};

/// A running job: a process (its leader), the process group that it started in, and our ends of its pipes.
///
/// When the handle dies, the job dies: SIGKILL to all of it, and the leader is reaped. detach() says otherwise. So
/// `Popen({"prog"});` starts a job and ends it at the semicolon; `Popen({"prog"}).detach();` lets it go.
///
/// There is no thread that watches a job. Options::timeout counts from the start, and the call that waits, reads or polls
/// finds that it has passed, and ends the job; of a handle that nobody asks anything, the job runs on until the handle dies.
///
/// wait, wait_for, wait_until, poll, stop, terminate, kill, send_signal, pid, exit_handle and the questions at the
/// end may be called on one handle from any threads at once; a stream, communicate(), detach(), moving and
/// destroying belong to one thread at a time. Nothing here throws but the constructor, and what waits:
/// where a sink of yours does, or memory runs out.
class [[nodiscard]] Popen {
  public:
    /// Starts it. Throws SpawnError where that fails: then nothing has been started and nothing is left.
#if LEASH_EXCEPTIONS
    LEASH_TO_BE_KEPT explicit Popen(Command command, Options options = {})
        : Popen(try_spawn(std::move(command), std::move(options)).value()) {}
    /// Starts a pipeline, as one job.
    LEASH_TO_BE_KEPT explicit Popen(Pipeline pipeline, Options options = {})
        : Popen(try_spawn(std::move(pipeline), std::move(options)).value()) {}
    /// The same; without it `Popen({"true"})` could also mean a Popen moved from one that is made of "true". (The empty
    /// pack keeps `Popen{"ls -l"}` from being a list.)
    template <class... Nothing, class = std::enable_if_t<sizeof...(Nothing) == 0>>
    LEASH_TO_BE_KEPT explicit Popen(std::initializer_list<Arg> argv, Nothing...) : Popen(Command(argv)) {}
#endif

    /// Starts it, without exceptions.
    static Expected<Popen> try_spawn(Command command, Options options = {}) {
        std::vector<Command> one;
        one.push_back(std::move(command));
        return start(std::move(one), std::move(options), true);
    }

    /// A pipeline, as one job. Where a stage cannot start, those before it are ended, and Error::stage tells which.
    static Expected<Popen> try_spawn(Pipeline pipeline, Options options = {}) {
        return start(std::move(pipeline).stages(), std::move(options), true);
    }

    /// The other handle is empty then: its pid() is -1, its status unknown, and it has no streams to ask for.
    Popen(Popen&& other) noexcept = default;
    /// Ends the job that this handle had.
    Popen& operator=(Popen&& other) noexcept {
        if (this != &other) {
            end();
            pump_ = std::move(other.pump_);
            limit_ = other.limit_;
            per_stage_ = other.per_stage_;
        }
        return *this;
    }
    /// SIGKILL to the group and to the descendants that have left it, unless the job is over; then waits until they are
    /// gone: five seconds at most, a bound met only by what no signal can end (it is stuck in the kernel), and not at all
    /// where the signal is refused.
    ~Popen() { end(); }

    /// The leader's process id, and that of its group unless Group::inherited; -1 for an empty handle.
    Pid pid() const noexcept { return pump_ ? pump_->job.pid() : -1; }

    /// The pipes, where `in`, `out`, `err` are piped; otherwise reads and writes answer EBADF. Not on an empty handle.
    /// @{
    Writer in() & noexcept { return Writer(pump_.get()); }
    Reader out() & noexcept { return Reader(pump_.get(), &pump_->out, false); }
    Reader err() & noexcept { return Reader(pump_.get(), &pump_->err, true); }
    /// @}
    /// With per_stage: what that stage says, counted from 0. Any other number means the first.
    Reader err(std::size_t stage) & noexcept { return Reader(pump_.get(), &pump_->err_of(stage), true); }
    // Of a temporary, `for (auto line : Popen(…).out().lines())` would read a job that has died with its handle.
    Writer in() && = delete;
    Reader out() && = delete;
    Reader err() && = delete;
    Reader err(std::size_t) && = delete;

    // ---- waiting. None of these reads or closes a pipe: a child that has filled one waits until somebody reads, one
    // that reads `in` to its end waits for in().close(). communicate() does all at once. Sinks are served.

    /// Is it over? Does not wait, unless the job's own deadline has passed or it was cancelled: then it ends it. Nothing
    /// as long as there is somebody whom the leader has left behind: see Options::drain.
    std::optional<ExitStatus> poll() { return wait_until_deadline(detail::Deadline::now()); }

    /// Waits until it is over.
    ExitStatus wait() { return wait_until_deadline(detail::Deadline::never()).value_or(ExitStatus()); }

    /// Waits at most so long; nullopt where it still runs. Zero and less only look.
    std::optional<ExitStatus> wait_for(Timeout timeout) {
        return wait_until_deadline(detail::Deadline::after(timeout));
    }

    /// Waits until a point of any clock; nullopt where it still runs.
    template <class Clock, class Duration>
    std::optional<ExitStatus> wait_until(std::chrono::time_point<Clock, Duration> point) {
        return wait_until_deadline(detail::Deadline::at(point));
    }

    // ---- signals, to the whole group (with Group::inherited to the leader alone), as long as the job is not over

    /// Sends it. An error, and no signal, once the job is over: its number may be a stranger's by then.
    Expected<void> send_signal(int number) {
        const int error = !pump_ ? ESRCH : number == SIGKILL ? pump_->begin_kill(false) : pump_->job.send(number);
        if (error == 0) return {};
        const std::string_view name = signal_name(number);
        const std::string more = name == "signal" ? " " + std::to_string(number) : "";
        return detail::make_error(error, Step::signal, detail::concat({name, more, " to pid ", std::to_string(pid())}),
                                  !pump_           ? "an empty handle: moved from, or detached"
                                  : error == ESRCH ? "the job has ended; nothing was signalled"
                                  : error == EPERM ? "it runs as another user"
                                                   : "");
    }

    /// SIGTERM, and SIGCONT so that one that is stopped gets it. Does not wait.
    Expected<void> terminate() {
        auto sent = send_signal(SIGTERM);
        if (sent) pump_->job.send(SIGCONT);
        return sent;
    }

    /// SIGKILL, also to the descendants that have left the group. Does not wait for the end; up to 50 ms until all of it is
    /// stopped, so that none of them starts another one meanwhile.
    Expected<void> kill() { return send_signal(SIGKILL); }

    /// Ends it in order: SIGTERM, up to `grace` for all of it to go, SIGKILL to what is left, reaped. That is the group and
    /// the descendants that have left it, as far as they can be found. Returns within grace + Options::drain, but for
    /// what the kernel takes to end a killed process (see Options::timeout); unknown() where it could not be ended (see
    /// ExitStatus).
    ExitStatus stop(Timeout grace = std::chrono::seconds(1)) {
        if (!pump_) return {};
        const detail::Shared<detail::Pump> kept = pump_;  // a sink may destroy this handle
        const detail::Pump::Driving driving(*kept);       // from now on: another thread's sink may throw before wait()
        kept->begin_end(EndedBy::stop, grace);
        return wait();
    }

    /// The size of its terminal, where a stream is `tty`; the child gets SIGWINCH. From any thread. ENOTTY where it has
    /// none, or the terminal has come to its end.
    Expected<void> resize(unsigned short rows, unsigned short columns) noexcept {
        const int error = pump_ ? pump_->resize(rows, columns) : ENOTTY;
        if (error == 0) return {};
        return detail::make_error(error, Step::stream, "tty",
                                  error == ENOTTY ? "no stream of the job is a tty, or it has ended" : "");
    }

    // ---- everything at once

    /// Writes `input` and closes `in`; reads `out` and `err`, where they are piped, to their ends; waits. All at the
    /// same time, on this thread, so that no amount of data blocks either side.
    ///
    /// When `timeout` has passed it returns what has come so far, and the job runs on. It may be called again: input
    /// that is left over goes on (before any that is new), and the output contains what was returned before. The call
    /// that finds the job ended hands everything over.
    Captured communicate(std::string input = {}, Timeout timeout = {}) {
        Captured result;
        if (!pump_) {
            result.unwritten = input.size();
            return result;
        }
        const detail::Shared<detail::Pump> kept = pump_;  // a sink may destroy this handle
        detail::Pump& pump = *kept;
        const detail::Deadline limit = detail::Deadline::after(timeout);
        if (pump.in.is_open()) {
            if (!input.empty()) pump.in.add(std::move(input));
            pump.in.finish();
        } else {
            result.unwritten = input.size();
        }
        detail::Pump::Want want;
        want.in = want.out = want.err = true;
        want.keep = limit_;
        const bool ended = pump.drive(want, limit, [&] { return pump.is_drained() && pump.is_over(); });
        std::vector<std::string> errs(pump.count_errs());
        result.out_dropped = pump.out.dropped(limit_);
        result.out_seam = pump.out.seam(limit_);
        if (!per_stage_) result.err_seam = pump.err.seam(limit_);
        for (std::size_t i = 0; i < errs.size(); ++i) result.err_dropped += pump.err_of(i).dropped(limit_);
        if (ended) {
            result.status = pump.job.ended().status;
            result.held = pump.holders();
            pump.out.cut(limit_);  // may run out of memory: nothing has been handed over yet
            for (std::size_t i = 0; i < errs.size(); ++i) pump.err_of(i).cut(limit_);
            result.out = pump.out.take_captured();
            for (std::size_t i = 0; i < errs.size(); ++i) errs[i] = pump.err_of(i).take_captured();
        } else {
            result.out = pump.out.captured(limit_);
            for (std::size_t i = 0; i < errs.size(); ++i) errs[i] = pump.err_of(i).captured(limit_);
        }
        if (per_stage_) result.errs = std::move(errs);
        else result.err = std::move(errs.front());
        result.out_truncated = result.out_dropped > 0;
        result.err_truncated = result.err_dropped > 0;
        result.unwritten += pump.in.unwritten();
        result.timed_out = !ended;
        return result;
    }

    /// Lets go: closes the pipes and returns the leader's pid. The job runs on, with no deadline, and is the caller's
    /// to reap: until it is waited for, or the host ends, it leaves a zombie when it ends.
    Pid detach() noexcept {
        const Pid leader = pid();
        pump_ = {};
        return leader;
    }

    /// A descriptor that becomes readable when the job's process has ended, for event loops; poll() then tells how. A
    /// pidfd (Linux 5.3) or a kqueue; the Popen's own. -1 where none can be had: time_left() says when to look. Where poll()
    /// gives nothing then, somebody else is still there (another stage of a pipeline, one that the leader has left behind):
    /// ask again, it is that one's now.
    int exit_handle() noexcept { return pump_ ? pump_->exit_handle() : -1; }

    /// How long an event loop may wait for the handles before it has to call poll() all the same: a deadline will have come
    /// then, or nobody but a look can tell. No limit where there is none; zero where it is late, or over and without a handle
    /// that tells so.
    Timeout time_left() const {
        const detail::Deadline next = pump_ ? pump_->next_look() : detail::Deadline::never();
        return next.is_never() ? Timeout::none() : Timeout(next.remaining());
    }

    // ---- what became of it

    /// Why it was ended; EndedBy::itself as long as it was not.
    EndedBy ended_by() const noexcept { return pump_ ? pump_->ended_by() : EndedBy::itself; }
    /// The job's own deadline had passed, or its idle timeout.
    bool timed_out() const noexcept { return ended_by() == EndedBy::timeout || ended_by() == EndedBy::idle_timeout; }
    /// Its Cancel token was fired, or Supervisor::cancel() called.
    bool cancelled() const noexcept { return ended_by() == EndedBy::cancel; }
    /// The signal that has stopped it (SIGSTOP, SIGTSTP), as long as it is stopped, which ends nothing; 0 otherwise.
    int stopped() const noexcept { return pump_ ? pump_->job.stopped_by() : 0; }
    /// Who was still there at the end of the drain, and was killed then: see Options::stragglers.
    std::vector<Process> stragglers() const { return pump_ ? pump_->stragglers() : std::vector<Process>(); }
    /// Who was still alive at the end of the bound: another user's, or stuck in the kernel.
    std::vector<Process> survivors() const { return pump_ ? pump_->survivors() : std::vector<Process>(); }
    /// How each stage of a pipeline ended, in order; one entry for a single command. Unknown for one that runs, and has not
    /// been seen to end; when the job is over all are as told as they will be.
    std::vector<ExitStatus> statuses() const {
        std::vector<ExitStatus> all;
        if (!pump_) return all;
        for (const auto& ended : pump_->job.all_ended()) all.push_back(ended.status);
        return all;
    }
    /// What it used (of a pipeline, the last stage); zero until it was seen to end.
    Usage usage() const noexcept { return pump_ ? pump_->job.ended().usage : Usage(); }

  private:
    friend class Supervisor;
    friend struct detail::AllRunner;
    Popen() = default;

    /// What has been started comes under the handle, also where a later stage could not start or memory ran out: then
    /// the handle ends it.
    struct Handover {
        detail::Pump& pump;
        detail::os::Started started;
        ~Handover() { pump.begin(std::move(started)); }
    };

    /// `is_patient`: a program that is being written at the moment is waited for.
    static Expected<Popen> start(std::vector<Command> commands, Options options, bool is_patient) {
        const detail::Deadline deadline = detail::Deadline::after(options.timeout);  // counts from before the start
        Popen popen;
        popen.limit_ = {options.max_output, options.keep};
        popen.per_stage_ = options.err.is(ErrorOutput::Kind::per_stage);
        popen.pump_ = detail::Shared<detail::Pump>::adopt(new detail::Pump(commands.size(), options, deadline));
        auto plan = detail::make_plan(std::move(commands), std::move(options), deadline);
        if (!plan) return std::move(plan).error();
        plan->is_patient = is_patient;
        const auto spawned = [&] {
            Handover handover{*popen.pump_, {}};
            return detail::os::spawn(*std::move(plan), handover.started);
        }();
        if (!spawned) return spawned.error();
        return popen;
    }

    std::optional<ExitStatus> wait_until_deadline(detail::Deadline limit) {
        if (!pump_) return ExitStatus();
        const detail::Shared<detail::Pump> pump = pump_;  // a sink may destroy this handle
        if (!pump->drive({}, limit, [&] { return pump->is_complete(); })) return std::nullopt;
        return pump->job.ended().status;
    }

    void end() noexcept {
        if (!pump_) return;
        detail::Pump& pump = *pump_;
        // First: a shell that sees its terminal closed may end, and nothing would lead to its jobs any more.
        pump.begin_kill(true);
        // Sinks are not called any more: what they refer to may be gone.
        pump.close_streams();
        pump.drive({}, detail::Deadline::never(), [&] { return pump.is_over(); });
        pump_ = {};
    }

    detail::Shared<detail::Pump> pump_;
    detail::Limit limit_;
    bool per_stage_ = false;
};

}  // namespace LEASH_ABI
}  // namespace leash

#undef LEASH_TO_BE_KEPT

#endif  // LEASH_0_1_0_POPEN_HPP

// leash/impl/popen.ipp - the bodies of <leash/popen.hpp>.
#ifndef LEASH_0_1_0_IMPL_POPEN_IPP
#define LEASH_0_1_0_IMPL_POPEN_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <cerrno>
#include <csignal>
#include <cstddef>

#include <leash/detail/plan.hpp>
#include <leash/detail/posix/spawn.hpp>
#include <leash/detail/pump.hpp>
#include <leash/detail/text.hpp>
#include <leash/popen.hpp>

namespace leash {
inline namespace LEASH_ABI {

[[gnu::cold]] LEASH_INLINE Streams::Streams() = default;

[[gnu::cold]] LEASH_INLINE Streams::Streams(const Streams& other) = default;

[[gnu::cold]] LEASH_INLINE Streams::Streams(Streams&& other) noexcept = default;

[[gnu::cold]] LEASH_INLINE Streams& Streams::operator=(const Streams& other) = default;

[[gnu::cold]] LEASH_INLINE Streams& Streams::operator=(Streams&& other) noexcept = default;

[[gnu::cold]] LEASH_INLINE Streams::~Streams() = default;

LEASH_INLINE Popen::Popen() noexcept = default;

#if LEASH_EXCEPTIONS
LEASH_INLINE Popen::Popen(Command command, Options options)
    : Popen(try_spawn(std::move(command), std::move(options)).value()) {}

LEASH_INLINE Popen::Popen(Pipeline pipeline, Options options)
    : Popen(try_spawn(std::move(pipeline), std::move(options)).value()) {}
#endif  // LEASH_EXCEPTIONS

LEASH_INLINE Expected<Popen> Popen::try_spawn(Command command, Options options) {
    return start(detail::stages_of(std::move(command)), std::move(options), true);
}

LEASH_INLINE Expected<Popen> Popen::try_spawn(Pipeline pipeline, Options options) {
    return start(std::move(pipeline).stages(), std::move(options), true);
}

LEASH_INLINE Popen& Popen::operator=(Popen&& other) noexcept {
    if (this != &other) {
        end();
        pump_ = std::move(other.pump_);
        per_stage_ = other.per_stage_;
    }
    return *this;
}

LEASH_INLINE Popen::~Popen() { end(); }

LEASH_INLINE bool Popen::valid() const noexcept { return static_cast<bool>(pump_); }

LEASH_INLINE Pid Popen::pid() const noexcept { return pump_ ? pump_->job.pid() : -1; }

LEASH_INLINE Writer Popen::in() & noexcept { return Writer(pump_.get()); }

LEASH_INLINE Reader Popen::out() & noexcept { return Reader(pump_.get(), pump_ ? &pump_->out : nullptr, false); }

LEASH_INLINE Reader Popen::err() & noexcept { return Reader(pump_.get(), pump_ ? &pump_->err : nullptr, true); }

LEASH_INLINE Reader Popen::err(std::size_t stage) & noexcept {
    return Reader(pump_.get(), pump_ && (!per_stage_ || stage < pump_->count_errs()) ? &pump_->err_of(stage) : nullptr,
                  true);
}

LEASH_INLINE std::optional<ExitStatus> Popen::poll() { return wait_until_deadline(detail::Deadline::now()); }

LEASH_INLINE ExitStatus Popen::wait() { return wait_until_deadline(detail::Deadline::never()).value_or(ExitStatus()); }

LEASH_INLINE std::optional<ExitStatus> Popen::wait_for(Timeout timeout) {
    return wait_until_deadline(detail::Deadline::after(timeout));
}

namespace detail {

/// What a signal to a job came to.
[[gnu::cold]] inline Expected<void> tell_sent(int error, int number, Pid pid, const char* ended) {
    if (error == 0) return {};
    const std::string_view name = signal_name(number);
    const std::string more = name == "signal" ? " " + decimal(number) : "";
    return failure(error, Step::signal, concat({name, more, " to pid ", decimal(pid)}),
                   pid < 0          ? "the Popen is empty: moved from, or detached"
                   : error == ESRCH ? ended
                   : error == EPERM ? "the process runs as another user"
                                    : "");
}

}  // namespace detail

LEASH_INLINE Expected<void> Popen::send_signal(int number) {
    const int error = !pump_              ? ESRCH
                      : number == SIGKILL ? pump_->begin_kill(false)
                      : number == SIGCONT ? pump_->send_continue()
                                          : pump_->job.send(number);
    return detail::tell_sent(error, number, pid(), "the job has ended; nothing was signalled");
}

LEASH_INLINE Expected<void> Popen::send_signal(int number, Leader) {
    const int error = pump_ ? pump_->job.send_to_leader(number) : ESRCH;
    return detail::tell_sent(error, number, pid(), "the leader has ended; nothing was signalled");
}

LEASH_INLINE Expected<void> Popen::interrupt() {
    auto sent = send_signal(SIGINT);
    if (sent) pump_->send_continue();
    return sent;
}

LEASH_INLINE Expected<void> Popen::terminate() {
    auto sent = send_signal(SIGTERM);
    if (sent) pump_->send_continue();
    return sent;
}

LEASH_INLINE Expected<void> Popen::suspend() {
    return detail::tell_sent(pump_ ? pump_->suspend() : ESRCH, SIGSTOP, pid(), "the job has ended, or is being killed");
}

LEASH_INLINE Expected<void> Popen::resume() {
    return detail::tell_sent(pump_ ? pump_->resume() : ESRCH, SIGCONT, pid(), "the job has ended, or is being killed");
}

LEASH_INLINE Expected<void> Popen::kill() { return send_signal(SIGKILL); }

LEASH_INLINE ExitStatus Popen::stop(Timeout grace) {
    const StopStep asked{SIGTERM, grace};
    return stop(&asked);
}

LEASH_INLINE ExitStatus Popen::stop() { return stop(nullptr); }

LEASH_INLINE ExitStatus Popen::stop(const StopStep* step) {
    if (!pump_) return {};
    const detail::Shared<detail::Pump> kept = pump_;  // a sink may destroy this handle
    const detail::Pump::Driving driving(*kept);       // from now on: another thread's sink may throw before wait()
    kept->begin_end(EndedBy::stop, step);
    return wait();
}

LEASH_INLINE Expected<void> Popen::resize(int rows, int columns) noexcept {
    constexpr const char* of_size = "rows and columns must be from 0 to 65535";
    const auto height = static_cast<unsigned short>(rows), width = static_cast<unsigned short>(columns);
    if (height != rows || width != columns)
        return detail::failure(std::errc::invalid_argument, Step::stream, "tty", of_size);
    const int error = pump_ ? pump_->resize(height, width) : ENOTTY;
    if (error == 0) return {};
    return detail::failure(error, Step::stream, "tty",
                           error == ENOTTY ? "no stream of the job is a tty, or it has ended" : "");
}

[[gnu::cold]] LEASH_INLINE Captured Popen::communicate(std::string input, Timeout timeout) {
    Captured result;
    if (!pump_) {
        result.unwritten = input.size();
        return result;
    }
    const detail::Shared<detail::Pump> kept = pump_;  // a sink may destroy this handle
    detail::Pump& pump = *kept;
    const detail::Deadline limit = detail::Deadline::after(timeout);
    pump.join_aside();
    if (pump.in.is_open() && pump.is_original() && !pump.in.has_source()) {
        if (!input.empty()) pump.in.add(std::move(input));
        pump.in.finish();
    } else {
        result.unwritten = input.size();
    }
    detail::Pump::Want want;
    want.in = want.out = want.err = true;
    want.keep = pump.keep;
    const bool ended = pump.drive(want, limit, [&] { return pump.is_drained() && pump.is_over(); });
    std::vector<std::string> errs(pump.count_errs());
    result.out_dropped = pump.out.dropped(pump.keep);
    result.out_seam = pump.out.seam(pump.keep);
    if (!per_stage_) result.err_seam = pump.err.seam(pump.keep);
    for (std::size_t i = 0; i < errs.size(); ++i) result.err_dropped += pump.err_of(i).dropped(pump.keep);
    if (pump.transcript) result.all_dropped = pump.transcript->dropped();
    if (ended) {
        result.status = pump.job.ended().status;
        result.held = pump.holders();
        pump.out.cut(pump.keep);  // may run out of memory: nothing has been handed over yet
        for (std::size_t i = 0; i < errs.size(); ++i) pump.err_of(i).cut(pump.keep);
        if (pump.transcript) pump.transcript->cut();
        result.out = pump.out.take_captured();
        if (pump.transcript) result.all = pump.transcript->take_captured();
        for (std::size_t i = 0; i < errs.size(); ++i) errs[i] = pump.err_of(i).take_captured();
    } else {
        result.out = pump.out.captured(pump.keep);
        if (pump.transcript) result.all = pump.transcript->captured();
        for (std::size_t i = 0; i < errs.size(); ++i) errs[i] = pump.err_of(i).captured(pump.keep);
    }
    if (per_stage_) result.errs = std::move(errs);
    else result.err = std::move(errs.front());
    result.out_truncated = result.out_dropped > 0;
    result.err_truncated = result.err_dropped > 0;
    result.unwritten += pump.in.unwritten();
    result.timed_out = !ended;
    return result;
}

LEASH_INLINE Pid Popen::detach() noexcept {
    const Pid released = pid();
    pump_ = {};
    return released;
}

LEASH_INLINE Handle Popen::exit_handle() noexcept { return pump_ ? pump_->exit_handle() : -1; }

LEASH_INLINE Timeout Popen::time_left() const {
    const detail::Deadline next = pump_ ? pump_->next_look() : detail::Deadline::now();
    return next.is_never() ? Timeout::none() : Timeout(next.remaining());
}

LEASH_INLINE std::optional<ExitStatus> Popen::status() const noexcept {
    if (!pump_ || !pump_->is_over()) return std::nullopt;
    return pump_->job.ended().status;
}

LEASH_INLINE EndedBy Popen::ended_by() const noexcept { return pump_ ? pump_->ended_by() : EndedBy::itself; }

LEASH_INLINE Reach Popen::reach() const noexcept { return pump_ ? pump_->reach() : Reach::group; }

LEASH_INLINE int Popen::stopped() const noexcept { return pump_ ? pump_->job.stopped_by() : 0; }

LEASH_INLINE std::vector<Process> Popen::stragglers() const {
    return pump_ ? pump_->stragglers() : std::vector<Process>();
}

LEASH_INLINE std::vector<Process> Popen::survivors() const {
    return pump_ ? pump_->survivors() : std::vector<Process>();
}

[[gnu::cold]] LEASH_INLINE std::vector<ExitStatus> Popen::statuses() const {
    return pump_ ? pump_->job.statuses() : std::vector<ExitStatus>();
}

LEASH_INLINE Usage Popen::usage() const noexcept { return pump_ ? pump_->job.ended().usage : Usage(); }

namespace detail {

static_assert(std::is_same_v<leash::Pid, os::Pid>);

/// What has been started comes under the handle, also where a later stage could not start or memory ran out: then the
/// handle ends it.
struct Handover {
    Pump& pump;
    os::Started started;
    [[gnu::cold]] ~Handover() { pump.begin(std::move(started)); }
};

}  // namespace detail

[[gnu::cold]] LEASH_INLINE Expected<Popen> Popen::start(std::vector<Command> commands, Options&& options,
                                                        bool is_patient) {
    const detail::Deadline deadline = detail::Deadline::after(options.timeout);  // counts from before the start
    Popen popen;
    popen.per_stage_ = detail::stdio_of(options.err).is(detail::Stdio::Kind::per_stage);
    popen.pump_ = detail::Shared<detail::Pump>::adopt(new detail::Pump(commands.size(), options, deadline));
    detail::Plan plan;
    plan.deadline = deadline;
    plan.is_patient = is_patient;
    if (const auto made = detail::make_plan(std::move(commands), std::move(options), plan); !made) return made.error();
    const auto spawned = [&] {
        detail::Handover handover{*popen.pump_, {}};
        return detail::os::spawn(plan, popen.pump_->guardian(), handover.started);
    }();
    if (!spawned) return spawned.error();
    return popen;
}

LEASH_INLINE std::optional<ExitStatus> Popen::wait_until_deadline(detail::Deadline limit) {
    if (!pump_) return ExitStatus();
    const detail::Shared<detail::Pump> pump = pump_;  // a sink may destroy this handle
    if (!pump->drive({}, limit, [&] { return pump->is_complete(); })) return std::nullopt;
    return pump->job.ended().status;
}

[[gnu::cold]] LEASH_INLINE void Popen::end() noexcept {
    if (!pump_) return;
    detail::Pump& pump = *pump_;
    // First: a shell that sees its terminal closed may end, and nothing would lead to its jobs any more.
    pump.begin_kill(true);
    // Sinks are not called any more: what they refer to may be gone.
    pump.close_streams();
    pump.drive({}, detail::Deadline::never(), [&] { return pump.is_over(); });
    pump_ = {};
}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_POPEN_IPP

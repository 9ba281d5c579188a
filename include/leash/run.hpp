// leash/run.hpp - run(), capture() and check_output(): one call from a command to its result.
#ifndef LEASH_0_1_0_RUN_HPP
#define LEASH_0_1_0_RUN_HPP

#include <stdexcept>
#include <string>
#include <vector>

#include <cstddef>

#include <leash/command.hpp>
#include <leash/config.hpp>
#include <leash/deadline.hpp>
#include <leash/error.hpp>
#include <leash/options.hpp>
#include <leash/pipeline.hpp>
#include <leash/popen.hpp>
#include <leash/status.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// What run() gives, for one command or a pipeline: how it ended, what it said, what it used. Of a pipeline, `status`, `out`
/// and `usage` are the last stage's.
struct [[nodiscard]] Result : Streams {
    /// Of a job whose status is unknown; copied and moved like its strings.
    /// @{
    Result();
    Result(const Result& other);
    Result(Result&& other) noexcept;
    Result& operator=(const Result& other);
    Result& operator=(Result&& other) noexcept;
    ~Result();
    /// @}

    std::string command;                    ///< its first word, "git"; of a pipeline each one's, "ps | sort"
    ExitStatus status;                      ///< how the leader ended
    std::vector<ExitStatus> statuses = {};  ///< of each stage of a pipeline, in order; empty for a single command
    EndedBy ended_by = EndedBy::itself;     ///< why: by itself, or what ended the job
    Reach reach = Reach::group;             ///< whom its end reached
    bool timed_out = false;                 ///< it was Options::timeout or idle_timeout
    bool cancelled = false;                 ///< it was Options::cancel; the job was ended, or not even started
    std::vector<Process> stragglers = {};   ///< whom the leader left behind, and who was killed at the end of the drain
    std::vector<Process> survivors = {};    ///< who was still alive when the call had to return
    Usage usage;                            ///< what the leader used; with Reach::cgroup, all of the job
    Duration duration;  ///< by the monotonic clock, from before the start until the job was seen to be over

    /// It exited with 0, in time and uncancelled. Of a pipeline every stage did its part: it exited with 0, or, but for the
    /// last one, SIGPIPE ended it because those after it had enough (`yes | head`). That is what `set -o pipefail` means,
    /// without its mistake about SIGPIPE.
    bool ok() const noexcept {
        return status.success() && !timed_out && !cancelled && ended_by == EndedBy::itself &&
               (statuses.empty() || failed_stage() == statuses.size());
    }

    /// The last stage of a pipeline that did not do its part, counted from 0; statuses.size() where there is none.
    std::size_t failed_stage() const noexcept;

#if LEASH_EXCEPTIONS
    /// The result itself where it is ok(); throws ProcessFailed where it is not: `leash::run({"make"}).check_ok();`
    /// @{
    const Result& check_ok() const&;
    Result&& check_ok() &&;
    /// @}
#endif

    /// In one line, for a log: the command's first word, how it ended, how long it took, why it was ended, what was cut off,
    /// and who was killed, is still there or held a stream, each by number and first word. Nothing of what the job said, no
    /// argument and no variable: what is secret is rarely elsewhere.
    std::string describe() const;

    /// describe(), for streams and for {fmt}.
    /// @{
    template <class Stream>
    friend auto operator<<(Stream& stream, const Result& result) -> decltype(stream << std::string()) {
        return stream << result.describe();
    }
    friend std::string format_as(const Result& result) { return result.describe(); }
    /// @}
};

namespace detail {

/// For whoever sees a job through by other means than run().
/// @{
/// The result of one that was cancelled before its start; its `command` is what the result is to have in any case.
[[gnu::cold]] Result not_started(const std::vector<Command>& stages, const Options& options);
/// That of one that has ended, of that name, and what its last communicate() gave.
[[gnu::cold]] Result result_of(const Popen& job, std::string name, Captured captured);
/// @}

}  // namespace detail

/// Runs a command to its end: starts it, feeds `in`, reads `out` and `err` where they are piped, waits, and leaves
/// nothing behind. Returns within timeout + grace + drain, whatever the child does; without a timeout, within `drain` of
/// its own end. If the command cannot be started, returns an Error.
Expected<Result> try_run(Command command, Options options = {});

/// The same for a pipeline.
Expected<Result> try_run(Pipeline pipeline, Options options = {});

/// try_run() with `out` and `err` piped, each where the options say inherit, which is to say nothing about it.
/// @{
Expected<Result> try_capture(Command command, Options options = {});
Expected<Result> try_capture(Pipeline pipeline, Options options = {});
/// @}

/// Thrown by check_output() and Result::check_ok() where the command ran and was not ok(). Its message has the program, how it
/// ended and the end of standard error, in which control characters but newlines and tabs are escaped; that of
/// check_output() has the start of the script where there is one.
///
/// So what is secret and stands in the first line of a script goes to wherever messages go. A script can have it from the
/// environment, or as input; a parameter of shell() is not in messages, but in everybody's list of processes.
class [[gnu::visibility("default")]] ProcessFailed : public std::runtime_error {
  public:
    /// `name` is what the message calls the command.
    ProcessFailed(const std::string& name, Result result);

    /// How it ended; of a pipeline, how the last stage did that did not do its part.
    ExitStatus status() const noexcept { return result_.status; }
    /// What it said to standard error, where that was captured (of check_output(), the last 64 KiB); with per_stage, that
    /// stage.
    const std::string& err() const noexcept { return result_.err; }
    /// All of it, but that `status` and `err` are as above; `out` is what had come by then.
    const Result& result() const noexcept { return result_; }

  private:
    Result result_;
};

#if LEASH_EXCEPTIONS

/// try_run() that throws SpawnError where the command cannot be started. How it ended is in the result: no status
/// is an exception.
Result run(Command command, Options options = {});

/// The same for a pipeline: `leash::run(leash::args({"ps"}) | leash::args({"wc", "-l"}), …)`.
Result run(Pipeline pipeline, Options options = {});

/// try_capture() that throws SpawnError: `leash::capture({"git", "log", "-1"}).out`.
/// @{
Result capture(Command command, Options options = {});
Result capture(Pipeline pipeline, Options options = {});
/// @}

/// The standard output of a command that must succeed. Throws ProcessFailed where it does not, and SpawnError where
/// it cannot be started. `out` is always captured; so is `err` (its end, for the exception) unless the options send
/// it somewhere.
std::string check_output(Command command, Options options = {});

/// The same for a pipeline, of which every stage must do its part: see Result::ok(). The exception tells of the
/// last stage that did not; with per_stage, its `err` is that stage's.
std::string check_output(Pipeline pipeline, Options options = {});

#endif  // LEASH_EXCEPTIONS

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/run.ipp>

#endif  // LEASH_0_1_0_RUN_HPP

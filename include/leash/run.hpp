// leash/run.hpp - run(), capture() and check_output(): run one command, or one pipeline, and return its result.
#ifndef LEASH_0_1_0_RUN_HPP
#define LEASH_0_1_0_RUN_HPP

#include <stdexcept>
#include <string>
#include <type_traits>
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

/// The result of run(), for a command or a pipeline: how the job ended, its output, the resources that it used. For a
/// pipeline, `status`, `out` and `usage` are those of the last stage.
struct [[nodiscard]] Result : Streams {
    /// The default is a result with an unknown status. Copies and moves its strings.
    /// @{
    Result();
    Result(const Result& other);
    Result(Result&& other) noexcept;
    Result& operator=(const Result& other);
    Result& operator=(Result&& other) noexcept;
    ~Result();
    /// @}

    std::string command;                 ///< the first word, "git"; for a pipeline that of each stage, "ps | sort"
    ExitStatus status;                   ///< exit status of the leader; of a pipeline's last stage
    std::vector<ExitStatus> statuses;    ///< of each stage of a pipeline, in order; empty for a single command
    EndedBy ended_by = EndedBy::itself;  ///< what ended the job; `itself`: nothing did
    Reach reach = Reach::group;          ///< Options::reach of the job
    bool timed_out = false;              ///< Options::timeout or idle_timeout ended the job
    bool cancelled = false;              ///< a cancel ended the job, or kept it from starting
    std::vector<Process> stragglers;     ///< processes that the leader left and leash killed after `drain`
    std::vector<Process> survivors;      ///< processes that leash could not end in time
    Usage usage;                         ///< of the leader; with Reach::cgroup, of the whole job
    Duration duration;                   ///< from before the start until leash saw that the job was over; monotonic

    /// Returns true if the command exited with 0 and nothing else ended the job (timeout, cancel, stop, …: see
    /// `ended_by`). For a pipeline, every stage must have exited with 0. A stage before the last may also have been
    /// ended by SIGPIPE, as in `yes | head`. Truncated output, `held`, `stragglers` and `survivors` do not count.
    bool ok() const noexcept;

    /// Returns the index, from 0, of the last stage of a pipeline that failed in the sense of ok(). If none failed, and
    /// for a single command, returns statuses.size().
    std::size_t failed_stage() const noexcept;

#if LEASH_EXCEPTIONS
    /// Returns the result if it is ok(); otherwise throws ProcessFailed. `leash::run({"make"}).check_ok();`
    /// @{
    const Result& check_ok() const&;
    Result&& check_ok() &&;
    /// @}
#endif

    /// Returns one line for a log: the first word of the command, its exit status and duration, what ended it, which
    /// output was truncated; or `touch: not started, cancelled`. `stragglers`, `survivors` and `held` follow, each
    /// process with its pid and the first word of its command. The line has no output, no argument and no environment
    /// variable, because these may be secret.
    std::string describe() const;

    /// Writes describe(), for streams and for {fmt}.
    /// @{
    template <class Stream>
    friend auto operator<<(Stream& stream, const Result& result) -> decltype(stream << std::string()) {
        return stream << result.describe();
    }
    friend std::string format_as(const Result& result) { return result.describe(); }
    /// @}
};

namespace detail {

/// For code that runs a job without run().
/// @{
/// The result of a job that was cancelled before its start. Its `command` is right for any result of the job.
[[gnu::cold]] Result not_started(const std::vector<Command>& stages, const Options& options);
/// The result of a job that has ended, from its name and from what its last communicate() returned.
[[gnu::cold]] Result result_of(const Popen& job, std::string name, Captured captured);
/// @}

}  // namespace detail

/// Runs a command and waits for its end: starts it, writes `in`, reads `out` and `err` if they are piped, and ends what
/// the command leaves in its group. Blocks for timeout + grace + drain at most, whatever the child does. Without a
/// timeout, returns at most `drain` after the leader ended (Stragglers::wait has no such bound). If the command cannot
/// be started, returns an Error. An exit status or a timeout is not an Error: see Result.
Expected<Result> try_run(Command command, Options options = {});

/// Runs a pipeline as one job and waits for its end, as the other try_run() does with a command.
Expected<Result> try_run(Pipeline pipeline, Options options = {});

namespace detail {

/// For several strings that are given as a command.
template <class T, class U>
using IfWords = std::enable_if_t<is_text<T> && is_text<U> && !std::is_convertible_v<const U&, Options>>;

/// What a function returns that does not compile. (As the type of the function, each file would compile it.)
template <class Returned, class Given>
Returned refused();

}  // namespace detail

/// Does not compile: where a stream goes is one of the options.
// Compilers show the line:
// clang-format off
template <class T, class = detail::IfRedirect<T>>
Expected<Result> try_run(const Command&, T) = delete;  // leash: a stream has a name: write try_run(command, {.out = leash::piped}).
// clang-format on

/// Does not compile: several strings need braces.
template <class T, class U, class... More, class = detail::IfWords<T, U>>
auto try_run(const T&, const U&, const More&...) {
    static_assert(!detail::is_text<T>, "leash: a command is a list: write leash::try_run({\"ls\", \"-l\"}).");
    return detail::refused<Expected<Result>, T>();
}

/// Runs a command or a pipeline as try_run() does, but captures output: if `out` is inherit (the default), it becomes
/// piped, and so does `err`.
/// @{
Expected<Result> try_capture(Command command, Options options = {});
Expected<Result> try_capture(Pipeline pipeline, Options options = {});
/// @}

/// Does not compile: several strings need braces.
template <class T, class U, class... More, class = detail::IfWords<T, U>>
auto try_capture(const T&, const U&, const More&...) {
    static_assert(!detail::is_text<T>, "leash: a command is a list: write leash::try_capture({\"ls\", \"-l\"}).");
    return detail::refused<Expected<Result>, T>();
}

/// Thrown by check_output() and Result::check_ok() if the command ran but was not ok(). The message has the name of the
/// program, the exit status and the end of standard error (2000 bytes at most, if it was captured). Control characters
/// in it are escaped, except newline and tab. After check_output(), the message also has the start of a shell() script.
///
/// So do not write a secret into the first line of a script: it would appear where the message appears. Pass it in the
/// environment or as input. A parameter of shell() is not in the message, but every user can see it in the process
/// list.
class [[gnu::visibility("default")]] ProcessFailed : public std::runtime_error {
  public:
    /// Creates the exception for `result`. The message calls the command `name`.
    ProcessFailed(const std::string& name, Result result);

    /// Returns the exit status of the command; for a pipeline that of the last stage that failed.
    ExitStatus status() const noexcept { return result_.status; }
    /// Returns the captured standard error: after check_output() the last 64 KiB, with per_stage that of the stage that
    /// failed. Empty if it was not captured.
    const std::string& err() const noexcept { return result_.err; }
    /// Returns the whole result, with `status` and `err` as above. `out` is the output until the command failed.
    const Result& result() const noexcept { return result_; }

  private:
    Result result_;
};

#if LEASH_EXCEPTIONS

/// Runs a command and waits for its end, as try_run() does. If the command cannot be started, throws SpawnError. An
/// exit status or a timeout does not throw: see Result.
Result run(Command command, Options options = {});

/// Runs a pipeline as one job: `leash::run(leash::args({"ps"}) | leash::args({"wc", "-l"}), …)`. Throws as the other
/// run() does.
Result run(Pipeline pipeline, Options options = {});

/// Does not compile: where a stream goes is one of the options.
// clang-format off
template <class T, class = detail::IfRedirect<T>>
Result run(const Command&, T) = delete;  // leash: a stream has a name: write run(command, {.out = leash::piped}).
// clang-format on

/// Do not compile: several strings need braces.
/// @{
template <class T, class U, class... More, class = detail::IfWords<T, U>>
auto run(const T&, const U&, const More&...) {
    static_assert(!detail::is_text<T>, "leash: a command is a list: write leash::run({\"ls\", \"-l\"}).");
    return detail::refused<Result, T>();
}
template <class T, class U, class... More, class = detail::IfWords<T, U>>
auto capture(const T&, const U&, const More&...) {
    static_assert(!detail::is_text<T>, "leash: a command is a list: write leash::capture({\"ls\", \"-l\"}).");
    return detail::refused<Result, T>();
}
template <class T, class U, class... More, class = detail::IfWords<T, U>>
auto check_output(const T&, const U&, const More&...) {
    static_assert(!detail::is_text<T>, "leash: a command is a list: write leash::check_output({\"ls\", \"-l\"}).");
    return detail::refused<std::string, T>();
}
/// @}

/// Runs a command or a pipeline and captures its output, as try_capture() does:
/// `leash::capture({"git", "log", "-1"}).out`. If it cannot be started, throws SpawnError.
/// @{
Result capture(Command command, Options options = {});
Result capture(Pipeline pipeline, Options options = {});
/// @}

/// Runs a command and returns its standard output. Throws ProcessFailed if the result is not ok(), and SpawnError if
/// the command cannot be started. Always captures `out`, whatever the options say. If `err` is inherit (the default),
/// captures its last 64 KiB for the exception.
std::string check_output(Command command, Options options = {});

/// Runs a pipeline and returns the standard output of its last stage. Throws ProcessFailed if the result is not ok(),
/// with the status of the last stage that failed and, with per_stage, its `err`. Throws SpawnError if a stage cannot be
/// started.
std::string check_output(Pipeline pipeline, Options options = {});

#endif  // LEASH_EXCEPTIONS

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/run.ipp>

#endif  // LEASH_0_1_0_RUN_HPP

// leash/impl/run.ipp - the bodies of <leash/run.hpp>.
#ifndef LEASH_0_1_0_IMPL_RUN_IPP
#define LEASH_0_1_0_IMPL_RUN_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <csignal>
#include <cstddef>

#include <leash/detail/raise.hpp>
#include <leash/detail/text.hpp>
#include <leash/run.hpp>

namespace leash {
inline namespace LEASH_ABI {

LEASH_INLINE Result::Result() = default;

LEASH_INLINE Result::Result(const Result& other) = default;

LEASH_INLINE Result::Result(Result&& other) noexcept = default;

LEASH_INLINE Result& Result::operator=(const Result& other) = default;

LEASH_INLINE Result& Result::operator=(Result&& other) noexcept = default;

LEASH_INLINE Result::~Result() = default;

LEASH_INLINE bool PipelineResult::ok() const noexcept { return Result::ok() && failed_stage() == statuses.size(); }

LEASH_INLINE std::size_t PipelineResult::failed_stage() const noexcept {
    for (std::size_t i = statuses.size(); i > 0;) {
        --i;
        const bool was_cut_off = i + 1 < statuses.size() && statuses[i].signal() == SIGPIPE;
        if (!statuses[i].success() && !was_cut_off) return i;
    }
    return statuses.size();
}

namespace detail {

/// "; still alive: 12 sleep 60 (another user's), 13 sh"
[[gnu::cold]] inline std::string describe(std::string_view what, const std::vector<Process>& processes) {
    std::string text;
    for (const Process& one : processes) {
        text += concat({text.empty() ? "; " : ", ", text.empty() ? what : "",
                        one.pid > 0 ? std::to_string(one.pid) : "", one.command.empty() ? "" : " ", one.command,
                        one.why.empty() ? "" : " (", one.why, one.why.empty() ? "" : ")"});
    }
    return text;
}

inline const char* describe(EndedBy why) noexcept {
    switch (why) {
        case EndedBy::itself: return "";
        case EndedBy::timeout: return ", timed out";
        case EndedBy::idle_timeout: return ", timed out without output";
        case EndedBy::cancel: return ", cancelled";
        case EndedBy::stop: return ", stopped";
        case EndedBy::kill: return ", killed on request";
        case EndedBy::terminal_stop:
            return ", ended because it used the host's terminal, which had stopped it: Options::interactive() lends it "
                   "the terminal, Group::session keeps it away from it";
        case EndedBy::memory: return ", out of memory";
    }
    return "";
}

}  // namespace detail

LEASH_INLINE std::string Result::describe() const {
    const bool any_killed = usage.oom_kills > 0 && ended_by != EndedBy::memory;
    return detail::concat({status.describe(), detail::describe(ended_by),
                           any_killed ? ", memory ran out for some of it" : "", out_truncated ? ", out cut off" : "",
                           err_truncated ? ", err cut off" : "",
                           detail::describe("left behind and killed: ", stragglers),
                           detail::describe("still alive: ", survivors), detail::describe("held: ", held)});
}

namespace detail {

/// The result of a job that has ended, and what its last communicate() gave.
template <class ResultOf>
ResultOf make_result(const Popen& job, Captured captured) {
    ResultOf result;
    result.status = captured.status.value_or(ExitStatus());
    result.ended_by = job.ended_by();
    result.reach = job.reach();
    result.timed_out = job.timed_out();
    result.cancelled = job.cancelled();
    result.stragglers = job.stragglers();
    result.survivors = job.survivors();
    result.usage = job.usage();
    if constexpr (std::is_same_v<ResultOf, PipelineResult>) result.statuses = job.statuses();
    static_cast<Streams&>(result) = std::move(captured);
    return result;
}

/// The result of a job that was cancelled before its start.
template <class ResultOf>
ResultOf not_started(const Options& options) {
    ResultOf result;
    result.ended_by = EndedBy::cancel;
    result.cancelled = true;
    if (detail::stdio_of(options.in).is(detail::Stdio::Kind::bytes))
        result.unwritten = detail::stdio_of(options.in).text.size();
    return result;
}

/// Starts `what` and sees it through.
template <class ResultOf, class What>
Expected<ResultOf> run_to_end(What what, Options options) {
    if (options.cancel && options.cancel->fired()) return not_started<ResultOf>(options);
    std::string input;
    if (detail::stdio_of(options.in).is(detail::Stdio::Kind::bytes)) {
        input = std::move(detail::stdio_of(options.in).text);
        options.in = piped;
    }
    auto job = Popen::try_spawn(std::move(what), std::move(options));
    if (!job) return std::move(job).error();
    Captured captured = job->communicate(std::move(input));
    return make_result<ResultOf>(*job, std::move(captured));
}

}  // namespace detail

LEASH_INLINE Expected<Result> try_run(Command command, Options options) {
    return detail::run_to_end<Result>(std::move(command), std::move(options));
}

LEASH_INLINE Expected<PipelineResult> try_run(Pipeline pipeline, Options options) {
    return detail::run_to_end<PipelineResult>(std::move(pipeline), std::move(options));
}

namespace detail {

/// What a message calls a command: its program, or the start of a script's first line.
inline std::string name_of(const Command& command) {
    const std::vector<std::string>& argv = command.argv();
    const bool is_shell = argv.size() >= 4 && argv[0] == "/bin/sh" && argv[1] == "-c" && argv[2] == "--";
    if (!is_shell) return printable(argv.empty() ? "" : argv.front());
    constexpr std::size_t most = 60;
    const std::string_view script = argv[3];
    const std::string_view line = script.substr(0, script.find('\n'));
    const bool whole = line.size() == script.size() && line.size() <= most;
    const std::string_view start = line.size() > most ? whole_head(line.substr(0, most)) : line;
    return concat({"sh: ", printable(start), whole ? "" : "..."});
}

/// The standard output of what must succeed; result and standard error of what did not.
template <class ResultOf, class What>
ResultOf run_for_output(What what, Options options) {
    constexpr std::size_t most = 64 * 1024;
    options.out = piped;
    std::string tail;
    if (options.err.is(inherit)) {
        options.err = sink([&tail](std::string_view chunk) {
            tail += chunk;
            if (tail.size() > 2 * most) tail.erase(0, tail.size() - most);
        });
    }
    ResultOf result = run_to_end<ResultOf>(std::move(what), std::move(options)).value();
    if (tail.size() > most) {
        tail.erase(0, tail.size() - most);
        tail.erase(0, count_rest(tail));
    }
    if (!tail.empty()) result.err = std::move(tail);
    return result;
}

}  // namespace detail

LEASH_INLINE ProcessFailed::ProcessFailed(const std::string& name, Result result)
    : std::runtime_error(describe(name, result)), result_(std::move(result)) {}

LEASH_INLINE std::string ProcessFailed::describe(const std::string& name, const Result& result) {
    constexpr std::size_t most = 2000;
    std::string_view tail = result.err;
    while (!tail.empty() && (tail.back() == '\n' || tail.back() == '\r')) tail.remove_suffix(1);
    if (tail.size() > most) {
        tail.remove_prefix(tail.size() - most);
        tail.remove_prefix(detail::count_rest(tail));
    }
    return detail::concat(
        {"leash: \"", name, "\" ", result.describe(), tail.empty() ? "" : ": ", detail::printable(tail, "\n\t")});
}

#if LEASH_EXCEPTIONS

LEASH_INLINE Result run(Command command, Options options) {
    return try_run(std::move(command), std::move(options)).value();
}

LEASH_INLINE PipelineResult run(Pipeline pipeline, Options options) {
    return try_run(std::move(pipeline), std::move(options)).value();
}

LEASH_INLINE std::string check_output(Command command, Options options) {
    const std::string name = detail::name_of(command);
    Result result = detail::run_for_output<Result>(std::move(command), std::move(options));
    if (result.ok()) return std::move(result.out);
    detail::raise(ProcessFailed(name, std::move(result)));
}

LEASH_INLINE std::string check_output(Pipeline pipeline, Options options) {
    const std::vector<Command> stages = pipeline.stages();
    PipelineResult result = detail::run_for_output<PipelineResult>(std::move(pipeline), std::move(options));
    if (result.ok()) return std::move(result.out);
    const std::size_t failed = result.failed_stage();
    if (failed < result.statuses.size()) result.status = result.statuses[failed];
    if (failed < result.errs.size()) result.err = result.errs[failed];
    const std::string name = detail::name_of(failed < stages.size() ? stages[failed] : stages.back());
    detail::raise(ProcessFailed(name, std::move(result)));
}

#endif  // LEASH_EXCEPTIONS

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_RUN_IPP

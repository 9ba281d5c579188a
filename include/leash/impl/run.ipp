// leash/impl/run.ipp - the bodies of <leash/run.hpp>.
#ifndef LEASH_0_1_0_IMPL_RUN_IPP
#define LEASH_0_1_0_IMPL_RUN_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <csignal>
#include <cstddef>

#include <leash/detail/plan.hpp>
#include <leash/detail/pump.hpp>
#include <leash/detail/raise.hpp>
#include <leash/detail/text.hpp>
#include <leash/run.hpp>

namespace leash {
inline namespace LEASH_ABI {

[[gnu::cold]] LEASH_INLINE Result::Result() = default;

[[gnu::cold]] LEASH_INLINE Result::Result(const Result& other) = default;

[[gnu::cold]] LEASH_INLINE Result::Result(Result&& other) noexcept = default;

[[gnu::cold]] LEASH_INLINE Result& Result::operator=(const Result& other) {
    return *this = Result(other);  // what a vector has for this takes a compiler long
}

[[gnu::cold]] LEASH_INLINE Result& Result::operator=(Result&& other) noexcept = default;

[[gnu::cold]] LEASH_INLINE Result::~Result() = default;

LEASH_INLINE bool Result::ok() const noexcept {
    return status.success() && !timed_out && !cancelled && ended_by == EndedBy::itself &&
           (statuses.empty() || failed_stage() == statuses.size());
}

LEASH_INLINE std::size_t Result::failed_stage() const noexcept {
    for (std::size_t i = statuses.size(); i > 0;) {
        --i;
        const bool was_cut_off = i + 1 < statuses.size() && statuses[i].signal() == SIGPIPE;
        if (!statuses[i].success() && !was_cut_off) return i;
    }
    return statuses.size();
}

namespace detail {

/// "; still alive: 12 sleep (another user's), 13 sh": of their command lines only the first words, since the rest may be secret.
[[gnu::cold]] inline std::string describe(std::string_view what, const std::vector<Process>& processes) {
    std::string text;
    for (const Process& one : processes) {
        const std::string_view line = one.command;
        text += concat({text.empty() ? "; " : ", ", text.empty() ? what : "", one.pid > 0 ? decimal(one.pid) : "",
                        line.empty() ? "" : " ", printable(line.substr(0, line.find(' '))), one.why.empty() ? "" : " (",
                        one.why, one.why.empty() ? "" : ")"});
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
            return ", ended because the host's terminal stopped it: use Options::interactive() to give it the "
                   "terminal, or Group::session to keep it away from the terminal";
        case EndedBy::memory: return ", out of memory";
    }
    return "";
}

/// What was done to it, and who else there was.
[[gnu::cold]] inline std::string describe_end(const Result& result) {
    const bool any_killed = result.usage.oom_kills > 0 && result.ended_by != EndedBy::memory;
    return concat({describe(result.ended_by), any_killed ? ", memory ran out for some of it" : "",
                   result.out_truncated ? ", out cut off" : "", result.err_truncated ? ", err cut off" : "",
                   describe("left behind and killed: ", result.stragglers), describe("still alive: ", result.survivors),
                   describe("held: ", result.held)});
}

/// How it ended; of a pipeline, how the last stage did that did not do its part.
inline ExitStatus telling_status(const Result& result) noexcept {
    const std::size_t failed = result.failed_stage();
    return failed < result.statuses.size() ? result.statuses[failed] : result.status;
}

/// Did a cancel keep it from starting? A job that was started took some time.
inline bool was_not_started(const Result& result) noexcept {
    return result.cancelled && result.status.unknown() && result.duration.count() == 0;
}

/// "exited 0", "not started".
[[gnu::cold]] inline std::string describe_status(const Result& result) {
    return was_not_started(result) ? "not started" : telling_status(result).describe();
}

/// "git", and "ps | sort: stage 0" where that one failed.
[[gnu::cold]] inline std::string name_of(const Result& result) {
    const std::size_t failed = result.failed_stage();
    const bool tells = failed < result.statuses.size();
    return concat({printable(result.command), tells ? ": stage " : "", tells ? decimal(failed) : ""});
}

}  // namespace detail

LEASH_INLINE std::string Result::describe() const {
    const auto milliseconds = detail::decimal(duration.count() / 1'000'000 % 1000);
    const std::string_view zeros = std::string_view("00").substr(milliseconds.size() - 1);
    const auto took =
        detail::concat({" in ", detail::decimal(duration.count() / 1'000'000'000), ".", zeros, milliseconds, " s"});
    return detail::concat({detail::name_of(*this), command.empty() ? "" : ": ", detail::describe_status(*this),
                           detail::was_not_started(*this) ? "" : took, detail::describe_end(*this)});
}

namespace detail {

/// Sees commands through to their result.
struct Runner {
    /// The first word of each.
    [[gnu::cold]] static std::string name_of(const std::vector<Command>& stages) {
        std::string name;
        for (const Command& stage : stages) {
            if (!name.empty()) name += " | ";
            if (!stage.argv().empty()) name += stage.argv().front();
        }
        return name;
    }

    /// See result_of().
    [[gnu::cold]] static Result finish(const Popen& job, std::string name, Captured captured) {
        Result result;
        result.command = std::move(name);
        result.status = captured.status.value_or(ExitStatus());
        if (job.pump_->job.count() > 1) result.statuses = job.statuses();
        result.ended_by = job.ended_by();
        result.reach = job.reach();
        result.timed_out = job.timed_out();
        result.cancelled = job.cancelled();
        result.stragglers = job.stragglers();
        result.survivors = job.survivors();
        result.usage = job.usage();
        result.duration = job.pump_->born.elapsed();
        static_cast<Streams&>(result) = std::move(captured);
        return result;
    }

    /// From start to end.
    [[gnu::cold]] static Expected<Result> run(std::vector<Command> stages, Options&& options) {
        if (options.cancel && options.cancel->fired()) return not_started(stages, options);
        std::string name = name_of(stages), input;
        if (Stdio& in = stdio_of(options.in); in.is(Stdio::Kind::bytes)) {
            input = std::move(in.text);
            options.in = piped;
        }
        auto job = Popen::start(std::move(stages), std::move(options), true);
        if (!job) return std::move(job).error();
        Captured captured = job->communicate(std::move(input));
        return finish(*job, std::move(name), std::move(captured));
    }

    /// With what says nothing about `out` and `err` piped.
    static Options capturing(Options options) {
        if (options.out.is(inherit)) options.out = piped;
        if (options.err.is(inherit)) options.err = piped;
        return options;
    }
};

LEASH_INLINE Result not_started(const std::vector<Command>& stages, const Options& options) {
    Result result;
    result.command = Runner::name_of(stages);
    result.ended_by = EndedBy::cancel;
    result.cancelled = true;
    if (const Stdio& in = stdio_of(options.in); in.is(Stdio::Kind::bytes)) result.unwritten = in.text.size();
    return result;
}

LEASH_INLINE Result result_of(const Popen& job, std::string name, Captured captured) {
    return Runner::finish(job, std::move(name), std::move(captured));
}

}  // namespace detail

LEASH_INLINE Expected<Result> try_run(Command command, Options options) {
    return detail::Runner::run(detail::stages_of(std::move(command)), std::move(options));
}

LEASH_INLINE Expected<Result> try_run(Pipeline pipeline, Options options) {
    return detail::Runner::run(std::move(pipeline).stages(), std::move(options));
}

LEASH_INLINE Expected<Result> try_capture(Command command, Options options) {
    return try_run(std::move(command), detail::Runner::capturing(std::move(options)));
}

LEASH_INLINE Expected<Result> try_capture(Pipeline pipeline, Options options) {
    return try_run(std::move(pipeline), detail::Runner::capturing(std::move(options)));
}

namespace detail {

/// As it is told of in the exception.
[[gnu::cold]] inline Result of_failed_stage(Result result) {
    const std::size_t failed = result.failed_stage();
    result.status = telling_status(result);
    if (failed < result.errs.size()) result.err = result.errs[failed];
    return result;
}

[[gnu::cold]] inline std::string describe(const std::string& name, const Result& result) {
    constexpr std::size_t most = 2000;
    const std::size_t failed = result.failed_stage();
    std::string_view tail = failed < result.errs.size() ? result.errs[failed] : result.err;
    while (!tail.empty() && (tail.back() == '\n' || tail.back() == '\r')) tail.remove_suffix(1);
    if (tail.size() > most) {
        tail.remove_prefix(tail.size() - most);
        tail.remove_prefix(count_rest(tail));
    }
    return concat({"leash: \"", name, "\" ", describe_status(result), describe_end(result), tail.empty() ? "" : ": ",
                   printable(tail, "\n\t")});
}

}  // namespace detail

LEASH_INLINE ProcessFailed::ProcessFailed(const std::string& name, Result result)
    : std::runtime_error(detail::describe(name, result)), result_(detail::of_failed_stage(std::move(result))) {}

#if LEASH_EXCEPTIONS

LEASH_INLINE const Result& Result::check_ok() const& {
    if (!ok()) detail::raise<ProcessFailed>(detail::name_of(*this), *this);
    return *this;
}

LEASH_INLINE Result&& Result::check_ok() && {
    static_cast<void>(static_cast<const Result&>(*this).check_ok());
    return std::move(*this);
}

LEASH_INLINE Result run(Command command, Options options) {
    return detail::Runner::run(detail::stages_of(std::move(command)), std::move(options)).value();
}

LEASH_INLINE Result run(Pipeline pipeline, Options options) {
    return detail::Runner::run(std::move(pipeline).stages(), std::move(options)).value();
}

LEASH_INLINE Result capture(Command command, Options options) {
    return try_capture(std::move(command), std::move(options)).value();
}

LEASH_INLINE Result capture(Pipeline pipeline, Options options) {
    return try_capture(std::move(pipeline), std::move(options)).value();
}

namespace detail {

/// What a message calls a command: its program, or the start of a script's first line.
[[gnu::cold]] inline std::string name_of(const Command& command) {
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

/// The standard output of what must succeed.
[[gnu::cold]] inline std::string check_output_of(std::vector<Command> stages, Options options) {
    constexpr std::size_t most = 64 * 1024;
    options.out = piped;
    std::string tail;
    if (options.err.is(inherit)) {
        options.err = sink([&tail](std::string_view chunk) {
            tail += chunk;
            if (tail.size() > 2 * most) tail.erase(0, tail.size() - most);
        });
    }
    std::vector<std::string> names;
    names.reserve(stages.size());
    for (const Command& stage : stages) names.push_back(name_of(stage));
    Result result = Runner::run(std::move(stages), std::move(options)).value();
    if (result.ok()) return std::move(result.out);
    if (tail.size() > most) {
        tail.erase(0, tail.size() - most);
        tail.erase(0, count_rest(tail));
    }
    if (!tail.empty()) result.err = std::move(tail);
    const std::size_t failed = result.failed_stage();
    const std::string& name = failed < result.statuses.size() ? names[failed] : names.back();
    raise<ProcessFailed>(name, std::move(result));
}

}  // namespace detail

LEASH_INLINE std::string check_output(Command command, Options options) {
    return detail::check_output_of(detail::stages_of(std::move(command)), std::move(options));
}

LEASH_INLINE std::string check_output(Pipeline pipeline, Options options) {
    return detail::check_output_of(std::move(pipeline).stages(), std::move(options));
}

#endif  // LEASH_EXCEPTIONS

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_RUN_IPP

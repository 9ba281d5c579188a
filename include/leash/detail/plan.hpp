// leash/detail/plan.hpp - Command + Options -> Plan: everything decided and checked, nothing done yet.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <leash/command.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/program.hpp>
#include <leash/detail/text.hpp>
#include <leash/error.hpp>
#include <leash/options.hpp>
#include <leash/stdio.hpp>

namespace LEASH_NAMESPACE::detail {

/// One program to start.
struct Stage {
    std::string program;            // a path, absolute where there is a cwd
    std::vector<std::string> argv;  // never empty
};

/// What is left to do is mechanical: open, spawn.
struct Plan {
    /// Each one's output is the next one's input; never empty.
    std::vector<Stage> stages;
    std::optional<std::vector<std::string>> environment;  // nullopt: the host's own
    std::string cwd;                                      // empty: the host's
    Group group = Group::own;
    Input in = null;
    Output out = inherit;
    ErrorOutput err = inherit;
    std::vector<PassFd> pass_fds;
    Terminal terminal;
    Deadline deadline;  // for the start itself
};

inline bool has_nul(const std::string& text) noexcept { return text.find('\0') != std::string::npos; }

inline Expected<void> check_command(const std::vector<std::string>& argv, const std::string& executable) {
    if (argv.empty()) return make_error(std::errc::invalid_argument, Step::command, {}, "the argument list is empty");
    if (argv.front().empty() && executable.empty())
        return make_error(std::errc::invalid_argument, Step::command, "argument 0", "the program's name is empty");
    for (std::size_t i = 0; i < argv.size(); ++i) {
        if (has_nul(argv[i]))
            return make_error(std::errc::invalid_argument, Step::command, concat({"argument ", std::to_string(i)}),
                              "a NUL byte cannot be passed");
    }
    if (has_nul(executable))
        return make_error(std::errc::invalid_argument, Step::command, "executable", "a NUL byte cannot be passed");
    return {};
}

inline Expected<void> check_environment(const Env& env) {
    for (const Env::Change& one : env.changes()) {
        if (one.name.empty() || one.name.find('=') != std::string::npos || has_nul(one.name))
            return make_error(std::errc::invalid_argument, Step::environment, one.name,
                              "a variable's name is not empty and has neither = nor NUL");
        if (has_nul(one.value))
            return make_error(std::errc::invalid_argument, Step::environment, one.name, "a NUL byte cannot be passed");
    }
    return {};
}

inline Expected<void> check_times(const Options& options) {
    const auto zero = std::chrono::nanoseconds::zero();
    if (options.timeout.length() <= zero)
        return make_error(std::errc::invalid_argument, Step::options, "timeout", "zero or less: no time to run in");
    if (options.idle_timeout.length() <= zero)
        return make_error(std::errc::invalid_argument, Step::options, "idle_timeout",
                          "zero or less: no time to run in");
    const auto check = [&](Timeout time, const char* name) -> Expected<void> {
        if (time.length() < zero) return make_error(std::errc::invalid_argument, Step::options, name, "negative");
        if (time.is_none())
            return make_error(std::errc::invalid_argument, Step::options, name,
                              "without an end, no deadline could hold");
        return {};
    };
    if (auto checked = check(options.grace, "grace"); !checked) return checked;
    return check(options.drain, "drain");
}

inline Expected<void> check_stream(const Stdio& stream, const char* name) {
    if (stream.is(Stdio::Kind::descriptor) && !os::is_open(stream.number))
        return make_error(std::errc::bad_file_descriptor, Step::redirect,
                          concat({name, ": descriptor ", std::to_string(stream.number)}), "not open in the host");
    if (stream.is(Stdio::Kind::file) && (stream.text.empty() || has_nul(stream.text)))
        return make_error(std::errc::invalid_argument, Step::redirect, concat({name, ": ", stream.text}),
                          "a path is not empty and has no NUL");
    return {};
}

inline Expected<void> check_streams(const Options& options) {
    if (auto checked = check_stream(options.in, "in"); !checked) return checked;
    if (options.in.append)
        return make_error(std::errc::invalid_argument, Step::redirect, concat({"in: ", options.in.text}),
                          "input cannot be appended to");
    if (auto checked = check_stream(options.out, "out"); !checked) return checked;
    if (auto checked = check_stream(options.err, "err"); !checked) return checked;
    return {};
}

inline bool has_terminal(const Input& in, const Output& out, const Output& err) noexcept {
    return in.is(Stdio::Kind::tty) || out.is(Stdio::Kind::tty) || err.is(Stdio::Kind::tty);
}

inline Expected<void> check_terminal(const Options& options, bool is_pipeline) {
    if (!has_terminal(options.in, options.out, options.err)) return {};
    if (is_pipeline)
        return make_error(std::errc::invalid_argument, Step::options, "tty",
                          "not for a pipeline: shell(\"a | b\") can have one");
    if (!options.out.is(Stdio::Kind::tty) && !options.err.is(Stdio::Kind::tty))
        return make_error(std::errc::invalid_argument, Step::options, "in",
                          "a terminal that nobody reads: say tty for `out` or `err` too");
    if (options.group == Group::inherited || options.group == Group::foreground)
        return make_error(std::errc::invalid_argument, Step::options, "group", "a tty takes a session of its own");
    return {};
}

inline Expected<void> check_passes(const std::vector<PassFd>& passes) {
    for (std::size_t i = 0; i < passes.size(); ++i) {
        const std::string subject =
            concat({"pass_fds: {", std::to_string(passes[i].ours), ", ", std::to_string(passes[i].theirs), "}"});
        if (!os::is_open(passes[i].ours))
            return make_error(std::errc::bad_file_descriptor, Step::redirect, subject, "not open in the host");
        if (passes[i].theirs < 3)
            return make_error(std::errc::invalid_argument, Step::redirect, subject,
                              "0, 1 and 2 are in, out and err; pass to 3 or more");
        if (passes[i].theirs >= sys::descriptor_limit() - 1)
            return make_error(std::errc::bad_file_descriptor, Step::redirect, subject, "not below RLIMIT_NOFILE - 1");
        for (std::size_t j = 0; j < i; ++j) {
            if (passes[j].theirs == passes[i].theirs)
                return make_error(std::errc::invalid_argument, Step::redirect, subject, "passed to twice");
        }
    }
    return {};
}

/// The file that a command means, with the options of its job.
inline Expected<Stage> make_stage(Command command, const Options& options, const std::optional<std::string>& path) {
    Stage stage;
    stage.argv = std::move(command).argv();
    if (auto checked = check_command(stage.argv, options.executable); !checked) return checked.error();
    const std::string& name = options.executable.empty() ? stage.argv.front() : options.executable;
    auto found = os::find_program(name, path ? std::string_view(*path) : os::default_search_path());
    if (found && !options.cwd.empty()) found = os::absolute(*std::move(found));
    if (!found) return found.error();
    stage.program = *std::move(found);
    return stage;
}

/// Reads the environment and the file system, and changes nothing.
inline Expected<Plan> make_plan(std::vector<Command> commands, Options options, Deadline deadline) {
    Plan plan;
    plan.deadline = deadline;
    if (commands.empty()) return make_error(std::errc::invalid_argument, Step::command, {}, "the pipeline is empty");
    if (auto checked = check_environment(options.env); !checked) return checked.error();
    if (auto checked = check_times(options); !checked) return checked.error();
    if (auto checked = check_streams(options); !checked) return checked.error();
    if (auto checked = check_passes(options.pass_fds); !checked) return checked.error();
    if (has_nul(options.cwd))
        return make_error(std::errc::invalid_argument, Step::cwd, options.cwd, "a path has no NUL");
    if (!options.cwd.empty()) {
        if (const int why = os::why_not_directory(options.cwd.c_str())) return make_error(why, Step::cwd, options.cwd);
    }
    if (auto checked = check_terminal(options, commands.size() > 1); !checked) return checked.error();
    if (commands.size() > 1) {
        if (!options.executable.empty())
            return make_error(std::errc::invalid_argument, Step::options, "executable", "not for a pipeline");
        if (options.group == Group::session)
            return make_error(std::errc::invalid_argument, Step::options, "group",
                              "a pipeline cannot be a session of its own: nobody can join one");
    }

    const std::optional<std::string> path = options.env.get("PATH");
    plan.stages.reserve(commands.size());
    for (Command& command : commands) {
        auto stage = make_stage(std::move(command), options, path);
        if (!stage) {
            Error error = std::move(stage).error();
            if (commands.size() > 1) error.stage = static_cast<int>(plan.stages.size());
            return error;
        }
        plan.stages.push_back(*std::move(stage));
    }

    if (!options.env.is_inherited() || !options.env.changes().empty()) plan.environment = options.env.build();
    plan.cwd = std::move(options.cwd);
    plan.group = has_terminal(options.in, options.out, options.err) ? Group::session : options.group;
    plan.terminal = options.terminal;
    plan.in = std::move(options.in);
    plan.out = std::move(options.out);
    plan.err = std::move(options.err);
    plan.pass_fds = std::move(options.pass_fds);
    return plan;
}

}  // namespace leash::detail

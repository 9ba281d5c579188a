// leash/run_all.hpp - run_all(): runs a list of commands, a limited number at a time.
#ifndef LEASH_0_1_0_RUN_ALL_HPP
#define LEASH_0_1_0_RUN_ALL_HPP

#include <initializer_list>
#include <optional>
#include <type_traits>
#include <vector>

#include <cstddef>

#include <leash/cancel.hpp>
#include <leash/command.hpp>
#include <leash/config.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/callback.hpp>
#include <leash/error.hpp>
#include <leash/jobserver.hpp>
#include <leash/options.hpp>
#include <leash/pipeline.hpp>
#include <leash/popen.hpp>
#include <leash/run.hpp>
#include <leash/supervisor.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// One of the commands for run_all(), or a pipeline, with options of its own: its deadline counts from its own start.
/// `{{"ping", "-c1", host}, {.timeout = 5s}}`.
struct Task {
    /// What a task runs: one command, or several in a row.
    class What {
      public:
        /// From a list, args(), shell() or a pipeline.
        /// @{
        What(std::initializer_list<Arg> argv);
        What(Command one);
        What(Pipeline pipeline);
        /// @}
        /// A bare string says here too that it is no command.
        template <class T, class = std::enable_if_t<std::is_convertible_v<const T&, Command>>>
        What(const T& text) : What(Command(text)) {}

        /// The command, or each one of the pipeline.
        const std::vector<Command>& stages() const noexcept { return stages_; }

      private:
        std::vector<Command> stages_;
    };

    What command;          ///< what
    Options options = {};  ///< and how
};

/// How run_all() goes about it.
struct RunAllOptions {
    /// How many tasks run at a time; 0, the default, means as many as this process may use processors, and with a jobserver
    /// as many as that has tokens for.
    std::size_t max_running = 0;

    /// Each task that runs besides the first takes a token of it; none by default. It is handed down to those whose options have
    /// none. An error for all where it cannot be asked without waiting: one by descriptors, on a system without /proc.
    Jobserver jobserver = {};

    /// No task is started as long as one runs and the system's load is that high (of the last minute: getloadavg(3)), as with
    /// `make -l`; looked at whenever something happens, and each second. 0, the default: whatever the load is.
    double max_load = 0;

    /// Called with a task's place in the list when it has been started. The job may be read from, written to, signalled: it
    /// stays where it is.
    detail::Callback<std::size_t, Popen&> on_start = {};

    /// Called with a task's place when it has ended, or could not be started. In the order of the ends.
    detail::Callback<std::size_t, const Expected<Result>&> on_end = {};

    /// If true: after the first job that is not ok() or cannot be started, ends the running jobs and starts no more. Default:
    /// false.
    bool stop_on_failure = false;

    /// Ends those that run and keeps the rest from starting, when it is fired; none by default. Jobs may have tokens of
    /// their own besides.
    std::optional<Cancel> cancel = std::nullopt;
};

/// Runs commands to their ends, `max_running` at a time, on the calling thread: each as run() does, with its own deadline,
/// capture and sinks. What they gave comes in the order of the list: a Result, or the Error with which a command
/// could not be started, which does not concern the others. A command that was not started, for a cancel or
/// stop_on_failure, has a Result that says `cancelled`; so have those that were ended for it.
///
/// Where there are no descriptors, processes or memory for one more, it is started when another one has ended. No start
/// keeps the deadlines of those that run waiting: bytes() are written as they are read, and where a program is being
/// written at the moment (ETXTBSY), the others are looked after until it can be tried again.
///
///     std::vector<leash::Task> tasks;
///     for (const auto& host : hosts) tasks.push_back({{"ping", "-c1", host}, {.out = leash::null, .timeout = 5s}});
///     for (const auto& result : leash::run_all(std::move(tasks), {.max_running = 64})) count += result && result->ok();
[[nodiscard]] std::vector<Expected<Result>> run_all(std::vector<Task> tasks, RunAllOptions how = {});

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/run_all.ipp>

#endif  // LEASH_0_1_0_RUN_ALL_HPP

// leash/run_all.hpp - run_all(): runs a list of commands, a limited number at a time.
#ifndef LEASH_0_1_0_RUN_ALL_HPP
#define LEASH_0_1_0_RUN_ALL_HPP

#include <initializer_list>
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

/// A command or a pipeline for run_all(), with its options: `{{"ping", "-c1", server}, {.timeout = 5s}}`. The timeout
/// counts from the start of the task.
struct Task {
    /// What a task runs: a command or a pipeline.
    class What {
      public:
        /// Converts from a list, args(), shell() or a pipeline.
        /// @{
        What(std::initializer_list<Arg> argv);
        What(Command one);
        What(Pipeline pipeline);
        /// @}
        /// Does not compile for a bare string: the command is a list in its own braces, or shell().
        template <class T, class = std::enable_if_t<std::is_convertible_v<const T&, Command>>>
        What(const T& text) : What(command_of(text)) {
            static_assert(!detail::is_text<T>,
                          "leash: a task has braces, and its command has its own: write {{\"ls\", \"-l\"}}, or "
                          "{{\"ls\", \"-l\"}, options}; a list of tasks is {{{\"ls\"}}, {{\"pwd\"}}}.");
        }

        /// Returns the commands of the pipeline; for a single command just that one.
        const std::vector<Command>& stages() const noexcept { return stages_; }

      private:
        template <class T>
        static Command command_of(const T& text) {
            if constexpr (detail::is_text<T>) return Command(detail::FromVector(), {});  // which is refused
            else return Command(text);
        }
        std::vector<Command> stages_;
    };

    What command;          ///< the command or pipeline to run
    Options options = {};  ///< its options
};

/// Options of run_all().
struct RunAllOptions {
    /// How many tasks run at the same time. Default: 0, the number of processors that this process may use; with a
    /// jobserver, as many as there are tokens for.
    std::size_t max_running = 0;

    /// A jobserver to share the number of running tasks with: each running task except the first holds a token. Tasks
    /// whose options have no jobserver get this one. Default: none. Every result is an Error if leash cannot take
    /// tokens without blocking: a jobserver given as descriptors, on a platform without /proc.
    Jobserver jobserver = {};

    /// Starts no further task while one runs and the load average of the last minute (getloadavg(3)) is `max_load` or
    /// more, as `make -l` does. Checked after each event, and once a second. Default: 0, no limit.
    double max_load = 0;

    /// Called after a task was started, with its index in the list and the running job. You can read from the job,
    /// write to it and signal it, but not move it. A piped `in` (or tty) gets end of file when on_start has returned
    /// and what it queued is written: use enqueue() for more than a little, because the other jobs wait during a
    /// write(). If a callback throws, run_all() kills the running jobs and passes the exception on.
    detail::Callback<std::size_t, Popen&> on_start = {};

    /// Called when a task has ended, could not be started, or was cancelled before its start by its own token, with its
    /// index in the list and its result. Not called for tasks that RunAllOptions::cancel or stop_on_failure kept from
    /// starting. If a callback throws, run_all() kills the running jobs and passes the exception on.
    detail::Callback<std::size_t, const Expected<Result>&> on_end = {};

    /// If true: after the first job that is not ok() or cannot be started, ends the running jobs and starts no more.
    /// Default: false.
    bool stop_on_failure = false;

    /// A token for the whole call: when it is fired, ends the running jobs and starts no more. Default: none. A task
    /// can also have its own token, in its options.
    detail::Maybe<Cancel> cancel = {};
};

/// Runs commands and waits until all have ended. Runs each as run() does, with its own timeout, capture and sinks, at
/// most `max_running` at the same time, on the calling thread.
///
/// Returns the results in the order of the list. Each is a Result, or an Error if that command could not be started;
/// the others still run. If a cancel or stop_on_failure ended a task or kept it from starting, its Result has
/// `cancelled`.
///
/// If a start fails because descriptors, processes or memory are short, run_all() tries again when another task has
/// ended. If the program file is just being written (ETXTBSY), it tries again for about 0.1 s. Meanwhile the running
/// tasks are served, and their timeouts enforced.
///
///     std::vector<leash::Task> tasks;
///     for (const auto& host : hosts) tasks.push_back({{"ping", "-c1", host}, {.out = leash::null, .timeout = 5s}});
///     for (const auto& result : leash::run_all(std::move(tasks), {.max_running = 64}))
///         count += result && result->ok();
[[nodiscard]] std::vector<Expected<Result>> run_all(std::vector<Task> tasks, RunAllOptions how = {});

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/run_all.ipp>

#endif  // LEASH_0_1_0_RUN_ALL_HPP

// leash/impl/run_all.ipp - the bodies of <leash/run_all.hpp>.
#ifndef LEASH_0_1_0_IMPL_RUN_ALL_IPP
#define LEASH_0_1_0_IMPL_RUN_ALL_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <initializer_list>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <cstddef>

#include <leash/cancel.hpp>
#include <leash/command.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/array.hpp>
#include <leash/detail/callback.hpp>
#include <leash/detail/outgoing.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/sys/processes.hpp>
#include <leash/detail/posix/tokens.hpp>
#include <leash/detail/pump.hpp>
#include <leash/error.hpp>
#include <leash/jobserver.hpp>
#include <leash/options.hpp>
#include <leash/pipeline.hpp>
#include <leash/popen.hpp>
#include <leash/run.hpp>
#include <leash/run_all.hpp>
#include <leash/supervisor.hpp>

namespace leash {
inline namespace LEASH_ABI {

LEASH_INLINE Task::What::What(std::initializer_list<Arg> argv) : What(Command(argv)) {}

LEASH_INLINE Task::What::What(Command one) : stages_(detail::stages_of(std::move(one))) {}

LEASH_INLINE Task::What::What(Pipeline pipeline) : stages_(std::move(pipeline).stages()) {}

namespace detail {

/// What is held of a jobserver's tokens.
struct Share {
    Jobserver from;
    Array<int> tokens;

    Share() = default;
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() { keep(0); }

    /// Gives back what so many jobs do not need. The first needs none.
    void keep(std::size_t jobs) noexcept {
        for (; !tokens.empty() && tokens.size() + 1 > jobs; tokens.cut(tokens.size() - 1))
            tokens_of(from)->give_back(tokens.back());
    }
    /// False where there is none at the moment.
    bool take() {
        tokens.reserve(tokens.size() + 1);
        const int token = tokens_of(from)->take();
        if (token >= 0) tokens.add(token);
        return token >= 0;
    }
};

[[gnu::cold]] inline Expected<void> check_jobserver(const Tokens& tokens) {
    if (tokens.error != 0) return failure(tokens.error, Step::options, "jobserver", tokens.why);
    if (tokens.own.is_open()) return {};
    return failure(std::errc::operation_not_supported, Step::options, "jobserver",
                   "must be a FIFO if there is no /proc");
}

struct AllRunner {
    std::vector<Task> tasks;
    RunAllOptions how;
    Share share;  // given back when all have ended
    SupervisorCore running;
    std::vector<Expected<Result>> results;
    std::size_t next = 0;   // to be started
    std::string input;      // what that one is to be given
    bool is_given = false;  // all that it is to be given: nobody writes more
    // Its program is being written: when to try again, and how long to wait then.
    Deadline again = Deadline::now();
    Duration pause = Duration::milliseconds(1);
    bool is_stopped = false;
    bool is_short = false;  // of what it takes to start one, until one has ended
    bool is_held = false;   // by the load, or for want of a token
    std::optional<Supervisor::Id> token_watch;

    std::vector<Expected<Result>> run() {
        results.reserve(tasks.size());
        for (const Task& task : tasks) results.push_back(not_started(task.command.stages(), task.options));
        constexpr std::size_t limit = std::size_t{1} << SupervisorCore::slot_bits;
        share.from = how.jobserver;
        const Tokens* const tokens = tokens_of(how.jobserver);
        if (how.max_running == 0) how.max_running = tokens != nullptr ? limit : sys::processors();
        if (how.max_running > limit) how.max_running = limit;
        if (!running.open()) fail_all(os::last_error(Step::stream, "supervisor"));
        else if (const auto watched = how.cancel ? running.cancel_with(*how.cancel) : Expected<void>(); !watched)
            fail_all(watched.error());
        if (tokens != nullptr && !is_stopped) {
            if (auto usable = check_jobserver(*tokens); !usable) fail_all(usable.error());
        }
        for (;;) {
            is_held = false;
            const bool started = may_start() && again.passed() && start();
            if (tokens != nullptr) {
                share.keep(running.size());
                watch_for(*tokens);
            }
            if (running.empty() && !has_more()) return std::move(results);
            const bool waits = !started && may_start();
            if (waits && running.empty()) os::sleep_until(again);
            // Between two starts too: what has ended is not held any longer, since every descriptor here makes a
            // start dearer.
            // As many events as there are jobs, and no more: some jobs always have one.
            Timeout timeout = started                   ? Timeout(Duration())
                              : waits                   ? Timeout(again.remaining())
                              : is_held && !token_watch ? Timeout(Duration::seconds(1))
                                                        : Timeout::none();
            for (std::size_t most = running.size(); most > 0; --most) {
                const auto event = running.next(timeout);
                if (!event) break;
                if (event->kind == Supervisor::Event::ended) finish(*event);
                timeout = Duration();
            }
        }
    }

    bool has_more() const noexcept {
        return next < tasks.size() && !is_stopped && !(how.cancel && how.cancel->fired());
    }
    bool may_start() const noexcept { return has_more() && running.size() < how.max_running && !is_short && !is_held; }

    /// Is one more too many, for the load or the jobserver?
    [[gnu::cold]] bool is_too_many() {
        if (running.empty()) return false;
        if (how.max_load > 0 && sys::load() >= how.max_load) return true;
        return how.jobserver && !share.take();
    }

    /// A token that comes wakes the loop, where there is a task to start with it.
    [[gnu::cold]] void watch_for(const Tokens& tokens) {
        const bool wanted = is_held && (how.max_load <= 0 || sys::load() < how.max_load);
        if (wanted == token_watch.has_value()) return;
        if (!wanted) {
            running.forget(*std::exchange(token_watch, std::nullopt));
        } else if (auto watched = running.watch(tokens.own.get(), 0)) {
            token_watch = *watched;
        }
    }

    /// Starts the next one. False where that has to wait, until another one has ended or until it can be tried again.
    bool start() {
        const std::size_t index = next;
        Options& options = tasks[index].options;
        if (options.cancel && options.cancel->fired()) {
            input = {};  // it may have been tried before
            is_given = false;
            ++next;
            tell_end(index);
            return true;
        }
        if (detail::stdio_of(options.in)
                .is(detail::Stdio::Kind::bytes)) {  // written as run() does it, while the others run
            input = std::move(detail::stdio_of(options.in).text);
            options.in = piped;
            is_given = true;
        }
        if (is_too_many()) {
            is_held = true;
            return false;
        }
        if (!options.jobserver) options.jobserver = how.jobserver;
        const auto start_once = [&] {
            Options given = options;  // they may be needed once more
            return Popen::start(tasks[index].command.stages(), std::move(given), false);
        };
        auto started = start_once();
        if (!started && is_to_wait(started.error(), options.timeout)) return false;
        ++next;
        pause = Duration::milliseconds(1);
        std::string data = std::exchange(input, {});
        const bool is_whole = std::exchange(is_given, false);
        options = {};
        if (!started) {
            results[index] = std::move(started).error();
            tell_end(index);
            return true;
        }
        Outgoing& in = started->pump_->in;
        if (!data.empty()) in.add(std::move(data));
        if (is_whole) in.finish();
        const Supervisor::Id id = running.add(*std::move(started), index, true).value();
        is_short = running.is_blind(id) && running.size() > 1;
        Popen& job = *running.find_job(id);
        how.on_start(index, job);
        job.in().finish();
        return true;
    }

    /// It may yet be started: when another one has ended, or when its program has been written.
    bool is_to_wait(const Error& error, Timeout timeout) {
        is_short = is_shortage(error) && !running.empty();
        const bool is_late = pause > Duration::milliseconds(64) || pause >= timeout.length();
        if (error.code != std::errc::text_file_busy || is_late) return is_short;
        again = Deadline::after(pause);
        pause = pause + pause;
        return true;
    }

    /// Descriptors, processes, terminals or memory: there will be some when others have ended.
    static bool is_shortage(const Error& error) noexcept {
        for (const std::errc code :
             {std::errc::too_many_files_open, std::errc::too_many_files_open_in_system,
              std::errc::resource_unavailable_try_again, std::errc::not_enough_memory, std::errc::no_space_on_device}) {
            if (error.code == code) return true;
        }
        return false;
    }

    void finish(const Supervisor::Event& event) {
        is_short = false;
        Popen job = running.remove(event.id);
        const std::size_t index = static_cast<std::size_t>(event.tag);
        std::string name = std::move(results[index]->command);
        results[index] = result_of(job, std::move(name), job.communicate());
        tell_end(index);
    }

    void tell_end(std::size_t index) {
        const bool failed = !results[index] || !results[index]->ok();
        if (failed && how.stop_on_failure && !is_stopped) {
            is_stopped = true;
            running.cancel();
        }
        how.on_end(index, results[index]);
    }

    void fail_all(const Error& error) {
        is_stopped = true;
        for (std::size_t i = 0; i < results.size(); ++i) {
            results[i] = error;
            how.on_end(i, results[i]);
        }
    }
};

}  // namespace detail

LEASH_INLINE std::vector<Expected<Result>> run_all(std::vector<Task> tasks, RunAllOptions how) {
    detail::AllRunner all;
    all.tasks = std::move(tasks);
    all.how = std::move(how);
    return all.run();
}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_RUN_ALL_IPP

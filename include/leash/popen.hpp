// leash/popen.hpp - Popen: a running job.
#ifndef LEASH_0_1_0_POPEN_HPP
#define LEASH_0_1_0_POPEN_HPP

#include <initializer_list>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include <leash/command.hpp>
#include <leash/config.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/shared.hpp>
#include <leash/error.hpp>
#include <leash/fwd.hpp>
#include <leash/options.hpp>
#include <leash/pipeline.hpp>
#include <leash/status.hpp>
#include <leash/stream.hpp>

// A Popen that is not kept ends its job where it was started. g++ checks [[nodiscard]] on the constructor only, clang
// on the class; g++ before 10 warns about it on a constructor.
#if __has_cpp_attribute(nodiscard) >= 201907L
#define LEASH_TO_BE_KEPT [[nodiscard]]
#else
#define LEASH_TO_BE_KEPT
#endif

namespace leash {
inline namespace LEASH_ABI {

namespace detail {
struct AllRunner;
struct Prober;
struct Runner;
class Pump;
class SupervisorCore;
}  // namespace detail

/// A process ID, as pid_t.
using Pid = int;

/// The output of a job, as run() and communicate() return it.
struct Streams {
    /// Empty; copied and moved like its strings.
    /// @{
    Streams();
    Streams(const Streams& other);
    Streams(Streams&& other) noexcept;
    Streams& operator=(const Streams& other);
    Streams& operator=(Streams&& other) noexcept;
    ~Streams();
    /// @}

    std::string out;                ///< standard output, if piped or tty
    std::string err;                ///< standard error, if piped or tty
    std::vector<std::string> errs;  ///< with per_stage: standard error of each stage, in order; `err` is empty then
    std::string all;                ///< with Options::all: out and err, in the order in which leash read them
    bool out_truncated = false;     ///< true if bytes of `out` are missing because of Options::max_output
    bool err_truncated = false;     ///< the same for `err`, or any of `errs`
    std::size_t out_dropped = 0;    ///< how many bytes of `out` are missing
    std::size_t err_dropped = 0;    ///< how many bytes of `err`, or of `errs` together, are missing
    std::size_t all_dropped = 0;    ///< how many bytes of `all` are missing
    std::size_t out_seam = 0;       ///< the offset in `out` where bytes are missing: with Keep::ends, in the middle
    std::size_t err_seam = 0;       ///< the same for `err`; 0 with per_stage
    /// Processes that still had a stream open when `drain` ran out (usually because they left the group). What was
    /// written before that is here; later output is not. An entry with pid -1 stands for processes that cannot be
    /// named, such as another user's.
    std::vector<Process> held;
    std::size_t unwritten = 0;  ///< how many bytes of the input could not be written
};

/// The result of Popen::communicate().
struct Captured : Streams {
    std::optional<ExitStatus> status;  ///< how the leader ended; nullopt while the job runs
    bool timed_out = false;            ///< the timeout of this call expired first; the job continues
};

/// The type of `leash::leader`.
struct Leader {};
/// An argument of Popen::send_signal(): signals only the leader, not the whole job.
inline constexpr Leader leader{};

/// Owns a running job: the process (its leader), its process group and your ends of its pipes.
///
///     leash::Popen sort({"sort"}, {.in = leash::piped, .out = leash::piped, .timeout = 5s});
///     std::cout << sort.communicate("b\na\n").out;                            // everything at once, or
///     sort.in().write("b\n"), sort.in().close();                              // step by step
///     for (std::string_view line : sort.out().lines()) std::cout << line;
///     std::cout << sort.wait().describe();                                    // or poll(), wait_for(1s)
///     sort.stop(2s);                                                          // or terminate(), kill()
///
/// The destructor ends the job: it sends SIGKILL to all processes of the job and reaps the leader. So
/// `Popen({"prog"});` starts a job and ends it at the semicolon. `Popen({"prog"}).detach();` lets the job continue.
///
/// No background thread watches the job. Options::timeout counts from the start. A call that waits, reads, writes or
/// polls ends the job if its time is up. Without such a call the job runs until the Popen is destroyed.
///
/// Threads: any threads may call these at the same time: wait, wait_for, wait_until, poll, stop, interrupt, terminate,
/// kill, send_signal, suspend, resume, resize, pid, exit_handle, and the functions from status() on. Only one thread at
/// a time may use a stream, call communicate() or detach(), move or destroy the Popen.
///
/// Exceptions: only the constructors throw, and calls that wait: if a sink or a source throws, or memory runs out.
class [[nodiscard]] Popen {
  public:
    /// Starts the command. If it cannot be started, throws SpawnError; then no process is left. (A file for `out` or
    /// `err` may already have been created or emptied.)
#if LEASH_EXCEPTIONS
    LEASH_TO_BE_KEPT explicit Popen(Command command, Options options = {});
    /// Starts a pipeline as one job. If a stage cannot be started, ends the stages before it and throws SpawnError.
    LEASH_TO_BE_KEPT explicit Popen(Pipeline pipeline, Options options = {});
    /// Starts a braced list with default options. (Without this, `Popen({"true"})` could also mean a Popen moved from
    /// one that is made of "true". The empty pack keeps `Popen{"ls -l"}` from being a list.)
    template <class... Nothing, class = std::enable_if_t<sizeof...(Nothing) == 0>>
    LEASH_TO_BE_KEPT explicit Popen(std::initializer_list<Arg> argv, Nothing...) : Popen(Command(argv)) {}
    /// Does not compile: the list needs its own braces, `Popen p({"ls", "-l"})`.
    template <class T, class U, class... More, class = std::enable_if_t<detail::is_text<T> && detail::is_text<U>>>
    explicit Popen(const T&, const U&, const More&...) {
        static_assert(!detail::is_text<T>, "leash: a command is a list: write leash::Popen p({\"ls\", \"-l\"}).");
    }
    /// Does not compile: where a stream goes is one of the options.
    // clang-format off
    template <class T, class = detail::IfRedirect<T>>
    explicit Popen(const Command&, T) = delete;  // leash: a stream has a name: write leash::Popen p(command, {.out = leash::piped}).
    // clang-format on
#endif

    /// Starts the command without exceptions. If it cannot be started, returns an Error; then no process is left.
    static Expected<Popen> try_spawn(Command command, Options options = {});

    /// Starts a pipeline as one job, without exceptions. If a stage cannot be started, ends the stages before it and
    /// returns an Error; Error::stage is the index of the stage that failed.
    static Expected<Popen> try_spawn(Pipeline pipeline, Options options = {});

    /// Creates an empty Popen, without a job; a Popen is also empty after a move or detach(). Functions whose comment
    /// says nothing else do nothing on an empty Popen, and return an error, an unknown status or an empty value.
    Popen() noexcept;

    /// Takes over the job; `other` is empty afterwards.
    Popen(Popen&& other) noexcept = default;
    /// Ends the job that this Popen had, as the destructor does; then takes over the other job.
    Popen& operator=(Popen&& other) noexcept;
    /// Ends the job, if it is not over: SIGKILL to the group and to descendants that left it. Then waits until they are
    /// gone, at most 5 s; only a process stuck in the kernel takes that long. If the signal is refused (another user's
    /// process), does not wait. Sinks are not called any more.
    ~Popen();

    /// True if there is a job, running or ended; false for an empty Popen.
    bool valid() const noexcept;

    /// Returns the leader's process ID, which is also the process group ID (not with Group::inherited or join()); -1
    /// for an empty Popen. The leader of a pipeline is the first stage.
    Pid pid() const noexcept;

    /// Return the host's ends of `in`, `out` and `err`, if these are piped or tty. Otherwise, and for an empty Popen,
    /// reads and writes fail with EBADF.
    /// @{
    Writer in() & noexcept;
    Reader out() & noexcept;
    Reader err() & noexcept;
    /// @}
    /// With per_stage: returns standard error of one stage, counted from 0; if there is no such stage, reads fail with
    /// EBADF. Without per_stage: the same as err().
    Reader err(std::size_t stage) & noexcept;
    // In `for (auto line : Popen(…).out().lines())` the job would already be ended when it is read. Compilers show the
    // line:
    // clang-format off
    Writer in() && = delete;              // leash: the Popen would end before its stream is used: give it a name, Popen p(…); p.in()
    Reader out() && = delete;             // leash: the Popen would end before its stream is used: give it a name, Popen p(…); p.out()
    Reader err() && = delete;             // leash: the Popen would end before its stream is used: give it a name, Popen p(…); p.err()
    Reader err(std::size_t) && = delete;  // leash: the Popen would end before its stream is used: give it a name, Popen p(…); p.err(0)
    // clang-format on

    // ---- waiting. These calls do not read or close pipes. So if the child fills a pipe, it blocks until you read; if
    // it reads `in` to end of file, it waits for in().close(). communicate() does all at once. These calls do serve
    // sinks and a source, and write what Writer::enqueue() took. On an empty Popen they return an unknown status at
    // once.

    /// Returns the status, or nullopt while the job runs (also while processes that the leader left behind still have
    /// `drain`). Does not block, except to end a job whose timeout has expired or whose token was fired.
    [[nodiscard]] std::optional<ExitStatus> poll();

    /// Waits until the job is over; returns how the leader ended (of a pipeline, the last stage). Ends the job if its
    /// timeout expires or its token is fired. Does not read pipes: see communicate().
    ExitStatus wait();
    /// Does not compile: wait() takes no timeout. Use wait_for().
    template <class T>
    ExitStatus wait(const T&) {
        static_assert(!std::is_same_v<T, T>, "leash: wait() has no end of its own: write wait_for(5s).");
        return {};
    }

    /// Waits at most `timeout`; nullopt if the job still runs. Zero or less does not wait. If the job's own timeout
    /// expires first, ends the job, which can take up to grace + drain longer.
    [[nodiscard]] std::optional<ExitStatus> wait_for(Timeout timeout);

    /// Waits until a point in time of any clock (a std::chrono::time_point); nullopt if the job still runs.
    template <class Point, class = typename Point::clock>
    [[nodiscard]] std::optional<ExitStatus> wait_until(const Point& point) {
        return wait_until_deadline(detail::Deadline::at(point));
    }

    // ---- signals to the whole group (with Group::inherited or join(): to the processes that leash started), until the
    // job is over

    /// Sends a signal to the job. If the job is over or the Popen is empty, returns an error (ESRCH) and sends nothing,
    /// because the ID may belong to another process by then. SIGKILL is the same as kill().
    Expected<void> send_signal(int number);
    /// Sends a signal to the leader only (of a pipeline, the first stage), as kill(2) does:
    /// `send_signal(SIGHUP, leash::leader)`. If the leader has ended, returns an error (ESRCH) and sends nothing. With
    /// SIGKILL, ended_by() stays EndedBy::itself.
    Expected<void> send_signal(int number, Leader);

    /// Sends SIGINT, as Ctrl-C does, then SIGCONT, so that stopped processes get it too. Does not wait. Errors: as
    /// send_signal(). (Processes that a shell started with `&` ignore SIGINT.)
    Expected<void> interrupt();

    /// Sends SIGTERM, then SIGCONT, so that stopped processes get it too. Does not wait. Errors: as send_signal().
    Expected<void> terminate();

    /// Stops the job (job control): SIGSTOP to the group. Its clocks stop too: when it continues, `timeout`, `grace`,
    /// `stop_sequence` and `drain` have as much time left as before, and `idle_timeout` starts again. A wait without a
    /// limit of its own lasts until the job is resumed. Does nothing if the job is already suspended. If the job is
    /// over or is being killed, returns ESRCH.
    Expected<void> suspend();
    /// Continues a suspended job: SIGCONT to the group. A job also continues when it is ended (stop(), timeout,
    /// cancel), and by terminate(), interrupt() and send_signal(SIGCONT). If the job is over or is being killed,
    /// returns ESRCH.
    Expected<void> resume();

    /// Sends SIGKILL to the group and to descendants that left it. Does not wait for their end. It can take up to 50
    /// ms, because leash first stops the processes so that none can start another one. Errors: ESRCH if the job is
    /// over, EPERM if one of the processes that leash started runs as another user.
    Expected<void> kill();
    /// Does not compile: kill() takes no signal number. Use send_signal().
    template <class T>
    Expected<void> kill(const T&) {
        static_assert(!std::is_same_v<T, T>, "leash: kill() is SIGKILL: write send_signal(SIGINT) for another one.");
        return {};
    }

    /// Ends the job and returns how the leader ended: SIGTERM, up to `grace` for all processes to end, SIGKILL to the
    /// rest, then reaps. Reaches the group and the descendants that left it, as far as leash can find them. Returns
    /// within grace + Options::drain, plus the time that the kernel takes to end a killed process (see
    /// Options::timeout). If the job could not be ended, the status is unknown(). If the job is already being ended,
    /// the earlier SIGKILL counts.
    ExitStatus stop(Timeout grace);
    /// The same as stop(grace), with Options::stop_sequence, or with SIGTERM and Options::grace.
    ExitStatus stop();

    /// Sets the size of the job's pseudo-terminal (`tty`); the child gets SIGWINCH. May be called from any thread.
    /// Errors: EINVAL if a number is not from 0 to 65535; ENOTTY if no stream is a tty, or the tty has reached end of
    /// file.
    Expected<void> resize(int rows, int columns) noexcept;

    // ---- everything at once

    /// Writes `input` and closes `in`, reads `out` and `err` (if piped) to end of file, and waits for the job. It does
    /// all at the same time on this thread, so no amount of data blocks either side. Keeps at most Options::max_output
    /// of each stream.
    ///
    /// If `timeout` expires first, returns the output so far; the job continues. Call again: unwritten input is written
    /// first, and the output includes what earlier calls returned. An empty Popen returns no output and no status.
    [[nodiscard]] Captured communicate(std::string input = {}, Timeout timeout = {});

    /// Gives the job up: closes the pipes and returns the leader's pid (-1 for an empty Popen). The job continues
    /// without timeout; die_with_parent no longer applies. The caller must reap the leader (waitpid); until then, or
    /// until the host ends, it is a zombie after its end. Of a pipeline this holds for every stage.
    Pid detach() noexcept;

    /// Returns a descriptor for event loops that becomes readable when the leader has ended; then call poll(). It is a
    /// pidfd (Linux 5.3) or a kqueue, and belongs to the Popen. no_handle if there is none: then time_left() says when
    /// to poll. If poll() returns nullopt, other processes are left (another stage, or one that the leader left
    /// behind): call exit_handle() again, it now returns a descriptor for one of those.
    Handle exit_handle() noexcept;

    /// Returns how long an event loop may wait for the descriptors. After that it must call poll(), because a time is
    /// over (`timeout`, `grace`, `drain`) or only a look can tell. Call it again before each wait. No limit if there is
    /// none; zero if the time is over, the job is over, or the Popen is empty.
    Timeout time_left() const;

    // ---- the result so far; for an empty Popen: empty values

    /// Returns how the leader ended, once a call has found the job over (it may be unknown). nullopt before that, also
    /// if the job has ended and no call has looked yet: poll() looks.
    std::optional<ExitStatus> status() const noexcept;

    /// Returns what ended the job, or is ending it; EndedBy::itself if it ended by itself or just runs.
    EndedBy ended_by() const noexcept;
    /// True if Options::timeout or idle_timeout ended the job.
    bool timed_out() const noexcept { return ended_by() == EndedBy::timeout || ended_by() == EndedBy::idle_timeout; }
    /// True if its Cancel token or Supervisor::cancel() ended the job.
    bool cancelled() const noexcept { return ended_by() == EndedBy::cancel; }
    /// Returns Options::reach of the job.
    Reach reach() const noexcept;
    /// Returns the signal that stopped the job (SIGSTOP, SIGTSTP) while it is stopped (job control); otherwise 0.
    int stopped() const noexcept;
    /// Returns the processes that were left when `drain` ran out and got SIGKILL: see Options::stragglers.
    std::vector<Process> stragglers() const;
    /// Returns the processes that leash could not end in time: another user's, or stuck in the kernel. Does not include
    /// processes that left the group and that leash did not find.
    std::vector<Process> survivors() const;
    /// Returns how each stage of a pipeline ended, in order; one entry for a single command. A stage that has not been
    /// seen to end is unknown. Once the job is over, the list does not change any more.
    std::vector<ExitStatus> statuses() const;
    /// Returns what the leader used (of a pipeline, the last stage; with Reach::cgroup, the whole job); zero until its
    /// end was seen.
    Usage usage() const noexcept;

  private:
    friend class detail::SupervisorCore;
    friend struct detail::AllRunner;
    friend struct detail::Prober;
    friend struct detail::Runner;

    /// With `is_patient`, waits for a program file that is being written at the moment.
    static Expected<Popen> start(std::vector<Command> commands, Options&& options, bool is_patient);

    std::optional<ExitStatus> wait_until_deadline(detail::Deadline limit);

    ExitStatus stop(const StopStep* step);
    void end() noexcept;

    detail::Shared<detail::Pump> pump_;
    bool per_stage_ = false;
};

}  // namespace LEASH_ABI
}  // namespace leash

#undef LEASH_TO_BE_KEPT

#include <leash/impl/popen.ipp>

#endif  // LEASH_0_1_0_POPEN_HPP

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

// A Popen that nobody keeps is a job that dies where it was started. g++ looks for that at the constructor only, clang at
// the class; g++ before 10 takes the former for a mistake.
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

/// The system's process id: pid_t.
using Pid = int;

/// What the pipes of a job gave.
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

    std::string out;                ///< of the streams that are piped
    std::string err;                ///< likewise
    std::vector<std::string> errs;  ///< with per_stage: of each stage, in order; `err` is empty then
    std::string all;                ///< with Options::all: what both said, in the order in which leash read it
    bool out_truncated = false;     ///< `out` is longer than Options::max_output: this is what Options::keep says
    bool err_truncated = false;     ///< likewise
    std::size_t out_dropped = 0;    ///< how many bytes of `out` are missing
    std::size_t err_dropped = 0;    ///< likewise
    std::size_t all_dropped = 0;    ///< likewise
    std::size_t out_seam = 0;       ///< where in `out` they are missing: with Keep::ends, in the middle
    std::size_t err_seam = 0;       ///< likewise; not told with per_stage
    /// Processes that still had a stream open when `drain` ran out (usually because they left the group). What was written
    /// before that is here; later output is not. An entry with pid -1 stands for processes that cannot be named, such as
    /// another user's.
    std::vector<Process> held;
    std::size_t unwritten = 0;  ///< bytes of the input that the child did not take
};

/// What Popen::communicate() gives.
struct Captured : Streams {
    std::optional<ExitStatus> status;  ///< nullopt while the job runs on
    bool timed_out = false;            ///< the time of this call was up first: the job runs on
};

/// The type of `leader`.
struct Leader {};
/// For Popen::send_signal(): that one process instead of all of the job.
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
/// The destructor ends the job: SIGKILL to all of its processes, and the leader is reaped. detach() gives it up instead. So
/// `Popen({"prog"});` starts a job and ends it at the semicolon; `Popen({"prog"}).detach();` lets it go.
///
/// There is no thread that watches a job. Options::timeout counts from the start; a call that waits, reads or polls ends
/// the job when the time is up. Without such a call the job runs until the Popen is destroyed.
///
/// wait, wait_for, wait_until, poll, stop, interrupt, terminate, kill, send_signal, suspend, resume, pid, exit_handle and the questions at the
/// end may be called on one handle from any threads at once; a stream, communicate(), detach(), moving and
/// destroying belong to one thread at a time. Nothing here throws but the constructor, and what waits:
/// where a sink of yours does, or memory runs out.
class [[nodiscard]] Popen {
  public:
    /// Starts it. Throws SpawnError where that fails: then nothing has been started and nothing is left.
#if LEASH_EXCEPTIONS
    LEASH_TO_BE_KEPT explicit Popen(Command command, Options options = {});
    /// Starts a pipeline, as one job.
    LEASH_TO_BE_KEPT explicit Popen(Pipeline pipeline, Options options = {});
    /// The same; without it `Popen({"true"})` could also mean a Popen moved from one that is made of "true". (The empty
    /// pack keeps `Popen{"ls -l"}` from being a list.)
    template <class... Nothing, class = std::enable_if_t<sizeof...(Nothing) == 0>>
    LEASH_TO_BE_KEPT explicit Popen(std::initializer_list<Arg> argv, Nothing...) : Popen(Command(argv)) {}
    /// A list has braces of its own.
    template <class T, class U, class... More, class = std::enable_if_t<detail::is_text<T> && detail::is_text<U>>>
    explicit Popen(const T&, const U&, const More&...) {
        static_assert(!detail::is_text<T>, "leash: a command is a list: write leash::Popen p({\"ls\", \"-l\"}).");
    }
#endif

    /// Starts it, without exceptions.
    static Expected<Popen> try_spawn(Command command, Options options = {});

    /// A pipeline, as one job. If a stage cannot be started, ends the stages before it. Error::stage is the
    /// index of the stage that failed.
    static Expected<Popen> try_spawn(Pipeline pipeline, Options options = {});

    /// No job: an empty Popen, like one that was moved from or detached. Each function says what it returns then; where
    /// nothing is said, nothing happens, and the answer is that of a job of which nothing is known.
    Popen() noexcept;

    /// The other handle is empty then.
    Popen(Popen&& other) noexcept = default;
    /// Ends the job that this handle had.
    Popen& operator=(Popen&& other) noexcept;
    /// SIGKILL to the group and to the descendants that have left it, unless the job is over; then waits until they are
    /// gone: five seconds at most, a bound met only by what no signal can end (it is stuck in the kernel), and not at all
    /// where the signal is refused.
    ~Popen();

    /// Is there a job, running or ended? False for an empty handle.
    bool valid() const noexcept;

    /// The leader's process id, and that of its group unless Group::inherited; -1 for an empty handle.
    Pid pid() const noexcept;

    /// The pipes, where `in`, `out`, `err` are piped; otherwise, and on an empty handle, reads and writes answer EBADF.
    /// @{
    Writer in() & noexcept;
    Reader out() & noexcept;
    Reader err() & noexcept;
    /// @}
    /// With per_stage: what that stage says, counted from 0; a number that is no stage's answers EBADF. Otherwise the same
    /// as err().
    Reader err(std::size_t stage) & noexcept;
    // Of a temporary, `for (auto line : Popen(…).out().lines())` would read a job that has died with its handle.
    Writer in() && = delete;
    Reader out() && = delete;
    Reader err() && = delete;
    Reader err(std::size_t) && = delete;

    // ---- waiting. None of these reads or closes a pipe: a child that has filled one waits until somebody reads, one
    // that reads `in` to its end waits for in().close(). communicate() does all at once. Sinks are served, and what
    // Writer::enqueue() took is written. On an empty handle the status is unknown, at once.

    /// Returns the status, or nullopt while the job runs (also while processes that the leader left behind still have
    /// `drain`). Does not block, except to end a job whose timeout has expired or whose token was fired.
    [[nodiscard]] std::optional<ExitStatus> poll();

    /// Waits until it is over.
    ExitStatus wait();
    /// With an end of its own it is wait_for().
    template <class T>
    ExitStatus wait(const T&) {
        static_assert(!std::is_same_v<T, T>, "leash: wait() has no end of its own: write wait_for(5s).");
        return {};
    }

    /// Waits at most `timeout`; nullopt if the job still runs. Zero or less does not wait.
    [[nodiscard]] std::optional<ExitStatus> wait_for(Timeout timeout);

    /// Waits until a point of any clock (a std::chrono::time_point); nullopt if the job still runs.
    template <class Point, class = typename Point::clock>
    [[nodiscard]] std::optional<ExitStatus> wait_until(const Point& point) {
        return wait_until_deadline(detail::Deadline::at(point));
    }

    // ---- signals, to the whole group (with Group::inherited to the leader alone), as long as the job is not over

    /// Sends it. An error (ESRCH), and no signal, once the job is over: its number may be a stranger's by then. So on an
    /// empty handle.
    Expected<void> send_signal(int number);
    /// The same to its leader alone (of a pipeline: of the first stage), as kill(2) has it: `send_signal(SIGHUP, leash::leader)`.
    /// An error, and no signal, once that has ended. SIGKILL too is only for that one then, and nothing that Popen::ended_by()
    /// tells of.
    Expected<void> send_signal(int number, Leader);

    /// SIGINT, as Ctrl-C at a terminal sends it, and SIGCONT so that one that is stopped gets it. Does not wait. (What a shell
    /// has started by `&` ignores it.)
    Expected<void> interrupt();

    /// SIGTERM, and SIGCONT so that one that is stopped gets it. Does not wait.
    Expected<void> terminate();

    /// Stops all of it where it is, by SIGSTOP to the group, and its clocks: of `timeout`, `grace`, `stop_sequence` and `drain` as
    /// much is left when it goes on, and `idle_timeout` counts anew then. A wait without a time of its own lasts until
    /// somebody resumes it. Nothing where it is suspended already.
    Expected<void> suspend();
    /// It goes on, by SIGCONT. So it does where it is ended (stop(), a cancel), and for terminate(), interrupt() and a
    /// SIGCONT by send_signal().
    Expected<void> resume();

    /// SIGKILL, also to the descendants that have left the group. Does not wait for the end; up to 50 ms until all of it is
    /// stopped, so that none of them starts another one meanwhile.
    Expected<void> kill();
    /// Another signal is for send_signal().
    template <class T>
    Expected<void> kill(const T&) {
        static_assert(!std::is_same_v<T, T>, "leash: kill() is SIGKILL: write send_signal(SIGINT) for another one.");
        return {};
    }

    /// Ends it in order: SIGTERM, up to `grace` for all of it to go, SIGKILL to what is left, reaped. That is the group and
    /// the descendants that have left it, as far as they can be found. Returns within grace + Options::drain, but for
    /// what the kernel takes to end a killed process (see Options::timeout); unknown() where it could not be ended (see
    /// ExitStatus). Where it is being ended already, the way that is over first counts.
    ExitStatus stop(Timeout grace);
    /// The same in the way of its options: Options::stop_sequence, or SIGTERM and Options::grace.
    ExitStatus stop();

    /// The size of its terminal, where a stream is `tty`; the child gets SIGWINCH. From any thread. EINVAL for
    /// what is not from 0 to 65535; ENOTTY where it has none, or the terminal has come to its end.
    Expected<void> resize(int rows, int columns) noexcept;

    // ---- everything at once

    /// Writes `input` and closes `in`; reads `out` and `err`, where they are piped, to their ends; waits. All at the
    /// same time, on this thread, so that no amount of data blocks either side.
    ///
    /// If `timeout` expires first, returns the output so far; the job continues. Call again: unwritten input is written
    /// first, and the output includes what earlier calls returned. An empty handle gives an empty one, without a status.
    [[nodiscard]] Captured communicate(std::string input = {}, Timeout timeout = {});

    /// Lets go: closes the pipes and returns the leader's pid. The job runs on, with no deadline, and is the caller's
    /// to reap: until it is waited for, or the host ends, it leaves a zombie when it ends.
    Pid detach() noexcept;

    /// A descriptor that becomes readable when the job's process has ended, for event loops; poll() then tells how. A
    /// pidfd (Linux 5.3) or a kqueue; the Popen's own. no_handle where none can be had: time_left() says when to look. Where poll()
    /// gives nothing then, somebody else is still there (another stage of a pipeline, one that the leader has left behind):
    /// ask again, it is that one's now.
    Handle exit_handle() noexcept;

    /// How long an event loop may wait for the handles before it has to call poll() all the same: a deadline will have come
    /// then (of the job, of what it has left behind, of a grace), or nobody but a look can tell. To be asked anew each time.
    /// No limit where there is none; zero where it is late, or over, or the handle is empty.
    Timeout time_left() const;

    // ---- what became of it. Of an empty handle: nothing

    /// How it ended, once a call has found it over: what that one gave, be it an unknown one. nullopt before, also where it
    /// has ended and nobody has looked: poll() looks.
    std::optional<ExitStatus> status() const noexcept;

    /// Why it was ended; EndedBy::itself as long as it was not.
    EndedBy ended_by() const noexcept;
    /// The job's own deadline had passed, or its idle timeout.
    bool timed_out() const noexcept { return ended_by() == EndedBy::timeout || ended_by() == EndedBy::idle_timeout; }
    /// Its Cancel token was fired, or Supervisor::cancel() called.
    bool cancelled() const noexcept { return ended_by() == EndedBy::cancel; }
    /// Whom its end reaches: what Options::reach said.
    Reach reach() const noexcept;
    /// The signal that has stopped it (SIGSTOP, SIGTSTP), as long as it is stopped, which ends nothing; 0 otherwise.
    int stopped() const noexcept;
    /// Who was still there at the end of the drain, and was killed then: see Options::stragglers.
    std::vector<Process> stragglers() const;
    /// Who was still alive at the end of the bound: another user's, or stuck in the kernel.
    std::vector<Process> survivors() const;
    /// How each stage of a pipeline ended, in order; one entry for a single command. Unknown for one that runs, and has not
    /// been seen to end; when the job is over all are as told as they will be.
    std::vector<ExitStatus> statuses() const;
    /// What it used (of a pipeline, the last stage); zero until it was seen to end.
    Usage usage() const noexcept;

  private:
    friend class detail::SupervisorCore;
    friend struct detail::AllRunner;
    friend struct detail::Prober;
    friend struct detail::Runner;

    /// `is_patient`: a program that is being written at the moment is waited for.
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

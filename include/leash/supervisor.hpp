// leash/supervisor.hpp - Supervisor: a set of running jobs, and the next event of any of them.
#ifndef LEASH_0_1_0_SUPERVISOR_HPP
#define LEASH_0_1_0_SUPERVISOR_HPP

#include <initializer_list>
#include <optional>

#include <cstddef>
#include <cstdint>

#include <leash/cancel.hpp>
#include <leash/command.hpp>
#include <leash/config.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/shared.hpp>
#include <leash/error.hpp>
#include <leash/fwd.hpp>
#include <leash/options.hpp>
#include <leash/popen.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {
class SupervisorCore;
}

/// A set of running jobs; next() returns the next event of any of them. The calling thread does the work. The cost of
/// an event does not grow with the number of jobs (epoll on Linux, kqueue on 64-bit macOS, FreeBSD, OpenBSD and
/// DragonFly; elsewhere one poll() over all). Only a token that is fired costs a look at all jobs. A Supervisor also waits for timers and for
/// your descriptors.
///
///     leash::Supervisor jobs;
///     for (const auto& host : hosts)
///         jobs.add(leash::Popen({"ping", "-c1", host}, {.out = leash::piped, .timeout = 5s})).value();
///     while (auto event = jobs.next()) {
///         if (event->kind == leash::Supervisor::Event::ended) use(jobs.remove(event->id).communicate());
///     }
///
/// next() reads the output of the jobs as it arrives, enforces their timeouts and calls their sinks. Output that you do
/// not take is kept in memory; Options::max_output bounds it. next() also writes what job(id).in().enqueue() accepted,
/// and the input that a communicate() had not written when the job was added. The destructor ends the jobs that are
/// still in the set.
///
/// Use a Supervisor, and the streams of its jobs, from one thread at a time. A sink must not call it.
///
/// After a fork(), the Supervisor in the child process cannot touch the jobs of the parent: there, they have ended with
/// an unknown status, and timers and watches are gone. You can add new jobs.
class Supervisor {
  public:
    /// Identifies a job of the set, a timer or a watch. Never 0, and never used twice.
    using Id = std::uint64_t;

    /// A number or a pointer of yours that each event of a job, timer or watch carries.
    struct Tag {
        /// A number.
        constexpr Tag(std::uintptr_t number = 0) noexcept : value(number) {}
        /// A pointer, for Event::tag_as().
        template <class T>
        Tag(T* pointer) noexcept : value(reinterpret_cast<std::uintptr_t>(pointer)) {}

        std::uintptr_t value;  ///< the number, or the pointer as a number
    };

    /// What happened, and to which job.
    struct Event {
        /// The kinds of events: first those of a job, in their order. A later version may add some: give a `switch` a
        /// `default`.
        enum class Kind {
            output,   ///< a piped stream has new output or reached end of file: read job(id).out(). Not for sinks.
            ending,   ///< leash began to end the job: timeout, cancel, or a stop by the terminal
            ended,    ///< the job is over: processes and streams. Its last event.
            timer,    ///< the time of an after() has come. Its only event.
            readable  ///< a descriptor of a watch() is readable or at end of file. Comes again as long as that is so.
        };
        /// Short names: `event->kind == leash::Supervisor::Event::ended`.
        /// @{
        static constexpr Kind output = Kind::output;
        static constexpr Kind ending = Kind::ending;
        static constexpr Kind ended = Kind::ended;
        static constexpr Kind timer = Kind::timer;
        static constexpr Kind readable = Kind::readable;
        /// @}

        Kind kind = Kind::output;  ///< what happened
        Id id = 0;                 ///< the job, timer or watch that it happened to
        std::uintptr_t tag = 0;    ///< the tag given to add(), after() or watch()

        /// Returns the tag as a pointer. The tag must have been a T*.
        template <class T>
        T* tag_as() const noexcept {
            return reinterpret_cast<T*>(tag);
        }
    };

    /// Creates an empty set. Costs one allocation.
    Supervisor();
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;
    /// Sends SIGKILL to all jobs, then waits for each of them as ~Popen() does.
    ~Supervisor();

    /// Moves a job into the set. Each of its events carries `tag`. Returns an Error if the job cannot be watched
    /// (EMFILE, ENOSPC, …), if it is an empty Popen (EINVAL), or if the set is full (EMFILE, after a million entries);
    /// then `job` is unchanged.
    Expected<Id> add(Popen&& job, Tag tag = {});
    /// Do not compile: a job is started first.
    /// @{
    // Compilers show the line:
    // clang-format off
    Expected<Id> add(std::initializer_list<Arg>, const Options& = {}) = delete;  // leash: a command is no job: write add(leash::Popen({"ls"}, options)).
    Expected<Id> add(const Command&, const Options& = {}) = delete;  // leash: a command is no job: write add(leash::Popen(command, options)).
    // clang-format on
    /// @}

    /// Returns the number of jobs in the set. Jobs that have ended count until you remove them.
    std::size_t size() const noexcept;
    /// Returns true if size() is 0.
    bool empty() const noexcept;

    /// Returns a job of the set, or nullptr if the set has no such job. Valid until the job is removed. You can read
    /// from the job, write to it, signal it and wait for it. To give a job up, call remove(id).detach().
    Popen* find(Id id) noexcept;
    /// Returns a job that is certainly in the set, such as the job of the event that next() just returned. Otherwise
    /// the behaviour is undefined: use find().
    Popen& job(Id id) noexcept { return *find(id); }

    /// Takes a job out of the set, running or ended, and returns it. Returns an empty Popen if the set has no such job.
    /// Drops the events of the job that next() has not returned yet. If you do not use the job: `(void)remove(id)`. (The
    /// compiler warns about `remove(id);`, because it would kill a job that still runs.)
    Popen remove(Id id);

    /// Waits for the next event, at most `timeout` (default: no limit), and returns it. Returns nullopt when the time
    /// is up. Returns nullopt at once if there is nothing to wait for: no job whose `ended` event is still to come, no
    /// timer and no watch. With a timeout of zero, does not block.
    ///
    /// A signal does not interrupt the wait (no EINTR). If a signal handler must wake it, let the handler call
    /// Cancel::fire() on a token given to cancel_with(), or write to a pipe that you watch(). Then no signal is missed.
    std::optional<Event> next(Timeout timeout = {});

    /// Returns true if next() has returned the `ended` event of every job and no timer is left. Watches do not count.
    /// Use it as the condition of a loop that has a watch (`while (!jobs.done())`), and to see why next() returned
    /// nullopt.
    bool done() const noexcept;

    /// Ends all jobs of the set as if the Cancel token of each had been fired: SIGTERM, `grace`, SIGKILL, or its
    /// `stop_sequence`. Does not wait: next() returns the events of each job.
    void cancel();

    /// Calls cancel() when `token` is fired, or at once if it was fired before. Then jobs that you add later are ended
    /// too. Firing the token wakes next(). Timers and watches stay. Replaces the token of an earlier call. Returns an
    /// Error (EMFILE, …) if the token cannot be watched; then the Supervisor has no token. After a fork(), the child
    /// process must call it again.
    Expected<void> cancel_with(const Cancel& token);

    // ---- timers and descriptors

    /// Creates a timer: next() returns one Event::timer when `delay` has passed. Use it to restart a job after a pause,
    /// for example. A delay of zero or less has passed at once. A delay without limit never passes, and next() keeps
    /// waiting for it. Needs no descriptor. Returns the id of the timer; returns 0, and creates no timer, if the set is
    /// full (a million entries).
    Id after(Timeout delay, Tag tag = {});

    /// Watches a descriptor of yours: a socket, a pipe that a signal handler writes to, the handle() of a Cancel.
    /// next() returns Event::readable as long as the descriptor is readable or at end of file. So read from it before
    /// you call next() again.
    ///
    /// The descriptor stays yours. leash watches a duplicate: call forget(id) before you close the descriptor. Also
    /// call it when a token has been fired, because the handle of the token stays readable. Returns an Error if the
    /// descriptor cannot be watched (EBADF; EPERM: a regular file, with epoll; EMFILE, …).
    Expected<Id> watch(Handle fd, Tag tag = {});

    /// Removes a timer or a watch. Returns false if there is none with this id, or if the timer's event was returned
    /// already, or if the id is that of a job.
    bool forget(Id id) noexcept;

    // ---- inside another event loop

    /// Returns a descriptor that becomes readable when there is something to do. Then call next(0s) until it returns
    /// nullopt, but limit the number of calls, because a job that writes all the time always has one more event. If
    /// events are left, time_left() is zero or the descriptor is still readable. The descriptor belongs to the
    /// Supervisor: do not close it.
    ///
    /// Returns no_handle before the first add(), watch() or cancel_with() (after a fork() again), and on platforms that
    /// have neither epoll nor kqueue.
    Handle handle() const noexcept;

    /// Returns the longest time that the loop may wait for handle(). After it, call next(0s), because a timer is due.
    /// No limit if there is none; zero if events are waiting, and after add(). As a plain number:
    /// `std::min<std::chrono::nanoseconds>(time_left().length(), 1h)`.
    Timeout time_left() const;

  private:
    detail::Shared<detail::SupervisorCore> core_;
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/supervisor.ipp>

#endif  // LEASH_0_1_0_SUPERVISOR_HPP

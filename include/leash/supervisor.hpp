// leash/supervisor.hpp - Supervisor: many running jobs, and the next thing that happens to one of them.
#ifndef LEASH_0_1_0_SUPERVISOR_HPP
#define LEASH_0_1_0_SUPERVISOR_HPP

#include <optional>

#include <cstddef>
#include <cstdint>

#include <leash/cancel.hpp>
#include <leash/config.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/shared.hpp>
#include <leash/error.hpp>
#include <leash/fwd.hpp>
#include <leash/popen.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {
class SupervisorCore;
}

/// Running jobs, from which the next event is taken: on the calling thread, with no other. What an event costs does not
/// grow with the number of jobs (epoll on Linux, kqueue on macOS and the BSDs; elsewhere one poll() over all), but that
/// a token's firing looks at all. Besides jobs it waits for timers, and for descriptors of yours.
///
///     leash::Supervisor jobs;
///     for (const auto& host : hosts)
///         jobs.add(leash::Popen({"ping", "-c1", host}, {.out = leash::piped, .timeout = 5s})).value();
///     while (auto event = jobs.next()) {
///         if (event->kind == leash::Supervisor::Event::ended) use(jobs.remove(event->id).communicate());
///     }
///
/// It reads what the jobs say as it comes, keeps their deadlines, and serves their sinks; Options::max_output bounds
/// what it keeps of what nobody takes. What job(id).in().enqueue() takes it writes as the job takes it, and what a
/// communicate() had left to write when the job was added. When it dies, the jobs that are still in it die. One thread at a
/// time, the streams of its jobs included; a sink must not call it. In a forked copy of the host it has other jobs: those
/// that came along have ended, their statuses unknown, and are nothing to the original's; new ones may be added. Timers
/// and watches have stayed with the original.
class Supervisor {
  public:
    /// A job in the set, a timer or a watch. No two have the same, not even one after the other; none is 0.
    using Id = std::uint64_t;

    /// What comes back with each event, for whatever the caller keeps about the job: a number, or a pointer.
    struct Tag {
        /// A number.
        constexpr Tag(std::uintptr_t number = 0) noexcept : value(number) {}
        /// A pointer, for Event::tag_as().
        template <class T>
        Tag(T* pointer) noexcept : value(reinterpret_cast<std::uintptr_t>(pointer)) {}

        std::uintptr_t value;  ///< either as a number
    };

    /// What happened, and to which job.
    struct Event {
        /// What can happen: to a job, in this order; then what is no job's. More may be added: let a `switch` have a
        /// `default`.
        enum class Kind {
            output,   ///< it said something, or a stream has ended: job(id).out().try_read() has it. Not for sinks.
            ending,   ///< a timeout has passed, it was cancelled, or stopped by the terminal: it is being ended
            ended,    ///< it is over: it has ended, its streams have too, and nobody is left. The last event of a job.
            timer,    ///< the time of an after() has come. Its only event.
            readable  ///< a descriptor of a watch() is readable, or has ended. Told again as long as it is.
        };
        /// For short: `event->kind == leash::Supervisor::Event::ended`.
        /// @{
        static constexpr Kind output = Kind::output;
        static constexpr Kind ending = Kind::ending;
        static constexpr Kind ended = Kind::ended;
        static constexpr Kind timer = Kind::timer;
        static constexpr Kind readable = Kind::readable;
        /// @}

        Kind kind = Kind::output;  ///< what
        Id id = 0;                 ///< to which job, or of which timer or watch
        std::uintptr_t tag = 0;    ///< what add(), after() or watch() was given

        /// The pointer that was given as a tag; only of one that was a pointer to such.
        template <class T>
        T* tag_as() const noexcept {
            return reinterpret_cast<T*>(tag);
        }
    };

    /// An empty one. Costs one allocation.
    Supervisor();
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;
    /// SIGKILL to all, and then each is waited for: see ~Popen().
    ~Supervisor();

    /// Takes a job into the set; `tag` is handed back with its events, for whatever the caller keeps about it. An error
    /// (EMFILE, ENOSPC, …; EINVAL for an empty handle; a million jobs are too many) where it cannot be watched: then
    /// `job` is as it was.
    Expected<Id> add(Popen&& job, Tag tag = {});

    /// How many jobs are in it, those included that have ended and were not removed.
    std::size_t size() const noexcept;
    /// Is there none?
    bool empty() const noexcept;

    /// A job of the set, to read from, write to, signal or ask; nullptr where it is not in it (any more). Valid until it is
    /// removed. It may be waited for directly too. To let go of one, say remove(id).detach().
    Popen* find(Id id) noexcept;
    /// The same of one that is in the set for certain, as that of an event is which has just been told.
    Popen& job(Id id) noexcept { return *find(id); }

    /// Takes a job out of the set, ended or not; an empty handle where it is not in it. Its further events are dropped.
    Popen remove(Id id);

    /// The next event; waits for it, at most so long. nullopt when the time is up, and at once when there is nothing to
    /// wait for: no job whose end has not been told, no timer and no watch. With zero it never waits.
    ///
    /// A signal handler that runs meanwhile does not end the wait (EINTR is not told). One that wants to be seen fires a
    /// token (Cancel::fire()) or writes to a pipe, and that is watched: so nothing is missed, whenever the signal comes.
    std::optional<Event> next(Timeout timeout = {});

    /// Will nothing happen any more, but at what is watched? Every job's end has been told, and there is no timer. Tells
    /// what next() meant that gave nothing, and when a loop is over that has a watch: `while (!jobs.done())`.
    bool done() const noexcept;

    /// Ends all jobs at once, as if each one's Cancel token had been fired: SIGTERM, its `grace`, SIGKILL, or its `stop_sequence`. Does not
    /// wait: next() tells of each.
    void cancel();

    /// The same when this token is fired, at once where it was; and so it will be for jobs that are added later. In the
    /// place of one that was given before. It wakes next(), which tells of each job; timers and watches stay. An error
    /// (EMFILE, …) where the token cannot be watched: then there is none. In a forked copy of the host it is to be given anew.
    Expected<void> cancel_with(const Cancel& token);

    // ---- what else a loop waits for

    /// Tells Event::timer once, when so long has passed: to start again what has ended, say, and later each time. At once
    /// with zero and less; never with no limit, which keeps next() waiting all the same. It costs no descriptor. Gives 0,
    /// and no event, where there are a million jobs, timers and watches already.
    Id after(Timeout delay, Tag tag = {});

    /// Tells Event::readable as long as the descriptor is readable, or has ended: a pipe that a signal handler writes to, a
    /// socket, the handle() of a Cancel. It stays the caller's, who reads from it before the next event. It is watched through
    /// a copy: say forget(id) before it is closed, and when a token has been fired, which its handle tells for ever. An error
    /// where it cannot be watched (EPERM: a file; EBADF; EMFILE, …).
    Expected<Id> watch(Handle fd, Tag tag = {});

    /// Takes back an after() that has not been told, or a watch(). False where it is not there any more, or a job.
    bool forget(Id id) noexcept;

    // ---- inside of a foreign event loop

    /// A descriptor that becomes readable when there is something to do: then call next(0s) until it gives nothing, but
    /// only so many times: a job that says something all the time always has one event more. For what is left, time_left() is
    /// zero, or this is readable still. It is the Supervisor's own. no_handle before the first add(), watch() or
    /// cancel_with(), in a forked copy of the host too, and on systems that have neither epoll nor kqueue.
    Handle handle() const noexcept;

    /// The longest time that the loop may wait for handle(). After it, call next(0s), because a timer is due. No limit if
    /// there is none; zero if events are waiting, and after add(). As a plain number:
    /// `std::min<std::chrono::nanoseconds>(time_left().length(), 1h)`.
    Timeout time_left() const;

  private:
    detail::Shared<detail::SupervisorCore> core_;
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/supervisor.ipp>

#endif  // LEASH_0_1_0_SUPERVISOR_HPP

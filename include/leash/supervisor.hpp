// leash/supervisor.hpp - Supervisor: many running jobs, and the next thing that happens to one of them.
#ifndef LEASH_0_1_0_SUPERVISOR_HPP
#define LEASH_0_1_0_SUPERVISOR_HPP

#include <optional>

#include <cstddef>
#include <cstdint>

#include <leash/config.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/shared.hpp>
#include <leash/error.hpp>
#include <leash/popen.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {
class SupervisorCore;
}

/// Running jobs, from which the next event is taken: on the calling thread, with no other. What an event costs does not
/// grow with the number of jobs (epoll on Linux; elsewhere one poll() over all), but that a token's firing looks at
/// all.
///
///     leash::Supervisor jobs;
///     for (const auto& host : hosts)
///         jobs.add(leash::Popen({"ping", "-c1", host}, {.out = leash::piped, .timeout = 5s})).value();
///     while (auto event = jobs.next()) {
///         if (event->kind == leash::Supervisor::Event::ended) use(jobs.remove(event->id).communicate());
///     }
///
/// It reads what the jobs say as it comes, keeps their deadlines, and serves their sinks; Options::max_output bounds
/// what it keeps of what nobody takes. What a communicate() had left to write when the job was added, it writes; anything
/// else is for job(id).in().try_write(), or Options::in. When it dies, the jobs that are still in it die. One thread at a
/// time, the streams of its jobs included; a sink must not call it. In a forked copy of the host it has other jobs: those
/// that came along have ended, their statuses unknown, and are nothing to the original's; new ones may be added.
class Supervisor {
  public:
    /// A job in the set. No two jobs have the same, not even one after the other.
    using Id = std::uint64_t;

    /// What happened, and to which job.
    struct Event {
        /// What can happen to a job, in the order in which it does.
        enum Kind {
            output,  ///< it said something, or a stream has ended: job(id).out().try_read() has it. Not for sinks.
            ending,  ///< a timeout has passed, it was cancelled, or stopped by the terminal: it is being ended
            ended    ///< it is over: it has ended, its streams have too, and nobody is left. The last event of a job.
        };
        Kind kind;          ///< what
        Id id;              ///< to which job
        std::uint64_t tag;  ///< what add() was given
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
    Expected<Id> add(Popen&& job, std::uint64_t tag = 0);

    /// How many jobs are in it, those included that have ended and were not removed.
    std::size_t size() const noexcept;
    /// Is there none?
    bool empty() const noexcept;
    /// Is it in the set still?
    bool contains(Id id) const noexcept;

    /// A job of the set, to read from, write to, signal or ask. It must be in the set; the reference is valid until
    /// it is removed. It may be waited for directly too. To let go of one, say remove(id).detach().
    Popen& job(Id id) noexcept;

    /// Takes a job out of the set, ended or not; an empty handle where it is not in it. Its further events are dropped.
    Popen remove(Id id);

    /// The next event; waits for it, at most so long. nullopt when the time is up, and at once when every job's end has
    /// been told: one that is empty is no clock to sleep by. With zero it never waits.
    std::optional<Event> next(Timeout timeout = {});

    /// Ends all jobs at once, as if each one's Cancel token had been fired: SIGTERM, its `grace`, SIGKILL, or its `stop_sequence`. Does not
    /// wait: next() tells of each.
    void cancel();

    // ---- inside of a foreign event loop

    /// A descriptor that becomes readable when there is something to do: then call next(0s) until it gives nothing. It
    /// is the Supervisor's own. -1 before the first add(), in a forked copy of the host too, and on systems other than
    /// Linux.
    int handle() const noexcept;

    /// How long the loop may wait for that handle before it has to call next(0s) all the same, since a deadline has
    /// come. No limit where there is none; zero where events wait already, and after add(). As a plain number:
    /// `std::min<std::chrono::nanoseconds>(time_left().length(), 1h)`.
    Timeout time_left() const;

  private:
    detail::Shared<detail::SupervisorCore> core_;
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/supervisor.ipp>

#endif  // LEASH_0_1_0_SUPERVISOR_HPP

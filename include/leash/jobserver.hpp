// leash/jobserver.hpp - HOW: the jobserver of GNU make, by which programs share out how much runs at a time.
#ifndef LEASH_0_1_0_JOBSERVER_HPP
#define LEASH_0_1_0_JOBSERVER_HPP

#include <leash/config.hpp>
#include <leash/detail/shared.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {
struct Tokens;
}

/// A pipe or a FIFO with a token in it for each job that may run besides those that do. `make -j8` makes one and names it in
/// MAKEFLAGS; whatever it starts takes a token before it does more than one thing at a time (make itself, cargo, ninja 1.13, g++
/// with -flto=jobserver), and puts it back. So all of them together run eight.
///
/// As Options::jobserver it is handed down to one job: without, a job has no descriptor of it, and a `make` there says that the
/// jobserver is unavailable, and goes on with -j1. As RunAllOptions::jobserver it also bounds how many tasks run.
///
///     leash::run({"make"}, {.jobserver = leash::Jobserver::inherited()}).check_ok();
///
/// Copies are the same one. What fails in the making, for want of descriptors say, is told when a job is started with it:
/// Step::options, "jobserver".
class Jobserver {
  public:
    /// None: as if it were not there.
    Jobserver() = default;

    /// The one of the `make` above this program, as MAKEFLAGS of the host's environment says it (--jobserver-auth=R,W or fifo:PATH;
    /// --jobserver-fds=R,W of a make before 4.2). None where there is no such word, or make has not handed the descriptors down,
    /// which it does for recipes that begin with `+` or say $(MAKE). The descriptors are duplicated; the host's stay.
    static Jobserver inherited();

    /// A new one, for so many at a time in all, 1 to 4096: a pipe with one token less, since who takes part may do one thing
    /// without any. It lasts as long as the copies of this object.
    static Jobserver serve(int jobs);

    /// Is there one?
    explicit operator bool() const noexcept { return static_cast<bool>(tokens_); }

  private:
    friend detail::Tokens* tokens_of(const Jobserver& jobserver) noexcept;
    detail::Shared<detail::Tokens> tokens_;
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/jobserver.ipp>

#endif  // LEASH_0_1_0_JOBSERVER_HPP

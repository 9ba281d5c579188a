// leash/jobserver.hpp - HOW: the jobserver of GNU make, which limits how many jobs run at the same time.
#ifndef LEASH_0_1_0_JOBSERVER_HPP
#define LEASH_0_1_0_JOBSERVER_HPP

#include <leash/config.hpp>
#include <leash/detail/shared.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {
struct Tokens;
}

/// A jobserver of GNU make: a pipe or a FIFO that contains tokens. `make -j8` creates one and names it in MAKEFLAGS. A
/// program that `make` starts takes a token before it runs a second job at the same time, and puts the token back
/// afterwards. make itself, cargo, ninja 1.13 and g++ with -flto=jobserver do so. Thus all of them together run eight
/// jobs.
///
/// Options::jobserver passes it to one job. Otherwise a job does not inherit it: a `make` in the job warns that the
/// jobserver is unavailable and uses -j1. RunAllOptions::jobserver also limits how many tasks run.
///
///     leash::run({"make"}, {.jobserver = leash::Jobserver::inherited()}).check_ok();
///
/// Copies are the same jobserver. If it could not be created (for example, because descriptors were short), the start
/// of a job with it returns the error: Step::options, subject "jobserver".
class Jobserver {
  public:
    /// Creates no jobserver: a job with it is started without one.
    Jobserver() = default;

    /// Returns the jobserver of the `make` that runs this program, as the host's variable MAKEFLAGS names it
    /// (--jobserver-auth=R,W or fifo:PATH; --jobserver-fds=R,W before make 4.2). Returns none if MAKEFLAGS names none,
    /// or if `make` did not pass the descriptors: it passes them only to recipe lines that begin with `+` or contain
    /// $(MAKE). Duplicates the descriptors; the originals stay open.
    static Jobserver inherited();

    /// Creates a jobserver for `jobs` jobs at the same time, 1 to 4096. Its pipe has one token less, because every
    /// program may run one job without a token. The pipe is closed when the last copy of the object is destroyed.
    static Jobserver serve(int jobs);

    /// Returns true if there is a jobserver.
    explicit operator bool() const noexcept { return static_cast<bool>(tokens_); }

  private:
    friend detail::Tokens* tokens_of(const Jobserver& jobserver) noexcept;
    detail::Shared<detail::Tokens> tokens_;
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/jobserver.ipp>

#endif  // LEASH_0_1_0_JOBSERVER_HPP

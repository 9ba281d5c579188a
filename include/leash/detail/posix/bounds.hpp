// leash/detail/posix/bounds.hpp - Options::umask, nice and limits: as actions, by name where they fail, as they are in force.
#ifndef LEASH_0_1_0_DETAIL_POSIX_BOUNDS_HPP
#define LEASH_0_1_0_DETAIL_POSIX_BOUNDS_HPP

#include <leash/config.hpp>

#include <cerrno>
#include <cstdint>

#include <leash/detail/plan.hpp>
#include <leash/detail/posix/actions.hpp>
#include <leash/detail/posix/sys/processes.hpp>
#include <leash/error.hpp>
#include <leash/options.hpp>

// Which system has what (these macros end with this file): RLIMIT_AS not OpenBSD, RLIMIT_NPROC not illumos. There a number
// that is none stands for it.
#if defined(RLIMIT_AS)
#define LEASH_RLIMIT_AS RLIMIT_AS
#else
#define LEASH_RLIMIT_AS (-1)
#endif
#if defined(RLIMIT_NPROC)
#define LEASH_RLIMIT_NPROC RLIMIT_NPROC
#else
#define LEASH_RLIMIT_NPROC (-2)
#endif

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

/// What there is a limit for: its number, its option, its letter for a shell's ulimit, in which unit.
struct Resource {
    int number;
    const char* option;
    char letter;
    std::uint64_t unit;

    static Resource of(int number) noexcept {
        static constexpr Resource all[] = {
            {LEASH_RLIMIT_AS, "limits.address_space", 'v', 1024}, {RLIMIT_CPU, "limits.cpu_time", 't', 1},
            {RLIMIT_FSIZE, "limits.file_size", 'f', 512},         {RLIMIT_NOFILE, "limits.open_files", 'n', 1},
            {LEASH_RLIMIT_NPROC, "limits.processes", 'u', 1},     {RLIMIT_CORE, "limits.core_size", 'c', 512}};
        const Resource* one = all;
        while (one->number != number) ++one;
        return *one;
    }
};

/// The last ones of the list: a limit of descriptors would keep the others from their numbers.
[[gnu::cold]] inline void describe(const Bounds& bounds, Actions& actions) {
    const auto act = [&](Action::Kind kind, int flags) { actions.add({kind}).flags = flags; };
    if (bounds.umask >= 0) act(Action::Kind::mask, bounds.umask);
    if (bounds.nice != 0) act(Action::Kind::be_nice, sys::nice_of(0) + bounds.nice);
    const auto limit = [&](int resource, std::uint64_t soft, std::uint64_t hard) {
        if (soft == Limits::inherited) return;
        Action& action = actions.add({Action::Kind::limit, resource});
        action.values[0] = soft;
        action.values[1] = hard;
    };
    const Limits& limits = bounds.limits;
    if (!limits.cpu_time.is_none()) {
        const auto seconds = static_cast<std::uint64_t>((limits.cpu_time.length().count() - 1) / 1'000'000'000 + 1);
        // SIGXCPU comes at the soft one, where that is not the hard one.
        const std::uint64_t most = sys::limit_of(0, RLIMIT_CPU, true);
        limit(RLIMIT_CPU, seconds, seconds < most ? seconds + 1 : seconds);
    }
    limit(LEASH_RLIMIT_AS, limits.address_space, limits.address_space);
    limit(RLIMIT_FSIZE, limits.file_size, limits.file_size);
    limit(RLIMIT_NOFILE, limits.open_files, limits.open_files);
    limit(LEASH_RLIMIT_NPROC, limits.processes, limits.processes);
    limit(RLIMIT_CORE, limits.core_size, limits.core_size);
}

/// Those of a process, as they are in force.
[[gnu::cold]] inline Limits limits_of(Pid pid) noexcept {
    Limits limits;
    limits.address_space = sys::limit_of(pid, LEASH_RLIMIT_AS);
    const std::uint64_t seconds = sys::limit_of(pid, RLIMIT_CPU);
    if (seconds != Limits::inherited) limits.cpu_time = Duration::seconds(static_cast<std::int64_t>(seconds));
    limits.file_size = sys::limit_of(pid, RLIMIT_FSIZE);
    limits.open_files = sys::limit_of(pid, RLIMIT_NOFILE);
    limits.processes = sys::limit_of(pid, LEASH_RLIMIT_NPROC);
    limits.core_size = sys::limit_of(pid, RLIMIT_CORE);
    return limits;
}

/// Why such an action could not be carried out.
[[gnu::cold]] inline Error explain_bound(const Action& action, int error) {
    const auto fail = [&](const char* option, const char* refused) {
        const bool is_refused = error == EPERM || error == EACCES;
        return make_error(error, Step::options, option,
                          error == ENOSYS ? "this system, or the shell that starts the job here, cannot set it"
                          : is_refused    ? refused
                                          : "");
    };
    if (action.kind == Action::Kind::mask) return fail("umask", "");
    if (action.kind == Action::Kind::be_nice) return fail("nice", "less than zero needs privileges");
    return fail(Resource::of(action.from).option, "above the host's hard limit");
}

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#undef LEASH_RLIMIT_AS
#undef LEASH_RLIMIT_NPROC

#endif  // LEASH_0_1_0_DETAIL_POSIX_BOUNDS_HPP

// leash/detail/posix/start.hpp - Actions -> a process, by whichever way there is here.
#ifndef LEASH_0_1_0_DETAIL_POSIX_START_HPP
#define LEASH_0_1_0_DETAIL_POSIX_START_HPP

#include <leash/config.hpp>

#include <cerrno>

#include <leash/deadline.hpp>
#include <leash/detail/posix/actions.hpp>
#include <leash/detail/posix/direct_start.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/launcher.hpp>
#include <leash/detail/posix/posix_start.hpp>

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

/// By posix_spawn; what that cannot do, a shell does. Where the direct start is built in, only a sandbox or an emulator leads
/// here, and no program has the code for the shell: such an action is refused then.
[[gnu::cold]] inline Birth start_otherwise(const Image& image, const Actions& actions,
                                           [[maybe_unused]] Deadline deadline) {
    for (std::size_t i = 0; i < actions.list.size(); ++i) {
        if (!Launcher::is_for(actions.list[i])) continue;
        if constexpr (has_direct_start) return Birth::failure(ENOSYS, Birth::Step::action, i);
        else return Launcher::start(image, actions, deadline);
    }
    return start_by_posix_spawn(image, actions);
}

/// Starts it anew while somebody has the program open for writing. A fork elsewhere in the host can hold one open that was just
/// written, for as long as it takes to exec (ETXTBSY): worth a few tries, 1 + 2 + 4 + … + 64 ms. run_all() has them itself,
/// and others to look after meanwhile.
template <class Start>
[[gnu::cold]] Birth while_busy(Deadline deadline, bool is_patient, Start start) {
    for (int pause = 1;; pause *= 2) {
        Birth birth = start();
        if (birth.error != ETXTBSY || pause == 128 || !is_patient || deadline.passed()) return birth;
        sleep_until(sooner(deadline, Deadline::after(Duration::milliseconds(pause))));
    }
}

/// Starts one program.
inline Birth start_one(const Image& image, const Actions& actions, Deadline deadline, bool is_patient = true) {
    return while_busy(deadline, is_patient, [&] {
        Birth birth;
        if (!start_directly(image, actions, birth)) birth = start_otherwise(image, actions, deadline);
        return birth;
    });
}

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#endif  // LEASH_0_1_0_DETAIL_POSIX_START_HPP

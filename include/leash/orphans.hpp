// leash/orphans.hpp - reap_orphans(): for hosts that adopt orphans, such as pid 1 of a container.
#ifndef LEASH_0_1_0_ORPHANS_HPP
#define LEASH_0_1_0_ORPHANS_HPP

#include <cstddef>

#include <leash/config.hpp>
#include <leash/error.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// Reaps the children of this process that have ended and that nobody claims. Returns their number. For a host that
/// adopts orphans of other programs: pid 1 of a container, or a subreaper (PR_SET_CHILD_SUBREAPER). leash never calls
/// it: call it after a SIGCHLD, or regularly. It does not block. If no child has ended, it costs one system call.
///
/// A child is claimed if this process has a pidfd open for it. leash has one for each process of a job, from the start
/// until it reaps the process, and for the guardian of `die_with_parent`. Other code that uses pidfds claims its
/// children in the same way.
///
/// So it also reaps jobs that Popen::detach() gave up, and children of code that waits by process ID (system(),
/// popen(), your own fork()). Do not call it while such code waits.
///
/// Two kinds of job processes are not claimed: those that were started when the host had no descriptor left for a
/// pidfd, and those that posix_spawn (see *Platforms*) started in another thread at this moment. If reap_orphans()
/// reaps one, its status may be unknown.
///
/// Linux 5.3 or later, with the /proc of the host's own PID namespace; elsewhere returns an Error
/// (operation_not_supported). Also returns an Error if the host is out of descriptors.
Expected<std::size_t> reap_orphans();

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/orphans.ipp>

#endif  // LEASH_0_1_0_ORPHANS_HPP

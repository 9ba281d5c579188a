// leash/orphans.hpp - reap_orphans(): for hosts to which orphans come, as pid 1 of a container.
#ifndef LEASH_0_1_0_ORPHANS_HPP
#define LEASH_0_1_0_ORPHANS_HPP

#include <cstddef>

#include <leash/config.hpp>
#include <leash/error.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// Reaps the children of this process that have ended and that nobody claims, and tells how many. For a host to which the orphans of
/// others come: pid 1 of a container, or a subreaper (PR_SET_CHILD_SUBREAPER). Nothing calls it but you: after a SIGCHLD, or now
/// and then. It never waits, and costs one system call where no child has ended.
///
/// Claimed is a child for which this process has a pidfd open: every job of leash has one for each of its processes, from its birth
/// until it is reaped, and so has a guardian of `die_with_parent`; others that use pidfds claim theirs in the same way. There is no
/// list of jobs anywhere. So these are reaped too: what Popen::detach() let go, and the children of whoever waits by numbers
/// (system(), popen(), a fork() of yours): do not call it while such a wait is under way.
///
/// Not claimed, although it is one of a job, is a process that was started when the host had no descriptor left for its pidfd, or by
/// posix_spawn (see *Platforms*) in another thread a moment ago: its status may be told as unknown then, and as nothing wrong.
///
/// Linux 5.3, with the /proc of the host's own process namespace; elsewhere an Error, ENOSYS or operation_not_supported, and where
/// the host is out of descriptors.
Expected<std::size_t> reap_orphans();

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/orphans.ipp>

#endif  // LEASH_0_1_0_ORPHANS_HPP

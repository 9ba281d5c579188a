// leash/detached.hpp - spawn_detached(): a program that is started and let go, with no zombie.
#ifndef LEASH_0_1_0_DETACHED_HPP
#define LEASH_0_1_0_DETACHED_HPP

#include <leash/command.hpp>
#include <leash/config.hpp>
#include <leash/error.hpp>
#include <leash/options.hpp>
#include <leash/popen.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// Starts a program that lives on whatever becomes of the host, in a session of its own, and gives its process id, for people and
/// logs: it is nobody's child that the host knows. It leaves no zombie in the host, whatever that does about its children, and
/// no status; there is nothing to wait for, and no SIGCHLD. (It is the child of one that has ended by then, so that the system's
/// init has it; or the host, where that is pid 1 or has made itself a subreaper: see reap_orphans().) What it has is what a job
/// with these options has. `out` and `err` are inherited by default, as always: a daemon's want a file, or null.
///
/// An Error where it cannot be started, as for a job, and where an option takes somebody who waits, reads or signals, by its
/// name: streams that are piped, tty or a sink, `timeout`, `idle_timeout`, `grace`, `stop_sequence`, `drain`, `cancel`,
/// `max_output`, `keep`, `all`, `reach`, `stragglers`, `die_with_parent`, and a `group` other than `session` (and `own`, the
/// default, which means that here).
///
/// Linux on x86-64 and arm64, where the direct start is (see *Platforms*); elsewhere ENOSYS: there, Popen::detach() leaves a zombie
/// to be reaped.
Expected<Pid> try_spawn_detached(Command command, Options options = {});

#if LEASH_EXCEPTIONS

/// try_spawn_detached() that throws SpawnError.
Pid spawn_detached(Command command, Options options = {});

#endif  // LEASH_EXCEPTIONS

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/detached.ipp>

#endif  // LEASH_0_1_0_DETACHED_HPP

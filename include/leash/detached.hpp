// leash/detached.hpp - spawn_detached(): starts a program that outlives the host, and leaves no zombie.
#ifndef LEASH_0_1_0_DETACHED_HPP
#define LEASH_0_1_0_DETACHED_HPP

#include <leash/command.hpp>
#include <leash/config.hpp>
#include <leash/error.hpp>
#include <leash/options.hpp>
#include <leash/popen.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// Starts a program in a new session, so that it continues when the host ends. Returns its process ID, for people and
/// logs.
///
/// The program is not a child of the host: its parent has already ended, so pid 1 or a subreaper adopts it. The host
/// gets no SIGCHLD, no zombie and no exit status, and need not wait. (Only if the host itself is pid 1 or a subreaper
/// does it get the program as a child: see reap_orphans().)
///
/// The program inherits what a job with these options inherits. `out` and `err` are inherited by default; for a daemon,
/// use a file or null.
///
/// Returns an Error if the program cannot be started, or if an option needs a waiting parent: streams that are piped,
/// tty, per_stage, a source() or a sink, `timeout`, `idle_timeout`, `grace`, `stop_sequence`, `drain`, `cancel`,
/// `max_output`, `keep`, `all`, `reach`, `stragglers`, `die_with_parent`. `group` must be `own` (the default) or
/// `session`, which are the same here.
///
/// Linux on x86-64 and arm64, if the direct start is available (see *Platforms*); elsewhere ENOSYS. There, use
/// Popen::detach(), after which the host must reap the child.
Expected<Pid> try_spawn_detached(Command command, Options options = {});

#if LEASH_EXCEPTIONS

/// Does the same as try_spawn_detached(), but throws SpawnError instead of returning an Error.
Pid spawn_detached(Command command, Options options = {});

#endif  // LEASH_EXCEPTIONS

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/detached.ipp>

#endif  // LEASH_0_1_0_DETACHED_HPP

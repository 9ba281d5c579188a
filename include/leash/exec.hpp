// leash/exec.hpp - exec(): replaces the host by a program, instead of starting a child.
#ifndef LEASH_0_1_0_EXEC_HPP
#define LEASH_0_1_0_EXEC_HPP

#include <leash/command.hpp>
#include <leash/config.hpp>
#include <leash/error.hpp>
#include <leash/options.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// Replaces the calling process by a program, as execve(2) does: the program keeps the process ID, the parent and the
/// terminal. For wrappers and init programs. Returns only if that fails, with the Error.
///
/// The program gets what a job with these options gets: streams, directory, environment, umask, nice value and limits.
/// It has no descriptors except 0, 1, 2 and `pass_fds`, and no blocked signals. It ignores only SIGHUP, SIGINT and
/// SIGQUIT, and each only if the host ignored it. Without options, the three streams are inherited. If you give
/// options, the default of `in` is null.
///
/// Flush your own buffers, such as that of `stdout`, before the call. fcntl() locks and SEM_UNDO adjustments of the
/// host end, because a separate thread does the exec; flock() locks stay.
///
/// With Group::own, inherited or foreground, the program stays in the process group of the host. `session` creates a
/// session; the error is EPERM if the host leads its process group. `join()` moves the program to that group. Options
/// that need a waiting parent are an error: streams that are piped, tty, per_stage, a source() or a sink, `timeout`,
/// `idle_timeout`, `grace`, `stop_sequence`, `drain`, `cancel`, `max_output`, `keep`, `all`, `reach`, `stragglers`,
/// `die_with_parent`.
///
/// After an error, all threads continue, and the descriptors, directory, umask, nice value, signals, limits and process
/// group of the host are as before. But a file for `out` or `err` may have been created or emptied, a new session
/// stays, and so does, without privileges, a hard limit that was lowered. A signal that arrives just before the failed
/// exec meets the default action instead of your handler, and a pending SIGCHLD is lost.
///
/// Linux on x86-64 and arm64, if the direct start is available (see *Platforms*); elsewhere ENOSYS.
[[nodiscard]] Error exec(Command command, Options options = Options::interactive());

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/exec.ipp>

#endif  // LEASH_0_1_0_EXEC_HPP

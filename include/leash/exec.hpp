// leash/exec.hpp - exec(): become the program, instead of starting it.
#ifndef LEASH_0_1_0_EXEC_HPP
#define LEASH_0_1_0_EXEC_HPP

#include <leash/command.hpp>
#include <leash/config.hpp>
#include <leash/error.hpp>
#include <leash/options.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// Becomes the program, as execve(2) does: it has this process's number, its parent and its terminal, and nothing of the host goes
/// on. For wrappers and inits. The plan is that of a job, and so is what the program finds: the streams, directory, environment,
/// umask, nice value and limits that the options say, no descriptor but 0, 1, 2 and `pass_fds`, no signal blocked, and none
/// ignored but HUP, INT and QUIT where they were. Without options the three streams are inherited; with options `in` is null as
/// long as they do not say otherwise.
///
/// Group::own, inherited and foreground are all the same here: it stays in the group that it is in. `session` makes one, EPERM
/// where the host leads its group; `join()` moves it. What takes somebody who waits, reads or signals is an error by its name:
/// streams that are piped, tty or a sink, `timeout`, `idle_timeout`, `grace`, `stop_sequence`, `drain`, `cancel`, `max_output`,
/// `keep`, `all`, `reach`, `stragglers`, `die_with_parent`.
///
/// It comes back only where that fails, with the Error. Then all threads go on, and the host's descriptors, directory, umask,
/// nice value, signals, limits and group are as they were. But what was opened as `out` or `err` has been created or emptied; a
/// session is for good; and without privileges so is a hard limit that was lowered. (A signal that comes between the last step
/// and the exec that fails finds no handler; a SIGCHLD that was pending is gone.) What the host has buffered itself, in `stdout`
/// say, it has to flush before. As a thread of its own does the exec, the host's fcntl() locks and SEM_UNDO end with it; flock() stays.
///
/// Linux on x86-64 and arm64, where the direct start is (see *Platforms*); elsewhere ENOSYS.
[[nodiscard]] Error exec(Command command, Options options = Options::interactive());

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/exec.ipp>

#endif  // LEASH_0_1_0_EXEC_HPP

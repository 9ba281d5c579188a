// leash/which.hpp - which(): finds the file of a program.
#ifndef LEASH_0_1_0_WHICH_HPP
#define LEASH_0_1_0_WHICH_HPP

#include <optional>
#include <string>

#include <leash/config.hpp>
#include <leash/options.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// Returns the file that a job with this environment would execute, as an absolute path. Does not resolve symbolic
/// links. Returns nullopt if there is no such file, or the host may not execute it (access(2)).
///
/// Searches for a name without a slash in PATH of `env`, by default that of the host; without PATH, in "/bin:/usr/bin".
/// An empty entry of PATH means the working directory, as in POSIX; otherwise the working directory is not searched. A
/// name with a slash is a path, relative to the working directory of the host.
std::optional<std::string> which(const std::string& name, const Env& env = Env::inherited());

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/which.ipp>

#endif  // LEASH_0_1_0_WHICH_HPP

// leash/which.hpp - which file a program's name means.
#ifndef LEASH_0_1_0_WHICH_HPP
#define LEASH_0_1_0_WHICH_HPP

#include <optional>
#include <string>

#include <leash/config.hpp>
#include <leash/options.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// The file that a job with this environment, and the host's directory, would be started from: an absolute path, not resolved
/// further. Nothing where there is none that this host may execute (by access(2)).
///
/// A name without a slash is looked up in that environment's PATH, the host's own by default; in "/bin:/usr/bin" where it has
/// none. An empty member of PATH means the host's directory, as POSIX has it and as the start takes it; the directory is never
/// looked into otherwise. A name with a slash is that file.
std::optional<std::string> which(const std::string& name, const Env& env = Env::inherited());

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/which.ipp>

#endif  // LEASH_0_1_0_WHICH_HPP

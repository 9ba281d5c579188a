// leash/probe.hpp - probe(): what a program would have that is started with these options.
#ifndef LEASH_0_1_0_PROBE_HPP
#define LEASH_0_1_0_PROBE_HPP

#include <string>
#include <vector>

#include <leash/config.hpp>
#include <leash/error.hpp>
#include <leash/options.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// What a program has at its first instruction, as Linux tells it.
struct Probe {
    /// An open descriptor.
    struct Descriptor {
        int number = -1;  ///< in the child

        /// A path ("/dev/null"), or what else the kernel calls it ("pipe:[4026]", "anon_inode:[eventpoll]"); a socket by its
        /// addresses: "tcp 127.0.0.1:80, listening", "udp 0.0.0.0:53", "tcp 10.0.0.1:4711 to 10.0.0.2:80",
        /// "unix /run/x.sock, listening"; "socket:[4026]" where they are not to be had.
        std::string what;
    };

    std::vector<Descriptor> descriptors;  ///< by number
    std::vector<int> ignored_signals;  ///< by number; where glibc's posix_spawn starts it, 32 and 33 are: its own two
    std::vector<int> blocked_signals;  ///< by number
    std::vector<std::string> environment;  ///< the names, in their order; no values, which may be secret
    std::string cwd;                       ///< a whole path
    int umask = -1;                        ///< -1 before Linux 4.7
    int nice = 0;                          ///< the value itself, not what was added
    Limits limits;  ///< those in force (the soft ones); Limits::inherited and none(): without a limit
};

/// Starts a process in the very way in which a job with these options is started, looks at it before it does anything, and
/// ends it. For a host's tests ("my listening socket is nobody's") and for its self-check at its start. The process is a
/// /bin/sh that stops itself; `executable` does not count, nor does `timeout`: it takes a few milliseconds, and ten seconds at
/// the most. Files are opened, and emptied, as for the job.
///
/// An Error where such a job cannot be started, where it ends at once (a limit that leaves no room even for that), and
/// where there is no Linux or no /proc (operation_not_supported).
Expected<Probe> try_probe(Options options = {});

#if LEASH_EXCEPTIONS

/// try_probe() that throws SpawnError.
Probe probe(Options options = {});

#endif  // LEASH_EXCEPTIONS

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/probe.ipp>

#endif  // LEASH_0_1_0_PROBE_HPP

// leash/probe.hpp - probe(): shows what a program inherits if it is started with these options.
#ifndef LEASH_0_1_0_PROBE_HPP
#define LEASH_0_1_0_PROBE_HPP

#include <string>
#include <vector>

#include <leash/config.hpp>
#include <leash/error.hpp>
#include <leash/options.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// What a program inherits, as the kernel shows it (Linux).
struct Probe {
    /// An open descriptor of the child.
    struct Descriptor {
        int number = -1;  ///< its number in the child

        /// What is open: a path ("/dev/null"), the kernel's name ("pipe:[4026]", "anon_inode:[eventpoll]"), or the
        /// addresses of a socket: "tcp 127.0.0.1:80, listening", "udp 0.0.0.0:53", "tcp 10.0.0.1:4711 to 10.0.0.2:80",
        /// "unix /run/x.sock, listening"; "socket:[4026]" if the addresses are unknown.
        std::string what;
    };

    std::vector<Descriptor> descriptors;  ///< the open descriptors, sorted by number
    std::vector<int> ignored_signals;     ///< signal numbers; with glibc's posix_spawn also 32 and 33, which glibc uses
    std::vector<int> blocked_signals;     ///< signal numbers
    std::vector<std::string> environment;  ///< names of the variables, in their order; no values, which may be secret
    std::string cwd;                       ///< the working directory, an absolute path
    int umask = -1;                        ///< the file mode creation mask; -1 before Linux 4.7
    int nice = 0;                          ///< the nice value itself, not the increment
    Limits limits;  ///< the soft limits; Limits::inherited, or none() for cpu_time, means unlimited
};

/// Starts a process as a job with these options is started, reads from /proc what it inherited, and kills it. Use it in
/// tests ("no child has my listening socket") or when your program starts.
///
/// The process is a /bin/sh that stops itself, so `executable` and `timeout` are ignored. Blocks for a few
/// milliseconds, at most ten seconds. Files for `out` and `err` are created or emptied, as for the job.
///
/// Returns an Error if the process cannot be started, or if it ends before leash has looked (for example, because a
/// limit is too low for a shell). On platforms other than Linux, or without /proc, the error is
/// operation_not_supported.
Expected<Probe> try_probe(Options options = {});

#if LEASH_EXCEPTIONS

/// Does the same as try_probe(), but throws SpawnError instead of returning an Error.
Probe probe(Options options = {});

#endif  // LEASH_EXCEPTIONS

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/probe.ipp>

#endif  // LEASH_0_1_0_PROBE_HPP

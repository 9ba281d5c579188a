// leash/impl/orphans.ipp - the bodies of <leash/orphans.hpp>.
#ifndef LEASH_0_1_0_IMPL_ORPHANS_IPP
#define LEASH_0_1_0_IMPL_ORPHANS_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <system_error>
#include <utility>

#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include <leash/deadline.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/inventory.hpp>
#include <leash/detail/posix/processes.hpp>
#include <leash/detail/posix/sys/processes.hpp>
#include <leash/detail/text.hpp>
#include <leash/orphans.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {

struct OrphanReaper {
    os::Notes<os::Seen> ended;
    os::Notes<os::Pid> claimed;

    static Error not_supported() {
        return make_error(std::errc::operation_not_supported, Step::signal, "reap_orphans",
                          "needs Linux 5.3, with the /proc of the host's own PID namespace");
    }
    static Error refused() { return errno == ENOSYS ? not_supported() : os::last_error(Step::signal, "reap_orphans"); }

    Expected<void> find_ended() {
        os::ProcessTable table;
        if (!sys::has_pidfd || !os::shows_processes()) return not_supported();
        if (!table.read(Deadline::now())) return refused();
        for (const os::Seen& one : table) {
            if (one.parent != sys::getpid() || one.is_alive()) continue;
            if (!ended.add(one)) return refused();
        }
        return {};
    }

    /// After that: who was claimed when it was found is so still, or has been reaped.
    Expected<void> find_claims() {
        os::Directory directory("/proc/thread-self/fd");  // the list of the process is its first thread's
        if (!directory.is_open()) return refused();
        while (const char* const name = directory.next()) {
            if (*name == '.') continue;
            const std::string link = os::read_link(concat({"/proc/thread-self/fd/", name}));
            std::string info;
            // A link that cannot be read may be a pidfd's.
            if (!link.empty() && link.find("pidfd") == std::string::npos) continue;
            if (!os::read_whole(concat({"/proc/thread-self/fdinfo/", name}), info)) {
                if (errno == ENOENT) continue;  // closed meanwhile
                return refused();
            }
            const os::Pid pid = std::atoi(std::string(os::field_of(info, "Pid")).c_str());
            if (!claimed.add(pid)) return refused();
        }
        return {};
    }

    bool is_claimed(os::Pid pid) const noexcept {
        for (const os::Pid one : claimed) {
            if (one == pid) return true;
        }
        return false;
    }

    Expected<std::size_t> run() {
        if (auto found = find_ended(); !found) return found.error();
        if (ended.size() == 0) return std::size_t{0};
        if (auto found = find_claims(); !found) return found.error();
        std::size_t count = 0;
        for (const os::Seen& one : ended) {
            if (is_claimed(one.pid)) continue;
            // Not before: a call in another thread takes it for a claim.
            const os::Fd handle(sys::open_exit(one.pid));
            if (!handle.is_open() && errno != ESRCH) return refused();
            os::Seen now{};
            if (!handle.is_open() || !os::look_at_process(one.pid, now) || now.start != one.start) continue;
            siginfo_t info{};
            rusage used{};
            if (sys::reap(one.pid, handle.get(), &info, &used) > 0) ++count;
        }
        return count;
    }
};

}  // namespace detail

LEASH_INLINE Expected<std::size_t> reap_orphans() {
    if (!detail::sys::has_ended_child()) return std::size_t{0};
    return detail::OrphanReaper{}.run();
}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_ORPHANS_IPP

// leash/impl/probe.ipp - the bodies of <leash/probe.hpp>.
#ifndef LEASH_0_1_0_IMPL_PROBE_IPP
#define LEASH_0_1_0_IMPL_PROBE_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <cerrno>
#include <cstdlib>

#include <leash/command.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/posix/bounds.hpp>
#include <leash/detail/posix/exit_watch.hpp>
#include <leash/detail/posix/inventory.hpp>
#include <leash/detail/posix/processes.hpp>
#include <leash/detail/posix/sys/processes.hpp>
#include <leash/detail/pump.hpp>
#include <leash/popen.hpp>
#include <leash/probe.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {

struct Prober {
    /// Waits until it has stopped. The stop is taken, so that no call which drives a job of the foreground follows it.
    static Expected<void> wait_for_stop(Popen& job) {
        os::Job& child = job.pump_->job;
        const Deadline limit = Deadline::after(Duration::seconds(10));
        os::Backoff pause;
        os::Seen seen{};
        while (child.take_stop() == 0) {
            if (child.has_ended()) return ended();
            // Another thread of the host may take stops as well. Or it has just stopped.
            if (os::look_at_process(child.pid(), seen) && seen.is_stopped) {
                child.take_stop();
                break;
            }
            if (limit.passed()) return failure(std::errc::timed_out, Step::spawn, "/bin/sh");
            os::sleep_until(pause.next());
        }
        return {};
    }

    static Error ended() {
        return make_error(std::errc::no_child_process, Step::spawn, "/bin/sh",
                          "the probe ended before leash could look at it");
    }

    static Expected<Probe> look(Popen& job) {
        const Pid pid = job.pid();
        Probe seen;
        std::string status, environment;
        if (!os::read_whole(os::path_in_proc(pid, "status"), status) ||
            !os::read_whole(os::path_in_proc(pid, "environ"), environment))
            return os::last_error(Step::options, "probe");
        seen.ignored_signals = os::read_signals(os::field_of(status, "SigIgn"));
        seen.blocked_signals = os::read_signals(os::field_of(status, "SigBlk"));
        const std::string mask(os::field_of(status, "Umask"));
        if (!mask.empty()) seen.umask = static_cast<int>(std::strtol(mask.c_str(), nullptr, 8));
        for (std::size_t at = 0; at < environment.size();) {
            const std::string entry = environment.c_str() + at;
            seen.environment.push_back(entry.substr(0, entry.find('=', 1)));
            at += entry.size() + 1;
        }
        seen.cwd = os::read_link(os::path_in_proc(pid, "cwd"));
        seen.nice = sys::nice_of(pid);
        seen.limits = os::limits_of(pid);
        const std::string folder = os::path_in_proc(pid, "fd");
        os::Directory directory(folder.c_str());
        if (!directory.is_open()) return os::last_error(Step::options, "probe");
        while (const char* const number = directory.next()) {
            if (*number == '.') continue;
            const std::string link = os::read_link(concat({folder, "/", number}));
            seen.descriptors.push_back({std::atoi(number), os::describe_descriptor(pid, link)});
        }
        for (std::size_t i = 1; i < seen.descriptors.size(); ++i) {  // the kernel has them in order: it costs nothing
            for (std::size_t k = i; k > 0 && seen.descriptors[k].number < seen.descriptors[k - 1].number; --k)
                std::swap(seen.descriptors[k], seen.descriptors[k - 1]);
        }
        if (job.pump_->job.has_ended()) return ended();  // somebody has killed it meanwhile
        return seen;
    }
};

}  // namespace detail

LEASH_INLINE Expected<Probe> try_probe(Options options) {
    if (!detail::sys::shows_inventory || !detail::os::shows_processes())
        return detail::make_error(std::errc::operation_not_supported, Step::options, "probe",
                                  "needs Linux, with the /proc of the host's own PID namespace");
    options.executable.clear();
    options.timeout = Timeout::none();
    auto job = Popen::try_spawn(shell("kill -STOP $$"), std::move(options));
    if (!job) return job.error();
    auto stopped = detail::Prober::wait_for_stop(*job);
    if (!stopped) return stopped.error();
    auto seen = detail::Prober::look(*job);
    job->kill();
    return seen;
}

#if LEASH_EXCEPTIONS

LEASH_INLINE Probe probe(Options options) { return try_probe(std::move(options)).value(); }

#endif  // LEASH_EXCEPTIONS

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_PROBE_IPP

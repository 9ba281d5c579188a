// leash/detail/posix/traces.hpp - what those are known by who have left a job's group, and to whom no parent leads.
#ifndef LEASH_0_1_0_DETAIL_POSIX_TRACES_HPP
#define LEASH_0_1_0_DETAIL_POSIX_TRACES_HPP

#include <leash/config.hpp>

#include <string>
#include <string_view>
#include <vector>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <leash/detail/posix/environment.hpp>
#include <leash/detail/posix/exit_watch.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/processes.hpp>
#include <leash/detail/posix/sys/files.hpp>
#include <leash/detail/posix/sys/processes.hpp>
#include <leash/detail/shared.hpp>
#include <leash/detail/text.hpp>
#include <leash/error.hpp>
#include <leash/options.hpp>

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

/// The traces of one job with Reach::tree: a cookie in the environment of all that it starts, whatever becomes of their
/// parents, and its pipes. Whoever removes the cookie alone, and makes a session of its own, has left on purpose.
class Traces : public Counted {
  public:
    [[gnu::cold]] ~Traces() override = default;

    /// Jobs inside of jobs: it holds the cookies of all of them, the outermost first, with colons between.
    static constexpr const char* variable = "LEASH_JOB";

    /// For a job that is about to be started with this environment, which gets the cookie.
    [[gnu::cold]] static Expected<Shared<Traces>> make(Env& env) {
        std::uint64_t number[2];
        if (sys::random(number, sizeof number) != 0)
            return make_error(errno, Step::options, "reach", errno == ENOSYS ? "tree: not on this system" : "tree");
        if (!shows_processes() || (has_snapshot && !shows_environments()))
            return make_error(
                std::errc::operation_not_supported, Step::options, "reach",
                has_snapshot
                    ? "tree: needs to read environments by sysctl, to find processes that left the group"
                    : "tree: needs the /proc of the host's own PID namespace, to find processes that left the group");
        const Fd handle(sys::has_pidfd ? sys::open_exit(sys::getpid()) : -1);
        if (sys::has_pidfd && !handle.is_open() && !is_shortage(errno))
            return make_error(errno, Step::options, "reach",
                              "tree: needs pidfds, to signal processes that left the group");
        char text[33];
        std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(number[0]),
                      static_cast<unsigned long long>(number[1]));
        auto traces = Shared<Traces>::adopt(new Traces);
        traces->cookie_ = text;
        // An environment of which nothing is inherited, or not this, must not hide the job that this host is a part of.
        auto outer = env.get(variable);
        if (!outer && !(env.is_inherited() && is_unset(env))) outer = Env::inherited().get(variable);
        env.set(variable, outer && !outer->empty() ? concat({*outer, ":", text}) : text);
        return traces;
    }

    const std::string& cookie() const noexcept { return cookie_; }

    /// The names of what the job is given besides. Shells drop some of them, and change others.
    [[gnu::cold]] void note_given(const std::vector<std::string>& environment) {
        for (const std::string& entry : environment) {
            std::string name = entry.substr(0, entry.find('=', 1) + 1);
            bool is_kept = !name.empty();
            for (const char c : name)
                is_kept &=
                    c == '_' || c == '=' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
            for (const char* const dropped : {"LEASH_JOB=", "OLDPWD=", "PWD=", "SHLVL=", "_="})
                is_kept &= name != dropped;
            if (is_kept) given_.push_back(std::move(name));
        }
    }
    /// One of the job's pipes, by our end of it.
    [[gnu::cold]] void note_pipe(const Fd& end, bool is_written) {
        char path[64], name[64];
        std::snprintf(path, sizeof path, "/proc/self/fd/%d", end.get());
        if (end.is_open() && sys::readlink(path, name, sizeof name) > 0 && starts_with(name, "pipe:"))
            (is_written ? written_ : read_).push_back(name);
    }
    /// The job has been started.
    void begin(Pid leader) noexcept {
        Seen seen{};
        if (look_at_process(leader, seen) || look_at_process(sys::getpid(), seen)) start_ = seen.start;
        host_session_ = sys::getsid(0);
        session_ = os::session_of(leader);
        if (session_ <= 0) session_ = host_session_;  // somebody else has reaped it already
    }

    enum class Answer { no, yes, unknown };

    /// Does this process bear one? The same one as was seen, before and after. Unknown where the host has no descriptor left,
    /// or no memory, to look for it.
    [[gnu::cold]] Answer are_borne_by(const Seen& seen) const noexcept {
        if (seen.start < start_ || seen.pid == sys::getpid()) return Answer::no;
        const Word word = ask(seen.pid);
        if (word == Word::unknown) return Answer::unknown;
        const bool is_borne = word == Word::ours || (!has_left(seen.pid, word) && holds_pipe(seen.pid));
        Seen now{};
        return is_borne && is_still_alive(seen, now) ? Answer::yes : Answer::no;
    }
    /// Has it left on purpose?
    bool are_shaken_off_by(const Seen& seen) const noexcept {
        Seen now{};
        return os::session_of(seen.pid) != session_ && ask(seen.pid) == Word::left && is_still_alive(seen, now);
    }
    /// Which session a process is in, where the job may have made that; otherwise -1.
    Pid session_of(Pid pid) const noexcept {
        const Pid session = os::session_of(pid);
        return session > 0 && session != host_session_ ? session : -1;
    }

  private:
    /// Was the cookie taken away by its name, on purpose?
    [[gnu::cold]] static bool is_unset(const Env& env) {
        bool found = false;
        for (const Env::Change& one : env.changes()) found |= one.removed && one.name == variable;
        return found;
    }

    /// What an environment says: nothing of the job; its cookie; all that the job was given, but no cookie. Or it cannot be read.
    enum class Word { nothing, ours, left, unknown };

    bool has_left(Pid pid, Word word) const noexcept { return word == Word::left && os::session_of(pid) != session_; }

    [[gnu::cold]] Word ask(Pid pid) const noexcept {
        Notes<char> text;
        std::string_view all;
        Backoff pause;
        Shown shown;
        for (int looks = 1; (shown = show_environment(pid, text, all)) >= Shown::not_now && looks < 8; ++looks)
            sleep_until(pause.next());
        if (shown != Shown::all) return shown == Shown::none || shown == Shown::refused ? Word::nothing : Word::unknown;
        std::size_t found = 0;
        for (std::size_t at = 0; at < all.size();) {
            const std::size_t end = all.find('\0', at);
            const std::string_view entry = all.substr(at, end - at);
            if (starts_with(entry, "LEASH_JOB=") && entry.find(cookie_) != std::string_view::npos) return Word::ours;
            at += entry.size() + 1;
        }
        for (const std::string& name : given_) found += has(all, name) ? 1U : 0U;
        return found > 0 && found == given_.size() ? Word::left : Word::nothing;
    }
    static bool starts_with(std::string_view text, std::string_view start) noexcept {
        return text.substr(0, start.size()) == start;
    }
    static bool has(std::string_view entries, std::string_view name) noexcept {
        for (std::size_t at = entries.find(name); at != std::string_view::npos; at = entries.find(name, at + 1)) {
            if (at == 0 || entries[at - 1] == '\0') return true;
        }
        return false;
    }

    /// The job's own end of one, that is: somebody may have been given the other one. A forked copy of the host can hold both,
    /// and so does no harm: it is told by what it executes.
    [[gnu::cold]] bool holds_pipe(Pid pid) const noexcept {
        char path[64], host[512], other[512];
        std::snprintf(path, sizeof path, "/proc/%ld/exe", long{pid});
        if ((written_.empty() && read_.empty()) || sys::readlink(path, other, sizeof other) <= 0 ||
            sys::readlink("/proc/self/exe", host, sizeof host) <= 0 || std::strcmp(host, other) == 0)
            return false;
        return any_open(pid, [this](const char* name, const char* link) {
            const auto is_in = [&](const std::vector<std::string>& pipes) {
                for (const std::string& pipe : pipes) {
                    if (pipe == name) return true;
                }
                return false;
            };
            const mode_t end = is_in(written_) ? S_IWUSR : is_in(read_) ? S_IRUSR : 0;
            struct stat info {};
            return end != 0 && sys::lstat(link, &info) == 0 && (info.st_mode & end) != 0;
        });
    }

    std::string cookie_;
    std::vector<std::string> given_;           // "NAME="
    std::vector<std::string> written_, read_;  // the pipes, by what the job does with them: "pipe:[123]"
    std::uint64_t start_ = 0;                  // who started before is not of the job
    Pid session_ = -1, host_session_ = -1;     // that of the leader, and the host's
};

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#endif  // LEASH_0_1_0_DETAIL_POSIX_TRACES_HPP

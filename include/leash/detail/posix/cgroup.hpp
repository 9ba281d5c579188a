// leash/detail/posix/cgroup.hpp - the control group of a job with Reach::cgroup: made, asked, ended, removed.
#ifndef LEASH_0_1_0_DETAIL_POSIX_CGROUP_HPP
#define LEASH_0_1_0_DETAIL_POSIX_CGROUP_HPP

#include <leash/config.hpp>

#include <string>
#include <string_view>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/inventory.hpp>
#include <leash/detail/posix/processes.hpp>
#include <leash/detail/posix/sys/files.hpp>
#include <leash/detail/posix/sys/processes.hpp>
#include <leash/detail/shared.hpp>
#include <leash/detail/text.hpp>
#include <leash/error.hpp>
#include <leash/status.hpp>

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

/// A leaf below the host's own control group (cgroup v2). Whoever is in it leaves it only with the rights of the one who made
/// it, and takes all that it starts along; so it tells at any time who is of the job, and ends them all at one word.
///
/// Its name says whose it is: leash.<process namespace>.<pid>.<start>.<number>. Where somebody may stay in it, or the host is
/// killed, it is left behind; the next job with one removes it, once it is empty.
class Cgroup : public Counted {
  public:
    [[gnu::cold]] static Expected<Shared<Cgroup>> make() {
        auto own = find_own();
        if (!own) return own.error();
        Seen host{};
        if (!look_at_process(sys::getpid(), host)) return last_error(Step::options, "reach: /proc/self/stat", "cgroup");
        const std::string names = concat({"leash.", name_space(), "."});
        std::uint64_t number = 0;
        if (sys::random(&number, sizeof number) != 0) return last_error(Step::options, "reach", "cgroup");
        auto made = Shared<Cgroup>::adopt(new Cgroup);
        made->owner_ = sys::getpid();
        made->path_ =
            concat({*own, "/", names, decimal(sys::getpid()), ".", decimal(host.start), ".", decimal(number)});
        if (made->path_.size() > 512) errno = ENAMETOOLONG;
        if (made->path_.size() > 512 || sys::mkdir(made->path_.c_str(), 0755) != 0) {
            const Error error = refused(made->path_);
            made->path_.clear();
            return error;
        }
        remove_stale(*own, names);
        for (const auto& [name, flags, fd] :
             {File{"cgroup.procs", O_WRONLY, &made->entry_}, File{"cgroup.events", O_RDONLY, &made->events_},
              File{"cgroup.kill", O_WRONLY, &made->kill_}}) {
            const std::string file = concat({made->path_, "/", name});
            *fd = Fd::open(file.c_str(), flags);
            const bool is_before_5_14 = fd == &made->kill_ && errno == ENOENT;
            if (!fd->is_open() && !is_before_5_14) return refused(file);
        }
        made->write("cgroup.max.depth", depth_limit);  // as deep as it is looked at
        // Who is in a control group can be moved away only by who may write to the one above as well.
        const std::string above = *own + "/cgroup.procs";
        if (!Fd::open(above.c_str(), O_WRONLY).is_open()) return refused(above);
        return made;
    }
    ~Cgroup() override { remove(); }

    const std::string& path() const noexcept { return path_; }

    /// What a process writes its number to.
    int entry() const noexcept { return entry_.get(); }
    void close_entry() noexcept { entry_.close(); }

    /// Is anybody in it or below it, but zombies? Also where all of them are gone by the time they are looked at, since they
    /// start others all the time. Where it cannot be told at the moment, somebody is.
    [[gnu::cold]] bool is_populated() const noexcept {
        if (path_.empty()) return false;
        char text[256];
        const ssize_t size = sys::read_again(events_.get(), text, sizeof text - 1);
        text[size > 0 ? size : 0] = '\0';
        return !tells_empty(text);
    }

    /// Those who are in it and in those below it: as they were between two readings, so that each one was in it when it was
    /// looked at. False where that cannot be told at the moment.
    [[gnu::cold]] bool list(Notes<Seen>& members) const noexcept {
        Notes<Pid> before, after;
        if (!read_members(path_.c_str(), before, 0)) return false;
        bool is_told = true;
        for (const Pid pid : before) {
            Seen seen{};
            if (look_at_process(pid, seen)) is_told &= members.add(seen);
            else is_told &= is_gone(errno);
        }
        if (!read_members(path_.c_str(), after, 0)) return false;
        for (std::size_t i = members.size(); i > 0; --i) {
            bool is_in = false;
            for (const Pid pid : after) is_in |= pid == members[i - 1].pid;
            if (!is_in) members.remove(i - 1);
        }
        return is_told;
    }

    /// Since Linux 5.14: SIGKILL to all who are in it and below it, at once, those included who are being started.
    bool has_kill() const noexcept { return kill_.is_open(); }
    bool kill() const noexcept { return kill_.is_open() && write_some(kill_, "1") > 0; }
    /// Where there is no such word: nobody in it goes on, and starts others, until it is let go (Linux 5.2).
    /// @{
    void freeze() const noexcept { write("cgroup.freeze", "1"); }
    void let_go() const noexcept { write("cgroup.freeze", "0"); }
    /// @}

    /// What all of them have used, as far as it is told.
    [[gnu::cold]] void read_usage(Usage& usage) const noexcept {
        char text[1024];
        if (read(path_, "cpu.stat", text, sizeof text)) {
            usage.user = Duration::microseconds(number_behind(text, "user_usec "));
            usage.system = Duration::microseconds(number_behind(text, "system_usec "));
        }
        if (read(path_, "memory.peak", text, sizeof text))  // Linux 5.19, where the memory controller is passed down
            usage.peak_memory = std::strtoull(text, nullptr, 10);
        if (read(path_, "memory.events", text, sizeof text))  // of those below it, too
            usage.oom_kills = static_cast<std::uint64_t>(number_behind(text, "\noom_kill "));
    }

    /// With those below it, if they are empty; otherwise it is left to a later job. Not in a forked copy of the host.
    [[gnu::cold]] void remove() noexcept {
        if (path_.empty() || owner_ != sys::getpid()) return;
        if ((!events_.is_open() || !is_populated()) && remove_tree(path_.c_str(), 0)) path_.clear();
        else sys::set_ancient(path_.c_str());
    }

  private:
    Cgroup() = default;

    static constexpr int deepest = 16;
    static constexpr const char* depth_limit = "16";

    struct File {
        const char* name;
        int flags;
        Fd* fd;
    };

    [[gnu::cold]] static Error refused(const std::string& path) {
        const bool may_not = errno == EACCES || errno == EPERM || errno == EROFS || errno == ENOENT;
        return last_error(
            Step::options, concat({"reach: ", path}),
            may_not ? "cgroup: no permission to create a control group here. Start the host with `systemd-run --user "
                      "--scope -p Delegate=yes`, with Delegate=yes in its service, or as root in a container"
                    : "cgroup");
    }

    /// The directory of the control group that the host is in.
    [[gnu::cold]] static Expected<std::string> find_own() {
        std::string groups, mounts;
        if (sys::shows_inventory && !read_whole("/proc/self/cgroup", groups))
            return last_error(Step::options, "reach: /proc/self/cgroup", "cgroup");
        if (sys::shows_inventory && !read_whole("/proc/self/mountinfo", mounts))
            return last_error(Step::options, "reach: /proc/self/mountinfo", "cgroup");
        if (!sys::shows_inventory)
            return make_error(std::errc::operation_not_supported, Step::options, "reach",
                              "cgroup: needs Linux with /proc");
        // "0::/its/path"
        std::size_t at = groups.compare(0, 3, "0::") == 0 ? 0 : groups.find("\n0::");
        if (at != std::string::npos) at = groups.find("0::", at) + 3;
        const std::string inside = at == std::string::npos ? "" : groups.substr(at, groups.find('\n', at) - at);
        // "36 25 0:31 /root /mount/point … - cgroup2 …"
        for (std::size_t line = 0; line < mounts.size() && !inside.empty();) {
            const std::size_t end = mounts.find('\n', line);
            const std::string text = mounts.substr(line, end - line);
            line += text.size() + 1;
            char root[1024], point[1024];
            if (text.find(" - cgroup2 ") == std::string::npos ||
                std::sscanf(text.c_str(), "%*s %*s %*s %1023s %1023s", root, point) != 2)
                continue;
            const std::string_view top = std::strcmp(root, "/") == 0 ? "" : root;
            const bool is_below =
                inside.compare(0, top.size(), top) == 0 && (inside.size() == top.size() || inside[top.size()] == '/');
            if (!is_below || inside.compare(0, 3, "/..") == 0) continue;
            const std::string below = inside.substr(top.size());
            return below == "/" ? std::string(point) : point + below;
        }
        return make_error(
            std::errc::operation_not_supported, Step::options, "reach",
            "cgroup: cgroup v2 is not mounted here, or the mount does not show the control group of the host");
    }

    /// The number of the namespace in which the host's number means the host: "4026531836".
    [[gnu::cold]] static std::string name_space() {
        const std::string link = read_link("/proc/self/ns/pid");
        const std::size_t at = link.find('[');
        return at == std::string::npos ? "0" : link.substr(at + 1, link.find(']') - at - 1);
    }

    static bool tells_empty(const char* events) noexcept { return std::strstr(events, "populated 0") != nullptr; }

    /// Those that are empty, of hosts that are gone; of others, those that they have left. Who stays in one keeps also the empty
    /// ones that it has made below.
    [[gnu::cold]] static void remove_stale(const std::string& folder, const std::string& names) {
        Directory directory(folder.c_str());
        while (const char* const name = directory.next()) {
            long pid = 0;
            unsigned long long start = 0;
            Seen host{};
            if (std::strncmp(name, names.c_str(), names.size()) != 0 ||
                std::sscanf(name + names.size(), "%ld.%llu.", &pid, &start) != 2)
                continue;
            const bool is_there = look_at_process(static_cast<Pid>(pid), host) && host.start == start;
            const bool is_gone_now = !is_there && is_gone(errno);
            const std::string path = concat({folder, "/", name});
            struct stat info {};
            char events[256];
            const bool is_left = is_gone_now || (sys::lstat(path.c_str(), &info) == 0 && info.st_mtime == 0);
            if (is_left && read(path, "cgroup.events", events, sizeof events) && tells_empty(events))
                remove_tree(path.c_str(), 0);
        }
    }

    /// Calls back with the path of each one below, which are what the job itself has made.
    template <class Visit>
    [[gnu::cold]] static void each_below(const char* path, Visit visit) noexcept {
        Directory directory(path);
        while (const char* const name = directory.next()) {
            char below[1024];
            struct stat info {};
            const int length = std::snprintf(below, sizeof below, "%s/%s", path, name);
            if (*name == '.' || length >= static_cast<int>(sizeof below)) continue;
            if (sys::lstat(below, &info) == 0 && S_ISDIR(info.st_mode)) visit(below);
        }
    }

    [[gnu::cold]] static bool remove_tree(const char* path, int depth) noexcept {
        if (sys::rmdir(path) == 0 || errno == ENOENT) return true;
        if (depth == deepest) return false;
        each_below(path, [&](const char* below) { remove_tree(below, depth + 1); });
        return sys::rmdir(path) == 0;
    }

    [[gnu::cold]] static bool read_members(const char* path, Notes<Pid>& members, int depth) noexcept {
        char file[1024];
        std::snprintf(file, sizeof file, "%s/cgroup.procs", path);
        const Fd procs = Fd::open(file, O_RDONLY);
        if (!procs.is_open()) return errno == ENOENT;
        // ENODEV: just removed; EOPNOTSUPP: one of threads alone
        if (!each_number(procs, [&](Pid number) { return members.add(number); }) && errno != ENODEV &&
            errno != EOPNOTSUPP)
            return false;
        bool is_told = true;
        if (depth < deepest)
            each_below(path, [&](const char* below) { is_told &= read_members(below, members, depth + 1); });
        return is_told;
    }

    [[gnu::cold]] static bool read(const std::string& folder, const char* name, char* text, std::size_t size) noexcept {
        char file[4096];
        std::snprintf(file, sizeof file, "%s/%s", folder.c_str(), name);
        const Fd from = Fd::open(file, O_RDONLY);
        const ssize_t count = from.is_open() ? read_some(from, text, size - 1) : -1;
        if (count > 0) text[count] = '\0';
        return count > 0;
    }
    [[gnu::cold]] bool write(const char* name, std::string_view word) const noexcept {
        char file[4096];
        std::snprintf(file, sizeof file, "%s/%s", path_.c_str(), name);
        const Fd to = Fd::open(file, O_WRONLY);
        return to.is_open() && write_some(to, word) > 0;
    }
    [[gnu::cold]] static std::int64_t number_behind(const char* text, const char* name) noexcept {
        const char* const at = std::strstr(text, name);
        return at == nullptr ? 0 : std::strtoll(at + std::strlen(name), nullptr, 10);
    }

    std::string path_;  // empty where it was removed
    Fd entry_;
    Fd events_, kill_;  // open from the start: at the end the host may be out of descriptors, or be another user
    Pid owner_ = -1;
};

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#endif  // LEASH_0_1_0_DETAIL_POSIX_CGROUP_HPP

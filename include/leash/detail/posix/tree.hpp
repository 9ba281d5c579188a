// leash/detail/posix/tree.hpp - who descends from a job.
#ifndef LEASH_0_1_0_DETAIL_POSIX_TREE_HPP
#define LEASH_0_1_0_DETAIL_POSIX_TREE_HPP

#include <leash/config.hpp>

#include <utility>

#include <cstdio>
#include <cstdlib>

#include <leash/detail/posix/cgroup.hpp>
#include <leash/detail/posix/processes.hpp>
#include <leash/detail/posix/sys/processes.hpp>
#include <leash/detail/posix/traces.hpp>
#include <leash/detail/shared.hpp>

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

/// Those who descend from a job by their parents, or bear its traces, at whichever times they were looked for: also once
/// their parents have gone, they are still known.
class Descendants {
  public:
    const Notes<Seen>& all() const noexcept { return all_; }

    /// From now on traces count too (who has shaken them off does not), or who is in that control group.
    void follow(Shared<Traces> traces, Shared<Cgroup> cgroup) noexcept {
        traces_ = std::move(traces);
        cgroup_ = std::move(cgroup);
    }
    bool are_traced() const noexcept { return traces_ || cgroup_; }
    Cgroup* cgroup() noexcept { return cgroup_.get(); }

    /// Those who bear a trace and are not in that group, whoever their parents are; who is in a session that a descendant
    /// has made; and all below them. False where that cannot be told at the moment.
    [[gnu::cold]] bool find_traced(Pid group, ProcessTable& table, Deadline since) noexcept {
        if (cgroup_) return find_members(group);
        if (!traces_) return true;
        if (!table.read(since)) return false;
        bool is_told = true;
        for (std::size_t i = all_.size(); i > 0; --i) {
            if (traces_->are_shaken_off_by(all_[i - 1])) all_.remove(i - 1);
        }
        for (const Seen& one : table) {
            if (!one.is_alive() || one.group == group || is_known(one)) continue;
            const Traces::Answer answer = traces_->are_borne_by(one);
            if (answer == Traces::Answer::yes) note(one);
            is_told &= answer != Traces::Answer::unknown;
        }
        for (std::size_t before = 0; before != all_.size();) {
            before = all_.size();
            is_told &= find_below_all(table, since);
            find_in_sessions(table);
        }
        return is_told;
    }

    /// Looks below a process. Only the job's own tree is read, where the kernel tells children (CONFIG_PROC_CHILDREN,
    /// Linux 4.2), otherwise all processes: a table of them that is newer than `since`. False, as with the next two, where
    /// that cannot be told at the moment.
    bool find_below(Pid root, ProcessTable& table, Deadline since) noexcept { return visit(root, table, since); }
    /// Takes the members of a group, for what they have below them.
    [[gnu::cold]] bool add_group(Pid group, ProcessTable& table, Deadline since) noexcept {
        if (!table.read(since)) return false;
        for (const Seen& one : table) {
            if (one.group == group && one.is_alive()) add(one);
        }
        return true;
    }
    /// Looks below all who are known, those included whom that finds.
    [[gnu::cold]] bool find_below_all(ProcessTable& table, Deadline since) noexcept {
        bool is_told = true;
        for (std::size_t i = 0; i < all_.size(); ++i) {
            Seen now{};
            const std::size_t before = all_.size();
            const bool is_there = is_still_alive(all_[i], now);
            if (!is_there) is_told &= is_gone(errno);
            if (!is_there) continue;
            is_told &= visit(now.pid, table, since);
            // Its number may have become another's meanwhile, and then those are that one's.
            if (is_still_alive(all_[i], now)) continue;
            is_told &= is_gone(errno);
            all_.cut(before);
        }
        return is_told;
    }

    /// Who is in a group that one of them has made, whether or not its parent still is there. The group's number is its own
    /// as long as somebody is in it: so the one by whom it is known is asked before and after.
    [[gnu::cold]] void find_in_groups(ProcessTable& table) noexcept {
        if (!table.read(Deadline::now())) return;
        const auto is_in = [](const Seen& known, Pid group) {
            Seen now{};
            return look_at_process(known.pid, now) && now.start == known.start && now.group == group;
        };
        for (const Seen& one : table) {
            if (!one.is_alive() || is_known(one) || !has_made(one.group)) continue;
            for (std::size_t i = 0; i < all_.size(); ++i) {
                if (!is_in(all_[i], one.group)) continue;
                if (is_in(one, one.group) && is_in(all_[i], one.group)) add(one);
                break;
            }
        }
    }

    /// At one go through all processes, tells of each one that bears a trace and is not known, as soon as it is found: where
    /// that stops it, those who start others and others cannot outrun the look. False where that cannot be told.
    template <class Tell>
    bool tell_of_traced(Pid group, Tell tell) noexcept {
        bool is_told = true;
        const auto visit = [&](const Seen& one) {
            const bool is_new = one.is_alive() && one.group != group && !is_known(one);
            const Traces::Answer answer = is_new ? traces_->are_borne_by(one) : Traces::Answer::no;
            is_told &= answer != Traces::Answer::unknown;
            if (answer != Traces::Answer::yes) return true;
            note(one);
            tell(one);
            return true;
        };
        return !traces_ || (each_process([] {}, visit) && is_told);
    }

    /// Somebody who is alive; those who are not are forgotten.
    [[gnu::cold]] const Seen* first_alive() noexcept {
        for (Seen now{}; all_.size() > 0; all_.remove(all_.size() - 1)) {
            if (is_still_alive(all_[all_.size() - 1], now) || !is_gone(errno)) return &all_[all_.size() - 1];
        }
        return nullptr;
    }

  private:
    bool find_members(Pid group) noexcept {
        Notes<Seen> members;
        const bool is_told = cgroup_->list(members) && (members.size() > 0 || !cgroup_->is_populated());
        for (const Seen& one : members) {
            if (one.is_alive() && one.group != group && !is_known(one)) note(one);
        }
        return is_told;
    }

    // Whoever forks more than that is beyond what a walk can follow.
    static constexpr std::size_t most = 10'000;

    bool is_known(const Seen& seen) const noexcept {
        for (const Seen& one : all_) {
            if (one.pid == seen.pid && one.start == seen.start) return true;
        }
        return false;
    }

    bool has_made(Pid group) const noexcept {
        for (const Seen& one : all_) {
            if (one.pid == group) return true;
        }
        return false;
    }

    [[gnu::cold]] void add(const Seen& seen) noexcept {
        if (!is_known(seen) && (!traces_ || !traces_->are_shaken_off_by(seen))) note(seen);
    }
    [[gnu::cold]] void note(const Seen& seen) noexcept {
        if (all_.size() < most && seen.pid != sys::getpid()) all_.add(seen);
    }

    /// Who is in a session of one who is known. Its number is its own as long as somebody is in it: so the one by whom it is
    /// known is asked before and after.
    [[gnu::cold]] void find_in_sessions(const ProcessTable& table) noexcept {
        Notes<Pid> sessions;
        for (const Seen& one : all_) sessions.add(traces_->session_of(one.pid));
        for (const Seen& one : table) {
            const Pid session = one.is_alive() ? traces_->session_of(one.pid) : -1;
            if (session < 0 || is_known(one)) continue;
            const auto is_in = [&](const Seen& seen) {
                Seen now{};
                return traces_->session_of(seen.pid) == session && is_still_alive(seen, now);
            };
            for (std::size_t i = 0; i < sessions.size(); ++i) {
                if (sessions[i] != session || !is_in(all_[i])) continue;
                if (is_in(one) && is_in(all_[i])) add(one);
                break;
            }
        }
    }

    bool visit(Pid parent, ProcessTable& table, Deadline since) noexcept {
        if (!has_snapshot && is_told_children(parent)) return true;
        if (!table.read(since)) return false;
        for (const Seen& one : table) {
            if (one.parent == parent && one.is_alive()) add(one);
        }
        return true;
    }

    /// False where only the table of all tells.
    [[gnu::cold]] bool is_told_children(Pid parent) noexcept {
        char path[64];
        std::snprintf(path, sizeof path, "/proc/%ld/task", long{parent});
        Directory threads(path);
        if (!threads.is_open()) return !is_shortage(errno);  // there is no such process
        bool is_told = false;
        while (const char* const thread = threads.next()) {
            if (std::atoi(thread) <= 0) continue;
            std::snprintf(path, sizeof path, "/proc/%ld/task/%d/children", long{parent}, std::atoi(thread));
            const Fd file = Fd::open(path, O_RDONLY);
            if (!file.is_open() && is_shortage(errno)) return false;
            if (!file.is_open()) continue;
            is_told = true;
            if (!read_children(file, parent)) return false;
        }
        return is_told;
    }

    bool read_children(const Fd& file, Pid parent) noexcept {
        const bool is_told = each_number(file, [&](Pid number) {
            Seen seen{};
            if (!look_at_process(number, seen)) return is_gone(errno);
            if (seen.parent == parent && seen.is_alive()) add(seen);
            return true;
        });
        return is_told || is_gone(errno);
    }

    Notes<Seen> all_;
    Shared<Traces> traces_;
    Shared<Cgroup> cgroup_;
};

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#endif  // LEASH_0_1_0_DETAIL_POSIX_TREE_HPP

// leash/detail/posix/direct_start.hpp - Actions, carried out on Linux by system calls alone: what posix_spawn cannot do.
#ifndef LEASH_0_1_0_DETAIL_POSIX_DIRECT_START_HPP
#define LEASH_0_1_0_DETAIL_POSIX_DIRECT_START_HPP

#include <leash/config.hpp>

#include <cstddef>

#include <leash/detail/posix/actions.hpp>
#include <leash/detail/posix/child.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/sys/processes.hpp>
#include <leash/detail/posix/sys/raw.hpp>
#include <leash/detail/posix/sys/spawn.hpp>

#if LEASH_POSIX

#include <cerrno>
#include <csignal>

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

#if LEASH_DIRECT_START

inline child::Order make_order(const Image& image, const Actions& actions) noexcept {
    child::Order order{};
    order.image = image;
    order.actions = actions.list.begin();
    order.count = actions.list.size();
    order.kept = actions.kept.begin();
    order.kept_count = actions.kept.size();
    order.makes_session = actions.group == Group::session;
    order.sets_group = actions.group != Group::inherited;
    order.leader = actions.leader;
    order.keeps_keys = !actions.at_own_terminal;
    order.refusals[0] = LEASH_FAULT("child_table");
    order.refusals[1] = LEASH_FAULT("child_group");
    order.refusals[2] = LEASH_FAULT("child_action");
    order.refusals[3] = LEASH_FAULT("exec");
    order.copies_all = LEASH_FAULT("child_part") != 0;
    int highest = 2;
    for (const Action& action : actions.list) highest = action.from > highest ? action.from : highest;
    order.first_unneeded = static_cast<unsigned>(highest) + 1;
    return order;
}

/// False where the kernel, a filter or an emulator refuses this way of starting: then nothing has happened.
[[gnu::cold]] inline bool start_directly(const Image& image, const Actions& actions, Birth& birth) {
    if (sys::is_in_valgrind() || !sys::has_close_range()) return false;
    child::Order order = make_order(image, actions);
    const child::Stack stack;
    int exit = -1;
    Pid pid = sys::clone(child::begin, stack.top(), sys::a_child, true, &order, &exit);
    if (pid < 0 && (errno == EMFILE || errno == ENFILE))
        pid = sys::clone(child::begin, stack.top(), sys::a_child, false, &order, &exit);
    if (pid < 0) {
        if (errno != EAGAIN && errno != ENOMEM) return false;
        birth = Birth::failure(errno);
        return true;
    }
    birth.exit = Fd(exit);
    birth.pid = pid;
    if (order.error == 0) return true;
    siginfo_t info{};
    while (sys::waitid(pid, exit, &info, WEXITED) != 0 && errno == EINTR) {}
    birth = Birth::failure(order.error, order.step, order.action);
    return order.step != Birth::Step::begin;  // without a table of its own it has done nothing
}

/// Starts it as the child of one that ends at once.
inline Birth start_detached(const Image& image, const Actions& actions) {
    if (sys::is_in_valgrind() || !sys::has_close_range()) return Birth::failure(ENOSYS);
    child::Order order = make_order(image, actions);
    const child::Stack stack, next;
    order.next_stack = next.top();
    order.pid = -1;
    int none = -1;
    const Pid between = sys::clone(child::hand_over, stack.top(), sys::a_silent_child, false, &order, &none);
    if (between < 0) return Birth::failure(errno);
    siginfo_t info{};
    constexpr int of_any_kind = 0x40000000;  // __WALL
    while (sys::waitid(between, -1, &info, WEXITED | of_any_kind) != 0 && errno == EINTR) {}
    if (order.error == 0 && order.pid <= 0) return Birth::failure(ECHILD);  // somebody has killed the one in between
    Birth birth = Birth::failure(order.error, order.step, order.action);
    birth.pid = order.pid;
    return birth;
}

/// All there is of the host that a thread of it, with a table of descriptors, a directory, a umask and a nice value of its own,
/// shares with the others and may have changed.
class HostBefore {
  public:
    explicit HostBefore(const Actions& actions) : actions_(actions), group_(sys::getpgrp()) {
        for (int signal = 1; signal <= 64; ++signal) sys::dispose(signal, nullptr, &dispositions_[signal]);
        for (int resource = 0; resource < 16; ++resource) {
            limits_[resource][0] = sys::limit_of(0, resource);
            limits_[resource][1] = sys::limit_of(0, resource, true);
        }
    }
    /// A hard limit only where the host may.
    void restore() noexcept {
        for (int signal = 1; signal <= 64; ++signal) sys::dispose(signal, &dispositions_[signal], nullptr);
        for (const Action& action : actions_.list) {
            if (action.kind != Action::Kind::limit) continue;
            std::uint64_t(&both)[2] = limits_[action.from];
            if (sys::system_call(SYS_prlimit64, 0, action.from, both, nullptr) == 0) continue;
            both[1] = sys::limit_of(0, action.from, true);
            both[0] = both[0] < both[1] ? both[0] : both[1];
            sys::system_call(SYS_prlimit64, 0, action.from, both, nullptr);
        }
        if (group_ != sys::getpgrp()) sys::setpgid(0, group_);
    }

  private:
    const Actions& actions_;
    const Pid group_;
    sys::Disposition dispositions_[65];
    std::uint64_t limits_[16][2];
};

/// Becomes the program. A thread of the host's does it, which ends all others with its exec: until then they go on as they are, and
/// where it fails it has changed little but itself.
inline Birth become(const Image& image, const Actions& actions) {
    if (sys::is_in_valgrind() || !sys::has_close_range()) return Birth::failure(ENOSYS);
    child::Order order = make_order(image, actions);
    order.is_host = true;
    sys::system_call(SYS_prctl, 2 /* PR_GET_PDEATHSIG */, &order.death_signal);
    HostBefore before(actions);
    const child::Stack stack;
    int none = -1;
    if (sys::clone(child::begin, stack.top(), sys::a_thread, false, &order, &none) < 0)
        return Birth::failure(errno == EINVAL ? ENOSYS : errno);
    before.restore();
    return Birth::failure(order.error, order.step, order.action);
}

#else
inline bool start_directly(const Image&, const Actions&, Birth&) noexcept { return false; }
inline Birth start_detached(const Image&, const Actions&) { return Birth::failure(ENOSYS); }
inline Birth become(const Image&, const Actions&) { return Birth::failure(ENOSYS); }
#endif

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#undef LEASH_DIRECT_START

#endif  // LEASH_0_1_0_DETAIL_POSIX_DIRECT_START_HPP

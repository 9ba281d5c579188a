// leash/detail/posix/child.hpp - what a child does between its birth and its exec, where system calls are all it has.
#ifndef LEASH_0_1_0_DETAIL_POSIX_CHILD_HPP
#define LEASH_0_1_0_DETAIL_POSIX_CHILD_HPP

#include <leash/config.hpp>

#include <cstddef>

#include <leash/detail/posix/actions.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/sys/processes.hpp>
#include <leash/detail/posix/sys/raw.hpp>
#include <leash/detail/posix/sys/spawn.hpp>

#if LEASH_POSIX

#include <cerrno>
#include <csignal>
#include <new>

#include <fcntl.h>

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

#if LEASH_DIRECT_START

/// Of the child: it shares its parent's memory until its exec, and the thread that started it waits meanwhile. So there
/// are system calls here and nothing else: no allocation, no lock, nothing of a libc, not even errno.
namespace child {

/// What it works through, and what it answers.
struct Order {
    Image image;
    const Action* actions;
    std::size_t count;
    const int* kept;
    std::size_t kept_count;
    unsigned first_unneeded;  // no action asks for a descriptor with this number or a higher one
    Pid leader;
    bool makes_session, sets_group, keeps_keys;
    bool is_host;      // it is a thread of the host, which becomes the program
    int death_signal;  // of the host's other threads, at the end of its parent: a new one has none
    void* next_stack;  // of hand_over(): the child's
    int refusals[4];   // a test's: what the steps are to fail with
    bool copies_all;   // likewise: as on an older kernel

    int error;
    Birth::Step step;
    std::size_t action;
    int pid;  // of hand_over(): the child's
};

LEASH_CHILD void ignore(int) noexcept;
inline void ignore(int) noexcept {}

/// Nothing of the host's stays: handlers are code of the host, and what it ignores would be ignored by the program, but for
/// what nohup and a shell's `&` set up on purpose, against the keys and the end of the host's terminal. Two kinds get a
/// handler, which ends with the exec: what comes until then must not stop the child, since its parent waits for it, nor
/// dump its memory, which Linux before 5.16 does to all who share it.
LEASH_CHILD_PART void clear_signals(bool keeps_keys) noexcept {
    const sys::Disposition by_default(SIG_DFL);
    sys::Disposition handled(ignore);
    handled.mask = ~sys::Signals{0};  // one at a time: there is room for one
    for (int signal = 1; signal <= 64; ++signal) {
        if (signal == SIGKILL || signal == SIGSTOP) continue;
        const bool is_key = signal == SIGHUP || signal == SIGINT || signal == SIGQUIT;
        const bool stops = signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
        const bool dumps = signal == SIGQUIT || signal == SIGABRT || signal == SIGTRAP;
        sys::Disposition before(nullptr);
        if (is_key && keeps_keys && sys::dispose(signal, nullptr, &before) == 0 &&
            (before.handler == SIG_IGN || (before.handler == SIG_DFL && !dumps)))
            continue;
        sys::dispose(signal, stops || dumps ? &handled : &by_default, nullptr);
    }
}

/// What came before it had a group of its own was for the group of the host: an ignored signal is forgotten.
LEASH_CHILD_PART void forget_signals() noexcept {
    sys::Signals pending = 0;
    sys::system_call(SYS_rt_sigpending, &pending, sizeof pending);
    const sys::Disposition ignored(SIG_IGN);
    for (int signal = 1; pending != 0; ++signal, pending >>= 1) {
        sys::Disposition before(SIG_DFL);
        if ((pending & 1) != 0 && sys::dispose(signal, &ignored, &before) == 0) sys::dispose(signal, &before, nullptr);
    }
}

LEASH_CHILD_PART long tell_number(int to) noexcept {
    char text[24];
    int at = 23;
    text[at] = '\n';
    for (long left = sys::system_call(SYS_getpid); left > 0; left /= 10)
        text[--at] = static_cast<char>('0' + left % 10);
    return sys::system_call(SYS_write, to, text + at, 24 - at);
}

LEASH_CHILD_PART long carry_out(const Action& action) noexcept {
    switch (action.kind) {
        case Action::Kind::take_foreground: {
            const int group = static_cast<int>(sys::system_call(SYS_getpgid, 0));
            return sys::system_call(SYS_ioctl, action.from, 0x5410, &group);  // TIOCSPGRP; SIGTTOU is blocked
        }
        case Action::Kind::open: {
            sys::system_call(SYS_close, action.to);  // so that there is a free number, however many the host has
            const long opened = sys::system_call(SYS_openat, AT_FDCWD, action.path, action.flags);
            if (opened < 0 || opened == action.to) return opened;
            const long result = sys::system_call(SYS_dup3, opened, action.to, 0);
            sys::system_call(SYS_close, opened);
            return result;
        }
        case Action::Kind::duplicate:
            if (action.from == action.to) return sys::system_call(SYS_fcntl, action.to, F_SETFD, 0);
            return sys::system_call(SYS_dup3, action.from, action.to, 0);
        case Action::Kind::stay: return 0;
        case Action::Kind::tell:
        case Action::Kind::enter: return tell_number(action.from);
        case Action::Kind::follow: return sys::system_call(SYS_prctl, 1, action.flags) & 0;  // PR_SET_PDEATHSIG
        case Action::Kind::mask: return sys::system_call(SYS_umask, action.flags);
        case Action::Kind::be_nice: return sys::system_call(SYS_setpriority, 0, 0, action.flags);
        case Action::Kind::limit: return sys::system_call(SYS_prlimit64, 0, action.from, action.values, nullptr);
        case Action::Kind::chdir: break;
    }
    return sys::system_call(SYS_chdir, action.path);
}

/// In a table of its own; see begin().
LEASH_CHILD_PART void close_rest(const Order& order, bool has_all) noexcept {
    unsigned next = 3;
    for (std::size_t i = 0; i < order.kept_count; ++i) {
        const unsigned kept = static_cast<unsigned>(order.kept[i]);
        if (next < kept) sys::system_call(sys::close_range_number, next, kept - 1, 0);
        next = kept + 1;
    }
    if (next < order.first_unneeded || order.kept_count > 0 || has_all)
        sys::system_call(sys::close_range_number, next, ~0U, 0);
}

/// Goes on where the step went well.
LEASH_CHILD_PART void go_on(Order& order, long result, Birth::Step step, std::size_t action = 0) noexcept {
    if (result >= 0) result = -order.refusals[static_cast<int>(step)];
    if (result >= 0) return;
    order.error = static_cast<int>(-result);
    order.step = step;
    order.action = action;
    for (;;) sys::system_call(order.is_host ? SYS_exit : SYS_exit_group, 127);
}

/// All signals are blocked until right before the exec.
LEASH_CHILD int begin(void* argument) noexcept;
[[gnu::cold]] inline int begin(void* argument) noexcept {
    Order& order = *static_cast<Order*>(argument);
    long result = 0;
    if (order.makes_session) result = sys::system_call(SYS_setsid);
    else if (order.sets_group) result = sys::system_call(SYS_setpgid, 0, order.leader);
    go_on(order, result, Birth::Step::group);
    if (order.sets_group && !order.is_host) forget_signals();
    if (!order.is_host) clear_signals(order.keeps_keys);

    // The table of descriptors is still the host's, and all its threads'. This makes a copy of it as far as it is needed,
    // and is what must come before any change: its cost is that of the descriptors below, not of all that the host has.
    // Before Linux 6.11 a copy of a part could keep numbers beyond it in use for good. So it is of all there, and what is not
    // needed is closed by close_rest().
    constexpr unsigned unshare = 2;  // CLOSE_RANGE_UNSHARE
    const bool in_part = !order.copies_all && sys::copies_parts();
    const unsigned first = order.first_unneeded;
    go_on(order, sys::system_call(sys::close_range_number, first, in_part ? ~0U : first, unshare), Birth::Step::begin);
    for (std::size_t i = 0; i < order.count; ++i) go_on(order, carry_out(order.actions[i]), Birth::Step::action, i);
    close_rest(order, !in_part);

    if (order.is_host) clear_signals(order.keeps_keys);  // of all its threads, so that it comes last
    if (order.death_signal != 0) sys::system_call(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, order.death_signal);
    const sys::Signals none = 0;
    sys::system_call(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
    go_on(order, 0, Birth::Step::exec);
    do result = sys::system_call(SYS_execve, order.image.path, order.image.argv, order.image.environment);
    while (result == -EINTR);
    go_on(order, result, Birth::Step::exec);
    return 0;  // never
}

/// Of one in between, which starts the child in its own stead and is gone, so that the child is nobody's who is known.
LEASH_CHILD int hand_over(void* argument) noexcept;
inline int hand_over(void* argument) noexcept {
    Order& order = *static_cast<Order*>(argument);
    constexpr int like_vfork = 0x100 | 0x400 | 0x4000 | SIGCHLD, of_any_kind = 0x40000000;  // __WALL
    const long result = sys::system_clone(begin, order.next_stack, like_vfork, argument, nullptr);
    order.pid = static_cast<int>(result);
    if (result < 0) go_on(order, result, Birth::Step::begin);
    if (order.error != 0) sys::system_call(SYS_wait4, order.pid, nullptr, of_any_kind, nullptr);
    return 0;
}

/// begin() takes 6 KiB at most, where nothing is optimized, and a handler's frame up to 12 KiB, with all that a processor
/// may save in it.
class Stack {
  public:
    Stack() : memory_(::operator new(size)) {}
    Stack(const Stack&) = delete;
    Stack& operator=(const Stack&) = delete;
    ~Stack() { ::operator delete(memory_); }
    void* top() const noexcept { return static_cast<char*>(memory_) + size; }

  private:
    static constexpr std::size_t size = 32 * 1024;
    void* memory_;
};

}  // namespace child

constexpr bool has_direct_start = true;
#else
constexpr bool has_direct_start = false;
#endif

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#undef LEASH_PLAIN
#undef LEASH_CHILD
#undef LEASH_CHILD_PART

#endif  // LEASH_0_1_0_DETAIL_POSIX_CHILD_HPP

// leash/detail/posix/actions.hpp - what happens in a child between its birth and its exec, as data.
#ifndef LEASH_0_1_0_DETAIL_POSIX_ACTIONS_HPP
#define LEASH_0_1_0_DETAIL_POSIX_ACTIONS_HPP

#include <leash/config.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <leash/detail/array.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/error.hpp>
#include <leash/options.hpp>

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

/// One of posix_spawn's file actions, or what it should have.
struct Action {
    enum class Kind {
        take_foreground,  // the terminal `from` is lent to the child's group
        open,       // `path` as `to`, with `flags`; the first terminal that the leader of a session opens controls it
        duplicate,  // `from` as `to`; where both are the same, it stays open
        stay,       // `to` is left as it is, open and not close-on-exec
        chdir,      // to `path`
        tell,       // its number is written to `from`; where the child cannot do that, by its host
        enter,      // its number is written to `from`, the door of the control group `path`
        follow,     // the signal `flags` comes when the thread has ended that started it, where the system has that
        mask,       // `flags` is its umask
        be_nice,    // `flags` is its nice value
        limit       // it may use so much of the resource `from`: `values`
    };
    Kind kind;
    int from = -1, to = -1;
    const char* path = nullptr;  // belongs to whoever made the action
    int flags = 0;
    std::uint64_t values[2] = {};  // the soft limit and the hard one
};

/// What one child does, in order: its group or session, a clean set of signals, the list; then everything is closed but
/// 0, 1, 2 and what is kept. Made from the Plan; carried out by posix_spawn or by a direct start, with the same result.
struct Actions {
    Array<Action> list;
    Array<int> kept;  // above 2, ascending
    Group group = Group::own;
    Pid leader = 0;                // whose group it joins; 0: it leads one itself
    bool at_own_terminal = false;  // other keys than those of the host's

    Action& add(Action action) { return list.add(action); }
};

/// Which file is executed, with what.
struct Image {
    const char* path;
    char* const* argv;
    char* const* environment;
};

/// Pointers to the strings, NULL at the end, as exec wants them.
[[gnu::cold]] inline Array<char*> pointers(std::vector<std::string>& strings) {
    Array<char*> list(strings.size() + 1);
    for (std::size_t i = 0; i < strings.size(); ++i) list[i] = &strings[i][0];
    return list;
}

/// exec changes none of them, whatever its declaration says.
inline char* const* for_exec(const char* const* strings) noexcept { return const_cast<char* const*>(strings); }

/// How a start ended.
struct Birth {
    enum class Step {
        begin,   // no process could be made, or posix_spawn does not say which step it was
        group,   // its group or session
        action,  // one of the list
        exec,
        copy,   // posix_spawn's own copy of the list
        launch  // by a shell: `action` is what was in the way
    };
    Pid pid = -1;
    Fd exit;        // a pidfd that came with the process
    int error = 0;  // then there is no process, and this is why:
    Step step = Step::begin;
    std::size_t action = 0;  // of the list, which one

    static Birth failure(int error, Step step = Step::begin, std::size_t action = 0) {
        Birth birth;
        birth.error = error;
        birth.step = step;
        birth.action = action;
        return birth;
    }
};

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#endif  // LEASH_0_1_0_DETAIL_POSIX_ACTIONS_HPP

// leash/detail/posix/terminal.hpp - a pseudo-terminal for the child.
#pragma once

#include <leash/config.hpp>

#include <string>
#include <utility>

#include <leash/detail/posix/fd.hpp>
#include <leash/detail/text.hpp>
#include <leash/error.hpp>
#include <leash/options.hpp>

#if LEASH_POSIX

namespace LEASH_NAMESPACE::detail::os {

/// Both sides of a terminal. The child opens its own by the path, after it has made a session: on Linux, illumos and
/// macOS the first terminal that a session's leader opens becomes its controlling one.
struct PseudoTerminal {
    Fd ours;
    Fd theirs;  // held until the child has opened it: a terminal that nobody has open is at its end
    std::string path;
};

inline Expected<PseudoTerminal> make_terminal(const Terminal& settings) {
    PseudoTerminal made;
    made.ours = Fd(sys::open_terminal());
    char path[128];
    if (!made.ours.is_open() || !move_above_standard(made.ours) || !make_nonblocking(made.ours) ||
        sys::unlock_terminal(made.ours.get(), path, sizeof path) != 0)
        return last_error(Step::redirect, "tty", "no pseudo-terminal could be made");
    made.path = path;
    int theirs;
    do theirs = sys::open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    while (theirs < 0 && errno == EINTR);
    made.theirs = Fd(theirs);
    termios modes{};
    if (!made.theirs.is_open() || !move_above_standard(made.theirs) || sys::tcgetattr(made.theirs.get(), &modes) != 0)
        return last_error(Step::redirect, concat({"tty: ", path}));
    if (!settings.echo) modes.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    if (sys::tcsetattr(made.theirs.get(), &modes) != 0 ||
        sys::set_window(made.theirs.get(), settings.rows, settings.columns) != 0)
        return last_error(Step::redirect, concat({"tty: ", path}));
    return made;
}

/// The character that means end of file to the one who reads the terminal by lines.
inline char end_of_file_character(const Fd& terminal) noexcept {
    constexpr char control_d = 4;
    termios modes{};
    return sys::tcgetattr(terminal.get(), &modes) == 0 ? static_cast<char>(modes.c_cc[VEOF]) : control_d;
}

}  // namespace leash::detail::os

#endif  // LEASH_POSIX

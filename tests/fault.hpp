// tests/fault.hpp - system calls that fail: a scenario, with one call in it failing, at every place in turn.
#pragma once

#include "support.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace faults {

using namespace support;

/// The call of the seam that each start makes once.
inline const char* const start_call = leash::detail::os::has_direct_start ? "exec" : "posix_spawn";

/// What is to fail: the nth call of a name, with an errno (-1: a read or write of one byte). Of this thread only.
struct Fault {
    const char* call = nullptr;
    int nth = 0;  // counts down
    int error = 0;
    bool fired = false;
    std::function<void()> before = {};           // done just before that call
    bool no_pidfd = false;                       // besides, as on an old kernel
    std::map<std::string, int>* seen = nullptr;  // or all are counted and none fails,
    std::vector<std::string>* order = nullptr;   // or told in their order
    std::function<void(const char*)> told = {};  // or told to a function
};
inline thread_local Fault* fault_of_this_thread = nullptr;

class Armed {
  public:
    explicit Armed(Fault& fault) { fault_of_this_thread = &fault; }
    Armed(const Armed&) = delete;
    Armed& operator=(const Armed&) = delete;
    ~Armed() { fault_of_this_thread = nullptr; }
};

/// The errors that a call can meet in real life. Those that it cannot (EBADF for a descriptor that is ours, ECHILD for
/// a child that nobody else waits for) would prove nothing.
struct Call {
    const char* name;
    std::vector<int> errors;
};
inline const Call calls[] = {
    {"open", {EINTR, EMFILE, ENFILE, ENOMEM, EACCES}},
    {"close", {EINTR, EIO}},
    {"read", {EINTR, EAGAIN, -1}},
    {"write", {EINTR, EAGAIN, -1, EPIPE, ENOSPC}},
    {"pipe", {EMFILE, ENFILE}},
    {"fcntl", {EMFILE, EINVAL, EPERM}},
    {"lseek", {EIO}},
    {"memfd_create", {EMFILE, ENFILE, ENOMEM, EPERM}},
    {"poll", {EINTR, ENOMEM, EINVAL, EAGAIN}},
    {"epoll_create", {EMFILE, ENFILE, ENOMEM, ENOSYS}},
    {"epoll_control", {ENOMEM, ENOSPC, EPERM}},  // ENOSPC: the user's limit; EPERM: a handle that cannot be watched
    {"epoll_wait", {EINTR}},
    {"stat", {ENOMEM, EACCES, EIO, ENOENT}},
    {"fstat", {EIO}},
    {"access", {ENOMEM, EACCES, EIO, EPERM}},  // EPERM: of a filter
    {"getcwd", {ENOMEM, EACCES, ERANGE}},
    {"tcgetpgrp", {ENOTTY, EIO}},
    {"tcsetpgrp", {ENOTTY, EIO, EPERM}},  // ENOTTY and EIO: the terminal has hung up
    {"tcgetattr", {EIO}},
    {"tcsetattr", {EIO}},
    {"set_window", {EIO}},
    {"open_terminal", {EAGAIN, EMFILE, ENFILE, ENOSPC, ENOMEM, EACCES, ENOENT}},  // ENOENT: no /dev/ptmx here
    {"unlock_terminal", {EACCES, EIO}},
    {"random", {ENOSYS}},
    {"opendir", {EMFILE, ENFILE, ENOMEM}},
    {"read_again", {EIO}},
    {"set_ancient", {EPERM}},
    {"mkdir", {EACCES, ENOSPC}},
    {"rmdir", {EBUSY}},
    {"lstat", {ENOENT}},
    {"readlink", {ENOENT, EACCES}},  // no /proc
    {"replace", {EBUSY, EMFILE}},
    {"spawn_actions_init", {ENOMEM}},
    {"spawn_actions_dup2", {ENOMEM}},
    {"spawn_actions_close", {ENOMEM}},
    {"spawn_actions_open", {ENOMEM}},
    {"spawn_actions_chdir", {ENOMEM}},
    {"spawn_actions_closefrom", {ENOMEM}},
    {"spawn_actions_tcsetpgrp", {ENOMEM}},
    {"spawn_attributes_init", {ENOMEM}},
    {"close_range", {ENOSYS}},
    {"clone", {EAGAIN, EMFILE, EPERM}},
    {"clone_pidfd", {EINVAL}},
    {"child_table", {ENOSYS}},
    {"child_part", {ENOSYS}},
    {"child_group", {EPERM}},
    {"child_action", {EIO}},
    {"exec", {EAGAIN, ENOMEM, ETXTBSY, EACCES}},
    {"posix_spawn", {EAGAIN, ENOMEM, EINTR, EPERM, EINVAL, ENOSYS, ETXTBSY, E2BIG, EMFILE}},
    {"waitid", {EINTR}},
    {"reap", {EINTR}},
    {"ask_exit", {ENOTTY}},
    {"kill", {EPERM}},
    {"getpgid", {EPERM}},
    {"setpgid", {EACCES, EPERM, ESRCH}},
    {"open_exit", {ENOSYS, EPERM, EINVAL, EMFILE, ENFILE, ENOMEM}},
    {"signal_through", {ENOSYS, EPERM, EINVAL}},
    {"signals_by_flags", {ENOSYS}},
    {"reap_member", {EINTR}},
    // an answer that is not needed
    {"has_ended_child", {}},
    // how much a pipe holds: cannot fail for a pipe
    {"ioctl", {}},
    // two signals to oneself: cannot fail
    {"stop_own_group", {}},
};

inline const std::vector<int>* errors_of(const std::string& name) {
    for (const Call& call : calls) {
        if (name == call.name) return &call.errors;
    }
    return nullptr;
}

/// Nothing but trying again, or the second-best way, is called for: no scenario may notice.
inline bool is_harmless(const Fault& fault) {
    const std::string name = fault.call == nullptr ? "" : fault.call;
    if (name == start_call) return fault.error == ETXTBSY;
    if (name == "clone") return fault.error != EAGAIN && fault.error != ENOMEM;  // else there is posix_spawn
    if (name == "memfd_create") return fault.error == EPERM;                     // then it is a file of /tmp
    if (name == "access") return fault.error != EACCES;                          // anything but a no: it is tried
    if (name == "open_terminal") return false;  // EAGAIN: the system has no terminal left
    if (fault.error == EINTR || fault.error == EAGAIN || fault.error == -1 || fault.error == ERANGE) return true;
    for (const char* const one :
         {"", "close", "close_range", "poll", "read_again", "rmdir", "set_ancient", "tcgetpgrp", "opendir", "open_exit",
          "clone_pidfd", "child_table", "child_part", "signal_through", "signals_by_flags", "getpgid", "setpgid"}) {
        if (name == one) return true;
    }
    return false;
}

/// What a scenario tells. `wrong` is empty where all that it gave is right.
struct Outcome {
    std::string wrong;
    std::optional<leash::Error> error;
    bool survivors = false;  // the library says so itself: something could not be ended
    bool held = false;       // and likewise: a stream counted as held
    bool partial = false;    // and likewise: not all input was written
};

inline void expect(Outcome& outcome, bool holds, const std::string& what) {
    if (!holds) outcome.wrong += (outcome.wrong.empty() ? "" : ", ") + what;
}

inline leash::Command dash(const std::string& script) { return leash::args({"/bin/dash", "-c", script, "/bin/dash"}); }

inline leash::Options marked(const Census& census) {
    leash::Options options;
    options.env = census.env();
    options.grace = 30ms;
    options.drain = 5s;  // used up only where something holds on
    return options;
}

/// An error with a code, and words.
inline bool is_true(const leash::Error& error) {
    return error.code && error.code.value() > 0 && !error.message().empty();
}

/// While it lives, nothing fails.
class Spared {
  public:
    Spared() : fault_(std::exchange(fault_of_this_thread, nullptr)) {}
    Spared(const Spared&) = delete;
    Spared& operator=(const Spared&) = delete;
    ~Spared() { fault_of_this_thread = fault_; }

  private:
    Fault* fault_;
};

/// The pipe of a `make -j4` that runs this program: with three tokens.
class FromMake {
  public:
    FromMake() {
        if (::pipe2(ends_, O_CLOEXEC) != 0 || ::write(ends_[1], "abc", 3) != 3) std::abort();
        const std::string both = std::to_string(ends_[0]) + "," + std::to_string(ends_[1]);
        ::setenv("MAKEFLAGS", ("-j4 --jobserver-auth=" + both).c_str(), 1);
    }
    FromMake(const FromMake&) = delete;
    FromMake& operator=(const FromMake&) = delete;
    ~FromMake() {
        ::unsetenv("MAKEFLAGS");
        ::close(ends_[0]);
        ::close(ends_[1]);
    }

    /// How many tokens are in it.
    int tokens() const {
        int count = 0;
        ::ioctl(ends_[0], FIONREAD, &count);
        return count;
    }

  private:
    int ends_[2];
};

/// One thing from start to end, handles and all.
struct Scenario {
    const char* name;
    Outcome (*run)(const Census&);
    std::optional<leash::Step> fails = std::nullopt;  // it ends in an error in any case: of this step
    bool silent = false;                              // no handle is left that could tell of survivors
    bool has_one_way = false;                         // to be started: directly
    bool is_shown = true;                             // who is to be ended is found where /proc is not to be read
};

/// Ends the process with a word where a scenario hangs.
class Watchdog {
  public:
    Watchdog(const Scenario& scenario, const Fault& fault) {
        std::snprintf(word(), size, "hangs: %s, %s fails with %d\n", scenario.name,
                      fault.call == nullptr ? "nothing" : fault.call, fault.error);
        struct sigaction action {};
        action.sa_handler = [](int) {
            static_cast<void>(!::write(2, word(), std::strlen(word())));
            ::_exit(124);
        };
        ::sigaction(SIGALRM, &action, nullptr);
        ::alarm(120);
    }
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;
    ~Watchdog() { ::alarm(0); }

  private:
    static constexpr std::size_t size = 200;
    static char* word() {
        static char text[size];
        return text;
    }
};

inline void reap_all() {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {}
}

/// One scenario with one fault: what is wrong with it, nothing where all is as it should be.
inline std::string attempt(const Scenario& scenario, Fault& fault) {
    const NothingLeft nothing_left;
    Outcome outcome;
    {
        const Census census;
        const Watchdog watchdog(scenario, fault);
        const Stopwatch watch;
        {
            const Armed armed(fault);
            outcome = scenario.run(census);
        }
        expect(outcome, watch.elapsed() < 30s, "took too long");
        if (outcome.error) {
            const std::string message = outcome.error->message();
            expect(outcome, is_true(*outcome.error), "no true error: " + message);
            // a file, unlike a pipe, never says EAGAIN: nobody need wait for it
            const bool file_not_ready = fault.call != nullptr && std::strcmp(fault.call, "write") == 0 &&
                                        fault.error == EAGAIN && outcome.error->step == leash::Step::redirect;
            // reap_orphans() says where it could not look, which others make do without
            const bool looks_for_orphans = outcome.error->subject == "reap_orphans";
            // nor does one of /proc, nor is it empty: what was read of it is what there is
            const bool proc_not_ready = fault.call != nullptr && std::strcmp(fault.call, "read") == 0 &&
                                        (fault.error == EAGAIN || fault.error == -1) &&
                                        (outcome.error->step == leash::Step::options || looks_for_orphans);
            // without pidfds there is no Reach::tree, and where the direct start is refused are no limits and no control groups
            const std::string failed = fault.call == nullptr ? "" : fault.call;
            const bool not_looked = looks_for_orphans && (failed == "opendir" || failed == "open_exit");
            // an empty pipe takes all the tokens at once
            const bool no_tokens = outcome.error->subject == "jobserver" && failed == "write";
            const bool no_start = (failed == "clone" || failed == "child_table" || failed == "close_range") &&
                                  outcome.error->code == std::errc::function_not_supported;
            const bool no_option = outcome.error->step == leash::Step::options && (failed == "open_exit" || no_start);
            const bool no_way = scenario.has_one_way && outcome.error->step == leash::Step::spawn &&
                                (failed == "clone" || failed == "child_table" || failed == "close_range");
            const bool has_reason = fault.fired && (!is_harmless(fault) || file_not_ready || proc_not_ready ||
                                                    not_looked || no_tokens || no_option || no_way);
            if (!scenario.fails) expect(outcome, has_reason, "no reason for: " + message);
            else if (is_harmless(fault)) expect(outcome, outcome.error->step == *scenario.fails, "not so: " + message);
        } else {
            expect(outcome, !scenario.fails, "no error");
        }
        if (outcome.held) expect(outcome, fault.fired && !is_harmless(fault), "no reason to be held");
        if (outcome.partial) expect(outcome, fault.fired && !is_harmless(fault), "no reason not to write");
        // A signal that is refused is the one fault after which something may stay, if the library says so; and a system
        // that does not show who has left the group.
        const std::string call = fault.call == nullptr || !fault.fired ? "" : fault.call;
        const bool hidden = !scenario.is_shown && (call == "readlink" || (call == "open" && fault.error == EACCES));
        if (hidden || (call == "kill" && (outcome.survivors || scenario.silent))) {
            const bool gone = eventually([&] {
                for (const pid_t pid : census.alive()) {
                    if (pid > 1) ::kill(pid, SIGKILL);
                }
                reap_all();
                return census.alive().empty() && !has_children();
            });
            expect(outcome, gone, "somebody stays, come what may");
        } else {
            expect(outcome, !outcome.survivors, "survivors");
            expect(outcome, census.is_empty(), "processes left");
        }
    }
    expect(outcome, nothing_left.holds(), "descriptors or zombies left");
    reap_all();
    return outcome.wrong;
}

/// What has been tried, and what was wrong with it, a line each.
struct Tried {
    int attempts = 0;
    std::map<std::string, int> seen;
    std::string wrong;
};

/// Every call in `wanted` (all, where that is empty) fails once at every place where a scenario makes it.
template <class Scenarios>
Tried try_all(const Scenarios& scenarios, const std::vector<std::string>& wanted, bool no_pidfd) {
    Tried tried;
    const auto note = [&](const Scenario& scenario, const Fault& fault, int nth, const std::string& wrong) {
        if (wrong.empty()) return;
        tried.wrong += std::string(scenario.name) + ", ";
        if (fault.call == nullptr) tried.wrong += "nothing fails";
        else tried.wrong += fault.call + (" no. " + std::to_string(nth)) + " fails with " + std::to_string(fault.error);
        tried.wrong += ": " + wrong + "\n";
    };
    for (const Scenario& scenario : scenarios) {
        std::map<std::string, int> seen;
        Fault recorder;
        recorder.seen = &seen;
        recorder.no_pidfd = no_pidfd;
        note(scenario, recorder, 0, attempt(scenario, recorder));
        for (const auto& [name, count] : seen) {
            tried.seen[name] += count;
            if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), name) == wanted.end()) continue;
            const std::vector<int>* const errors = errors_of(name);
            if (errors == nullptr) {
                tried.wrong += "a new name in the seam wants a row in `calls`: " + name + "\n";
                continue;
            }
            for (const int error : *errors) {
                // How often something is polled or looked at is up to the clock: past a dozen, all are alike.
                for (int nth = 1; nth <= 12; ++nth) {
                    Fault fault;
                    fault.call = name.c_str();
                    fault.nth = nth;
                    fault.error = error;
                    fault.no_pidfd = no_pidfd;
                    ++tried.attempts;
                    note(scenario, fault, nth, attempt(scenario, fault));
                    if (!fault.fired) break;  // there are no more calls of that name
                }
            }
        }
    }
    return tried;
}

/// Those of the names that no scenario has called: then it is the scenarios that are at fault.
inline std::string unseen(const Tried& tried, std::initializer_list<const char*> names) {
    std::string missing;
    for (const char* const name : names) {
        if (tried.seen.count(name) == 0) missing += std::string(name) + " ";
    }
    return missing;
}

}  // namespace faults

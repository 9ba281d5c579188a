// leash/detail/posix/spawn.hpp - Plan -> a running process: posix_spawn, its file actions and its attributes.
#pragma once

#include <leash/config.hpp>

#include <string>
#include <utility>
#include <vector>

#include <leash/deadline.hpp>
#include <leash/detail/plan.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/foreground.hpp>
#include <leash/detail/posix/program.hpp>
#include <leash/detail/posix/terminal.hpp>
#include <leash/detail/text.hpp>
#include <leash/error.hpp>

#if LEASH_POSIX

namespace LEASH_NAMESPACE::detail::os {

/// The processes of a job that have been started, in order, and our ends of its pipes.
struct Started {
    std::vector<Pid> pids;
    Fd in, out, err;
    std::vector<Fd> later_errs;  // with per_stage, of the stages behind the first
    Foreground foreground;
};

/// posix_spawn's file actions: what happens to descriptors in the child, in order. The first error stays.
class FileActions {
  public:
    FileActions() : error_(sys::spawn_actions_init(&actions_)), made_(error_ == 0) {}
    FileActions(const FileActions&) = delete;
    FileActions& operator=(const FileActions&) = delete;
    ~FileActions() {
        if (made_) ::posix_spawn_file_actions_destroy(&actions_);
    }

    void duplicate(int from, int to) {
        if (error_ == 0) error_ = sys::spawn_actions_dup2(&actions_, from, to);
    }
    void close(int fd) {
        if (error_ == 0) error_ = sys::spawn_actions_close(&actions_, fd);
    }
    void open_terminal(const std::string& path, int to) {
        if (error_ == 0) error_ = sys::spawn_actions_open(&actions_, to, path.c_str(), O_RDWR);
    }
    /// Takes the terminal for the group of the child.
    void take_foreground(int terminal) {
        if (error_ == 0) error_ = sys::spawn_actions_tcsetpgrp(&actions_, terminal);
    }
    void chdir(const std::string& path) {
        if (error_ == 0) error_ = sys::spawn_actions_chdir(&actions_, path.c_str());
    }

    /// Keeps a standard stream of the host's as it is.
    void inherit(int fd) {
        if (error_ == 0 && sys::has_cloexec_default) error_ = sys::spawn_actions_inherit(&actions_, fd);
    }

    /// Closes everything in the child but 0, 1, 2 and `kept` (ascending, all above 2).
    void close_rest(const std::vector<int>& kept) {
        if constexpr (sys::has_cloexec_default) {
            static_cast<void>(kept);
        } else if constexpr (sys::has_closefrom) {
            int next = 3;
            for (const int fd : kept) {
                while (next < fd) close(next++);
                next = fd + 1;
            }
            if (error_ == 0) error_ = sys::spawn_actions_closefrom(&actions_, next);
        } else {
            close_enumerated(kept);
        }
    }

    int error() const noexcept { return error_; }
    const posix_spawn_file_actions_t* get() const noexcept { return &actions_; }

  private:
    void close_enumerated(const std::vector<int>& kept) {
        // Other threads go on opening while this list is made, and a new descriptor takes the lowest free number:
        // so every number up to the highest that is open, and a margin, is closed, whether it is open now or not
        // (closing what is not open is fine). Only beyond that, just what was seen.
        constexpr int margin = 256, dense = 16 * 1024;
        const std::vector<int> open = open_descriptors();
        int end = 2;
        for (const int fd : open) end = fd > end ? fd : end;
        end = end + margin < dense ? end + margin : dense;
        const int limit = sys::descriptor_limit();  // glibc refuses to close a number past it, open or not
        end = end < limit ? end : limit - 1;
        std::size_t k = 0;
        for (int fd = 3; fd <= end; ++fd) {
            if (k < kept.size() && kept[k] == fd) ++k;
            else close(fd);
        }
        for (const int fd : open) {
            if (fd > end && !contains(kept, fd)) close(fd);
        }
    }
    static bool contains(const std::vector<int>& list, int fd) noexcept {
        for (const int one : list) {
            if (one == fd) return true;
        }
        return false;
    }
    /// Never by trying every number up to RLIMIT_NOFILE, which containers set to a thousand million.
    static std::vector<int> open_descriptors() {
        std::vector<int> open;
        Directory directory("/dev/fd");
        if (!directory.is_open()) {
            for (int fd = 3; fd < 4096; ++fd) {
                if (is_open(fd)) open.push_back(fd);
            }
            return open;
        }
        while (const char* const name = directory.next()) {
            const int fd = std::atoi(name);
            if (fd > 2) open.push_back(fd);
        }
        return open;
    }

    posix_spawn_file_actions_t actions_;
    int error_;
    bool made_;
};

/// posix_spawn's attributes: the group, and a clean set of signals. The first error stays.
class Attributes {
  public:
    /// `leader` is the process whose group a further stage joins; 0 for the first.
    Attributes(Group group, Pid leader) : error_(sys::spawn_attributes_init(&attributes_)), made_(error_ == 0) {
        if (!made_) return;
        // Nothing blocked: a job must be able to receive SIGTERM whatever the spawning thread has blocked.
        sigset_t none;
        sigemptyset(&none);
        ::posix_spawnattr_setsigmask(&attributes_, &none);
        // Nothing ignored, but for what nohup and a shell's `&` set up on purpose. An ignored SIGPIPE would break
        // pipelines, an ignored SIGCHLD the child's own children, an ignored SIGTERM every polite end. Naming them
        // all also spares glibc half of its sigaction calls in the child.
        sigset_t defaults;
        sigfillset(&defaults);
        for (const int kept : {SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGSTOP}) sigdelset(&defaults, kept);
        ::posix_spawnattr_setsigdefault(&attributes_, &defaults);

        int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
        if (group == Group::own || group == Group::foreground) flags |= POSIX_SPAWN_SETPGROUP;
        ::posix_spawnattr_setpgroup(&attributes_, leader);
        if (group == Group::session) flags |= sys::spawn_setsid;
        if (group == Group::session && sys::spawn_setsid == 0) error_ = ENOSYS;
        flags |= sys::spawn_cloexec_default;
        // What was set above cannot fail; unknown flags can.
        if (error_ == 0) error_ = ::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags));
    }
    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;
    ~Attributes() {
        if (made_) ::posix_spawnattr_destroy(&attributes_);
    }

    int error() const noexcept { return error_; }
    const posix_spawnattr_t* get() const noexcept { return &attributes_; }

  private:
    posix_spawnattr_t attributes_;
    int error_;
    bool made_;
};

/// The streams of a job, opened once: the numbers here that the child's 0, 1 and 2 are to come from.
class Sources {
  public:
    /// Gives our ends of the pipes to `started`.
    Expected<void> open(const Plan& plan, Started& started) {
        if (has_terminal(plan.in, plan.out, plan.err)) {
            auto made = make_terminal(plan.terminal);
            if (!made) return made.error();
            terminal_ = *std::move(made);
        }
        if (auto opened = open_input(plan.in, started.in); !opened) return opened;
        const bool may_be_terminal = !plan.in.is(Stdio::Kind::null) && !plan.in.is(Stdio::Kind::piped);
        if (may_be_terminal && plan.group == Group::own && is_controlling_terminal(in()))
            return make_error(std::errc::invalid_argument, Step::options, "in",
                              "a job in a group of its own would be stopped when it reads the terminal: "
                              "use Options::interactive(), or in = null");
        if (auto opened = open_output(plan.out, 1, started.out); !opened) return opened;
        if (plan.err.is(Stdio::Kind::to_out)) return {};
        if (auto opened = open_output(plan.err, 2, started.err); !opened) return opened;
        if (!plan.err.is(Stdio::Kind::per_stage)) return {};
        for (std::size_t stage = 1; stage < plan.stages.size(); ++stage) {
            auto ends = make_output_pipe("err");
            if (!ends) return ends.error();
            started.later_errs.push_back(std::move(ends->read));
            later_errs_.push_back(std::move(ends->write));
        }
        return {};
    }

    /// Of the terminal to open, where a number is that of `terminal`.
    const std::string& terminal_path() const noexcept { return terminal_.path; }
    static constexpr int terminal = -1;

    int in() const noexcept { return numbers_[0]; }
    int out() const noexcept { return numbers_[1]; }
    int err(std::size_t stage) const noexcept {
        return stage == 0 || later_errs_.empty() ? numbers_[2] : later_errs_[stage - 1].get();
    }

  private:
    Expected<void> hold(Expected<Fd> opened, int stream) {
        if (!opened) return opened.error();
        numbers_[stream] = opened->get();
        held_[stream] = *std::move(opened);
        return {};
    }

    static Expected<PipeEnds> make_output_pipe(const char* name) {
        auto ends = make_pipe(name);
        if (ends && !make_nonblocking(ends->read)) return make_error(errno, Step::redirect, name);
        return ends;
    }

    Expected<void> open_input(const Input& in, Fd& ours) {
        switch (in.kind) {
            case Stdio::Kind::piped: {
                auto ends = make_pipe("in");
                if (!ends) return ends.error();
                ours = std::move(ends->write);
                if (!make_nonblocking(ours)) return make_error(errno, Step::redirect, "in");
                return hold(std::move(ends->read), 0);
            }
            case Stdio::Kind::tty:
                ours = Fd(duplicate_above(terminal_.ours.get(), 3));
                if (!ours.is_open()) return make_error(errno, Step::redirect, "in");
                numbers_[0] = terminal;
                return {};
            case Stdio::Kind::bytes: return hold(file_with(in.text, "in"), 0);
            case Stdio::Kind::file: return hold(open_file(in.text, O_RDONLY, "in"), 0);
            default: return open_common(in, 0, O_RDONLY, "in");
        }
    }

    Expected<void> open_output(const Output& out, int stream, Fd& ours) {
        const char* const name = stream == 1 ? "out" : "err";
        switch (out.kind) {
            case Stdio::Kind::piped:
            case Stdio::Kind::per_stage:
            case Stdio::Kind::sink: {
                auto ends = make_output_pipe(name);
                if (!ends) return ends.error();
                ours = std::move(ends->read);
                return hold(std::move(ends->write), stream);
            }
            case Stdio::Kind::tty:
                if (terminal_.ours.is_open()) ours = std::move(terminal_.ours);  // one stream reads it
                numbers_[stream] = terminal;
                return {};
            case Stdio::Kind::file:
                return hold(open_file(out.text, O_WRONLY | O_CREAT | (out.append ? O_APPEND : O_TRUNC), name), stream);
            default: return open_common(out, stream, O_WRONLY, name);
        }
    }

    Expected<void> open_common(const Stdio& stdio, int stream, int flags, const char* name) {
        if (stdio.is(Stdio::Kind::descriptor)) {
            numbers_[stream] = stdio.number;
            return {};
        }
        if (stdio.is(Stdio::Kind::inherit) && is_open(stream)) {
            numbers_[stream] = stream;
            return {};
        }
        // Also for a stream to inherit that the host has closed: a child without one would give its number to the
        // first file it opens, and then write its messages there.
        return hold(open_file("/dev/null", flags, name), stream);
    }

    int numbers_[3] = {0, 1, 2};
    Fd held_[3];  // ours until the child has its duplicates
    std::vector<Fd> later_errs_;
    PseudoTerminal terminal_;
};

/// Which descriptor of ours becomes which of one child's, all moved out of each other's way.
class Wiring {
  public:
    Expected<void> connect(int in, int out, int err, const std::string& terminal_path,
                           const std::vector<PassFd>& passes) {
        sources_ = {in, out, err};
        terminal_path_ = &terminal_path;
        for (const PassFd& pass : passes) {
            sources_.push_back(pass.ours);
            targets_.push_back(pass.theirs);
        }
        return stage();
    }

    void describe(FileActions& actions) const {
        int terminal = -1;
        for (std::size_t i = 0; i < targets_.size(); ++i) {
            if (sources_[i] == Sources::terminal) {
                if (terminal < 0) actions.open_terminal(*terminal_path_, targets_[i]);
                else actions.duplicate(terminal, targets_[i]);
                terminal = targets_[i];
            } else if (sources_[i] == targets_[i]) {
                actions.inherit(targets_[i]);
            } else {
                actions.duplicate(sources_[i], targets_[i]);
            }
        }
        std::vector<int> kept;
        for (const int target : targets_) {
            if (target <= 2) continue;
            auto place = kept.begin();
            while (place != kept.end() && *place < target) ++place;
            kept.insert(place, target);
        }
        actions.close_rest(kept);
    }

  private:
    /// dup2 runs in the child one after the other: a source that is itself a target would be run over, and one that
    /// is its own target would keep its close-on-exec flag on some systems (glibc before 2.29). Such a source is
    /// first duplicated above every target. A stream that simply stays is left alone.
    Expected<void> stage() {
        int highest = 2;
        for (const int target : targets_) highest = target > highest ? target : highest;
        const int limit = sys::descriptor_limit();
        const std::vector<int> from = sources_;
        for (std::size_t i = 0; i < from.size(); ++i) {
            if (from[i] == targets_[i] && targets_[i] <= 2 && stays(from[i])) continue;
            // glibc refuses a number past RLIMIT_NOFILE, which may have been lowered since: that is moved down
            if (!is_target(from[i]) && from[i] < limit) continue;
            Fd staged(duplicate_above(from[i], highest + 1));
            if (!staged.is_open())
                return make_error(errno, Step::redirect, concat({"descriptor ", std::to_string(from[i])}),
                                  "could not be duplicated");
            sources_[i] = staged.get();
            held_.push_back(std::move(staged));
        }
        return {};
    }

    static bool stays(int fd) noexcept { return (sys::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0; }

    bool is_target(int fd) const noexcept {
        for (const int target : targets_) {
            if (target == fd) return true;
        }
        return false;
    }

    std::vector<int> targets_{0, 1, 2};
    std::vector<int> sources_;
    const std::string* terminal_path_ = nullptr;
    std::vector<Fd> held_;  // ours until the child has its duplicates
};

/// Pointers to the strings, NULL at the end, as exec wants them.
inline std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> list;
    list.reserve(strings.size() + 1);
    for (std::string& text : strings) list.push_back(&text[0]);
    list.push_back(nullptr);
    return list;
}

/// Starts one program. `leader` is the process whose group it joins; 0 for the first, which takes the terminal.
inline Expected<Pid> spawn_one(Stage& stage, const Plan& plan, const Wiring& wiring, char* const* environment,
                               Pid leader, const Foreground& foreground) {
    FileActions actions;
    if (sys::has_tcsetpgrp_action && leader == 0 && foreground.is_lent()) actions.take_foreground(foreground.handle());
    wiring.describe(actions);
    if (!plan.cwd.empty()) actions.chdir(plan.cwd);
    if (actions.error() == ENOSYS)
        return make_error(ENOSYS, Step::cwd, plan.cwd, "this system's posix_spawn cannot change the directory");
    const Attributes attributes(plan.group, leader);
    if (attributes.error() == ENOSYS)
        return make_error(ENOSYS, Step::options, "group", "this system's posix_spawn cannot make a session");
    if (const int error = actions.error() != 0 ? actions.error() : attributes.error())
        return make_error(
            error, Step::spawn, stage.program,
            error == EBADF ? "a descriptor above RLIMIT_NOFILE, which was lowered, cannot be kept from the child" : "");

    const std::vector<char*> argv = pointers(stage.argv);
    Pid pid = -1;
    // A fork elsewhere in the host can hold a program open that was just written, for as long as it takes to exec
    // (ETXTBSY): worth a few tries, 1 + 2 + 4 + … + 64 ms.
    int error = 0;
    for (int pause = 1; pause <= 128; pause *= 2) {
        error =
            sys::posix_spawn(&pid, stage.program.c_str(), actions.get(), attributes.get(), argv.data(), environment);
        if (error != ETXTBSY || pause == 128 || plan.deadline.passed()) break;
        sleep_until(sooner(plan.deadline, Deadline::after(std::chrono::milliseconds(pause))));
    }
    if (error != 0) return explain_spawn(error, stage.program, plan.cwd);
    return pid;
}

/// Starts what the plan says. Where a stage cannot start, `started` has those before it: the caller ends them.
inline Expected<void> spawn(Plan plan, Started& started) {
    started.pids.reserve(plan.stages.size());  // so that a process, once started, is noted without fail
    if (plan.group == Group::foreground) {
        if (const int error = started.foreground.open()) return make_error(error, Step::redirect, "/dev/tty");
        if (started.foreground.is_mine()) started.foreground.prepare();
    }
    Sources sources;
    if (auto opened = sources.open(plan, started); !opened) return opened;
    std::vector<char*> own;
    if (plan.environment) own = pointers(*plan.environment);
    char* const* const environment = plan.environment ? own.data() : sys::environment();

    Fd previous;  // what the stage before wrote
    for (Stage& stage : plan.stages) {
        const bool first = &stage == &plan.stages.front(), last = &stage == &plan.stages.back();
        PipeEnds next;
        const auto start = [&]() -> Expected<Pid> {
            if (!last) {
                auto ends = make_pipe("between two stages");
                if (!ends) return ends.error();
                next = *std::move(ends);
            }
            const int in = first ? sources.in() : previous.get();
            const int out = last ? sources.out() : next.write.get();
            Wiring wiring;
            const int err = plan.err.is(Stdio::Kind::to_out) ? out : sources.err(started.pids.size());
            auto wired = wiring.connect(in, out, err, sources.terminal_path(), plan.pass_fds);
            if (!wired) return wired.error();
            return spawn_one(stage, plan, wiring, environment, first ? 0 : started.pids.front(), started.foreground);
        };
        auto pid = start();
        if (!pid) {
            Error error = std::move(pid).error();
            if (!first && error.code == std::errc::operation_not_permitted && plan.group != Group::inherited) {
                error.step = Step::spawn;
                error.hint =
                    "the group that it was to join is gone: did the first stage leave it, or does this host "
                    "ignore SIGCHLD?";
            }
            if (plan.stages.size() > 1) error.stage = static_cast<int>(started.pids.size());
            return error;
        }
        started.pids.push_back(*pid);
        // Before the next stage is in the group: a SIGTTIN, sent to all of it because this one reads already, would stop
        // the next one short of its exec, and posix_spawn waits for that.
        if (first && !sys::has_tcsetpgrp_action && started.foreground.is_lent()) started.foreground.lend(*pid);
        previous = std::move(next.read);
    }
    return {};
}

}  // namespace leash::detail::os

#endif  // LEASH_POSIX

// leash/detail/posix/posix_start.hpp - Actions, carried out by posix_spawn.
#ifndef LEASH_0_1_0_DETAIL_POSIX_POSIX_START_HPP
#define LEASH_0_1_0_DETAIL_POSIX_POSIX_START_HPP

#include <leash/config.hpp>

#include <string>

#include <leash/detail/array.hpp>
#include <leash/detail/posix/actions.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/program.hpp>
#include <leash/detail/posix/sys/descriptors.hpp>
#include <leash/detail/posix/sys/files.hpp>
#include <leash/detail/posix/sys/processes.hpp>
#include <leash/detail/posix/sys/spawn.hpp>
#include <leash/detail/text.hpp>

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

/// posix_spawn's own list of file actions. The first error stays.
class FileActions {
  public:
    /// Of closes by a list, or else as this system does it best.
    explicit FileActions(bool by_list)
        : by_list_(by_list), error_(sys::spawn_actions_init(&actions_)), made_(error_ == 0) {}
    FileActions(const FileActions&) = delete;
    FileActions& operator=(const FileActions&) = delete;
    ~FileActions() {
        if (made_) ::posix_spawn_file_actions_destroy(&actions_);
    }

    void add(const Action& action) noexcept {
        if (error_ == 0) error_ = describe(action);
    }

    /// Closes everything in the child but 0, 1, 2 and `kept` (ascending, all above 2).
    void close_rest(const Array<int>& kept) {
        if (sys::has_cloexec_default) return;
        if (!by_list_) {
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
    int describe(const Action& action) noexcept {
        switch (action.kind) {
            case Action::Kind::take_foreground: return sys::spawn_actions_tcsetpgrp(&actions_, action.from);
            case Action::Kind::open: return sys::spawn_actions_open(&actions_, action.to, action.path, action.flags);
            case Action::Kind::chdir: return sys::spawn_actions_chdir(&actions_, action.path);
            case Action::Kind::stay:
                return sys::has_cloexec_default ? sys::spawn_actions_inherit(&actions_, action.to) : 0;
            case Action::Kind::tell:
            case Action::Kind::follow:
            case Action::Kind::enter:  // this one and those below: see Launcher
            case Action::Kind::mask:
            case Action::Kind::be_nice:
            case Action::Kind::limit: return 0;
            case Action::Kind::duplicate: break;
        }
        if (action.from == action.to && sys::has_cloexec_default)
            return sys::spawn_actions_inherit(&actions_, action.to);
        return sys::spawn_actions_dup2(&actions_, action.from, action.to);
    }
    void close(int fd) noexcept {
        if (error_ == 0) error_ = sys::spawn_actions_close(&actions_, fd);
    }

    [[gnu::cold]] void close_enumerated(const Array<int>& kept) {
        // Other threads go on opening while this list is made, and a new descriptor takes the lowest free number:
        // so every number up to the highest that is open, and a margin, is closed, whether it is open now or not
        // (closing what is not open is fine). Only beyond that, just what was seen.
        constexpr int margin = 256, dense = 16 * 1024;
        const Array<int> open = open_descriptors();
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
    [[gnu::cold]] static Array<int> open_descriptors() {
        // The list of this thread (Linux 3.17) before that of the process, which is its main thread's: empty once that
        // has ended by pthread_exit. (/dev/fd is that too; on some BSDs it lists what could be open, or 0, 1 and 2.)
        for (const char* const path : {"/proc/thread-self/fd", "/proc/self/fd"}) {
            Array<int> open;
            bool is_ours = false;
            Directory directory(path);
            while (const char* const name = directory.next()) {
                const int fd = std::atoi(name);
                if (fd > 2) open.add(fd);
                is_ours |= fd == directory.handle();
            }
            if (is_ours) return open;
        }
        return found_open();
    }
    /// Without such a list: asks for each number, a thousand at a time. Up to RLIMIT_NOFILE, or 64 Ki where that was
    /// lowered; but never more than a million, since containers set it to a thousand million.
    [[gnu::cold]] static Array<int> found_open() {
        constexpr int least = 64 * 1024, most = 1024 * 1024, batch = 1024;
        const int limit = sys::descriptor_limit();
        const int end = limit < least ? least : limit < most ? limit : most;
        const auto count = static_cast<nfds_t>(limit < 1 ? 1 : limit < batch ? limit : batch);
        Array<pollfd> asked(count);
        Array<int> open;
        for (int next = 3; next < end;) {
            for (pollfd& one : asked) one = pollfd{next++, 0, 0};
            const bool answered = sys::poll(asked.begin(), count, 0) >= 0;
            for (const pollfd& one : asked) {
                if (answered ? (one.revents & POLLNVAL) == 0 : is_open(one.fd)) open.add(one.fd);
            }
        }
        return open;
    }

    const bool by_list_;
    posix_spawn_file_actions_t actions_;
    int error_;
    bool made_;
};

/// A session has one without being told.
inline bool sets_group(const Actions& actions) noexcept {
    return actions.group != Group::inherited && actions.group != Group::session;
}

/// posix_spawn's own attributes: the group, and a clean set of signals. The first error stays.
class Attributes {
  public:
    [[gnu::cold]] explicit Attributes(const Actions& actions)
        : error_(sys::spawn_attributes_init(&attributes_)), made_(error_ == 0) {
        if (!made_) return;
        // Nothing blocked: a job must be able to receive SIGTERM whatever the spawning thread has blocked.
        sigset_t none;
        sigemptyset(&none);
        ::posix_spawnattr_setsigmask(&attributes_, &none);
        // Nothing ignored, but for what nohup and a shell's `&` set up on purpose, against the keys and the end of the
        // host's terminal: a child at one of its own has other keys. An ignored SIGPIPE would break pipelines, an
        // ignored SIGCHLD the child's own children, an ignored SIGTERM every polite end. Naming them all also spares
        // glibc half of its sigaction calls in the child.
        sigset_t defaults;
        sigfillset(&defaults);
        for (const int immutable : {SIGKILL, SIGSTOP}) sigdelset(&defaults, immutable);
        if (!actions.at_own_terminal) {
            for (const int kept : {SIGHUP, SIGINT, SIGQUIT}) sigdelset(&defaults, kept);
        }
        ::posix_spawnattr_setsigdefault(&attributes_, &defaults);

        int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
        if (sets_group(actions)) flags |= POSIX_SPAWN_SETPGROUP;
        ::posix_spawnattr_setpgroup(&attributes_, actions.leader);
        if (actions.group == Group::session) flags |= sys::spawn_setsid;
        if (actions.group == Group::session && sys::spawn_setsid == 0) error_ = ENOSYS;
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

/// posix_spawn has one number for all that can fail in the child: which of the list it was is asked afterwards.
[[gnu::cold]] inline Birth find_failure(int error, const Actions& actions) {
    for (std::size_t i = 0; i < actions.list.size(); ++i) {
        const Action& action = actions.list[i];
        int why = 0;
        if (action.kind == Action::Kind::chdir) why = why_not_directory(action.path);
        if (action.kind == Action::Kind::open && !Fd::open(action.path, action.flags | O_NOCTTY).is_open() &&
            is_no(errno))
            why = errno;
        if (why != 0) return Birth::failure(why, Birth::Step::action, i);
    }
    return Birth::failure(error);
}

/// `by_list`: descriptors are closed one by one, as they were found open.
[[gnu::cold]] inline Birth start_by_posix_spawn(const Image& image, const Actions& actions,
                                                bool by_list = !sys::has_closefrom) {
    FileActions files(by_list);
    for (std::size_t i = 0; i < actions.list.size(); ++i) {
        files.add(actions.list[i]);
        if (files.error() == ENOSYS) return Birth::failure(ENOSYS, Birth::Step::action, i);
    }
    files.close_rest(actions.kept);
    if (files.error() != 0) return Birth::failure(files.error(), Birth::Step::copy);
    const Attributes attributes(actions);
    if (attributes.error() == ENOSYS) return Birth::failure(ENOSYS, Birth::Step::group);
    if (attributes.error() != 0) return Birth::failure(attributes.error(), Birth::Step::copy);

    Birth birth;
    birth.error =
        sys::posix_spawn(&birth.pid, image.path, files.get(), attributes.get(), image.argv, image.environment);
    if (birth.error == 0) {
        // The child does that itself, before its exec. Where vfork is a fork (qemu-user) it may not have come to it yet:
        // the next stage would find no group, and a signal nobody. Everywhere else this is refused, EACCES.
        if (sets_group(actions)) sys::setpgid(birth.pid, actions.leader != 0 ? actions.leader : birth.pid);
        for (const Action& action : actions.list) {
            if (action.kind != Action::Kind::tell) continue;
            sys::NoWriteSignal guard;
            const std::string number = concat({decimal(birth.pid), "\n"});
            if (sys::write(action.from, number.data(), number.size()) < 0) guard.failed(errno);
        }
        return birth;
    }
    // The reason may be closefrom: without close_range and /proc it cannot close.
    if (!by_list && birth.error != ETXTBSY && !sys::has_close_range())
        return start_by_posix_spawn(image, actions, true);
    return find_failure(birth.error, actions);
}

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#endif  // LEASH_0_1_0_DETAIL_POSIX_POSIX_START_HPP

// leash/detail/posix/alone.hpp - a program that there is no handle for: nobody's child, or the host itself.
#ifndef LEASH_0_1_0_DETAIL_POSIX_ALONE_HPP
#define LEASH_0_1_0_DETAIL_POSIX_ALONE_HPP

#include <leash/config.hpp>

#include <string>
#include <system_error>
#include <utility>

#include <cerrno>

#include <leash/command.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/array.hpp>
#include <leash/detail/plan.hpp>
#include <leash/detail/posix/actions.hpp>
#include <leash/detail/posix/direct_start.hpp>
#include <leash/detail/posix/exit_watch.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/spawn.hpp>
#include <leash/detail/posix/start.hpp>
#include <leash/detail/posix/sys/spawn.hpp>
#include <leash/detail/text.hpp>
#include <leash/error.hpp>
#include <leash/options.hpp>

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

/// What takes somebody who waits, reads or writes.
inline Expected<void> check_alone(const Options& options, const char* what) {
    const Options none;
    const char* name = nullptr;
    const auto refuse = [&](bool is_given, const char* option) { name = is_given && name == nullptr ? option : name; };
    const auto moves = [](const Stdio& stream) {
        return stream.is(Stdio::Kind::piped) || stream.is(Stdio::Kind::tty) || stream.is(Stdio::Kind::sink) ||
               stream.is(Stdio::Kind::per_stage);
    };
    refuse(moves(stdio_of(options.in)), "in");
    refuse(moves(stdio_of(options.out)), "out");
    refuse(moves(stdio_of(options.err)), "err");
    refuse(options.reach != none.reach, "reach");
    refuse(options.stragglers != none.stragglers, "stragglers");
    refuse(options.die_with_parent, "die_with_parent");
    refuse(!options.timeout.is_none(), "timeout");
    refuse(!options.idle_timeout.is_none(), "idle_timeout");
    refuse(options.grace.is_given(), "grace");
    refuse(!options.stop_sequence.empty(), "stop_sequence");
    refuse(options.drain.length() != none.drain.length(), "drain");
    refuse(options.cancel.has_value(), "cancel");
    refuse(options.max_output != none.max_output, "max_output");
    refuse(options.keep != none.keep, "keep");
    refuse(options.all, "all");
    if (name == nullptr) return {};
    return failure(std::errc::invalid_argument, Step::options, name, what);
}

/// Starts a program in one of these ways. Its number, where it has another one than the host.
[[gnu::cold]] inline Expected<Pid> start_alone(Command command, Options options,
                                               Birth (*start)(const Image&, const Actions&)) {
    Plan plan;
    if (const auto made = make_plan(stages_of(std::move(command)), std::move(options), plan); !made)
        return made.error();
    Started started;
    Sources sources;
    if (auto opened = sources.open(plan, started); !opened) return opened.error();
    Actions actions;
    actions.group = plan.group;
    actions.leader = plan.group.joined();
    Wiring wiring(sources);
    if (auto described = describe_child(plan, sources, {sources.in(), sources.out(), 0}, wiring, actions); !described)
        return described.error();
    const Array<char*> own = pointers(plan.environment), argv = pointers(plan.stages.front().argv);
    const Image image{plan.stages.front().program.c_str(), argv.begin(),
                      plan.has_environment ? own.begin() : sys::environment()};
    const Birth birth = while_busy(plan.deadline, true, [&] {
        Birth born = start(image, actions);
        // The host leads its session by now, and would be refused another one.
        if (start == become && actions.group == Group::session) actions.group = Group::inherited;
        return born;
    });
    if (birth.error == 0) return birth.pid;
    if (birth.step == Birth::Step::begin && birth.error == ENOSYS)
        return make_error(ENOSYS, Step::spawn, image.path,
                          "needs the direct start: Linux 5.9 on x86-64 or arm64, and no filter of its system calls");
    if (birth.step == Birth::Step::begin && birth.error == EPERM)  // of the clone: the program was not tried
        return make_error(EPERM, Step::spawn, image.path,
                          "a system call filter does not let this host create a process by clone()");
    return explain_birth(birth, actions, image, plan);
}

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#endif  // LEASH_0_1_0_DETAIL_POSIX_ALONE_HPP

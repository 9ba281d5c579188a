// leash/detail/posix/guardian.hpp - the process that ends a job when its host has ended, in whatever way.
#ifndef LEASH_0_1_0_DETAIL_POSIX_GUARDIAN_HPP
#define LEASH_0_1_0_DETAIL_POSIX_GUARDIAN_HPP

#include <leash/config.hpp>

#include <string>
#include <utility>
#include <vector>

#include <csignal>

#include <leash/deadline.hpp>
#include <leash/detail/posix/actions.hpp>
#include <leash/detail/posix/exit_watch.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/job.hpp>
#include <leash/detail/posix/start.hpp>
#include <leash/detail/posix/sys/processes.hpp>
#include <leash/detail/shared.hpp>
#include <leash/detail/text.hpp>
#include <leash/error.hpp>

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

/// A shell that waits for the end of a pipe, the lifeline, of which the host alone has the other end: also SIGKILL closes it.
/// It is in a group of its own, where no signal meets it that is for the host or for the job, and has nothing of either. By
/// the lifeline it hears the number of the job's group, from the job's leader itself before its exec where that can be
/// (Action::Kind::tell): then there is no moment in which a host that is killed leaves a job that nobody ends.
class Guardian : public Counted {
  public:
    Guardian() : keeper_(Group::own) {}

    /// Of a job with a group, or with a leader alone. Whoever bears the cookie of Reach::tree is ended too, or is in the
    /// control group of Reach::cgroup; otherwise they are empty.
    [[gnu::cold]] Expected<void> start(bool has_group, const std::string& cookie, const std::string& cgroup,
                                       Deadline deadline) {
        keeper_.expect(1);
        PipeEnds ends;
        if (!make_pipe(ends)) return no_pipe("die_with_parent");
        Actions actions;
        // SIGURG does nothing to a shell that has not come to its trap yet.
        actions.add({Action::Kind::follow}).flags = SIGURG;
        actions.add({Action::Kind::duplicate, ends.read.get(), 0});
        for (const int stream : {1, 2}) {
            Action& action = actions.add({Action::Kind::open, -1, stream});
            action.path = "/dev/null";
            action.flags = O_WRONLY;
        }
        const std::string host = decimal(sys::getpid());
        const char* const argv[] = {
            "sh", "-c", script, "leash", host.c_str(), cookie.c_str(), has_group ? "-" : "", cgroup.c_str(), nullptr};
        const char* const environment[] = {"LC_ALL=C", nullptr};
        std::vector<Pid> pids;
        std::vector<Fd> exits;
        pids.reserve(1);  // so that a process, once started, is noted without fail
        exits.reserve(1);
        Birth birth = start_one({"/bin/sh", for_exec(argv), for_exec(environment)}, actions, deadline);
        if (birth.error != 0) return failure(birth.error, Step::spawn, "/bin/sh", "needed for die_with_parent");
        pids.push_back(birth.pid);
        exits.push_back(std::move(birth.exit));
        keeper_.begin(pids, std::move(exits), {}, {});
        lifeline_ = std::move(ends.write);
        return {};
    }
    bool is_there() const noexcept { return lifeline_.is_open(); }
    int lifeline() const noexcept { return lifeline_.get(); }

    /// The job is over, or has been let go. In a forked copy of the host nothing but its descriptor goes.
    [[gnu::cold]] void dismiss() noexcept {
        if (!is_there()) return;
        if (keeper_.is_ours()) {
            // It is told, too: a host that has become another user cannot signal it any more.
            write_some(lifeline_, "done\n");
            if (keeper_.send(SIGKILL) == 0) keeper_.wait_for_exit(false);
            const Deadline until = Deadline::after(Duration::seconds(1));
            for (Backoff pause; !keeper_.has_ended() && !until.passed();) sleep_until(pause.next());
        }
        keeper_.close();
        lifeline_.close();
    }
    ~Guardian() override { dismiss(); }

  private:
    /// Of what every shell has. There may be no /proc, or that of another process namespace. The group's number may be a
    /// stranger's by then: where there is a process with that number, it must have begun when the leader had. SIGURG comes
    /// where the host's thread that started it has ended, and with it perhaps the host (see Action::Kind::follow): a forked
    /// copy of the host may hold the lifeline open.
    ///
    /// A shell reads byte by byte, each by a call. So those are looked at first who have a higher number than the leader, as
    /// most of the job's have; of the others only those who are younger; and nobody again who has shown that it has no
    /// cookie. (Who shows nothing may be in the middle of its exec. Of an sh, that may be another job's guardian, the
    /// environment is read at once: it is shorter than what tells of its age.)
    ///
    /// A shell does not see where a variable begins. What stands before and after tells the job's cookie from one that is
    /// quoted in another variable; where it does not, grep -z is asked, if there is one that knows it. Nothing else is
    /// started: the system may have no room for more processes. (A shell ends at that, by its trap.)
    static constexpr const char* script = R"(
trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE
host=$1 cookie=$2 whole=$3 cgroup=$4 group= begun= was_told= has_proc= line= grep=grep
cd /
look() {
    line= parent= at=
    [ -n "$has_proc" ] && IFS= read -r line < "/proc/$1/stat" || return
    set -- ${line##*) }
    parent=$2 at=${20}
}
bears_cookie() {
    found=
    while end=. && { IFS= read -r line && end= || [ -n "$line" ]; }; do
        found=other
        while case $line in *LEASH_JOB=*"$cookie"*) ;; *) false ;; esac do
            before=${line%%LEASH_JOB=*} line=${line#*LEASH_JOB=}
            value=${line%%[!0-9a-f:]*}
            case $value in *"$cookie"*) ;; *) continue ;; esac
            last=${before#"${before%?}"} next=$end${line#"$value"}
            case ${last:- }$next in
            [A-Za-z0-9/._-][A-Za-z_]* | [A-Za-z0-9/._-]. | [A-Za-z0-9/._-].[A-Za-z_]*) found=ours && return ;;
            esac
            [ -z "$grep" ] || grep -qsz "^LEASH_JOB=[0-9a-f:]*$cookie" "/proc/$1/environ"
            [ $? = 1 ] || found=ours
            return
        done
    done < "/proc/$1/environ"
}
seek() {
    for one in /proc/[0-9]*; do
        one=${one#/proc/}
        eval "[ -z \"\$other$one\" ]" && [ "$one" -gt "$1" ] || continue
        found=
        if [ "$one" -lt "$group" ] && IFS= read -r line < "/proc/$one/comm" && [ "$line" != sh ] &&
            look "$one" && [ "$at" -lt "$begun" ]; then
            found=other
        else
            bears_cookie "$one"
        fi
        case $found in
        other) eval "other$one=yes" ;;
        ours) kill -9 "$one" && idle=0 ;;
        esac
    done
}
search() {
    seek "$group"
    idle=0 round=0
    while [ $idle -lt 5 ] && [ $round -lt 100 ]; do
        idle=$((idle + 1)) round=$((round + 1))
        seek 0
    done
}
finish() {
    trap '' URG
    [ -z "$cgroup" ] || echo 1 > "$cgroup/cgroup.kill"
    look "$group"
    case $at in '' | "$begun") kill -9 "$whole$group" ;; esac
    [ -n "$cookie" ] || exit
    trap 'grep=; search' EXIT
    search
    trap - EXIT
    exit
}
ask() {
    look $$
    [ -z "$parent" ] || [ "$parent" = "$host" ] || finish
}
IFS= read -r line < /proc/self/stat
case $line in "$$ "*) has_proc=yes ;; esac
trap 'was_told=yes; [ -z "$group" ] || ask' URG
until read -r number; do
    [ -n "$was_told" ] || exit
    was_told=
done
[ "$number" = done ] && exit
look "$number"
begun=$at group=$number
ask
while read -r line || [ -n "$was_told" ]; do
    [ "$line" = done ] && exit
    was_told=
done
finish
)";

    Job keeper_;
    Fd lifeline_;
};

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#endif  // LEASH_0_1_0_DETAIL_POSIX_GUARDIAN_HPP

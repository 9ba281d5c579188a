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
    /// A shell that reads to a NUL (bash, mksh) sees the variables themselves. Another one (dash, ash) sees only that the cookie
    /// stands somewhere, and asks grep -z about all of these at once. Where no grep knows that, or this one was not let finish
    /// (2 is also for who has gone meanwhile), all of them are ended. Only then a process is started: the system may have no
    /// room for more, at which such a shell ends, and its EXIT trap goes on without grep.
    static constexpr const char* script = R"(
trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE
host=$1 cookie=$2 whole=$3 cgroup=$4 group= begun= was_told= has_proc= by_nul= has_grep=yes line=
cd /
look() {
    line= parent= at=
    [ -n "$has_proc" ] && IFS= read -r line < "/proc/$1/stat" || return
    set -- ${line##*) }
    parent=$2 at=${20}
}
read_environment() {
    found=
    while IFS= read -r ${by_nul:+-d ""} line || [ -n "$line" ]; do
        found=other
        case $by_nul$line in
        yesLEASH_JOB=*"$cookie"*) found=ours && break ;;
        yes*) ;;
        *"$cookie"*) found=${has_grep:+perhaps} && found=${found:-ours} && break ;;
        esac
    done < "/proc/$1/environ"
}
end_one() { kill -9 "$1" && idle=0; }
end_these() {
    all=
    for one; do all="$all /proc/$one/environ"; done
    bearers=$(grep -lsz "^LEASH_JOB=.*$cookie" $all)
    [ $? -le 2 ] && grep -qsz '^LC_ALL=C$' "/proc/$$/environ" || has_grep=
    for one; do
        case $has_grep$bearers in
        yes*"/proc/$one/environ"*) end_one "$one" ;;
        yes*) eval "other$one=\$quotes$one quotes$one=yes" ;;
        *) end_one "$one" ;;
        esac
    done
}
seek() {
    perhaps=
    for one in /proc/[0-9]*; do
        one=${one#/proc/}
        eval "[ -z \"\$other$one\" ]" && [ "$one" -gt "$1" ] || continue
        if [ "$one" -lt "$group" ] && IFS= read -r line < "/proc/$one/comm" && [ "$line" != sh ] &&
            look "$one" && [ "$at" -lt "$begun" ]; then
            found=other
        else
            read_environment "$one"
        fi
        case $found in
        other) eval "other$one=yes" ;;
        perhaps) perhaps="$perhaps $one" ;;
        ours) end_one "$one" ;;
        esac
    done
    [ -z "$perhaps" ] || end_these $perhaps
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
    trap 'has_grep=; search' EXIT
    search
    trap - EXIT
    exit
}
ask() {
    look $$
    [ -z "$parent" ] || [ "$parent" = "$host" ] || finish
}
IFS= read -r -d "" line < /proc/self/environ && [ "$line" = LC_ALL=C ] && by_nul=yes
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

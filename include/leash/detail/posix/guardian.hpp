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
        PipeEnds ends, letter_box;
        if (!make_pipe(ends) || (!cookie.empty() && !make_pipe(letter_box))) return no_pipe("die_with_parent");
        Actions actions;
        // SIGURG does nothing to a shell that has not come to its trap yet.
        actions.add({Action::Kind::follow}).flags = SIGURG;
        actions.add({Action::Kind::duplicate, ends.read.get(), 0});
        for (const int stream : {1, 2}) {
            Action& action = actions.add({Action::Kind::open, -1, stream});
            action.path = "/dev/null";
            action.flags = O_WRONLY;
        }
        if (letter_box.read.is_open()) {
            actions.add({Action::Kind::duplicate, letter_box.read.get(), 3});
            actions.kept.push_back(3);
        }
        const std::string host = decimal(sys::getpid());
        const char* const argv[] = {
            "sh", "-c", script, "leash", host.c_str(), cookie.c_str(), has_group ? "-" : "", cgroup.c_str(), nullptr};
        const char* const environment[] = {"LC_ALL=C", "LEASH_GUARDIAN=1", nullptr};  // by which another one knows it
        std::vector<Pid> pids;
        std::vector<Fd> exits;
        pids.reserve(1);  // so that a process, once started, is noted without fail
        exits.reserve(1);
        Birth birth = start_one({"/bin/sh", for_exec(argv), for_exec(environment)}, actions, deadline);
        if (birth.error != 0) return failure(birth.error, Step::spawn, "/bin/sh", "for die_with_parent");
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
    /// First it looks at those whose numbers come right after the leader's, as most of a small job's do. Then who bears a
    /// cookie is found by grep, and is the one whom grep saw if it began before that. Where there are few to look at, no grep,
    /// or no room for more processes (at which a shell ends, by its trap), the shell looks by itself. It reads byte by byte,
    /// each by a call; so of those with a lower number than the leader only at those who are younger, and at nobody again who
    /// has shown that it has no cookie. (Who shows nothing may be in the middle of its exec. Of an sh, that may be another
    /// guardian, the environment is read at once: it is shorter than what tells of its age.) But bash reads by blocks, and
    /// waits for seconds where there is no room: so it never starts grep.
    ///
    /// And of many guardians at work only few look. Each has a letter box, a pipe of which nobody has the other end, as its
    /// descriptor 3, and opens it, as 4, when its own group has gone. Who finds an open one, of a guardian with a lower
    /// number, leaves its cookies there, and is done if the box is still open after that: who closes it empties it once more.
    static constexpr const char* script = R"(
trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE
host=$1 cookies=$2 whole=$3 cgroup=$4 group= begun= was_told= has_proc= has_box= line=
cd /
look() {
    line= parent= at=
    [ -n "$has_proc" ] && IFS= read -r line < "/proc/$1/stat" || return 1
    set -- ${line##*) }
    parent=$2 at=${20}
}
bears_cookie() {
    found=
    while IFS= read -r line || [ -n "$line" ]; do
        case $found$line in
        LC_ALL=CLEASH_GUARDIAN=1) found=guardian && return 1 ;;
        job* | *LEASH_JOB=*) found=job ;;
        *) found=other && continue ;;
        esac
        for cookie in $cookies; do
            case $line in *"$cookie"*) found=ours && return 0 ;; esac
        done
    done < "/proc/$1/environ"
    return 1
}
take() {
    while read -r cookie at; do
        case $cookie in ????????????????????????????????) ;; *) continue ;; esac
        cookies="$cookies
$cookie"
        [ -z "$begun" ] || [ "$at" -ge "$begun" ] || begun=$at
        letters=$((letters + 1)) idle=0 round=0
    done
}
close_box() {
    [ -n "$has_box" ] || return 0
    has_box=
    exec 5<&4 4<&-
    take <&5
    exec 5<&-
}
leave_to_another() {
    one=$$
    while [ $one -gt 2 ] && [ $one -gt $(($$ - 1000)) ]; do
        one=$((one - 1))
        box=/proc/$one/fd/4
        [ -p $box ] && [ -O /proc/$one ] && [ /proc/$one/ns/pid -ef /proc/self/ns/pid ] || continue
        bears_cookie $one
        [ "$found" = guardian ] || continue
        close_box
        for cookie in $cookies; do echo "$cookie $begun"; done >> $box && [ -p $box ] && trap - EXIT && exit
    done
}
search() {
    set -- /proc/[0-9]*
    [ $# -gt 50 ] || return 1
    list=$(exec 4<&- && look self && echo "$at" && exec grep -lzsF -e "$cookies" /proc/[0-9]*/environ /proc/self/cmdline)
    case $list in *cmdline) ;; *) return 1 ;; esac
    set -- $list
    now=$1
    shift
    for one; do
        one=${one#/proc/} one=${one%/environ}
        look "$one" && { [ "$at" -lt "$now" ] || bears_cookie "$one"; } && kill -9 "$one" && idle=0
    done
    return 0
}
seek() {
    for one in /proc/[0-9]*; do
        one=${one#/proc/}
        eval "[ \"\$other$one\" = $letters ]" && continue
        if [ "$one" -lt "$group" ] && IFS= read -r line < "/proc/$one/comm" && [ "$line" != sh ] &&
            look "$one" && [ "$at" -lt "$begun" ]; then
            found=other
        else
            bears_cookie "$one" && kill -9 "$one" && idle=0
        fi
        case $found in '' | ours) ;; *) eval "other$one=$letters" ;; esac
    done
}
end_all() {
    while :; do
        idle=0 round=0
        while [ $idle -lt 5 ] && [ $round -lt 100 ]; do
            idle=$((idle + 1)) round=$((round + 1))
            leave_to_another
            [ -n "$has_grep" ] && search || seek
            [ -z "$has_box" ] || take <&4
        done
        [ -n "$has_box" ] || break
        close_box
        [ $idle = 0 ] || break
    done
}
finish() {
    trap '' URG
    [ -z "$cgroup" ] || echo 1 > "$cgroup/cgroup.kill"
    look "$group"
    case $at in '' | "$begun") kill -9 "$whole$group" ;; esac
    [ -n "$cookies" ] && [ -n "$has_proc" ] || exit
    exec 4<&3 3<&-
    has_box=yes letters=0 has_grep=yes
    [ -z "$BASH_VERSION" ] || has_grep=
    one=$group found=
    while [ "$found" != guardian ] && [ $one -lt $((group + 8)) ]; do
        one=$((one + 1))
        bears_cookie $one && kill -9 $one
    done
    trap 'has_grep=; end_all' EXIT
    end_all
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

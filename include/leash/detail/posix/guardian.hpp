// leash/detail/posix/guardian.hpp - the process that ends a job when its host has ended, in whatever way.
#ifndef LEASH_0_1_0_DETAIL_POSIX_GUARDIAN_HPP
#define LEASH_0_1_0_DETAIL_POSIX_GUARDIAN_HPP

#include <leash/config.hpp>

#include <string>
#include <utility>

#include <csignal>

#include <leash/deadline.hpp>
#include <leash/detail/array.hpp>
#include <leash/detail/posix/actions.hpp>
#include <leash/detail/posix/exit_watch.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/job.hpp>
#include <leash/detail/posix/processes.hpp>
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
        const std::string of_host = concat({"LEASH_GUARDIAN=", host});
        const char* const environment[] = {"LC_ALL=C", cookie.empty() ? nullptr : of_host.c_str(), nullptr};
        Array<Pid> pids;
        Array<Fd> exits;
        pids.reserve(1);  // so that a process, once started, is noted without fail
        exits.reserve(1);
        Birth birth = start_one({"/bin/sh", for_exec(argv), for_exec(environment)}, actions, deadline);
        if (birth.error != 0) return failure(birth.error, Step::spawn, "/bin/sh", "needed for die_with_parent");
        pids.add(birth.pid);
        exits.add(std::move(birth.exit));
        keeper_.begin(pids, std::move(exits), {}, {});
        lifeline_ = std::move(ends.write);
        Seen seen{};
        if (!cookie.empty() && look_at_process(birth.pid, seen))
            write_some(lifeline_, concat({"since ", decimal(seen.start), "\n"}));
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
    /// stranger's by then: where there is a process with that number, it must be the leader, in whose directory of /proc the
    /// guardian is: that is empty once the leader has gone, whoever has the number then. SIGURG comes where the host's thread
    /// that started it has ended, and with it perhaps the host (see Action::Kind::follow): a forked copy of the host may hold
    /// the lifeline open. Who asks then, and finds it gone, writes that into the lifeline itself: what the host had written
    /// before, that the job was let go, is read first. It asks as soon as it knows the group, too: before the trap SIGURG is lost.
    ///
    /// grep -z is asked who has the cookie, and last of all about itself: where it names itself, by what nobody else has
    /// (LEASH_ASKS), it knows -z, and was let finish. Otherwise the shell reads by itself, byte by byte. Where it reads to a NUL
    /// (bash, mksh) it sees the variables themselves, and does so in the first round in any case, unless there are many: where
    /// there is no room for a process, bash tries for a quarter of a minute. Another one (dash, ash) sees only that the cookie
    /// stands somewhere, and all of these are ended. At no room for a process such a shell ends, and its EXIT trap goes on
    /// without grep and cat. (grep gets two hundred cookies in a fifth of the time where no hexadecimal digit stands before;
    /// it has asked a hundred processes before a shell has looked at them, so it comes first where there are so many.)
    ///
    /// With Reach::tree the host tells when the guardian has begun, before the leader does: who is older is not of the job.
    ///
    /// Who is in the middle of an exec shows no environment, or the half of one. So nobody counts as another but who has
    /// executed nothing from one round's look to the next one's, by what its memory is (`program`: where its environment begins,
    /// which the kernel chooses anew at each exec; 0 within one, as long as it has not noted where the code begins, which it does
    /// after that), or who is older than the guardian, a thread of the kernel's (2097152), or at its end (256 is a SIGKILL on
    /// its way). The search goes on as long as there is somebody else, for a hundred rounds. (Where addresses are not chosen at
    /// random, two looks have to do; also for who has a new line in its name, so that what follows in /proc is no field.)
    ///
    /// Of the guardians of one host the first in /proc searches for all: else two hundred would read all of /proc two hundred
    /// times. Each has a pipe for that, by a here-document, with a door: as long as it has descriptor 4, others write their
    /// cookies into it, wake it, and look whether the door is still there. Then they may go: who closes it reads all that
    /// they have written before it goes on. A guardian goes by its own host's alone, once that is gone, and by its own
    /// user's: any other may be dismissed at any time, or may not signal. (A host that ends closes its lifelines
    /// before it gives its children away: 4 is PF_EXITING. It may have dismissed the other one just before. And > would wait for
    /// a reader that has gone, where <> is one itself, at whose full pipe nobody would be told of the other's end: hence both.)
    static constexpr const char* script = R"sh(
trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE
host=$1 mine=$2 whole=$3 cgroup=$4 cookies= group= age= since= was_told= was_woken= is_gone= turn=0 has_proc=
by_nul= has_programs=yes line= blank=$IFS new_line='
'
cd /
tell() {
    while :; do
        case $line in *') '*) line=${line#*) } ;; *) break ;; esac
    done
    set -- $line
    [ $# -ge 29 ] || set --
    state=$1 flags=$7 at=${20:-$since} pending=${29} program=${48:-untold}
    [ "${24}" != 0 ] || program=0
}
look() {
    line= state= at= flags=0 pending=0 program=
    [ -n "$has_proc" ] && IFS= read -r line < "/proc/$1/stat" && tell
}
settle() {
    [ -n "$tells_program" ] || program=untold
    [ "$2" = $turn ] && last=$3 || last=
    is=$program
    if [ "$at" -lt "$since" ] || [ "$state" = Z ] || [ $((flags & 2097152 | pending & 256)) != 0 ]; then
        is=other
    elif [ "$program" = 0 ]; then
        [ -r "/proc/$1/environ" ] || is=other
    elif [ "$program" = "$last" ]; then
        is=other
    fi
    [ -z "$last" ] || [ $is = other ] || idle=0
    eval "is$1='$turn $is'"
}
settle_all() {
    if [ $# -le $few ] || [ -z "$has_programs" ]; then
        for one; do look "$one" && eval "settle $one \$is$one"; done
        return
    fi
    lines=$(
        exec 3<&- 4>&-
        files=
        for one; do files="$files /proc/$one/stat"; done
        exec cat $files
    )
    IFS=$new_line
    for line in $lines; do
        IFS=$blank
        one=${line%% *}
        case $one in '' | *[!0-9]*) continue ;; esac
        tell
        eval "settle $one \$is$one"
    done
    IFS=$blank
}
sift() {
    unknown=
    for one; do
        one=${one#/proc/}
        eval "[ \"\$is$one\" = '$turn other' ]" || ! [ -e "/proc/$one" ] || unknown="$unknown $one"
    done
}
end_one() { kill -9 "$1" && idle=0; }
ask_grep() {
    bearers=$(
        exec 3<&- 4>&-
        set -f
        files= pattern=
        for one; do files="$files /proc/$one/environ"; done
        for cookie in $cookies; do pattern="$pattern|$cookie"; done
        export LEASH_ASKS="$mine"
        exec grep -lszE "^LEASH_JOB=(.*[^0-9a-f])?(${pattern#|})|^LEASH_ASKS=$mine\$" $files /proc/self/environ
    )
    is_all=
    for one in $bearers; do
        one=${one#/proc/} one=${one%/environ}
        [ "$one" = self ] && is_all=yes || end_one "$one"
    done
    [ -n "$is_all" ]
}
has_cookie() {
    for cookie in $cookies; do
        case $line in *"$cookie"*) return 0 ;; esac
    done
    false
}
bears_cookie() {
    while IFS= read -r ${by_nul:+-d ""} line || [ -n "$line" ]; do
        case $by_nul$line in
        yesLEASH_JOB=*) has_cookie && return ;;
        yes*) ;;
        *) has_cookie && return ;;
        esac
    done < "/proc/$1/environ"
    false
}
end_bearers() {
    if [ -n "$has_programs" ] && { [ $few = 20 ] || [ $# -gt $few ]; }; then
        ask_grep "$@" && return
        has_programs=
    fi
    for one; do bears_cookie "$one" && end_one "$one"; done
}
seek() {
    set -- /proc/[0-9]*
    [ "$*" != "$settled" ] || return
    settled=$*
    [ "$by_nul$round" = yes1 ] && few=100 || few=20
    sift "$@"
    if [ $round -gt 1 ] || [ $# -le 100 ] || [ -z "$has_programs" ]; then
        settle_all $unknown
        sift $unknown
    fi
    [ -n "$unknown" ] || return
    settled=
    end_bearers $unknown
}
search() {
    look $$ || return
    [ "${program:-0}" = 0 ] && tells_program= || tells_program=yes
    turn=$((turn + 1)) idle=0 round=0 settled=
    eval "is$$='$turn other'"
    while [ -z "$was_woken" ] && [ $idle -lt 6 ] && [ $round -lt 100 ]; do
        idle=$((idle + 1)) round=$((round + 1))
        seek
    done
}
take() {
    cookies="$cookies $1"
    [ "${since:-$2}" -lt "$2" ] || since=$2
}
open_door() {
    [ -p /proc/self/fd/3 ] && command exec 4<> /proc/self/fd/3
}
close_door() {
    exec 4>&-
    [ -p /proc/self/fd/3 ] || return
    while read -r value begun <&3; do [ -z "$begun" ] || take "$value" "$begun"; done
}
look_for_host() {
    [ -n "$has_proc" ] || return
    while read -r line parent && [ "$line" != PPid: ]; do :; done < "/proc/$$/status"
    [ -z "$parent" ] || [ "$parent" = "$host" ] || is_gone=yes
}
give_to() {
    command exec 5<> "/proc/$1/fd/4" || return
    command exec 6> /proc/self/fd/5
    exec 5<&-
    is_written=yes
    for cookie in $cookies; do echo "$cookie $since" >&6 || is_written=; done
    exec 6>&-
    [ -n "$is_written" ] && kill -URG "$1" && [ -e "/proc/$1/fd/4" ] && look "$1" && [ $((flags & 4 | pending & 256)) = 0 ]
}
hand_over() {
    [ -n "$has_proc" ] || return
    [ -n "$is_gone" ] || ! look "$host" || [ $((flags & 4)) != 0 ] || return
    for one in /proc/[0-9]*; do
        [ "${one#/proc/}" -gt "$host" ] && [ -e "$one/fd/4" ] || continue
        line= && IFS= read -r line < "$one/environ"
        [ "$line" = "LC_ALL=CLEASH_GUARDIAN=$host" ] && [ -O "$one/environ" ] || continue
        [ "$one" != /proc/$$ ] || return
        close_door
        give_to "${one#/proc/}" && exit
        open_door
    done
}
search_for_all() {
    while
        close_door
        [ -n "$cookies" ]
    do
        open_door
        was_woken=
        trap 'was_woken=yes' URG
        search
        trap '' URG
        [ -n "$was_woken" ] || cookies=
    done
}
finish() {
    trap '' URG
    if [ -n "$group" ]; then
        [ -z "$cgroup" ] || echo 1 > "$cgroup/cgroup.kill"
        [ -z "$has_proc" ] || [ -e environ ] || ! [ -e "/proc/$group/environ" ] && kill -9 "$whole$group"
    fi
    [ -n "$mine" ] || exit
    [ -n "$is_gone" ] || look_for_host
    [ -z "$group" ] || take "$mine" "${age:-0}"
    hand_over
    trap 'has_programs= IFS=$blank; search_for_all' EXIT
    search_for_all
    trap - EXIT
    exit
}
ask() {
    [ -n "$is_gone" ] || look_for_host
    [ -z "$is_gone" ] || echo gone > /proc/self/fd/0 || finish
}
IFS= read -r -d "" line < /proc/self/environ && [ "$line" = LC_ALL=C ] && by_nul=yes
[ -e "/proc/self/task/$$" ] && has_proc=yes
[ -z "$mine" ] || command exec 3<< end

end
trap 'was_told=yes; [ -z "$group" ] || ask' URG
while read -r word value || [ -n "$was_told" ]; do
    was_told=
    case $word in
    '') continue ;;
    since) age=$value && continue ;;
    done) group= && finish ;;
    gone) finish ;;
    *)
        [ -z "$has_proc" ] || cd "/proc/$word"
        open_door
        group=$word  # at once: then the trap may ask
        ask
        ;;
    esac
done
finish
)sh";

    Job keeper_;
    Fd lifeline_;
};

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#endif  // LEASH_0_1_0_DETAIL_POSIX_GUARDIAN_HPP

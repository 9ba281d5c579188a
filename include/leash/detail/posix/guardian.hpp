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
        const std::string of_host = concat({"LEASH_GUARDIAN=", host});
        const char* const environment[] = {"LC_ALL=C", cookie.empty() ? nullptr : of_host.c_str(), nullptr};
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
    /// copy of the host may hold the lifeline open. Who asks then, and finds it gone, writes that into the lifeline itself: what
    /// the host had written before, that the job was let go, is read first.
    ///
    /// A shell reads byte by byte, each by a call. So those are looked at first who have a higher number than the leader, as
    /// most of the job's have; of the others only those who are younger; and nobody again who has shown that it has no
    /// cookie. (Who shows nothing may be in the middle of its exec. Of an sh, that may be another job's guardian, the
    /// environment is read at once: it is shorter than what tells of its age.) Where there are many to look at, grep is asked
    /// about all of them; it does not tell who shows nothing, so they are passed over after the second look.
    ///
    /// A shell that reads to a NUL (bash, mksh) sees the variables themselves. Another one (dash, ash) sees only that the cookie
    /// stands somewhere, and asks grep -z about all of these at once. Where no grep knows that, or this one was not let finish
    /// (2 is also for who has gone meanwhile), all of them are ended. Only then a process is started: the system may have no
    /// room for more, at which such a shell ends, and its EXIT trap goes on without grep.
    ///
    /// Of the guardians of one host the first in /proc searches for all: else two hundred would read all of /proc two hundred
    /// times. Each has a pipe for that, by a here-document, with a door: as long as it has descriptor 4, others write their
    /// cookies into it, wake it, and look whether the door is still there. Then they may go: who closes it reads all that
    /// they have written before it goes on. A guardian goes by its own host's alone, once that is gone, and by its own
    /// user's: any other may be dismissed at any time, or may not signal. (A host that ends closes its lifelines
    /// before it gives its children away: 4 is PF_EXITING. It may have dismissed the other one just before: 256 is a SIGKILL
    /// on its way. And > would wait for a reader that has gone, where <> is one itself, at whose full pipe nobody would be
    /// told of the other's end: hence both.)
    static constexpr const char* script = R"sh(
trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE
host=$1 mine=$2 whole=$3 cgroup=$4 cookies= group= begun= since= was_told= turn=0 has_proc= by_nul= has_grep=yes line=
cd /
look() {
    line= parent= at= flags=0 pending=0
    [ -n "$has_proc" ] && IFS= read -r line < "/proc/$1/stat" || return
    set -- ${line##*) }
    parent=$2 flags=$7 at=${20} pending=${29}
}
has_cookie() {
    for cookie in $cookies; do
        case $line in *"$cookie"*) return 0 ;; esac
    done
    false
}
read_environment() {
    found=
    while IFS= read -r ${by_nul:+-d ""} line || [ -n "$line" ]; do
        found=other
        case $by_nul$line in
        yesLEASH_JOB=*) has_cookie && found=ours && break ;;
        yes*) ;;
        *) has_cookie && found=${has_grep:+perhaps} && found=${found:-ours} && break ;;
        esac
    done < "/proc/$1/environ"
}
end_one() { kill -9 "$1" && idle=0; }
end_bearers() {
    files=
    for one; do files="$files /proc/$one/environ"; done
    bearers=$(
        exec 3<&- 4>&-
        for cookie in $cookies; do echo "^LEASH_JOB=.*$cookie"; done | grep -lszf - $files
    )
    [ $? -le 2 ] && { [ $has_grep = proven ] || grep -qsz '^LC_ALL=C$' "/proc/$$/environ"; } && has_grep=proven || has_grep=
    [ -n "$has_grep" ] || return
    for one in $bearers; do
        one=${one#/proc/}
        end_one "${one%/environ}"
    done
    for one; do eval "is${one}_$turn=\$was${one}_$turn was${one}_$turn=other"; done
}
seek() {
    unknown= count=0 perhaps=
    for one in /proc/[0-9]*; do
        one=${one#/proc/}
        eval "[ -z \"\$is${one}_$turn\" ]" && [ "$one" -gt "$1" ] && unknown="$unknown $one" count=$((count + 1))
    done
    [ $count -gt 100 ] && [ -n "$has_grep" ] && end_bearers $unknown && return
    for one in $unknown; do
        if [ "$one" -lt "$group" ] && IFS= read -r line < "/proc/$one/comm" && [ "$line" != sh ] &&
            look "$one" && [ "$at" -lt "$since" ]; then
            found=other
        else
            read_environment "$one"
        fi
        case $found in
        other) eval "is${one}_$turn=other" ;;
        perhaps) perhaps="$perhaps $one" ;;
        ours) end_one "$one" ;;
        esac
    done
    [ -z "$perhaps" ] || end_bearers $perhaps || for one in $perhaps; do end_one "$one"; done
}
search() {
    [ -n "$has_proc" ] || return
    turn=$((turn + 1))
    seek "$group"
    idle=0 round=0
    while [ $idle -lt 5 ] && [ $round -lt 100 ]; do
        idle=$((idle + 1)) round=$((round + 1))
        seek 0
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
    while read -r value age <&3; do [ -z "$age" ] || take "$value" "$age"; done
}
is_host_gone() {
    look $$ || return
    [ "$parent" != "$host" ] && return 0
    ! look "$host" || [ $((flags & 4)) != 0 ]
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
    is_host_gone || return
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
        [ -z "$cookies" ] || search
        cookies=
        close_door
        [ -n "$cookies" ]
    do open_door; done
}
finish() {
    trap '' URG
    if [ -n "$group" ]; then
        [ -z "$cgroup" ] || echo 1 > "$cgroup/cgroup.kill"
        look "$group"
        case $at in '' | "$begun") kill -9 "$whole$group" ;; esac
        [ -z "$mine" ] || take "$mine" "${begun:-0}"
    fi
    [ -n "$mine" ] || exit
    hand_over
    trap 'has_grep=; search_for_all' EXIT
    search_for_all
    trap - EXIT
    exit
}
ask() {
    look $$
    [ -z "$parent" ] || [ "$parent" = "$host" ] || echo gone > /proc/self/fd/0 || finish
}
IFS= read -r -d "" line < /proc/self/environ && [ "$line" = LC_ALL=C ] && by_nul=yes
IFS= read -r line < /proc/self/stat
case $line in "$$ "*) has_proc=yes ;; esac
[ -z "$mine" ] || command exec 3<< end

end
trap 'was_told=yes; [ -z "$group" ] || ask' URG
while read -r word || [ -n "$was_told" ]; do
    was_told=
    case $word in
    '') continue ;;
    done) group= && finish ;;
    gone) finish ;;
    *)
        look "$word"
        open_door
        begun=$at group=$word  # at once: then the trap may ask
        ;;
    esac
    ask
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

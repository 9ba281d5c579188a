// leash/options.hpp - HOW: everything about a job but its command.
#ifndef LEASH_0_1_0_OPTIONS_HPP
#define LEASH_0_1_0_OPTIONS_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <leash/cancel.hpp>
#include <leash/command.hpp>
#include <leash/config.hpp>
#include <leash/deadline.hpp>
#include <leash/detail/shared.hpp>
#include <leash/jobserver.hpp>
#include <leash/stdio.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {

/// What a braced list for an Env would be made of.
struct EnvEntry {
    template <class T, class = std::enable_if_t<is_text<T>>>
    EnvEntry(const T&, std::string_view = {}) {}
};

}  // namespace detail

/// The environment of the child: the host's as it is when the job starts, or none, and changes on top. Each call changes what
/// the ones before it have made: `only({"PATH"}).set("A", "1")` has both.
class Env {
  public:
    /// Names of variables, as a list or a vector of strings. `*` stands for any run of characters, also none, and every other
    /// character, `?` too, for itself: "LC_*" are all whose names begin so.
    class Names {
      public:
        /// A list: `{"PATH", "LC_*"}`.
        Names(std::initializer_list<Arg> patterns);
        /// A vector of strings.
        template <class Vector,
                  class = std::enable_if_t<std::is_convertible_v<const Vector&, std::vector<std::string>>>>
        Names(const Vector& patterns) : patterns_(patterns) {}

      private:
        friend class Env;
        bool match(std::string_view name) const noexcept;
        std::vector<std::string> patterns_;
    };

    /// The host's variables. What Options::env is when nothing is said.
    static Env inherited();
    /// No variable at all: also no PATH, in which case programs are looked up in the system's default path.
    static Env empty();

    /// Exactly these variables: of "NAME=value" strings, in a vector, an array, or ended by a null pointer (`environ`), or of
    /// pairs of name and value (a map). The last word on a name counts. What is no such string is refused when the job starts.
    /// @{
    template <class Entries>
    static Env from(const Entries& entries) {
        Env made = empty();
        if constexpr (std::is_pointer_v<Entries>) {
            for (auto one = entries; one != nullptr && *one != nullptr; ++one) made.add(*one);
        } else {
            for (const auto& one : entries) {
                if constexpr (std::is_pointer_v<std::decay_t<decltype(one)>>) {
                    if (one == nullptr) break;
                    made.add(one);
                } else if constexpr (std::is_convertible_v<decltype(one), std::string_view>) {
                    made.add(one);
                } else {
                    made.set(std::string(one.first), std::string(one.second));
                }
            }
        }
        return made;
    }
    static Env from(std::initializer_list<Arg> entries);
    /// @}

    /// Are these set on top of the host's variables, or are they all that there is? Does not compile.
    template <class Nothing = void>
    Env(std::initializer_list<detail::EnvEntry>) : Env(false) {
        static_assert(!std::is_void_v<Nothing>,
                      "leash: a list is no environment: write leash::Env::inherited().set(\"NAME\", \"value\"), or "
                      "leash::Env::from({\"NAME=value\"}) for nothing else.");
    }

    /// The last word on a name counts. A name that is empty or holds `=` or NUL is refused when the job starts.
    /// @{
    Env& set(std::string name, std::string value) &;
    [[nodiscard]] Env set(std::string name, std::string value) &&;
    /// @}

    /// Removes the variable from the child's environment.
    /// @{
    Env& unset(std::string name) &;
    [[nodiscard]] Env unset(std::string name) &&;
    /// @}

    /// Of the variables that there are by now, those alone that match one of these; only({}) is none. What is inherited is looked
    /// at when the job starts, as all of the host's variables are.
    /// @{
    Env& only(Names names) &;
    [[nodiscard]] Env only(Names names) &&;
    /// @}

    /// Of the variables that there are by now, those alone that match none of these: `without({"*_TOKEN", "AWS_*"})`.
    /// @{
    Env& without(Names names) &;
    [[nodiscard]] Env without(Names names) &&;
    /// @}

    /// What the child would see; nullopt where the variable would not exist.
    std::optional<std::string> get(std::string_view name) const;

    /// Does it begin with the host's variables?
    bool is_inherited() const noexcept { return inherit_; }
    /// A variable that is set, or removed. No name comes twice.
    struct Change {
        std::string name;      ///< not empty, without `=`
        std::string value;     ///< empty where it is removed
        bool removed = false;  ///< unset(), not set()
    };
    /// What was set and unset by name, in the order in which each first came; what only() and without() took away of it is
    /// unset, too. Not what they take of the host's.
    std::vector<Change> changes() const;

    /// Is it the host's environment, just as it is?
    bool is_unchanged() const noexcept { return inherit_ && !table_; }

    /// One variable.
    struct Variable {
        std::string name;   ///< not empty
        std::string value;  ///< may be empty
    };
    /// What the child would see, each with its name: `for (const auto& [name, value] : env.variables())`.
    std::vector<Variable> variables() const;

    /// The "NAME=value" strings that the child gets, and whatever else stands in the host's environment.
    std::vector<std::string> build() const;

  private:
    struct Table;
    explicit Env(bool inherits) : inherit_(inherits) {}
    Table& own_table();
    void change(Change made);
    void add(std::string_view entry);
    void sift(Names names, bool keeps);

    bool inherit_;
    detail::Shared<Table> table_;  // of the changes; empty where there is none; copies share it until one is changed
};

/// Which processes make up the job, and with it whom a signal reaches: one of the constants, or join(). A literal type; `own`
/// by default.
class Group {
  public:
    /// A process group of its own: the leader and every descendant that did not leave on purpose (an end by force looks for
    /// those too). The default. A job that uses the host's terminal from there, by /dev/tty, is stopped by it (SIGTTIN,
    /// SIGTTOU), and then ended: EndedBy::terminal_stop.
    /// (For a session, say `session`: the program setsid would fork, end at once, and with it the job.)
    static const Group own;
    /// The job stays in the host's group, so Ctrl-C at the terminal reaches it. leash signals the leader only; a forced end
    /// also looks for its descendants. What else it leaves behind is not ended.
    static const Group inherited;
    /// A session of its own (setsid), and a group with it: no controlling terminal, so that nothing can prompt.
    static const Group session;
    /// A group of its own, in the foreground of the host's terminal for as long as it runs, as a shell does it: it may
    /// read the terminal, Ctrl-C ends the job and not the host, and at Ctrl-Z both stop (the host's group gets
    /// SIGTSTP, so that the shell sees it) and go on together with `fg`. That takes a thread which waits; the stop is
    /// seen at once where there is nothing else to wait for, otherwise within 50 ms. The timeout goes on while both are
    /// stopped. Where the host has no terminal, or is in its background, it is `own`. Meanwhile no other thread of the
    /// host should read the terminal (SIGTTIN).
    static const Group foreground;

    /// The group with that number, which is there already and in the host's session (setpgid): for who signals groups himself, or
    /// has a terminal to give away. It is not the job's, so that nothing of leash's signals it: all is as with `inherited`. EPERM
    /// from the system where it has vanished or is another session's; the group's number may be another one's by then.
    static constexpr Group join(int group) noexcept { return Group(Kind::joined, group); }

    /// Of join(): the number that was given; 0 otherwise.
    constexpr int joined() const noexcept { return joined_; }
    /// Is it a new one, of the job alone, which signals reach as a whole? Not with `inherited` and join().
    constexpr bool is_new() const noexcept { return kind_ != Kind::inherited && kind_ != Kind::joined; }

    constexpr Group() noexcept = default;  ///< `own`

    /// The same choice.
    /// @{
    friend constexpr bool operator==(Group a, Group b) noexcept { return a.kind_ == b.kind_ && a.joined_ == b.joined_; }
    friend constexpr bool operator!=(Group a, Group b) noexcept { return !(a == b); }
    /// @}

  private:
    enum class Kind { own, inherited, session, foreground, joined };
    constexpr explicit Group(Kind kind, int joined = 0) noexcept : kind_(kind), joined_(joined) {}

    Kind kind_ = Kind::own;
    int joined_ = 0;
};

inline constexpr Group Group::own{};
inline constexpr Group Group::inherited{Kind::inherited};
inline constexpr Group Group::session{Kind::session};
inline constexpr Group Group::foreground{Kind::foreground};

/// Whom the end of a job reaches beyond its group.
enum class Reach {
    /// The group; an end by force also those who have left it, as long as their parents lead to them. The default.
    group,
    /// All that the job has started, also what has made a session of its own and lost its parents (a daemon), and also when
    /// the leader ends by itself. Linux 5.3, with /proc; elsewhere the job does not start. They are known by their parents, as
    /// long as there are any (looked at while the job runs too, whenever the host is awake for it); by their
    /// session, where one of them made it; by a cookie in their environment, LEASH_JOB; by the job's own ends of its
    /// pipes that they have open. They count as all others who are left: see Options::stragglers, drain and grace.
    ///
    /// Two ways out. One on purpose: a session of its own without LEASH_JOB, but with all else that the job was given
    /// (`env -u LEASH_JOB setsid server`) is spared. And one that nobody can bar without the kernel's help: who clears its
    /// environment and loses its parent between two looks, or runs as another user by then.
    tree,
    /// All that is in the job's own control group, a fresh one below the host's (Linux, cgroup v2): all that it has started,
    /// whatever that has done since. Only who may write to the host's own control group has a way out, by moving there on
    /// purpose: root, and the host's user where that was given it by systemd. The job is in it before its program's first
    /// instruction; at an end by force all of it gets SIGKILL at once (Linux 5.14; before, one by one). Those in it count as all
    /// others who are left: see Options::stragglers, drain and grace. It is removed with the job's end, or, where somebody stays
    /// in it or the host is killed, by a later job with one.
    ///
    /// It takes the right to make one: root's in a container, or delegation by systemd. Where there is none, the job does
    /// not start: an error that names the file.
    cgroup
};

/// A pseudo-terminal's settings: see `tty`.
struct Terminal {
    int rows = 24;     ///< lines, 0 to 65535
    int columns = 80;  ///< characters in a line, 0 to 65535
    bool echo = true;  ///< what is written to it comes back, as at any terminal; the child may change that
};

/// What happens to the processes that are still in the group when the leader ends by itself. (A forced end always ends
/// all of them.)
enum class Stragglers {
    kill,   ///< It may finish, for Options::drain; then SIGKILL, and Result::stragglers names who got it. The default.
    leave,  ///< It stays: for a command that starts a daemon. Nobody watches it any more.
    wait  ///< The job lasts until it has ended too, and its output, without a bound but Options::timeout, a cancel and
          ///< stop(): what a shell's `$(…)` and ninja mean by the end of a command.
};

/// Which part of a longer output Options::max_output keeps.
enum class Keep {
    head,  ///< the first bytes. The default.
    tail,  ///< the last bytes: what a log is read for
    ends   ///< half of it from the start, half from the end; Streams::out_seam is where the rest is missing
};

/// One descriptor to hand down: `{listen_fd, 3}`, or `{listen_fd}`, which keeps its number. All others stay here.
struct PassFd {
    int ours = -1;    ///< open in the host; it stays open, and its close-on-exec flag stays as it is
    int theirs = -1;  ///< its number in the child, 3 or more; -1: the same as ours
};

/// What each process of the job may use, from its program's first instruction on, and what none but root's can raise: the hard
/// limit is the same (setrlimit). What is not set stays as it is in the host. More than the host's own hard limit takes privileges:
/// otherwise the job does not start, with EPERM. On a system without the direct start (see *Platforms*), a /bin/sh sets them and then
/// becomes the program: so they are in force for that shell and for env(1) too, and what a shell cannot say exactly is rounded
/// down, address_space to 1024 bytes, file_size and core_size to 512. What a system or its shell has no limit for is ENOSYS.
struct Limits {
    static constexpr std::uint64_t inherited = UINT64_MAX;  ///< as it is in the host

    std::uint64_t address_space = inherited;  ///< bytes of memory, mapped files included: allocations fail (RLIMIT_AS)
    Timeout cpu_time =
        Timeout::none();  ///< in whole seconds, rounded up: SIGXCPU, and a second later SIGKILL (RLIMIT_CPU)
    std::uint64_t file_size = inherited;   ///< bytes of each file that it writes: SIGXFSZ, or EFBIG (RLIMIT_FSIZE)
    std::uint64_t open_files = inherited;  ///< descriptors: EMFILE (RLIMIT_NOFILE)
    /// EAGAIN where it would start one more and its user has as many, here and elsewhere; root has no limit (RLIMIT_NPROC).
    std::uint64_t processes = inherited;
    std::uint64_t core_size = inherited;  ///< bytes of a core dump; zero: none is written (RLIMIT_CORE)
};

/// How long a job has from the first signal of its end to SIGKILL: a Timeout that knows whether it was given.
class Grace : public Timeout {
  public:
    /// 1 s, as long as nobody says otherwise.
    constexpr Grace() : Timeout(Duration::seconds(1)) {}
    /// So long.
    /// @{
    constexpr Grace(Timeout length) : Timeout(length), is_given_(true) {}
    template <class T, class = detail::IfDuration<T>>
    constexpr Grace(const T& length) : Timeout(length), is_given_(true) {}
    /// @}

    /// Did somebody say so?
    constexpr bool is_given() const { return is_given_; }

  private:
    bool is_given_ = false;
};

/// A signal that asks a job to end, and how long it has for that before the next one: see Options::stop_sequence.
struct StopStep {
    int signal;     ///< SIGINT, SIGHUP, …; neither SIGKILL, which comes last in any case, nor SIGSTOP
    Timeout grace;  ///< zero goes on at once; finite
};

/// Everything about a job but its command. With C++20 by name, in this order, which is by topic: `{.out = leash::piped,
/// .timeout = 5s}`. Never by position: none is ever moved, but a new one may come between two. With C++17:
/// `leash::Options o; o.out = leash::piped;`.
struct Options {
    /// null (default), inherit, piped, tty, bytes(…), source(…), file(…), fd(…).
    Input in = null;

    /// inherit (default), null, piped, tty, file(…), fd(…), sink(…), line_sink(…).
    Output out = inherit;

    /// inherit (default), what `out` takes, to_out, or per_stage.
    ErrorOutput err = inherit;

    /// The size and the echo of the pseudo-terminal, where a stream is `tty`: 24 rows, 80 columns, echo.
    Terminal terminal = {};

    /// The directory to start in; empty: the host's. A relative path of the program counts from here, as after a
    /// shell's `cd`; that of a redirect, which the host opens, does not.
    std::string cwd = {};

    /// The environment; Env::inherited() by default.
    Env env = Env::inherited();

    /// The file to execute where it differs from argv[0]; empty: argv[0]. A name without a slash is looked up in the
    /// PATH that the *child* gets. What is relative, this or a member of PATH, counts from `cwd`, where there is one; an
    /// empty member of PATH means that directory itself, as POSIX has it.
    std::string executable = {};

    /// Descriptors to hand down besides the standard streams, as they are: one that is O_NONBLOCK here is so there.
    std::vector<PassFd> pass_fds = {};

    /// What a `make` or another such program in the job shares its tokens with; none by default. It is handed down besides pass_fds,
    /// to numbers that are free there, and named in the MAKEFLAGS of `env`, in the place of any other. See Jobserver.
    Jobserver jobserver = {};

    /// Which permissions the files that it creates do not have (umask(2)), 0 to 0777; -1, the default: the host's own.
    int umask = -1;

    /// How much nicer than the host's thread that starts it, as after nice(1): 19 runs when nobody else wants to. 0 by default.
    /// Less than zero takes privileges (EACCES).
    int nice = 0;

    /// None by default.
    Limits limits = {};

    /// Group::own by default. A terminal that the host is controlled by cannot be inherited as `in` then: reading
    /// it would stop the job (SIGTTIN). See interactive().
    Group group = Group::own;

    /// Reach::group by default.
    Reach reach = Reach::group;

    /// Stragglers::kill by default; with Group::inherited or join(), and Reach::group, they stay.
    Stragglers stragglers = Stragglers::kill;

    /// The job ends with this host, in whichever way that ends: SIGKILL, a crash, `_exit()`, an exec. False by default. The
    /// whole group gets SIGKILL then, whatever `stop_sequence` says, and with Reach::tree all who bear its cookie, from a process that is there for as long as
    /// the job: a /bin/sh that waits, in a group of its own (a child of the host's that it must not wait for). It costs one
    /// more start, two descriptors, and 0.13 MB meanwhile. Linux on x86-64 and arm64 has no gap; where posix_spawn
    /// starts the job (see *Platforms*), a host that is killed between the start and the next line of leash's leaves it, and a
    /// forked copy of the host that lives on counts as the host.
    bool die_with_parent = false;

    /// How long the job may take, from the start; no limit by default; refused at zero or less. When it has passed,
    /// the call that waits, reads or polls ends the job (a Popen that nobody asks anything keeps no deadline: there is no
    /// thread to do it): SIGTERM to all of it, `grace`, SIGKILL, or what `stop_sequence` says. It returns within
    /// timeout + grace + drain, whatever the job does; only where the kernel itself takes longer to end a process that has
    /// been killed (one of tens of gigabytes takes a second), that is waited for, five seconds at most.
    Timeout timeout = Timeout::none();

    /// How long the job may go without output, as seen by run(), communicate(), a Reader, or whatever serves a sink;
    /// no limit by default; refused at zero or less. Counted anew in each call. When it has passed, the job is ended
    /// as after `timeout`, and the result says timed_out, and ended_by EndedBy::idle_timeout.
    Timeout idle_timeout = Timeout::none();

    /// From SIGTERM to SIGKILL after the timeout, a cancel or stop(), for all of the job, be its leader gone or not; it is
    /// over as soon as nobody is left. 1 s by default; zero kills at once. Finite.
    Grace grace = {};

    /// How the job is asked to end instead, after a timeout or an idle timeout, a cancel or stop(): each signal goes to all of it
    /// in its turn, as SIGTERM would, and when the last one's time is up, SIGKILL. `{{SIGINT, 5s}, {SIGTERM, 2s}}` is Ctrl-C
    /// first. Wherever a bound has `grace`, it has the sum of these. Not together with `grace`; empty by default.
    std::vector<StopStep> stop_sequence = {};

    /// How long what the leader has left behind, when it ended by itself, may go on: a `tee`, a filter, a cleanup, whose
    /// output is the job's. Then it is ended (see `stragglers`), and what still holds a stream is not waited for any
    /// longer (Streams::held). 2 s by default, which a job that leaves nothing behind does not take, and one that leaves
    /// a sleeper does; zero ends all with the leader, and may cost the last of the output. After a forced end, when only
    /// what is out of reach can still hold on, it is 200 ms at the most. Finite.
    Timeout drain = Duration::seconds(2);

    /// A token that ends the job when it is fired; none by default.
    std::optional<Cancel> cancel = std::nullopt;

    /// How many bytes run() and communicate() keep of `out`, and of `err`. The rest is read and dropped, so that the
    /// child never blocks; the result says so. What is kept begins and ends with a whole character of UTF-8, so that it may
    /// be up to three bytes less at a cut. No limit by default. See `keep`.
    std::size_t max_output = SIZE_MAX;

    /// Which part of it is kept: Keep::head (default), tail or ends.
    Keep keep = Keep::head;

    /// Keeps what the piped streams say once more, in one text: Streams::all, for those who show `out` and `err` as a terminal
    /// would and need them apart too. False by default. It is in the order in which leash read it, in pieces of up to 256 KiB:
    /// of one stream that is the order in which it was written, of two that in which the system told that there was something
    /// to read, and `out` where both had something. What is written to both within moments may come the other way round,
    /// and a line may be in two pieces; for the order in which it was written, say `.err = to_out`. It has what was read by any
    /// call until communicate() finds the job ended. `max_output` and `keep` bound it as they bound each stream.
    bool all = false;

    /// For a tool that talks to the person at the terminal (an editor, a pager, a prompt): all three streams inherited,
    /// and Group::foreground.
    static Options interactive();
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/options.ipp>

#endif  // LEASH_0_1_0_OPTIONS_HPP

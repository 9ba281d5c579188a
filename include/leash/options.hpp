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
#include <utility>
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

/// The environment of the child: the host's (as it is when the job starts) or an empty one, with changes on top. Each
/// call works on the result of the calls before it: `only({"PATH"}).set("A", "1")` has both.
class Env {
  public:
    /// Patterns for names of variables, as a list or a vector of strings. `*` matches any number of characters, also
    /// none. Every other character, also `?`, matches itself. "LC_*" matches all names that begin with "LC_".
    class Names {
      public:
        /// From a list: `{"PATH", "LC_*"}`.
        Names(std::initializer_list<Arg> patterns);
        /// From a vector of strings.
        template <class Vector,
                  class = std::enable_if_t<std::is_convertible_v<const Vector&, std::vector<std::string>>>>
        Names(const Vector& patterns) : patterns_(patterns) {}

      private:
        friend class Env;
        bool match(std::string_view name) const noexcept;
        std::vector<std::string> patterns_;
    };

    /// The host's variables. The default of Options::env.
    static Env inherited();
    /// No variables, and so no PATH: then programs are looked up in /bin and /usr/bin.
    static Env empty();

    /// Exactly these variables: "NAME=value" strings in a vector, an array or a list that ends with a null pointer
    /// (`environ`), or pairs of name and value (a map). If a name comes twice, the last value counts. If an entry has
    /// no name or no `=`, the job does not start (Step::environment).
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

    /// Does not compile: a bare list does not tell if the host's variables are kept. Use inherited().set() or from().
    template <class Nothing = void>
    Env(std::initializer_list<detail::EnvEntry>) : Env(false) {
        static_assert(!std::is_void_v<Nothing>,
                      "leash: a list is no environment: write leash::Env::inherited().set(\"NAME\", \"value\"), or "
                      "leash::Env::from({\"NAME=value\"}) for nothing else.");
    }

    /// Does not compile: a map or a vector does not tell either. Use from().
    template <class Entries, class = std::enable_if_t<!detail::is_text<Entries>>,
              class = decltype(std::declval<const Entries&>().begin())>
    Env(const Entries&) : Env(false) {
        static_assert(std::is_void_v<Entries>, "leash: a container is no environment: write leash::Env::from(it).");
    }

    /// Sets a variable, in place of an earlier value. If the name is empty or contains `=` or NUL, or the value
    /// contains NUL, the job does not start (Step::environment).
    /// @{
    Env& set(std::string name, std::string value) &;
    [[nodiscard]] Env set(std::string name, std::string value) &&;
    /// @}

    /// Removes the variable from the child's environment.
    /// @{
    Env& unset(std::string name) &;
    [[nodiscard]] Env unset(std::string name) &&;
    /// @}

    /// Keeps only the variables that match one of the patterns and removes the others; only({}) removes all. Variables
    /// set by later calls are not affected. The host's variables are read when the job starts.
    /// @{
    Env& only(Names names) &;
    [[nodiscard]] Env only(Names names) &&;
    /// @}

    /// Removes the variables that match one of the patterns: `without({"*_TOKEN", "AWS_*"})`. Variables set by later
    /// calls are not affected.
    /// @{
    Env& without(Names names) &;
    [[nodiscard]] Env without(Names names) &&;
    /// @}

    /// Returns the value that the child would get if it started now; nullopt if the variable would not exist.
    std::optional<std::string> get(std::string_view name) const;

    /// True if it is based on the host's variables (inherited()).
    bool is_inherited() const noexcept { return inherit_; }
    /// A variable that is set or removed. No name comes twice.
    struct Change {
        std::string name;      ///< not empty, without `=`
        std::string value;     ///< empty if removed
        bool removed = false;  ///< true for unset()
    };
    /// Returns the variables that were set or unset by name, in the order of their first call. Those that only() or
    /// without() removed again are in it as removed. The host's variables that these remove are not in it.
    std::vector<Change> changes() const;

    /// True if the child gets the host's environment without changes.
    bool is_unchanged() const noexcept { return inherit_ && !table_; }

    /// One variable.
    struct Variable {
        std::string name;   ///< not empty
        std::string value;  ///< may be empty
    };
    /// Returns all variables that the child would get if it started now:
    /// `for (const auto& [name, value] : env.variables())`.
    std::vector<Variable> variables() const;

    /// Returns the "NAME=value" strings that the child would get, and entries of the host's environment that have no
    /// `=`.
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

/// The process group of the job, and so the processes that its signals reach: one of the constants, or join(). A
/// literal type. The default is `own`.
class Group {
  public:
    /// A new process group: the leader and every descendant that did not leave it. A forced end also looks for those
    /// that left. The default. If the job uses the host's terminal through /dev/tty, the kernel stops it (SIGTTIN,
    /// SIGTTOU); then leash ends it (EndedBy::terminal_stop).
    /// (To get a new session use `session`, not the program setsid: setsid would fork and exit, and that would end the
    /// job.)
    static const Group own;
    /// The job stays in the host's group, so Ctrl-C at the terminal reaches it. leash signals only the processes that
    /// it started; a forced end also looks for their descendants. Other processes that the job leaves behind are not
    /// ended.
    static const Group inherited;
    /// A new session (setsid) with its own group: no controlling terminal, so nothing in the job can prompt. An error
    /// for a pipeline.
    static const Group session;
    /// A new group that is the foreground group of the host's terminal while it runs, as in a shell. The job may read
    /// the terminal, and Ctrl-C reaches only the job. Ctrl-Z stops the job and then the host's group (SIGTSTP), so that
    /// the shell notices; `fg` continues both. For this, a thread of the host must be in a call that waits for the job.
    /// That call sees the stop at once, or within 50 ms if it also waits for something else. The timeout goes on while
    /// both are stopped.
    /// If the host has no terminal or is in its background, this is the same as `own`. While the job runs, no other
    /// thread of the host should read the terminal (SIGTTIN).
    static const Group foreground;

    /// An existing process group in the host's session (setpgid), for hosts that signal groups or set the foreground
    /// group themselves. leash does not signal the group as a whole; everything else is as with `inherited`. If the
    /// group does not exist or is in another session, the job does not start (Step::options, EPERM). leash cannot
    /// notice if the kernel has reused the ID for another group.
    static constexpr Group join(int group) noexcept { return Group(Kind::joined, group); }

    /// Returns the process group ID given to join(); 0 for the constants.
    constexpr int joined() const noexcept { return joined_; }
    /// True if the job gets a new group, which signals reach as a whole; false for `inherited` and join().
    constexpr bool is_new() const noexcept { return kind_ != Kind::inherited && kind_ != Kind::joined; }

    constexpr Group() noexcept = default;  ///< `own`

    /// Compares the choice, and the ID given to join().
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

/// Which processes leash ends together with a job, besides its group.
enum class Reach {
    /// The group. A forced end also reaches processes that left the group, if a chain of living parents leads to them.
    /// The default.
    group,
    /// Every process that the job started, even one that made its own session and lost its parent (a daemon), and also
    /// when the leader ends by itself. Needs Linux 5.3 and /proc; otherwise the job does not start (Step::options). On
    /// macOS, FreeBSD, NetBSD and OpenBSD the job starts, but this has not been run there (for macOS it is compiled).
    /// leash finds these processes by:
    /// - their parents, as long as these live; leash also looks while the job runs, when output wakes a call or in poll();
    /// - their session, if a process of the job made it;
    /// - the variable LEASH_JOB in their environment;
    /// - an open end of the job's pipes (the end that the job got; Linux).
    /// Options::stragglers, drain and grace apply to them as to the group.
    ///
    /// Some processes are not reached. A process can leave on purpose: in a session of its own, without LEASH_JOB but
    /// with all other variables that the job was given (`env -u LEASH_JOB setsid server`). And leash cannot find a
    /// process that cleared its environment and lost its parent between two looks, or that runs as another user by
    /// then. macOS shows no environment of Apple's own programs, /bin/sh among them.
    tree,
    /// Every process in the job's control group, which leash creates below the host's (Linux, cgroup v2). It holds
    /// every process that the job started, whatever that process did later. A process can leave only if it may write to
    /// the host's control group: root, or the host's user if systemd delegated the group to that user. The job is in
    /// its control group before its program's first instruction. All processes get SIGKILL at the same moment (Linux
    /// 5.14; before that, one by one). Options::stragglers, drain and grace apply to them as to the group. leash
    /// removes the control group when the job ends. If a process stays in it or the host is killed, a later job with
    /// Reach::cgroup removes it.
    ///
    /// The host needs permission to create control groups: root in a container, or delegation by systemd. Without it
    /// the job does not start; the error names the file.
    cgroup
};

/// The settings of the pseudo-terminal that `tty` creates.
struct Terminal {
    int rows = 24;     ///< height in lines, 0 to 65535
    int columns = 80;  ///< width in characters, 0 to 65535
    bool echo = true;  ///< the terminal sends back what you write to it; the child may change that
};

/// What happens to the processes that are still in the group (or within Options::reach) when the leader ends by itself.
/// (A forced end always ends all of them.)
enum class Stragglers {
    kill,   ///< They may go on for Options::drain, then get SIGKILL; Result::stragglers names those. The default.
    leave,  ///< They stay, for a command that starts a daemon. leash no longer watches them.
    wait    ///< The job lasts until they and their output have ended. Only Options::timeout, idle_timeout, a token or
            ///< stop() bounds that. (A shell's `$(…)` waits only for the output: `leave`, with a long drain.)
};

/// Which part of a longer output Options::max_output keeps.
enum class Keep {
    head,  ///< the first bytes. The default.
    tail,  ///< the last bytes, as for a log
    ends   ///< half from the start and half from the end; Streams::out_seam is the place between them
};

/// A descriptor to pass to the child: `{listen_fd, 3}`, or `{listen_fd}` to keep its number. The child gets no others.
struct PassFd {
    int ours = -1;    ///< the number in the host; stays open there, with its close-on-exec flag unchanged
    int theirs = -1;  ///< the number in the child, 3 or more; -1: the same as `ours`
};

namespace detail {

/// A std::vector whose copies and end are compiled once. (Every file that makes an Options would compile them.)
template <class T>
class List : public std::vector<T> {
  public:
    List();
    List(std::initializer_list<T> items);
    List(std::vector<T> items);
    List(const List&);
    List(List&&) noexcept;
    List& operator=(List other) noexcept;
    ~List();
};

}  // namespace detail

/// Resource limits of each process of the job (setrlimit), in force from its program's first instruction. leash sets
/// soft and hard limit to the same value (cpu_time: see there), so only privileged processes can raise them. A limit
/// that is not set stays as in the host. A value above the host's hard limit needs privileges; without them the job
/// does not start (EPERM).
///
/// On a system without the direct start (see *Platforms*), a /bin/sh sets the limits and then becomes the program. Then
/// they already apply to that shell and to env(1). The shell rounds down: address_space to 1024 bytes, file_size and
/// core_size to 512 bytes. A limit that the system or its shell does not support is an error (ENOSYS).
struct Limits {
    static constexpr std::uint64_t inherited = UINT64_MAX;  ///< the host's limit: the default

    std::uint64_t address_space = inherited;  ///< bytes of memory and mapped files; then allocations fail (RLIMIT_AS)
    Timeout cpu_time =
        Timeout::none();  ///< rounded up to seconds; then SIGXCPU, and SIGKILL a second later (RLIMIT_CPU)
    std::uint64_t file_size = inherited;   ///< bytes of each file written; beyond it SIGXFSZ, or EFBIG (RLIMIT_FSIZE)
    std::uint64_t open_files = inherited;  ///< highest descriptor plus one; beyond it EMFILE (RLIMIT_NOFILE)
    /// Processes of the job's user, in the job or not (Linux also counts threads). At the limit, fork() fails with
    /// EAGAIN. Root has no limit (RLIMIT_NPROC).
    std::uint64_t processes = inherited;
    std::uint64_t core_size = inherited;  ///< bytes of a core dump; zero: no core dump (RLIMIT_CORE)
};

/// The grace period: the time from the first signal to SIGKILL when leash ends a job. A Timeout that also knows if it
/// was set.
class Grace : public Timeout {
  public:
    /// 1 s, not set: the default.
    constexpr Grace() : Timeout(Duration::seconds(1)) {}
    /// A grace period of `length`, set.
    /// @{
    constexpr Grace(Timeout length) : Timeout(length), is_given_(true) {}
    template <class T, class = detail::IfDuration<T>>
    constexpr Grace(const T& length) : Timeout(length), is_given_(true) {}
    /// @}
    /// Does not compile: a number has no unit.
    template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
    constexpr Grace(T) {
        detail::refuse_number<T>();
    }

    /// True if it was set; false for the default.
    constexpr bool is_given() const { return is_given_; }

  private:
    bool is_given_ = false;
};

/// One step of Options::stop_sequence: a signal that asks the job to end, and the time until the next step.
struct StopStep {
    int signal = 0;  ///< SIGINT, SIGHUP, …; not SIGKILL, which always comes last, and not SIGSTOP
    Timeout grace;   ///< zero: the next step follows at once; must be finite
};

/// Everything about a job except its command. In C++20 name the fields, in this order:
/// `{.out = leash::piped, .timeout = 5s}`. In C++17: `leash::Options o; o.out = leash::piped;`. Do not rely on
/// positions: a later version may add a field between two others, but does not move one.
struct Options {
    /// Standard input: null (default), inherit, piped, tty, bytes(…), source(…), file(…), fd(…).
    Input in = null;

    /// Standard output: inherit (default), null, piped, tty, file(…), fd(…), sink(…), line_sink(…).
    Output out = inherit;

    /// Standard error: inherit (default), everything that `out` takes, to_out, per_stage.
    ErrorOutput err = inherit;

    /// The size and the echo of the pseudo-terminal, if a stream is `tty`. Default: 24 rows, 80 columns, echo.
    Terminal terminal = {};

    /// The working directory of the child; empty (default): the host's. A relative path of the program counts from
    /// here, as after a shell's `cd`. A relative path of a redirect counts from the host's directory.
    std::string cwd = {};

    /// The environment of the child. Default: Env::inherited().
    Env env = Env::inherited();

    /// The file to execute, if it differs from argv[0]; empty (default): argv[0]. A name without a slash is looked up
    /// in the PATH of the *child*. Relative paths, also those in PATH, count from `cwd`. An empty entry in PATH is that
    /// directory itself, as in POSIX. An error for a pipeline.
    std::string executable = {};

    /// Descriptors to pass to the child besides the standard streams. The child shares their file status flags: if one
    /// is O_NONBLOCK here, it is O_NONBLOCK there. A std::vector<PassFd>. Default: none.
    detail::List<PassFd> pass_fds = {};

    /// The jobserver from which a `make` in the job takes its tokens. Default: none. leash passes its descriptors to
    /// numbers that are free in the child, and sets MAKEFLAGS in `env` (in place of another jobserver there). See
    /// Jobserver.
    Jobserver jobserver = {};

    /// The umask of the child (umask(2)), 0 to 0777. Default: -1, the host's.
    int umask = -1;

    /// Added to the nice value of the host's thread that starts the job, as by nice(1), -40 to 40. With 19 the job runs
    /// only when no other process wants the processor. Default: 0. Less than zero needs privileges (otherwise EACCES,
    /// and the job does not start).
    int nice = 0;

    /// Resource limits of the child. Default: none.
    Limits limits = {};

    /// The process group of the job. Default: Group::own. With it, the host's controlling terminal as `in` is an error,
    /// because reading it would stop the job (SIGTTIN): see interactive().
    Group group = Group::own;

    /// Which processes leash ends together with the job. Default: Reach::group.
    Reach reach = Reach::group;

    /// What happens to processes that the leader leaves behind. Default: Stragglers::kill. With Group::inherited or
    /// join() and Reach::group it has no effect: they stay.
    Stragglers stragglers = Stragglers::kill;

    /// If true, the job ends when the host ends in any way: SIGKILL, a crash, `_exit()`, exec. Default: false. The
    /// group gets SIGKILL without `stop_sequence` (with Group::inherited or join(), only the leader). With Reach::tree,
    /// so does every process that has the job's LEASH_JOB; with Reach::cgroup, every process in the control group
    /// (Linux 5.14). A guardian process does this: a waiting /bin/sh in its own group, a child of the host that the
    /// host must not wait for. It costs one more start, two descriptors and 0.13 MB while the job runs.
    ///
    /// With the direct start (Linux 5.9, x86-64 and arm64) there is no gap. Where posix_spawn starts the job (see
    /// *Platforms*), the job stays if the host is killed during the start, and a forked copy of the host that still runs counts as the
    /// host.
    bool die_with_parent = false;

    /// How long the job may run, from just before the start. Default: no limit. Zero or less is an error. When it has
    /// expired, the next call that waits, reads, writes or polls ends the job: SIGTERM to all of it, `grace`, SIGKILL
    /// (or `stop_sequence`). There is no background thread: without such a call, the job runs on until the Popen is
    /// destroyed. A call returns within timeout + grace + drain, whatever the job does. Only if the kernel is slow to
    /// end a killed process (one with tens of gigabytes takes a second), the call waits for that, at most 5 s.
    Timeout timeout = Timeout::none();

    /// The longest time without output of the job on any stream that is piped, tty or a sink, from the last output or the
    /// start of the call. Only a call that reads one of them enforces it. Default: no limit. Zero or less is an error. When it has expired, leash ends
    /// the job as after `timeout`; the result has timed_out and EndedBy::idle_timeout.
    Timeout idle_timeout = Timeout::none();

    /// The time from SIGTERM to SIGKILL after a timeout, a cancel or stop(). It is for all processes of the job, even
    /// if the leader has ended; it is over as soon as none is left. Default: 1 s. Zero: SIGKILL at once. Must be
    /// finite.
    Grace grace = {};

    /// The signals that ask the job to end after a timeout, an idle timeout, a cancel or stop(), in place of SIGTERM
    /// and `grace`. Each signal goes to all of the job; when the time of the last step is over, SIGKILL.
    /// `{{SIGINT, 5s}, {SIGTERM, 2s}}` begins with SIGINT, as Ctrl-C does. In bounds, replace `grace` by the sum of
    /// these times. A std::vector<StopStep>. Default: empty. Together with `grace` it is an error.
    detail::List<StopStep> stop_sequence = {};

    /// The drain period: after the leader ended by itself, how long the processes that it left may go on and write (a
    /// `tee`, a filter, a cleanup). Then leash ends them (see `stragglers`) and stops reading streams that are still
    /// open (Streams::held). Default: 2 s. If nothing is left, it takes no time. Zero ends all of them together with
    /// the leader, and may lose the last output. After a forced end it is at most 200 ms, because then only processes
    /// out of reach can have a stream open. Must be finite.
    Timeout drain = Duration::seconds(2);

    /// A token that ends the job when it is fired. Used as a std::optional<Cancel>. Default: none.
    detail::Maybe<Cancel> cancel = {};

    /// How many bytes of `out`, and of `err`, run() and communicate() keep. They read and drop the rest, so the child
    /// never blocks; Streams::out_truncated tells. The text is cut only between UTF-8 characters, so it may be up to
    /// three bytes shorter at a cut. Default: no limit. See `keep`.
    std::size_t max_output = SIZE_MAX;

    /// Which part max_output keeps. Default: Keep::head.
    Keep keep = Keep::head;

    /// If true, also keeps the output of all piped streams in one text, Streams::all, to show it as a terminal would.
    /// Default: false. The order is that in which leash read it, in pieces of up to 256 KiB. For one stream that is the
    /// order of writing. For two streams it is the order in which leash found them readable, `out` first if both were:
    /// output written to both within moments may be swapped, and a line may be split. If the order must be exact, use
    /// `.err = to_out`. The text has everything that any call read until communicate() finds the job ended.
    /// `max_output` and `keep` apply to it as to one stream.
    bool all = false;

    /// Options for a tool that uses the user's terminal (an editor, a pager, a prompt): all three streams inherited,
    /// and Group::foreground.
    static Options interactive();
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/options.ipp>

#endif  // LEASH_0_1_0_OPTIONS_HPP

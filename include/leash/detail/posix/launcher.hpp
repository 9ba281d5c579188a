// leash/detail/posix/launcher.hpp - what posix_spawn cannot do in a child: a shell does it, and becomes the program.
#ifndef LEASH_0_1_0_DETAIL_POSIX_LAUNCHER_HPP
#define LEASH_0_1_0_DETAIL_POSIX_LAUNCHER_HPP

#include <leash/config.hpp>

#include <string>
#include <string_view>
#include <utility>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <leash/deadline.hpp>
#include <leash/detail/array.hpp>
#include <leash/detail/posix/actions.hpp>
#include <leash/detail/posix/bounds.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/posix_start.hpp>
#include <leash/detail/posix/program.hpp>
#include <leash/detail/posix/sys/processes.hpp>
#include <leash/detail/posix/sys/spawn.hpp>
#include <leash/detail/text.hpp>
#include <leash/error.hpp>

// Of a test: another shell (this macro ends with this file).
#if defined(LEASH_FORCE_SHELL)
#define LEASH_SHELL LEASH_FORCE_SHELL
#else
#define LEASH_SHELL "/bin/sh"
#endif

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

/// Starts a program with a control group, a umask, a nice value or limits where posix_spawn starts it: a /bin/sh that sets
/// them for itself and then executes env(1), which executes the program. It stays one process, the job's leader, all the time.
///
/// All is data: the script is always the same. What it could not do it reports by a pipe, before it closes that. A shell
/// changes its environment, and drops what has not the name of a variable: so it gets only what it hands on as it is; env
/// takes away what shells add, and gives back the rest, which for that moment stands in its command line.
class Launcher {
  public:
    /// What is in the way of such a start, besides the actions themselves.
    enum Hindrance : std::size_t { argv0, environment, descriptors, shell, env, nice, none };

    /// Is that beyond posix_spawn?
    static bool is_for(const Action& action) noexcept {
        return action.kind == Action::Kind::enter || action.kind == Action::Kind::mask ||
               action.kind == Action::Kind::be_nice || action.kind == Action::Kind::limit;
    }

    [[gnu::cold]] static Birth start(const Image& image, const Actions& actions, Deadline deadline) {
        std::string cwd;
        for (const Action& action : actions.list) {
            if (action.kind == Action::Kind::chdir) cwd = action.path;
        }
        if (!finds(image, cwd)) return hindered(argv0);
        if (const int error = foresee_exec(image.path, cwd)) return Birth::failure(error, Birth::Step::exec);
        if (const int error = why_not_executable(LEASH_SHELL)) return hindered(shell, error);

        // The end of the pipe that the shell has is called by a digit: no other name of one is a POSIX shell's.
        int digit = 3;
        while (contains(actions.kept, digit)) ++digit;
        if (digit > 9) return hindered(descriptors);
        PipeEnds ends;
        const int highest = actions.kept.empty() || actions.kept.back() < digit ? digit : actions.kept.back();
        if (!make_pipe(ends)) return Birth::failure(errno, Birth::Step::copy);
        Fd report(duplicate_above(ends.write.get(), highest + 1));  // out of the way of all others
        if (!report.is_open()) return Birth::failure(errno, Birth::Step::copy);
        ends.write.close();

        Words words, variables;
        for (const char* const word : {"sh", "-c"}) words.add(word);
        words.add(script(digit));
        words.add("leash");
        const Hindrance hindrance = describe(actions, image, words, variables);
        if (hindrance != none) return hindered(hindrance);
        for (char* const* word = image.argv; *word != nullptr; ++word) words.add(*word);

        Actions before = actions;
        before.add({Action::Kind::duplicate, report.get(), digit});
        before.kept.add(digit);
        sort(before.kept);
        const Array<char*> argv = words.pointers(), given = variables.pointers();
        Birth birth = start_by_posix_spawn({LEASH_SHELL, argv.begin(), given.begin()}, before);
        if (birth.error != 0) return birth;
        report.close();
        const int failed = read_report(ends.read, deadline);
        if (failed < 0 || static_cast<std::size_t>(failed) >= actions.list.size()) return birth;
        siginfo_t info{};
        while (sys::waitid(birth.pid, -1, &info, WEXITED) != 0 && errno == EINTR) {}
        const Action& action = actions.list[static_cast<std::size_t>(failed)];
        return Birth::failure(error_of(action), Birth::Step::action, static_cast<std::size_t>(failed));
    }

    [[gnu::cold]] static Error explain(const Birth& birth, const Image& image) {
        const auto fail = [&](Step step, std::string_view subject, const char* hint) {
            return make_error(birth.error, step, subject, hint);
        };
        switch (static_cast<Hindrance>(birth.action)) {
            case argv0:
                return fail(
                    Step::options, "executable",
                    "argv[0] must be the file here: a shell starts the job, to set umask, nice, limits or a control "
                    "group, and cannot set argv[0]");
            case environment:
                return fail(Step::environment, not_a_variable(image.environment),
                            "not a variable name: the shell that starts the job here would drop it");
            case descriptors:
                return fail(Step::options, "pass_fds",
                            "one number from 3 to 9 must stay free for the shell that starts the job here");
            case shell: return fail(Step::spawn, LEASH_SHELL, "needed for umask, nice, limits or a control group");
            case env: return fail(Step::spawn, "env", "needed for umask, nice, limits or a control group");
            case nice:
            case none: break;
        }
        return fail(Step::spawn, "nice", "needed for the nice value");
    }

  private:
    /// Strings for an exec, in one.
    class Words {
      public:
        [[gnu::cold]] void add(std::string_view word) {
            text_ += word;
            text_ += '\0';
        }
        [[gnu::cold]] Array<char*> pointers() {
            Array<char*> list;
            for (std::size_t at = 0; at < text_.size(); at += std::strlen(&text_[at]) + 1) list.add(&text_[at]);
            list.add(nullptr);
            return list;
        }

      private:
        std::string text_;
    };

    /// $1 what, $2 its number in the list, and three words; again and again. Then the limit of descriptors, below which a
    /// shell cannot move its own about; and what to execute. No variable is set: it could be one of the program's.
    ///
    /// Processes are -u (bash, FreeBSD) or -p (dash, busybox). Files and dumps are counted in blocks of 512 bytes, by bash
    /// before 4.2 in such of 1024.
    [[gnu::cold]] static std::string script(int digit) {
        std::string text = R"sh(while [ "$1" ]; do
    case $1 in
        enter) echo 0 > "$3" ;;
        umask) umask "$3" ;;
        nice) [ "$("$5" -n "$3" "$5")" -eq "$4" ] ;;
        u) ulimit -u "$3" || ulimit -p "$3" ;;
        [cf]) case ${BASH_VERSION-} in
            [123].* | 4.[01].*) ulimit "-$1" "$(($3 / 2))" ;;
            *) ulimit "-$1" "$3" ;;
        esac ;;
        *) ulimit "-$1" "$3" && { [ "$3" = "$4" ] || ulimit -S "-$1" "$4"; } ;;
    esac 2>&- || { echo "$2" >&#; exit; }
    shift 5
done
echo >&#
exec #>&-
[ ! "$2" ] || ulimit -n "$2"
shift 2
exec "$@"
)sh";
        for (char& c : text) c = c == '#' ? static_cast<char>('0' + digit) : c;
        return text;
    }

    [[gnu::cold]] static Birth hindered(Hindrance by, int error = ENOSYS) {
        return Birth::failure(error, Birth::Step::launch, by);
    }

    /// What the shell is told, up to the program; or what is in the way.
    [[gnu::cold]] static Hindrance describe(const Actions& actions, const Image& image, Words& words,
                                            Words& variables) {
        std::string files, nicer, of_nice;
        for (std::size_t i = 0; i < actions.list.size(); ++i) {
            const Action& action = actions.list[i];
            const auto tell = [&](std::string_view what, std::string_view one, std::string_view two = "") {
                words.add(what);
                words.add(decimal(i));
                for (const std::string_view word : {one, two, std::string_view(of_nice)}) words.add(word);
            };
            if (action.kind == Action::Kind::enter) tell("enter", concat({action.path, "/cgroup.procs"}));
            if (action.kind == Action::Kind::mask) tell("umask", octal(action.flags));
            if (action.kind == Action::Kind::be_nice) {
                auto found = find_program("nice", default_search_path(), "");
                if (!found) return nice;
                of_nice = *std::move(found);
                const int own = sys::nice_of(0), least = action.flags < -20 ? -20 : action.flags;
                nicer = decimal(action.flags - own);
                // Refused, nice(1) goes on as it is.
                if (least < own) tell("nice", nicer, decimal(least));
            }
            if (action.kind != Action::Kind::limit) continue;
            const Resource resource = Resource::of(action.from);
            const std::string hard = decimal(action.values[1] / resource.unit);
            const bool is_lowered = action.values[1] <= sys::limit_of(0, action.from, true);
            if (resource.letter == 'n' && is_lowered) files = hard;  // which cannot fail
            else tell({&resource.letter, 1}, hard, decimal(action.values[0] / resource.unit));
        }
        words.add("");
        words.add(files);
        if (!nicer.empty()) {
            words.add(of_nice);
            words.add("-n");
            words.add(nicer);
        }
        auto found = find_program("env", default_search_path(), "");
        if (!found) return env;
        words.add(*found);
        for (const char* const added : {"PWD", "OLDPWD", "SHLVL", "_", "PATH", "HOME", "LOGNAME", "SHELL", "TERM"}) {
            if (is_handed_on(added) && value_of(added, image.environment) != nullptr) continue;
            words.add("-u");
            words.add(added);
        }
        words.add("--");
        if (*not_a_variable(image.environment) != '\0') return environment;
        for (char* const* entry = image.environment; entry != nullptr && *entry != nullptr; ++entry)
            (is_handed_on(*entry) ? variables : words).add(*entry);
        return none;
    }

    [[gnu::cold]] static std::string octal(int mask) {
        std::string text = "0000";
        for (std::size_t i = 4; i > 0; mask /= 8) text[--i] = static_cast<char>('0' + mask % 8);
        return text;
    }

    [[gnu::cold]] static const char* value_of(std::string_view name, char* const* entries) noexcept {
        for (; entries != nullptr && *entries != nullptr; ++entries) {
            const std::string_view entry = *entries;
            if (entry.size() > name.size() && entry.compare(0, name.size(), name) == 0 && entry[name.size()] == '=')
                return *entries + name.size() + 1;
        }
        return nullptr;
    }

    /// The first entry that env would take for the program; empty where there is none.
    [[gnu::cold]] static const char* not_a_variable(char* const* entries) noexcept {
        for (; entries != nullptr && *entries != nullptr; ++entries) {
            if (std::strchr(*entries, '=') == nullptr) return *entries;
        }
        return "";
    }

    /// Does a shell hand it on as it is? Not what is no name for it, what it makes itself, nor what changes how it works:
    /// its own variables, the language, what the loader goes by.
    [[gnu::cold]] static bool is_handed_on(std::string_view entry) noexcept {
        const std::string_view name = entry.substr(0, entry.find('='));
        for (std::size_t i = 0; i < name.size(); ++i) {
            const char c = name[i];
            const bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
            if (!is_letter && (c < '0' || c > '9' || i == 0)) return false;
        }
        for (const std::string_view start :
             {"BASH", "KSH", "ZSH", "LC_", "LANG", "LD_", "DYLD_", "COMP_", "PS", "OPT"}) {
            if (name.compare(0, start.size(), start) == 0) return false;
        }
        for (const std::string_view own : {"",
                                           "_",
                                           "PWD",
                                           "OLDPWD",
                                           "SHLVL",
                                           "IFS",
                                           "ENV",
                                           "LINENO",
                                           "PPID",
                                           "UID",
                                           "EUID",
                                           "GID",
                                           "EGID",
                                           "GROUPS",
                                           "RANDOM",
                                           "SRANDOM",
                                           "SECONDS",
                                           "EPOCHSECONDS",
                                           "EPOCHREALTIME",
                                           "ERRNO",
                                           "HISTCMD",
                                           "DIRSTACK",
                                           "FUNCNAME",
                                           "PIPESTATUS",
                                           "SHELLOPTS",
                                           "POSIXLY_CORRECT",
                                           "LINES",
                                           "COLUMNS",
                                           "MAIL",
                                           "MAILPATH",
                                           "MAILCHECK",
                                           "PATH_LOCALE"}) {
            if (name == own) return false;
        }
        return true;
    }

    /// env gives a program the name by which it finds it: is that argv[0]?
    [[gnu::cold]] static bool finds(const Image& image, const std::string& cwd) {
        const std::string name = *image.argv;
        if (name == "-" || name.find('=') != std::string::npos) return false;
        const char* const path = value_of("PATH", image.environment);
        const std::string_view search = path != nullptr ? path : default_search_path();
        auto found = find_program(name, search, cwd);
        if (found && *found != image.path) found = absolute(seen_from_host(*found, cwd));  // see make_stage()
        return found && *found == image.path;
    }

    /// 0, or what exec would say, as far as that can be told: env tells it in words, to whom it may concern, and by the
    /// status 126 or 127. A file without a #! line it would give to a shell.
    [[gnu::cold]] static int foresee_exec(std::string path, const std::string& cwd) {
        std::string too_long(std::size_t{4} << 20, 'x');
        for (int depth = 0; depth < 5; ++depth) {
            const std::string seen = seen_from_host(path, cwd);
            if (const int why = why_not_executable(seen.c_str())) return why;
            if (sys::exec_error(seen.c_str(), &too_long[0]) == ETXTBSY) return ETXTBSY;
            auto interpreter = interpreter_of(seen);
            if (!interpreter) return is_no_program(seen) ? ENOEXEC : 0;
            if (interpreter->empty()) return ENOEXEC;
            path = *std::move(interpreter);
        }
        return 0;
    }

    /// Text, or less than the least header of a binary.
    [[gnu::cold]] static bool is_no_program(const std::string& path) {
        const Fd file = Fd::open(path.c_str(), O_RDONLY | O_NONBLOCK);
        char start[256];
        std::size_t size = 0;
        ssize_t got = file.is_open() ? 1 : -1;
        while (got > 0 && size < sizeof start) {
            got = read_some(file, start + size, sizeof start - size);
            if (got > 0) size += static_cast<std::size_t>(got);
        }
        return got >= 0 && (size < 28 || std::memchr(start, '\0', size) == nullptr);
    }

    /// The number of the action that failed; -1 where none did, or the deadline has come, at which the job is ended.
    [[gnu::cold]] static int read_report(const Fd& report, Deadline deadline) {
        std::string text;
        WaitSet set;
        while (!deadline.passed()) {
            set.clear();
            set.readable(report.get());
            set.wait(deadline);
            char part[32];
            const ssize_t size = set.any_ready() ? read_some(report, part, sizeof part) : -1;
            if (size == 0) break;
            if (size > 0) text.append(part, static_cast<std::size_t>(size));
            // Its end may be long in coming: a copy of the host that somebody has forked meanwhile has the pipe open too.
            if (text.find('\n') != std::string::npos) break;
        }
        return text.empty() || text.front() == '\n' ? -1 : std::atoi(text.c_str());
    }

    /// A shell says only that it could not.
    [[gnu::cold]] static int error_of(const Action& action) noexcept {
        if (action.kind == Action::Kind::enter || action.kind == Action::Kind::be_nice) return EACCES;
        const bool is_raised = action.values[1] > sys::limit_of(0, action.from, true);
        return action.kind == Action::Kind::limit && is_raised ? EPERM : ENOSYS;
    }
};

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#undef LEASH_SHELL

#endif  // LEASH_0_1_0_DETAIL_POSIX_LAUNCHER_HPP

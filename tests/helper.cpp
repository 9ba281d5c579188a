// tests/helper.cpp - the one helper program: its first argument is a verb, and each verb is a way in which a child can
// behave. Plain POSIX, without leash. What lives on waits in pause(), and every one of them dies of SIGKILL.

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <dirent.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

extern char** environ;

namespace {

using Arguments = std::vector<std::string>;

[[noreturn]] void for_ever() {
    for (;;) ::pause();
}

/// Writes all of it, or exits with 74: the tests look for that code where a reader has gone.
void put(int fd, const std::string& text) {
    std::size_t done = 0;
    while (done < text.size()) {
        const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) ::_exit(74);
        done += static_cast<std::size_t>(n);
    }
}
void say(const std::string& text) { put(1, text); }

std::string argument(const Arguments& all, std::size_t index, const char* otherwise = "") {
    return index < all.size() ? all[index] : std::string(otherwise);
}
int number(const Arguments& all, std::size_t index, int otherwise = 0) {
    return index < all.size() ? std::atoi(all[index].c_str()) : otherwise;
}

// The bytes of write and flood: position n has 'a' + n % 26, with a newline at each 64th, so that a reader can tell
// whether all came in order.
std::string pattern(std::size_t from, std::size_t count) {
    std::string text(count, '\0');
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t n = from + i;
        text[i] = n % 64 == 63 ? '\n' : static_cast<char>('a' + n % 26);
    }
    return text;
}

std::string join_signals(const std::string& name, bool (*has)(int)) {
    std::string line = name;
    for (int signal = 1; signal < 65; ++signal) {
        if (has(signal)) line += " " + std::to_string(signal);
    }
    return line + "\n";
}

// ---- what it is given

int echo_args(const Arguments& all) {  // each argument after the verb, followed by NUL
    for (std::size_t i = 1; i < all.size(); ++i) say(all[i] + '\0');
    return 0;
}
int argv0(const Arguments&, const char* name) {
    say(name);
    return 0;
}
int env(const Arguments& all) {  // all of it, each followed by NUL; or the value of one
    if (all.size() > 1) {
        const char* const value = ::getenv(all[1].c_str());
        if (value == nullptr) return 1;
        say(value);
        return 0;
    }
    for (char** entry = environ; *entry != nullptr; ++entry) say(std::string(*entry) + '\0');
    return 0;
}
int pwd(const Arguments&) {
    char path[PATH_MAX];
    if (::getcwd(path, sizeof path) == nullptr) return 1;
    say(path);
    return 0;
}
int ids(const Arguments&) {  // "pid pgid sid ppid"
    say(std::to_string(::getpid()) + " " + std::to_string(::getpgrp()) + " " + std::to_string(::getsid(0)) + " " +
        std::to_string(::getppid()) + "\n");
    return 0;
}
int mask(const Arguments&) {  // the umask, octal
    char text[16];
    std::snprintf(text, sizeof text, "%03o\n", static_cast<unsigned>(::umask(0)));
    say(text);
    return 0;
}
int death_signal(const Arguments&) {  // what it gets at the end of its parent; 0: nothing
    int number = 0;
#if defined(__linux__)
    ::prctl(PR_GET_PDEATHSIG, &number);
#endif
    say(std::to_string(number) + "\n");
    return 0;
}
int bounds(const Arguments&) {  // umask, nice value, and of each limit the soft and the hard one; -1: none
    char text[64];
    std::snprintf(text, sizeof text, "umask %03o nice %d", static_cast<unsigned>(::umask(0)),
                  ::getpriority(PRIO_PROCESS, 0));
    std::string all = text;
    const auto add = [&](const char* name, auto resource) {
        rlimit limit{};
        ::getrlimit(resource, &limit);
        std::snprintf(text, sizeof text, " %s %lld %lld", name, static_cast<long long>(limit.rlim_cur),
                      static_cast<long long>(limit.rlim_max));
        all += text;
    };
    add("as", RLIMIT_AS);
    add("cpu", RLIMIT_CPU);
    add("fsize", RLIMIT_FSIZE);
    add("nofile", RLIMIT_NOFILE);
    add("nproc", RLIMIT_NPROC);
    add("core", RLIMIT_CORE);
    say(all + "\n");
    return 0;
}
int allocate(const Arguments& all) {  // "none" where there are not so many bytes to be had
    void* const memory = std::malloc(static_cast<std::size_t>(std::atoll(all[1].c_str())));
    say(memory != nullptr ? "some\n" : "none\n");
    std::free(memory);
    return 0;
}
int limit(const Arguments&) {  // RLIMIT_NOFILE
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    say(std::to_string(files.rlim_cur) + "\n");
    return 0;
}
int signals(const Arguments&) {  // "blocked …", "ignored …"
    say(join_signals("blocked", [](int signal) {
        sigset_t blocked;
        ::sigemptyset(&blocked);
        ::sigprocmask(SIG_BLOCK, nullptr, &blocked);
        return ::sigismember(&blocked, signal) == 1;
    }));
    say(join_signals("ignored", [](int signal) {
        struct sigaction action {};
        return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
    }));
    return 0;
}
int fds(const Arguments&) {  // "number what" for each open descriptor, in order
    std::vector<int> open;
    DIR* const directory = ::opendir("/proc/self/fd");
    if (directory == nullptr) return 1;
    while (const dirent* const entry = ::readdir(directory)) {
        const int fd = std::atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != ::dirfd(directory)) open.push_back(fd);
    }
    ::closedir(directory);
    std::sort(open.begin(), open.end());
    std::string text;
    for (const int fd : open) {
        char target[PATH_MAX];
        const ssize_t n = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target);
        text += std::to_string(fd) + " " + std::string(target, n > 0 ? static_cast<std::size_t>(n) : 0) + "\n";
    }
    say(text);
    return 0;
}
int inodes(const Arguments& all) {  // to the first descriptor: the inode of each of the others, or "closed"
    std::string text;
    for (std::size_t i = 2; i < all.size(); ++i) {
        struct stat info {};
        text += (::fstat(number(all, i), &info) != 0 ? "closed" : std::to_string(info.st_ino)) + " ";
    }
    put(number(all, 1), text);
    return 0;
}
int is_tty(const Arguments& all) {
    const int fd = number(all, 1);
    say(::isatty(fd) == 1 ? "terminal\n" : "no terminal\n");
    return 0;
}
int foreground(const Arguments&) {  // is this process in the foreground group of its terminal?
    const int terminal = ::open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (terminal < 0) say("no terminal\n");
    else say(::tcgetpgrp(terminal) == ::getpgrp() ? "foreground\n" : "background\n");
    return 0;
}
int terminal(const Arguments&) {  // of 0, 1, 2 and /dev/tty the path or "-", then what this process is there
    std::string text;
    const int own = ::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    char path[PATH_MAX];
    for (const int fd : {0, 1, 2}) text += std::string(::ttyname_r(fd, path, sizeof path) == 0 ? path : "-") + " ";
    text += own < 0 ? "-" : "/dev/tty";
    for (const int fd : {0, 1, 2}) {
        if (own >= 0 && ::isatty(fd) == 1 && ::tcgetsid(fd) == ::tcgetsid(own)) text += " " + std::to_string(fd);
    }
    if (own >= 0 && ::tcgetsid(own) == ::getpid()) text += " leader";
    if (own >= 0 && ::tcgetpgrp(own) == ::getpgrp()) text += " foreground";
    say(text);
    return 0;
}
int window(const Arguments&) {  // its size, and again whenever it changes
    sigset_t change;
    ::sigemptyset(&change);
    ::sigaddset(&change, SIGWINCH);
    ::sigprocmask(SIG_BLOCK, &change, nullptr);
    for (int signal = 0;; ::sigwait(&change, &signal)) {
        winsize size{};
        ::ioctl(1, TIOCGWINSZ, &size);
        say(std::to_string(size.ws_row) + "x" + std::to_string(size.ws_col) + "\n");
    }
}
int password(const Arguments&) {  // asks for one at its terminal, whatever its streams are, and says it
    const int terminal = ::open("/dev/tty", O_RDWR | O_CLOEXEC);
    termios before{};
    if (terminal < 0 || ::tcgetattr(terminal, &before) != 0) return 1;
    termios quiet = before;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(terminal, TCSAFLUSH, &quiet);
    put(terminal, "Password: ");
    std::string line;
    for (char c = '\0'; ::read(terminal, &c, 1) == 1 && c != '\n';) line += c;
    put(terminal, "\n");
    ::tcsetattr(terminal, TCSAFLUSH, &before);
    say("it is " + line);
    return 0;
}

// ---- how it ends

int exit_with(const Arguments& all) { return number(all, 1); }
int kill_itself(const Arguments& all) {  // no core file, unless a third argument asks for one
    const int signal = number(all, 1);
    if (all.size() < 3) {
        const rlimit none{0, 0};
        ::setrlimit(RLIMIT_CORE, &none);
    }
    ::signal(signal, SIG_DFL);
    ::raise(signal);
    return 99;
}

// ---- what it reads and writes

int cat(const Arguments&) {
    std::string buffer(65536, '\0');
    for (ssize_t n; (n = ::read(0, &buffer[0], buffer.size())) != 0;) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return 1;
        put(1, buffer.substr(0, static_cast<std::size_t>(n)));
    }
    return 0;
}
int count(const Arguments&) {  // how many bytes of input there were, and a checksum
    std::string buffer(65536, '\0');
    unsigned long long bytes = 0, sum = 0;
    for (ssize_t n; (n = ::read(0, &buffer[0], buffer.size())) > 0;) {
        for (ssize_t i = 0; i < n; ++i)
            sum = sum * 31 + static_cast<unsigned char>(buffer[static_cast<std::size_t>(i)]);
        bytes += static_cast<unsigned long long>(n);
    }
    say(std::to_string(bytes) + " " + std::to_string(sum) + "\n");
    return 0;
}
int write_bytes(const Arguments& all) {  // write N [fd]
    std::size_t left = std::strtoul(argument(all, 1, "0").c_str(), nullptr, 10), done = 0;
    const int fd = number(all, 2, 1);
    while (left > 0) {
        const std::size_t piece = std::min<std::size_t>(left, 65536);
        put(fd, pattern(done, piece));
        done += piece;
        left -= piece;
    }
    return 0;
}
int write_both(const Arguments& all) {  // N bytes to 1 and N to 2, in turns
    std::size_t left = std::strtoul(argument(all, 1, "0").c_str(), nullptr, 10), done = 0;
    while (left > 0) {
        const std::size_t piece = std::min<std::size_t>(left, 4096);
        put(1, pattern(done, piece));
        put(2, pattern(done, piece));
        done += piece;
        left -= piece;
    }
    return 0;
}
int flood(const Arguments& all) {  // until it is killed, or the reader goes
    const int fd = number(all, 1, 1);
    const std::string text = pattern(0, 65536);
    for (;;) put(fd, text);
}
int print(const Arguments& all) {  // each argument, in a write of its own
    for (std::size_t i = 1; i < all.size(); ++i) say(all[i]);
    return 0;
}
int print_to(const Arguments& all) {  // fd text, fd text, …
    for (std::size_t i = 1; i + 1 < all.size(); i += 2) put(number(all, i), all[i + 1]);
    return 0;
}
int print_slowly(const Arguments& all) {  // each argument in a write of its own, with a pause between
    for (std::size_t i = 1; i < all.size(); ++i) {
        if (i > 1) ::poll(nullptr, 0, 5);
        say(all[i]);
    }
    return 0;
}
int print_and_wait(const Arguments& all) {  // the arguments, then for ever
    print(all);
    for_ever();
}
int ping_pong(const Arguments&) {  // answers each line with "got <line>"
    std::string line;
    char c = '\0';
    while (::read(0, &c, 1) == 1) {
        if (c != '\n') {
            line += c;
            continue;
        }
        say("got " + line + "\n");
        line.clear();
    }
    return 0;
}
int read_and_exit(const Arguments& all) {  // read N bytes, then exit with a code
    int left = number(all, 1);
    char c = '\0';
    while (left > 0 && ::read(0, &c, 1) == 1) --left;
    return left > 0 ? 1 : number(all, 2);
}
int wait_then_exit(const Arguments& all) {  // says "ready", waits for the end of its input, exits with a code
    say("ready\n");
    char c = '\0';
    while (::read(0, &c, 1) > 0) {}
    return number(all, 1);
}
int wait_then_cat(const Arguments&) {  // says "ready", waits for a first byte that is not echoed, then is cat
    say("ready\n");
    char c = '\0';
    if (::read(0, &c, 1) != 1) return 1;
    return cat({});
}
int close_input(const Arguments&) {  // closes its input, says so, and lives
    ::close(0);
    say("closed\n");
    for_ever();
}
int close_all(const Arguments&) {  // closes every descriptor and lives
    for (int fd = 0; fd < 1024; ++fd) ::close(fd);
    for_ever();
}
int close_output_wait_exit(const Arguments& all) {  // closes 1 and 2, waits for the end of its input, exits
    ::close(1);
    ::close(2);
    char c = '\0';
    while (::read(0, &c, 1) > 0) {}
    return number(all, 1);
}
int nonblocking(const Arguments&) {  // which of 0, 1, 2 are O_NONBLOCK
    std::string text;
    for (int fd = 0; fd < 3; ++fd) text += (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 ? '1' : '0';
    say(text);
    return 0;
}

// ---- how it lives on

int sleep_for_ever(const Arguments& all) {  // says its arguments first
    print(all);
    for_ever();
}
int ignore_term(const Arguments&) {
    ::signal(SIGTERM, SIG_IGN);
    say("ready\n");
    for_ever();
}
int catch_term(const Arguments& all) {  // TERM: exits with a code
    static int code = 0;
    code = number(all, 1);
    ::signal(SIGTERM, [](int) { ::_exit(code); });
    say("ready\n");
    for_ever();
}
int stop_itself(const Arguments&) {
    say("ready\n");
    ::raise(SIGSTOP);
    say("continued\n");
    for_ever();
}
int report_signals(const Arguments& all) {  // [fd]: "ready", then the number of each USR1, USR2, HUP, INT that comes
    static int to = 1;
    to = number(all, 1, 1);
    const auto report = [](int signal) {
        char text[3] = {static_cast<char>('0' + signal / 10), static_cast<char>('0' + signal % 10), '\n'};
        static_cast<void>(!::write(to, text, sizeof text));
    };
    struct sigaction action {};
    action.sa_handler = report;
    for (const int signal : {SIGUSR1, SIGUSR2, SIGHUP, SIGINT}) ::sigaction(signal, &action, nullptr);
    put(to, "ready\n");
    for_ever();
}
int spin(const Arguments& all) {  // burns so many milliseconds of processor time, and touches so many MB
    const rlim_t milliseconds = static_cast<rlim_t>(number(all, 1));
    std::string memory(static_cast<std::size_t>(number(all, 2)) << 20, 'x');
    volatile char* const first = &memory[0];
    for (std::size_t i = 0; i < memory.size(); i += 512) first[i] = 'y';
    for (;;) {
        rusage used{};
        ::getrusage(RUSAGE_SELF, &used);
        const rlim_t spent =
            static_cast<rlim_t>(used.ru_utime.tv_sec) * 1000 + static_cast<rlim_t>(used.ru_utime.tv_usec) / 1000;
        if (spent >= milliseconds) return 0;
    }
}

// ---- who lives on after it

/// Forks a child that keeps only the descriptors that are named, after `change`; returns to the leader once it is set.
void leave_behind(const Arguments& keep, std::size_t from, void (*change)()) {
    int ready[2];
    if (::pipe(ready) != 0) ::_exit(98);
    const pid_t child = ::fork();
    if (child < 0) ::_exit(98);
    if (child == 0) {
        change();
        for (int fd = 0; fd < 1024; ++fd) {
            bool kept = fd == ready[1];
            for (std::size_t i = from; i < keep.size(); ++i) kept = kept || fd == std::atoi(keep[i].c_str());
            if (!kept) ::close(fd);
        }
        static_cast<void>(!::write(ready[1], "x", 1));
        ::close(ready[1]);
        for_ever();
    }
    ::close(ready[1]);
    char c = '\0';
    static_cast<void>(!::read(ready[0], &c, 1));
    ::close(ready[0]);
    say(std::to_string(child) + "\n");
}
int fork_holder(const Arguments& all) {  // exit code, then the descriptors that the child holds; says the child's pid
    leave_behind(all, 2, [] {});
    return number(all, 1);
}
int fork_ignoring_holder(const Arguments& all) {  // the same, and the child ignores TERM
    leave_behind(all, 2, [] { ::signal(SIGTERM, SIG_IGN); });
    return number(all, 1);
}
int setsid_holder(const Arguments& all) {  // the same, and the child has a session of its own
    leave_behind(all, 2, [] { ::setsid(); });
    return number(all, 1);
}
int fork_and_wait(const Arguments& all) {  // a child that lives, and a leader that does; the descriptors it holds
    leave_behind(all, 1, [] {});
    for_ever();
}

/// Waits until the parent has ended: whatever comes then comes after the leader's end.
void wait_for_orphanhood(pid_t parent) {
    while (::getppid() == parent) ::poll(nullptr, 0, 1);
}
/// A file that is not there, or there as a whole.
void save(const std::string& path, const std::string& text) {
    const std::string part = path + "." + std::to_string(::getpid());
    const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) ::_exit(98);
    put(fd, text);
    ::close(fd);
    if (::rename(part.c_str(), path.c_str()) != 0) ::_exit(98);
}
int write_after(const Arguments& all) {  // a leader that ends at once, and a child that writes N bytes after that
    const pid_t leader = ::getpid(), child = ::fork();
    if (child != 0) return child < 0 ? 98 : 0;
    wait_for_orphanhood(leader);
    return write_bytes(all);
}
// A leader that ends at once, and a child that tells of it in a file, which has its pid then, and lives: "holds" its
// streams; "quiet": without any; "apart": in a session of its own. "until" another file is there: then it ends.
int orphan(const Arguments& all) {
    int ready[2];
    if (::pipe(ready) != 0) return 98;
    const pid_t leader = ::getpid(), child = ::fork();
    if (child != 0) {
        ::close(ready[1]);
        char c = '\0';
        return child < 0 || ::read(ready[0], &c, 1) != 1 ? 98 : 0;
    }
    const std::string how = argument(all, 2);
    if (how == "apart") ::setsid();
    if (how == "quiet") {
        for (const int fd : {0, 1, 2}) ::close(fd);
    }
    put(ready[1], "x");
    ::close(ready[1]);
    wait_for_orphanhood(leader);
    save(all[1], std::to_string(::getpid()));
    if (all.size() < 4) for_ever();
    while (::access(all[3].c_str(), F_OK) != 0) ::poll(nullptr, 0, 1);
    return 0;
}
int chain(const Arguments&) {  // leaves one that starts another and ends, in a session of its own, again and again
    const pid_t child = ::fork();
    if (child != 0) return child < 0 ? 98 : 0;
    ::setsid();
    for (const int fd : {0, 1, 2}) ::close(fd);
    for (;;) {
        if (::fork() > 0) ::_exit(0);
        ::usleep(300);
    }
}
int live(const Arguments& all) {  // writes its pid into a file, and lives
    save(all[1], std::to_string(::getpid()));
    for_ever();
}
// A child that gets away by these steps, one after the other, and is `live` then. "group", "session": of its own; "fork":
// goes on in a child, and ends; "split": goes on in a child, and lives; "close": has no descriptor, and the root as its
// directory; "ignore": ignores TERM; "clear": has no environment; "spare": has no LEASH_JOB; "rename": has other variables
// instead; "thread": lives by its second thread alone. The leader ends then; where its last argument is "stay" it says "ready"
// and lives; "told": it waits for its input.
int escape(const Arguments& all) {
    const std::string last = all.back();
    const pid_t child = ::fork();
    if (child < 0) ::_exit(98);
    if (child > 0) {
        while (::access(all[1].c_str(), F_OK) != 0) ::poll(nullptr, 0, 1);
        if (last != "stay" && last != "told") return 0;
        say("ready\n");
        char c = '\0';
        if (last == "told" && ::read(0, &c, 1) >= 0) return 0;
        for_ever();
    }
    char path[PATH_MAX] = "";
    if (::readlink("/proc/self/exe", path, sizeof path - 1) <= 0) ::_exit(98);
    char verb[] = "live", none[] = "A=1";
    std::string file = all[1];
    char* argv[] = {path, verb, &file[0], nullptr};
    char* empty[] = {nullptr};
    char* other[] = {none, nullptr};
    for (std::size_t i = 2; i < all.size(); ++i) {
        const std::string& step = all[i];
        if (step == "group" && ::setpgid(0, 0) != 0) ::_exit(98);
        if (step == "session" && ::setsid() < 0) ::_exit(98);
        if (step == "fork" || step == "split") {
            const pid_t parent = ::getpid(), next = ::fork();
            if (next < 0) ::_exit(98);
            if (next > 0 && step == "split") for_ever();
            if (next > 0) ::_exit(0);
            if (step == "fork") wait_for_orphanhood(parent);
        }
        if (step == "close") {
            static_cast<void>(!::chdir("/"));
            for (int fd = 0; fd < 1024; ++fd) ::close(fd);
        }
        if (step == "ignore") ::signal(SIGTERM, SIG_IGN);
        if (step == "spare") ::unsetenv("LEASH_JOB");
        if (step == "clear") ::execve(path, argv, empty);
        if (step == "rename") ::execve(path, argv, other);
        if (step == "spare") ::execve(path, argv, environ);
        if (step == "thread") {  // which goes on when this one, the first, has ended
            std::thread([&all] { live(all); }).detach();
            ::syscall(SYS_exit, 0);
        }
    }
    return live(all);
}
int save_on_term(const Arguments& all) {  // at TERM: waits until its parent has died of that, and writes a file
    // Asked before TERM is blocked: one that has ended the parent by then ends this process too.
    const pid_t parent = ::getppid();
    sigset_t term;
    ::sigemptyset(&term);
    ::sigaddset(&term, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &term, nullptr);
    say("ready\n");
    int signal = 0;
    ::sigwait(&term, &signal);
    wait_for_orphanhood(parent);
    save(all[1], "saved");
    return 0;
}
int be_daemon(const Arguments& all) {  // daemon(3), then a line in a file
    if (::daemon(1, 1) != 0) return 98;
    const int fd = ::open(all[1].c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    put(fd, "up\n");
    return 0;
}
// A chain of N children, each in a "group" or a "session" of its own; all live. The leader says "ready" when all are there: where
// it is killed before, nobody does. With "children" those ignore TERM, and with "all" the leader too.
int apart(const Arguments& all) {
    if (argument(all, 3) == "all") ::signal(SIGTERM, SIG_IGN);
    const pid_t leader = ::getpid();
    int ends[2];
    if (::pipe(ends) != 0) ::_exit(98);
    for (int left = number(all, 2); left > 0; --left) {
        const pid_t child = ::fork();
        if (child < 0) ::_exit(98);
        if (child > 0) {
            ::close(ends[1]);
            char byte;
            if (::getpid() == leader && ::read(ends[0], &byte, 1) == 1) say("ready\n");
            for_ever();
        }
        if (!argument(all, 3).empty()) ::signal(SIGTERM, SIG_IGN);
        if ((argument(all, 1) == "session" ? ::setsid() : ::setpgid(0, 0)) < 0) ::_exit(98);
    }
    if (::getpid() == leader) say("ready\n");
    else put(ends[1], "x");
    for_ever();
}
// N processes in a group that the first of them has made, below the "leader", or below a "child" of its that is in one more
// group. Whoever is continued starts another one.
int continued(const Arguments& all) {
    int ends[2];
    if (::pipe(ends) != 0) ::_exit(98);
    const int count = number(all, 2);
    if (argument(all, 1) == "child") {
        if (::fork() > 0) for_ever();
        ::setpgid(0, 0);
    }
    pid_t group = 0;
    for (int i = 0; i < count; ++i) {
        const pid_t child = ::fork();
        if (child < 0) ::_exit(98);
        if (child == 0) {
            ::setpgid(0, group);
            ::signal(SIGHUP, SIG_IGN);
            ::signal(SIGCONT, [](int) { ::fork(); });
            put(ends[1], "x");
            for_ever();
        }
        ::setpgid(child, group);
        if (group == 0) group = child;
    }
    char byte;
    for (int i = 0; i < count; ++i) {
        if (::read(ends[0], &byte, 1) != 1) ::_exit(98);
    }
    say("ready\n");
    for_ever();
}
int flip_group(const Arguments&) {  // a leader that goes back and forth between its group and its child's
    const pid_t child = ::fork();
    if (child < 0) ::_exit(98);
    if (child == 0) {
        ::setpgid(0, 0);
        ::signal(SIGTERM, SIG_IGN);
        for_ever();
    }
    ::setpgid(child, child);
    say("ready\n");
    for (;;) {
        ::setpgid(0, child);
        ::setpgid(0, 0);
    }
}

int listen_on(const Arguments& all) {  // a port of 127.0.0.1, 0: any; says it, ignores TERM, and lives
    ::signal(SIGTERM, SIG_IGN);
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<unsigned short>(number(all, 1)));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    void* const generic = &address;
    if (::bind(listener, static_cast<sockaddr*>(generic), size) != 0 || ::listen(listener, 5) != 0 ||
        ::getsockname(listener, static_cast<sockaddr*>(generic), &size) != 0)
        ::_exit(98);
    say(std::to_string(ntohs(address.sin_port)) + "\n");
    for_ever();
}
int change_group(const Arguments& all) {  // moves itself, the leader, into the group of a child; says "ready"
    char line;
    if (argument(all, 1) == "told") {  // once there is a byte to read; says "waits" before
        say("waits\n");
        if (::read(0, &line, 1) != 1) ::_exit(98);
    }
    const pid_t child = ::fork();
    if (child < 0) ::_exit(98);
    if (child == 0) for_ever();
    if (::setpgid(child, child) != 0 || ::setpgid(0, child) != 0) ::_exit(98);
    say("ready\n");
    for_ever();
}

// As a set-uid program may: out of reach for who started it; says "root" or "not root". With a code it exits at the end
// of its input.
int become_root(const Arguments& all) {
    say(::setresuid(0, 0, 0) == 0 ? "root\n" : "not root\n");
    ::alarm(60);
    if (all.size() < 2) for_ever();
    char c = '\0';
    while (::read(0, &c, 1) > 0) {}
    return number(all, 1);
}

struct Verb {
    const char* name;
    int (*run)(const Arguments&);
};
const Verb verbs[] = {
    {"echo-args", echo_args},
    {"env", env},
    {"pwd", pwd},
    {"ids", ids},
    {"umask", mask},
    {"limit", limit},
    {"bounds", bounds},
    {"death-signal", death_signal},
    {"allocate", allocate},
    {"signals", signals},
    {"fds", fds},
    {"inodes", inodes},
    {"isatty", is_tty},
    {"foreground", foreground},
    {"terminal", terminal},
    {"window", window},
    {"password", password},
    {"exit", exit_with},
    {"kill", kill_itself},
    {"cat", cat},
    {"count", count},
    {"write", write_bytes},
    {"write-both", write_both},
    {"flood", flood},
    {"print", print},
    {"print-to", print_to},
    {"print-slowly", print_slowly},
    {"print-and-wait", print_and_wait},
    {"ping-pong", ping_pong},
    {"read-and-exit", read_and_exit},
    {"wait-then-exit", wait_then_exit},
    {"wait-then-cat", wait_then_cat},
    {"close-input", close_input},
    {"close-all", close_all},
    {"close-output-wait-exit", close_output_wait_exit},
    {"nonblocking", nonblocking},
    {"sleep", sleep_for_ever},
    {"ignore-term", ignore_term},
    {"catch-term", catch_term},
    {"stop-self", stop_itself},
    {"report-signals", report_signals},
    {"spin", spin},
    {"fork-holder", fork_holder},
    {"fork-ignoring-holder", fork_ignoring_holder},
    {"setsid-holder", setsid_holder},
    {"fork-and-wait", fork_and_wait},
    {"write-after", write_after},
    {"orphan", orphan},
    {"live", live},
    {"escape", escape},
    {"chain", chain},
    {"save-on-term", save_on_term},
    {"daemon", be_daemon},
    {"apart", apart},
    {"continued", continued},
    {"flip-group", flip_group},
    {"listen", listen_on},
    {"change-group", change_group},
    {"become-root", become_root},
};

}  // namespace

int main(int count, char** values) {
    const Arguments all(values + (count > 0 ? 1 : 0), values + count);
    const std::string wanted = argument(all, 0);
    if (wanted == "argv0") return argv0(all, values[0]);
    for (const Verb& verb : verbs) {
        if (wanted == verb.name) return verb.run(all);
    }
    std::fprintf(stderr, "helper: no verb \"%s\"\n", wanted.c_str());
    return 97;
}

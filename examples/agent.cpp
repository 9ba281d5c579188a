// examples/agent.cpp - the incident that leash was written for: as it happens, and as it does not. See ./dev demo.
//
// An agent listens on a port and runs the commands of other people, each with a deadline, in a worker thread. One
// takes too long. The deadline is enforced twice here, in the usual way and with leash, and each time the system's
// own tools are asked what is still running, and whether a restarted agent gets its port. Then an agent is killed.
//
//     c++ -std=c++17 -O1 -Iinclude examples/agent.cpp -o agent -pthread && ./agent
//
// It leaves nothing running. The usual way runs as a leash job itself, so that leash ends what it forgets; Ctrl-C
// ends all jobs through a Cancel token; and what the commands start ends by itself after 20 s at the latest, should
// somebody kill the demo with SIGKILL. The exit status is 0 only if everything turned out as it says here.

#include <leash/leash.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

leash::Cancel interrupted;  // Ctrl-C and the like: every job below ends at once, and the demo with them
bool all_as_promised = true;

constexpr std::chrono::milliseconds timeout = 1s, grace = 300ms, drain = 200ms;

void check(bool as_promised) { all_as_promised = all_as_promised && as_promised; }

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// ---- the agent's port -----------------------------------------------------------------------------------------------

/// A listening socket as most programs make theirs: the children inherit it. Port 0 asks for a free one. -1 with errno.
int listen_on(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);  // no SOCK_CLOEXEC
    if (fd < 0) return -1;
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);  // no help against one that still listens
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && ::listen(fd, 16) == 0) return fd;
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
}

int port_of(int fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    return ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0 ? ntohs(address.sin_port) : 0;
}

int start_agent() {
    const int fd = listen_on(0);
    if (fd < 0) std::perror("  the agent cannot listen");
    else
        std::printf("  the agent, pid %ld, listens on 127.0.0.1:%d; its socket is descriptor %d, inheritable\n",
                    static_cast<long>(::getpid()), port_of(fd), fd);
    return fd;
}

/// The new agent takes its port, if it can.
bool restart_agent(int port) {
    const int fd = listen_on(port);
    if (fd < 0) {
        std::printf("  the restarted agent: port %d: %s\n", port, std::strerror(errno));
        return false;
    }
    std::printf("  the restarted agent: listens on 127.0.0.1:%d again\n", port_of(fd));
    ::close(fd);
    return true;
}

// ---- what the system knows ------------------------------------------------------------------------------------------

std::string read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// A process that runs, as ps shows it.
struct Process {
    long pid, parent;
    char state;
    std::string command;
};

/// A process from /proc; nothing for one that has ended, be it a zombie still.
std::optional<Process> process(const fs::path& directory) {
    Process found{std::atol(directory.filename().c_str()), 0, '?', {}};
    if (found.pid <= 0) return std::nullopt;  // not a process's
    const std::string stat = read_file(directory / "stat");
    const std::size_t name_end = stat.rfind(')');  // "pid (name) state parent ..."
    if (name_end == std::string::npos) return std::nullopt;
    if (std::sscanf(stat.c_str() + name_end + 1, " %c %ld", &found.state, &found.parent) != 2) return std::nullopt;
    if (found.state == 'Z' || found.state == 'X') return std::nullopt;
    found.command = read_file(directory / "cmdline");
    while (!found.command.empty() && found.command.back() == '\0') found.command.pop_back();
    std::replace(found.command.begin(), found.command.end(), '\0', ' ');
    return found;
}

/// The variable that all commands of this demo are given, and that their descendants inherit: whatever becomes of
/// them, they can be told from all other processes.
constexpr const char* mark_name = "LEASH_DEMO";

/// Every process that was started under this mark and still runs, but the asking one.
std::vector<Process> processes_with(const std::string& mark) {
    std::vector<Process> found;
    const std::string wanted = std::string(1, '\0') + mark_name + '=' + mark + '\0';
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
        if (('\0' + read_file(entry.path() / "environ")).find(wanted) == std::string::npos) continue;
        auto one = process(entry.path());
        if (one && one->pid != ::getpid()) found.push_back(std::move(*one));
    }
    return found;
}

/// The output of one of the system's tools; nothing where that tool does not exist or fails.
std::string ask(leash::Command tool) {
    leash::Options options;
    options.out = leash::piped;
    options.err = leash::null;
    options.timeout = 5s;
    const auto answer = leash::try_run(std::move(tool), std::move(options));
    return answer && answer->ok() ? answer->out : std::string();
}

void print_indented(const std::string& text) {
    std::size_t start = 0;
    while (start < text.size()) {
        const std::size_t end = std::min(text.find('\n', start), text.size());
        std::printf("      %s\n", text.substr(start, end - start).c_str());
        start = end + 1;
    }
}

/// Shows processes with ps, or from /proc where there is no ps.
void show(const std::vector<Process>& processes) {
    std::string pids, lines;
    for (const Process& one : processes) {
        pids += (pids.empty() ? "" : ",") + std::to_string(one.pid);
        lines += "pid " + std::to_string(one.pid) + ", parent " + std::to_string(one.parent) + ", state " + one.state +
                 ": " + one.command + '\n';
    }
    const std::string answer = ask({"ps", "-o", "pid,ppid,stat,args", "-p", pids});
    if (!answer.empty()) std::printf("      $ ps -o pid,ppid,stat,args -p %s\n", pids.c_str());
    print_indented(answer.empty() ? lines : answer);
}

/// The inode of the socket that listens on a port of 127.0.0.1, as /proc/net/tcp has it; empty where there is none.
std::string listening_inode(int port) {
    std::ifstream table("/proc/net/tcp");
    char local[32];
    std::snprintf(local, sizeof local, "0100007F:%04X", static_cast<unsigned>(port));
    if (htons(1) == 1) std::snprintf(local, sizeof local, "7F000001:%04X", static_cast<unsigned>(port));  // big endian
    for (std::string line; std::getline(table, line);) {
        char address[32], state[8], inode[32];
        if (std::sscanf(line.c_str(), "%*s %31s %*s %7s %*s %*s %*s %*s %*s %31s", address, state, inode) == 3 &&
            std::strcmp(address, local) == 0 && std::strcmp(state, "0A") == 0)
            return inode;
    }
    return {};
}

/// Has ps count the processes with the mark, and shows that; false where it is not so. True where there is no ps.
bool ps_counts(const std::string& mark, const std::string& expected) {
    const std::string pattern = std::string("[") + mark_name[0] + ']' + (mark_name + 1) + '=' + mark;
    const std::string count =
        ask(leash::shell("ps axeww >/dev/null && { ps axeww | grep -cw \"$1\" || true; }", {pattern}));
    if (count.empty()) return true;
    std::printf("      $ ps axeww | grep -cw '%s'\n", pattern.c_str());
    print_indented(count);
    return count == expected + '\n';
}

/// Who has the agent's listening socket? With ss, or from /proc where there is no ss.
void show_listeners(int port) {
    const std::string ss = ask({"ss", "-Hltnp", "sport = :" + std::to_string(port)});
    const std::string inode = listening_inode(port);
    if (!ss.empty() || (inode.empty() && !ask({"ss", "-V"}).empty())) {
        std::string line;  // with one space for many
        for (const char c : ss) {
            if (c != ' ' || line.empty() || line.back() != ' ') line += c;
        }
        std::printf("      $ ss -Hltnp 'sport = :%d'\n", port);
        print_indented(line.empty() ? "(nobody)\n" : line);
        return;
    }
    bool found = false;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
        if (inode.empty() || !process(entry.path())) continue;
        for (const auto& fd : fs::directory_iterator(entry.path() / "fd", ignored)) {
            if (fs::read_symlink(fd.path(), ignored) != "socket:[" + inode + "]") continue;
            std::printf("      port %d: listened on through descriptor %s of pid %s\n", port,
                        fd.path().filename().c_str(), entry.path().filename().c_str());
            found = true;
        }
    }
    if (!found) std::printf("      /proc: nobody listens on port %d\n", port);
}

/// An agent that hands its socket to what it runs, and is killed by SIGKILL once that runs. Gives its port; 0 where there
/// is no such agent.
template <class Run>
int kill_agent(Run run) {
    int ends[2];
    if (::pipe(ends) != 0) return 0;
    std::fflush(stdout);
    const pid_t agent = ::fork();
    if (agent == 0) {
        const int listener = start_agent();
        std::fflush(stdout);
        const int port = listener < 0 ? 0 : port_of(listener);
        const bool runs = listener >= 0 && run(listener);
        if (runs && ::write(ends[1], &port, sizeof port) == sizeof port) ::kill(::getpid(), SIGKILL);
        ::_exit(1);
    }
    ::close(ends[1]);
    int port = 0;
    if (::read(ends[0], &port, sizeof port) != sizeof port) port = 0;
    ::close(ends[0]);
    ::waitpid(agent, nullptr, 0);
    std::printf("  it is killed by SIGKILL\n");
    return port;
}

// ---- without leash --------------------------------------------------------------------------------------------------

/// Runs a command line with a deadline in the way that everybody writes it. False where the time was up.
bool run_as_usual(const char* command_line, std::chrono::milliseconds time) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::execl("/bin/sh", "sh", "-c", command_line, static_cast<char*>(nullptr));
        ::_exit(127);
    }
    if (child < 0) return false;
    const auto start = Clock::now();
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) {
        if (Clock::now() - start > time) {
            ::kill(child, SIGKILL);  // the shell: the only process that this code knows of
            ::waitpid(child, &status, 0);
            std::printf("  %5.2f s: too late: killed the command, pid %ld, which was the shell\n", seconds_since(start),
                        static_cast<long>(child));
            return false;
        }
        std::this_thread::sleep_for(5ms);
    }
    return true;
}

/// 0 where the incident happened: the command lives on, and has the port.
int without_leash() {
    const char* const mark = std::getenv(mark_name);
    const int listener = start_agent();
    if (listener < 0 || mark == nullptr) return 1;
    const int port = port_of(listener);

    const char* const command_line = "sleep 20; echo done";
    std::printf("  it runs \"%s\" with a deadline of %g s\n", command_line,
                std::chrono::duration<double>(timeout).count());
    bool in_time = true;
    std::thread([&] { in_time = run_as_usual(command_line, timeout); }).join();

    const std::vector<Process> left = processes_with(mark);
    std::printf("  what that shell had started lives on, and init is its parent now:\n");
    show(left);
    ::close(listener);
    std::printf("  the agent closes its socket and ends; but it is not the only one that has it:\n");
    show_listeners(port);
    const bool restarted = restart_agent(port);

    std::printf("\n  Another agent, which runs the same:\n");
    const int other = kill_agent([&](int) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::execl("/bin/sh", "sh", "-c", command_line, static_cast<char*>(nullptr));
            ::_exit(127);
        }
        return child > 0;
    });
    std::vector<Process> orphans;
    for (int i = 0; i < 200 && orphans.empty(); ++i) {  // in the middle of its exec a process shows no environment
        if (i > 0) std::this_thread::sleep_for(10ms);
        for (Process& one : processes_with(mark)) {
            const auto is_that = [&](const Process& known) { return known.pid == one.pid; };
            if (std::none_of(left.begin(), left.end(), is_that)) orphans.push_back(std::move(one));
        }
    }
    std::printf("  what it had started lives on:\n");
    show(orphans);
    const bool restarted_other = restart_agent(other);
    std::fflush(stdout);
    return !in_time && !left.empty() && !restarted && !orphans.empty() && !restarted_other ? 0 : 1;
}

// ---- with leash -----------------------------------------------------------------------------------------------------

/// What somebody wants the agent to run, and what is promised to become of it.
struct Task {
    const char* name;
    leash::Command command;
    bool (*as_promised)(const leash::Result&);
    leash::Reach reach = leash::Reach::group;
    std::size_t left = 0;  // how many processes still run when the call has returned
};

void print_row(const char* name, const std::string& ended, const std::string& took, const std::string& left,
               const std::string& output, const std::string& remarks) {
    std::printf("  %-24s %-23s %6s %5s  %-17s %s\n", name, ended.c_str(), took.c_str(), left.c_str(), output.c_str(),
                remarks.c_str());
}

void run_task(const Task& task, leash::Options options, const std::string& mark) {
    options.reach = task.reach;
    const auto start = Clock::now();
    const auto result = leash::try_run(task.command, options);
    const double took = seconds_since(start);
    const std::size_t left = processes_with(mark).size();
    if (!result) {
        print_row(task.name, result.error().message(), "", "", "", "NOT AS PROMISED");
        return check(false);
    }
    // The bound, and a second for a machine that is busy.
    const std::chrono::duration<double> bound = timeout + grace + drain + 1s;
    const bool good = task.as_promised(*result) && took < bound.count() && left == task.left;
    check(good);

    char time[16];
    std::snprintf(time, sizeof time, "%.2f s", took);
    std::string output = result->out.substr(0, result->out.find('\n'));
    std::string remarks;
    if (result->out_truncated) output = std::to_string(result->out.size()) + " bytes kept";
    if (result->timed_out) remarks += "timed out; ";
    if (result->out_truncated) remarks += "truncated; ";
    if (!result->stragglers.empty()) remarks += "ended \"" + result->stragglers.front().command + "\"; ";
    if (!result->held.empty()) remarks += "output held; ";
    if (result->cancelled) remarks += "cancelled; ";
    if (!good) remarks += "NOT AS PROMISED; ";
    if (!remarks.empty()) remarks.resize(remarks.size() - 2);
    print_row(task.name, result->status.describe(), time, std::to_string(left), output, remarks);
}

void with_leash(const std::string& mark) {
    const int listener = start_agent();
    int lifeline[2];
    if (listener < 0 || ::pipe(lifeline) != 0) return check(false);
    ::fcntl(lifeline[1], F_SETFD, FD_CLOEXEC);
    const int port = port_of(listener);

    leash::Options options;
    options.out = leash::piped;
    options.err = leash::to_out;
    options.timeout = timeout;
    options.grace = grace;
    options.drain = drain;
    options.max_output = 64 * 1024;
    options.cancel = interrupted;
    options.env = leash::Env::inherited().set(mark_name, mark);
    options.pass_fds = {{lifeline[0], 3}};  // at its end when this process closes it, or ends in whatever way

    using leash::Result;
    using leash::shell;
    std::vector<Task> tasks = {
        {"a plain success", shell("echo \"hello, $1\"", {"world"}),
         [](const Result& r) { return r.ok() && r.out == "hello, world\n"; }},
        {"a failure", shell("echo 'no such thing' >&2; exit 3"),
         [](const Result& r) { return r.status.code() == 3 && !r.timed_out; }},
        {"looks for our socket", shell("ls -l /proc/self/fd | grep socket: || echo none in sight"),
         [](const Result& r) { return r.ok() && r.out == "none in sight\n"; }},
        {"the incident, once more", shell("sleep 20; echo done"),
         [](const Result& r) { return r.timed_out && r.status.signal() == SIGTERM; }},
        {"leaves a server behind", shell("sleep 20 & echo started"),
         [](const Result& r) { return r.ok() && r.out == "started\n" && r.stragglers.size() == 1; }},
        {"ignores SIGTERM", shell("trap '' TERM; echo 'try me'; sleep 20; echo done"),
         [](const Result& r) { return r.timed_out && r.status.signal() == SIGKILL; }},
        {"floods us with output",
         {"yes"},
         [](const Result& r) { return r.timed_out && r.out_truncated && r.out.size() == 64 * 1024; }},
    };
    const bool escapes = !ask(shell("command -v setsid")).empty();
    if (escapes) {
        tasks.push_back({"makes its own session", shell("echo elsewhere; setsid sleep 20; echo done"),
                         [](const Result& r) { return r.timed_out && r.held.empty() && r.out == "elsewhere\n"; }});
        // Its parent, the inner shell, has ended long before it is looked for.
        const leash::Command daemon = shell("(setsid /bin/sh -c 'read end <&3' &); echo escaped; sleep 20");
        tasks.push_back({"a daemon, Reach::tree", daemon,
                         [](const Result& r) { return r.timed_out && r.held.empty() && r.out == "escaped\n"; },
                         leash::Reach::tree});
        tasks.push_back({"the same without that", daemon,
                         [](const Result& r) { return r.timed_out && !r.held.empty() && r.out == "escaped\n"; },
                         leash::Reach::group, 1});
    }

    std::printf(
        "  a worker thread runs these: %g s for each, then SIGTERM, %g s later SIGKILL; who is left behind has %g "
        "s\n\n",
        std::chrono::duration<double>(timeout).count(), std::chrono::duration<double>(grace).count(),
        std::chrono::duration<double>(drain).count());
    print_row("command", "ended", "after", "left", "output", "remarks");
    std::thread([&] {
        for (const Task& task : tasks) {
            if (!interrupted.fired()) run_task(task, options, mark);
        }
    }).join();

    const bool has_escaped = escapes && !interrupted.fired();
    if (has_escaped) {
        std::printf(
            "\n  One process is left, and leash said so (\"output held\"): it made a session of its own, and its\n"
            "  parent has ended, so that nothing led to it but for Options::reach. The call returned in time, and the\n"
            "  socket stayed here:\n");
        show(processes_with(mark));
        check(ps_counts(mark, "1"));
    }
    ::close(lifeline[0]);
    ::close(lifeline[1]);  // what the escaped process reads is at its end now: it goes by itself
    std::vector<Process> left;
    for (int i = 0; i < 200 && !(left = processes_with(mark)).empty(); ++i) std::this_thread::sleep_for(10ms);
    check(left.empty());
    if (!left.empty()) {
        std::printf("\n  STILL RUNNING:\n");
        show(left);
    } else {
        std::printf(has_escaped ? "\n  The demo lets it go. There was no other, and now there is none:\n"
                                : "\n  Nothing is left running:\n");
        std::printf("      /proc: no process has %s=%s in its environment\n", mark_name, mark.c_str());
    }
    if (interrupted.fired()) {
        ::close(listener);
        return;
    }
    check(ps_counts(mark, "0"));

    ::close(listener);
    std::printf("  the agent closes its socket and ends; it was the only one that had it:\n");
    show_listeners(port);
    check(restart_agent(port));

    std::printf("\n  Another agent, which runs the same and a daemon, with Reach::tree and die_with_parent:\n");
    const int other = kill_agent([&](int its_listener) {
        options.reach = leash::Reach::tree;
        options.die_with_parent = true;
        options.pass_fds = {{its_listener, 3}};  // even so
        options.timeout = leash::Timeout::none();
        static std::optional<leash::Popen> job;  // which nothing destroys here
        job.emplace(shell("(setsid sleep 20 &); echo ready; sleep 20; echo done"), options);
        if (!job->out().read_until("ready\n", 5s)) return false;
        std::printf("  so much runs:\n");
        show(processes_with(mark));
        std::fflush(stdout);
        return true;
    });
    for (int i = 0; i < 200 && !(left = processes_with(mark)).empty(); ++i) std::this_thread::sleep_for(10ms);
    check(other != 0 && left.empty() && ps_counts(mark, "0"));
    check(restart_agent(other));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::strcmp(argv[1], "--without-leash") == 0) return without_leash();

    if (read_file("/proc/self/stat").empty()) {
        std::fprintf(stderr, "This demo shows what is left running, and looks into /proc for it: it needs Linux.\n");
        return 1;
    }
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) std::signal(number, [](int) { interrupted.fire(); });
    std::signal(SIGPIPE, SIG_IGN);  // `./dev demo | head` shall not kill us on the way
    const std::string mark = std::to_string(::getpid());
    std::setvbuf(stdout, nullptr, _IOLBF, 0);  // rows are seen as they come, also through a pipe

    std::printf("WITHOUT LEASH: fork(), exec(\"/bin/sh\", \"-c\", ...), kill() when the time is up\n\n");
    std::fflush(stdout);
    std::error_code none;
    const fs::path self = fs::read_symlink("/proc/self/exe", none);
    leash::Options options;
    options.env = leash::Env::inherited().set(mark_name, mark);
    options.timeout = 10s;
    options.cancel = interrupted;
    const auto usual = leash::try_run({none ? fs::path(argv[0]) : self, "--without-leash"}, options);
    check(usual && usual->ok() && processes_with(mark).empty());

    std::printf("\nWITH LEASH: leash::run(leash::shell(...), options)\n\n");
    with_leash(mark);

    if (interrupted.fired()) {
        std::printf("\nInterrupted.\n");
    } else if (all_as_promised) {
        std::printf("\n  %-34s %-34s %s\n", "", "without leash", "with leash");
        std::printf("  %-34s %-34s %s\n", "what the command had started", "lived on", "ended with it");
        std::printf("  %-34s %-34s %s\n", "the agent's socket", "had leaked into it", "stayed where it belongs");
        std::printf("  %-34s %-34s %s\n", "the restarted agent", "found its port taken", "got its port");
        std::printf("  %-34s %-34s %s\n", "what a killed agent had started", "lived on", "ended with it");
    } else {
        std::printf("\nNOT everything turned out as promised: see above.\n");
    }
    return all_as_promised && !interrupted.fired() ? 0 : 1;
}

// tests/test_foreground.cpp - job control: a shell at a real terminal, a host in it, and its job in the foreground.
#include <doctest/doctest.h>

#include "support.hpp"

#include <atomic>

#include <sys/ioctl.h>
#include <termios.h>

using support::Census;
using support::child;
using support::eventually;
using support::helper;
using support::NothingLeft;
using namespace std::chrono_literals;

// ---- the host: this program itself, which a shell starts as `program host how command…`

namespace {

/// What became of the job, whose the terminal is then, and in which mode.
void report(const std::string& what) {
    termios modes{};
    const bool known = ::tcgetattr(0, &modes) == 0;
    std::printf("host: %s, %s, %s\n", what.c_str(), ::tcgetpgrp(0) == ::getpgrp() ? "mine" : "not mine",
                !known                          ? "no terminal"
                : (modes.c_lflag & ICANON) != 0 ? "cooked"
                                                : "raw");
    std::fflush(stdout);
}

void report(const leash::Result& result) { report(result.status.describe() + (result.timed_out ? ", timed out" : "")); }

int host(std::vector<std::string> all) {
    std::printf("host is %d.\n", static_cast<int>(::getpid()));
    std::fflush(stdout);
    const std::string how = all.at(0);
    leash::Options options = leash::Options::interactive();
    if (how == "timed") {
        options.timeout = std::chrono::milliseconds(std::stoi(all.at(1)));
        options.grace = 100ms;
        all.erase(all.begin());
    }
    const leash::Command command = leash::args(std::vector<std::string>(all.begin() + 1, all.end()));
    if (how == "run" || how == "timed") {
        report(leash::run(command, options));
    } else if (how == "captured") {
        options.out = leash::sink([](std::string_view chunk) {
            std::printf("captured: %.*s", static_cast<int>(chunk.size()), chunk.data());
            std::fflush(stdout);
        });
        report(leash::run(command, options));
    } else if (how == "immune") {
        ::signal(SIGTSTP, SIG_IGN);
        report(leash::run(command, options));
    } else if (how == "pipeline") {
        report(leash::run(leash::args({helper(), "cat"}) | command, options));
    } else if (how == "looks") {
        leash::Popen p(command, options);
        while (!p.poll()) std::this_thread::sleep_for(2ms);
        report(p.wait().describe());
    } else if (how == "threads") {  // all wait for one job
        leash::Popen p(command, options);
        std::vector<std::thread> threads;
        std::atomic<int> same{0};
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&, i] {
                if (i % 2 == 0) {
                    p.wait();
                } else {
                    while (!p.wait_for(5ms)) {}
                }
                ++same;
            });
        }
        p.wait();
        for (std::thread& thread : threads) thread.join();
        report(p.wait().describe());
    } else if (how == "busy") {  // other threads that have nothing to do with it
        std::atomic<bool> done{false};
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&, i] {
                while (!done) std::this_thread::sleep_for(std::chrono::microseconds(100 * i + 1));
            });
        }
        report(leash::run(command, options));
        done = true;
        for (std::thread& thread : threads) thread.join();
    } else if (how == "probe") {
        auto probe = leash::try_probe(options);
        for (int i = 0; probe && i < 20; ++i) probe = leash::try_probe(options);  // each may stop too early
        report(probe ? std::to_string(probe->descriptors.size()) + " descriptors" : probe.error().message());
    } else if (how == "twice") {
        report(leash::run(command, options));
        report(leash::run(command, options));
    } else {
        options.out = leash::piped;  // the job says when it is in place
        auto p = leash::Popen::try_spawn(command, options);
        if (!p) {
            report(p.error().message());
            return 0;
        }
        static_cast<void>(p->out().read(1));
        const bool was_lent = ::tcgetpgrp(0) == p->pid();
        pid_t leader = -1;
        if (how == "destroyed") {
            leash::Popen ends(*std::move(p));
        } else if (how == "detached") {
            leader = p->detach();
        } else if (how == "killed") {
            p->kill();
            p->wait();
        } else if (how == "suspended") {
            p->suspend();
            const bool is_over = p->wait_for(100ms).has_value();
            report(p->stopped() == SIGSTOP && !is_over ? "stopped" : "not stopped");
            p->resume();
            report(::tcgetpgrp(0) == p->pid() && p->stopped() == 0 ? "goes on" : "does not go on");
            p->kill();
            p->wait();
        } else if (how == "copied") {  // by a fork, and the copy's handle dies
            const pid_t copy = ::fork();
            if (copy == 0) {
                { const leash::Popen ends(*std::move(p)); }
                std::_Exit(0);
            }
            ::waitpid(copy, nullptr, 0);
            report(::tcgetpgrp(0) == p->pid() ? "still lent" : "taken away");
            p->kill();
            p->wait();
        } else if (how == "stopped") {
            p->stop(100ms);
        }
        report(was_lent ? how : "never lent");
        if (leader > 1) ::kill(leader, SIGKILL), ::waitpid(leader, nullptr, 0);
    }
    return 0;
}

/// Before main(), which is doctest's.
[[maybe_unused]] const bool is_host = [] {
    std::string line = support::read_file("/proc/self/cmdline");
    std::vector<std::string> all;
    for (std::size_t from = 0, end; (end = line.find('\0', from)) != std::string::npos; from = end + 1)
        all.push_back(line.substr(from, end - from));
    if (all.size() < 3 || all[1] != "host") return false;
    all.erase(all.begin(), all.begin() + 2);
    const int code = host(std::move(all));
    std::fflush(nullptr);
    std::_Exit(code);
}();

// ---- the shell, and who sits before it

std::string own_program() {
    char path[4096];
    const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
    return std::string(path, n > 0 ? static_cast<std::size_t>(n) : 0);
}

constexpr const char* prompt = "leash> ";
constexpr const char* ctrl_c = "\3";
constexpr const char* ctrl_d = "\4";
constexpr const char* ctrl_z = "\32";

leash::Options at_terminal(const Census& census) {
    leash::Options options;
    options.in = leash::tty;
    options.out = leash::tty;
    options.err = leash::tty;
    options.terminal.echo = false;
    options.env = census.env();
    options.env.set("PS1", prompt).set("ENV", "").set("TERM", "dumb");
    options.env.set("HOST", own_program()).set("HELPER", helper());
    return options;
}

/// Somebody at a terminal.
class Session {
  public:
    Session(leash::Command command, const Census& census) : job_(std::move(command), at_terminal(census)) {}

    /// What came before the text.
    std::string sees(std::string_view text) {
        leash::Match match = job_.out().expect(text, 30s);
        if (!match.complete) {
            INFO(std::string("waits for: ") << std::string(text));
            const std::string there_is = match.before + job_.out().try_read().data;
            INFO(std::string(match.eof ? "all that came: " : "there is: "), there_is);
            REQUIRE(match.complete);
        }
        seen_ += match.before + match.matched;
        return std::move(match.before);
    }
    void types(std::string_view text) { REQUIRE(job_.in().write(text, 30s)); }

    /// A command of the shell, and what it says.
    std::string tells(const std::string& command) {
        types(command + "\n");
        return sees(prompt);
    }
    /// Starts a host, and gives its pid.
    pid_t starts(const std::string& command) {
        types("\"$HOST\" host " + command + "\n");
        sees("host is ");
        return host_ = std::atoi(sees(".\r\n").c_str());
    }
    /// What a job says that does not read, and with it the host has lent the terminal: that can be a moment later,
    /// where a child cannot take it by itself.
    void sees_ready() {
        sees("ready");
        REQUIRE(eventually([&] { return ::tcgetpgrp(job_.out().handle()) != host_; }));
    }
    /// All that has been said.
    const std::string& seen() const { return seen_; }
    leash::Popen& job() { return job_; }

  private:
    leash::Popen job_;
    pid_t host_ = -1;
    std::string seen_;
};

/// The shells of this machine that have job control.
std::vector<leash::Command> shells() {
    std::vector<leash::Command> found;
    for (const leash::Command& shell :
         {leash::args({"dash", "-i"}), leash::args({"bash", "--norc", "--noprofile", "--noediting", "-i"}),
          leash::args({"bash", "--norc", "--noprofile", "-i"})}) {
        leash::Options options;
        options.out = leash::null;
        if (leash::run(leash::shell("command -v \"$1\"", {shell.argv()[0]}), options).ok()) found.push_back(shell);
    }
    return found;
}

/// The same with each shell of the machine, at its prompt.
template <class Body>
void with_each_shell(Body body) {
    for (const leash::Command& shell : shells()) {
        INFO(shell.argv()[0], " with ", shell.argv().size() - 1, " options");
        const Census census;
        const NothingLeft before;
        {
            Session session(shell, census);
            session.sees(prompt);
            body(session);
        }
        CHECK(before.holds());
    }
}

bool is_stopped(pid_t pid) {
    return eventually([&] { return support::state_of(pid) == 'T'; });
}

/// The host is stopped in the background, and the shell tells so with its next prompt: unless it did that already, in
/// `heard`.
void sees_stop_in_background(Session& session, pid_t host, const std::string& heard) {
    CHECK(is_stopped(host));
    if (heard.find("Stopped") != std::string::npos) return;
    session.types("\n");
    session.sees("Stopped");
    session.sees(prompt);
}

/// A job that answers lines is in the foreground and runs.
void talks(Session& session, const std::string& word) {
    session.types(word + "\n");
    session.sees("got " + word + "\r\n");
}

}  // namespace

TEST_CASE("Ctrl-C ends the job, and the host tells of it") {
    with_each_shell([](Session& session) {
        session.starts("run \"$HELPER\" print-and-wait ready");
        session.sees_ready();
        session.types(ctrl_c);
        session.sees("host: killed by SIGINT (2), mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("Ctrl-Z stops the job and the host, the shell has its prompt, and fg goes on where it was") {
    with_each_shell([](Session& session) {
        const pid_t host = session.starts("run \"$HELPER\" ping-pong");
        talks(session, "one");
        session.types(ctrl_z);
        session.sees("Stopped");
        session.sees(prompt);
        CHECK(support::state_of(host) == 'T');
        CHECK(session.tells("echo $((6 * 7))").find("42") != std::string::npos);
        session.types("fg\n");
        talks(session, "two");
        session.types(ctrl_z);
        session.sees("Stopped");
        session.sees(prompt);
        session.types("fg\n");
        talks(session, "three");
        session.types(ctrl_d);
        session.sees("host: exited 0, mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("Ctrl-Z stops all of the host's group: the script that runs the host, say") {
    with_each_shell([](Session& session) {
        session.types("sh -c '\"$HOST\" host run \"$HELPER\" ping-pong; echo after'\n");
        for (int round = 0; round < 3; ++round) {
            talks(session, std::to_string(round));
            session.types(ctrl_z);
            session.sees("Stopped");
            session.sees(prompt);
            session.types("fg\n");
        }
        talks(session, "last");
        session.types(ctrl_d);
        session.sees("host: exited 0, mine, cooked\r\nafter\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("in the background it is stopped when it reads, and fg lets it read") {
    bool by_bg = false;
    SUBCASE("put there by bg") { by_bg = true; }
    SUBCASE("started there") {}
    with_each_shell([&](Session& session) {
        const pid_t host = session.starts(by_bg ? "run \"$HELPER\" ping-pong" : "run \"$HELPER\" ping-pong &");
        if (by_bg) {
            talks(session, "one");
            session.types(ctrl_z);
            session.sees("Stopped");
            session.sees(prompt);
        }
        sees_stop_in_background(session, host, by_bg ? session.tells("bg") : "");
        session.types("fg\n");
        talks(session, "two");
        session.types(ctrl_d);
        session.sees("host: exited 0, mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("in the background it does its work, and leaves the terminal to the shell") {
    with_each_shell([](Session& session) {
        session.starts("run \"$HELPER\" foreground &");
        session.sees("background\r\n");
        session.sees("host: exited 0, not mine");
        session.types("echo $((6 * 7))\n");  // its prompt may have come before the host spoke, or after
        session.sees("42");
    });
}

TEST_CASE("a job in the background that is taken to the foreground before it reads is let read") {
    with_each_shell([](Session& session) {
        session.starts("run sh -c 'echo up; sleep 0.2; exec \"$HELPER\" ping-pong' &");
        session.sees("up\r\n");
        session.types("fg\n");
        talks(session, "one");
        session.types(ctrl_c);
        session.sees("host: killed by SIGINT (2), mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("the host is not stopped for taking the terminal back, nor for writing, where background output stops") {
    with_each_shell([](Session& session) {
        session.tells("stty tostop");
        session.starts("run \"$HELPER\" exit 3");
        session.sees("host: exited 3, mine, cooked\r\n");
        session.sees(prompt);
        session.starts("run \"$HELPER\" print-and-wait ready");
        session.sees_ready();
        session.types(ctrl_c);
        session.sees("host: killed by SIGINT (2), mine, cooked\r\n");
        session.sees(prompt);
        CHECK(session.seen().find("Stopped") == std::string::npos);
        session.starts("run \"$HELPER\" ping-pong");
        talks(session, "one");
        session.types(ctrl_z);
        session.sees("Stopped");
        session.sees(prompt);
        session.types("fg\n");
        talks(session, "two");
        session.types(ctrl_d);
        CHECK(session.sees("host: exited 0, mine, cooked\r\n").find("Stopped") == std::string::npos);
        session.sees(prompt);
    });
}

TEST_CASE("the terminal's modes are put back after a job that was killed, and kept after one that exits by itself") {
    with_each_shell([](Session& session) {
        session.starts("run sh -c 'stty -icanon -echo; kill -9 $$'");
        session.sees("host: killed by SIGKILL (9), mine, cooked\r\n");
        session.sees(prompt);
        session.starts("run stty -icanon");
        session.sees("host: exited 0, mine, raw\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("a probe, which stops itself, stops no host, and leaves it the terminal") {
    with_each_shell([](Session& session) {
        session.starts("probe true");
        session.sees("host: 3 descriptors, mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("a job that stops has the modes back that it had; meanwhile they are the host's") {
    with_each_shell([](Session& session) {
        session.starts("run sh -c 'stty -icanon min 1; kill -STOP $$; stty -a | grep -q -e -icanon && echo kept'");
        session.sees("Stopped");
        session.sees(prompt);
        if (session.tells("stty -a").find("-icanon") != std::string::npos) CHECK(session.job().pid() < 0);
        session.types("fg\n");
        session.sees("kept\r\n");
        session.sees("host: exited 0, mine, raw\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("a deadline holds in the foreground, and gives the terminal back") {
    with_each_shell([](Session& session) {
        session.starts("timed 2000 \"$HELPER\" ignore-term");
        session.sees("ready\r\n");
        session.sees("host: killed by SIGKILL (9), timed out, mine, cooked\r\n");
        session.sees(prompt);
        session.starts("timed 3000 \"$HELPER\" ping-pong");  // time goes on while it is stopped
        talks(session, "one");
        session.types(ctrl_z);
        session.sees("Stopped");
        session.sees(prompt);
        CHECK(session.tells("sleep 3.2; echo $((6 * 7))").find("42") != std::string::npos);
        session.types("fg\n");
        session.sees("host: killed by SIGTERM (15), timed out, mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("it stops and goes on also where the host waits for output, or only looks") {
    for (const char* const how : {"captured", "looks", "threads"}) {
        CAPTURE(std::string(how));
        with_each_shell([&](Session& session) {
            session.starts(how + std::string(" \"$HELPER\" ping-pong"));
            for (int round = 0; round < 3; ++round) {
                talks(session, std::to_string(round));
                session.types(ctrl_z);
                session.sees("Stopped");
                session.sees(prompt);
                session.types("fg\n");
            }
            talks(session, "last");
            session.types(ctrl_c);
            CHECK(session.sees("host: killed by SIGINT (2), mine, cooked\r\n").find("Stopped") == std::string::npos);
            session.sees(prompt);
        });
    }
}

TEST_CASE("a host that cannot be stopped goes on with its job") {
    SUBCASE("it ignores SIGTSTP") {
        with_each_shell([](Session& session) {
            session.starts("immune \"$HELPER\" ping-pong");
            for (int round = 0; round < 3; ++round) {
                talks(session, std::to_string(round));
                session.types(ctrl_z);
            }
            talks(session, "last");
            session.types(ctrl_d);
            session.sees("host: exited 0, mine, cooked\r\n");
            session.sees(prompt);
            CHECK(session.seen().find("Stopped") == std::string::npos);
        });
    }
    SUBCASE("nobody is there to continue it: its group is orphaned") {
        const Census census;
        Session session(leash::args({own_program(), "host", "run", helper(), "ping-pong"}), census);
        for (int round = 0; round < 3; ++round) {
            talks(session, std::to_string(round));
            session.types(ctrl_z);
        }
        talks(session, "last");
        session.types(ctrl_d);
        session.sees("host: exited 0, mine, cooked\r\n");
    }
}

TEST_CASE("the terminal comes back however the job ends") {
    with_each_shell([](Session& session) {
        for (const char* const how : {"destroyed", "detached", "killed", "stopped"}) {
            CAPTURE(std::string(how));
            session.starts(how + std::string(" sh -c 'stty -icanon; exec \"$HELPER\" print-and-wait ready'"));
            session.sees("host: " + std::string(how) + ", mine, cooked\r\n");
            session.sees(prompt);
        }
    });
}

TEST_CASE("a job that its host suspends gives the terminal back, and the host does not stop") {
    with_each_shell([](Session& session) {
        session.starts("suspended sh -c 'stty -icanon; exec \"$HELPER\" print-and-wait ready'");
        session.sees("host: stopped, mine, cooked\r\n");
        session.sees("host: goes on, not mine, raw\r\n");
        session.sees("host: suspended, mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("a forked copy of the host that drops its handle takes the terminal from nobody") {
    with_each_shell([](Session& session) {
        session.starts("copied sh -c 'stty -icanon; exec \"$HELPER\" print-and-wait ready'");
        session.sees("host: still lent, not mine, raw\r\n");
        session.sees("host: copied, mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("a start that fails gives the terminal back") {
    const support::TemporaryDirectory directory;
    const std::string script = directory.file("script", "no #!", 0755);
    with_each_shell([&](Session& session) {
        session.starts("started " + script);
        session.sees("host: leash: program");
        CHECK(session.sees("\r\n").find(", mine, cooked") != std::string::npos);
        session.sees(prompt);
    });
}

TEST_CASE("a job that made another group the foreground, and died, leaves the terminal to the host") {
    with_each_shell([](Session& session) {
        session.starts("run env PS1='inner''> ' sh -i");
        session.sees("inner> ");
        session.types("echo shell $$.\n");
        session.sees("shell ");
        const pid_t inner = std::atoi(session.sees(".\r\n").c_str());
        REQUIRE(inner > 1);
        session.sees("inner> ");
        session.types("\"$HELPER\" print-and-wait ready\n");
        session.sees("ready");
        CHECK(::kill(inner, SIGKILL) == 0);
        session.sees("host: killed by SIGKILL (9), mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("an interactive shell as the job has job control of its own") {
    with_each_shell([](Session& session) {
        session.starts("run env PS1='inner''> ' sh -i");
        session.sees("inner> ");
        session.types("\"$HELPER\" ping-pong\n");
        talks(session, "one");
        session.types(ctrl_z);
        session.sees("Stopped");
        session.sees("inner> ");
        session.types("fg\n");
        talks(session, "two");
        session.types(ctrl_c);
        session.sees("inner> ");
        session.types("exit 6\n");
        session.sees("host: exited 6, mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("a host in a host stops with its job, and goes on with it") {
    with_each_shell([](Session& session) {
        session.starts("run \"$HOST\" host run \"$HELPER\" ping-pong");
        session.sees("host is ");
        for (int round = 0; round < 3; ++round) {
            talks(session, std::to_string(round));
            session.types(ctrl_z);
            session.sees("Stopped");
            session.sees(prompt);
            session.types("fg\n");
        }
        talks(session, "last");
        session.types(ctrl_c);
        session.sees("host: killed by SIGINT (2), mine, cooked\r\n");
        session.sees("host: exited 0, mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("without a controlling terminal it is a job in a group of its own") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        HOST_NEEDS(::setsid() > 0);
        const NothingLeft before;
        leash::Options options = leash::Options::interactive();
        options.in = leash::null;
        options.out = leash::piped;
        options.env = census.env();
        const auto ids = support::words(leash::run(child({"ids"}), options).out);
        HOST_NEEDS(ids.size() == 4 && ids[0] == ids[1] && ids[2] == std::to_string(::getsid(0)));
        leash::Popen p(child({"print-and-wait", "x"}), options);
        HOST_NEEDS(p.out().read(1).data == "x");
        HOST_NEEDS(p.kill().has_value() && p.wait().signal() == SIGKILL);
        p = leash::Popen(child({"exit", "0"}), options);
        HOST_NEEDS(p.wait().success());
        p.detach();
        HOST_NEEDS(before.holds());
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("the host's descriptor of the terminal is not the child's") {
    with_each_shell([](Session& session) {
        session.starts("run \"$HELPER\" fds");
        const std::string fds = session.sees("host: exited 0");
        CHECK(fds.find("\n3 ") == std::string::npos);
        CHECK(fds.find("2 /dev/") != std::string::npos);
        session.sees(prompt);
    });
}

TEST_SUITE_BEGIN("threads: foreground");

TEST_CASE("a host of many threads stops two hundred times, once each time") {
    with_each_shell([](Session& session) {
        session.starts("busy \"$HELPER\" ping-pong");
        for (int round = 0; round < 200; ++round) {
            CAPTURE(round);
            const std::string word = std::to_string(round);
            session.types(word + "\n");
            REQUIRE(session.sees("got " + word + "\r\n").find("Stopped") == std::string::npos);
            session.types(ctrl_z);
            session.sees("Stopped");
            REQUIRE(session.sees(prompt).find("Stopped") == std::string::npos);
            session.types("fg\n");
        }
        talks(session, "last");
        session.types(ctrl_d);
        session.sees("host: exited 0, mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_SUITE_END();

TEST_CASE("a pipeline is in the foreground as one") {
    with_each_shell([](Session& session) {
        session.starts("pipeline \"$HELPER\" ping-pong");
        talks(session, "one");
        session.types(ctrl_z);
        session.sees("Stopped");
        session.sees(prompt);
        session.types("fg\n");
        talks(session, "two");
        session.types(ctrl_c);
        session.sees("host: killed by SIGINT (2), mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("a host that was stopped alone, while its job ran on, goes on with it after fg") {
    with_each_shell([](Session& session) {
        const pid_t host = session.starts(
            "run sh -c 'trap \"exec \\\"$HELPER\\\" ping-pong\" USR1; echo job $$.; while :; do sleep 0.02; done'");
        session.sees("job ");
        const pid_t job = std::atoi(session.sees(".\r\n").c_str());
        REQUIRE(job > 1);
        CHECK(::kill(host, SIGSTOP) == 0);
        session.sees("Stopped");
        session.sees(prompt);
        session.types("fg\n");
        CHECK(eventually([&] { return support::state_of(host) != 'T'; }));
        CHECK(::kill(job, SIGUSR1) == 0);
        talks(session, "one");
        session.types(ctrl_c);
        CHECK(session.sees("host: killed by SIGINT (2), mine, cooked\r\n").find("Stopped") == std::string::npos);
        session.sees(prompt);
    });
}

TEST_CASE("a host that was stopped alone does not take the terminal from the shell when its job ends") {
    with_each_shell([](Session& session) {
        const pid_t host = session.starts("run sh -c 'echo job $$.; exec \"$HELPER\" print-and-wait ready'");
        session.sees("job ");
        const pid_t job = std::atoi(session.sees(".\r\n").c_str());
        session.sees_ready();
        REQUIRE(job > 1);
        CHECK(::kill(host, SIGSTOP) == 0);
        session.sees("Stopped");
        session.sees(prompt);
        CHECK(::kill(job, SIGKILL) == 0);
        session.types("bg\n");
        session.sees("host: killed by SIGKILL (9), not mine");
        session.types("echo $((6 * 7))\n");  // its prompt may have come before the host spoke
        session.sees("42");
    });
}

TEST_CASE("a pipeline has stopped when all of it has: one stage that is stopped alone does not stop the host") {
    with_each_shell([](Session& session) {
        session.starts("pipeline sh -c 'echo job $$.; exec \"$HELPER\" ping-pong'");
        session.sees("job ");
        const pid_t last = std::atoi(session.sees(".\r\n").c_str());
        REQUIRE(last > 1);
        talks(session, "first");
        for (int round = 0; round < 5; ++round) {
            CHECK(::kill(last, SIGSTOP) == 0);
            CHECK(is_stopped(last));
            std::this_thread::sleep_for(200ms);  // longer than from one look for a stop to the next
            session.types(std::to_string(round) + "\n");
            CHECK(::kill(last, SIGCONT) == 0);
            const std::string answer = "got " + std::to_string(round) + "\r\n";
            CHECK(session.sees(answer).find("Stopped") == std::string::npos);
        }
        session.types(ctrl_c);
        session.sees("host: killed by SIGINT (2), mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("a pipeline of which one stage was stopped for using the terminal has stopped") {
    with_each_shell([](Session& session) {
        const pid_t host = session.starts("pipeline sh -c 'trap \"\" TTIN; exec \"$HELPER\" ping-pong'");
        talks(session, "one");
        for (const char* const word : {"two", "three"}) {
            session.types(ctrl_z);
            session.sees("Stopped");
            session.sees(prompt);
            sees_stop_in_background(session, host, session.tells("bg"));
            session.types("fg\n");
            talks(session, word);
        }
        session.types(ctrl_c);
        session.sees("host: killed by SIGINT (2), mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("a job that was stopped for the terminal, and has it by now, goes on") {
    with_each_shell([](Session& session) {
        session.starts("pipeline \"$HELPER\" ping-pong");
        talks(session, "one");
        const pid_t first = ::tcgetpgrp(session.job().out().handle());
        REQUIRE(first > 1);
        for (const char* const word : {"two", "three", "four"}) {
            CHECK(::kill(first, SIGTTIN) == 0);
            session.types(std::string(word) + "\n");
            CHECK(session.sees("got " + std::string(word) + "\r\n").find("Stopped") == std::string::npos);
        }
        session.types(ctrl_c);
        session.sees("host: killed by SIGINT (2), mine, cooked\r\n");
        session.sees(prompt);
    });
}

TEST_CASE("a script and its host that were stopped alone do not take the terminal from the shell when the job ends") {
    with_each_shell([](Session& session) {
        session.types("sh -c '\"$HOST\" host run \"$HELPER\" print-and-wait ready; true'\n");
        session.sees("host is ");
        const pid_t host = std::atoi(session.sees(".\r\n").c_str());
        session.sees("ready");
        const pid_t group = ::getpgid(host);
        REQUIRE(group > 1);
        REQUIRE(group != host);
        const int terminal = session.job().out().handle();
        REQUIRE(eventually([&] { return ::tcgetpgrp(terminal) != group; }));
        const pid_t job = ::tcgetpgrp(terminal);
        REQUIRE(job > 1);
        CHECK(::kill(-group, SIGSTOP) == 0);
        session.sees("Stopped");
        session.sees(prompt);
        CHECK(::kill(job, SIGKILL) == 0);
        session.types("bg\n");
        session.sees("host: killed by SIGKILL (9), not mine");
        session.types("echo $((6 * 7))\n");
        session.sees("42");
    });
}

TEST_CASE("a host that was stopped alone does not take the terminal from a shell that was started by a shell") {
    with_each_shell([](Session& session) {
        session.types("PS1='inner''> ' sh -i\n");
        session.sees("inner> ");
        const pid_t host = session.starts("run sh -c 'echo job $$.; exec \"$HELPER\" print-and-wait ready'");
        session.sees("job ");
        const pid_t job = std::atoi(session.sees(".\r\n").c_str());
        session.sees_ready();
        REQUIRE(job > 1);
        CHECK(::kill(host, SIGSTOP) == 0);
        session.sees("Stopped");
        session.sees("inner> ");
        CHECK(::kill(job, SIGKILL) == 0);
        session.types("bg\n");
        session.sees("host: killed by SIGKILL (9), not mine");
        session.types("echo $((6 * 7))\n");
        session.sees("42");
    });
}

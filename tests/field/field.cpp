// tests/field/field.cpp - real programs under leash keep what they promise to their users, as under a shell: their output
// is complete and their status is the same; ended in order, they have cleaned up; a daemon stays, and answers. Each does it
// again and again (LEASH_FIELD_ROUNDS, 100 by default): what is lost now and then is lost. ./dev field installs them first.
#include "support.hpp"

#include <doctest/doctest.h>

#include <iostream>
#include <map>

#include <netinet/in.h>
#include <sys/socket.h>

using namespace support;

namespace {

/// Runs `round` so often; it answers what was lost, "" for nothing, and the same text for the same loss.
template <class Round>
void rounds(const std::string& what, Round round) {
    const char* const given = std::getenv("LEASH_FIELD_ROUNDS");
    const int count = given != nullptr ? std::atoi(given) : 100;
    REQUIRE(count > 0);
    std::map<std::string, int> losses;
    const Stopwatch watch;
    int done = 0, lossy = 0;
    for (; done < count && lossy < 10; ++done) {  // ten tell enough
        const std::string lost = round();
        if (lost.empty()) continue;
        ++losses[lost];
        ++lossy;
    }
    std::cout << "  " << what << ": " << done << " rounds, " << watch.elapsed().count() / done << " ms each"
              << std::endl;
    for (const auto& [lost, times] : losses) FAIL_CHECK(what << ": " << times << " of " << done << " times: " << lost);
}

std::string quoted(const std::vector<std::string>& argv) {
    std::string script;
    for (const std::string& arg : argv) script += (script.empty() ? "" : " ") + leash::shell_quote(arg);
    return script;
}

/// What a shell's user gets: `$(…)`, and the status.
struct ByShell {
    std::string out;
    leash::ExitStatus status;
};
ByShell by_shell(const std::string& script) {
    ByShell result;
    // NOLINTNEXTLINE(cert-env33-c): a shell is what leash is compared with
    std::FILE* const pipe = ::popen(("exec </dev/null 2>&1\n" + script).c_str(), "re");
    REQUIRE(pipe != nullptr);
    char buffer[4096];
    for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) result.out.append(buffer, n);
    const int status = ::pclose(pipe);
    result.status = WIFEXITED(status) ? leash::ExitStatus::from_code(WEXITSTATUS(status))
                                      : leash::ExitStatus::from_signal(WTERMSIG(status));
    return result;
}

/// What a test needs beforehand.
void set_up(const std::string& script) {
    const ByShell done = by_shell("set -e\n" + script);
    REQUIRE_MESSAGE(done.status.success(), done.out);
}

/// Are all of these here? If not, that is said, and there is nothing to test.
bool installed(std::initializer_list<const char*> programs) {
    for (const char* const program : programs) {
        if (by_shell(std::string("PATH=$PATH:/usr/sbin; command -v ") + program).status.success()) continue;
        std::cout << "  skipped: " << program << " is not installed\n";
        return false;
    }
    return true;
}

/// A program that ends by itself: the same output and the same status as by a shell, and nobody is left.
void ends_as_by_shell(const char* what, const std::vector<std::string>& argv, const std::string& cwd = "") {
    const ByShell expected =
        by_shell((cwd.empty() ? "" : "cd " + leash::shell_quote(cwd) + " && ") + "exec " + quoted(argv));
    REQUIRE(expected.out.size() > 10000);
    rounds(what, [&]() -> std::string {
        const Census census;
        leash::Options options = capture(census);
        options.err = leash::to_out;
        options.cwd = cwd;
        const leash::Result result = leash::run(leash::args(argv), options);
        if (result.status != expected.status)
            return "it " + result.status.describe() + ", by the shell it " + expected.status.describe();
        if (result.out != expected.out) return "the output is not the same as by the shell";
        return census.reaches(0) ? "" : "something is left";
    });
}

/// A program behind a shell, as most are, that is ended when it has got somewhere. It has ten seconds to clean up, of which
/// it needs a part of one. `cleaned` answers what is wrong then.
template <class IsUp, class Cleaned>
void cleans_up(const char* what, const std::string& script, const std::string& cwd, IsUp is_up, Cleaned cleaned) {
    rounds(what, [&]() -> std::string {
        set_up("cd " + leash::shell_quote(cwd) + "\nrm -rf up state half");
        const Census census;
        leash::Options options = silent(census);
        options.cwd = cwd;
        leash::Popen job(leash::shell(script + "\necho done"), options);
        if (!eventually([&] { return is_up() || job.poll(); })) return "it does not come up";
        const Stopwatch watch;
        job.stop(10s);
        if (watch.elapsed() > 9s) return "stop() waited for all of its grace";
        if (!job.survivors().empty()) return "it has survivors";
        if (!census.reaches(0)) return "something is left";
        return cleaned();
    });
}

bool is_there(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

/// A server that needs a moment to save its state. It writes `up`, and `state` at SIGTERM.
std::string server_in_sh(const TemporaryDirectory& folder) {
    return folder.file("server",
                       "#!/bin/sh\ncd " + folder.path() + "\n" +
                           "trap 'sleep 0.2; echo flushed > state; exit 0' TERM\n"
                           "echo up > up\nwhile :; do sleep 0.05; done\n",
                       0755);
}

/// A program that makes a daemon of itself: it comes back with success, and the daemon stays and answers. Ended by its own
/// means, it goes.
template <class Answers, class End>
void stays(const char* what, const std::vector<std::string>& argv, Answers answers, End end) {
    rounds(what, [&]() -> std::string {
        const Census census;
        leash::Options options = capture(census);
        options.stragglers = leash::Stragglers::leave;
        const leash::Result result = leash::run(leash::args(argv), options);
        if (!result.ok()) return "it " + result.status.describe() + ": " + result.out + result.err;
        if (!eventually([&] { return answers(result.out); })) return "the daemon does not answer";
        end(result.out);
        return census.reaches(0) ? "" : "the daemon does not go";
    });
}

/// Of the "NAME=value" that agents print.
std::string value_of(const std::string& text, const std::string& name) {
    const std::size_t at = text.find(name + "=");
    if (at == std::string::npos) return "";
    const std::size_t begin = at + name.size() + 1;
    return text.substr(begin, text.find_first_of(";\n", begin) - begin);
}

/// A process that a test knows the number of by what was printed.
void terminate(const std::string& number) {
    const int pid = std::atoi(number.c_str());
    if (pid > 1) ::kill(pid, SIGTERM);
}

constexpr const char* numbers = "seq 1 20000";

}  // namespace

TEST_CASE("bash") {
    if (!installed({"bash"})) return;
    const std::string seq = numbers;
    ends_as_by_shell("all output through a process", {"bash", "-c", "exec > >(cat) 2>&1; " + seq + "; exit 3"});
    ends_as_by_shell("standard error through a filter", {"bash", "-c", seq + " 2> >(sed 's/^/E /' >&2) >&2; exit 3"});
    ends_as_by_shell("tee with a process", {"bash", "-c", seq + " | tee >(sort -n | tail -n 9000) >/dev/null"});
    ends_as_by_shell(
        "a log of a whole script",
        {"bash", "-c", "exec > >(tee /dev/null) 2>&1; trap 'echo the end' EXIT; " + seq + "; kill -TERM $$"});
}

TEST_CASE("zsh") {
    if (!installed({"zsh"})) return;
    const std::string seq = numbers;
    ends_as_by_shell("all output through a process", {"zsh", "-fc", "exec > >(cat) 2>&1; " + seq + "; exit 3"});
    ends_as_by_shell("two outputs at once", {"zsh", "-fc", "{ " + seq + " } >&1 > >(cat >/dev/null); exit 3"});
}

TEST_CASE("npm") {
    if (!installed({"npm", "node"})) return;
    const TemporaryDirectory folder;
    ::setenv("npm_config_update_notifier", "false", 1);
    ::setenv("npm_config_cache", (folder / "cache").c_str(), 1);
    folder.file("package.json", R"({"name": "field", "version": "1.0.0",
        "scripts": {"start": "node server.js", "talk": "node talk.js"}})");
    folder.file("talk.js", "for (let i = 0; i < 20000; ++i) console.log(i);\nprocess.exitCode = 3;\n");
    folder.file("server.js", R"(
        const fs = require('fs');
        process.on('SIGTERM', () => setTimeout(() => { fs.writeFileSync('state', 'flushed\n'); process.exit(0); }, 200));
        setInterval(() => {}, 1000);
        fs.writeFileSync('up', '');
    )");
    ends_as_by_shell("npm run", {"npm", "run", "--silent", "talk"}, folder.path());
    cleans_up(
        "npm start", "npm start", folder.path(), [&] { return is_there(folder / "up"); },
        [&] { return read_file(folder / "state") == "flushed\n" ? "" : "the server's state is lost"; });
}

TEST_CASE("git") {
    if (!installed({"git"})) return;
    const TemporaryDirectory folder;
    ::setenv("HOME", folder.path().c_str(), 1);
    set_up("cd " + folder.path() + R"(
        git init -q from
        cd from
        head -c 16000000 /dev/urandom >data
        seq 1 30000 >text
        git add .
        git -c user.name=x -c user.email=x@x commit -q -m x
    )");
    ends_as_by_shell("git show", {"git", "show", "HEAD:text"}, folder / "from");
    cleans_up(
        "git clone", "git clone -q \"file://$PWD/from\" half", folder.path(),
        [&] { return is_there(folder / "half/.git/objects/pack"); },
        [&]() -> std::string {
            if (!is_there(folder / "half")) return "";
            const bool is_whole = by_shell("git -C " + folder / "half" + " fsck").status.success() &&
                                  by_shell("cd " + folder.path() + " && cmp half/data from/data").status.success();
            return is_whole ? "" : "half a repository is left";
        });
}

TEST_CASE("make") {
    if (!installed({"make"})) return;
    const TemporaryDirectory folder;
    folder.file("Makefile",
                "talk:\n\t@seq 1 20000; exit 7\n"
                "half:\n\t@echo half >$@; echo up >up; sleep 600; echo whole >>$@\n"
                "other:\n\t@sleep 600\n");
    ends_as_by_shell("make", {"make", "talk"}, folder.path());
    cleans_up(
        "make -j", "make -j3 half other", folder.path(), [&] { return is_there(folder / "up"); },
        [&] { return is_there(folder / "half") ? "half a target is left" : ""; });
}

TEST_CASE("ninja") {
    if (!installed({"ninja"})) return;
    const TemporaryDirectory folder;
    folder.file("build.ninja",
                "rule talk\n  command = seq 1 20000; exit 7\nbuild talk: talk\n"
                "rule slow\n  command = echo half >$out; echo up >up; sleep 600; echo whole >>$out\nbuild half: slow\n"
                "rule other\n  command = sleep 600\nbuild other: other\n");
    ends_as_by_shell("ninja", {"ninja", "talk"}, folder.path());
    cleans_up(
        "ninja, its commands in groups of their own", "ninja -j3 half other", folder.path(),
        [&] { return is_there(folder / "up"); },
        [&] { return is_there(folder / "half") ? "half a target is left" : ""; });
}

TEST_CASE("script") {
    if (!installed({"script"})) return;
    const TemporaryDirectory folder;
    const std::string server = server_in_sh(folder);
    ends_as_by_shell("script", {"script", "-qec", "seq 1 20000; exit 3", "/dev/null"});
    cleans_up(
        "script, its command in a session of its own", "script -qc " + server + " typescript", folder.path(),
        [&] { return is_there(folder / "up"); },
        [&] { return read_file(folder / "state") == "flushed\n" ? "" : "the command's state is lost"; });
}

TEST_CASE("ssh-agent") {
    if (!installed({"ssh-agent", "ssh-add"})) return;
    const TemporaryDirectory folder;
    stays(
        "ssh-agent", {"ssh-agent", "-s", "-a", folder / "socket"},
        [&](const std::string&) {  // 1: it has no keys; 2: there is no agent
            return by_shell("SSH_AUTH_SOCK=" + folder / "socket" + " ssh-add -l").status.code() == 1;
        },
        [](const std::string& out) { terminate(value_of(out, "SSH_AGENT_PID")); });
}

TEST_CASE("gpg-agent") {
    if (!installed({"gpg-agent", "gpg-connect-agent", "gpgconf"})) return;
    const TemporaryDirectory folder;
    const std::string home = folder.directory("home", 0700);
    stays(
        "gpg-agent", {"gpg-agent", "--homedir", home, "--daemon"},
        [&](const std::string&) {
            return by_shell("gpg-connect-agent --no-autostart --homedir " + home + " 'GETINFO pid' /bye")
                       .out.rfind("D ", 0) == 0;
        },
        [&](const std::string&) { by_shell("gpgconf --homedir " + home + " --kill gpg-agent"); });
}

TEST_CASE("dbus-daemon") {
    if (!installed({"dbus-daemon", "dbus-send"})) return;
    const TemporaryDirectory folder;
    const std::string address = "unix:path=" + folder / "socket";
    stays(
        "dbus-daemon", {"dbus-daemon", "--session", "--fork", "--address=" + address, "--print-pid=1"},
        [&](const std::string&) {
            return by_shell("dbus-send --bus=" + address +
                            " --dest=org.freedesktop.DBus --print-reply / org.freedesktop.DBus.ListNames")
                .status.success();
        },
        [](const std::string& out) { terminate(out); });
}

TEST_CASE("supervisord") {
    if (!installed({"supervisord", "supervisorctl"})) return;
    const TemporaryDirectory folder;
    const std::string config = folder.file(
        "config", "[supervisord]\nlogfile=" + folder / "log" + "\npidfile=" + folder / "pid" +
                      "\nchildlogdir=" + folder.path() + "\n[unix_http_server]\nfile=" + folder / "socket" +
                      "\n[rpcinterface:supervisor]\n"
                      "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
                      "[supervisorctl]\nserverurl=unix://" +
                      folder / "socket" + "\n[program:server]\nstartsecs=0\ncommand=" + server_in_sh(folder) + "\n");
    const auto flushed = [&] { return read_file(folder / "state") == "flushed\n" ? "" : "the server's state is lost"; };
    cleans_up(
        "supervisord, its programs in groups of their own", "supervisord -n -c config", folder.path(),
        [&] { return is_there(folder / "up"); }, flushed);
    const std::string control = "supervisorctl -c " + config + " ";
    stays(
        "supervisord, as a daemon", {"supervisord", "-c", config},
        [&](const std::string&) { return by_shell(control + "status").out.find("RUNNING") != std::string::npos; },
        [&](const std::string&) { by_shell(control + "shutdown"); });
    CHECK(std::string(flushed()) == "");
}

TEST_CASE("sshd") {
    if (!installed({"sshd", "ssh", "ssh-keygen"})) return;
    const TemporaryDirectory folder;
    sockaddr_in address{};
    socklen_t size = sizeof address;
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(probe, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    ::close(probe);
    const std::string port = std::to_string(ntohs(address.sin_port));

    const bool makes_folder = ::geteuid() == 0 && ::mkdir("/run/sshd", 0755) == 0;  // which root's sshd insists on
    set_up("cd " + folder.path() + "\nfor key in host user; do ssh-keygen -q -t ed25519 -N '' -f $key; done");
    const std::string config =
        folder.file("config", "Port " + port + "\nListenAddress 127.0.0.1\nHostKey " + folder / "host" + "\nPidFile " +
                                  folder / "pid" + "\nAuthorizedKeysFile " + folder / "user.pub" +
                                  "\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n");
    const std::string sshd =
        by_shell("PATH=$PATH:/usr/sbin; printf %s \"$(command -v sshd)\"").out;  // an absolute path
    const std::vector<std::string> client{"ssh",
                                          "-p",
                                          port,
                                          "-i",
                                          folder / "user",
                                          "-F",
                                          "none",
                                          "-oBatchMode=yes",
                                          "-oStrictHostKeyChecking=no",
                                          "-oUserKnownHostsFile=/dev/null",
                                          "-oLogLevel=ERROR",
                                          "127.0.0.1"};
    const auto remote = [&](const std::string& script) {
        std::vector<std::string> argv = client;
        argv.push_back(script);
        return argv;
    };
    const auto answers = [&](const std::string& = "") {
        return by_shell(quoted(remote("echo hello"))).out == "hello\n";
    };
    {
        leash::Popen server({sshd, "-D", "-f", config});
        REQUIRE(eventually([&] { return answers(); }));
        ends_as_by_shell("ssh", remote("seq 1 20000; exit 3"));
        server.stop(10s);
        CHECK(!answers());
    }
    // Who is connected has a session, which has an environment of its own: the census does not see it.
    const std::string up = folder / "up";
    pid_t session = 0;
    cleans_up(
        "sshd -D with a session",
        sshd + " -D -f " + config + " & until " + quoted(remote("echo $$ >" + up + "; exec sleep 600")) +
            "; do sleep 0.05; done",
        folder.path(), [&] { return (session = std::atoi(read_file(up).c_str())) > 1; },
        [&]() -> std::string {
            if (!eventually([&] { return !is_alive(session); })) return "its session is left";
            return answers() ? "it still answers" : "";
        });
    stays("sshd, as a daemon", {sshd, "-f", config}, answers,
          [&](const std::string&) { terminate(read_file(folder / "pid")); });
    if (makes_folder) ::rmdir("/run/sshd");
}

TEST_CASE("tmux") {
    if (!installed({"tmux"})) return;
    const TemporaryDirectory folder;
    const std::string tmux = "tmux -S " + folder / "socket" + " ";
    stays(
        "tmux", {"tmux", "-S", folder / "socket", "-f", "/dev/null", "new-session", "-d", "sleep 600"},
        [&](const std::string&) { return by_shell(tmux + "list-panes -F '#{pane_current_command}'").out == "sleep\n"; },
        [&](const std::string&) { by_shell(tmux + "kill-server"); });
}

// tests/test_guardian.cpp - Options::die_with_parent: what a host started ends with it, in whichever way it ends.
#include <doctest/doctest.h>

#include "sandbox.hpp"
#include "support.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#endif

using leash::Options;
using leash::Reach;
using support::capture;
using support::Census;
using support::child;
using support::eventually;
using support::helper;
using support::is_alive;
using support::NothingLeft;
using support::read_file;
using support::silent;
using support::TemporaryDirectory;
using namespace std::chrono_literals;

namespace {

constexpr auto soon = 30s;

std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> all;
    const std::string path = "/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children";
    std::string number;
    for (const char c : read_file(path) + " ") {
        if (c != ' ') number += c;
        else if (!number.empty()) all.push_back(std::stoi(std::exchange(number, {})));
    }
    return all;
}

/// A process that starts jobs, by `body`, and then lives until something ends it. Nothing is destroyed there.
class Host {
  public:
    explicit Host(const std::function<void()>& body) {
        int ready[2];
        if (::pipe2(ready, O_CLOEXEC) != 0) return;
        std::fflush(nullptr);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::alarm(300);
            for (const int signal : {SIGTERM, SIGABRT}) ::signal(signal, SIG_DFL);  // doctest handles them
            body();
            static_cast<void>(!::write(ready[1], "x", 1));
            for (;;) ::pause();
        }
        ::close(ready[1]);
        char c = '\0';
        is_ready_ = ::read(ready[0], &c, 1) == 1;
        ::close(ready[0]);
    }
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;
    ~Host() { end(SIGKILL); }

    bool is_ready() const { return is_ready_; }
    pid_t pid() const { return pid_; }
    void end(int signal) {
        if (pid_ <= 0) return;
        ::kill(pid_, signal);
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }
    /// Its children, guardians and jobs.
    std::vector<pid_t> children() const { return children_of(pid_); }

  private:
    pid_t pid_ = -1;
    bool is_ready_ = false;
};

Options guarded(Options options) {
    options.die_with_parent = true;
    return options;
}

/// Never destroyed: a host that is killed destroys nothing.
leash::Popen& start(leash::Command command, const Options& options) {
    return *new leash::Popen(std::move(command), options);
}

#if defined(__linux__)
/// A job of which a daemon, whose pid is in the file, has got away when this returns.
leash::Popen& start_escape(const std::string& file, const Options& options) {
    leash::Popen& job = start(child({"escape", file, "session", "fork", "close", "ignore", "stay"}), options);
    static_cast<void>(job.out().read_until("ready\n", soon));
    return job;
}
/// Process numbers of as many digits come in the order of their starts, in /proc too.
void go_on_to_number(pid_t least) {
    for (pid_t pid = 0; pid < least;) {
        pid = ::fork();
        if (pid == 0) ::_exit(0);
        if (pid < 0 || ::waitpid(pid, nullptr, 0) != pid) return;
    }
}
pid_t pid_in(const std::string& file) { return std::atoi(read_file(file).c_str()); }
#endif

bool is_permitted(bool is) {
    if (!is) MESSAGE("only root may do that: skipped");
    return is;
}

bool are_gone(const std::vector<pid_t>& pids) {
    return eventually([&] {
        for (const pid_t pid : pids) {
            if (is_alive(pid)) return false;
        }
        return true;
    });
}

/// Makes a forked copy of the host, which lives on with all that the host has, and tells its number.
void leave_copy(int told) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::alarm(300);
        for (;;) ::pause();
    }
    static_cast<void>(!::write(told, &pid, sizeof pid));
}

}  // namespace

TEST_SUITE_BEGIN("guardian");

TEST_CASE("the job ends with its host, in whichever way that ends, and so does the guardian") {
    const Census census;
    for (const int signal : {SIGKILL, SIGTERM, SIGABRT, SIGUSR1, SIGUSR2}) {
        CAPTURE(signal);
        Host host([&] {
            ::signal(SIGUSR1, [](int) { ::_exit(0); });
            static const std::string program = helper();
            ::signal(SIGUSR2, [](int) { ::execl(program.c_str(), "helper", "exit", "0", nullptr); });
            for (const char* const how : {"", "all"}) {  // which ignores SIGTERM
                leash::Popen& job = start(child({"apart", "group", "0", how}), guarded(capture(census)));
                static_cast<void>(job.out().read_until("ready\n", soon));
                static_cast<void>(
                    start(child({"fork-and-wait"}), guarded(capture(census))).out().read_until("\n", soon));
            }
        });
        REQUIRE(host.is_ready());
        CHECK(census.alive().size() == 6);
        const auto all = host.children();
        CHECK(all.size() == 8);
        host.end(signal);
        CHECK(census.reaches(0));
        CHECK(are_gone(all));
    }
}

TEST_CASE("every kind of job has it") {
    const Census census;
    Host host([&] {
        for (const leash::Group group : {leash::Group::session, leash::Group::foreground, leash::Group::own}) {
            Options options = guarded(silent(census));
            options.group = group;
            start(child({"sleep"}), options);
        }
        Options options = guarded(capture(census));
        options.out = leash::tty;
        static_cast<void>(start(child({"stop-self"}), options).out().read_until("ready", soon));
        static const leash::Pipeline pipeline = child({"sleep"}) | child({"cat"}) | child({"ignore-term"});
        static leash::Popen stages(pipeline, guarded(capture(census)));
        static_cast<void>(stages.out().read_until("ready\n", soon));
    });
    REQUIRE(host.is_ready());
    CHECK(census.reaches(7));  // just executed, a process may show no environment yet
    const auto all = host.children();
    CHECK(all.size() == 12);
    host.end(SIGKILL);
    CHECK(census.reaches(0));
    CHECK(are_gone(all));
}

TEST_CASE("without it they live on: this is what the others show") {
    const Census census, with_guardian;
    Host host([&] {
        static_cast<void>(start(child({"print-and-wait", "x"}), capture(census)).out().read_until("x", soon));
        static_cast<void>(
            start(child({"print-and-wait", "x"}), guarded(capture(with_guardian))).out().read_until("x", soon));
    });
    REQUIRE(host.is_ready());
    host.end(SIGKILL);
    CHECK(with_guardian.reaches(0));  // so long it takes
    CHECK(census.alive().size() == 1);
}

#if defined(__linux__)

TEST_CASE("with Reach::tree also those who have got away end") {
    const Census census;
    const TemporaryDirectory directory;
    Host host([&] {
        Options options = guarded(capture(census));
        options.reach = Reach::tree;
        start_escape(directory / "pid", options);
        // What is in it besides, and what a job had around this one that was not leash's, makes no difference.
        options.env.set("LEASH_JOB", "Build 7;\nnight").set("LARGE", std::string(100'000, 'x'));
        start_escape(directory / "third", options);
        options.env = leash::Env::empty();
        start_escape(directory / "other", options);
    });
    REQUIRE(host.is_ready());
    const std::vector<pid_t> escaped = {pid_in(directory / "pid"), pid_in(directory / "third"),
                                        pid_in(directory / "other")};
    for (const pid_t one : escaped) REQUIRE((one > 1 && is_alive(one)));
    host.end(SIGKILL);
    CHECK(are_gone(escaped));
    CHECK(census.reaches(0));
}

TEST_CASE("the guardians of many jobs end what is theirs, and nobody whose own has gone before or who has none") {
    const Census census;
    const TemporaryDirectory directory;
    Host host([&] {
        Options options = capture(census);
        options.reach = Reach::tree;
        start_escape(directory / "without", options);
        for (int i = 0; i < 4; ++i) {
            start_escape(directory / std::to_string(i), guarded(options));
            if (i == 1) start_escape(directory / "let go", guarded(options)).detach();
        }
    });
    REQUIRE(host.is_ready());
    std::vector<pid_t> escaped;
    for (int i = 0; i < 4; ++i) escaped.push_back(pid_in(directory / std::to_string(i)));
    for (const pid_t one : escaped) REQUIRE((one > 1 && is_alive(one)));
    host.end(SIGKILL);
    CHECK(are_gone(escaped));
    for (const char* const spared : {"without", "let go"}) {
        CAPTURE(spared);
        REQUIRE(pid_in(directory / spared) > 1);
        CHECK(is_alive(pid_in(directory / spared)));
    }
    CHECK(census.reaches(4));
}

TEST_CASE("of many guardians, one searches for all") {
    const auto grep = leash::which("grep");
    if (!grep) return;
    const Census census;
    const TemporaryDirectory directory;
    const std::string copy = directory.file("copy", read_file(*grep), 0755), log = directory / "log";
    const std::string counted =
        directory.file("counted", "#!/bin/sh\necho >> " + log + "\nexec " + copy + " \"$@\"\n", 0755);
    constexpr int jobs = 30;
    Host host([&] {
        if (!support::put_in_place_of(*grep, counted)) return;
        Options options = guarded(capture(census));
        options.reach = Reach::tree;
        for (int i = 0; i < jobs; ++i) start_escape(directory / std::to_string(i), options);
    });
    REQUIRE(host.is_ready());
    const auto all = host.children();
    if (!is_permitted(!all.empty())) return;
    host.end(SIGKILL);
    CHECK(census.reaches(0));
    CHECK(are_gone(all));
    CHECK(read_file(log).size() < jobs);  // alone, each needs one
}

TEST_CASE("a guardian that is to search for others is woken, whoever has its lifeline") {
    const Census census;
    const TemporaryDirectory directory;
    int copy[2];
    REQUIRE(::pipe(copy) == 0);
    Host host([&] {
        Options options = guarded(capture(census));
        options.reach = Reach::tree;
        go_on_to_number(100);
        std::thread([&] { start_escape(directory / "first", options); }).join();  // is not told of the host's end
        leave_copy(copy[1]);
        start_escape(directory / "second", options);
    });
    REQUIRE(host.is_ready());
    pid_t pid = -1;
    CHECK(::read(copy[0], &pid, sizeof pid) == static_cast<ssize_t>(sizeof pid));
    host.end(SIGKILL);
    CHECK(are_gone({pid_in(directory / "first"), pid_in(directory / "second")}));
    CHECK(census.reaches(0));
    CHECK(is_alive(pid));
    if (pid > 1) ::kill(pid, SIGKILL);
    ::close(copy[0]);
    ::close(copy[1]);
}

TEST_CASE("no guardian leaves its search to that of another user") {
    if (!is_permitted(::getuid() == 0)) return;
    const Census census;
    const TemporaryDirectory directory;
    ::chmod(directory.path().c_str(), 0777);
    Host host([&] {
        Options options = silent(census);
        options.reach = Reach::tree;
        const char* const script = "setsid sh -c 'echo $$ > \"$1\"; sleep 300; :' sh \"$1\" & sleep 300";
        go_on_to_number(100);
        for (const uid_t user : {uid_t{65534}, uid_t{0}}) {
            const std::string file = directory / (user == 0 ? "root" : "other");
            if (::setresgid(user, user, 0) != 0 || ::setresuid(user, user, 0) != 0) ::_exit(1);
            start(leash::shell(script, {file}), guarded(options));
            if (!eventually([&] { return pid_in(file) > 1; })) ::_exit(1);
            if (::setresuid(0, 0, 0) != 0 || ::setresgid(0, 0, 0) != 0) ::_exit(1);
        }
    });
    REQUIRE(host.is_ready());
    const std::vector<pid_t> escaped = {pid_in(directory / "other"), pid_in(directory / "root")};
    host.end(SIGKILL);
    CHECK(are_gone(escaped));
    CHECK(census.reaches(0));
}

TEST_CASE("a job that was let go goes on, though its guardian has not run since, and is woken by another one") {
    if (!is_permitted(::getuid() == 0)) return;
    const Census let_go, census;
    const TemporaryDirectory directory;
    int report[2];
    REQUIRE(::pipe(report) == 0);
    Host host([&] {
        Options options = capture(let_go);
        options.reach = Reach::tree;
        go_on_to_number(100);
        leash::Popen& job = start(child({"print-and-wait", "x"}), guarded(options));
        static_cast<void>(job.out().read_until("x", soon));
        const auto both = children_of(::getpid());
        if (both.size() != 2) return;
        const pid_t guardian = both[both[0] == job.pid() ? 1 : 0];
        if (!eventually([&] { return support::state_of(guardian) == 'S'; })) return;
        options = capture(census);
        options.reach = Reach::tree;
        start_escape(directory / "pid", guarded(options));
        ::kill(guardian, SIGSTOP);
        if (::setresuid(65534, 65534, 65534) != 0) return;
        job.detach();
        static_cast<void>(!::write(report[1], &guardian, sizeof guardian));
    });
    REQUIRE(host.is_ready());
    ::close(report[1]);
    pid_t guardian = -1;
    REQUIRE(::read(report[0], &guardian, sizeof guardian) == static_cast<ssize_t>(sizeof guardian));
    ::close(report[0]);
    auto others = host.children();
    others.erase(std::remove(others.begin(), others.end(), guardian), others.end());
    CHECK(others.size() == 3);
    host.end(SIGKILL);
    // The other guardian goes when it has given its cookie away.
    CHECK(eventually([&] { return std::count_if(others.begin(), others.end(), is_alive) == 1; }));
    CHECK(is_alive(pid_in(directory / "pid")));
    ::kill(guardian, SIGCONT);
    CHECK(are_gone({guardian, pid_in(directory / "pid")}));
    CHECK(census.reaches(0));
    CHECK(let_go.alive().size() == 1);
}

TEST_CASE("who executes a program again and again, and shows its environment at few moments only, ends too") {
    const Census census;
    const TemporaryDirectory directory;
    constexpr int count = 4;
    Host host([&] {
        Options options = silent(census);
        options.reach = Reach::tree;
        options.env.set("LARGE", std::string(20'000, 'x'));
        const char* const again = "exec sh -c \"$1\" sh \"$1\"";
        const char* const script =
            "for n in 0 1 2 3; do setsid sh -c 'echo $$ > \"$2\"; eval \"$1\"' sh \"$1\" \"$2/$n\" & done; wait";
        start(leash::shell(script, {again, directory.path()}), guarded(options));
        for (int i = 0; i < count; ++i) {
            if (!eventually([&] { return pid_in(directory / std::to_string(i)) > 1; })) ::_exit(1);
        }
    });
    REQUIRE(host.is_ready());
    std::vector<pid_t> all = host.children();
    for (int i = 0; i < count; ++i) all.push_back(pid_in(directory / std::to_string(i)));
    host.end(SIGKILL);
    CHECK(are_gone(all));
    for (const pid_t one : all) {
        if (one > 1 && is_alive(one)) ::kill(one, SIGKILL);
    }
}

TEST_CASE("a name that the kernel shows on two lines, as no other field, is no way to get away") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string program = directory.file("1 2 3 4 5 x\ny", read_file(helper()), 0755);
    Host host([&] {
        Options options = guarded(capture(census));
        options.reach = Reach::tree;
        leash::Popen& job =
            start(leash::args({program, "escape", directory / "pid", "session", "fork", "stay"}), options);
        static_cast<void>(job.out().read_until("ready\n", soon));
    });
    REQUIRE(host.is_ready());
    const pid_t escaped = pid_in(directory / "pid");
    REQUIRE(escaped > 1);
    const auto all = host.children();
    host.end(SIGKILL);
    CHECK(are_gone({escaped}));
    CHECK(are_gone(all));
    CHECK(census.reaches(0));
}

TEST_CASE("a guardian spares who has the cookie only inside of another variable") {
    const Census census;
    const TemporaryDirectory directory;
    Host host([&] {
        Options options = guarded(capture(census));
        options.reach = Reach::tree;
        start_escape(directory / "pid", options);
    });
    REQUIRE(host.is_ready());
    const pid_t escaped = pid_in(directory / "pid");
    const std::string cookie = support::variable_of(escaped, "LEASH_JOB");
    REQUIRE(cookie != "");
    const leash::Popen bystander(child({"sleep"}), support::keeping(cookie, silent(census)));
    const auto all = host.children();
    host.end(SIGKILL);
    CHECK(are_gone({escaped}));
    CHECK(are_gone(all));  // the guardian has looked everywhere
    CHECK(census.reaches(1));
    CHECK(is_alive(bystander.pid()));
}

TEST_CASE("a grep that cannot be started, knows no -z or is not let finish spares nobody") {
    const auto grep = leash::which("grep");
    if (!grep) return;
    const Census census;
    const TemporaryDirectory directory;
    const std::string copy = directory.file("copy", read_file(*grep), 0755);
    const std::string others[] = {
        "/dev/null",
        directory.file("without", "#!/bin/sh\nexit 1\n", 0755),
        directory.file("killed", "#!/bin/sh\nkill -9 $$\n", 0755),
        directory.file("half", "#!/bin/sh\nexec " + copy + " \"$1\" \"$2\" /dev/null\n", 0755),
    };
    for (const std::string& other : others) {
        CAPTURE(other);
        Host host([&] {
            if (!support::put_in_place_of(*grep, other)) return;
            Options options = guarded(capture(census));
            options.reach = Reach::tree;
            start_escape(directory / "pid", options);
        });
        REQUIRE(host.is_ready());
        const auto all = host.children();
        if (!is_permitted(!all.empty())) return;
        host.end(SIGKILL);
        CHECK(are_gone(all));
        CHECK(census.reaches(0));
        std::remove((directory / "pid").c_str());
    }
}

TEST_CASE("where no more processes can be started, a guardian finds everybody all the same") {
    const Census census;
    const TemporaryDirectory directory;
    ::chmod(directory.path().c_str(), 0777);
    const auto escaped = [&] { return pid_in(directory / "pid"); };
    Host host([&] {
        // The limit does not hold for root.
        if (::getuid() == 0 && (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0)) return;
        Options options = silent(census);
        options.reach = Reach::tree;
        const char* const script = "setsid sh -c 'echo $$ > \"$1\"; sleep 300; :' sh \"$1\" & sleep 300";
        start(leash::shell(script, {directory / "pid"}), guarded(options));
        if (!eventually([&] { return escaped() > 1; })) ::_exit(1);
        const rlimit none{0, 0};
        for (const pid_t one : children_of(::getpid())) {
            if (::prlimit(one, RLIMIT_NPROC, &none, nullptr) != 0) ::_exit(1);
        }
    });
    REQUIRE(host.is_ready());
    const auto all = host.children();
    if (all.empty()) {
        MESSAGE("no other user is there to be: skipped");
        return;
    }
    CHECK(all.size() == 2);
    host.end(SIGKILL);
    CHECK(are_gone({escaped()}));
    CHECK(are_gone(all));
    CHECK(census.reaches(0));
}

TEST_CASE("who was there before the job keeps its guardian from nothing, however much there is to read of it") {
    const Census census;
    const TemporaryDirectory directory;
    Options large = silent(census);
    for (int i = 0; i < 12; ++i) large.env.set("LARGE" + std::to_string(i), std::string(120'000, 'x'));
    std::vector<leash::Popen> crowd;
    for (int i = 0; i < 12; ++i) crowd.emplace_back(child({"sleep"}), large);
    Host host([&] {
        Options options = guarded(capture(census));
        options.reach = Reach::tree;
        start_escape(directory / "pid", options);
    });
    REQUIRE(host.is_ready());
    const pid_t escaped = pid_in(directory / "pid");
    const auto all = host.children();
    host.end(SIGKILL);
    CHECK(are_gone({escaped}));
    CHECK(are_gone(all));
    CHECK(census.alive().size() == crowd.size());
}

TEST_CASE("many jobs at once, again and again, on a busy machine") {
    const Census census;
    for (int round = 0; round < 10; ++round) {
        CAPTURE(round);
        Host host([&] {
            for (int i = 0; i < 20; ++i) start(child({"ignore-term"}), guarded(silent(census)));
        });
        REQUIRE(host.is_ready());
        host.end(SIGKILL);
        CHECK(census.reaches(0));
    }
}

TEST_CASE("it has nothing of the host's and nothing of the job's, and is in no group of theirs") {
    const Census census;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);  // which every child of a careless program has
    Host host([&] {
        static_cast<void>(start(child({"print-and-wait", "x"}), guarded(capture(census))).out().read_until("x", soon));
    });
    REQUIRE(host.is_ready());
    const auto job = census.alive();
    REQUIRE(job.size() == 1);
    int guardians = 0;
    for (const pid_t one : host.children()) {
        if (one == job[0]) continue;
        ++guardians;
        CHECK(::getpgid(one) == one);
        std::string open;
        const auto link = [&](int fd) {
            char target[200] = "";
            const std::string path = "/proc/" + std::to_string(one) + "/fd/" + std::to_string(fd);
            return ::readlink(path.c_str(), target, sizeof target - 1) > 0 ? std::string(target) : std::string();
        };
        CHECK(eventually([&] {  // a shell may keep a copy of its input for a moment
            open.clear();
            for (int fd = 3; fd < 256; ++fd) open += link(fd);
            return open.empty();
        }));
        INFO(open);
        CHECK(link(0).substr(0, 5) == "pipe:");
        CHECK(link(1) == "/dev/null");
        CHECK(link(2) == "/dev/null");
        CHECK(read_file("/proc/" + std::to_string(one) + "/environ").find("LEASH_TEST_MARK") == std::string::npos);
    }
    CHECK(guardians == 1);
    ::close(ends[0]);
    ::close(ends[1]);
}

#endif

TEST_CASE("it goes with the job, however that ends, and nothing of it is in the result") {
    const NothingLeft nothing_left;
    const Census census;
    const Options options = guarded(capture(census));
    for (int round = 0; round < 20; ++round) {
        const leash::Result r = leash::run(child({"print", "hello"}), options);
        CHECK(r.ok());
        CHECK(r.out == "hello");
        CHECK(r.stragglers.empty());
        CHECK(r.survivors.empty());
        CHECK(nothing_left.holds());
    }
    CHECK(leash::run(leash::shell("kill -TERM 0; sleep 60"), options).status.signal() == SIGTERM);
    CHECK(nothing_left.holds());
    CHECK(leash::run(leash::shell("kill -KILL 0"), options).status.signal() == SIGKILL);
    CHECK(nothing_left.holds());
    CHECK(leash::run(child({"fork-holder", "3"}), options).status.code() == 3);
    CHECK(nothing_left.holds());
    {
        leash::Popen job(child({"ignore-term"}), options);
        CHECK(job.out().read_until("ready\n", soon));
        CHECK(job.stop(10ms).signal() == SIGKILL);
        CHECK(nothing_left.holds() == false);  // the pipes of the handle
    }
    CHECK(nothing_left.holds());
    { leash::Popen job(child({"sleep"}), options); }
    CHECK(nothing_left.holds());
    {
        leash::Popen job(child({"exit", "3"}), options);
        CHECK(job.wait().code() == 3);
        CHECK(!support::has_children());  // the guardian has gone with the job, not with the handle
    }
    CHECK(!leash::try_run({"/no/such/program"}, options));
    CHECK(!leash::try_run(leash::args({"/no/such/program"}) | leash::args({"cat"}), options));
    const TemporaryDirectory directory;
    CHECK(!leash::try_run({directory.file("empty", "", 0755)}, options));
    CHECK(!leash::try_run({directory.path()}, options));
    CHECK(nothing_left.holds());
    CHECK(census.is_empty());
}

TEST_CASE("no descriptor that is handed down runs over its lifeline") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string path = directory.file("handed", "");
    const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    Host host([&] {
        Options options = guarded(capture(census));
        for (int theirs = 3; theirs < 60; ++theirs) options.pass_fds.push_back({file, theirs});
        static_cast<void>(start(child({"print-and-wait", "x"}), options).out().read_until("x", soon));
    });
    REQUIRE(host.is_ready());
    CHECK(census.alive().size() == 1);
    host.end(SIGKILL);
    CHECK(census.reaches(0));
    CHECK(read_file(path) == "");
    ::close(file);
}

TEST_CASE("a job in the host's group has it too, as far as its leader goes") {
    const Census census;
    Host host([&] {
        Options options = guarded(capture(census));
        options.group = leash::Group::inherited;
        static_cast<void>(start(child({"print-and-wait", "x"}), options).out().read_until("x", soon));
    });
    REQUIRE(host.is_ready());
    CHECK(census.alive().size() == 1);
    host.end(SIGKILL);
    CHECK(census.reaches(0));
}

TEST_CASE("signals that mean all processes of a user do not make it forget its job") {
    const Census census;
    Host host([&] {
        static_cast<void>(start(child({"ignore-term"}), guarded(capture(census))).out().read_until("ready\n", soon));
    });
    REQUIRE(host.is_ready());
    const auto job = census.alive();
    for (const pid_t one : host.children()) {
        if (job.size() == 1 && one == job[0]) continue;
        CHECK(eventually([&] {
            const std::string status = read_file("/proc/" + std::to_string(one) + "/status");
            const std::size_t at = status.find("SigIgn:\t");
            if (at == std::string::npos) return false;
            return (std::stoull(status.substr(at + 8), nullptr, 16) >> (SIGPIPE - 1) & 1) ==
                   1;  // the last that it ignores
        }));
        for (const int signal : {SIGTERM, SIGHUP, SIGINT, SIGUSR1}) ::kill(one, signal);
    }
    host.end(SIGKILL);
    CHECK(census.reaches(0));
}

TEST_CASE("a host that has become another user, and cannot signal it any more, is rid of it all the same") {
    if (!is_permitted(::getuid() == 0)) return;
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        leash::Popen job(child({"wait-then-exit", "3"}), [&] {
            Options options = guarded(capture(census));
            options.in = leash::piped;
            return options;
        }());
        HOST_NEEDS(job.out().read_until("ready\n", soon));
        int ends[2];
        HOST_NEEDS(::pipe(ends) == 0);
        const pid_t copy = ::fork();  // has the lifeline open, so that it has no end
        if (copy == 0) {
            char c = '\0';
            ::close(ends[1]);
            ::close(job.in().handle());  // the job waits for its end
            static_cast<void>(!::read(ends[0], &c, 1));
            ::_exit(0);
        }
        const auto all = children_of(::getpid());
        HOST_NEEDS(all.size() == 3);
        HOST_NEEDS(::setresuid(65534, 65534, 65534) == 0);
        job.in().close();
        HOST_NEEDS(job.wait().code() == 3);
        HOST_NEEDS(job.ended_by() == leash::EndedBy::itself);
        for (const pid_t one : all) HOST_NEEDS(is_alive(one) == (one == copy));
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a job that is let go goes on when the host ends, and one whose starting thread ends does too until then") {
    const Census census;
    Host host([&] {
        std::thread([&] {
            static_cast<void>(
                start(child({"print-and-wait", "x"}), guarded(capture(census))).out().read_until("x", soon));
            start(child({"sleep"}), guarded(silent(census))).detach();
        }).join();
    });
    REQUIRE(host.is_ready());
    // Until the thread has gone for good, and the guardian has dealt with what it was told of that.
    const std::string process = "/proc/" + std::to_string(host.pid());
    CHECK(eventually([&] { return read_file(process + "/status").find("Threads:\t1\n") != std::string::npos; }));
    const auto all = host.children();
    CHECK(all.size() == 3);
    for (const pid_t one : all) {
        CHECK(eventually([&] {
            const std::string status = read_file("/proc/" + std::to_string(one) + "/status");
            const bool has_none = status.find("ShdPnd:\t0000000000000000") != std::string::npos;
            return status.empty() || (has_none && support::state_of(one) != 'R');
        }));
    }
    CHECK(census.alive().size() == 2);
    host.end(SIGKILL);
    CHECK(census.reaches(1));
}

#if defined(__linux__)

TEST_CASE(
    "with a /proc of another namespace, where numbers mean others, it ends the job when it shall and not before") {
    const Census census;
    std::vector<leash::Popen> crowd;  // whose numbers those in there have too
    for (int i = 0; i < 60; ++i) crowd.emplace_back(child({"sleep"}), silent(census));
    const std::string wrong = support::in_host([&]() -> std::string {
        if (::unshare(CLONE_NEWPID) != 0) return "not permitted";
        return support::in_host([&]() -> std::string {  // pid 1 there
            HOST_NEEDS(::getpid() == 1);
            const int next = ::open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
            const std::string number = std::to_string(crowd.front().pid());
            static_cast<void>(!::write(next, number.data(), number.size()));  // which not every system allows
            ::close(next);
            for (int round = 0; round < 5; ++round)
                HOST_NEEDS(leash::run(leash::shell("sleep 0.1; exit 3"), guarded(silent(census))).status.code() == 3);
            leash::Popen job(leash::shell("exec 2> /dev/null; sleep 30"), guarded(silent(census)));
            Host host([&] {
                static_cast<void>(
                    start(child({"ignore-term"}), guarded(capture(census))).out().read_until("ready\n", soon));
            });
            HOST_NEEDS(host.is_ready());
            host.end(SIGKILL);
            // Its orphan is ours now, as we are pid 1 here.
            HOST_NEEDS(eventually([] {
                for (pid_t pid; (pid = ::waitpid(-1, nullptr, WNOHANG)) != 0;) {
                    if (pid < 0) return false;
                    if (::kill(pid, 0) != 0) return true;
                }
                return false;
            }));
            HOST_NEEDS(!job.wait_for(50ms));
            return "";
        });
    });
    if (wrong == "not permitted") MESSAGE("no namespace can be had here: skipped");
    else CHECK(wrong == "");
    crowd.clear();
    CHECK(census.reaches(0));
}

#endif

TEST_CASE("a forked copy of the host that lives on does not count as the host") {
    if (!leash::detail::os::has_direct_start) return;  // where it does, as the documentation says
    const Census census;
    int copy[2];
    REQUIRE(::pipe(copy) == 0);
    Host host([&] {
        static_cast<void>(start(child({"print-and-wait", "x"}), guarded(capture(census))).out().read_until("x", soon));
        leave_copy(copy[1]);
    });
    REQUIRE(host.is_ready());
    pid_t pid = -1;
    CHECK(::read(copy[0], &pid, sizeof pid) == static_cast<ssize_t>(sizeof pid));
    CHECK(census.alive().size() == 1 + 0);
    host.end(SIGKILL);
    CHECK(census.reaches(0));
    CHECK(is_alive(pid));
    if (pid > 1) ::kill(pid, SIGKILL);
    ::close(copy[0]);
    ::close(copy[1]);
}

#if defined(__linux__)

TEST_CASE("a host that ends before its guardian has come to the trap for that is gone too, whoever has its lifeline") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string shell = directory.file("sh", read_file("/bin/sh"), 0755);
    const std::string late = directory.file(
        "late",
        "#!" + shell + "\nuntil [ -e " + directory / "go" + " ]; do sleep 0.01; done\nexec " + shell + " \"$@\"\n",
        0755);
    int copy[2];
    REQUIRE(::pipe(copy) == 0);
    Host host([&] {
        if (!support::put_in_place_of("/bin/sh", late)) return;
        static_cast<void>(start(child({"print-and-wait", "x"}), guarded(capture(census))).out().read_until("x", soon));
        leave_copy(copy[1]);
    });
    REQUIRE(host.is_ready());
    if (is_permitted(!host.children().empty())) {
        pid_t pid = -1;
        CHECK(::read(copy[0], &pid, sizeof pid) == static_cast<ssize_t>(sizeof pid));
        host.end(SIGKILL);
        directory.file("go", "");
        CHECK(census.reaches(0));
        CHECK(is_alive(pid));
        if (pid > 1) ::kill(pid, SIGKILL);
    }
    ::close(copy[0]);
    ::close(copy[1]);
}

#endif

TEST_SUITE_END();

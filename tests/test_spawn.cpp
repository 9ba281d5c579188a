// tests/test_spawn.cpp - what a child starts with: its descriptors, its signals, and nothing else of the host's.
#include <doctest/doctest.h>

#include "sandbox.hpp"

#include <algorithm>

#include <sys/resource.h>
#include <sys/socket.h>

using leash::Step;
using support::Census;
using support::child;
using support::NothingLeft;
using support::read_file;
using support::TemporaryDirectory;

namespace {

/// The numbers that a child finds open, besides a pass of the test's own.
std::vector<int> open_in_child(leash::Options options) {
    options.out = leash::piped;
    std::vector<int> numbers;
    const std::string text = leash::run(child({"fds"}), std::move(options)).out;
    for (std::size_t from = 0; from < text.size(); from = text.find('\n', from) + 1)
        numbers.push_back(std::atoi(text.c_str() + from));
    return numbers;
}

/// In a forked host: where closes are enumerated, a descriptor past a limit that is lowered would forbid every start.
void close_from(int first) {
    for (const int fd : support::open_descriptors()) {
        if (fd >= first) ::close(fd);
    }
}

std::string inode_of(int fd) {
    struct stat info {};
    return ::fstat(fd, &info) == 0 ? std::to_string(info.st_ino) : "closed";
}

}  // namespace

TEST_CASE("a child has 0, 1, 2 and what was listed, and no other descriptor") {
    const Census census;
    std::vector<int> inheritable;  // without close-on-exec, among them sockets, low and high numbers
    for (const int number : {3, 7, 33, 100, 255, 256, 300}) {
        if (::fcntl(number, F_GETFD) >= 0) continue;
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        REQUIRE(fd >= 0);
        if (fd != number) {
            ::dup2(fd, number);
            ::close(fd);
        }
        inheritable.push_back(number);
    }
    leash::Options options = support::capture(census);
    CHECK(open_in_child(options) == std::vector<int>{0, 1, 2});
    options.in = leash::piped;
    CHECK(open_in_child(options) == std::vector<int>{0, 1, 2});
    options.in = leash::bytes("x");
    options.err = leash::to_out;
    CHECK(open_in_child(options) == std::vector<int>{0, 1, 2});
    options.in = leash::null;
    options.err = leash::sink([](std::string_view) {});
    CHECK(open_in_child(options) == std::vector<int>{0, 1, 2});
    options.pass_fds = {{0, 40}, {1, 5}, {0, 3}, {2, 299}};
    CHECK(open_in_child(options) == std::vector<int>{0, 1, 2, 3, 5, 40, 299});
    options.group = leash::Group::session;
    options.cwd = "/";
    CHECK(open_in_child(options) == std::vector<int>{0, 1, 2, 3, 5, 40, 299});
    for (const int fd : inheritable) {
        CHECK(::fcntl(fd, F_GETFD) == 0);  // and the host's are as they were
        ::close(fd);
    }
}

TEST_CASE("a job that is running leaks nothing of itself into the next one") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    std::vector<leash::Popen> jobs;
    for (int i = 0; i < 5; ++i) {
        jobs.emplace_back(child({"cat"}), options);
        CHECK((jobs.back().exit_handle() != -1) == support::has_exit_handle());
    }
    CHECK(open_in_child(options) == std::vector<int>{0, 1, 2});
    for (const int fd : support::open_descriptors()) {
        if (fd > 2 && fd == jobs.back().exit_handle()) CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        if (fd == jobs.back().out().handle()) CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        if (fd == jobs.back().in().handle()) CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
    // a short one's end of input comes, although its later siblings could hold the pipe
    for (leash::Popen& p : jobs) {
        p.in().close();
        CHECK(p.wait().success());
    }
}

TEST_CASE("0, 1 and 2 can be wired in every permutation, with passes that cross") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string wrong = support::in_host([&]() -> std::string {
        int report[2];
        if (::pipe2(report, O_CLOEXEC) != 0) return "pipe";
        for (int fd = 0; fd < 3; ++fd) {
            ::close(fd);
            if (::open((directory / std::to_string(fd)).c_str(), O_RDWR | O_CREAT, 0600) != fd) return "open";
        }
        // five and six: for passes that change places
        const int spare = ::open((directory / "spare").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        const int five = ::fcntl(spare, F_DUPFD, 30);
        const int six = ::fcntl(0, F_DUPFD_CLOEXEC, 31);
        const std::vector<std::string> host{inode_of(0), inode_of(1), inode_of(2)};
        for (int i = 0; i < 27; ++i) {
            const int in = i / 9, out = i / 3 % 3, err = i % 3;
            for (const bool crossing : {false, true}) {
                leash::Options options;
                options.env = census.env();
                options.in = leash::fd(in);
                options.out = leash::fd(out);
                options.err = leash::fd(err);
                options.pass_fds = {{report[1], 9}};
                std::string expected = host[static_cast<std::size_t>(in)] + " " + host[static_cast<std::size_t>(out)] +
                                       " " + host[static_cast<std::size_t>(err)] + " ";
                if (crossing) {
                    options.pass_fds.insert(options.pass_fds.end(),
                                            {{five, six}, {six, five}, {out, 3}, {in, 4}, {9, 7}});
                    if (::fcntl(9, F_GETFD) < 0 && ::dup2(spare, 9) != 9) return "dup2";
                    expected += inode_of(six) + " " + inode_of(five) + " " + host[static_cast<std::size_t>(out)] + " " +
                                host[static_cast<std::size_t>(in)] + " " + inode_of(9) + " ";
                }
                leash::Command command = crossing ? child({"inodes", "9", "0", "1", "2", std::to_string(five),
                                                           std::to_string(six), "3", "4", "7"})
                                                  : child({"inodes", "9", "0", "1", "2"});
                HOST_NEEDS(leash::run(std::move(command), options).ok());
                char buffer[512];
                const ssize_t n = ::read(report[0], buffer, sizeof buffer);
                const std::string seen(buffer, n > 0 ? static_cast<std::size_t>(n) : 0);
                if (seen != expected)
                    return "wiring " + std::to_string(in) + std::to_string(out) + std::to_string(err) + ": " + seen +
                           "instead of " + expected;
                HOST_NEEDS(inode_of(0) == host[0] && inode_of(1) == host[1] && inode_of(2) == host[2]);
            }
        }
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("standard streams that are close-on-exec in the host can be inherited all the same") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        for (int fd = 0; fd < 3; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
        int report[2];
        if (::pipe2(report, O_CLOEXEC) != 0) return "pipe";
        leash::Options options;
        options.env = census.env();
        options.in = leash::fd(0);
        options.pass_fds = {{report[1], 9}};
        HOST_NEEDS(leash::run(child({"inodes", "9", "0", "1", "2"}), options).ok());
        char buffer[512];
        const ssize_t n = ::read(report[0], buffer, sizeof buffer);
        HOST_NEEDS(std::string(buffer, n > 0 ? static_cast<std::size_t>(n) : 0) ==
                   inode_of(0) + " " + inode_of(1) + " " + inode_of(2) + " ");
        for (int fd = 0; fd < 3; ++fd) HOST_NEEDS(::fcntl(fd, F_GETFD) == FD_CLOEXEC);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a host may have been started with any of 0, 1 and 2 closed") {
    const Census census;
    const TemporaryDirectory directory;
    for (int subset = 1; subset < 8; ++subset) {
        CAPTURE(subset);
        const std::string wrong = support::in_host([&]() -> std::string {
            for (int fd = 0; fd < 3; ++fd) {
                ::close(fd);
                if (::open((directory / "stream").c_str(), O_RDWR | O_CREAT | O_APPEND, 0600) != fd) return "open";
            }
            const std::string stream = inode_of(0);
            for (int fd = 0; fd < 3; ++fd) {
                if ((subset & (1 << fd)) != 0) ::close(fd);
            }
            const NothingLeft before;

            // captured
            leash::Options options = support::capture(census);
            options.in = leash::bytes("input");
            const leash::Result result = leash::run(child({"cat"}), options);
            HOST_NEEDS(result.ok());
            HOST_NEEDS(result.out == "input" && result.err == "");
            HOST_NEEDS(before.holds());
            options.in = leash::null;
            const leash::Result both = leash::run(child({"print-to", "1", "out", "2", "err"}), options);
            HOST_NEEDS(both.out == "out" && both.err == "err");
            HOST_NEEDS(leash::run(child({"fds"}), options).out.find("\n3 ") == std::string::npos);
            HOST_NEEDS(before.holds());
            {
                options.in = leash::piped;
                leash::Popen p(child({"cat"}), options);
                HOST_NEEDS(p.exit_handle() == -1 || p.exit_handle() > 2);
                HOST_NEEDS(p.communicate("more").out == "more");
                options.in = leash::bytes("a file");
                leash::Popen q(child({"cat"}), options);
                HOST_NEEDS(q.communicate().out == "a file");
            }
            HOST_NEEDS(before.holds());

            // files
            options.in = leash::null;
            options.out = leash::file(directory / "out");
            options.err = leash::file(directory / "err");
            HOST_NEEDS(leash::run(child({"print-to", "1", "out", "2", "err"}), options).ok());
            HOST_NEEDS(read_file(directory / "out") == "out" && read_file(directory / "err") == "err");
            options.err = leash::to_out;
            HOST_NEEDS(leash::run(child({"print-to", "1", "o", "2", "e"}), options).ok());
            HOST_NEEDS(read_file(directory / "out") == "oe");
            HOST_NEEDS(before.holds());

            // inherited: what is closed is the null device in the child, never a hole for its next file
            int report[2];
            if (::pipe2(report, O_CLOEXEC) != 0) return "pipe";
            const int writer = ::fcntl(report[1], F_DUPFD_CLOEXEC, 20);
            const int reader = ::fcntl(report[0], F_DUPFD_CLOEXEC, 20);
            ::close(report[0]);
            ::close(report[1]);
            struct stat null {};
            ::stat("/dev/null", &null);
            options = {};
            options.env = census.env();
            options.in = leash::inherit;
            options.pass_fds = {{writer, 9}};
            HOST_NEEDS(leash::run(child({"inodes", "9", "0", "1", "2", "3"}), options).ok());
            char buffer[512];
            const ssize_t n = ::read(reader, buffer, sizeof buffer);
            std::string expected;
            for (int fd = 0; fd < 3; ++fd)
                expected += ((subset & (1 << fd)) != 0 ? std::to_string(null.st_ino) : stream) + " ";
            HOST_NEEDS(std::string(buffer, n > 0 ? static_cast<std::size_t>(n) : 0) == expected + "closed ");
            ::close(reader);
            ::close(writer);
            HOST_NEEDS(before.holds());

            // and an error is an error
            HOST_NEEDS(!leash::try_run({"/no/such/program"}, support::capture(census)).has_value());
            options = {};
            options.in = leash::fd((subset & 1) != 0 ? 0 : 77);
            HOST_NEEDS(!leash::try_run(child({"exit", "0"}), options).has_value());
            HOST_NEEDS(before.holds());
            return "";
        });
        CHECK(wrong == "");
    }
}

TEST_CASE("a descriptor above a limit that was lowered later neither leaks nor hinders") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        if (limit.rlim_cur < 700) return "";
        const int high = ::fcntl(0, F_DUPFD, 600);  // not close-on-exec
        HOST_NEEDS(high >= 600);
        TemporaryDirectory directory;
        const int file = ::open((directory / "file").c_str(), O_RDWR | O_CREAT, 0600);
        const int high_file = ::fcntl(file, F_DUPFD, 610);
        limit.rlim_cur = 100;
        ::setrlimit(RLIMIT_NOFILE, &limit);

        if (support::needs_its_limit()) {  // no start, rather than a leak
            for (const auto& start : {leash::try_run(child({"fds"}), support::capture(census)),
                                      leash::try_run(child({"fds"}), support::silent(census))}) {
                HOST_NEEDS(!start);
                HOST_NEEDS(start.error().step == Step::spawn);
                HOST_NEEDS(start.error().code == std::errc::bad_file_descriptor);
                HOST_NEEDS(std::string(start.error().hint).find("RLIMIT_NOFILE") != std::string::npos);
            }
            HOST_NEEDS(census.is_empty() && !support::has_children());
            close_from(100);
            HOST_NEEDS(open_in_child(support::capture(census)) == std::vector<int>{0, 1, 2});
            return "";
        }
        HOST_NEEDS(open_in_child(support::capture(census)) == std::vector<int>{0, 1, 2});
        leash::Options options = support::silent(census);
        options.out = leash::fd(high_file);
        options.pass_fds = {{high_file, 4}};
        HOST_NEEDS(leash::run(child({"print-to", "1", "out ", "4", "four"}), options).ok());
        HOST_NEEDS(read_file(directory / "file") == "out four");
        options.pass_fds = {{0, 100}};
        const auto refused = leash::try_run(child({"exit", "0"}), options);
        HOST_NEEDS(!refused && refused.error().step == Step::redirect);
        return "";
    });
    CHECK(wrong == "");
}

#if defined(__linux__)
TEST_CASE("a host whose main thread has ended passes on nothing") {
    const Census census;
    const leash::Options options = support::capture(census);
    const std::string wrong = support::in_host([&]() -> std::string {
        int ends[2];
        HOST_NEEDS(::pipe2(ends, O_CLOEXEC) == 0);
        HOST_NEEDS(::fcntl(0, F_DUPFD, 600) >= 600);  // not close-on-exec
        const pid_t host = ::fork();
        HOST_NEEDS(host >= 0);
        if (host == 0) {
            ::alarm(100);
            std::thread([&] {
                std::string seen = "the main thread is still there";
                if (support::eventually([] { return support::state_of(::getpid()) == 'Z'; })) {
                    seen.clear();
                    for (const int fd : open_in_child(options)) seen += std::to_string(fd) + " ";
                }
                static_cast<void>(!::write(ends[1], seen.data(), seen.size()));
                ::_exit(0);
            }).detach();
            ::syscall(SYS_exit, 0);  // of this thread, as pthread_exit() does it in the end
        }
        ::close(ends[1]);
        char seen[200] = {};
        const ssize_t size = ::read(ends[0], seen, sizeof seen - 1);
        ::waitpid(host, nullptr, 0);
        HOST_NEEDS(size > 0);
        return std::string(seen) == "0 1 2 " ? "" : seen;
    });
    CHECK(wrong == "");
}

TEST_CASE("a host without /proc passes on nothing, be its number high, also where a filter refuses close_range") {
    for (const int refusal : {0, ENOSYS, EPERM}) {
        CAPTURE(refusal);
        const std::string wrong = support::in_host([&]() -> std::string {
            rlimit limit{};
            ::getrlimit(RLIMIT_NOFILE, &limit);
            limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
            ::setrlimit(RLIMIT_NOFILE, &limit);
            const std::string low = "600", high = limit.rlim_cur > 5000 ? "5000" : "700";
            for (const std::string& number : {low, high}) {
                const int fd = std::stoi(number);
                HOST_NEEDS(::fcntl(0, F_DUPFD, fd) == fd);  // not close-on-exec
            }
            if (!support::hide_proc()) return "not permitted";
            if (refusal != 0 && !support::refuse(support::close_range_call, refusal)) return "not permitted";
            leash::Options options;  // not of a census, which needs /proc
            options.out = leash::piped;
            options.timeout = std::chrono::seconds(60);
            const leash::Command look = child({"inodes", "1", low, "20", high});
            HOST_NEEDS(leash::run(look, options).out == "closed closed closed ");
            options.pass_fds = {{0, 20}};
            HOST_NEEDS(leash::run(look, options).out == "closed " + inode_of(0) + " closed ");
            const leash::Result both = leash::run(look | child({"cat"}), options);
            HOST_NEEDS(both.ok() && both.out == "closed " + inode_of(0) + " closed ");
            // and a start that fails for another reason still tells that one
            const auto refused = leash::try_run({"/bin/sh/x"}, options);
            HOST_NEEDS(!refused && refused.error().code == std::errc::not_a_directory);
            return "";
        });
        if (wrong == "not permitted") MESSAGE("mounts or filters are not permitted here: nothing tried");
        else CHECK(wrong == "");
    }
}
#endif

TEST_CASE("the highest limit of descriptors that there can be makes no start slow") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        // as far up as this system lets us: containers have 1 073 741 816
        for (const rlim_t most : {rlim_t{1'073'741'816}, rlim_t{1'048'576}, limit.rlim_max}) {
            rlimit raised = limit;
            raised.rlim_cur = most;
            if (raised.rlim_max < most) raised.rlim_max = most;
            if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) break;
        }
        const support::Stopwatch watch;
        for (int i = 0; i < 20; ++i) HOST_NEEDS(leash::run(child({"exit", "0"}), support::silent(census)).ok());
        HOST_NEEDS(watch.elapsed() < std::chrono::seconds(30));  // a walk over them all takes minutes
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("ten thousand starts that fail leave nothing behind") {
    const TemporaryDirectory directory;
    const std::string script = directory.file("script", "no #! line\n", 0755);
    const std::string orphan = directory.file("orphan", "#!/no/such/interpreter\n", 0755);
    const NothingLeft before;
    int failed = 0;
    for (int i = 0; i < 10'000; ++i) {
        leash::Options options;
        options.in = leash::piped;
        options.out = leash::piped;
        options.err = leash::piped;
        options.pass_fds = {{0, 5}, {2, 7}};
        leash::Command command{"/no/such/program"};
        switch (i % 8) {
            case 0: command = leash::args({script}); break;  // these two fail in the child
            case 1: command = leash::args({orphan}); break;
            case 2: options.cwd = "/no/such/directory"; break;
            case 3:
                command = child({"exit"});
                options.err = leash::file("/no/such/file");  // after two pipes were made
                break;
            case 4:
                command = child({"exit"});
                options.err = leash::fd(1 << 20);
                break;
            case 5: options.env.set("=", ""); break;
            case 6: options.pass_fds.push_back({0, 5}); break;
            default: break;
        }
        if (!leash::Popen::try_spawn(std::move(command), std::move(options))) ++failed;
    }
    CHECK(failed == 10'000);
    CHECK(before.holds());
}

TEST_CASE("a child starts with nothing blocked and nothing ignored, whatever the host does") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        sigset_t all;
        ::sigfillset(&all);
        ::sigprocmask(SIG_BLOCK, &all, nullptr);
        for (int signal = 1; signal < 32; ++signal) {
            if (signal != SIGCHLD) ::signal(signal, SIG_IGN);
        }
        ::signal(SIGRTMIN + 3, SIG_IGN);
        const std::string kept =
            " " + std::to_string(SIGHUP) + " " + std::to_string(SIGINT) + " " + std::to_string(SIGQUIT);
        for (const leash::Group group : {leash::Group::own, leash::Group::inherited, leash::Group::session}) {
            leash::Options options = support::capture(census);
            options.group = group;
            // nohup's ignored HUP, and what a shell ignores for its background jobs, stay: they were set on purpose
            const std::string seen = leash::run(child({"signals"}), options).out;
            if (seen != "blocked\nignored" + kept + "\n") return "the child has: " + seen;
        }
        // but not against the keys of a terminal of its own
        leash::Options at_terminal = support::capture(census);
        at_terminal.err = leash::tty;
        HOST_NEEDS(leash::run(child({"signals"}), at_terminal).out == "blocked\nignored\n");
        ::signal(SIGCHLD, SIG_IGN);
        HOST_NEEDS(leash::run(child({"signals"}), support::capture(census)).out == "blocked\nignored" + kept + "\n");
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("handlers of the host's are defaults in the child") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        for (const int signal : {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGPIPE}) ::signal(signal, [](int) {});
        HOST_NEEDS(leash::run(child({"signals"}), support::capture(census)).out == "blocked\nignored\n");
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a child of a thread that blocks all signals can be ended politely") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        sigset_t all;
        ::sigfillset(&all);
        ::sigprocmask(SIG_BLOCK, &all, nullptr);
        leash::Popen p(child({"sleep", "ready"}), support::capture(census));
        HOST_NEEDS(p.out().read(5).data == "ready");
        HOST_NEEDS(p.terminate().has_value());
        HOST_NEEDS(p.wait().describe() == "killed by SIGTERM (15)");
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("umask and limits are the host's") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        ::umask(0137);
        HOST_NEEDS(leash::run(child({"umask"}), support::capture(census)).out == "137\n");
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = 123;
        close_from(123);
        ::setrlimit(RLIMIT_NOFILE, &limit);
        HOST_NEEDS(leash::run(child({"limit"}), support::capture(census)).out == "123\n");
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a host out of descriptors is told so, and loses none") {
    const Census census;
    int closed = 0;  // of 0 and 1, which are free then, and of no use
    bool piped = true;
    SUBCASE("with all of its streams") {}
    SUBCASE("without one of them") {
        closed = 1;
        piped = false;
    }
    SUBCASE("without two of them") { closed = 2; }
    const std::string wrong = support::in_host([&]() -> std::string {
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = 100;
        close_from(100);
        ::setrlimit(RLIMIT_NOFILE, &limit);
        leash::Options options = support::capture(census);
        if (piped) options.in = leash::piped;
        // fill the table, then free one more each round: at some point it starts
        std::vector<int> filler;
        for (int fd; (fd = ::fcntl(0, F_DUPFD_CLOEXEC, 3)) >= 0;) filler.push_back(fd);
        for (int fd = 0; fd < closed; ++fd) ::close(fd);
        const auto open_now = [] {  // without a descriptor for looking
            int count = 0;
            for (int fd = 0; fd < 100; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
            return count;
        };
        int refused = 0;
        for (;;) {
            HOST_NEEDS(!filler.empty());
            const int before = open_now();
            const auto result = leash::try_run(child({"print", "x"}), options);
            HOST_NEEDS(open_now() == before);
            HOST_NEEDS(!support::has_children());
            if (result) {
                HOST_NEEDS(result->ok());
                HOST_NEEDS(result->out == "x");
                break;
            }
            HOST_NEEDS(result.error().code == std::errc::too_many_files_open);
            HOST_NEEDS(result.error().step == Step::redirect || result.error().step == Step::spawn);
            ++refused;
            ::close(filler.back());
            filler.pop_back();
        }
        HOST_NEEDS(refused >= 3);
        return "";
    });
    CHECK(wrong == "");
}

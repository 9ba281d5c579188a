// tests/test_stdio.cpp - where the three streams come from and go to.
#include <doctest/doctest.h>

#include "support.hpp"

#include <memory>
#include <stdexcept>

#include <poll.h>
#include <sys/socket.h>

using leash::Step;
using support::Census;
using support::child;
using support::NothingLeft;
using support::pattern;
using support::read_file;
using support::TemporaryDirectory;
using namespace std::chrono_literals;

namespace {

leash::Error refusal(leash::Options options) {
    const NothingLeft before;
    auto refused = leash::try_run(child({"exit", "0"}), std::move(options));
    CHECK_FALSE(refused.has_value());
    CHECK(before.holds());
    return refused.error();
}

}  // namespace

TEST_CASE("in is null by default: a child that reads sees the end at once") {
    const Census census;
    const leash::Result result = leash::run(child({"count"}), support::capture(census));
    CHECK(result.out == "0 0\n");
}

TEST_CASE("out and err are the host's by default") {
    const TemporaryDirectory directory;
    const std::string wrong = support::in_host([&]() -> std::string {
        const int out = ::open((directory / "out").c_str(), O_WRONLY | O_CREAT, 0600);
        const int err = ::open((directory / "err").c_str(), O_WRONLY | O_CREAT, 0600);
        ::dup2(out, 1);
        ::dup2(err, 2);
        const leash::Result result = leash::run(child({"print-to", "1", "to out", "2", "to err"}));
        HOST_NEEDS(result.ok());
        HOST_NEEDS(result.out.empty() && result.err.empty());
        return "";
    });
    CHECK(wrong == "");
    CHECK(read_file(directory / "out") == "to out");
    CHECK(read_file(directory / "err") == "to err");
}

TEST_CASE("what input and output have in common is of one type, and can be asked for") {
    for (const bool captured : {true, false}) {
        leash::Options options;
        options.out = captured ? leash::piped : leash::null;
        options.err = captured ? leash::inherit : leash::null;
        CHECK(options.in.is(leash::null));
        CHECK(options.out.is(leash::piped) == captured);
        CHECK(options.err.is(leash::inherit) == captured);
        CHECK_FALSE(options.out.is(leash::tty));
        CHECK(leash::run(child({"print", "x"}), options).out == (captured ? "x" : ""));
    }
    leash::Options options;
    options.in = leash::bytes("");
    options.err = leash::to_out;
    for (const leash::Redirect one : {leash::null, leash::inherit, leash::piped, leash::tty}) {
        CHECK_FALSE(options.in.is(one));
        CHECK_FALSE(options.err.is(one));
    }
}

TEST_CASE("in can be inherited") {
    const TemporaryDirectory directory;
    const std::string input = directory.file("input", "from the host's input");
    const std::string wrong = support::in_host([&]() -> std::string {
        ::dup2(::open(input.c_str(), O_RDONLY), 0);
        leash::Options options;
        options.in = leash::inherit;
        options.out = leash::piped;
        HOST_NEEDS(leash::run(child({"cat"}), options).out == "from the host's input");
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("null swallows what is written and gives no input") {
    const Census census;
    leash::Options options = support::silent(census);
    options.in = leash::null;
    CHECK(leash::run(child({"write-both", "1000000"}), options).ok());
    leash::Options where = support::capture(census);
    const auto lines = leash::run(child({"fds"}), where).out;
    CHECK(lines.find("0 /dev/null\n") == 0);
}

TEST_CASE("out and err are captured apart, each whole and in order") {
    const Census census;
    const leash::Result result = leash::run(child({"write-both", "700000"}), support::capture(census));
    CHECK(result.ok());
    CHECK((result.out == pattern(700'000)));
    CHECK((result.err == pattern(700'000)));
    CHECK_FALSE(result.out_truncated);
    CHECK_FALSE(result.err_truncated);
    CHECK(result.held.empty());
    CHECK(result.unwritten == 0);
}

TEST_CASE("err alone can be captured, all of it") {
    const Census census;
    leash::Options options = support::silent(census);
    const leash::Output as_out = leash::piped;
    options.err = as_out;
    const leash::Result result = leash::run(child({"write-both", "300000"}), options);
    CHECK(result.ok());
    CHECK(result.out == "");
    CHECK((result.err == pattern(300'000)));
}

TEST_CASE("to_out puts err where out goes, in the order of the writes") {
    const Census census;
    const TemporaryDirectory directory;
    leash::Options options = support::capture(census);
    options.err = leash::to_out;
    const leash::Command command = child({"print-to", "1", "a", "2", "b", "1", "c", "2", "d"});
    const leash::Result result = leash::run(command, options);
    CHECK(result.out == "abcd");
    CHECK(result.err == "");

    options.out = leash::file(directory / "both");
    CHECK(leash::run(command, options).ok());
    CHECK(read_file(directory / "both") == "abcd");

    std::string heard;
    options.out = leash::sink([&](std::string_view chunk) { heard += chunk; });
    CHECK(leash::run(command, options).ok());
    CHECK(heard == "abcd");

    options.out = leash::null;
    CHECK(leash::run(command, options).ok());

    const std::string wrong = support::in_host([&]() -> std::string {
        ::dup2(::open((directory / "inherited").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600), 1);
        options.out = leash::inherit;
        HOST_NEEDS(leash::run(command, options).ok());
        return "";
    });
    CHECK(wrong == "");
    CHECK(read_file(directory / "inherited") == "abcd");
}

TEST_CASE("a file is emptied, or appended to, or created, with the host's umask") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string path = directory.file("log", "something much longer than what comes");
    leash::Options options = support::silent(census);
    options.out = leash::file(path);
    CHECK(leash::run(child({"print", "first"}), options).ok());
    CHECK(read_file(path) == "first");
    options.out = leash::file(path, leash::append);
    CHECK(leash::run(child({"print", " second"}), options).ok());
    CHECK(read_file(path) == "first second");

    // appended to also where another writer has come in between, and by out and err at once
    options.err = leash::file(path, leash::append);
    CHECK(leash::run(child({"print-to", "1", "A", "2", "B", "1", "C"}), options).ok());
    CHECK(read_file(path) == "first secondABC");

    options.err = leash::file(directory / "new");
    const mode_t mask = ::umask(0);
    ::umask(mask);
    CHECK(leash::run(child({"print-to", "2", "x"}), options).ok());
    struct stat info {};
    REQUIRE(::stat((directory / "new").c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == (0666 & ~mask));
}

TEST_CASE("a file is read from its start as input") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string text = pattern(400'000);
    leash::Options options = support::capture(census);
    options.in = leash::file(directory.file("input", text));
    CHECK((leash::run(child({"cat"}), options).out == text));
    leash::Popen p(child({"cat"}), options);
    CHECK((p.communicate().out == text));
}

TEST_CASE("out and err that are the same file lose nothing") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string path = directory.file("log", "before\n");
    REQUIRE(::symlink("log", (directory / "symbolic").c_str()) == 0);
    REQUIRE(::link(path.c_str(), (directory / "hard").c_str()) == 0);
    leash::Options options;
    options.env = census.env();
    const auto said = [&] {
        REQUIRE(leash::run(leash::shell("echo one; echo two >&2; echo three; echo four >&2"), options).ok());
        return read_file(path);
    };
    for (const char* const name : {"log", "./log", "symbolic", "hard"}) {
        const std::string other = directory / name;
        options.out = leash::file(path);
        options.err = leash::file(other);
        CHECK(said() == "one\ntwo\nthree\nfour\n");
        options.err = leash::file(other, leash::append);  // `out` empties it, and both add to it
        CHECK(said() == "one\ntwo\nthree\nfour\n");
        options.out = leash::file(path, leash::append);
        CHECK(said() == "one\ntwo\nthree\nfour\none\ntwo\nthree\nfour\n");
    }
    // each stage of a pipeline, and the last one's output
    options.out = leash::file(directory / "new");
    options.err = leash::file(directory / "new");
    REQUIRE(leash::run(leash::shell("echo one >&2; echo x") | leash::shell("cat >&2; echo two"), options).ok());
    CHECK(read_file(directory / "new") == "one\nx\ntwo\n");
    // what is no file to be emptied is opened as often as it is said
    options.out = leash::file("/dev/null");
    options.err = leash::file("/dev/null");
    options.in = leash::file("/dev/null");
    CHECK(leash::run(child({"exit", "0"}), options).ok());
}

TEST_CASE("out and err that are the same file by a descriptor lose nothing") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string path = directory.file("log", "");
    const std::string wrong = support::in_host([&]() -> std::string {
        // not O_APPEND: it has a place of its own
        const int log = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
        static_cast<void>(!::write(log, "host\n", 5));
        const leash::Command command = leash::shell("echo one; echo two >&2; echo three; echo four >&2");
        leash::Options options;
        options.env = census.env();
        options.out = leash::fd(log);
        options.err = leash::file(path, leash::append);
        HOST_NEEDS(leash::run(command, options).ok());
        options.out = leash::file(path, leash::append);
        options.err = leash::fd(log);
        HOST_NEEDS(leash::run(command, options).ok());
        ::dup2(log, 2);
        options.err = leash::inherit;
        HOST_NEEDS(leash::run(command, options).ok());
        const std::string all = "one\ntwo\nthree\nfour\n";
        HOST_NEEDS(read_file(path) == "host\n" + all + all + all);
        // and nobody empties what the host has written there
        options.out = leash::file(path);
        HOST_NEEDS(!leash::try_run(command, options));
        options.out = leash::fd(log);
        options.err = leash::file(path);
        HOST_NEEDS(!leash::try_run(command, options));
        HOST_NEEDS(read_file(path) == "host\n" + all + all + all);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a file is not emptied while another stream reads it or adds to it") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string path = directory.file("file", "text");
    REQUIRE(::symlink("file", (directory / "same").c_str()) == 0);
    leash::Options options = support::silent(census);
    const auto refused = [&](const char* subject, const char* hint) {
        const leash::Error error = refusal(options);
        CHECK(error.step == Step::redirect);
        CHECK(error.code == std::errc::invalid_argument);
        CHECK(error.subject == subject + directory.path() + "/same");
        CHECK(std::string(error.hint).find(hint) != std::string::npos);
        CHECK(read_file(path) == "text");
    };
    options.in = leash::file(path);
    options.out = leash::file(directory / "same");
    refused("out: ", "emptied before it is read");
    options.out = leash::null;
    options.err = leash::file(directory / "same");
    refused("err: ", "emptied before it is read");
    options.in = leash::null;
    options.out = leash::file(path, leash::append);
    refused("err: ", "to_out");
    // to add to what is read is what it says
    options.in = leash::file(path);
    options.err = leash::null;
    CHECK(leash::run(leash::shell("read -r word; echo \" and $word\""), options).ok());
    CHECK(read_file(path) == "text and text\n");
}

TEST_CASE("a Popen's own end is not handed to another job by its number") {
    const Census census;
    const NothingLeft before;
    {
        leash::Options options = support::capture(census);
        options.in = leash::piped;
        leash::Popen p(child({"cat"}), options);
        leash::Options with_terminal = support::silent(census);
        with_terminal.out = leash::tty;
        leash::Popen at_terminal(child({"cat"}), with_terminal);
        const auto refused = [](leash::Options wrong, const std::string& subject) {
            const auto job = leash::Popen::try_spawn(child({"cat"}), std::move(wrong));
            REQUIRE_FALSE(job.has_value());
            CHECK(job.error().step == Step::redirect);
            CHECK(job.error().code == std::errc::invalid_argument);
            CHECK(job.error().subject == subject);
            CHECK(job.error().message().find("use a pipeline") != std::string::npos);
        };
        for (const int handle : {p.out().handle(), p.err().handle(), at_terminal.out().handle()}) {
            leash::Options wrong = support::silent(census);
            wrong.in = leash::fd(handle);
            refused(wrong, "in: descriptor " + std::to_string(handle));
        }
        const int handle = p.in().handle();
        leash::Options wrong = support::silent(census);
        wrong.out = leash::fd(handle);
        refused(wrong, "out: descriptor " + std::to_string(handle));
        wrong.out = leash::null;
        wrong.err = leash::fd(handle);
        refused(wrong, "err: descriptor " + std::to_string(handle));
    }
    CHECK(before.holds());
}

TEST_CASE("what the host gives away is the host's to decide about, non-blocking or not") {
    const Census census;
    int pipe[2], sockets[2];
    REQUIRE(::pipe2(pipe, O_CLOEXEC | O_NONBLOCK) == 0);
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) == 0);
    leash::Options options = support::silent(census);
    options.out = leash::fd(sockets[1]);
    CHECK(leash::run(child({"print", "x"}), options).ok());
    options.out = leash::fd(pipe[1]);
    CHECK_FALSE(leash::try_run(child({"print", "x"}), options).has_value());
    ::fcntl(pipe[1], F_SETFD, 0);
    CHECK(leash::run(child({"print", "x"}), options).ok());
    ::fcntl(pipe[1], F_SETFD, FD_CLOEXEC);
    ::fcntl(pipe[1], F_SETFL, 0);
    CHECK(leash::run(child({"print", "x"}), options).ok());
    ::fcntl(pipe[1], F_SETFL, O_NONBLOCK);
    options.out = leash::null;
    options.pass_fds = {{pipe[1], 3}};
    CHECK(leash::run(child({"exit", "0"}), options).ok());
    for (const int fd : {pipe[0], pipe[1], sockets[0], sockets[1]}) ::close(fd);
}

TEST_CASE("a redirect's path counts from the host's directory, whatever cwd says") {
    const Census census;
    const TemporaryDirectory directory;
    directory.directory("sub");
    directory.file("input", "of the host");
    directory.file("sub/input", "of the child");
    const std::string wrong = support::in_host([&]() -> std::string {
        if (::chdir(directory.path().c_str()) != 0) return "chdir";
        leash::Options options = support::silent(census);
        options.cwd = "sub";
        options.in = leash::file("input");
        options.out = leash::file("output");
        HOST_NEEDS(leash::run(child({"cat"}), options).ok());
        HOST_NEEDS(read_file(directory / "output") == "of the host");
        HOST_NEEDS(::access((directory / "sub/output").c_str(), F_OK) != 0);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a file that cannot be opened is a redirect error with the stream and the path") {
    const TemporaryDirectory directory;
    const std::string missing = directory / "no/such/file";
    leash::Options options;
    options.out = leash::file(missing);
    leash::Error error = refusal(options);
    CHECK(error.step == Step::redirect);
    CHECK(error.code == std::errc::no_such_file_or_directory);
    CHECK(error.subject == "out: " + missing);

    options = {};
    options.err = leash::file(directory.path());
    error = refusal(options);
    CHECK(error.step == Step::redirect);
    CHECK(error.code == std::errc::is_a_directory);
    CHECK(error.subject == "err: " + directory.path());

    options = {};
    options.in = leash::file(directory / "missing");
    error = refusal(options);
    CHECK(error.subject == "in: " + directory / "missing");
    CHECK(error.code == std::errc::no_such_file_or_directory);

    options = {};
    options.out = leash::file("");
    error = refusal(options);
    CHECK(error.step == Step::redirect);
    CHECK(error.code == std::errc::invalid_argument);

    options = {};
    options.in = leash::file(std::string("a\0b", 3));
    CHECK(refusal(options).step == Step::redirect);

    options = {};
    options.in = leash::file(directory.file("exists", "x"), leash::append);
    error = refusal(options);
    CHECK(error.step == Step::redirect);
    CHECK(error.code == std::errc::invalid_argument);
}

TEST_CASE("a start that is refused for its command empties no file") {
    const TemporaryDirectory directory;
    const std::string precious = directory.file("precious", "data");
    leash::Options options;
    options.out = leash::file(precious);
    CHECK_FALSE(leash::try_run({"/no/such/program"}, options).has_value());
    options.cwd = "/no/such/directory";
    CHECK_FALSE(leash::try_run({"true"}, options).has_value());
    CHECK(read_file(precious) == "data");
}

TEST_CASE("a socket as a file is called one, and not a FIFO") {
    const TemporaryDirectory directory;
    const std::string path = directory / "socket";
    REQUIRE(::mknod(path.c_str(), S_IFSOCK | 0600, 0) == 0);
    leash::Options as_out, as_in;
    as_out.out = leash::file(path);
    as_in.in = leash::file(path);
    for (const leash::Options& options : {as_out, as_in}) {
        const leash::Error error = refusal(options);
        CHECK(error.step == Step::redirect);
        CHECK(error.code.value() == ENXIO);
        CHECK(std::string(error.hint).find("a socket") == 0);
    }
}

#if defined(F_SETLEASE)
TEST_CASE("a file on which somebody has a lease is an error that says so") {
    const TemporaryDirectory directory;
    const std::string path = directory.file("leased", "hello\n");
    const std::string wrong = support::in_host([&]() -> std::string {
        ::signal(SIGIO, SIG_IGN);  // how the holder is asked to give it up
        const int holder = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        if (::fcntl(holder, F_SETLEASE, F_WRLCK) != 0) return "";  // not on this file system, or not as this user
        leash::Options options;
        options.in = leash::file(path);
        options.out = leash::piped;
        const auto refused = leash::try_run(child({"cat"}), options);
        HOST_NEEDS(!refused);
        HOST_NEEDS(refused.error().step == Step::redirect);
        HOST_NEEDS(refused.error().code == std::errc::resource_unavailable_try_again);
        HOST_NEEDS(refused.error().message().find("has a lease or a lock") != std::string::npos);
        ::fcntl(holder, F_SETLEASE, F_UNLCK);
        HOST_NEEDS(leash::run(child({"cat"}), options).out == "hello\n");
        return "";
    });
    CHECK(wrong == "");
}
#endif

TEST_CASE("a FIFO never holds up a start: without a reader it is an error, without a writer an end") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string fifo = directory / "fifo";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    // Should one of these block, the host is killed by its alarm.
    const std::string wrong = support::in_host([&]() -> std::string {
        ::alarm(60);
        leash::Options options = support::silent(census);
        options.out = leash::file(fifo);
        const auto refused = leash::try_run(child({"exit", "0"}), options);
        HOST_NEEDS(!refused.has_value());
        HOST_NEEDS(refused.error().step == Step::redirect);
        HOST_NEEDS(refused.error().code.value() == ENXIO);
        HOST_NEEDS(refused.error().message().find("no process reads this FIFO") != std::string::npos);
        options = support::silent(census);
        options.err = leash::file(fifo, leash::append);
        HOST_NEEDS(!leash::try_run(child({"exit", "0"}), options).has_value());

        options = support::capture(census);
        options.in = leash::file(fifo);
        const auto empty = leash::try_run(child({"count"}), options);
        HOST_NEEDS(empty.has_value());
        HOST_NEEDS(empty->out == "0 0\n");
        return "";
    });
    CHECK(wrong == "");
    CHECK(census.is_empty());
}

TEST_CASE("a FIFO with a reader is written to, and the child's end of it blocks as files do") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string fifo = directory / "fifo";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    const int reader = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    REQUIRE(reader >= 0);
    leash::Options options = support::silent(census);
    options.out = leash::file(fifo);
    leash::Popen p(child({"write", "500000"}), options);  // more than a pipe holds: EAGAIN would end the helper with 74
    std::string text;
    char buffer[65536];
    for (;;) {
        const ssize_t n = ::read(reader, buffer, sizeof buffer);
        if (n > 0) text.append(buffer, static_cast<std::size_t>(n));
        else if (n == 0 && !text.empty()) break;
        pollfd ready{reader, POLLIN, 0};
        ::poll(&ready, 1, 50);
    }
    ::close(reader);
    CHECK(p.wait().describe() == "exited 0");
    CHECK((text == pattern(500'000)));
}

TEST_CASE("the child's ends of pipes and files are blocking ones") {
    const Census census;
    const TemporaryDirectory directory;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    CHECK(leash::run(child({"nonblocking"}), options).out == "000");
    options.in = leash::file(directory.file("input", "x"));
    options.err = leash::file(directory / "error");
    CHECK(leash::run(child({"nonblocking"}), options).out == "000");
    options.in = leash::null;
    options.err = leash::sink([](std::string_view) {});
    CHECK(leash::run(child({"nonblocking"}), options).out == "000");
}

TEST_CASE("a descriptor of the host's serves the child and stays the host's, as it was") {
    const Census census;
    const TemporaryDirectory directory;
    for (const int close_on_exec : {0, O_CLOEXEC}) {
        const int out = ::open((directory / "out").c_str(), O_RDWR | O_CREAT | O_TRUNC | close_on_exec, 0600);
        const int in = ::open(directory.file("input", "0123456789").c_str(), O_RDONLY | close_on_exec);
        REQUIRE(in >= 0);
        ::lseek(in, 4, SEEK_SET);
        const int out_flags = ::fcntl(out, F_GETFD), in_status = ::fcntl(in, F_GETFL);
        const NothingLeft before;
        leash::Options options = support::silent(census);
        options.in = leash::fd(in);
        options.out = leash::fd(out);
        options.err = leash::fd(out);
        CHECK(leash::run(child({"cat"}), options).ok());
        CHECK(leash::run(child({"print-to", "2", " err"}), options).ok());
        CHECK(before.holds());
        CHECK(::fcntl(out, F_GETFD) == out_flags);
        CHECK(::fcntl(in, F_GETFL) == in_status);
        CHECK(::write(out, "!", 1) == 1);
        CHECK(read_file(directory / "out") == "456789 err!");  // one position, shared
        ::close(in);
        ::close(out);
    }
}

TEST_CASE("a descriptor that is negative or closed is refused by its number, and none else is closed for it") {
    const int closed = ::fcntl(0, F_DUPFD_CLOEXEC, 50);
    ::close(closed);
    for (const int number : {closed, -1, -1000, 1 << 30}) {
        leash::Options options;
        options.in = leash::fd(number);
        leash::Error error = refusal(options);
        CHECK(error.step == Step::redirect);
        CHECK(error.code == std::errc::bad_file_descriptor);
        CHECK(error.subject == "in: descriptor " + std::to_string(number));
        options = {};
        options.out = leash::fd(number);
        CHECK(refusal(options).subject == "out: descriptor " + std::to_string(number));
        options = {};
        options.err = leash::fd(number);
        CHECK(refusal(options).subject == "err: descriptor " + std::to_string(number));
    }
}

TEST_CASE("bytes of any size are the whole input, for run and for Popen") {
    const Census census;
    const NothingLeft before;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{70'000}, std::size_t{5'000'000}}) {
        const std::string data = pattern(size);
        leash::Options options = support::capture(census);
        options.in = leash::bytes(data);
        const leash::Result result = leash::run(child({"cat"}), options);
        CHECK(result.ok());
        CHECK((result.out == data));
        CHECK(result.unwritten == 0);

        leash::Popen p(child({"cat"}), options);
        const leash::Captured captured = p.communicate();
        CHECK((captured.out == data));
        CHECK(p.wait().success());
    }
    const std::string binary("\0\xff\r\n\0", 5);
    leash::Options options = support::capture(census);
    options.in = leash::bytes(binary);
    CHECK(leash::run(child({"cat"}), options).out == binary);
    const std::string_view view = binary;
    options.in = leash::bytes(view.substr(1));
    CHECK(leash::run(child({"cat"}), options).out == binary.substr(1));
    options.in = leash::bytes(std::vector<unsigned char>{0, 255, 13});
    CHECK(leash::run(child({"cat"}), options).out == std::string("\0\xff\r", 3));
    CHECK(before.holds());
}

TEST_CASE("bytes that a child does not read are counted by run") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::bytes(std::string(1'000'000, 'x'));
    const leash::Result result = leash::run(child({"exit", "3"}), options);
    CHECK(result.status.describe() == "exited 3");
    CHECK(result.unwritten > 0);
    CHECK(result.unwritten <= 1'000'000);
}

TEST_CASE("a sink is given everything, in order, in chunks of 256 KiB at the most") {
    const Census census;
    const NothingLeft before;
    std::string out, err;
    std::size_t largest = 0;
    const auto into = [&](std::string& text) {
        return leash::sink([&text, &largest](std::string_view chunk) {
            text += chunk;
            if (chunk.size() > largest) largest = chunk.size();
        });
    };
    leash::Options options = support::capture(census);
    options.out = into(out);
    options.err = into(err);
    SUBCASE("run") {
        const leash::Result result = leash::run(child({"write-both", "5000000"}), options);
        CHECK(result.ok());
        CHECK(result.out == "");
        CHECK(result.err == "");
    }
    SUBCASE("wait") {
        leash::Popen p(child({"write-both", "5000000"}), options);
        CHECK(p.wait().success());
    }
    SUBCASE("wait_for") {
        leash::Popen p(child({"write-both", "5000000"}), options);
        while (!p.wait_for(std::chrono::milliseconds(5))) {}
    }
    SUBCASE("poll alone") {
        leash::Popen p(child({"write-both", "5000000"}), options);
        CHECK(support::eventually([&] { return p.poll().has_value(); }));
    }
    SUBCASE("communicate") {
        leash::Popen p(child({"write-both", "5000000"}), options);
        CHECK(p.communicate().status->success());
    }
    CHECK((out == pattern(5'000'000)));
    CHECK((err == pattern(5'000'000)));
    CHECK(largest <= 256 * 1024);
    CHECK(largest > 0);
    CHECK(before.holds());
}

TEST_CASE("a sink takes a function object that only moves, and copies of a sink share it") {
    const Census census;
    auto owned = std::make_unique<std::string>();
    const std::string* const text = owned.get();
    const leash::Sink shared = leash::sink([to = std::move(owned)](std::string_view chunk) { *to += chunk; });
    leash::Options options = support::capture(census);
    options.out = shared;
    options.err = shared;
    CHECK(leash::run(child({"print-to", "1", "a"}), options).ok());
    CHECK(leash::run(child({"print-to", "2", "b"}), options).ok());
    CHECK(*text == "ab");
}

TEST_CASE("a sink that throws leaves the handle usable and the job killable, and nothing leaks") {
    const Census census;
    const NothingLeft before;
    std::size_t calls = 0;
    leash::Options options = support::capture(census);
    options.out = leash::sink([&](std::string_view) {
        if (++calls == 2) throw std::runtime_error("enough");
    });
    SUBCASE("through run: the job ends") {
        CHECK_THROWS_WITH_AS(static_cast<void>(leash::run(child({"flood"}), options)), "enough", std::runtime_error);
    }
    SUBCASE("through wait: the job runs on, until it is killed") {
        leash::Popen p(child({"flood"}), options);
        CHECK_THROWS_WITH_AS(static_cast<void>(p.wait()), "enough", std::runtime_error);
        CHECK(calls == 2);
        CHECK(support::is_alive(p.pid()));
        // the sink is served again
        CHECK(support::eventually([&] {
            CHECK_FALSE(p.wait_for(std::chrono::milliseconds(20)).has_value());
            return calls > 2;
        }));
        CHECK(p.kill().has_value());
        CHECK(p.wait().describe() == "killed by SIGKILL (9)");
    }
    SUBCASE("through wait: the job runs on, until the handle dies") {
        leash::Popen p(child({"flood"}), options);
        CHECK_THROWS_AS(static_cast<void>(p.wait()), std::runtime_error);
        CHECK(support::is_alive(p.pid()));
    }
    SUBCASE("through communicate: it can be called again") {
        leash::Popen p(child({"write", "3000000"}), options);
        CHECK_THROWS_AS(static_cast<void>(p.communicate()), std::runtime_error);
        CHECK(p.communicate().status->success());
    }
    CHECK(census.is_empty());
    CHECK(before.holds());
}

TEST_CASE("a sink may signal its job") {
    const Census census;
    leash::Popen* job = nullptr;
    leash::Options options = support::silent(census);
    options.out = leash::sink([&](std::string_view) { static_cast<void>(job->kill()); });
    leash::Popen p(child({"flood"}), options);
    job = &p;
    CHECK(p.wait().describe() == "killed by SIGKILL (9)");
}

TEST_CASE("a sink is not called any more once its handle is being destroyed") {
    const Census census;
    bool forbidden = false, called = false;
    {
        leash::Options options = support::silent(census);
        options.out = leash::sink([&](std::string_view) { called = called || forbidden; });
        leash::Popen p(child({"flood"}), options);
        CHECK_FALSE(p.wait_for(std::chrono::milliseconds(10)).has_value());
        forbidden = true;
    }
    CHECK_FALSE(called);
}

TEST_CASE("an escapee that floods a slow sink holds no call beyond its bound") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    options.drain = 100ms;
    const support::Stopwatch watch;
    bool floods = false;
    options.out = leash::sink([&](std::string_view) {
        floods = true;
        std::this_thread::sleep_for(3ms);  // meanwhile there is more
        if (watch.elapsed() > 20s) throw std::runtime_error("for ever");
    });
    leash::Popen job(leash::shell("setsid \"$1\" flood & read x; exit 3", {support::helper()}), options);
    while (!floods && watch.elapsed() < 20s) CHECK_FALSE(job.wait_for(5ms));
    job.in().close();
    const leash::Captured captured = job.communicate();
    CHECK(captured.status == leash::ExitStatus::from_code(3));
    CHECK(!captured.held.empty());
    CHECK(watch.elapsed() < 15s);
}

// ---- lines

namespace {

using Lines = std::vector<std::string>;

/// What a line sink tells of these chunks.
Lines lines_of(const std::vector<std::string>& chunks, leash::LineOptions options = {}) {
    Lines lines;
    const leash::Sink sink = leash::line_sink([&](std::string_view line) { lines.emplace_back(line); }, options);
    std::string rest;
    for (const std::string_view chunk : chunks) {
        std::string_view left = chunk;
        sink.function->write(left, rest);
        CHECK(left.empty());
    }
    sink.function->finish(rest);
    CHECK((rest.empty() || rest == "\r"));
    return lines;
}

/// The same, cut at each place, and into single bytes.
void check_lines(const std::string& text, leash::LineOptions options, const Lines& expected) {
    CAPTURE(text);
    CHECK(lines_of({text}, options) == expected);
    std::vector<std::string> bytes;
    for (std::size_t i = 0; i < text.size(); ++i) {
        CHECK(lines_of({text.substr(0, i), text.substr(i)}, options) == expected);
        bytes.emplace_back(1, text[i]);
    }
    CHECK(lines_of(bytes, options) == expected);
}

}  // namespace

TEST_CASE("a line sink is given whole lines, however they were cut, and the last one without a newline") {
    check_lines("", {}, {});
    check_lines("one\ntwo\n", {}, {"one", "two"});
    check_lines("\n\none\n\nlast \xe2\x82\xac", {}, {"", "", "one", "", "last \xe2\x82\xac"});
    check_lines("a\r\n\rb\rc\r", {}, {"a\r", "\rb\rc\r"});
}

TEST_CASE("a carriage return ends a line, or starts it anew, where a line sink is told so") {
    const leash::LineOptions split{leash::CarriageReturn::split, 1000};
    check_lines("10%\r20%\rdone\r\nnext\n\r\n\n", split, {"10%", "20%", "done", "next", "", ""});
    check_lines("a\r\rb\n\rc\r", split, {"a", "", "b", "", "c"});
    const leash::LineOptions over{leash::CarriageReturn::overwrite, 1000};
    check_lines("10%\r20%\rdone\r\nnext\n\r\n\n", over, {"done", "next", "", ""});
    check_lines("a\r\r\nb\r\rc\n\rd\r", over, {"a", "c", "d"});
    check_lines("x\n\r", over, {"x"});
    // each state as soon as it has come
    Lines lines;
    const leash::Sink sink = leash::line_sink([&](std::string_view line) { lines.emplace_back(line); }, split);
    std::string rest;
    std::string_view chunk = "50%\r";
    sink.function->write(chunk, rest);
    CHECK(lines == Lines{"50%"});
}

TEST_CASE("a line that is too long comes in pieces, between characters") {
    leash::LineOptions options;
    options.most = 5;
    check_lines("123456789012\nab\n12345\n123456", options, {"12345", "67890", "12", "ab", "12345", "12345", "6"});
    check_lines("1234\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\n", options,
                {"1234", "\xe2\x82\xac", "\xe2\x82\xac", "\xe2\x82\xac"});
    check_lines("\x80\x80\x80\x80\x80\x80\n", options, {"\x80\x80\x80\x80\x80", "\x80"});
    options.most = 0;  // four, then
    check_lines("\xf0\x9f\x98\x80\xf0\x9f\x98\x80", options, {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"});
    // What is overwritten does not count, and is not kept.
    options = {leash::CarriageReturn::overwrite, 5};
    check_lines("1234\r5678\r9012\n", options, {"9012"});
    options = {leash::CarriageReturn::split, 5};
    check_lines("1234567\r\n89\r", options, {"12345", "67", "89"});
    CHECK(lines_of({std::string(2'500'000, 'x')}).size() == 3);  // 1 MiB unless one says otherwise
}

TEST_CASE("a line sink that throws has had that line, and is given the others") {
    const Census census;
    Lines lines;
    leash::Options options = support::capture(census);
    options.out = leash::line_sink([&](std::string_view line) {
        lines.emplace_back(line);
        if (line[0] == '!') throw std::runtime_error("no");
    });
    leash::Popen p(leash::shell("printf 'a\\n!b\\nc\\n!d'; exec sleep 60"), options);
    CHECK_THROWS_AS(static_cast<void>(p.wait_for(60s)), std::runtime_error);
    CHECK(lines == Lines{"a", "!b"});
    CHECK_FALSE(p.poll().has_value());  // nothing more is in the pipe
    CHECK(lines == Lines{"a", "!b", "c"});
    CHECK(p.kill().has_value());
    CHECK_THROWS_AS(static_cast<void>(p.wait()), std::runtime_error);
    CHECK(lines == Lines{"a", "!b", "c", "!d"});
    CHECK(p.wait().signal() == SIGKILL);
    CHECK(lines.size() == 4);
}

TEST_CASE("a line sink serves wherever a sink does, and keeps the halves of two streams apart") {
    const Census census;
    Lines lines;
    leash::Options options = support::capture(census);
    const leash::Sink both = leash::line_sink([&](std::string_view line) { lines.emplace_back(line); });
    options.out = both;
    SUBCASE("of one job") {
        options.err = both;
        leash::Popen p(leash::shell("printf 'out '; printf 'err ' >&2; read x; echo 1; read x; echo 2 >&2; read x; "
                                    "printf 'no newline'"),
                       [&] {
                           options.in = leash::piped;
                           return options;
                       }());
        CHECK(p.in().write("\n").complete);
        const auto comes = [&](std::size_t count) {
            return support::eventually([&] { return p.poll().has_value() || lines.size() >= count; });
        };
        CHECK(comes(1));
        CHECK(p.in().write("\n").complete);
        CHECK(comes(2));
        CHECK(p.in().write("\n").complete);
        CHECK(p.wait().success());
        CHECK(lines == Lines{"out 1", "err 2", "no newline"});
    }
    SUBCASE("in the order of their writing, where err goes to out") {
        options.err = leash::to_out;
        Lines expected;
        for (int i = 0; i < 100; ++i) expected.push_back(std::to_string(i));
        const leash::Result result = leash::run(
            leash::shell("i=0; while test $i -lt 100; do echo $i; i=$((i+1)); echo $i >&2; i=$((i+1)); done"), options);
        CHECK(result.ok());
        CHECK(result.out == "");
        CHECK(lines == expected);
    }
    SUBCASE("through communicate, which gives nothing else") {
        leash::Popen p(child({"print-and-wait", "a\nb"}), options);
        CHECK(support::eventually([&] { return p.communicate({}, 5ms).out.empty() && !lines.empty(); }));
        CHECK(p.kill().has_value());
        CHECK(p.communicate().out == "");
        CHECK(lines == Lines{"a", "b"});
    }
    SUBCASE("in a Supervisor") {
        leash::Supervisor jobs;
        CHECK(jobs.add(leash::Popen(child({"print", "a\n", "b"}), options)).has_value());
        while (jobs.next()) {}
        CHECK(lines == Lines{"a", "b"});
    }
    SUBCASE("of a stream that is cut off") {
        options.drain = 50ms;
        CHECK(!leash::run(child({"setsid-holder", "0", "1"}), options).held.empty());
        CHECK(lines.size() == 1);  // the escapee's number
    }
}

// ---- input from a function

namespace {

/// Gives these, one after the other, and then the end.
leash::Source pieces(std::vector<std::string> all, std::size_t* calls = nullptr) {
    return leash::source([all = std::move(all), calls, next = std::size_t{0}]() mutable {
        if (calls != nullptr) ++*calls;
        return next < all.size() ? all[next++] : std::string();
    });
}

}  // namespace

TEST_CASE("a source is asked for more until it gives nothing, wherever somebody waits") {
    const Census census;
    const NothingLeft before;
    const std::vector<std::string> three = {"a\n", pattern(3'000'000), "end"};
    const std::string whole = three[0] + three[1] + three[2];
    leash::Options options = support::capture(census);
    std::size_t calls = 0;
    options.in = pieces(three, &calls);
    SUBCASE("run") { CHECK((leash::run(child({"cat"}), options).out == whole)); }
    SUBCASE("a pipeline") { CHECK((leash::run(child({"cat"}) | child({"cat"}), options).out == whole)); }
    SUBCASE("communicate, whose own input has no place") {
        leash::Popen p(child({"cat"}), options);
        CHECK_FALSE(p.in().is_open());
        CHECK(p.in().handle() == -1);
        CHECK(p.in().write("x").error == std::errc::bad_file_descriptor);
        CHECK_FALSE(p.in().enqueue("x"));
        p.in().finish();
        p.in().close();
        const leash::Captured captured = p.communicate("not this");
        CHECK((captured.out == whole));
        CHECK(captured.unwritten == 8);
    }
    SUBCASE("a reader") {
        leash::Popen p(child({"cat"}), options);
        CHECK((p.out().read_all().data == whole));
    }
    SUBCASE("wait") {
        options.out = leash::file("/dev/null");
        leash::Popen p(child({"cat"}), options);
        CHECK(p.wait().success());
    }
    SUBCASE("run_all") {
        std::vector<leash::Task> tasks(1, leash::Task{child({"cat"}), options});
        const auto results = leash::run_all(std::move(tasks));
        CHECK((results.at(0)->out == whole));
    }
    SUBCASE("a Supervisor") {
        leash::Supervisor jobs;
        const auto id = jobs.add(leash::Popen(child({"cat"}), options)).value();
        while (jobs.next(60s)) {}
        CHECK((jobs.remove(id).communicate().out == whole));
    }
    CHECK(calls == 4);
    CHECK(before.holds());
}

TEST_CASE("a source is not asked for what nobody takes") {
    const Census census;
    leash::Options options = support::capture(census);
    std::size_t calls = 0;
    options.in = leash::source([&] {
        ++calls;
        return std::string_view("0123456789");
    });
    SUBCASE("by a child that reads nothing") {
        leash::Popen p(child({"sleep"}), options);
        CHECK_FALSE(p.wait_for(5ms).has_value());
        CHECK(support::eventually([&] {
            const std::size_t before = calls;
            CHECK_FALSE(p.wait_for(5ms).has_value());
            return calls == before;
        }));
        CHECK(calls <= (std::size_t{1} << 20) / 10);
        calls = 0;
    }
    SUBCASE("by one that has ended, or closed its input") {
        CHECK(leash::run(child({"read-and-exit", "100000", "0"}), options).ok());
        CHECK(calls >= 10'000);
        leash::Popen p(child({"close-input"}), options);
        CHECK(p.out().read_until("closed\n").complete);
        CHECK_FALSE(p.wait_for(1ms).has_value());
        const std::size_t before = calls;
        CHECK_FALSE(p.wait_for(5ms).has_value());
        CHECK(calls == before);
    }
}

TEST_CASE("what a source throws leaves through the call, and the next call asks it again") {
    const Census census;
    leash::Options options = support::capture(census);
    int calls = 0;
    options.in = leash::source([&]() -> std::string {
        if (++calls == 2) throw std::runtime_error("not yet");
        return calls > 3 ? "" : std::to_string(calls);
    });
    leash::Popen p(child({"cat"}), options);
    CHECK_THROWS_WITH_AS(static_cast<void>(p.communicate()), "not yet", std::runtime_error);
    CHECK(p.communicate().out == "13");
    calls = 0;
    leash::Supervisor jobs;
    const auto id = jobs.add(leash::Popen(child({"cat"}), options)).value();
    CHECK_THROWS_AS(
        [&] {
            while (jobs.next(60s)) {}
        }(),
        std::runtime_error);
    while (jobs.next(60s)) {}
    CHECK(jobs.remove(id).communicate().out == "13");
}

TEST_CASE(
    "a call on its own job out of a source comes back at once, and a job that it starts with itself gets nothing") {
    const Census census;
    leash::Options options = support::capture(census);
    leash::Popen* job = nullptr;
    int calls = 0;
    leash::Options inner = options;
    options.in = leash::source([&]() -> std::string {
        if (++calls > 1) return "";
        CHECK_FALSE(job->wait_for(60s).has_value());
        CHECK(job->out().read().error == std::errc::resource_deadlock_would_occur);
        CHECK(leash::run(child({"cat"}), inner).out == "");
        return "x";
    });
    inner.in = options.in;
    leash::Popen p(child({"cat"}), options);
    job = &p;
    CHECK(p.communicate({}, 60s).out == "x");
}

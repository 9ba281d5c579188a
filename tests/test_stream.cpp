// tests/test_stream.cpp - the ends of a job's pipes: reading and writing, with and without a limit of time.
#include <doctest/doctest.h>

#include "support.hpp"

#include <ctime>
#include <stdexcept>
#if __has_include(<ranges>)
#include <ranges>
#endif

#include <poll.h>
#include <sys/ioctl.h>

using support::Census;
using support::child;
using support::NothingLeft;
using support::pattern;
using namespace std::chrono_literals;

namespace {

leash::Options piped(const Census& census) {
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    return options;
}

/// The lines that a child's arguments make, each argument written by itself.
std::vector<std::string> lines_of(std::initializer_list<leash::Arg> verb) {
    const Census census;
    leash::Popen p(child(verb), piped(census));
    std::vector<std::string> lines;
    for (const std::string_view line : p.out().lines()) lines.emplace_back(line);
    CHECK_FALSE(p.out().is_open());
    CHECK(p.wait().success());
    return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

// ---- reading

TEST_CASE("read gives what there is, at most what was asked for, and the end") {
    const Census census;
    leash::Popen p(child({"print", "0123456789"}), piped(census));
    leash::Reader out = p.out();
    CHECK(out.is_open());
    leash::Read read = out.read(4);
    CHECK(read.complete);
    CHECK(static_cast<bool>(read));
    CHECK(read.data == "0123");
    CHECK_FALSE(read.timed_out);
    CHECK_FALSE(read.eof);
    CHECK_FALSE(read.error);
    CHECK(p.wait().success());
    read = out.read();
    CHECK(read.complete);
    CHECK(read.data == "456789");
    read = out.read();
    CHECK(read.eof);
    CHECK_FALSE(read.complete);
    CHECK(read.data == "");
    CHECK_FALSE(read.timed_out);
    CHECK_FALSE(read.error);
    CHECK_FALSE(out.is_open());
    CHECK(out.handle() == -1);
    CHECK(out.read().eof);  // as often as one likes
    CHECK(out.read_until("x").eof);
    CHECK(out.read_all().eof);
    CHECK_FALSE(out.held());
}

TEST_CASE("out and err are read apart, in any order") {
    const Census census;
    leash::Popen p(child({"print-to", "1", "out", "2", "err"}), piped(census));
    CHECK(p.err().read_all().data == "err");
    CHECK(p.out().read_all().data == "out");
}

TEST_CASE("read_until gives up to and with the delimiter, however the output is cut") {
    const Census census;
    leash::Popen p(child({"print-slowly", "a", "b-", "-", "> rest", "--", ">", "-->tail--"}), piped(census));
    leash::Reader out = p.out();
    CHECK(out.read_until("-->").data == "ab-->");
    CHECK(out.read_until("-->").data == " rest-->");
    CHECK(out.read_until("-->").data == "-->");
    const leash::Read rest = out.read_until("-->");
    CHECK_FALSE(rest.complete);
    CHECK(rest.data == "tail--");
    CHECK(rest.eof);
    CHECK_FALSE(rest.timed_out);
}

TEST_CASE("read_until finds delimiters of several bytes that begin alike") {
    const Census census;
    leash::Popen p(child({"print-slowly", "aaab", "aab", "x"}), piped(census));
    CHECK(p.out().read_until("aab").data == "aaab");
    CHECK(p.out().read_until("aab").data == "aab");
    CHECK(p.out().read_all().data == "x");
}

TEST_CASE("read_until with a bound gives what is too long in pieces, and says so") {
    const Census census;
    leash::Popen p(child({"print-slowly", "12345", "67\nab", "cd\n", "efghijkl"}), piped(census));
    leash::Reader out = p.out();
    leash::Read read = out.read_until("\n", 5, 60s);
    CHECK(read.error == std::errc::message_size);
    CHECK_FALSE(read.complete);
    CHECK_FALSE(read.timed_out);
    CHECK_FALSE(read.eof);
    CHECK(read.data == "12345");
    read = out.read_until("\n", 5, 60s);  // what is behind it
    CHECK(read.complete);
    CHECK_FALSE(read.error);
    CHECK(read.data == "67\n");
    CHECK(out.read_until("\n", 5, 60s).data == "abcd\n");  // just so long
    CHECK(p.wait().success());
    CHECK(out.read_until("\n", 4, {}).error == std::errc::message_size);
    CHECK(out.read_until("\n", SIZE_MAX, {}).data == "ijkl");
    for (const std::size_t most : {std::size_t{5}, std::size_t{0}}) {
        read = out.read_until("\n", most, {});
        CHECK(read.eof);
        CHECK_FALSE(read.error);
    }
}

TEST_CASE("the delimiter itself counts for the bound, wherever it was cut") {
    const Census census;
    leash::Popen p(child({"print-slowly", "abc-", "->d--", ">rest"}), piped(census));
    const leash::Read cut = p.out().read_until("-->", 5, 60s);
    CHECK(cut.error == std::errc::message_size);
    CHECK(cut.data == "abc--");
    CHECK(p.out().read_until("-->", 5, 60s).data == ">d-->");
    CHECK(p.out().read_until("-->", 0, 60s).error == std::errc::message_size);
    CHECK(p.out().read_all().data == "rest");
}

TEST_CASE("a line that never ends does not eat the memory") {
    const Census census;
    leash::Popen p(child({"flood"}), piped(census));
    const leash::Read read = p.out().read_until("no such text", 100'000, 60s);
    CHECK(read.error == std::errc::message_size);
    CHECK(read.data.size() == 100'000);
    CHECK(p.out().available() <= std::size_t{1} << 20);
}

TEST_CASE("read_exactly gives so many bytes, or the rest") {
    const Census census;
    leash::Popen p(child({"print-slowly", "Content-", "Length: 5\n\nhel", "loContent-Length: 9\n\nend"}),
                   piped(census));
    leash::Reader out = p.out();
    CHECK(out.read_until("\n\n", 100, 60s).data == "Content-Length: 5\n\n");
    leash::Read read = out.read_exactly(5, 60s);
    CHECK(read.complete);
    CHECK(read.data == "hello");
    CHECK(out.read_exactly(0).complete);
    CHECK(out.read_until("\n\n").complete);
    read = out.read_exactly(9);
    CHECK_FALSE(read.complete);
    CHECK(read.eof);
    CHECK_FALSE(read.timed_out);
    CHECK(read.data == "end");

    leash::Popen waiting(child({"print-and-wait", "half"}), piped(census));
    read = waiting.out().read_exactly(5, 10ms);
    CHECK(read.timed_out);
    CHECK(read.data == "");
    CHECK(waiting.out().read_exactly(4, 60s).data == "half");
}

TEST_CASE("available tells what is here already, not what the pipe has") {
    const Census census;
    leash::Popen p(child({"print", "one\ntwo\nthree"}), piped(census));
    CHECK(p.wait().success());
    CHECK(p.out().available() == 0);
    CHECK(p.out().read_until("\n").data == "one\n");
    CHECK(p.out().available() == 9);
    for (const std::string_view line : p.out().lines()) {
        CHECK(line == "two");
        CHECK(p.out().available() == 5);  // the line on show counts as read
        break;
    }
    CHECK(p.out().read_all().data == "three");
    CHECK(p.out().available() == 0);
}

TEST_CASE("a descriptor that is released is the caller's, blocks, and loses nothing") {
    const Census census;
    const NothingLeft before;
    {
        leash::Popen p(child({"ping-pong"}), piped(census));
        CHECK(p.in().write("one\ntwo\n").complete);
        CHECK(p.out().read_until("got one\ngot ").data == "got one\ngot ");
        CHECK(p.out().read_until("\n").data == "two\n");
        CHECK(p.in().write("three\n").complete);
        CHECK(p.out().read(2, 60s).data == "go");
        std::string all = "go" + std::string(p.out().available(), '?');
        const int in = p.in().release(), out = p.out().release();
        REQUIRE(in > 2);
        REQUIRE(out > 2);
        for (const int fd : {in, out}) {
            CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
            CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        }
        CHECK_FALSE(p.in().is_open());
        CHECK_FALSE(p.out().is_open());
        CHECK(p.in().release() == -1);
        CHECK(p.out().release() == -1);
        CHECK(p.in().write("x").error == std::errc::bad_file_descriptor);
        all.replace(2, std::string::npos, p.out().read_all().data);  // what was here comes first
        REQUIRE(::write(in, "four\n", 5) == 5);
        ::close(in);
        char buffer[64];
        for (ssize_t n; (n = ::read(out, buffer, sizeof buffer)) > 0;) all.append(buffer, static_cast<std::size_t>(n));
        ::close(out);
        CHECK(all == "got three\ngot four\n");
        CHECK(p.wait().success());
    }
    CHECK(before.holds());
}

TEST_CASE("what would be lost, or shared, is not released") {
    const Census census;
    leash::Options options = piped(census);
    leash::Popen p(child({"cat"}), options);
    CHECK(p.send_signal(SIGSTOP).has_value());
    CHECK(p.communicate(std::string(1'000'000, 'x'), 5ms).timed_out);
    CHECK(p.in().release() == -1);  // it has something to write
    CHECK(p.in().is_open());
    CHECK(p.kill().has_value());

    options.in = leash::tty;
    options.out = leash::tty;
    options.err = leash::null;
    leash::Popen at_terminal(child({"cat"}), options);
    CHECK(at_terminal.in().release() == -1);
    CHECK(at_terminal.out().release() == -1);
    CHECK(at_terminal.out().is_open());

    options.in = leash::null;
    options.out = leash::null;
    leash::Popen neither(child({"exit", "0"}), options);
    CHECK(neither.in().release() == -1);
    CHECK(neither.out().release() == -1);
}

TEST_CASE("a job does not wait for a stream that was released") {
    const Census census;
    leash::Options options = piped(census);
    options.drain = 60s;
    leash::Popen p(child({"setsid-holder", "0", "1", "2"}), options);
    for (leash::Reader reader : {p.out(), p.err()}) {
        const int fd = reader.release();
        REQUIRE(fd > 2);
        ::close(fd);
    }
    CHECK(p.wait_for(50s).has_value());
    CHECK(p.communicate().held.empty());
}

TEST_CASE("read_all gives everything") {
    const Census census;
    leash::Popen p(child({"write", "2000000"}), piped(census));
    const leash::Read read = p.out().read_all();
    CHECK(read.complete);
    CHECK(read.eof);
    CHECK((read.data == pattern(2'000'000)));
    leash::Popen nothing(child({"exit", "0"}), piped(census));
    CHECK(nothing.out().read_all().complete);
}

TEST_CASE("a read whose time is up says so and loses nothing") {
    const Census census;
    leash::Popen p(child({"print-and-wait", "half a li"}), piped(census));
    leash::Reader out = p.out();
    leash::Read read = out.read_until("\n", 20ms);
    CHECK(read.timed_out);
    CHECK_FALSE(read.complete);
    CHECK_FALSE(read.eof);
    CHECK(read.data == "");
    CHECK(out.is_open());
    read = out.read_all(1ms);
    CHECK(read.timed_out);
    CHECK(read.data == "");
    CHECK(support::eventually([&] {
        read = out.read(64, 10ms);
        return read.complete;
    }));
    CHECK(read.data == "half a li");
    read = out.read(64, 1ms);
    CHECK(read.timed_out);
    CHECK_FALSE(read.eof);
    CHECK(p.kill().has_value());
    CHECK(out.read().eof);
}

TEST_CASE("a read with no time at all gives what is there") {
    const Census census;
    leash::Popen p(child({"print-and-wait", "there"}), piped(census));
    pollfd ready{p.out().handle(), POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 60'000) == 1);
    CHECK(p.out().read(64, 0s).data == "there");
    CHECK(p.out().read(64, 0s).timed_out);
    CHECK(p.out().read(64, -1s).timed_out);
}

TEST_CASE("try_read and try_write move what can be moved now") {
    const Census census;
    leash::Popen p(child({"ping-pong"}), piped(census));
    CHECK_FALSE(p.out().try_read().complete);
    CHECK(p.in().try_write("a\n").complete);
    pollfd ready{p.out().handle(), POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 60'000) == 1);
    std::string answer;
    CHECK(support::eventually([&] { return (answer += p.out().try_read(3).data) == "got a\n"; }));
    CHECK(p.send_signal(SIGSTOP).has_value());
    const leash::Written written = p.in().try_write(std::string(1'000'000, 'x'));
    CHECK_FALSE(written.complete);
    CHECK(written.count > 0);
    CHECK(p.kill().has_value());
    CHECK(support::eventually([&] { return p.out().try_read().eof; }));
}

TEST_CASE("a handle is for event loops: readable, non-blocking, close-on-exec, and -1 at the end") {
    const Census census;
    leash::Popen p(child({"print", "x"}), piped(census));
    const int handle = p.out().handle();
    CHECK(handle > 2);
    CHECK((::fcntl(handle, F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(handle, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(p.in().handle(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(p.in().handle(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(p.out().read_all().data == "x");
    CHECK(p.out().handle() == -1);
}

TEST_CASE("a stream that is not piped answers EBADF and opens nothing") {
    const Census census;
    leash::Options options = support::silent(census);
    options.err = leash::sink([](std::string_view) {});
    leash::Popen p(child({"exit", "0"}), options);
    for (leash::Reader reader : {p.out(), p.err()}) {
        CHECK_FALSE(reader.is_open());
        CHECK(reader.handle() == -1);
        CHECK(reader.read().error == std::errc::bad_file_descriptor);
        CHECK(reader.read_until("x").error == std::errc::bad_file_descriptor);
        for (const std::size_t most : {std::size_t{0}, std::size_t{9}})
            CHECK(reader.read_until("x", most, {}).error == std::errc::bad_file_descriptor);
        CHECK(reader.read_all().error == std::errc::bad_file_descriptor);
        CHECK_FALSE(reader.read_all().complete);
        reader.close();
        leash::Reader::Lines lines = reader.lines();
        CHECK_THROWS_AS(static_cast<void>(lines.begin()), leash::SystemError);  // not just no lines
        CHECK(lines.error() == std::errc::bad_file_descriptor);
        CHECK_FALSE(lines.timed_out());
    }
    CHECK_FALSE(p.in().is_open());
    CHECK(p.in().handle() == -1);
    const leash::Written written = p.in().write("x");
    CHECK(written.error == std::errc::bad_file_descriptor);
    CHECK_FALSE(written.complete);
    CHECK(written.count == 0);
    p.in().close();
    CHECK(p.wait().success());
}

TEST_CASE("closing an output tells the child by SIGPIPE, and what was read before can still be taken") {
    const Census census;
    leash::Popen p(child({"flood"}), piped(census));
    CHECK(p.out().read(10).data == pattern(10));
    p.out().close();
    CHECK_FALSE(p.out().is_open());
    CHECK(p.wait().describe() == "killed by SIGPIPE (13)");
    CHECK(p.out().read(10).data == pattern(10, 10));
    p.out().close();
}

TEST_CASE("a stream that an escaped process holds ends with the drain, and says so") {
    const Census census;
    const NothingLeft before;
    {
        leash::Popen p(child({"setsid-holder", "0", "1", "2"}), piped(census));
        const leash::Read read = p.out().read_all();
        CHECK(read.eof);
        CHECK_FALSE(read.data.empty());  // what the leader had said
        CHECK(p.out().held());
        CHECK_FALSE(p.out().is_open());
        CHECK(p.wait().success());
        const leash::Captured captured = p.communicate();
        CHECK(!captured.held.empty());
    }
    CHECK(before.holds());
}

// ---- lines

TEST_CASE("lines come without their newline, the last one with or without") {
    CHECK(lines_of({"print", "one\ntwo\n"}) == Lines{"one", "two"});
    CHECK(lines_of({"print", "one\ntwo"}) == Lines{"one", "two"});
    CHECK(lines_of({"print", "\n\n"}) == Lines{"", ""});
    CHECK(lines_of({"print", "\n\nx"}) == Lines{"", "", "x"});
    CHECK(lines_of({"exit", "0"}) == Lines{});
    CHECK(lines_of({"print", "\n"}) == Lines{""});
}

TEST_CASE("a carriage return is left alone") {
    CHECK(lines_of({"print", "one\r\n\r\nthree\r"}) == Lines{"one\r", "\r", "three\r"});
}

TEST_CASE("lines and characters may be cut anywhere") {
    CHECK(lines_of({"print-slowly", "on", "e\nt", "wo", "\n", "\xe2\x82", "\xac", "\n", "last"}) ==
          Lines{"one", "two", "\xe2\x82\xac", "last"});
}

TEST_CASE("a line may be of any length") {
    const Census census;
    leash::Options options = piped(census);
    options.in = leash::bytes(std::string(3'000'000, 'x') + "\n" + std::string(700'000, 'y') + "\nz");
    leash::Popen p(child({"cat"}), options);
    std::vector<std::size_t> sizes;
    for (const std::string_view line : p.out().lines()) {
        sizes.push_back(line.size());
        CHECK((line.find_first_not_of(line.substr(0, 1)) == std::string_view::npos));
    }
    CHECK(sizes == std::vector<std::size_t>{3'000'000, 700'000, 1});
}

TEST_CASE("a hundred thousand short lines are no trouble") {
    const Census census;
    leash::Popen p(child({"write", "6400000"}), piped(census));
    std::size_t count = 0, bytes = 0;
    for (const std::string_view line : p.out().lines()) {
        ++count;
        bytes += line.size();
    }
    CHECK(p.wait().describe() == "exited 0");
    CHECK(count == 100'000);
    CHECK(bytes == 6'300'000);
}

TEST_CASE("lines come as they are written, while the job runs") {
    const Census census;
    leash::Popen p(child({"ping-pong"}), piped(census));
    CHECK(p.in().write("one\n").complete);
    int count = 0;
    for (const std::string_view line : p.out().lines()) {
        ++count;
        if (count == 1) {
            CHECK(line == "got one");
            CHECK(p.in().write("two\n").complete);
        } else {
            CHECK(line == "got two");
            p.in().close();
        }
    }
    CHECK(count == 2);
    CHECK(p.wait().success());
}

TEST_CASE("lines whose time is up end, and the rest can be read later, a half line included") {
    const Census census;
    leash::Popen p(child({"wait-then-cat"}), piped(census));
    CHECK(p.out().read_until("ready\n").complete);
    CHECK(p.in().write("xone\nhal").complete);
    Lines lines;
    // until the first has come, then until the time is up
    CHECK(support::eventually([&] {
        for (const std::string_view line : p.out().lines(20ms)) lines.emplace_back(line);
        return !lines.empty();
    }));
    CHECK(lines == Lines{"one"});
    CHECK(p.out().is_open());  // so it was the time
    CHECK(p.in().write("f\ntwo").complete);
    p.in().close();
    for (const std::string_view line : p.out().lines()) lines.emplace_back(line);
    CHECK(lines == Lines{"one", "half", "two"});
    CHECK_FALSE(p.out().is_open());
}

TEST_CASE("after leaving the loop over the lines, the next read goes on behind the line that was seen") {
    const Census census;
    leash::Popen p(child({"print", "one\ntwo\nthree\n"}), piped(census));
    for (const std::string_view line : p.out().lines()) {
        if (line == "one") break;
    }
    CHECK(p.out().read_until("\n").data == "two\n");
    for (const std::string_view line : p.out().lines()) CHECK(line == "three");
}

TEST_CASE("lines say how they have ended") {
    const Census census;
    leash::Popen p(child({"print-and-wait", "one\nhalf"}), piped(census));
    leash::Reader::Lines first = p.out().lines(60s);
    auto at = first.begin();
    CHECK(at->size() == 3);
    leash::Reader::Lines second = p.out().lines(5ms);
    CHECK(second.begin() == second.end());
    CHECK(second.timed_out());
    CHECK_FALSE(second.error());
    CHECK(p.kill().has_value());
    leash::Reader::Lines third = p.out().lines();
    at = third.begin();
    CHECK(*at == "half");
    ++at;
    CHECK(at == third.end());
    CHECK_FALSE(third.timed_out());
    CHECK_FALSE(third.error());
    CHECK(third.begin() == third.end());  // an end is no error
}

TEST_CASE("the lines of what is not piped: an error that says what to write") {
    leash::Popen p({"true"}), none;
    const auto said = [](leash::Reader reader) -> std::string {
        try {
            static_cast<void>(reader.lines().begin());
            return "nothing";
        } catch (const leash::SystemError& e) {
            CHECK(e.step() == leash::Step::stream);
            CHECK(e.code() == std::errc::bad_file_descriptor);
            return e.what();
        }
    };
    CHECK(said(p.out()) == "leash: stream \"out\": Bad file descriptor (not piped: set .out = leash::piped)");
    CHECK(said(p.err()) == "leash: stream \"err\": Bad file descriptor (not piped: set .err = leash::piped)");
    CHECK(said(none.out()).find("no such stream") != std::string::npos);
}

TEST_CASE("lines may be moved before they begin") {
    const Census census;
    leash::Popen p(child({"print", "one\ntwo\nthree\n"}), piped(census));
    leash::Popen other(child({"print", "other\n"}), piped(census));
    leash::Reader::Lines lines = p.out().lines();
    leash::Reader::Lines moved = std::move(lines);
    CHECK(*moved.begin() == "one");
    CHECK_THROWS_AS(static_cast<void>(lines.begin()), std::system_error);
    lines = other.out().lines();
    CHECK(*lines.begin() == "other");
    moved = p.out().lines();
    CHECK(*moved.begin() == "two");
}

TEST_CASE("the iterator over the lines is an input iterator") {
    const Census census;
    leash::Popen p(child({"print", "one\ntwo\n"}), piped(census));
    auto lines = p.out().lines();
    auto at = lines.begin();
    CHECK(at != lines.end());
    CHECK(*at == "one");
    ++at;
    CHECK(*at == "two");
    at++;
    CHECK(at == lines.end());
}

TEST_CASE("who counts the lines waits for none that nobody looks at, and loses none") {
    const Census census;
    leash::Popen p(leash::shell("echo one; echo two; read x; echo three; echo four; echo five"), piped(census));
    auto lines = p.out().lines(500ms);
    auto at = lines.begin();
    CHECK(*at == "one");
    CHECK(*++at == "two");
    ++at;  // as views::take(2) does it behind its last one
    CHECK_FALSE(lines.timed_out());
    CHECK(p.in().write("go\n"));
    CHECK(p.out().read_until("\n", 60s).data == "three\n");
    CHECK(*at == "four");
    ++at;
    ++at;  // two steps are two lines
    CHECK(at == lines.end());
#if defined(__cpp_lib_ranges) && __cpp_lib_ranges >= 202110L && (!defined(__clang__) || __clang_major__ >= 16)
    leash::Popen seq(child({"print", "1\n2\n3\n"}), piped(census));
    for (std::string_view line : seq.out().lines() | std::views::take(2)) CHECK(line < "3");
    CHECK(seq.out().read_until("\n").data == "3\n");
#endif
}

// ---- writing

TEST_CASE("write gives all of it, of any length, and close is the end") {
    const Census census;
    leash::Popen p(child({"count"}), piped(census));
    leash::Writer in = p.in();
    CHECK(in.is_open());
    CHECK(in.handle() > 2);
    leash::Written written = in.write("");
    CHECK(written.complete);
    CHECK(written.count == 0);
    written = in.write(pattern(3'000'000));
    CHECK(written.complete);
    CHECK(static_cast<bool>(written));
    CHECK(written.count == 3'000'000);
    CHECK_FALSE(written.error);
    CHECK(in.write("x", 1h).count == 1);
    in.close();
    in.close();
    CHECK_FALSE(in.is_open());
    CHECK(in.handle() == -1);
    CHECK(in.write("more").error == std::errc::bad_file_descriptor);
    CHECK(p.out().read_until(" ").data == "3000001 ");
}

TEST_CASE("question and answer, as often as one likes") {
    const Census census;
    leash::Popen p(child({"ping-pong"}), piped(census));
    for (int i = 0; i < 200; ++i) {
        const std::string line = "message " + std::to_string(i) + "\n";
        CHECK(p.in().write(line).complete);
        CHECK(p.out().read_until("\n").data == "got " + line);
    }
}

TEST_CASE("a write whose time is up tells how far it came") {
    const Census census;
    leash::Popen p(child({"wait-then-cat"}), piped(census));
    CHECK(p.send_signal(SIGSTOP).has_value());
    const std::string data = pattern(1'000'000);
    const leash::Written written = p.in().write(data, 20ms);
    CHECK(written.timed_out);
    CHECK_FALSE(written.complete);
    CHECK_FALSE(written.error);
    CHECK(written.count > 0);
    CHECK(written.count < data.size());
    CHECK(p.in().is_open());
    CHECK(p.send_signal(SIGCONT).has_value());
    // the rest is the caller's to send, or communicate's
    const leash::Captured captured = p.communicate(data.substr(written.count));
    CHECK((captured.out == "ready\n" + data.substr(1)));
}

TEST_CASE("after try_read nothing waits that poll() would not tell of") {
    const Census census;
    constexpr std::size_t size = 200'000;  // more than one read takes at first
    leash::Popen p(leash::shell("\"$1\" write $2; read line", {support::helper(), std::to_string(size)}),
                   piped(census));
    const auto holds = [&](std::size_t count) {
        int bytes = 0;
        return ::ioctl(p.out().handle(), FIONREAD, &bytes) == 0 && static_cast<std::size_t>(bytes) == count;
    };
    REQUIRE(support::eventually([&] { return holds(65536); }));  // the pipe is full, and grows when it is read
    std::string all = p.out().try_read().data;
    REQUIRE(support::eventually([&] { return holds(size - all.size()); }));
    all += p.out().try_read().data;
    CHECK(all == pattern(size));
}

TEST_CASE("a write with no time at all gives what the pipe takes") {
    const Census census;
    leash::Popen p(child({"sleep"}), piped(census));
    CHECK(p.in().write("small", 0s).complete);
    const leash::Written written = p.in().write(std::string(1'000'000, 'x'), 0s);
    CHECK(written.timed_out);
    CHECK(written.count > 0);
}

TEST_CASE("of one who reads as fast as we write, a look at the deadline comes between two megabytes") {
    const std::string data(std::size_t{16} << 20, 'x');
    const leash::Input piped(leash::piped);
    leash::detail::Outgoing to(leash::detail::stdio_of(piped));
    to.begin(leash::detail::os::Fd::open("/dev/null", O_WRONLY));  // nobody reads faster
    to.lend(data);
    to.push();
    CHECK(to.lent() > 0);
    CHECK(to.lent() < data.size());
    for (int round = 0; round < 100 && !to.is_idle(); ++round) to.push();
    CHECK(to.is_idle());
    CHECK(to.error() == 0);
}

TEST_CASE("a write to a child that reads no more is EPIPE, and no signal") {
    const Census census;
    leash::Popen p(child({"close-input"}), piped(census));
    CHECK(p.out().read_until("closed\n").complete);
    const leash::Written written = p.in().write("x");
    CHECK(written.error == std::errc::broken_pipe);
    CHECK(written.count == 0);
    CHECK_FALSE(written.complete);
    CHECK_FALSE(written.timed_out);
    CHECK_FALSE(p.in().is_open());

    leash::Popen ended(child({"exit", "0"}), piped(census));
    const leash::Written late = ended.in().write(std::string(1'000'000, 'x'));
    CHECK(late.error == std::errc::broken_pipe);
    CHECK(late.count < 1'000'000);
    CHECK(ended.wait().success());
}

TEST_CASE("a write ends when the job has ended, though an escaped process holds its input") {
    const Census census;
    leash::Popen p(child({"setsid-holder", "0", "0"}), piped(census));
    const leash::Written written = p.in().write(std::string(1'000'000, 'x'));
    CHECK_FALSE(written.complete);
    CHECK_FALSE(written.timed_out);
    CHECK(static_cast<bool>(written.error));
    CHECK(p.wait().success());
}

TEST_CASE("a write that a sink leaves by an exception keeps nothing of the caller's data") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    bool thrown = false;
    options.out = leash::sink([&](std::string_view) {
        if (thrown) return;
        thrown = true;
        throw std::runtime_error("not this");
    });
    // It stops itself before it reads: the pipe is full, and the sink is called, while the write is under way.
    leash::Popen p(leash::shell("echo up; kill -STOP $$; exec cat >&2"), options);
    std::string data(8'000'000, 'a');
    CHECK_THROWS_AS(static_cast<void>(p.in().write(data, 60s)), std::runtime_error);
    data.assign(data.size(), 'b');  // its memory is the caller's again
    CHECK(support::eventually([&] { return support::state_of(p.pid()) == 'T'; }));
    CHECK(p.send_signal(SIGCONT).has_value());
    const leash::Captured rest = p.communicate("END", 60s);
    const std::size_t came = rest.err.find_first_not_of('a');
    REQUIRE(came != std::string::npos);
    CHECK((rest.err.substr(came) == "END"));
    CHECK(came < data.size());
}

TEST_CASE("what a communicate that timed out left over is written before anything new") {
    const Census census;
    leash::Popen p(child({"cat"}), piped(census));
    CHECK(p.send_signal(SIGSTOP).has_value());
    const std::string data = pattern(1'000'000);
    CHECK(p.communicate(data, 10ms).timed_out);
    CHECK(p.send_signal(SIGCONT).has_value());
    CHECK((p.communicate().out == data));
}

// ---- readers that meet

TEST_CASE("a line on show counts as read for every other reader") {
    const Census census;
    {
        leash::Popen p(child({"print", "aa\nbb\nccc\ndddd\n"}), piped(census));
        Lines seen;
        for (const std::string_view line : p.out().lines()) {
            seen.emplace_back(line);
            if (line == "bb") CHECK(p.out().read_until("\n").data == "ccc\n");
        }
        CHECK((seen == Lines{"aa", "bb", "dddd"}));
    }
    leash::Popen p(child({"print", "ready\nthe rest\n"}), piped(census));
    for (const std::string_view line : p.out().lines()) {
        CHECK(line == "ready");
        CHECK(p.communicate().out == "the rest\n");
        break;
    }
    CHECK(p.out().read().eof);
}

TEST_CASE("max_output holds for communicate(), however much was read before") {
    for (const leash::Keep keep : {leash::Keep::head, leash::Keep::tail, leash::Keep::ends}) {
        const Census census;
        leash::Options options = piped(census);
        options.max_output = 100;
        options.keep = keep;
        leash::Popen p(child({"write", "50000"}), options);
        const std::string first = p.out().read(10, 20s).data;
        const leash::Captured captured = p.communicate();
        CHECK(captured.out.size() == 100);
        CHECK(captured.out_truncated);
        CHECK(first.size() + captured.out.size() + captured.out_dropped == 50'000);
        if (keep == leash::Keep::tail) CHECK((captured.out == pattern(50'000).substr(49'900)));
    }
}

TEST_CASE("what waits in a pipe that was made larger is returned whole, though an escapee holds it") {
    const Census census;
    leash::Options options = support::capture(census);
    options.drain = 100ms;
    const char* const script =
        "exec 4>&1; x=$(setsid \"$0\" -c 'echo up; exec sleep 30 >&4 4>&-' </dev/null 2>/dev/null &); "
        "\"$1\" write 500000; exit 3";
    leash::Popen job(leash::args({"/bin/dash", "-c", script, "/bin/dash", support::helper()}), options);
    if (::fcntl(job.out().handle(), F_SETPIPE_SZ, 1 << 20) < 0) return;  // past the user's quota
    CHECK(job.wait().code() == 3);
    std::this_thread::sleep_for(200ms);  // past the drain
    const leash::Captured late = job.communicate();
    CHECK(!late.held.empty());
    CHECK((late.out == pattern(500'000)));
}

TEST_CASE("a pipe that was found full is made larger, but not those of a host that has very many") {
    const Census census;
    constexpr int small = 65536;
    const std::string wrong = support::in_host([&]() -> std::string {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0 || ::fcntl(ends[0], F_SETPIPE_SZ, 4 * small) < 0) return "";  // by the quota
        leash::Options options = support::capture(census);
        options.in = leash::piped;
        std::vector<leash::Popen> all;
        for (int i = 0; i < 80; ++i)
            all.emplace_back(leash::shell("\"$1\" write 200000; echo end; read x", {support::helper()}), options);
        int grown = 0, highest = 0;
        for (leash::Popen& one : all) {
            const int number = one.out().handle();
            int waiting = 0;
            HOST_NEEDS(
                support::eventually([&] { return ::ioctl(number, FIONREAD, &waiting) == 0 && waiting == small; }));
            HOST_NEEDS(one.out().read_until("end\n", 60s).complete);
            const int size = ::fcntl(number, F_GETPIPE_SZ);
            HOST_NEEDS(size == small || size == 4 * small);
            if (size > small) ++grown, highest = number > highest ? number : highest;
        }
        HOST_NEEDS(grown > 0);
        HOST_NEEDS(grown <= 64);  // of 256 KiB: a quarter of the quota
        HOST_NEEDS(highest < 64);
        return "";
    });
    CHECK(wrong == "");
}

// ---- both ways at once

TEST_CASE("a write that the child does not take reads what the child says meanwhile: any size, on one thread") {
    const Census census;
    leash::Popen p(leash::shell("\"$1\" write 1000000 >&2; exec cat", {support::helper()}), piped(census));
    const std::string data = pattern(3'000'000);
    CHECK(p.in().write(data, 60s).complete);
    CHECK(p.out().available() > 0);
    CHECK(p.in().write(data, 60s).complete);
    p.in().close();
    CHECK((p.err().read_exactly(1'000'000, 60s).data == pattern(1'000'000)));
    CHECK((p.out().read_exactly(data.size(), 60s).data == data));
    CHECK((p.out().read_all(60s).data == data));
    CHECK(p.wait().success());
}

TEST_CASE("a write whose pipe a sink closes meanwhile has not written all") {
    const Census census;
    leash::Options options = piped(census);
    leash::Popen* job = nullptr;
    options.out = leash::sink([&](std::string_view) { job->in().close(); });
    leash::Popen p(leash::shell("read x; echo $x; exec \"$1\" sleep", {support::helper()}), options);
    job = &p;
    const leash::Written written = p.in().write("a\n" + std::string(1'000'000, 'x'), 60s);
    CHECK_FALSE(written.complete);
    CHECK(written.count < 1'000'000);
    CHECK(written.error == std::errc::bad_file_descriptor);
}

TEST_CASE("what a write has read joins what was there, whoever reads next") {
    const Census census;
    const std::string data = pattern(1'000'000);
    for (const bool by_communicate : {false, true}) {
        leash::Popen p(child({"cat"}), piped(census));
        CHECK(p.in().write("first\nsecond\n", 60s).complete);
        CHECK(p.out().read_until("\n", 60s).data == "first\n");
        CHECK(p.in().write(data, 60s).complete);
        if (by_communicate) {
            CHECK((p.communicate("end", 60s).out == "second\n" + data + "end"));
        } else {
            p.in().close();
            CHECK((p.out().expect("second\n", 60s).before.empty()));
            CHECK((p.out().read_all(60s).data == data));
        }
    }
}

TEST_CASE("a line stays valid while it is written") {
    const Census census;
    leash::Popen p(child({"cat"}), piped(census));
    const std::string large(1'000'000, 'x');
    CHECK(p.in().write("short\n" + large + "\n", 60s).complete);
    std::size_t count = 0;
    for (const std::string_view line : p.out().lines(60s)) {
        ++count;
        if (count == 1) {
            CHECK(p.in().write(large + "\n", 60s).complete);
            CHECK(line == "short");
        } else if (count == 2) {
            CHECK(p.in().write(line, 60s).complete);
            CHECK((line == large));
            p.in().close();
        } else {
            CHECK((line == large));
        }
    }
    CHECK(count == 4);
}

TEST_CASE("max_output bounds what a write reads, as with communicate") {
    const std::string data = pattern(2'000'000);
    for (const leash::Keep keep : {leash::Keep::head, leash::Keep::tail, leash::Keep::ends}) {
        const Census census;
        leash::Options options = piped(census);
        options.max_output = 1000;
        options.keep = keep;
        leash::Popen p(child({"cat"}), options);
        CHECK(p.in().write(std::string_view(data).substr(0, 500), 60s).complete);
        CHECK(p.out().read(100, 60s).data.size() == 100);
        CHECK(p.in().write(std::string_view(data).substr(500), 60s).complete);
        CHECK(p.out().available() <= 600'000);
        const leash::Captured captured = p.communicate({}, 60s);
        CHECK(captured.out.size() == 1000);
        CHECK(captured.out_dropped == data.size() - 1100);
        const std::string head = data.substr(100), tail = data.substr(data.size() - 1000);
        if (keep == leash::Keep::head) CHECK((captured.out == head.substr(0, 1000)));
        if (keep == leash::Keep::tail) CHECK((captured.out == tail));
        if (keep == leash::Keep::ends) CHECK((captured.out == head.substr(0, 500) + tail.substr(500)));
    }
}

// ---- one output, while the job fills the other

namespace {

constexpr std::size_t much = 2'000'000;

/// A job that says so much on one of its outputs, and then on the other.
leash::Command fills(bool is_err, const char* then) {
    return leash::shell(is_err ? "\"$1\" write 2000000 >&2; printf \"$2\"; \"$1\" write 5000 >&2"
                               : "\"$1\" write 2000000; printf \"$2\" >&2; \"$1\" write 5000",
                        {support::helper(), then});
}

/// The reader of the output that is filled, and that of the other one.
struct Ends {
    leash::Reader filled, asked;
};
Ends ends_of(leash::Popen& p, bool is_err) { return is_err ? Ends{p.err(), p.out()} : Ends{p.out(), p.err()}; }

}  // namespace

TEST_CASE("read_until of one output reads the other meanwhile, for the next who reads it: nothing blocks the job") {
    const Census census;
    for (const bool is_err : {true, false}) {
        leash::Popen p(fills(is_err, "done\nmore\n"), piped(census));
        auto [filled, asked] = ends_of(p, is_err);
        CHECK(asked.read_until("\n", 60s).data == "done\n");
        CHECK(filled.available() > 0);
        CHECK((filled.read_exactly(much / 2, 60s).data == pattern(much / 2)));
        CHECK(asked.read_until("\n", 60s).data == "more\n");
        CHECK((filled.read_all(60s).data == (pattern(much) + pattern(5000)).substr(much / 2)));
        CHECK(p.wait().success());
    }
}

TEST_CASE("what a read of one output has read of the other is communicate()'s too") {
    const Census census;
    for (const bool is_err : {true, false}) {
        leash::Popen p(fills(is_err, "done"), piped(census));
        CHECK(ends_of(p, is_err).asked.read(64, 60s).data == "done");
        const leash::Captured rest = p.communicate({}, 60s);
        CHECK(((is_err ? rest.err : rest.out) == pattern(much) + pattern(5000)));
        CHECK((is_err ? rest.out : rest.err).empty());
    }
}

TEST_CASE("every read of one output reads the other meanwhile") {
    const Census census;
    for (const bool is_err : {true, false}) {
        leash::Popen p(fills(is_err, "12345678done. And so on"), piped(census));
        auto [filled, asked] = ends_of(p, is_err);
        CHECK(asked.read_exactly(4, 60s).data == "1234");
        CHECK(asked.read_until("8", 100, 60s).data == "5678");
        CHECK(asked.expect({"never", "done"}, 60s).which == 1);
        CHECK(asked.read_all(60s).data == ". And so on");
        CHECK((filled.read_all(60s).data == pattern(much) + pattern(5000)));

        leash::Popen expected(fills(is_err, "done. And so on"), piped(census));
        auto [rest, by_pattern] = ends_of(expected, is_err);
        CHECK(by_pattern.expect("And", 60s).before == "done. ");
        CHECK((rest.read_all(60s).data == pattern(much) + pattern(5000)));
    }
}

TEST_CASE("lines of one output read the other meanwhile") {
    const Census census;
    for (const bool is_err : {true, false}) {
        leash::Popen p(fills(is_err, "one\ntwo\n"), piped(census));
        auto [filled, asked] = ends_of(p, is_err);
        Lines lines;
        for (const std::string_view line : asked.lines(60s)) {
            if (lines.empty()) CHECK((filled.read_exactly(much, 60s).data == pattern(much)));
            lines.emplace_back(line);
        }
        CHECK((lines == Lines{"one", "two"}));
        CHECK((filled.read_all(60s).data == pattern(5000)));
    }
}

TEST_CASE("a line on show stays valid while another output is waited for") {
    const Census census;
    leash::Popen p(leash::shell("echo short; \"$1\" write 1000000; echo end >&2", {support::helper()}), piped(census));
    for (const std::string_view line : p.out().lines(60s)) {
        CHECK(p.err().read_until("\n", 60s).data == "end\n");
        CHECK(line == "short");
        break;
    }
    CHECK((p.out().read_all(60s).data == pattern(1'000'000)));
}

TEST_CASE("with per_stage a read of one stage's err reads the others'") {
    const Census census;
    leash::Options options = piped(census);
    options.err = leash::per_stage;
    leash::Popen p(leash::shell("\"$1\" write 2000000 >&2; echo 0 >&2", {support::helper()}) |
                       leash::shell("cat; \"$1\" write 2000000 >&2; echo 1 >&2", {support::helper()}) |
                       leash::shell("cat; \"$1\" write 2000000; echo 2 >&2", {support::helper()}),
                   options);
    CHECK(p.err(2).read_until("\n", 60s).data == "2\n");
    CHECK((p.err(1).read_all(60s).data == pattern(much) + "1\n"));
    CHECK((p.err(0).read_all(60s).data == pattern(much) + "0\n"));
    CHECK((p.out().read_all(60s).data == pattern(much)));
    CHECK(p.wait().success());
}

TEST_CASE("what a read reads aside is part of the transcript, once") {
    const Census census;
    leash::Options options = piped(census);
    options.all = true;
    leash::Popen p(fills(true, "done\n"), options);
    CHECK(p.out().read_until("\n", 60s).complete);
    CHECK(p.err().read(100, 60s).data.size() == 100);
    const leash::Captured rest = p.communicate({}, 60s);
    CHECK(rest.all.size() == much + 5000 + 5);
    CHECK(rest.err.size() == much + 5000 - 100);
}

TEST_CASE("a read that does not wait leaves the other output in its pipe: an event loop would not hear of it") {
    const Census census;
    leash::Popen p(leash::shell("echo up >&2; exec sleep 60"), piped(census));
    pollfd ready{p.err().handle(), POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 60'000) == 1);
    CHECK_FALSE(p.out().try_read().complete);
    CHECK(p.out().read_until("x", 0s).timed_out);
    CHECK(p.err().available() == 0);
    CHECK(p.out().read_until("x", 10ms).timed_out);
    CHECK(p.err().available() == 3);
    CHECK(p.err().try_read().data == "up\n");
}

TEST_CASE("a read that finds what it wants leaves the other output where it is") {
    const Census census;
    leash::Popen p(leash::shell("echo up >&2; echo up; exec sleep 60"), piped(census));
    pollfd ready{p.out().handle(), POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 60'000) == 1);
    CHECK(p.out().read_until("\n", 60s).data == "up\n");
    CHECK(p.err().available() == 0);
    CHECK(p.err().read_until("\n", 60s).data == "up\n");
}

TEST_CASE("max_output bounds what a read reads aside, and nothing of it is dropped: the job waits") {
    const std::string data = pattern(much) + pattern(5000);
    for (const leash::Keep keep : {leash::Keep::head, leash::Keep::tail, leash::Keep::ends}) {
        for (const std::size_t most : {std::size_t{0}, std::size_t{1000}, std::size_t{65'536}, std::size_t{300'000}}) {
            const Census census;
            leash::Options options = piped(census);
            options.max_output = most;
            options.keep = keep;
            leash::Popen p(fills(true, "done\n"), options);
            CHECK(p.out().read_until("\n", 100ms).timed_out);
            CHECK(p.err().available() <= most);
            std::string all;
            while (all.size() < 1'500'000) {
                const leash::Read piece = p.err().read(10'000, 60s);
                if (!piece) break;
                all += piece.data;
                if (all.size() % 200'000 == 0) CHECK_FALSE(p.out().read_until("\n", 1ms).complete);
            }
            all += p.err().read_exactly(much - all.size(), 60s).data;
            CHECK(p.out().read_until("\n", 60s).data == "done\n");
            all += p.err().read_all(60s).data;
            CHECK((all == data));
        }
    }
    const Census census;
    leash::Options options = piped(census);
    options.max_output = much;
    leash::Popen p(leash::shell("\"$1\" write 2000000 >&2; echo done", {support::helper()}), options);
    CHECK(p.out().read_until("\n", 60s).data == "done\n");
    CHECK((p.err().read_all(60s).data == pattern(much)));
}

TEST_CASE("with all of its room taken a read waits for its own stream only, and does not spin") {
    const Census census;
    leash::Options options = piped(census);
    options.max_output = 1000;
    leash::Popen p(fills(true, "done\n"), options);
    CHECK(p.out().read_until("\n", 100ms).timed_out);
    const std::clock_t before = std::clock();
    CHECK(p.out().read_until("\n", 1s).timed_out);
    CHECK(std::clock() - before < CLOCKS_PER_SEC / 10);
    CHECK((p.err().read_exactly(much, 60s).data == pattern(much)));
}

TEST_CASE("output that is read aside counts for idle_timeout") {
    const Census census;
    leash::Options options = piped(census);
    options.idle_timeout = 2s;
    leash::Popen p(leash::shell("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.25; echo $i >&2; done; echo done"),
                   options);
    CHECK(p.out().read_until("\n", 60s).data == "done\n");
    CHECK(p.wait().success());
}

TEST_CASE("two threads, each reads an output: each gets all of its own, in order, also slowly") {
    const std::string data = pattern(much);
    for (const std::size_t most : {SIZE_MAX, std::size_t{1000}, std::size_t{200'000}}) {
        const Census census;
        leash::Options options = piped(census);
        options.max_output = most;
        leash::Popen p(leash::shell("for i in 1 2 3; do \"$1\" write 2000000; done & "
                                    "for i in 1 2 3; do \"$1\" write 2000000 >&2; done; wait",
                                    {support::helper()}),
                       options);
        const auto read = [&](leash::Reader reader, std::size_t piece, bool slowly) {
            std::string all;
            for (int count = 0;; ++count) {
                const leash::Read one = count % 2 == 0 ? reader.read(piece, 60s) : reader.read_until("\n", 60s);
                all += one.data;
                if (!one.complete) break;
                if (slowly && count % 64 == 0) std::this_thread::sleep_for(1ms);
            }
            return all;
        };
        std::string errs;
        std::thread other([&] { errs = read(p.err(), 5000, true); });
        const std::string outs = read(p.out(), 64 * 1024, false);
        other.join();
        CHECK((outs == data + data + data));
        CHECK((errs == data + data + data));
        CHECK(p.wait().success());
    }
}

TEST_CASE(
    "a thread that waits for a quiet output leaves the other one to the thread that reads it, and does not spin") {
    const Census census;
    leash::Popen p(
        leash::shell("i=0; while [ $i -lt 300 ]; do echo $i >&2; sleep 0.003; i=$((i + 1)); done; echo done"),
        piped(census));
    std::string errs;
    std::thread other([&] {
        for (const std::string_view line : p.err().lines(60s)) {
            errs += line;
            errs += ' ';
        }
    });
    rusage before, after;
    ::getrusage(RUSAGE_THREAD, &before);
    CHECK(p.out().read_until("\n", 60s).data == "done\n");
    ::getrusage(RUSAGE_THREAD, &after);
    CAPTURE(after.ru_nvcsw - before.ru_nvcsw);
    CHECK(after.ru_nvcsw - before.ru_nvcsw < 1000);
    other.join();
    std::string expected;
    for (int i = 0; i < 300; ++i) expected += std::to_string(i) + " ";
    CHECK((errs == expected));
}

TEST_CASE("an output that another thread releases, or closes, is not read any more") {
    const Census census;
    for (const bool closes : {false, true}) {
        leash::Popen p(leash::shell("\"$1\" write 100000 >&2; read x; trap '' PIPE; \"$1\" write 100000 >&2; echo done",
                                    {support::helper()}),
                       piped(census));
        std::string errs;
        std::thread other([&] {
            CHECK(support::eventually([&] { return p.err().available() > 0; }));
            if (closes) {
                p.err().close();
                CHECK(p.in().write("\n", 60s).complete);
                return;
            }
            const leash::detail::os::Fd fd(p.err().release());
            CHECK(fd.is_open());
            CHECK(p.in().write("\n", 60s).complete);
            char piece[4096];
            for (ssize_t n; (n = ::read(fd.get(), piece, sizeof piece)) > 0;)
                errs.append(piece, static_cast<std::size_t>(n));
        });
        CHECK(p.out().read_until("\n", 60s).data == "done\n");
        other.join();
        if (closes) continue;
        CHECK((p.err().read_all(60s).data + errs == pattern(100'000) + pattern(100'000)));
    }
}

TEST_CASE("one thread writes while another one reads: nothing is lost, or mixed up") {
    const Census census;
    leash::Popen p(child({"cat"}), piped(census));
    std::string data;
    for (int i = 0; i < 200'000; ++i) data += std::to_string(i) + "\n";
    std::thread writer([&] {
        CHECK(p.in().write(data, 60s).complete);
        p.in().close();
    });
    std::string all;
    for (const std::string_view line : p.out().lines(60s)) {
        all += line;
        all += '\n';
    }
    writer.join();
    CHECK((all == data));
}

TEST_CASE("a write that does not wait reads nothing: an event loop would not hear of it") {
    const Census census;
    leash::Popen p(leash::shell("echo up; exec sleep 60"), piped(census));
    pollfd ready{p.out().handle(), POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 60'000) == 1);
    CHECK_FALSE(p.in().try_write(std::string(1'000'000, 'x')).complete);
    CHECK(p.in().write("x", 0s).timed_out);
    CHECK(p.out().available() == 0);
    CHECK(p.in().write("x", 10ms).timed_out);
    CHECK(p.out().available() == 3);
    CHECK(p.out().try_read().data == "up\n");
}

// ---- the queue

TEST_CASE("what is enqueued is written by whatever waits or reads, in order, before a write") {
    const Census census;
    leash::Popen p(child({"cat"}), piped(census));
    const std::string data = pattern(1'000'000);
    CHECK(p.in().enqueue(data));
    CHECK(p.in().enqueue("second"));
    CHECK(p.in().queued() > 0);
    CHECK(p.in().release() == -1);
    CHECK((p.out().read_exactly(data.size() + 6, 60s).data == data + "second"));
    CHECK(p.in().queued() == 0);
    CHECK(p.in().enqueue(data));
    CHECK(p.in().write("!", 60s).complete);
    CHECK(p.in().queued() == 0);
    CHECK((p.communicate("end", 60s).out == data + "!end"));
    CHECK_FALSE(p.in().enqueue("x"));
}

TEST_CASE("wait writes what was enqueued, and then the end where it was finished") {
    const Census census;
    leash::Popen p(child({"count"}), piped(census));
    CHECK(p.in().enqueue(std::string(1'000'000, 'x')));
    p.in().finish();
    CHECK_FALSE(p.in().enqueue("more"));
    CHECK(p.wait_for(60s).has_value());
    CHECK(p.out().read_until(" ").data == "1000000 ");
    CHECK_FALSE(p.in().is_open());

    leash::Popen polled(child({"count"}), piped(census));
    CHECK(polled.in().enqueue(std::string(1'000'000, 'x')));
    polled.in().finish();
    CHECK(support::eventually([&] { return polled.poll().has_value(); }));
    CHECK(polled.out().read_until(" ").data == "1000000 ");
}

TEST_CASE("a queue that nobody takes: close drops it, and the end of the child shows") {
    const Census census;
    leash::Popen p(child({"sleep"}), piped(census));
    std::size_t count = 0;
    for (int i = 0; i < 100'000; ++i) {  // and each costs no more than its own length
        if (!p.in().enqueue("0123456789")) FAIL("not taken");
        count += 10;
    }
    CHECK(p.in().queued() > 0);
    CHECK(p.in().queued() < count);
    p.in().close();
    CHECK(p.in().queued() == 0);
    CHECK_FALSE(p.in().enqueue("x"));

    leash::Popen deaf(child({"close-input"}), piped(census));
    CHECK(deaf.out().read_until("closed\n").complete);
    CHECK_FALSE(deaf.in().enqueue("x"));
    CHECK(deaf.in().queued() == 1);
    CHECK_FALSE(deaf.in().is_open());

    leash::Popen none(child({"exit", "0"}), support::silent(census));
    CHECK_FALSE(none.in().enqueue("x"));
    CHECK(none.in().queued() == 0);
    none.in().finish();
}

TEST_CASE("what is enqueued while something is written comes behind it") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const leash::Input piped(leash::piped);
    leash::detail::Outgoing to(leash::detail::stdio_of(piped));
    to.begin(leash::detail::os::Fd(ends[1]));
    to.lend("lent ");
    to.add("queued");
    CHECK(to.lent() == 5);
    CHECK(to.unwritten() == 6);
    to.push();
    to.withdraw();
    CHECK(to.is_idle());
    char buffer[32];
    CHECK(std::string(buffer, static_cast<std::size_t>(::read(ends[0], buffer, sizeof buffer))) == "lent queued");
    ::close(ends[0]);
}

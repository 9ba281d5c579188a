// tests/test_terminal.cpp - a pseudo-terminal for the child: what it finds, what is read and written, how it ends.
#include <doctest/doctest.h>

#include "inside.hpp"
#include "support.hpp"

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include <sys/ioctl.h>
#include <termios.h>

using leash::Group;
using leash::Step;
using support::Census;
using support::child;
using support::NothingLeft;
using support::pattern;
using support::Stopwatch;
using namespace std::chrono_literals;

namespace {

/// All three streams a terminal, without echo: what is read is what the child says.
leash::Options at_terminal(const Census& census) {
    leash::Options options;
    options.in = leash::tty;
    options.out = leash::tty;
    options.err = leash::tty;
    options.terminal.echo = false;
    options.env = census.env();
    return options;
}

/// Only what the child says.
leash::Options output_at_terminal(const Census& census) {
    leash::Options options = at_terminal(census);
    options.in = leash::null;
    return options;
}

/// As a terminal puts it out.
std::string with_returns(const std::string& text) {
    std::string lines;
    for (const char c : text) lines += c == '\n' ? std::string("\r\n") : std::string(1, c);
    return lines;
}

/// "0" to the number that does not fit: lines that a reader can check.
std::string numbered_lines(std::size_t size) {
    std::string text;
    for (int i = 0; text.size() < size; ++i) text += "line " + std::to_string(i) + "\n";
    return text;
}

bool has(const char* program) {
    leash::Options options;
    options.out = leash::null;
    return leash::run(leash::shell("command -v \"$1\"", {program}), options).ok();
}

}  // namespace

// ---- what the child finds

TEST_CASE("each stream that says tty is the terminal, one for all, and no other stream is") {
    const Census census;
    const NothingLeft before;
    for (int which = 1; which < 8; ++which) {
        CAPTURE(which);
        leash::Options options = support::capture(census);
        if (which & 1) options.in = leash::tty;
        if (which & 2) options.out = leash::tty;
        if (which & 4) options.err = leash::tty;
        if (which == 1) continue;  // refused: see below
        const auto found = support::words(leash::run(child({"terminal"}), options).out);
        REQUIRE(found.size() >= 4);
        std::string path = "-", wanted;
        for (std::size_t fd = 0; fd < 3; ++fd) {
            const bool is_terminal = (which >> fd & 1) != 0;
            CHECK((found[fd] != "-") == is_terminal);
            if (!is_terminal) continue;
            if (path == "-") path = found[fd];
            CHECK(found[fd] == path);
            wanted += std::to_string(fd) + " ";
        }
        std::string rest;
        for (std::size_t i = 4; i < found.size(); ++i) rest += found[i] + " ";
        CHECK(found[3] == "/dev/tty");
        CHECK(rest == wanted + "leader foreground ");
    }
    CHECK(before.holds());
}

TEST_CASE("the child has a session of its own, and with it a group") {
    const Census census;
    for (const Group group : {Group::own, Group::session}) {
        leash::Options options = output_at_terminal(census);
        options.group = group;
        leash::Popen p(child({"ids"}), options);
        const auto ids = support::words(p.communicate().out);
        REQUIRE(ids.size() >= 4);
        CHECK(ids[0] == std::to_string(p.pid()));
        CHECK(ids[1] == ids[0]);
        CHECK(ids[2] == ids[0]);
        CHECK(ids[3].substr(0, ids[3].find('\r')) == std::to_string(::getpid()));
    }
}

TEST_CASE("the child has its terminal and what was listed, and nothing else: not the host's side") {
    const Census census;
    leash::Options options = output_at_terminal(census);
    options.in = leash::tty;
    options.pass_fds = {{2, 7}, {2, 3}};
    options.cwd = "/";
    const std::string out = leash::run(child({"fds"}), options).out;
    std::string numbers, terminals;
    for (std::size_t from = 0; from < out.size(); from = out.find('\n', from) + 1) {
        const std::string number = std::to_string(std::atoi(out.c_str() + from)) + " ";
        numbers += number;
        if (out.find("/dev/pt", from) < out.find('\n', from)) terminals += number;
    }
    CHECK(numbers == "0 1 2 3 7 ");
    CHECK(out.find("ptmx") == std::string::npos);
    CHECK(terminals.substr(0, 6) == "0 1 2 ");
}

TEST_CASE("what the host holds of a terminal is close-on-exec") {
    const Census census;
    const std::set<int> before = support::open_descriptors();
    leash::Popen p(child({"sleep"}), at_terminal(census));
    for (const int fd : support::open_descriptors()) {
        CAPTURE(fd);
        if (before.count(fd) == 0) CHECK(::fcntl(fd, F_GETFD) == FD_CLOEXEC);
    }
    CHECK(p.in().handle() != p.out().handle());
}

TEST_CASE("a host without standard streams gives its child a terminal all the same") {
    const Census census;
    for (int closed = 1; closed < 8; ++closed) {
        CAPTURE(closed);
        const std::string wrong = support::in_host([&]() -> std::string {
            for (int fd = 0; fd < 3; ++fd) {
                if (closed >> fd & 1) ::close(fd);
            }
            const NothingLeft before;
            const auto found = support::words(leash::run(child({"terminal"}), at_terminal(census)).out);
            HOST_NEEDS(found.size() == 9 && found[0] != "-" && found[1] == found[0] && found[2] == found[0]);
            HOST_NEEDS(before.holds());
            leash::Popen p(child({"sleep"}), at_terminal(census));
            HOST_NEEDS(p.in().handle() > 2 && p.out().handle() > 2);
            return "";
        });
        CHECK(wrong == "");
    }
}

TEST_CASE("the host's own controlling terminal is not touched, and it gets none") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        HOST_NEEDS(::setsid() > 0);
        leash::Popen p(child({"print-and-wait", "ready"}), at_terminal(census));
        HOST_NEEDS(p.out().expect("ready", 20s).complete);
        HOST_NEEDS(::open("/dev/tty", O_RDWR) < 0);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("the window has the size that was asked for; resize() changes it, and the child gets SIGWINCH") {
    const Census census;
    leash::Options options = at_terminal(census);
    SUBCASE("24 rows of 80 columns, unless asked otherwise") {
        CHECK(leash::run({"stty", "size"}, options).out == "24 80\r\n");
    }
    SUBCASE("asked for, and changed") {
        options.terminal.rows = 40;
        options.terminal.columns = 132;
        leash::Popen p(child({"window"}), options);
        CHECK(p.out().expect("\n", 20s).before == "40x132\r");
        CHECK(p.resize(50, 90).has_value());
        CHECK(p.out().expect("\n", 20s).before == "50x90\r");
        CHECK(p.resize(65535, 1).has_value());
        CHECK(p.out().expect("\n", 20s).before == "65535x1\r");
        CHECK(p.resize(65536, 1).error().code == std::errc::invalid_argument);
        CHECK(p.resize(1, -1).error().code == std::errc::invalid_argument);
    }
    SUBCASE("none that no terminal can have") {
        for (const int size : {-1, 65536}) {
            options.terminal.rows = size;
            CHECK(leash::try_run({"true"}, options).error().subject == "terminal");
        }
    }
    SUBCASE("read from err") {
        options.out = leash::null;
        leash::Popen p(leash::shell("stty size <&2 >&2; read x; stty size <&2 >&2"), options);
        CHECK(p.err().expect("24 80\r\n", 20s));
        CHECK(p.resize(3, 4).has_value());
        CHECK(p.in().write("\n", 20s));
        CHECK(p.err().expect("3 4\r\n", 20s));
    }
}

TEST_CASE("resize() is an error where there is no terminal, or none any more") {
    const Census census;
    const auto is_refused = [](leash::Popen& p) {
        const auto refused = p.resize(10, 10);
        return !refused && refused.error().code.value() == ENOTTY && refused.error().step == Step::stream &&
               refused.error().subject == "tty";
    };
    leash::Popen piped(child({"sleep"}), support::capture(census));
    CHECK(is_refused(piped));
    leash::Popen ended(child({"print", "x"}), output_at_terminal(census));
    CHECK(ended.communicate().out == "x");
    CHECK(is_refused(ended));
    leash::Popen moved(std::move(piped));
    CHECK(is_refused(piped));
}

TEST_CASE("resize() of a job without a terminal is an error in its own sink, too") {
    const Census census;
    leash::Options options = support::silent(census);
    std::optional<leash::Popen> p;
    std::error_code refused;
    options.out = leash::sink([&](std::string_view) { refused = p->resize(10, 10).error().code; });
    p.emplace(child({"print", "x"}), options);
    p->wait();
    CHECK(refused.value() == ENOTTY);
}

TEST_CASE("what is written is echoed, unless echo is off") {
    const Census census;
    leash::Options options = at_terminal(census);
    SUBCASE("off") {
        leash::Popen p(child({"ping-pong"}), options);
        CHECK(p.communicate("one\ntwo\n", 20s).out == "got one\r\ngot two\r\n");
    }
    SUBCASE("on, which is the default") {
        options.terminal = {};
        leash::Popen p(child({"ping-pong"}), options);
        REQUIRE(p.in().write("one\n", 20s));
        CHECK(p.out().expect("got one\r\n", 20s).before == "one\r\n");
        p.in().close();
        CHECK(p.wait().success());
    }
}

// On Linux leash makes these calls without the system's headers, and knows their numbers.
TEST_CASE("the terminal's modes and its window are what the C library takes them for") {
    namespace sys = leash::detail::sys;
    const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(terminal >= 0);
    termios before{}, after{};
    sys::Modes modes{};
    REQUIRE(::tcgetattr(terminal, &before) == 0);
    before.c_cc[VEOF] = 5;
    before.c_lflag |= ECHO | ECHOE | ISIG;
    REQUIRE(::tcsetattr(terminal, TCSANOW, &before) == 0);
    REQUIRE(sys::tcgetattr(terminal, &modes) == 0);
    CHECK(sys::end_of_file(modes) == 5);
    sys::clear_echo(modes);
    CHECK(sys::tcsetattr(terminal, &modes) == 0);
    REQUIRE(::tcgetattr(terminal, &after) == 0);
    CHECK(after.c_lflag == (before.c_lflag & ~static_cast<tcflag_t>(ECHO)));
    CHECK(after.c_iflag == before.c_iflag);
    CHECK(after.c_oflag == before.c_oflag);
    CHECK(after.c_cflag == before.c_cflag);
    CHECK(std::equal(std::begin(after.c_cc), std::end(after.c_cc), std::begin(before.c_cc)));
    CHECK(sys::set_window(terminal, 31, 132) == 0);
    winsize size{};
    CHECK((::ioctl(terminal, TIOCGWINSZ, &size) == 0 && size.ws_row == 31 && size.ws_col == 132));
    ::close(terminal);

    int ends[2] = {-1, -1}, waiting = 0;
    REQUIRE(::pipe(ends) == 0);
    CHECK(::write(ends[1], "abc", 3) == 3);
    CHECK(sys::pending(ends[0], &waiting) == 0);
    CHECK(waiting == 3);
    for (const int end : ends) ::close(end);
#if defined(__linux__)
    CHECK(sys::get_pidfd_info == _IOWR(0xff, 11, char[64]));
#endif
}

TEST_CASE("the keys that a terminal knows do what they do: Ctrl-C, Ctrl-\\, Ctrl-U") {
    const Census census;
    leash::Popen p(child({"print-and-wait", "ready"}), at_terminal(census));
    REQUIRE(p.out().expect("ready", 20s));
    SUBCASE("Ctrl-C") {
        CHECK(p.in().write("\3", 20s));
        CHECK(p.wait().signal() == SIGINT);
    }
    SUBCASE("Ctrl-\\") {
        CHECK(p.in().write("\34", 20s));
        CHECK(p.wait().signal() == SIGQUIT);
    }
    SUBCASE("Ctrl-U takes a line back") {
        leash::Popen cat(child({"cat"}), at_terminal(census));
        CHECK(cat.communicate("wrong\25right\n", 20s).out == "right\r\n");
    }
}

// ---- what is read

TEST_CASE("run() captures a terminal's output as a terminal puts it: lines end with \\r\\n") {
    const Census census;
    const NothingLeft before;
    const leash::Command command = child({"print-to", "1", "one\n", "2", "two\n"});
    const leash::Result result = leash::run(command, output_at_terminal(census));
    CHECK(result.ok());
    CHECK(result.out == "one\r\ntwo\r\n");  // one terminal: in order, and err has nothing
    CHECK(result.err.empty());
    CHECK(result.held.empty());
    CHECK(before.holds());
}

TEST_CASE("out and err are told apart where only one of them is the terminal") {
    const Census census;
    const leash::Command command = child({"print-to", "1", "one\n", "2", "two\n"});
    leash::Options options = support::capture(census);
    options.out = leash::tty;
    leash::Result result = leash::run(command, options);
    CHECK(result.out == "one\r\n");
    CHECK(result.err == "two\n");
    options.out = leash::piped;
    options.err = leash::tty;
    result = leash::run(command, options);
    CHECK(result.out == "one\n");
    CHECK(result.err == "two\r\n");
    options.err = leash::to_out;
    options.out = leash::tty;
    CHECK(leash::run(command, options).out == "one\r\ntwo\r\n");
    options.err = leash::per_stage;
    result = leash::run(command, options);
    CHECK(result.out == "one\r\n");
    CHECK(result.errs == std::vector<std::string>{"two\n"});

    options.in = leash::piped;  // a pipe beside a terminal is a pipe, and ends as one
    leash::Popen p(child({"count"}), options);
    CHECK(p.communicate("half a line").out.substr(0, 3) == "11 ");

    leash::Popen both(child({"sleep"}), at_terminal(census));  // who reads the terminal is out
    CHECK(both.err().read().error.value() == EBADF);
    CHECK(both.out().is_open());
    CHECK_FALSE(both.err().is_open());
}

TEST_CASE("the end of a terminal is the end of a stream, and no error") {
    const Census census;
    leash::Popen p(child({"print", "x"}), at_terminal(census));
    const leash::Read all = p.out().read_all(20s);
    CHECK(all.complete);
    CHECK(all.eof);
    CHECK_FALSE(all.error);
    CHECK(all.data == "x");
    const leash::Read more = p.out().read(10, 20s);
    CHECK(more.eof);
    CHECK_FALSE(more.error);
    CHECK(p.out().handle() == -1);
    CHECK_FALSE(p.out().held());
    CHECK(p.wait().success());
    // and nobody is there to be written to
    const leash::Written written = p.in().write(numbered_lines(1 << 20), 20s);
    CHECK_FALSE(written.complete);
    CHECK_FALSE(written.timed_out);
    CHECK(written.error);
    CHECK_FALSE(p.in().is_open());
}

TEST_CASE("nothing is lost of what is written just before the end") {
    const Census census;
    const NothingLeft before;
    for (std::size_t round = 0; round < 200; ++round) {
        const std::size_t size = round % 4 == 0 ? 1 : round % 4 == 1 ? 4095 : round % 4 == 2 ? 4097 : 50'000 + round;
        leash::Options options = output_at_terminal(census);
        const leash::Result result = leash::run(child({"write", std::to_string(size)}), options);
        REQUIRE((result.out == with_returns(pattern(size))));
        REQUIRE_FALSE(!result.held.empty());
    }
    for (int round = 0; round < 50; ++round) {  // the reader comes when all is over
        leash::Popen p(child({"write", "3000"}), output_at_terminal(census));
        REQUIRE(p.wait().success());
        REQUIRE((p.out().read_all(20s).data == with_returns(pattern(3000))));
    }
    CHECK(before.holds());
}

TEST_CASE("a limit, deadlines and a token hold at a terminal too") {
    const Census census;
    const NothingLeft before;
    leash::Options options = output_at_terminal(census);
    options.grace = 20ms;
    SUBCASE("max_output") {
        const std::string all = with_returns(pattern(30'000)), end = all.substr(all.size() - 500);
        options.max_output = 1000;
        leash::Result result = leash::run(child({"write", "30000"}), options);
        CHECK((result.out == all.substr(0, 1000)));
        CHECK(result.out_truncated);
        CHECK(result.out_dropped == all.size() - 1000);
        options.keep = leash::Keep::tail;
        CHECK((leash::run(child({"write", "30000"}), options).out == all.substr(all.size() - 1000)));
        options.keep = leash::Keep::ends;
        CHECK((leash::run(child({"write", "30000"}), options).out == all.substr(0, 500) + end));
    }
    SUBCASE("timeout") {
        const std::string wanted = with_returns(pattern(5000)).substr(0, 5000);
        CHECK(support::in_time(200ms, [&](std::chrono::milliseconds timeout) {
            options.timeout = timeout;
            const leash::Result result = leash::run(child({"flood"}), options);
            CHECK(result.timed_out);
            CHECK(result.status.signal() == SIGHUP);  // the terminal is hung up first
            return result.out.substr(0, 5000) == wanted;
        }));
    }
    SUBCASE("timeout of one that ignores SIGTERM and SIGHUP, and has members") {
        CHECK(support::in_time(200ms, [&](std::chrono::milliseconds timeout) {
            options.timeout = timeout;
            const leash::Result result =
                leash::run(leash::shell("trap '' TERM HUP; sleep 1000 & echo ready; sleep 1000; true"), options);
            CHECK(result.timed_out);
            if (result.out != "ready\r\n") return false;
            CHECK(result.status.signal() == SIGKILL);
            return true;
        }));
    }
    SUBCASE("idle_timeout") {
        CHECK(support::in_time(100ms, [&](std::chrono::milliseconds timeout) {
            options.idle_timeout = timeout;
            const leash::Result result = leash::run(child({"print-and-wait", "x"}), options);
            CHECK(result.ended_by == leash::EndedBy::idle_timeout);
            return result.out == "x";
        }));
    }
    SUBCASE("token") {
        leash::Popen p = [&] {
            options.cancel = leash::Cancel();
            return leash::Popen(child({"print-and-wait", "x"}), options);
        }();
        CHECK(p.out().expect("x", 20s));
        std::exchange(options.cancel, std::nullopt)->fire();
        CHECK(p.communicate().status.has_value());
        CHECK(p.cancelled());
    }
    CHECK(census.reaches(0));
    CHECK(before.holds());
}

TEST_CASE("one that left the session and still has the terminal open does not hold the host up") {
    const Census census;
    const NothingLeft before;
    leash::Options options = output_at_terminal(census);
    options.drain = 50ms;
    const Stopwatch watch;
    SUBCASE("it is cut off, and nothing is lost of what had been written") {
        const leash::Result result = leash::run(child({"setsid-holder", "3", "1"}), options);
        CHECK(result.status.code() == 3);
        CHECK(!result.held.empty());
        CHECK(std::atoi(result.out.c_str()) > 1);
    }
    SUBCASE("the same for a reader who comes later") {
        const char* const script = "\"$1\" write 9000; exec \"$1\" setsid-holder 3 1";
        leash::Popen p(leash::shell(script, {support::helper()}), options);
        CHECK(p.wait().code() == 3);
        const leash::Read all = p.out().read_all(20s);
        const std::string wanted = with_returns(pattern(9000));
        CHECK((all.data.substr(0, wanted.size()) == wanted));
        CHECK(all.data.size() > wanted.size());
        CHECK(p.out().held());
    }
    SUBCASE("nor when it floods") {
        options.in = leash::tty;
        leash::Popen p(leash::shell("setsid \"$1\" flood & read x; exit 4", {support::helper()}), options);
        REQUIRE(p.out().expect("abc", 20s));
        REQUIRE(p.in().write("\n", 20s));
        const leash::Captured captured = p.communicate();
        CHECK(!captured.held.empty());
        REQUIRE(captured.status);
        CHECK(captured.status->code() == 4);
    }
    SUBCASE("a member of the group ends with it") {
        options.drain = 20s;
        const leash::Result result = leash::run(child({"fork-holder", "3", "1"}), options);
        CHECK(result.status.code() == 3);
        CHECK(result.held.empty());
    }
    SUBCASE("a background job of an interactive shell is in another group: it is cut off too") {
        options.in = leash::tty;
        options.env.set("PS1", "").set("ENV", "");
        leash::Popen p(leash::args({"sh", "-i"}), options);
        REQUIRE(p.in().write("sleep 1000 & exit 5\n", 20s));
        const leash::Captured captured = p.communicate();
        CHECK(!captured.held.empty());
        REQUIRE(captured.status);
        CHECK(captured.status->code() == 5);
    }
    CHECK(watch.elapsed() < 15s);
    CHECK(before.holds());
}

TEST_CASE("a child may close its terminal and live on: the stream has ended, the job has not, nobody hangs up") {
    const Census census;
    for (const bool has_input : {true, false}) {
        leash::Options options = has_input ? at_terminal(census) : output_at_terminal(census);
        leash::Popen p(leash::shell("echo bye; exec \"$1\" close-all", {support::helper()}), options);
        const leash::Read all = p.out().read_all(20s);
        CHECK(all.complete);
        CHECK(all.data == "bye\r\n");
        CHECK_FALSE(p.wait_for(10ms).has_value());
        CHECK(p.kill().has_value());
        CHECK(p.wait().signal() == SIGKILL);
    }
    const char* const script = "echo bye; exec >/dev/null 2>&1; sleep 0.1; exit 4";
    const leash::Result result = leash::run(leash::shell(script), output_at_terminal(census));
    CHECK(result.out == "bye\r\n");
    CHECK(result.status.describe() == "exited 4");
}

TEST_CASE("a program that closes its streams before it exits, as ls and cat do, ends as it would elsewhere") {
    const Census census;
    for (int i = 0; i < 100; ++i) {
        CHECK(leash::run({"ls", "-d", "/"}, output_at_terminal(census)).status.describe() == "exited 0");
        CHECK(leash::run({"cat"}, at_terminal(census)).status.describe() == "exited 0");
    }
}

// ---- what is written

TEST_CASE("the end of the input is Ctrl-D, on an empty line and in the middle of one") {
    const Census census;
    for (const char* const input : {"", "a line\n", "half a line", "a line\nand half a one", "\r", "a\r"}) {
        CAPTURE(std::string(input));
        std::string wanted = input;
        std::replace(wanted.begin(), wanted.end(), '\r', '\n');
        leash::Popen all(child({"cat"}), at_terminal(census));
        const leash::Captured captured = all.communicate(input, 20s);
        CHECK(captured.out == with_returns(wanted));
        CHECK(captured.unwritten == 0);
        REQUIRE(captured.status);
        CHECK(captured.status->success());

        leash::Popen p(child({"cat"}), at_terminal(census));
        CHECK(p.in().write(input, 20s));
        CHECK(p.in().is_open());
        p.in().close();
        CHECK_FALSE(p.in().is_open());
        CHECK(p.out().read_all(20s).data == with_returns(wanted));
        CHECK(p.wait().success());
    }
}

TEST_CASE("one Ctrl-D ends the input where a line has ended; the second one is for a line that has not") {
    const Census census;
    for (const std::string input : {"", "line\n", "half"}) {
        CAPTURE(input);
        // It counts what has been typed, once all has: the terminal gives what there is, and then nothing.
        const char* const script = "stty -icanon min 0 time 0; echo ready; kill -STOP $$; exec wc -c";
        leash::Popen p(leash::shell(script), at_terminal(census));
        REQUIRE(p.out().expect("ready\r\n", 20s));
        REQUIRE(support::eventually([&] { return support::state_of(p.pid()) == 'T'; }));
        REQUIRE(p.in().write(input, 20s));
        p.in().close();
        REQUIRE(p.send_signal(SIGCONT).has_value());
        const std::size_t wanted = input.size() + (input == "half" ? 2 : 1);
        CHECK(support::words(p.out().read_all(20s).data).front() == std::to_string(wanted) + "\r");
    }
}

TEST_CASE("run() with a terminal as input gives none: a child that reads sees the end") {
    const Census census;
    const leash::Result result = leash::run(child({"count"}), at_terminal(census));
    CHECK(result.ok());
    CHECK(result.out == "0 0\r\n");
}

TEST_CASE("closing the input does not hang the terminal up: the child talks on") {
    const Census census;
    leash::Popen p(leash::shell("trap 'echo hung up' HUP; read x; echo end; sleep 0.1; stty size"),
                   at_terminal(census));
    p.in().close();
    CHECK(p.out().read_all(20s).data == "end\r\n24 80\r\n");
}

TEST_CASE("the end of the input is the character that the terminal has for it") {
    const Census census;
    leash::Popen p(leash::shell("stty eof '#'; echo ready; exec \"$1\" cat", {support::helper()}), at_terminal(census));
    REQUIRE(p.out().expect("ready\r\n", 20s));
    CHECK(p.communicate("a\4b", 20s).out == "a\4b");
    CHECK(p.wait().success());
}

TEST_CASE("any amount flows both ways at once") {
    const Census census;
    const std::string lines = numbered_lines(1 << 20);
    leash::Popen p(child({"cat"}), at_terminal(census));
    const leash::Captured captured = p.communicate(lines, 60s);
    CHECK_FALSE(captured.timed_out);
    CHECK(captured.unwritten == 0);
    CHECK((captured.out == with_returns(lines)));
}

TEST_CASE("a child that does not read does not hold the host up") {
    const Census census;
    leash::Popen p(child({"print-and-wait", "ready"}), at_terminal(census));
    REQUIRE(p.out().expect("ready", 20s));
    const std::string lines = numbered_lines(1 << 20);
    const leash::Written written = p.in().write(lines, 50ms);
    CHECK_FALSE(written.complete);
    CHECK(written.timed_out);
    CHECK(written.count < lines.size());
    const leash::Captured captured = p.communicate(lines, 50ms);
    CHECK(captured.timed_out);
    CHECK(captured.unwritten > 0);
}

TEST_CASE("communicate() goes on where it was") {
    const Census census;
    leash::Popen p(child({"wait-then-cat"}), at_terminal(census));
    const std::string lines = "x\n" + numbered_lines(200'000);
    leash::Captured captured = p.communicate(lines, 0s);
    CHECK(captured.timed_out);
    for (int i = 0; i < 1000 && captured.timed_out; ++i) captured = p.communicate({}, 100ms);
    CHECK((captured.out == with_returns("ready\n" + lines.substr(1))));
    REQUIRE(captured.status);
    CHECK(captured.status->success());
}

// ---- how it ends

TEST_CASE("the terminal hangs up when its Popen dies or lets go, also for what is in another group") {
    const Census census;
    const NothingLeft before;
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    std::FILE* const report = ::fdopen(ends[0], "re");
    char line[16] = "";
    const auto next = [&] { return std::string(std::fgets(line, sizeof line, report) != nullptr ? line : "end"); };
    leash::Options options = at_terminal(census);
    options.pass_fds = {{ends[1], 7}};
    std::optional<leash::Popen> p;
    SUBCASE("destroyed: the job in the foreground of a shell goes with it, whether or not it heard of it") {
        p.emplace(leash::args({"sh", "-m", "-c", "\"$0\" report-signals 7; true", support::helper()}), options);
        REQUIRE(next() == "ready\n");
        p.reset();
        CHECK(census.is_empty());
        ::close(std::exchange(ends[1], -1));
        const std::string heard = next();
        CHECK((heard == "01\n" || heard == "end"));
    }
    SUBCASE("detached: its leader hears of it") {
        p.emplace(child({"report-signals", "7"}), options);
        REQUIRE(next() == "ready\n");
        const pid_t leader = p->detach();
        CHECK(next() == "01\n");
        ::kill(leader, SIGKILL);
        CHECK(::waitpid(leader, nullptr, 0) == leader);
    }
    ::close(ends[1]);
    std::fclose(report);
    p.reset();
    CHECK(before.holds());
}

TEST_CASE("what has no terminal is refused, with the way out") {
    const Census census;
    const NothingLeft before;
    const auto refusal = [&](leash::Options options) {
        options.env = census.env();
        auto refused = leash::Popen::try_spawn(child({"exit", "0"}), std::move(options));
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == std::errc::invalid_argument);
        CHECK(refused.error().step == Step::options);
        return refused.error();
    };
    leash::Options options;
    options.in = leash::tty;
    CHECK(refusal(options).subject == "in");  // nobody would read it
    options.out = leash::piped;
    options.err = leash::to_out;
    CHECK(refusal(options).subject == "in");
    for (const Group group : {Group::inherited, Group::foreground}) {
        options = at_terminal(census);
        options.group = group;
        CHECK(refusal(options).subject == "group");
    }
    for (int which = 0; which < 3; ++which) {
        options = support::capture(census);
        if (which == 0) options.in = leash::tty, options.out = leash::tty;
        if (which == 1) options.out = leash::tty;
        if (which == 2) options.err = leash::tty;
        const auto refused = leash::try_run(child({"cat"}) | child({"cat"}), options);
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().subject == "tty");
    }
    CHECK(before.holds());
}

TEST_CASE("a start that fails leaves no terminal") {
    const Census census;
    const NothingLeft before;
    const support::TemporaryDirectory directory;
    const std::string script = directory.file("script", "no #!", 0755);
    for (int round = 0; round < 200; ++round) {
        CHECK_FALSE(leash::Popen::try_spawn(leash::args({"/no/such/program"}), at_terminal(census)).has_value());
        const auto refused = leash::Popen::try_spawn(leash::args({script}), at_terminal(census));
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code.value() == ENOEXEC);
        CHECK(refused.error().step == Step::program);
    }
    CHECK(before.holds());
}

TEST_CASE("a host that is out of descriptors is told so") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        std::vector<int> taken;
        for (int fd; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken.push_back(fd);
        std::size_t freed = 0;
        for (;; ++freed) {  // one free descriptor more each time, until there are enough
            auto started = leash::Popen::try_spawn(child({"print", "x"}), at_terminal(census));
            if (started) {
                HOST_NEEDS(started->communicate().out == "x");
                break;
            }
            HOST_NEEDS(started.error().code.value() == EMFILE);
            HOST_NEEDS(::fcntl(taken.back() + 1, F_GETFD) < 0 && !support::has_children());
            HOST_NEEDS(freed < 20 && !taken.empty());
            ::close(taken.back());
            taken.pop_back();
        }
        HOST_NEEDS(freed > 1);
        return "";
    });
    CHECK(wrong == "");
}

// ---- many

TEST_CASE("a thousand terminals one after the other leave nothing") {
    const Census census;
    const NothingLeft before;
    for (int i = 0; i < 1000; ++i) {
        leash::Options options = at_terminal(census);
        if (i % 2 == 1) options.in = leash::null;
        REQUIRE(leash::run(child({"print", "x"}), options).out == "x");
    }
    CHECK(before.holds());
}

TEST_CASE("fifty terminals at once are fifty") {
    const Census census;
    const NothingLeft before;
    {
        std::vector<leash::Popen> all;
        std::set<std::string> paths;
        for (int i = 0; i < 50; ++i)
            all.emplace_back(leash::shell("tty; read x; echo \"$1 $x\"", {std::to_string(i)}), at_terminal(census));
        for (leash::Popen& p : all) paths.insert(p.out().expect("\r\n", 20s).before);
        CHECK(paths.size() == 50);
        for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i].in().write(std::to_string(i * i) + "\n", 20s));
        for (std::size_t i = 0; i < all.size(); ++i)
            CHECK(all[i].communicate({}, 20s).out == std::to_string(i) + " " + std::to_string(i * i) + "\r\n");
    }
    CHECK(census.reaches(0));
    CHECK(before.holds());
}

TEST_SUITE_BEGIN("threads: terminals");

TEST_CASE("threads have terminals of their own") {
    const Census census;
    const NothingLeft before;
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 25; ++i) {
                const std::string line = std::to_string(t) + "." + std::to_string(i);
                leash::Popen p(child({"ping-pong"}), at_terminal(census));
                if (p.communicate(line + "\n", 60s).out != "got " + line + "\r\n") ++wrong;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(before.holds());
}

TEST_CASE("one thread resizes while another one reads") {
    const Census census;
    leash::Popen p(child({"window"}), output_at_terminal(census));
    std::atomic<bool> done{false};
    std::atomic<int> refused{0};
    std::thread resizer([&] {
        for (unsigned short i = 0; !done; ++i) {
            if (!p.resize(static_cast<unsigned short>(100 + i % 100), 7)) ++refused;
        }
    });
    std::size_t lines = 0;
    for (const std::string_view line : p.out().lines(60s)) {
        CHECK(line.find("x") != std::string_view::npos);
        if (++lines == 200) break;
    }
    done = true;
    resizer.join();
    CHECK(lines == 200);
    CHECK(refused == 0);
    CHECK(p.resize(11, 12).has_value());
    CHECK(p.out().expect("11x12\r\n", 20s));
}

TEST_SUITE_END();

// ---- programs that behave otherwise at a terminal

TEST_CASE("ls colours its list at a terminal, and nowhere else") {
    const Census census;
    leash::Options options = output_at_terminal(census);
    options.env.set("TERM", "xterm").set("LS_COLORS", "di=01;34");
    const leash::Command command = leash::args({"ls", "--color=auto", "-d", "/"});
    if (!leash::run(command, options).ok()) return;  // not every ls has colours
    CHECK(leash::run(command, options).out.find("\33[") != std::string::npos);
    options.out = leash::piped;
    CHECK(leash::run(command, options).out == "/\n");
}

TEST_CASE("python3 -i talks") {
    if (!has("python3")) return;
    const Census census;
    leash::Options options = at_terminal(census);
    options.env.set("TERM", "dumb").set("PYTHON_BASIC_REPL", "1");
    leash::Popen p(leash::args({"python3", "-q", "-i"}), options);
    REQUIRE(p.out().expect(">>> ", 60s));
    REQUIRE(p.in().write("6*7\n", 20s));
    const leash::Match answer = p.out().expect(">>> ", 20s);
    CHECK(answer.complete);
    CHECK(answer.before.find("42") != std::string::npos);
    p.in().close();
    CHECK(p.wait_for(20s).value_or(leash::ExitStatus()).success());
}

TEST_CASE("a password is asked for at the terminal, wherever the streams go, and is not echoed") {
    const Census census;
    leash::Options options = at_terminal(census);
    options.terminal.echo = true;
    options.out = leash::piped;
    options.err = leash::tty;
    leash::Popen p(child({"password"}), options);
    const leash::Match prompt = p.err().expect({"Password: "}, 20s);
    REQUIRE(prompt.complete);
    REQUIRE(p.in().write("sesame\n", 20s));
    const leash::Captured captured = p.communicate({}, 20s);
    CHECK(captured.out == "it is sesame");
    CHECK(captured.err.find("sesame") == std::string::npos);
    REQUIRE(captured.status);
    CHECK(captured.status->success());
}

TEST_CASE("an interactive shell has its prompt, its job control, and ends at Ctrl-D") {
    const Census census;
    leash::Options options = at_terminal(census);
    options.env.set("PS1", "leash> ").set("ENV", "");
    leash::Popen p(leash::args({"sh", "-i"}), options);
    CHECK(p.out().expect("leash> ", 20s).before == "");  // dash complains here where it has no job control
    REQUIRE(p.in().write("echo $((6 * 7))\n", 20s));
    CHECK(p.out().expect("leash> ", 20s).before == "42\r\n");
    REQUIRE(p.in().write("'" + support::helper() + "' print-and-wait ready\n", 20s));
    CHECK(p.out().expect("ready", 20s));
    REQUIRE(p.in().write("\3", 20s));
    CHECK(p.out().expect("leash> ", 20s));
    p.in().close();
    CHECK(p.out().read_all(20s).complete);
    CHECK(p.wait_for(20s).has_value());
}

TEST_CASE("close() closes, also while another thread resizes") {
    const Census census;
    int left_open = 0;
    for (int i = 0; i < 200; ++i) {
        leash::Popen p(child({"sleep"}), output_at_terminal(census));
        std::atomic<bool> begun{false};
        std::thread resizer([&] {
            while (p.resize(5, 5)) begun = true;
            begun = true;
        });
        while (!begun) std::this_thread::yield();
        p.out().close();
        if (p.out().is_open()) ++left_open;
        p.kill();
        static_cast<void>(p.out().read_all(20s));
        resizer.join();
    }
    CHECK(left_open == 0);
}

TEST_CASE("writing to a terminal that nobody has open any more costs nothing while it waits") {
    const Census census;
    leash::Popen p(child({"close-all"}), at_terminal(census));
    REQUIRE(p.out().read_all(20s).complete);
    const std::string text = numbered_lines(1 << 20);
    const support::Effort effort;
    CHECK_FALSE(p.in().write(text, 2s).complete);
    CHECK(effort.time() < 100ms);
}

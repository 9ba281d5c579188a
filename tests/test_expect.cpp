// tests/test_expect.cpp - conversations: Reader::expect() and expect_if(), on pipes and at a terminal.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12 sees ghosts in <regex>, with a sanitizer
#endif

#include <doctest/doctest.h>

#include "support.hpp"

#include <regex>
#include <stdexcept>

using support::Census;
using support::child;
using support::NothingLeft;
using support::pattern;
using support::Stopwatch;
using namespace std::chrono_literals;

namespace {

leash::Options talking(const Census& census) {
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    return options;
}

/// What is written to it comes out again, in its own time.
leash::Popen echo(const Census& census) { return leash::Popen(child({"cat"}), talking(census)); }

/// Writes it, and sees that all of it is there to be read at once.
void has_come(leash::Popen& p, const std::string& text) {
    REQUIRE(p.in().write(text, 20s));
    REQUIRE(support::eventually([&] {
        std::string all;
        const auto look = [&](std::string_view waiting) {
            all = std::string(waiting);
            return std::string_view();
        };
        static_cast<void>(p.out().expect_if(look, 0s));
        return all.size() >= text.size() && all.substr(all.size() - text.size()) == text;
    }));
}

/// For expect_if(): what a regular expression matches first.
auto matches(const std::regex& expression) {
    return [&expression](std::string_view waiting) {
        std::cmatch found;
        const char* const end = waiting.data() + waiting.size();
        if (!std::regex_search(waiting.data(), end, found, expression)) return std::string_view();
        return std::string_view(found[0].first, static_cast<std::size_t>(found[0].length()));
    };
}

}  // namespace

TEST_CASE("expect() reads up to a pattern, and what stands behind it stays") {
    const Census census;
    leash::Popen p = echo(census);
    has_come(p, "Welcome\nlogin: Password: ");
    const leash::Match first = p.out().expect("login: ", 20s);
    CHECK(first);
    CHECK(first.complete);
    CHECK(first.which == 0);
    CHECK(first.before == "Welcome\n");
    CHECK(first.matched == "login: ");
    CHECK_FALSE(first.eof);
    CHECK_FALSE(first.timed_out);
    CHECK_FALSE(first.error);
    CHECK(p.out().expect("Pass", 20s).before == "");
    CHECK(p.out().expect("word: ", 20s).before == "");
    CHECK_FALSE(p.out().try_read().complete);
}

TEST_CASE("of several patterns the one that comes first in the stream counts, then the one that is first in the list") {
    const Census census;
    leash::Popen p = echo(census);
    has_come(p, "one two three");
    leash::Match match = p.out().expect({"three", "two", "one"}, 20s);
    CHECK(match.which == 2);
    CHECK(match.matched == "one");
    match = p.out().expect({"three", "tw", "two"}, 20s);  // at the same place: the list decides, not the length
    CHECK(match.which == 1);
    CHECK(match.matched == "tw");
    CHECK(match.before == " ");
    const std::vector<std::string> patterns = {"none", "o three", "three"};
    match = p.out().expect(patterns, 20s);
    CHECK(match.which == 1);
    CHECK(match.before == "");
}

TEST_CASE("a pattern may come in pieces, at any border") {
    const Census census;
    const std::string text = "xabababacy";
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        for (std::size_t again = cut; again <= text.size(); ++again) {
            CAPTURE(cut);
            CAPTURE(again);
            leash::Popen p = echo(census);
            if (cut > 0) has_come(p, text.substr(0, cut));
            CHECK(p.out().expect({"nothing", "ababac"}, 0s).complete == (cut >= 9));
            if (cut >= 9) break;
            if (again > cut) has_come(p, text.substr(cut, again - cut));
            CHECK(p.out().expect({"ababac"}, 0s).complete == (again >= 9));
            if (again >= 9) continue;
            REQUIRE(p.in().write(text.substr(again), 20s));
            const leash::Match match = p.out().expect({"acaba", "ababac", "abc"}, 20s);
            CHECK(match.which == 1);
            CHECK(match.before == "xab");
            CHECK(match.matched == "ababac");
        }
    }
}

TEST_CASE("one call sees a pattern that comes piece by piece while it waits") {
    const Census census;
    leash::Options options = talking(census);
    leash::Popen p(child({"print-slowly", "h", "e", "l", "lo", " wor", "l", "d", "!", "more"}), options);
    const leash::Match match = p.out().expect({"word", "hello world!", "o worlds"}, 20s);
    CHECK(match.which == 1);
    CHECK(match.before == "");
    CHECK(p.out().read_all(20s).data == "more");
}

TEST_CASE("when its time is up, all that came stays for the next call") {
    const Census census;
    leash::Popen p = echo(census);
    has_come(p, "some text, not a promp");
    const Stopwatch watch;
    leash::Match match = p.out().expect({"prompt", "$ "}, 30ms);
    CHECK(watch.elapsed() >= 30ms);
    CHECK_FALSE(match);
    CHECK(match.timed_out);
    CHECK_FALSE(match.eof);
    CHECK_FALSE(match.error);
    CHECK(match.before == "");
    CHECK(match.matched == "");
    CHECK_FALSE(p.out().expect("prompt", 0s));
    REQUIRE(p.in().write("t> ", 20s));
    match = p.out().expect("prompt", 20s);
    CHECK(match.before == "some text, not a ");
    CHECK(p.out().read_until(" ", 20s).data == "> ");
}

TEST_CASE("at the end of the stream it gives the rest") {
    const Census census;
    leash::Popen p(child({"print", "the ", "rest"}), talking(census));
    leash::Match match = p.out().expect({"never", "the rest of it"}, 20s);
    CHECK_FALSE(match);
    CHECK(match.eof);
    CHECK_FALSE(match.timed_out);
    CHECK_FALSE(match.error);
    CHECK(match.before == "the rest");
    CHECK(match.matched == "");
    match = p.out().expect("more", 20s);
    CHECK(match.eof);
    CHECK(match.before == "");
    CHECK(p.wait().success());

    leash::Popen q(child({"print", "the end"}), talking(census));  // the last of it can be what was looked for
    match = q.out().expect("end", 20s);
    CHECK(match);
    CHECK_FALSE(match.eof);
}

TEST_CASE("a stream that is not piped is an error, and closed ones are at their end") {
    const Census census;
    leash::Popen p(child({"sleep"}), support::silent(census));
    const leash::Match match = p.out().expect("x", 20s);
    CHECK_FALSE(match);
    CHECK(match.error.value() == EBADF);
    CHECK_FALSE(match.timed_out);

    leash::Popen q = echo(census);
    has_come(q, "abc");
    q.out().close();
    CHECK(q.out().expect("b", 20s));  // what has been read before can still be taken
    CHECK(q.out().expect("b", 20s).before == "c");
}

TEST_CASE("an empty pattern is there at once, and no pattern at all is never") {
    const Census census;
    leash::Popen p = echo(census);
    leash::Match match = p.out().expect("", 20s);
    CHECK(match);
    CHECK(match.before == "");
    CHECK(match.matched == "");
    has_come(p, "text");
    CHECK(p.out().expect({"text", ""}, 20s).which == 0);
    has_come(p, "text");
    CHECK(p.out().expect({"ext", ""}, 20s).which == 1);
    CHECK(p.out().expect(std::initializer_list<std::string_view>{}, 0s).timed_out);
    p.in().close();
    match = p.out().expect(std::initializer_list<std::string_view>{}, 20s);
    CHECK(match.eof);
    CHECK(match.before == "text");
}

TEST_CASE("patterns are bytes: NUL and all") {
    const Census census;
    leash::Popen p = echo(census);
    has_come(p, std::string("a\0b\0\0c", 6));
    leash::Match match = p.out().expect(std::string_view("\0\0", 2), 20s);
    CHECK(match.before == std::string("a\0b", 3));
    CHECK(match.matched == std::string("\0\0", 2));
    CHECK(p.out().read(10, 20s).data == "c");
}

TEST_CASE("expect_if() takes a function: a regular expression, say") {
    const Census census;
    leash::Popen p = echo(census);
    const std::regex version("version ([0-9]+)\\.([0-9]+)\n");
    REQUIRE(p.in().write("a program, ver", 20s));
    CHECK(p.out().expect_if(matches(version), 10ms).timed_out);
    REQUIRE(p.in().write("sion 3.14\nready\n", 20s));
    leash::Match match = p.out().expect_if(matches(version), 20s);
    CHECK(match);
    CHECK(match.which == 0);
    CHECK(match.before == "a program, ");
    CHECK(match.matched == "version 3.14\n");
    match = p.out().expect_if(matches(std::regex("^$|y")), 20s);
    CHECK(match.before == "read");
    match = p.out().expect_if([](std::string_view waiting) { return waiting.substr(0, 0); }, 20s);
    CHECK(match);  // nothing, but found
    CHECK(match.matched == "");
    p.in().close();
    match = p.out().expect_if(matches(version), 20s);
    CHECK(match.eof);
    CHECK(match.before == "\n");
}

TEST_CASE("what the function throws leaves through expect_if(), and nothing is lost") {
    const Census census;
    leash::Popen p = echo(census);
    has_come(p, "text");
    const auto throws = [](std::string_view) -> std::string_view { throw std::runtime_error("no"); };
    CHECK_THROWS_AS(p.out().expect_if(throws, 20s), std::runtime_error);
    CHECK(p.out().expect("xt", 20s).before == "te");
}

TEST_CASE("it gets on with the other ways to read") {
    const Census census;
    leash::Options options = talking(census);
    options.max_output = 9;
    leash::Popen p(child({"cat"}), options);
    has_come(p, "one\ntwo\nthree\nfour\nfive\n");
    for (const std::string_view line : p.out().lines(20s)) {
        CHECK(line == "one");  // counts as read
        break;
    }
    CHECK(p.out().expect("o", 20s).before == "tw");
    CHECK(p.out().read(3, 20s).data == "\nth");
    CHECK(p.out().expect("ee\n", 20s).before == "r");
    leash::Captured captured = p.communicate({}, 20s);  // the limit is communicate()'s alone
    CHECK(captured.out == "four\nfive");
    CHECK(captured.out_dropped == 1);

    leash::Popen q(child({"cat"}), options);
    has_come(q, "0123456789abcdef");
    CHECK(q.out().expect("abc", 20s).before == "0123456789");
    captured = q.communicate("", 0s);
    if (!captured.status) captured = q.communicate("", 20s);  // the one that finds the end hands over
    CHECK(captured.out == "def");
}

TEST_CASE("a timed-out communicate() leaves to expect() what it has read, beyond its limit too") {
    const Census census;
    leash::Options options = talking(census);
    options.in = leash::null;
    options.max_output = 4;
    options.keep = leash::Keep::tail;
    leash::Popen p(child({"print-and-wait", "0123456789"}), options);
    CHECK(support::eventually([&] { return p.communicate({}, 10ms).out == "6789"; }));
    CHECK(p.out().expect("8", 20s).before.substr(0, 2) == "01");
}

TEST_CASE("a long way to the pattern, with megabytes before it, takes no more than one look at each byte") {
    const Census census;
    constexpr std::size_t size = 8'000'000;
    leash::Popen p(leash::shell("\"$1\" write \"$2\"; echo END", {support::helper(), std::to_string(size)}),
                   talking(census));
    const Stopwatch watch;
    const leash::Match match = p.out().expect({"nowhere", "END\n", "nor here"}, 60s);
    CHECK(match.which == 1);
    CHECK((match.before == pattern(size)));
    CHECK(watch.elapsed() < 30s);
}

TEST_CASE("err has expect() too, also that of one stage") {
    const Census census;
    leash::Popen p(child({"print-to", "2", "error: no such thing\n"}), talking(census));
    CHECK(p.err().expect({"warning: ", "error: "}, 20s).which == 1);
    CHECK(p.err().expect("\n", 20s).before == "no such thing");
    leash::Options options = talking(census);
    options.err = leash::per_stage;
    leash::Popen q(child({"print-to", "2", "first\n"}) | child({"print-to", "2", "second\n"}), options);
    CHECK(q.err(1).expect("\n", 20s).before == "second");
    CHECK(q.err(0).expect("\n", 20s).before == "first");
}

TEST_CASE("the job's own deadline ends the wait: then the stream is at its end") {
    const Census census;
    leash::Options options = talking(census);
    CHECK(support::in_time(100ms, [&](std::chrono::milliseconds timeout) {
        options.timeout = timeout;
        leash::Popen p(child({"print-and-wait", "some"}), options);
        const leash::Match match = p.out().expect("more");
        CHECK(match.eof);
        CHECK_FALSE(match.timed_out);
        CHECK(p.timed_out());
        return match.before == "some";
    }));
}

TEST_CASE("a conversation of many turns, on pipes and at a terminal") {
    const Census census;
    const NothingLeft before;
    for (const bool terminal : {false, true}) {
        CAPTURE(terminal);
        leash::Options options = talking(census);
        if (terminal) options.in = leash::tty, options.out = leash::tty, options.err = leash::tty;
        leash::Popen p(child({"ping-pong"}), options);  // at the terminal each line is echoed before it is answered
        for (int i = 0; i < 200; ++i) {
            const std::string word = "word " + std::to_string(i) + ".";
            REQUIRE(p.in().write(word + "\n", 20s));
            const leash::Match match = p.out().expect({"no such", "got " + word}, 20s);
            REQUIRE(match.which == 1);
            CHECK((match.before.find("got") == std::string::npos));
            CHECK((match.before.find(word) != std::string::npos) == terminal);
        }
        p.in().close();
        CHECK(p.out().read_all(20s).complete);
        CHECK(p.wait().success());
    }
    CHECK(before.holds());
}

TEST_CASE("a question is answered once it has been asked") {
    const Census census;
    leash::Popen p(leash::shell("printf 'login: '; read -r who; printf 'password: '; read -r word; "
                                "if [ \"$word\" = sesame ]; then echo \"welcome $who\"; else echo denied; fi"),
                   talking(census));
    REQUIRE(p.out().expect("login: ", 20s));
    REQUIRE(p.in().write("joe\n", 20s));
    REQUIRE(p.out().expect({"denied", "password: "}, 20s).which == 1);
    REQUIRE(p.in().write("sesame\n", 20s));
    const leash::Match match = p.out().expect({"denied", "welcome "}, 20s);
    CHECK(match.which == 1);
    CHECK(p.out().read_until("\n", 20s).data == "joe\n");
    CHECK(p.wait().success());
}

// ---- what waits is searched once

namespace {

/// A job that has written `count` bytes of lines, all of which wait to be read; it lives on.
leash::Popen with_waiting(const Census& census, std::size_t count) {
    leash::Popen p(leash::shell("\"$1\" write \"$2\"; exec \"$1\" sleep", {support::helper(), std::to_string(count)}),
                   support::capture(census));
    std::size_t have = 0;
    const auto look = [&](std::string_view waiting) {
        have = waiting.size();
        return have >= count ? waiting.substr(0, 0) : std::string_view();
    };
    REQUIRE(p.out().expect_if(look, 60s).complete);
    REQUIRE(have == count);
    return p;
}

}  // namespace

TEST_CASE("a pattern that does not come costs expect() nothing at each one that does") {
    const Census census;
    constexpr std::size_t size = std::size_t{2} << 20;
    std::size_t lines = 0;
    const auto read_with = [&](bool and_another) {
        leash::Popen p = with_waiting(census, size);
        lines = 0;
        leash::Reader out = p.out();
        while (and_another ? out.expect({"ERROR", "\n", "FATAL"}, 0s).complete : out.expect("\n", 0s).complete) ++lines;
        p.kill();
    };
    CHECK(support::growth([&] { read_with(false); }, [&] { read_with(true); }) < 20);
    CHECK(lines == size / 64);
}

TEST_CASE("what comes late is looked for in what is new only, by however many calls, for however many patterns") {
    const Census census;
    leash::Popen little = with_waiting(census, 64), much = with_waiting(census, std::size_t{16} << 20);
    const auto ask = [](leash::Popen& p) {
        leash::Reader out = p.out();
        for (int i = 0; i < 100; ++i) {
            CHECK_FALSE(out.read_until("> ", 0s).complete);
            CHECK_FALSE(out.expect({"$ ", "# ", "password: "}, 0s).complete);
        }
    };
    CHECK(support::growth([&] { ask(little); }, [&] { ask(much); }) < 20);
    little.kill();
    much.kill();
}

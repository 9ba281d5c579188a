// tests/test_command.cpp - what is run: a list that no shell sees, or a script that says so.
#include <doctest/doctest.h>

#include "support.hpp"

#include <string_view>

using leash::Step;
using support::Census;
using support::child;
using support::NothingLeft;

namespace {

using Strings = std::vector<std::string>;

/// What a NUL-separated text holds.
Strings split_nul(const std::string& text) {
    Strings list;
    std::size_t from = 0;
    for (std::size_t end; (end = text.find('\0', from)) != std::string::npos; from = end + 1)
        list.push_back(text.substr(from, end - from));
    return list;
}

/// The arguments as a child sees them.
Strings seen(Strings arguments) {
    const Census census;
    Strings argv{support::helper(), "echo-args"};
    for (std::string& one : arguments) argv.push_back(std::move(one));
    const leash::Result result = leash::run(leash::args(std::move(argv)), support::capture(census));
    CHECK(result.ok());
    return split_nul(result.out);
}

leash::Error refusal(leash::Command command, leash::Options options = {}) {
    const NothingLeft before;
    auto refused = leash::try_run(std::move(command), std::move(options));
    CHECK_FALSE(refused.has_value());
    CHECK(before.holds());
    return refused.error();
}

std::string every_byte() {
    std::string all;
    for (int byte = 1; byte < 256; ++byte) all += static_cast<char>(byte);
    return all;
}

struct Converts {
    operator std::string() const { return "converted"; }
};
struct Views {
    operator std::string_view() const { return "viewed"; }
};
struct Both {
    operator std::string() const { return "both"; }
    operator std::string_view() const { return "both"; }
};

}  // namespace

TEST_CASE("a bare list never meets a shell") {
    const Strings tempting{"$HOME",     "`id`",  "$(id)", "a;id",  "a|id",        "a&&id",     "*",   "~",
                           "a b",       " lead", "\"q\"", "'q'",   "\\",          ">out",      "<in", "#c",
                           "!x",        "-n",    "--",    "{a,b}", "line\nbreak", "tab\there", "%s",  "a=b",
                           "$1 \"$@\"", "&",     ";",     "()",    "\r\n",        "[a-z]"};
    CHECK(seen(tempting) == tempting);
}

TEST_CASE("arguments of no length arrive, at the end too") {
    const Strings with_empty{"", "a", "", "", "b", ""};
    CHECK(seen(with_empty) == with_empty);
}

TEST_CASE("an argument arrives with every byte but NUL") {
    const std::string all = every_byte();
    const std::string backwards(all.rbegin(), all.rend());
    CHECK(seen({all, backwards, all + all}) == Strings{all, backwards, all + all});
}

TEST_CASE("a long argument and many arguments arrive whole") {
    Strings many;
    for (int i = 0; i < 2000; ++i) many.push_back("argument " + std::to_string(i));
    many.push_back(std::string(100'000, 'x'));
    CHECK(seen(many) == many);
}

TEST_CASE("an argument is made from whatever is a string") {
    const std::string text = "string";
    const std::string_view view = std::string_view("a view of more").substr(0, 6);
    const char* const pointer = "pointer";
    const leash::Command list{"literal", text, view, pointer, Converts(), std::string("moved"), Views(), Both()};
    CHECK(list.argv() == Strings{"literal", "string", "a view", "pointer", "converted", "moved", "viewed", "both"});
    CHECK(leash::Arg(view).str() == "a view");
    static_assert(!std::is_constructible_v<leash::Arg, std::nullptr_t>);
}

TEST_CASE("args() takes what main() gets, and an argument may be of any type of bytes") {
    const char* const argv[] = {"program", "a b", "", nullptr};
    CHECK(leash::args(3, argv).argv() == Strings{"program", "a b", ""});
    CHECK(leash::args(2, argv + 1).argv() == Strings{"a b", ""});
    CHECK(leash::args(0, argv).argv().empty());
    CHECK(leash::args(-1, argv).argv().empty());
    char one[] = "x";
    char* of_main[] = {one, nullptr};
    CHECK(leash::args(1, of_main).argv() == Strings{"x"});
    CHECK(refusal(leash::args(4, argv)).subject == "argument 3");

    const unsigned char bytes[] = {0xc3, 0xa9, 0};
    CHECK(leash::args({u8"\u00e9", bytes, one}).argv() == Strings{"\xc3\xa9", "\xc3\xa9", "x"});
}

TEST_CASE("args() takes what execvp() gets: an array that ends with a null pointer") {
    const char* const fixed[] = {"program", "", "a b", nullptr};
    const char* whole[] = {"program", "x"};  // without its null pointer: never read beyond its end
    char word[] = "x";
    char* of_main[] = {word, nullptr};
    char** pointer = of_main;
    CHECK(leash::args(fixed).argv() == Strings{"program", "", "a b"});
    CHECK(leash::args(fixed + 1).argv() == Strings{"", "a b"});
    CHECK(leash::args(fixed + 3).argv().empty());
    CHECK(leash::args(whole).argv() == Strings{"program", "x"});
    CHECK(leash::args(of_main).argv() == Strings{"x"});
    CHECK(leash::args(pointer).argv() == Strings{"x"});
    pointer = nullptr;
    CHECK(leash::args(pointer).argv().empty());
}

TEST_CASE("args() takes a vector or a list, and a command copies and moves") {
    const Strings argv{"program", "one", ""};
    leash::Command command = leash::args(argv);
    CHECK(command.argv() == argv);
    CHECK(leash::args({"program", "one", ""}).argv() == argv);
    const leash::Command copy = command;
    CHECK(copy.argv() == argv);
    const leash::Command moved = std::move(command);
    CHECK(moved.argv() == argv);
    CHECK(leash::args(argv).argv() == argv);
}

TEST_CASE("shell() is the shell's -c, and its parameters are data") {
    CHECK(leash::shell("echo").argv() == Strings{"/bin/sh", "-c", "--", "echo", "sh"});
    CHECK(leash::shell("echo", {"a", std::string("b")}).argv() ==
          Strings{"/bin/sh", "-c", "--", "echo", "sh", "a", "b"});
    CHECK(leash::shell("echo", Strings{"x"}).argv() == Strings{"/bin/sh", "-c", "--", "echo", "sh", "x"});

    const Census census;
    const std::string evil = "; echo spliced $(echo run) `echo run` \" ' \n *";
    const leash::Result result =
        leash::run(leash::shell("printf '%s|' \"$0\" \"$#\" \"$1\" \"$2\"", {evil, ""}), support::capture(census));
    CHECK(result.ok());
    CHECK(result.out == "sh|2|" + evil + "||");
    CHECK(result.err == "");
}

TEST_CASE("a shell does what a shell does, because it was asked to") {
    const Census census;
    const leash::Result result = leash::run(leash::shell("echo one | tr o 0; exit 5"), support::capture(census));
    CHECK(result.out == "0ne\n");
    CHECK(result.status.describe() == "exited 5");
}

TEST_CASE(
    "a script that begins like an option is a script: neither the input nor a parameter is ever run in its place") {
    const Census census;
    for (const char* const script :
         {"-s", "-n", "-x", "-c", "-", "--", "+e", "+s", "-i", "-o", "-es", "-c echo", "-rm -f x"}) {
        CAPTURE(std::string(script));
        for (const bool with_parameter : {false, true}) {
            leash::Options options = support::capture(census);
            options.in = leash::bytes("echo the input was run\n");
            options.timeout = std::chrono::seconds(60);  // an interactive shell could wait
            leash::Command command =
                with_parameter ? leash::shell(script, {"echo a parameter was run"}) : leash::shell(script);
            const leash::Result result = leash::run(std::move(command), options);
            CHECK(result.out == "");
            CHECK(result.status.code() == 127);  // there is no such command
        }
    }
}

TEST_CASE("shell_quote() makes one word of any text") {
    CHECK(leash::shell_quote("") == "''");
    CHECK(leash::shell_quote("plain") == "'plain'");
    CHECK(leash::shell_quote("it's") == "'it'\\''s'");
    CHECK(leash::shell_quote("''") == "''\\'''\\'''");

    const Census census;
    for (const std::string& text : {every_byte(), std::string(), std::string("'"), std::string("a\nb\n"),
                                    std::string("$(id) `id` \"\\\" \\"), std::string("-n"), std::string("\\'")}) {
        const auto result =
            leash::run(leash::shell("printf '%s.' " + leash::shell_quote(text)), support::capture(census));
        CHECK(result.out == text + ".");
    }
}

TEST_CASE("a command as a line is what a shell makes the same command of") {
    CHECK(leash::args({"git", "log", "-1", "--format=%h", "a/b.c", "x@y:z,1+_"}).str() ==
          "git log -1 --format=%h a/b.c x@y:z,1+_");
    CHECK(leash::args({"echo", "", "it's", "a b", "*", "~"}).str() == "echo '' 'it'\\''s' 'a b' '*' '~'");
    CHECK(leash::args({"A=1", "B=2"}).str() == "'A=1' B=2");
    CHECK(leash::shell("echo $1", {"x y"}).str() == "/bin/sh -c -- 'echo $1' sh 'x y'");
    CHECK(leash::args(Strings{}).str() == "");

    const Census census;
    const Strings odd = {"printf", "<%s>", every_byte(), "",   "a\nb",  "#x", "!",
                         "$(id)",  "\\",   "é",          "-n", "{a,b}", "x=y"};
    const auto said = leash::run(leash::args(odd), support::capture(census));
    REQUIRE(said.ok());
    CHECK(leash::run(leash::shell(leash::args(odd).str()), support::capture(census)).out == said.out);
}

TEST_CASE("chomp() takes the newlines from the end of a text, as a shell does") {
    const Census census;
    for (const char* const text : {"", "\n", "\n\n", "a", "a\n", "a\n\n\n", "\na\nb \n", "a\r\n", " \n"}) {
        const auto by_shell =
            leash::run(leash::shell("x=$(printf %s \"$1\"); printf %s \"$x\"", {text}), support::capture(census));
        CHECK(leash::chomp(text) == by_shell.out);
    }
}

TEST_CASE("argv[0] is the caller's, also where another file is executed") {
    const Census census;
    leash::Options options = support::capture(census);
    options.executable = support::helper();
    CHECK(leash::run({"a name of its own", "argv0"}, options).out == "a name of its own");
    CHECK(leash::run({"", "argv0"}, options).out == "");
    CHECK(leash::run(child({"argv0"}), support::capture(census)).out == support::helper());
}

TEST_CASE("a program looked up in PATH keeps its short name as argv[0]") {
    const Census census;
    const leash::Result result = leash::run({"sh", "-c", "echo $0"}, support::capture(census));
    CHECK(result.out == "sh\n");
}

TEST_CASE("an empty list and an empty program are refused by name") {
    const leash::Error empty = refusal(leash::args(Strings{}));
    CHECK(empty.step == Step::command);
    CHECK(empty.code == std::errc::invalid_argument);
    CHECK(empty.message() == "leash: command: Invalid argument (the argument list is empty)");

    CHECK(leash::try_run({}).error().step == Step::command);
    CHECK_THROWS_AS(static_cast<void>(leash::run({})), leash::SpawnError);

    const leash::Error nameless = refusal({"", "x"});
    CHECK(nameless.step == Step::command);
    CHECK(nameless.code == std::errc::invalid_argument);
    CHECK(nameless.subject == "argument 0");
}

TEST_CASE("a NUL byte is refused, wherever it is, and never cuts an argument off") {
    const std::string nul("a\0b", 3);
    const leash::Error argument = refusal(leash::args(Strings{"true", "fine", nul}));
    CHECK(argument.step == Step::command);
    CHECK(argument.code == std::errc::invalid_argument);
    CHECK(argument.subject == "argument 2");
    CHECK(refusal(leash::args(Strings{nul})).subject == "argument 0");
    CHECK(refusal(leash::shell("echo " + leash::shell_quote(nul))).step == Step::command);
    CHECK(refusal(leash::shell("echo", Strings{nul})).step == Step::command);

    leash::Options options;
    options.executable = nul;
    const leash::Error executable = refusal({"true"}, options);
    CHECK(executable.step == Step::command);
    CHECK(executable.subject == "executable");
}

TEST_CASE("an argument list over the system's limit is E2BIG, by name") {
    Strings many(400, std::string(100'000, 'x'));  // all together: 6 MiB at most on Linux
    many.front() = support::helper();
    const leash::Error error = refusal(leash::args(std::move(many)));
    CHECK(error.code == std::errc::argument_list_too_long);
    CHECK(error.step == Step::spawn);
    CHECK(error.subject == support::helper());
    CHECK(error.message().find("exceed the system's limit") != std::string::npos);
}

TEST_CASE("an argument that is too long by itself is named, and so is a variable") {
    const std::size_t longest = leash::detail::sys::longest_string();
    if (longest == SIZE_MAX) return;  // no such limit here
    leash::Error error = refusal(leash::args(Strings{support::helper(), "exit", std::string(longest, 'x')}));
    CHECK(error.code == std::errc::argument_list_too_long);
    CHECK(error.step == Step::command);
    CHECK(error.subject == "argument 2");
    CHECK(error.message().find("longer than the system allows for one argument") != std::string::npos);
    // that is the limit exactly: one byte less is started
    CHECK(leash::run(leash::args(Strings{support::helper(), "exit", "0", std::string(longest - 1, 'x')})).ok());

    leash::Options options;
    options.env.set("SHORT", "x").set("LONG", std::string(longest, 'x'));
    error = refusal(child({"exit", "0"}), options);
    CHECK(error.code == std::errc::argument_list_too_long);
    CHECK(error.step == Step::environment);
    CHECK(error.subject == "LONG");
}

TEST_CASE("a null pointer as an argument is refused, and nothing is thrown out of a try_") {
    const char* const nothing = nullptr;
    const leash::Error error = refusal({"echo", "-n", nothing});
    CHECK(error.code == std::errc::invalid_argument);
    CHECK(error.step == Step::command);
    CHECK(error.subject == "argument 2");
    CHECK(std::string(error.hint) == "a null pointer");
    CHECK(refusal({nothing}).step == Step::command);
    CHECK(refusal(leash::shell("echo \"$1\"", {nothing})).step == Step::command);
}

TEST_CASE("args() and shell() take whatever converts to a vector of strings") {
    const Strings list{"echo", "one"};
    CHECK(leash::args(list).argv() == list);
    CHECK(leash::args(Strings(list)).argv() == list);
    const std::initializer_list<std::string> strings{"echo", "one"};
    CHECK(leash::args(strings).argv() == list);
    CHECK(leash::args({{"echo"}, {"one"}}).argv() == list);
    CHECK(leash::shell("echo", list).argv().back() == "one");
    CHECK(leash::shell("echo", strings).argv().back() == "one");
}

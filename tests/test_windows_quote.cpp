// tests/test_windows_quote.cpp - command lines for Windows, read back by the rules of those who read them there.
#if __has_include(<leash/detail/windows/quote.hpp>)  // the single header is without it, as long as nothing needs it
#include <doctest/doctest.h>

#include "support.hpp"
#include "windows_parsers.hpp"

#include <leash/detail/windows/quote.hpp>

using leash::Step;
using leash::detail::batch_command_line;
using leash::detail::is_batch_file;
using leash::detail::windows_command_line;
using windows::Pair;
using windows::Strings;

namespace {

/// The line, read back by every parser there is.
std::string line_of(const Strings& argv) {
    const auto line = windows_command_line(argv);
    REQUIRE(line.has_value());
    for (const Pair pair : {Pair::quote_and_on, Pair::quote_and_end, Pair::end_and_begin}) {
        CAPTURE(static_cast<int>(pair));
        CHECK(windows::to_argv(*line, pair) == argv);
    }
    return *line;
}

/// What stands behind the program.
std::string quoted(const std::string& argument) {
    const std::string line = line_of({"p", argument});
    REQUIRE(line.substr(0, 4) == "\"p\" ");
    return line.substr(4);
}

/// What stands behind the batch file, read back as cmd.exe does, and as a program does which gets %*.
std::string batch_of(const Strings& arguments) {
    Strings argv{"C:\\a folder\\run it.bat"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const auto line = batch_command_line(argv);
    REQUIRE(line.has_value());
    const auto batch = windows::to_batch(*line);
    REQUIRE(batch.has_value());
    CHECK(batch->file == argv.front());
    REQUIRE(batch->parameters.size() == arguments.size());
    for (std::size_t i = 0; i < arguments.size(); ++i) CHECK(windows::is_parameter(arguments[i], batch->parameters[i]));
    Strings handed_on = windows::to_argv("p" + batch->all, Pair::quote_and_on);
    handed_on.erase(handed_on.begin());
    CHECK(handed_on == arguments);
    return batch->all;
}

leash::Error refused(const leash::Expected<std::string>& line) {
    REQUIRE_FALSE(line.has_value());
    CHECK(line.error().step == Step::command);
    return line.error();
}

}  // namespace

TEST_CASE("the parsers read what is documented, and differ where they are known to") {
    const auto argv = [](const char* line, Pair pair = Pair::quote_and_on) { return windows::to_argv(line, pair); };
    CHECK(argv(R"(p "a b c" d e)") == Strings{"p", "a b c", "d", "e"});
    CHECK(argv(R"(p "ab\"c" "\\" d)") == Strings{"p", "ab\"c", "\\", "d"});
    CHECK(argv(R"(p a\\\b d"e f"g h)") == Strings{"p", R"(a\\\b)", "de fg", "h"});
    CHECK(argv(R"(p a\\\"b c d)") == Strings{"p", R"(a\"b)", "c", "d"});
    CHECK(argv(R"(p a\\\\"b c" d e)") == Strings{"p", R"(a\\b c)", "d", "e"});
    CHECK(argv(R"("C:\p q\" r)") == Strings{R"(C:\p q\)", "r"});
    CHECK(argv(R"(p "a""b c")") == Strings{"p", R"(a"b c)"});
    CHECK(argv(R"(p "a""b c")", Pair::quote_and_end) == Strings{"p", "a\"b", "c"});
    CHECK(argv(R"(p "a""b c")", Pair::end_and_begin) == Strings{"p", "ab c"});

    const auto safe = [](const std::string& rest) {
        return windows::to_batch("cmd.exe /d /e:on /v:off /s /c \"" + rest + "\"").has_value();
    };
    CHECK(safe(R"("x.bat" "a&b" c)"));
    CHECK_FALSE(safe(R"("x.bat" a&b)"));
    CHECK_FALSE(safe(R"("x.bat" "a" & b ")"));
    CHECK_FALSE(safe(R"("x.bat" "a%b")"));
    CHECK_FALSE(safe(R"("x.bat" "a)"));
    CHECK_FALSE(windows::to_batch("cmd.exe /c \"x.bat\"").has_value());
}

TEST_CASE("an argument is quoted where it has to be, and its backslashes where a quote follows") {
    CHECK(quoted("plain") == "plain");
    CHECK(quoted("") == R"("")");
    CHECK(quoted("a b") == R"("a b")");
    CHECK(quoted("a\tb") == "\"a\tb\"");
    CHECK(quoted("a\nb") == "\"a\nb\"");
    CHECK(quoted("*.c") == R"("*.c")");
    CHECK(quoted("it's") == R"("it's")");
    CHECK(quoted("\"") == R"("\"")");
    CHECK(quoted(R"(say "hi")") == R"("say \"hi\"")");
    CHECK(quoted(R"(C:\dir\)") == R"(C:\dir\)");
    CHECK(quoted(R"(C:\a dir\)") == R"("C:\a dir\\")");
    CHECK(quoted(R"(a\\b c)") == R"("a\\b c")");
    CHECK(quoted(R"(a\")") == R"("a\\\"")");
    CHECK(quoted(R"(\\" \)") == R"("\\\\\" \\")");
    CHECK(quoted("/c:%PATH% & | < > ^ !") == "\"/c:%PATH% & | < > ^ !\"");
    CHECK(quoted("h\u00e9 \u65e5\u672c") == "\"h\u00e9 \u65e5\u672c\"");
}

TEST_CASE("the program's name stands in quotes, and its backslashes are themselves") {
    CHECK(line_of({"p"}) == R"("p")");
    CHECK(line_of({""}) == R"("")");
    CHECK(line_of({R"(C:\Program Files\x.exe)", "a"}) == R"("C:\Program Files\x.exe" a)");
    CHECK(line_of({R"(C:\dir\x)", "", ""}) == R"("C:\dir\x" "" "")");
}

TEST_CASE("every text of a few dangerous characters arrives") {
    const std::string dangerous = " \t\"\\a*";
    std::vector<std::string> texts{""};
    for (std::size_t i = 0; i < texts.size() && texts[i].size() < 5; ++i) {
        for (const char c : dangerous) texts.push_back(texts[i] + c);
    }
    std::size_t wrong = 0;
    for (const std::string& text : texts) {
        const Strings argv{"p", text, "next", text};
        for (const Pair pair : {Pair::quote_and_on, Pair::quote_and_end, Pair::end_and_begin}) {
            if (windows::to_argv(*windows_command_line(argv), pair) != argv) ++wrong;
        }
    }
    CHECK(texts.size() == 9331);
    CHECK(wrong == 0);
}

TEST_CASE("what no command line can hold is refused, by the argument's number") {
    CHECK(refused(windows_command_line({})).message() ==
          "leash: command: Invalid argument (the argument list is empty)");
    CHECK(refused(windows_command_line({"a\"b"})).subject == "argument 0");
    CHECK(refused(windows_command_line({"C:\\dir\\", "a"})).subject == "argument 0");
    CHECK(refused(windows_command_line({"p", "", std::string("a\0b", 3)})).subject == "argument 2");
    CHECK(refused(windows_command_line({std::string(1, '\0')})).subject == "argument 0");

    const std::string most(32'766 - 4, 'x');  // less "p" and a blank
    CHECK(windows_command_line({"p", most}).has_value());
    CHECK(refused(windows_command_line({"p", most + "x"})).code == std::errc::argument_list_too_long);
}

TEST_CASE("a length is told in UTF-16") {
    using leash::detail::utf16_length;
    CHECK(utf16_length("") == 0);
    CHECK(utf16_length("ab") == 2);
    CHECK(utf16_length("\u00e9\u65e5") == 2);
    CHECK(utf16_length("\U0001F600") == 2);
}

TEST_CASE("a batch file is told by its name, as Windows does") {
    for (const char* const name : {"x.bat", "X.BAT", "dir\\x.Cmd", ".bat", "x.bat.", "x.bat. . ", "x.cmd  "})
        CHECK_MESSAGE(is_batch_file(name), name);
    for (const char* const name : {"", "bat", "x.exe", "x.bat.exe", "xbat", "x.ba", "x.bat\\y", "...", "x.bad"})
        CHECK_FALSE_MESSAGE(is_batch_file(name), name);
}

TEST_CASE("a batch file's arguments stand in quotes where cmd.exe could see more than text in them") {
    CHECK(batch_of({}) == "");
    CHECK(batch_of({"plain", "C:\\dir\\x.txt", "/s"}) == R"( plain C:\dir\x.txt /s)");
    CHECK(batch_of({"", "a b", ""}) == R"( "" "a b" "")");
    CHECK(batch_of({"a&calc.exe"}) == R"( "a&calc.exe")");
    CHECK(batch_of({"a|b", "a>b", "(a)", "^", "a,b", "a;b", "a=b", "'", "`", "\ta"}).size() > 0);
    CHECK(batch_of({"C:\\dir\\"}) == R"( C:\dir\)");
    CHECK(batch_of({"C:\\a dir\\", "&b"}) == R"( "C:\a dir\\" "&b")");
    CHECK(batch_of({"h\u00e9", "*"}) == " \"h\u00e9\" \"*\"");
}

TEST_CASE("what a batch file cannot safely be given is refused") {
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        const bool dangerous = (byte < 0x20 && c != '\t') || c == '"' || c == '%' || c == '!';
        CAPTURE(byte);
        const auto line = batch_command_line({"x.bat", "fine", std::string("a") + c});
        CHECK(line.has_value() == !dangerous);
        if (!line) CHECK(refused(line).subject == "argument 2");
        else CHECK(windows::to_batch(*line).has_value());
    }
    CHECK(refused(batch_command_line({"%x%.bat"})).subject == "argument 0");
    CHECK(refused(batch_command_line({})).subject == "");

    const std::string start = *batch_command_line({"x.bat", ""});
    const std::string most(8191 - start.size() + 2, 'x');
    CHECK(batch_command_line({"x.bat", most}).has_value());
    CHECK(refused(batch_command_line({"x.bat", most + "x"})).code == std::errc::argument_list_too_long);
}

#endif

// tests/windows_parsers.hpp - how Windows programs and cmd.exe take a command line apart, by their documented rules:
// what detail/windows/quote.hpp writes is read back with these.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace windows {

using Strings = std::vector<std::string>;

/// What two quotes in a row mean within quotes: the one thing in which the parsers differ.
enum class Pair {
    quote_and_on,   ///< a quote, and the quotes go on: the C runtime since 2008
    quote_and_end,  ///< a quote, and the quotes end: CommandLineToArgvW, and older C runtimes
    end_and_begin   ///< nothing special: the documentation of CommandLineToArgvW
};

inline bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// argv, the program first. Its name ends at the next quote where it begins with one, else at a blank; of the others,
/// 2n backslashes and a quote are n backslashes and a beginning or an end of quotes, 2n + 1 and a quote are n and a
/// quote, and all other backslashes are themselves.
inline Strings to_argv(std::string_view line, Pair pair) {
    std::size_t at = line.empty() || line[0] != '"' ? line.find_first_of(" \t") : line.find('"', 1);
    if (at == std::string_view::npos) at = line.size();
    const bool quoted = !line.empty() && line[0] == '"';
    Strings argv{std::string(line.substr(quoted ? 1 : 0, quoted ? at - 1 : at))};
    if (quoted && at < line.size()) ++at;

    for (;;) {
        while (at < line.size() && is_blank(line[at])) ++at;
        if (at >= line.size()) return argv;
        std::string argument;
        bool in_quotes = false;
        while (at < line.size() && (in_quotes || !is_blank(line[at]))) {
            std::size_t backslashes = 0;
            for (; at < line.size() && line[at] == '\\'; ++at) ++backslashes;
            if (at >= line.size() || line[at] != '"') {
                argument.append(backslashes, '\\');
                if (at < line.size() && (in_quotes || !is_blank(line[at]))) argument += line[at++];
                continue;
            }
            argument.append(backslashes / 2, '\\');
            ++at;
            if (backslashes % 2 == 1) {
                argument += '"';
            } else if (in_quotes && pair != Pair::end_and_begin && at < line.size() && line[at] == '"') {
                argument += '"';
                ++at;
                in_quotes = pair == Pair::quote_and_on;
            } else {
                in_quotes = !in_quotes;
            }
        }
        argv.push_back(argument);
    }
}

/// What cmd.exe makes of its command line.
struct Batch {
    std::string file;    ///< what it runs
    std::string all;     ///< %*
    Strings parameters;  ///< %~1, %~2, …: without the quotes around them
};

/// nullopt where anything in it is more to cmd.exe than text: an operator outside of quotes; %, ! or a control byte.
inline std::optional<Batch> to_batch(std::string_view line) {
    constexpr std::string_view start = "cmd.exe /d /e:on /v:off /s /c \"";
    if (line.size() <= start.size() || line.substr(0, start.size()) != start || line.back() != '"') return std::nullopt;
    line = line.substr(start.size(), line.size() - start.size() - 1);

    std::vector<std::string_view> words;
    bool in_quotes = false, in_word = false;
    std::size_t begin = 0, end_of_file = std::string_view::npos;
    const auto end_word = [&](std::size_t at) {
        if (in_word) words.push_back(line.substr(begin, at - begin));
        if (in_word && words.size() == 1) end_of_file = at;
        in_word = false;
    };
    for (std::size_t at = 0; at < line.size(); ++at) {
        const char c = line[at];
        if (c == '"') in_quotes = !in_quotes;
        if (c == '%' || c == '!' || (static_cast<unsigned char>(c) < 0x20 && c != '\t')) return std::nullopt;
        if (!in_quotes && std::string_view("&|<>()^").find(c) != std::string_view::npos) return std::nullopt;
        if (!in_quotes && std::string_view(" \t,;=").find(c) != std::string_view::npos) {
            end_word(at);
        } else if (!in_word) {
            in_word = true;
            begin = at;
        }
    }
    end_word(line.size());
    if (in_quotes || words.empty()) return std::nullopt;

    Batch batch;
    for (const std::string_view word : words) {
        const bool quoted = word.size() >= 2 && word.front() == '"' && word.back() == '"';
        batch.parameters.emplace_back(quoted ? word.substr(1, word.size() - 2) : word);
    }
    batch.file = batch.parameters.front();
    batch.parameters.erase(batch.parameters.begin());
    batch.all = line.substr(end_of_file);
    return batch;
}

/// The argument as %~1 shows it: a backslash at the end of what stands in quotes is there twice.
inline bool is_parameter(std::string_view argument, std::string_view parameter) {
    if (argument == parameter) return true;
    const std::size_t last = argument.find_last_not_of('\\');
    const std::size_t backslashes = argument.size() - (last == std::string_view::npos ? 0 : last + 1);
    return parameter == std::string(argument) + std::string(backslashes, '\\');
}

}  // namespace windows

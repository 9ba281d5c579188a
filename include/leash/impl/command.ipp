// leash/impl/command.ipp - the bodies of <leash/command.hpp>.
#ifndef LEASH_0_1_0_IMPL_COMMAND_IPP
#define LEASH_0_1_0_IMPL_COMMAND_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <leash/command.hpp>

namespace leash {
inline namespace LEASH_ABI {

LEASH_INLINE Arg::Arg(const char* text) : text_(text != nullptr ? std::string_view(text) : detail::null_pointer) {}

LEASH_INLINE Arg::Arg(std::string text) : text_(std::move(text)) {}

LEASH_INLINE Arg::Arg(std::string_view text) : text_(text) {}

LEASH_INLINE Arg::Arg(const Arg& other) = default;

LEASH_INLINE Arg::Arg(Arg&& other) noexcept = default;

LEASH_INLINE Arg& Arg::operator=(const Arg& other) = default;

LEASH_INLINE Arg& Arg::operator=(Arg&& other) noexcept = default;

LEASH_INLINE Arg::~Arg() = default;

LEASH_INLINE Command::Command(const Command& other) = default;

LEASH_INLINE Command::Command(Command&& other) noexcept = default;

LEASH_INLINE Command& Command::operator=(const Command& other) = default;

LEASH_INLINE Command& Command::operator=(Command&& other) noexcept = default;

LEASH_INLINE Command::~Command() = default;

LEASH_INLINE Command::Command(std::initializer_list<Arg> argv) : argv_(argv.size()) {
    std::string* word = argv_.data();
    for (const Arg& arg : argv) *word++ = arg.str();
}

LEASH_INLINE Command::Command(detail::FromVector, std::vector<std::string> argv) : argv_(std::move(argv)) {}

LEASH_INLINE Command args(std::initializer_list<Arg> argv) { return Command(argv); }

LEASH_INLINE Command args(int count, const char* const* argv) {
    std::vector<std::string> list;
    list.reserve(count > 0 ? static_cast<std::size_t>(count) : 0);
    for (int i = 0; i < count; ++i) list.push_back(Arg(argv[i]).str());
    return Command(detail::FromVector(), std::move(list));
}

LEASH_INLINE Command shell(std::string script, std::initializer_list<Arg> parameters) {
    std::vector<std::string> list;
    list.reserve(parameters.size());
    for (const Arg& parameter : parameters) list.push_back(parameter.str());
    return shell(std::move(script), std::move(list));
}

[[gnu::cold]] LEASH_INLINE std::string Command::str() const {
    std::string line;
    for (const std::string& word : argv_) {
        // `A=1` is a program's name only in quotes.
        bool is_plain = !word.empty() && (!line.empty() || word.find('=') == std::string::npos);
        for (const char c : word)
            is_plain &= (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                        std::string_view("0123456789@%+=:,./_-").find(c) != std::string_view::npos;
        if (!line.empty()) line += ' ';
        line += is_plain ? word : shell_quote(word);
    }
    return line;
}

[[gnu::cold]] LEASH_INLINE std::string chomp(std::string text) {
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

LEASH_INLINE std::string shell_quote(std::string_view text) {
    std::string quoted = "'";
    for (const char c : text) {
        if (c == '\'') quoted += "'\\''";
        else quoted += c;
    }
    quoted += '\'';
    return quoted;
}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_COMMAND_IPP

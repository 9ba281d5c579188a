// leash/detail/text.hpp - putting strings together.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include <leash/config.hpp>

namespace leash::detail {

/// All of them in a row. A chain of `+` would cost each user of the header the choice among its dozen overloads, at
/// every `+` in it.
inline std::string concat(std::initializer_list<std::string_view> parts) {
    std::string text;
    for (const std::string_view part : parts) text.append(part.data(), part.size());
    return text;
}

/// With control characters as \r, \n, \x1b, …: for messages, which may go to a terminal.
inline std::string printable(std::string_view text) {
    constexpr char digits[] = "0123456789abcdef";
    std::string shown;
    for (const char c : text) {
        const unsigned byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7f) {
            shown += c;
            continue;
        }
        shown += '\\';
        if (c == '\n') {
            shown += 'n';
        } else if (c == '\r') {
            shown += 'r';
        } else if (c == '\t') {
            shown += 't';
        } else {
            shown += 'x';
            shown += digits[byte >> 4];
            shown += digits[byte & 15];
        }
    }
    return shown;
}

}  // namespace leash::detail

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

}  // namespace leash::detail

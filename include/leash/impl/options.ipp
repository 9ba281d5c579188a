// leash/impl/options.ipp - the bodies of <leash/options.hpp>.
#ifndef LEASH_0_1_0_IMPL_OPTIONS_IPP
#define LEASH_0_1_0_IMPL_OPTIONS_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <cstddef>

#include <leash/detail/posix/syscalls.hpp>
#include <leash/detail/text.hpp>
#include <leash/options.hpp>

namespace leash {
inline namespace LEASH_ABI {

LEASH_INLINE Env Env::inherited() { return Env(true); }

LEASH_INLINE Env Env::empty() { return Env(false); }

LEASH_INLINE Env& Env::set(std::string name, std::string value) & {
    change({std::move(name), std::move(value), false});
    return *this;
}

LEASH_INLINE Env Env::set(std::string name, std::string value) && {
    return std::move(set(std::move(name), std::move(value)));
}

LEASH_INLINE Env& Env::unset(std::string name) & {
    change({std::move(name), {}, true});
    return *this;
}

LEASH_INLINE Env Env::unset(std::string name) && { return std::move(unset(std::move(name))); }

LEASH_INLINE std::optional<std::string> Env::get(std::string_view name) const {
    if (const std::size_t place = place_of(name)) {
        const Change& last = changes_[place - 1];
        if (last.removed) return std::nullopt;
        return last.value;
    }
    if (!inherit_) return std::nullopt;
    char** const all = detail::sys::environment();
    for (char** entry = all; all != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        if (!name.empty() && name_of(text) == name) return std::string(text.substr(name.size() + 1));
    }
    return std::nullopt;
}

LEASH_INLINE std::vector<std::string> Env::build() const {
    std::vector<std::string> strings;
    char** const all = inherit_ ? detail::sys::environment() : nullptr;
    for (char** entry = all; all != nullptr && *entry != nullptr; ++entry) {
        if (place_of(name_of(*entry)) == 0) strings.emplace_back(*entry);
    }
    for (const Change& one : changes_) {
        if (!one.removed) strings.push_back(detail::concat({one.name, "=", one.value}));
    }
    return strings;
}

LEASH_INLINE std::string_view Env::name_of(std::string_view entry) noexcept {
    const std::size_t equals = entry.find('=', 1);
    return equals == std::string_view::npos ? std::string_view() : entry.substr(0, equals);
}

LEASH_INLINE std::size_t Env::place_of(std::string_view name) const noexcept {
    return places_.empty() ? 0 : places_[slot_of(name)];
}

LEASH_INLINE std::size_t Env::slot_of(std::string_view name) const noexcept {
    const std::size_t last = places_.size() - 1;
    std::size_t slot = std::hash<std::string_view>()(name) & last;
    while (places_[slot] != 0 && changes_[places_[slot] - 1].name != name) slot = (slot + 1) & last;
    return slot;
}

LEASH_INLINE void Env::change(Change made) {
    if (const std::size_t place = place_of(made.name)) {
        changes_[place - 1] = std::move(made);
        return;
    }
    if (places_.size() < 2 * (changes_.size() + 1)) {
        places_.assign(places_.empty() ? 16 : 2 * places_.size(), 0);
        for (std::size_t i = 0; i < changes_.size(); ++i) places_[slot_of(changes_[i].name)] = i + 1;
    }
    changes_.push_back(std::move(made));
    places_[slot_of(changes_.back().name)] = changes_.size();
}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_OPTIONS_IPP

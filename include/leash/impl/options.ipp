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

#include <leash/detail/posix/sys/spawn.hpp>
#include <leash/detail/text.hpp>
#include <leash/options.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {

/// Without a `=` (nothing forbids such an entry) it is no variable, and has no name.
inline std::string_view name_of(std::string_view entry) noexcept {
    const std::size_t equals = entry.find('=', 1);
    return equals == std::string_view::npos ? std::string_view() : entry.substr(0, equals);
}

}  // namespace detail

struct Env::Table : detail::Counted {
    std::vector<Change> changes;
    std::vector<std::size_t> places;  // a hash table, at most half full: a power of two slots, 0 in those that are free

    Table() = default;
    Table(const Table& other) : detail::Counted(), changes(other.changes), places(other.places) {}

    /// Nothing where it has no such name.
    const Change* find(std::string_view name) const noexcept {
        const std::size_t place = places.empty() ? 0 : places[slot_of(name)];
        return place == 0 ? nullptr : &changes[place - 1];
    }

    void put(Change made) {
        if (const Change* const known = find(made.name)) {
            changes[static_cast<std::size_t>(known - changes.data())] = std::move(made);
            return;
        }
        if (places.size() < 2 * (changes.size() + 1)) {
            // Made before the old one goes: there may be no memory.
            places = std::vector<std::size_t>(places.empty() ? 16 : 2 * places.size());
            for (std::size_t i = 0; i < changes.size(); ++i) places[slot_of(changes[i].name)] = i + 1;
        }
        changes.push_back(std::move(made));
        places[slot_of(changes.back().name)] = changes.size();
    }

  private:
    /// Where in `places` its place is to be found, counted from 1, or the free slot for it.
    std::size_t slot_of(std::string_view name) const noexcept {
        const std::size_t last = places.size() - 1;
        std::size_t slot = std::hash<std::string_view>()(name) & last;
        while (places[slot] != 0 && changes[places[slot] - 1].name != name) slot = (slot + 1) & last;
        return slot;
    }
};

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
    if (const Change* const last = table_ ? table_->find(name) : nullptr) {
        if (last->removed) return std::nullopt;
        return last->value;
    }
    if (!inherit_) return std::nullopt;
    char** const all = detail::sys::environment();
    for (char** entry = all; all != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        if (!name.empty() && detail::name_of(text) == name) return std::string(text.substr(name.size() + 1));
    }
    return std::nullopt;
}

LEASH_INLINE std::vector<std::string> Env::build() const {
    std::vector<std::string> strings;
    char** const all = inherit_ ? detail::sys::environment() : nullptr;
    for (char** entry = all; all != nullptr && *entry != nullptr; ++entry) {
        if (!table_ || table_->find(detail::name_of(*entry)) == nullptr) strings.emplace_back(*entry);
    }
    if (!table_) return strings;
    for (const Change& one : table_->changes) {
        if (!one.removed) strings.push_back(detail::concat({one.name, "=", one.value}));
    }
    return strings;
}

LEASH_INLINE std::vector<Env::Change> Env::changes() const { return table_ ? table_->changes : std::vector<Change>(); }

LEASH_INLINE void Env::change(Change made) {
    if (!table_) table_ = detail::Shared<Table>::adopt(new Table);
    else if (is_shared(table_.get())) table_ = detail::Shared<Table>::adopt(new Table(*table_));
    table_->put(std::move(made));
}

LEASH_INLINE Options Options::interactive() {
    Options options;
    options.in = inherit;
    options.group = Group::foreground;
    return options;
}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_OPTIONS_IPP

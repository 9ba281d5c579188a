// leash/impl/options.ipp - the bodies of <leash/options.hpp>.
#ifndef LEASH_0_1_0_IMPL_OPTIONS_IPP
#define LEASH_0_1_0_IMPL_OPTIONS_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <cstddef>

#include <leash/detail/array.hpp>
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
    struct Filter : detail::Counted {
        Filter(Names which, bool are_kept, detail::Shared<Filter> another)
            : names(std::move(which)), keeps(are_kept), next(std::move(another)) {}
        ~Filter() override = default;

        const Names names;
        const bool keeps;  // those, or all others
        const detail::Shared<Filter> next;
    };

    std::vector<Change> changes;
    detail::Shared<Filter> filters;     // of what is inherited: the host's variables pass all of them
    detail::Array<std::size_t> places;  // a hash table, at most half full: 2^n slots, 0 in those that are free

    Table() = default;
    [[gnu::cold]] ~Table() override = default;
    Table(const Table& other)
        : detail::Counted(), changes(other.changes), filters(other.filters), places(other.places) {}

    /// Nothing where it has no such name.
    const Change* find(std::string_view name) const noexcept {
        const std::size_t place = places.empty() ? 0 : places[slot_of(name)];
        return place == 0 ? nullptr : &changes[place - 1];
    }

    /// Does the child get it from the host?
    bool passes(std::string_view name) const noexcept {
        if (find(name) != nullptr) return false;
        for (const Filter* filter = filters.get(); filter != nullptr; filter = filter->next.get()) {
            if (filter->names.match(name) != filter->keeps) return false;
        }
        return true;
    }

    [[gnu::cold]] void put(Change made) {
        if (const Change* const known = find(made.name)) {
            changes[static_cast<std::size_t>(known - changes.data())] = std::move(made);
            return;
        }
        if (places.size() < 2 * (changes.size() + 1)) {
            // Made before the old one goes: there may be no memory.
            places = detail::Array<std::size_t>(places.empty() ? 16 : 2 * places.size());
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

[[gnu::cold]] LEASH_INLINE Env& Env::set(std::string name, std::string value) & {
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

LEASH_INLINE Env& Env::only(Names names) & {
    sift(std::move(names), true);
    return *this;
}

LEASH_INLINE Env Env::only(Names names) && { return std::move(only(std::move(names))); }

LEASH_INLINE Env& Env::without(Names names) & {
    sift(std::move(names), false);
    return *this;
}

LEASH_INLINE Env Env::without(Names names) && { return std::move(without(std::move(names))); }

LEASH_INLINE Env Env::from(std::initializer_list<Arg> entries) {
    Env made = empty();
    for (const Arg& one : entries) made.add(one.str());
    return made;
}

[[gnu::cold]] LEASH_INLINE std::optional<std::string> Env::get(std::string_view name) const {
    if (const Change* const last = table_ ? table_->find(name) : nullptr) {
        if (last->removed) return std::nullopt;
        return last->value;
    }
    if (!inherit_ || (table_ && !table_->passes(name))) return std::nullopt;
    char** const all = detail::sys::environment();
    for (char** entry = all; all != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        if (!name.empty() && detail::name_of(text) == name) return std::string(text.substr(name.size() + 1));
    }
    return std::nullopt;
}

[[gnu::cold]] LEASH_INLINE std::vector<std::string> Env::build() const {
    std::vector<std::string> strings;
    char** const all = inherit_ ? detail::sys::environment() : nullptr;
    for (char** entry = all; all != nullptr && *entry != nullptr; ++entry) {
        if (!table_ || table_->passes(detail::name_of(*entry))) strings.push_back(*entry);
    }
    if (!table_) return strings;
    for (const Change& one : table_->changes) {
        if (!one.removed) strings.push_back(detail::concat({one.name, "=", one.value}));
    }
    return strings;
}

LEASH_INLINE std::vector<Env::Change> Env::changes() const { return table_ ? table_->changes : std::vector<Change>(); }

LEASH_INLINE std::vector<Env::Variable> Env::variables() const {
    std::vector<Variable> all;
    for (const std::string& entry : build()) {
        const std::size_t length = detail::name_of(entry).size();
        if (length != 0) all.push_back({entry.substr(0, length), entry.substr(length + 1)});
    }
    return all;
}

/// Where this Env alone makes its changes.
LEASH_INLINE Env::Table& Env::own_table() {
    if (!table_) table_ = detail::Shared<Table>::adopt(new Table);
    else if (is_shared(table_.get())) table_ = detail::Shared<Table>::adopt(new Table(*table_));
    return *table_;
}

LEASH_INLINE void Env::change(Change made) { own_table().put(std::move(made)); }

/// What has no name is given none, for the start to refuse.
[[gnu::cold]] LEASH_INLINE void Env::add(std::string_view entry) {
    const std::string_view name = detail::name_of(entry);
    if (name.empty()) set(std::string(2, '=').append(entry), {});  // as the name of none: the error tells of the entry
    else set(std::string(name), std::string(entry.substr(name.size() + 1)));
}

[[gnu::cold]] LEASH_INLINE void Env::sift(Names names, bool keeps) {
    Table& table = own_table();
    for (Change& one : table.changes) {
        if (names.match(one.name) != keeps) one = {std::move(one.name), {}, true};
    }
    if (inherit_)
        table.filters = detail::Shared<Table::Filter>::adopt(new Table::Filter(std::move(names), keeps, table.filters));
}

LEASH_INLINE Env::Names::Names(std::initializer_list<Arg> patterns) {
    for (const Arg& one : patterns) patterns_.push_back(one.str());
}

[[gnu::cold]] LEASH_INLINE bool Env::Names::match(std::string_view name) const noexcept {
    for (const std::string& pattern : patterns_) {
        // Where the last `*` was met, and up to where in the name it reaches: only that one is ever tried again.
        std::size_t at = 0, in_name = 0, star = std::string::npos, reach = 0;
        while (in_name < name.size()) {
            if (at < pattern.size() && pattern[at] == '*') {
                star = at++;
                reach = in_name;
            } else if (at < pattern.size() && pattern[at] == name[in_name]) {
                ++at;
                ++in_name;
            } else if (star != std::string::npos) {
                at = star + 1;
                in_name = ++reach;
            } else {
                break;
            }
        }
        if (in_name < name.size()) continue;
        if (pattern.find_first_not_of('*', at) == std::string::npos) return true;
    }
    return false;
}

namespace detail {

template <class T>
List<T>::List() = default;

template <class T>
List<T>::List(std::initializer_list<T> items) : std::vector<T>(items) {}

template <class T>
List<T>::List(std::vector<T> items) : std::vector<T>(std::move(items)) {}

template <class T>
List<T>::List(const List&) = default;

template <class T>
List<T>::List(List&&) noexcept = default;

template <class T>
List<T>& List<T>::operator=(List other) noexcept {
    this->swap(other);
    return *this;
}

template <class T>
List<T>::~List() = default;

#if defined(LEASH_COMPILED)
template class List<PassFd>;
template class List<StopStep>;
#endif

}  // namespace detail

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

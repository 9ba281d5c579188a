// leash/detail/timers.hpp - which of very many things is due first.
#pragma once

#include <utility>
#include <vector>

#include <cstddef>

#include <leash/config.hpp>
#include <leash/deadline.hpp>

namespace LEASH_NAMESPACE::detail {

/// A thing that is due at a time, or never: the base of what Timers orders.
class Timed {
  public:
    Deadline due() const noexcept { return due_; }

  private:
    friend class Timers;
    Deadline due_;
    std::size_t place_ = 0;  // in the heap; only while it is due at all
};

/// A binary heap. Each thing is in it once at the most, and knows its place: so it can be moved, and taken out when it goes
/// (std::priority_queue can do neither, and would keep the old deadlines of all that ever came by).
class Timers {
  public:
    /// Room for so many: then set() cannot fail.
    void reserve(std::size_t count) { heap_.reserve(count); }

    /// The one that is due first; nullptr where none is.
    Timed* first() const noexcept { return heap_.empty() ? nullptr : heap_.front(); }

    void set(Timed& thing, Deadline due) {
        if (due.is_never()) return remove(thing);
        if (thing.due_.is_never()) {
            heap_.push_back(&thing);
            thing.place_ = heap_.size() - 1;
        }
        thing.due_ = due;
        settle(thing.place_);
    }

    void remove(Timed& thing) noexcept {
        if (thing.due_.is_never()) return;
        thing.due_ = {};
        Timed* const last = heap_.back();
        heap_.pop_back();
        if (last == &thing) return;
        put(last, thing.place_);
        settle(last->place_);
    }

  private:
    void put(Timed* thing, std::size_t place) noexcept {
        heap_[place] = thing;
        thing->place_ = place;
    }
    bool is_before(std::size_t a, std::size_t b) const noexcept { return earlier(heap_[a]->due_, heap_[b]->due_); }
    void swap(std::size_t a, std::size_t b) noexcept {
        Timed* const thing = heap_[a];
        put(heap_[b], a);
        put(thing, b);
    }

    /// Moves one up or down, to where it belongs.
    void settle(std::size_t place) noexcept {
        for (; place > 0 && is_before(place, (place - 1) / 2); place = (place - 1) / 2) swap(place, (place - 1) / 2);
        for (std::size_t child = 2 * place + 1; child < heap_.size(); child = 2 * place + 1) {
            if (child + 1 < heap_.size() && is_before(child + 1, child)) ++child;
            if (!is_before(child, place)) return;
            swap(place, child);
            place = child;
        }
    }

    std::vector<Timed*> heap_;
};

}  // namespace leash::detail

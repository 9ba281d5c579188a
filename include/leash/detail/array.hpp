// leash/detail/array.hpp - Array<T>: the lists that leash keeps for itself.
//
// As much of std::vector as those need, of which each T costs a compiler eight times as much (g++ 12).
#ifndef LEASH_0_1_0_DETAIL_ARRAY_HPP
#define LEASH_0_1_0_DETAIL_ARRAY_HPP

#include <utility>

#include <cstddef>

#include <leash/config.hpp>

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

/// A list that grows. Its room is filled with T(), which must own nothing; to move a T must not fail. What is there stays as it
/// was, should there be no memory for more.
template <class T>
class Array {
  public:
    Array() = default;
    /// So many T().
    explicit Array(std::size_t count) : items_(count > 0 ? new T[count]() : nullptr), count_(count), room_(count) {}
    Array(const Array& other) : Array(other.count_) {
        for (std::size_t i = 0; i < count_; ++i) items_[i] = other.items_[i];
    }
    Array(Array&& other) noexcept { swap(other); }
    Array& operator=(Array other) noexcept {
        swap(other);
        return *this;
    }
    ~Array() { delete[] items_; }

    /// Room for so many: then add() cannot fail.
    void reserve(std::size_t count) {
        if (count <= room_) return;
        Array grown(count > 2 * room_ ? count : 2 * room_);
        for (std::size_t i = 0; i < count_; ++i) grown.items_[i] = std::move(items_[i]);
        grown.count_ = count_;
        swap(grown);
    }
    T& add(T item) {
        if (count_ == room_) reserve(count_ < 4 ? 4 : count_ + 1);
        return items_[count_++] = std::move(item);
    }
    /// The last one takes its place.
    void remove(std::size_t place) noexcept {
        if (place != count_ - 1) items_[place] = std::move(back());
        cut(count_ - 1);
    }
    /// No more than so many are left.
    void cut(std::size_t count) noexcept {
        while (count_ > count) items_[--count_] = T();
    }

    std::size_t size() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }
    T& operator[](std::size_t place) noexcept { return items_[place]; }
    const T& operator[](std::size_t place) const noexcept { return items_[place]; }
    T* begin() noexcept { return items_; }
    T* end() noexcept { return items_ + count_; }
    const T* begin() const noexcept { return items_; }
    const T* end() const noexcept { return items_ + count_; }
    T& front() noexcept { return items_[0]; }
    const T& front() const noexcept { return items_[0]; }
    T& back() noexcept { return items_[count_ - 1]; }
    const T& back() const noexcept { return items_[count_ - 1]; }

  private:
    void swap(Array& other) noexcept {
        T* const items = other.items_;  // std::exchange() would be another one for each T
        other.items_ = items_;
        items_ = items;
        count_ = std::exchange(other.count_, count_);
        room_ = std::exchange(other.room_, room_);
    }

    T* items_ = nullptr;
    std::size_t count_ = 0, room_ = 0;
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_DETAIL_ARRAY_HPP

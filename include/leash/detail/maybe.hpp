// leash/detail/maybe.hpp - a member that may hold nothing. A std::optional<T> costs every user's compiler five times as much.
#ifndef LEASH_0_1_0_DETAIL_MAYBE_HPP
#define LEASH_0_1_0_DETAIL_MAYBE_HPP

#include <optional>
#include <type_traits>
#include <utility>

#include <cstdint>

#include <leash/config.hpp>

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

/// What the T of a Maybe<T> is made of where there is none.
struct Nothing {
    constexpr operator std::uint64_t() const noexcept { return 0; }
};

/// A T or nothing, with the names of std::optional<T>, from which and to which it converts. The T costs nothing and owns
/// nothing when it is made of Nothing.
template <class T>
class Maybe {
  public:
    using value_type = T;

    constexpr Maybe() noexcept = default;
    constexpr Maybe(std::nullopt_t) noexcept {}
    template <class U = T, class = std::enable_if_t<std::is_convertible_v<U, T>>>
    constexpr Maybe(U&& value) : value_(std::forward<U>(value)), has_value_(true) {}
    template <class U, std::enable_if_t<std::is_same_v<U, std::optional<T>>, int> = 0>
    constexpr Maybe(const U& other) : Maybe(other ? Maybe(*other) : Maybe()) {}
    constexpr operator std::optional<T>() const { return has_value_ ? std::optional<T>(value_) : std::nullopt; }

    constexpr bool has_value() const noexcept { return has_value_; }
    constexpr explicit operator bool() const noexcept { return has_value_; }
    /// Only if it has a value.
    /// @{
    constexpr const T& operator*() const noexcept { return value_; }
    constexpr const T* operator->() const noexcept { return &value_; }
    /// @}
    T value() const { return std::optional<T>(*this).value(); }
    constexpr T value_or(T other) const { return has_value_ ? value_ : other; }

    template <class... Args>
    T& emplace(Args&&... args) {
        value_ = T(std::forward<Args>(args)...);
        has_value_ = true;
        return value_;
    }
    void reset() noexcept { *this = Maybe(); }

    friend constexpr bool operator==(const Maybe& a, const Maybe& b) noexcept {
        return a.has_value_ == b.has_value_ && (!a.has_value_ || a.value_ == b.value_);
    }
    friend constexpr bool operator!=(const Maybe& a, const Maybe& b) noexcept { return !(a == b); }

  private:
    T value_{Nothing()};
    bool has_value_ = false;
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_DETAIL_MAYBE_HPP

// leash/deadline.hpp - Duration, and Timeout: a Duration or no limit.
#ifndef LEASH_0_1_0_DEADLINE_HPP
#define LEASH_0_1_0_DEADLINE_HPP

#include <type_traits>
#include <utility>

#include <cstdint>

#include <leash/config.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {

/// Enables a template for types that have the parts of a std::chrono::duration. (<chrono> itself would cost every file
/// that includes leash more than all of leash does: half a second with some compilers. Code that writes `5s` has
/// included it.)
template <class T, class Rep = typename T::rep, class Period = typename T::period,
          class = decltype(static_cast<Rep>(std::declval<const T&>().count()))>
using IfDuration = std::enable_if_t<(Period::num > 0 && Period::den > 0)>;

template <class T>
constexpr void refuse_number() {
    static_assert(!std::is_arithmetic_v<T>,
                  "leash: a time has a unit: write 5s (with <chrono> and using namespace std::chrono_literals), or "
                  "leash::Duration::seconds(5).");
}

/// The length in nanoseconds, as exactly as a long double can hold it.
template <class T>
constexpr long double in_nanoseconds(const T& length) {
    return static_cast<long double>(length.count()) * static_cast<long double>(T::period::num) *
           (1e9L / static_cast<long double>(T::period::den));
}

constexpr std::intmax_t common_divisor(std::intmax_t a, std::intmax_t b) {
    return b == 0 ? a : common_divisor(b, a % b);
}

/// True if the product of two positive numbers fits.
constexpr bool has_product(std::intmax_t a, std::intmax_t b) { return a <= INT64_MAX / b; }

/// Returns `count` times `Num` / `Den`, rounded toward zero: exact if `count` is an integer and all intermediate
/// numbers fit; otherwise `result`.
template <class Count, std::intmax_t Num, std::intmax_t Den>
constexpr std::int64_t scale(Count count, long double result) {
    if constexpr (std::is_integral_v<Count> && has_product(Num, Den)) {
        const auto whole = static_cast<std::int64_t>(count);
        if (static_cast<Count>(whole) == count && (whole < 0) == (count < 0))
            return whole / Den * Num + whole % Den * Num / Den;
    }
    return static_cast<std::int64_t>(result);
}

/// True if the type can hold any number of nanoseconds without loss.
template <class T>
constexpr bool holds_nanoseconds =
    !std::is_integral_v<typename T::rep> ||
    (sizeof(typename T::rep) >= sizeof(std::int64_t) && T::period::num == 1 && T::period::den % 1'000'000'000 == 0);

/// Without <limits>, which costs as much as half of leash. For wider types: what 64 bits hold.
/// @{
template <class Int>
constexpr bool is_signed = static_cast<Int>(-1) < static_cast<Int>(0);
template <class Int>
constexpr Int most_of = static_cast<Int>(UINT64_MAX >>
                                         ((is_signed<Int> ? 1 : 0) + (sizeof(Int) < 8 ? 64 - 8 * sizeof(Int) : 0)));
/// @}

}  // namespace detail

/// A length of time in nanoseconds. Every std::chrono::duration converts to it and can be compared with it. It converts
/// back as chrono types do: implicitly without loss (std::chrono::nanoseconds, seconds as a double), otherwise
/// explicitly and rounded toward zero: `std::chrono::milliseconds(d)`.
///
/// It never overflows. A length of more than 200 years, also infinity, becomes longest(). Less than minus 200 years,
/// also NaN, becomes the smallest Duration. If another type cannot hold the length, the result is the largest or
/// smallest value of that type.
class Duration {
  public:
    using rep = std::int64_t;  ///< the type of count()

    /// The unit: 1e-9 s, like std::nano.
    struct period {
        static constexpr std::intmax_t num = 1;              ///< numerator
        static constexpr std::intmax_t den = 1'000'000'000;  ///< denominator
    };

    /// Zero.
    constexpr Duration() = default;

    /// Converts from a std::chrono duration.
    template <class T, class = detail::IfDuration<T>>
    constexpr Duration(const T& length) : count_(saturate(length)) {}
    /// Does not compile: a number has no unit.
    template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
    constexpr Duration(T) {
        detail::refuse_number<T>();
    }

    /// Creates a Duration from a whole number, without std::chrono.
    /// @{
    template <class Int, class = std::enable_if_t<std::is_integral_v<Int>>>
    static constexpr Duration seconds(Int count) {
        return of(count, 1'000'000'000);
    }
    template <class Int, class = std::enable_if_t<std::is_integral_v<Int>>>
    static constexpr Duration milliseconds(Int count) {
        return of(count, 1'000'000);
    }
    template <class Int, class = std::enable_if_t<std::is_integral_v<Int>>>
    static constexpr Duration microseconds(Int count) {
        return of(count, 1'000);
    }
    template <class Int, class = std::enable_if_t<std::is_integral_v<Int>>>
    static constexpr Duration nanoseconds(Int count) {
        return of(count, 1);
    }
    /// @}
    /// The longest Duration, 292 years. As a Timeout it means no limit.
    static constexpr Duration longest() { return exactly(INT64_MAX); }

    /// Returns the number of nanoseconds.
    constexpr rep count() const { return count_; }

    /// Converts to another duration type; explicitly if that may lose something.
    /// @{
    template <class T, class = detail::IfDuration<T>, std::enable_if_t<detail::holds_nanoseconds<T>, int> = 0>
    constexpr operator T() const {
        return convert<T>();
    }
    template <class T, class = detail::IfDuration<T>, std::enable_if_t<!detail::holds_nanoseconds<T>, int> = 0>
    explicit constexpr operator T() const {
        return convert<T>();
    }
    /// @}

    /// The sum and the difference. They do not overflow: the result is at most longest(), and at least the smallest
    /// Duration.
    /// @{
    friend constexpr Duration operator+(Duration a, Duration b) {
        if (b.count_ > 0) return exactly(a.count_ > INT64_MAX - b.count_ ? INT64_MAX : a.count_ + b.count_);
        return exactly(a.count_ < INT64_MIN - b.count_ ? INT64_MIN : a.count_ + b.count_);
    }
    friend constexpr Duration operator-(Duration a, Duration b) {
        return a + exactly(b.count_ == INT64_MIN ? INT64_MAX : -b.count_);
    }
    /// @}

    /// Compares the lengths.
    /// @{
    friend constexpr bool operator==(Duration a, Duration b) { return a.count_ == b.count_; }
    friend constexpr bool operator!=(Duration a, Duration b) { return a.count_ != b.count_; }
    friend constexpr bool operator<(Duration a, Duration b) { return a.count_ < b.count_; }
    friend constexpr bool operator>(Duration a, Duration b) { return a.count_ > b.count_; }
    friend constexpr bool operator<=(Duration a, Duration b) { return a.count_ <= b.count_; }
    friend constexpr bool operator>=(Duration a, Duration b) { return a.count_ >= b.count_; }
    /// @}

  private:
    static constexpr Duration exactly(rep count) {
        Duration made;
        made.count_ = count;
        return made;
    }

    template <class Int>
    static constexpr Duration of(Int count, rep unit) {
        const long double all = static_cast<long double>(count) * static_cast<long double>(unit);
        return exactly(all >= 0x1p63L ? INT64_MAX : all < -0x1p63L ? INT64_MIN : static_cast<rep>(count) * unit);
    }

    template <class T>
    static constexpr rep saturate(const T& length) {
        using Period = typename T::period;
        constexpr std::intmax_t common = detail::common_divisor(period::den, Period::den);
        // Compared as a long double, so that no integer can overflow on the way. The limit, 200 years, is well inside
        // of what 64 bits of nanoseconds hold.
        const long double all = detail::in_nanoseconds(length);
        constexpr long double limit = 200.0L * 365 * 24 * 3600 * 1e9L;
        if (all >= limit) return INT64_MAX;
        if (!(all > -limit)) return INT64_MIN;  // NaN too
        if constexpr (detail::has_product(Period::num, period::den / common)) {
            return detail::scale<typename T::rep, Period::num*(period::den / common), Period::den / common>(
                length.count(), all);
        } else {
            return static_cast<rep>(all);
        }
    }

    template <class T>
    constexpr T convert() const {
        using Rep = typename T::rep;
        using Period = typename T::period;
        constexpr std::intmax_t common = detail::common_divisor(period::den, Period::den);
        const long double all = static_cast<long double>(count_) / 1e9L * static_cast<long double>(Period::den) /
                                static_cast<long double>(Period::num);
        if constexpr (!std::is_integral_v<Rep>) {
            return T(static_cast<Rep>(all));
        } else {
            constexpr Rep most = detail::most_of<Rep>;
            constexpr Rep least = static_cast<Rep>(detail::is_signed<Rep> ? -most - 1 : 0);
            if (all >= static_cast<long double>(most)) return T(most);
            if (all <= static_cast<long double>(least)) return T(least);
            if constexpr (detail::has_product(period::den / common, Period::num)) {
                return T(static_cast<Rep>(
                    detail::scale<rep, Period::den / common, period::den / common * Period::num>(count_, all)));
            } else {
                return T(static_cast<Rep>(all));
            }
        }
    }

    rep count_ = 0;
};

/// A length of time, or no limit (the default). Every std::chrono duration converts to it. It never overflows: a length
/// that does not fit (`duration::max()`, infinity, 1e10 s) means no limit. NaN counts as negative.
class Timeout {
  public:
    /// No limit.
    constexpr Timeout() = default;

    /// A limit of `length`.
    template <class T, class = detail::IfDuration<T>>
    constexpr Timeout(const T& length) noexcept : length_(length) {}
    /// Does not compile: a number has no unit.
    template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
    constexpr Timeout(T) {
        detail::refuse_number<T>();
    }

    /// Does not compile for std::nullopt, which is known here by being empty and without a default.
    template <class T, std::enable_if_t<std::is_empty_v<T>, int> = 0,
              std::enable_if_t<!std::is_default_constructible_v<T>, int> = 0>
    constexpr Timeout(const T&) {
        static_assert(std::is_default_constructible_v<T>,
                      "leash: no limit is leash::Timeout::none(), and the default: write that, or nothing.");
    }

    static constexpr Timeout none() noexcept { return {}; }  ///< no limit

    /// True if there is no limit.
    constexpr bool is_none() const noexcept { return length_ == Duration::longest(); }
    /// Returns the length; Duration::longest() if there is no limit.
    constexpr Duration length() const noexcept { return length_; }

    /// Compares the lengths, also with any duration. No limit is longer than any length.
    /// @{
    friend constexpr bool operator==(Timeout a, Timeout b) noexcept { return a.length_ == b.length_; }
    friend constexpr bool operator!=(Timeout a, Timeout b) noexcept { return a.length_ != b.length_; }
    friend constexpr bool operator<(Timeout a, Timeout b) noexcept { return a.length_ < b.length_; }
    friend constexpr bool operator>(Timeout a, Timeout b) noexcept { return a.length_ > b.length_; }
    friend constexpr bool operator<=(Timeout a, Timeout b) noexcept { return a.length_ <= b.length_; }
    friend constexpr bool operator>=(Timeout a, Timeout b) noexcept { return a.length_ >= b.length_; }
    /// @}

  private:
    Duration length_ = Duration::longest();
};

namespace detail {

/// A point in time on the monotonic clock, or never.
class Deadline {
  public:
    constexpr Deadline() = default;  // never

    static constexpr Deadline never() { return {}; }
    static Deadline now() noexcept;
    static Deadline after(Timeout timeout) noexcept;

    /// A point in time of another clock (a std::chrono::time_point). It is converted now: if that clock is set later,
    /// this deadline does not change.
    template <class Point>
    static Deadline at(const Point& point) {
        if (point == (Point::max)()) return {};
        // Subtracted as long doubles: `min() - now()` would overflow the clock's own integers.
        const auto now = Point::clock::now();
        return after(Nanoseconds{in_nanoseconds(point.time_since_epoch()) - in_nanoseconds(now.time_since_epoch())});
    }

    constexpr bool is_never() const noexcept { return point_ == INT64_MAX; }
    bool passed() const noexcept;

    /// The time until it; zero if it has passed, Duration::longest() for never.
    Duration remaining() const noexcept;

    /// The time since it; zero if it is in the future.
    Duration elapsed() const noexcept;

    /// A deadline that much later; never stays never.
    Deadline plus(Timeout timeout) const noexcept;

    friend constexpr bool earlier(Deadline a, Deadline b) noexcept { return a.point_ < b.point_; }
    /// The time from `a` to `b`; neither is never.
    friend constexpr Duration between(Deadline a, Deadline b) noexcept {
        return Duration::nanoseconds(b.point_ - a.point_);
    }
    friend constexpr Deadline sooner(Deadline a, Deadline b) noexcept { return a.point_ < b.point_ ? a : b; }

  private:
    struct Nanoseconds {
        using rep = long double;
        using period = Duration::period;
        rep length;
        constexpr rep count() const { return length; }
    };

    constexpr explicit Deadline(std::int64_t point) : point_(point) {}
    std::int64_t point_ = INT64_MAX;  // nanoseconds
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/deadline.ipp>

#endif  // LEASH_0_1_0_DEADLINE_HPP

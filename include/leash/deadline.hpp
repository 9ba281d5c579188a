// leash/deadline.hpp - how long, and until when.
#ifndef LEASH_0_1_0_DEADLINE_HPP
#define LEASH_0_1_0_DEADLINE_HPP

#include <type_traits>
#include <utility>

#include <cstdint>

#include <leash/config.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {

/// For what has the parts of a std::chrono::duration. (<chrono> itself would cost every file that includes leash more than
/// all of leash does, half a second with some compilers: who writes `5s` has included it.)
template <class T, class Rep = typename T::rep, class Period = typename T::period,
          class = decltype(static_cast<Rep>(std::declval<const T&>().count()))>
using IfDuration = std::enable_if_t<(Period::num > 0 && Period::den > 0)>;

template <class T>
constexpr void refuse_number() {
    static_assert(!std::is_arithmetic_v<T>,
                  "leash: a time has a unit: write 5s (with <chrono> and using namespace std::chrono_literals), or "
                  "leash::Duration::seconds(5).");
}

/// How many nanoseconds, as well as a long double holds it.
template <class T>
constexpr long double in_nanoseconds(const T& length) {
    return static_cast<long double>(length.count()) * static_cast<long double>(T::period::num) *
           (1e9L / static_cast<long double>(T::period::den));
}

constexpr std::intmax_t common_divisor(std::intmax_t a, std::intmax_t b) {
    return b == 0 ? a : common_divisor(b, a % b);
}

/// Does the product of two positive numbers fit?
constexpr bool has_product(std::intmax_t a, std::intmax_t b) { return a <= INT64_MAX / b; }

/// `count` times `Num` / `Den`, toward zero, exactly where that can be had: where it is an integer that fits, and so do the
/// numbers on the way.
template <class Count, std::intmax_t Num, std::intmax_t Den>
constexpr std::int64_t scale(Count count, long double result) {
    if constexpr (std::is_integral_v<Count> && has_product(Num, Den)) {
        const auto whole = static_cast<std::int64_t>(count);
        if (static_cast<Count>(whole) == count && (whole < 0) == (count < 0))
            return whole / Den * Num + whole % Den * Num / Den;
    }
    return static_cast<std::int64_t>(result);
}

/// Does it hold any number of nanoseconds as it is?
template <class T>
constexpr bool holds_nanoseconds =
    !std::is_integral_v<typename T::rep> ||
    (sizeof(typename T::rep) >= sizeof(std::int64_t) && T::period::num == 1 && T::period::den % 1'000'000'000 == 0);

/// Without <limits>, which costs as much as half of leash. Of wider types what 64 bits hold.
/// @{
template <class Int>
constexpr bool is_signed = static_cast<Int>(-1) < static_cast<Int>(0);
template <class Int>
constexpr Int most_of = static_cast<Int>(UINT64_MAX >>
                                         ((is_signed<Int> ? 1 : 0) + (sizeof(Int) < 8 ? 64 - 8 * sizeof(Int) : 0)));
/// @}

}  // namespace detail

/// A length of time in nanoseconds. Every std::chrono::duration converts to it and compares with it, and it converts to
/// them as they do among themselves: by itself to what loses nothing (std::chrono::nanoseconds, seconds as a double), and
/// otherwise where that is said, `std::chrono::milliseconds(d)`, toward zero. It never overflows: what is more than 200 years,
/// infinity included, is longest(), what is less than their negative, and NaN, is the least that there is; what another type
/// cannot hold is the most or the least that it can.
class Duration {
  public:
    using rep = std::int64_t;  ///< what count() gives

    /// A second's 1e-9, as std::nano says it.
    struct period {
        static constexpr std::intmax_t num = 1;              ///< of so many
        static constexpr std::intmax_t den = 1'000'000'000;  ///< parts of a second
    };

    /// Zero.
    constexpr Duration() = default;

    /// As long as that.
    template <class T, class = detail::IfDuration<T>>
    constexpr Duration(const T& length) : count_(saturate(length)) {}
    /// A number says nothing: does not compile.
    template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
    constexpr Duration(T) {
        detail::refuse_number<T>();
    }

    /// For those who do without std::chrono. Of whole numbers.
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
    /// 292 years, which stand for no limit.
    static constexpr Duration longest() { return exactly(INT64_MAX); }

    /// How many nanoseconds.
    constexpr rep count() const { return count_; }

    /// As another type of duration.
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

    /// Sums and differences stop at longest(), and at the least that there is.
    /// @{
    friend constexpr Duration operator+(Duration a, Duration b) {
        if (b.count_ > 0) return exactly(a.count_ > INT64_MAX - b.count_ ? INT64_MAX : a.count_ + b.count_);
        return exactly(a.count_ < INT64_MIN - b.count_ ? INT64_MIN : a.count_ + b.count_);
    }
    friend constexpr Duration operator-(Duration a, Duration b) {
        return a + exactly(b.count_ == INT64_MIN ? INT64_MAX : -b.count_);
    }
    /// @}

    /// By length.
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
        // Compared as a long double, so that no integer can overflow on the way. The limit, 200 years, is well inside of
        // what 64 bits of nanoseconds hold.
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

/// A length of time, or no limit. Made from any std::chrono duration, and it never overflows: what does not fit
/// (`duration::max()`, infinity, 1e10 s) is no limit; NaN is refused as negative.
class Timeout {
  public:
    /// No limit.
    constexpr Timeout() = default;

    /// A limit of `length`.
    template <class T, class = detail::IfDuration<T>>
    constexpr Timeout(const T& length) noexcept : length_(length) {}
    /// A number says nothing: does not compile.
    template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
    constexpr Timeout(T) {
        detail::refuse_number<T>();
    }

    static constexpr Timeout none() noexcept { return {}; }  ///< no limit

    /// Is there no limit?
    constexpr bool is_none() const noexcept { return length_ == Duration::longest(); }
    /// Duration::longest() stands for no limit.
    constexpr Duration length() const noexcept { return length_; }

    /// By length, with any duration too; no limit is longer than any.
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

/// A point on the monotonic clock, or never.
class Deadline {
  public:
    constexpr Deadline() = default;  // never

    static constexpr Deadline never() { return {}; }
    static Deadline now() noexcept;
    static Deadline after(Timeout timeout) noexcept;

    /// The point of another clock (a std::chrono::time_point) as seen now; should that clock be set later, this deadline
    /// stays.
    template <class Point>
    static Deadline at(const Point& point) {
        if (point == (Point::max)()) return {};
        // Subtracted as long doubles: `min() - now()` would overflow the clock's own integers.
        const auto now = Point::clock::now();
        return after(Nanoseconds{in_nanoseconds(point.time_since_epoch()) - in_nanoseconds(now.time_since_epoch())});
    }

    constexpr bool is_never() const noexcept { return point_ == INT64_MAX; }
    bool passed() const noexcept;

    /// Zero when it has passed; Duration::longest() for never.
    Duration remaining() const noexcept;

    /// How long ago it was; zero where it is yet to come.
    Duration elapsed() const noexcept;

    /// That much later; never stays never.
    Deadline plus(Timeout timeout) const noexcept;

    friend constexpr bool earlier(Deadline a, Deadline b) noexcept { return a.point_ < b.point_; }
    /// From one to the other; neither is never.
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

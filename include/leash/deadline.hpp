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

/// How many nanoseconds, as well as a long double holds it.
template <class T>
constexpr long double in_nanoseconds(const T& length) {
    return static_cast<long double>(length.count()) * static_cast<long double>(T::period::num) *
           (1e9L / static_cast<long double>(T::period::den));
}

constexpr std::intmax_t common_divisor(std::intmax_t a, std::intmax_t b) {
    return b == 0 ? a : common_divisor(b, a % b);
}

/// `count` times `num` / `den`, toward zero. Does not overflow where the result does not.
constexpr std::int64_t scale(std::int64_t count, std::intmax_t num, std::intmax_t den) {
    return count / den * num + count % den * num / den;
}

}  // namespace detail

/// A length of time in nanoseconds, to which every std::chrono::duration converts, and which converts to each of them (as
/// duration_cast does it), and compares with them. It never overflows: what is more than 200 years, infinity included, is
/// longest(), what is less than their negative, and NaN, is the least that there is.
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

    /// For those who do without std::chrono.
    /// @{
    static constexpr Duration seconds(rep count) { return of(count, 1'000'000'000); }
    static constexpr Duration milliseconds(rep count) { return of(count, 1'000'000); }
    static constexpr Duration microseconds(rep count) { return of(count, 1'000); }
    static constexpr Duration nanoseconds(rep count) { return of(count, 1); }
    /// @}
    /// 292 years, which stand for no limit.
    static constexpr Duration longest() { return of(INT64_MAX, 1); }

    /// How many nanoseconds.
    constexpr rep count() const { return count_; }

    /// As another type of duration.
    template <class T, class = detail::IfDuration<T>>
    constexpr operator T() const {
        using Rep = typename T::rep;
        if constexpr (std::is_integral_v<Rep>) {
            constexpr std::intmax_t common = detail::common_divisor(period::den, T::period::den);
            return T(static_cast<Rep>(
                detail::scale(count_, T::period::den / common, period::den / common * T::period::num)));
        } else {
            return T(
                static_cast<Rep>(static_cast<long double>(count_) / 1e9L * static_cast<long double>(T::period::den) /
                                 static_cast<long double>(T::period::num)));
        }
    }

    /// Sums and differences stop at longest() and at its negative.
    /// @{
    friend constexpr Duration operator+(Duration a, Duration b) {
        if (b.count_ > 0) return of(a.count_ > INT64_MAX - b.count_ ? INT64_MAX : a.count_ + b.count_, 1);
        return of(a.count_ < INT64_MIN - b.count_ ? INT64_MIN : a.count_ + b.count_, 1);
    }
    friend constexpr Duration operator-(Duration a, Duration b) {
        return a + of(b.count_ == INT64_MIN ? INT64_MAX : -b.count_, 1);
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
    static constexpr Duration of(rep count, rep unit) {
        Duration made;
        made.count_ = count > INT64_MAX / unit ? INT64_MAX : count < INT64_MIN / unit ? INT64_MIN : count * unit;
        return made;
    }

    template <class T>
    static constexpr rep saturate(const T& length) {
        using Period = typename T::period;
        // Compared as a long double, so that no integer can overflow on the way. The limit, 200 years, is well inside of
        // what 64 bits of nanoseconds hold.
        const long double all = detail::in_nanoseconds(length);
        constexpr long double limit = 200.0L * 365 * 24 * 3600 * 1e9L;
        if (all >= limit) return INT64_MAX;
        if (!(all > -limit)) return INT64_MIN;  // NaN too
        if constexpr (std::is_integral_v<typename T::rep>) {
            constexpr std::intmax_t common = detail::common_divisor(period::den, Period::den);
            return detail::scale(static_cast<rep>(length.count()), Period::num * (period::den / common),
                                 Period::den / common);
        } else {
            return static_cast<rep>(all);
        }
    }

    rep count_ = 0;
};

/// A length of time, or no limit. Made from any std::chrono duration, and it never overflows: what does not fit
/// (`duration::max()`, infinity, 1e10 s as nanoseconds in 32 bits) is no limit; NaN is refused as negative.
class Timeout {
  public:
    /// No limit.
    constexpr Timeout() = default;

    /// So long.
    template <class T, class = detail::IfDuration<T>>
    constexpr Timeout(const T& length) : length_(length) {}

    static constexpr Timeout none() { return {}; }  ///< no limit

    /// Is there no limit?
    constexpr bool is_none() const { return length_ == Duration::longest(); }
    /// Duration::longest() stands for no limit.
    constexpr Duration length() const { return length_; }

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

    /// That much later; never stays never.
    Deadline plus(Timeout timeout) const noexcept;

    friend constexpr bool earlier(Deadline a, Deadline b) noexcept { return a.point_ < b.point_; }
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

// leash/deadline.hpp - how long, and until when. The only reader of a clock.
#ifndef LEASH_0_1_0_DEADLINE_HPP
#define LEASH_0_1_0_DEADLINE_HPP

#include <chrono>
#include <ratio>

#include <leash/config.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// A length of time, or no limit. Made from any std::chrono duration, and it never overflows: what does not fit
/// (`duration::max()`, infinity, 1e10 s as nanoseconds in 32 bits) is no limit; NaN is refused as negative.
class Timeout {
  public:
    /// No limit.
    constexpr Timeout() = default;

    /// So long.
    template <class Rep, class Period>
    constexpr Timeout(std::chrono::duration<Rep, Period> length) : length_(saturate(length)) {}

    static constexpr Timeout none() { return {}; }  ///< no limit

    /// Is there no limit?
    constexpr bool is_none() const { return length_ == (std::chrono::nanoseconds::max)(); }
    /// nanoseconds::max() stands for no limit.
    constexpr std::chrono::nanoseconds length() const { return length_; }

  private:
    template <class Rep, class Period>
    static constexpr std::chrono::nanoseconds saturate(std::chrono::duration<Rep, Period> length) {
        using std::chrono::nanoseconds;
        // Compared in long double seconds: no integer conversion can overflow on the way. The limit, 200 years,
        // is well inside of what 64 bits of nanoseconds hold (292 years).
        const long double seconds = static_cast<long double>(length.count()) * static_cast<long double>(Period::num) /
                                    static_cast<long double>(Period::den);
        constexpr long double limit = 200.0L * 365 * 24 * 3600;
        if (seconds >= limit) return (nanoseconds::max)();
        if (seconds <= -limit) return (nanoseconds::min)();
        if (!(seconds <= 0) && !(seconds >= 0)) return (nanoseconds::min)();  // NaN
        return std::chrono::duration_cast<nanoseconds>(length);
    }

    std::chrono::nanoseconds length_ = (std::chrono::nanoseconds::max)();
};

namespace detail {

/// A point on the monotonic clock, or never.
class Deadline {
    using Clock = std::chrono::steady_clock;

  public:
    constexpr Deadline() = default;  // never

    static Deadline never() { return {}; }
    static Deadline now() { return Deadline(Clock::now()); }

    static Deadline after(Timeout timeout) {
        if (timeout.is_none()) return {};
        const auto start = Clock::now();
        // A clock's epoch is arbitrary: it need not lie near zero.
        if (timeout.length() > (Clock::time_point::max)() - start) return {};
        if (timeout.length() < std::chrono::nanoseconds::zero()) return Deadline(start);
        return Deadline(start + std::chrono::duration_cast<Clock::duration>(timeout.length()));
    }

    /// The point of another clock as seen now; should that clock be set later, this deadline stays.
    template <class Other, class Duration>
    static Deadline at(std::chrono::time_point<Other, Duration> point) {
        if (point == (std::chrono::time_point<Other, Duration>::max)()) return {};
        // Subtracted as long double seconds: `min() - now()` would overflow the clock's own integers.
        using Seconds = std::chrono::duration<long double>;
        return after(Timeout(Seconds(point.time_since_epoch()) - Seconds(Other::now().time_since_epoch())));
    }

    bool is_never() const { return point_ == (Clock::time_point::max)(); }
    bool passed() const { return !is_never() && Clock::now() >= point_; }

    /// Zero when it has passed; nanoseconds::max() for never.
    std::chrono::nanoseconds remaining() const {
        if (is_never()) return (std::chrono::nanoseconds::max)();
        const auto left = point_ - Clock::now();
        return left > Clock::duration::zero() ? left : Clock::duration::zero();
    }

    /// That much later; never stays never.
    Deadline plus(Timeout timeout) const {
        if (is_never() || timeout.is_none() || timeout.length() > (Clock::time_point::max)() - point_) return {};
        return Deadline(point_ + std::chrono::duration_cast<Clock::duration>(timeout.length()));
    }

    friend bool earlier(Deadline a, Deadline b) { return a.point_ < b.point_; }
    friend Deadline sooner(Deadline a, Deadline b) { return a.point_ < b.point_ ? a : b; }

  private:
    constexpr explicit Deadline(Clock::time_point point) : point_(point) {}
    Clock::time_point point_ = (Clock::time_point::max)();
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_DEADLINE_HPP

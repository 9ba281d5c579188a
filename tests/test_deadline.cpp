// tests/test_deadline.cpp - lengths of time that never overflow, and points in time.
#include <doctest/doctest.h>

#include "support.hpp"

#include <algorithm>
#include <limits>
#include <type_traits>

using leash::Timeout;
using leash::detail::Deadline;
using namespace std::chrono_literals;
using std::chrono::duration;
using std::chrono::nanoseconds;

TEST_CASE("a timeout takes any duration as it is") {
    static_assert(Timeout(5s).length() == nanoseconds(5'000'000'000));
    static_assert(Timeout().is_none() && Timeout::none().is_none());
    CHECK(Timeout(duration<double>(1.5)).length() == 1500ms);
    CHECK(Timeout(duration<float, std::milli>(2.0F)).length() == 2ms);
    CHECK(Timeout(duration<short, std::ratio<60>>(2)).length() == 2min);
    CHECK(Timeout(duration<unsigned long long>(7)).length() == 7s);
    CHECK(Timeout(0s).length() == 0ns);
    CHECK(Timeout(-3s).length() == nanoseconds(-3s));
    CHECK_FALSE(Timeout(24h * 365).is_none());
}

TEST_CASE("timeouts compare by length, with durations too, and no limit is the longest") {
    constexpr Timeout none, minute = 1min;
    static_assert(minute == 60s && minute != 61s && minute < 61s && minute > 1ms && minute <= 1min && minute >= 1min);
    static_assert(none == Timeout::none() && none > 100000h && !(none < none) && none >= none &&
                  none == Timeout(1e300 * 1h));
    static_assert(Timeout(-1s) < 0s);
    static_assert(std::is_nothrow_constructible_v<Timeout, std::chrono::seconds>);
    static_assert(noexcept(none < minute));
}

TEST_CASE("what does not fit into a timeout is no limit, and what is not a number is negative") {
    CHECK(Timeout(nanoseconds::max()).is_none());
    CHECK(Timeout(std::chrono::seconds::max()).is_none());
    CHECK(Timeout(std::chrono::hours::max()).is_none());
    CHECK(Timeout(duration<unsigned long long>::max()).is_none());
    CHECK(Timeout(duration<double>(1e10)).is_none());
    CHECK(Timeout(duration<double>::max()).is_none());
    CHECK(Timeout(duration<double>(std::numeric_limits<double>::infinity())).is_none());
    CHECK(Timeout(duration<float>(std::numeric_limits<float>::infinity())).is_none());
    CHECK(Timeout(duration<long double>(std::numeric_limits<long double>::max())).is_none());

    CHECK(Timeout(nanoseconds::min()).length() < 0ns);
    CHECK(Timeout(std::chrono::hours::min()).length() < 0ns);
    CHECK(Timeout(duration<double>(-std::numeric_limits<double>::infinity())).length() < 0ns);
    CHECK(Timeout(duration<double>(std::numeric_limits<double>::quiet_NaN())).length() < 0ns);
}

TEST_CASE("a length of time converts from and to what <chrono> has, compares with it, and is exact where it can be") {
    using leash::Duration;
    static_assert(Duration().count() == 0);
    static_assert(Duration(3min) == 180s && 180s == Duration::seconds(180) && Duration(1ns) < 1us &&
                  2h >= Duration(2h));
    static_assert(Duration::milliseconds(7) == 7ms && Duration::microseconds(7) == 7us &&
                  Duration::nanoseconds(7) == 7ns);
    constexpr nanoseconds exact = nanoseconds(1'234'567'890'123'456'789);  // more than a double can hold
    static_assert(Duration(exact).count() == exact.count() && nanoseconds(Duration(exact)) == exact);

    const nanoseconds as_it_is = Duration(2ms);
    CHECK(as_it_is == 2ms);
    // 0.4 ms are no 0 ms for who did not say so
    static_assert(!std::is_convertible_v<Duration, std::chrono::milliseconds>);
    CHECK(std::chrono::milliseconds(Duration(1'999'999ns)) == 1ms);
    CHECK(std::chrono::milliseconds(Duration(-1'999'999ns)) == -1ms);
    CHECK(duration<double>(Duration(250ms)).count() == 0.25);
    CHECK(std::min<nanoseconds>(Duration(5s), 1s) == 1s);
    nanoseconds sum = 1us;
    sum += Duration(2us);
    CHECK(sum == 3us);

    using Thirds = duration<std::int64_t, std::ratio<1, 3>>;
    using Picoseconds = duration<std::int64_t, std::pico>;
    CHECK(Duration(Thirds(3 * 6'000'000'000)).count() == 6'000'000'000'000'000'000);  // the product would overflow
    CHECK(Duration(Thirds(1)).count() == 333'333'333);
    CHECK(Thirds(Duration(2s)).count() == 6);
    CHECK(Duration(Picoseconds(2'999)).count() == 2);
    CHECK(Picoseconds(Duration(2ns)).count() == 2'000);
    CHECK(Duration(duration<float, std::micro>(1.5F)) == 1'500ns);
    // more than the numbers on the way can hold
    using Unsigned = duration<std::uint64_t, std::pico>;
    CHECK(Duration(Unsigned(10'000'000'000'000'000'000U)) == 10'000'000s);
    using Odd = duration<std::int64_t, std::ratio<1, 10'000'000'019>>;
    CHECK(Duration(Odd(10'000'000'018)) > 999'999'998ns);
    CHECK(Duration(Odd(10'000'000'018)) <= 1s);
    using Tera = duration<long, std::tera>;
    CHECK(Duration(Tera(0)) == 0ns);
    CHECK(Duration(Tera(1)) == Duration::longest());
    CHECK(Tera(Duration(5ms)).count() == 0);
    CHECK(Picoseconds(Duration::longest()) == Picoseconds::max());
    CHECK(Picoseconds(Duration(nanoseconds::min())) == Picoseconds::min());
    CHECK(duration<int, std::milli>(Duration::longest()).count() == std::numeric_limits<int>::max());
    CHECK(duration<unsigned>(Duration::seconds(-1)).count() == 0);
    CHECK(Duration::nanoseconds(UINT64_MAX) == Duration::longest());
    CHECK(Duration::nanoseconds(INT64_MAX) == Duration::longest());
    CHECK(Duration::nanoseconds(INT64_MIN) == Duration(nanoseconds::min()));

    CHECK(Duration(2s) + 3s == 5s);
    CHECK(1s - Duration(3s) == -2s);
    CHECK(Duration::longest() + 1ns == Duration::longest());
    CHECK(Duration() - Duration::longest() - 1h == Duration(nanoseconds::min()));
    CHECK(Duration() - Duration(nanoseconds::min()) == Duration::longest());
    CHECK(Duration::seconds(INT64_MAX) == Duration::longest());
    CHECK(Duration::seconds(INT64_MIN) == Duration(nanoseconds::min()));
    CHECK(Timeout(Duration::seconds(2)).length() == 2s);
    CHECK(Timeout(Duration::longest()).is_none());
}

TEST_CASE("a deadline is never, passed, or a time that remains") {
    CHECK(Deadline().is_never());
    CHECK(Deadline::never().is_never());
    CHECK_FALSE(Deadline::never().passed());
    CHECK(Deadline::never().remaining() == nanoseconds::max());
    CHECK(Deadline::after(Timeout::none()).is_never());

    CHECK(Deadline::now().passed());
    CHECK(Deadline::now().remaining() == 0ns);
    CHECK(Deadline::after(0s).passed());
    CHECK(Deadline::after(-1h).passed());
    CHECK(Deadline::after(nanoseconds::min()).passed());

    const Deadline later = Deadline::after(1h);
    CHECK_FALSE(later.is_never());
    CHECK_FALSE(later.passed());
    CHECK(later.remaining() > 59min);
    CHECK(later.remaining() <= 1h);
    CHECK(sooner(later, Deadline::never()).remaining() <= 1h);
    CHECK(sooner(Deadline::never(), later).remaining() <= 1h);
    CHECK(sooner(Deadline::never(), Deadline::never()).is_never());
}

TEST_CASE("a deadline may be a point of any clock, its ends included") {
    using System = std::chrono::system_clock;
    using Steady = std::chrono::steady_clock;
    CHECK(Deadline::at(System::time_point::max()).is_never());
    CHECK(Deadline::at(Steady::time_point::max()).is_never());
    CHECK(Deadline::at(System::time_point::max() - 1s).is_never());
    CHECK(Deadline::at(System::time_point::min()).passed());
    CHECK(Deadline::at(Steady::time_point::min()).passed());
    CHECK(Deadline::at(System::time_point()).passed());
    CHECK(Deadline::at(System::now() - 1s).passed());
    const Deadline later = Deadline::at(System::now() + 1h);
    CHECK(later.remaining() > 59min);
    CHECK(later.remaining() < 61min);
    // coarser than the clock's own
    const auto in_hours = std::chrono::time_point_cast<std::chrono::hours>(System::now()) + 3h;
    CHECK(Deadline::at(in_hours).remaining() > 1h);
    CHECK(Deadline::at(std::chrono::time_point<System, std::chrono::hours>::max()).is_never());
}

// tests/test_deadline.cpp - lengths of time that never overflow, and points in time.
#include <doctest/doctest.h>

#include "support.hpp"

#include <limits>

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

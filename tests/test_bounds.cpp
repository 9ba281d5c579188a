// tests/test_bounds.cpp - Options::umask, nice and limits: what a program may do from its first instruction on.
#include "support.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>

using namespace support;

namespace {

/// What the child says of itself.
std::string bounds_of(const leash::Options& options) {
    const auto result = leash::try_run(child({"bounds"}), options);
    return result ? result->out : result.error().message();
}

/// The same, with other words behind a name.
std::string with(std::string all, const std::string& name, const std::string& value) {
    const std::size_t at = all.find(name + " ") + name.size() + 1;
    std::size_t end = all.find_first_of(" \n", at);
    if (value.find(' ') != std::string::npos) end = all.find_first_of(" \n", end + 1);
    return all.replace(at, end - at, value);
}

}  // namespace

TEST_CASE("a umask, a nice value and limits that make no sense are refused") {
    leash::Options options;
    std::string subject;
    const auto is_refused = [&] {
        const auto job = leash::Popen::try_spawn({"true"}, options);
        CHECK_FALSE(job);
        if (job) return;
        CHECK(job.error().step == leash::Step::options);
        CHECK(job.error().subject == subject);
        CHECK(job.error().code == std::errc::invalid_argument);
    };
    for (const int wrong : {-2, 01000, -1000}) {
        options = {};
        options.umask = wrong;
        subject = "umask";
        is_refused();
    }
    for (const int wrong : {-41, 41}) {
        options = {};
        options.nice = wrong;
        subject = "nice";
        is_refused();
    }
    for (const leash::Timeout wrong : {leash::Timeout(0s), leash::Timeout(-1s)}) {
        options = {};
        options.limits.cpu_time = wrong;
        subject = "limits.cpu_time";
        is_refused();
    }
}

TEST_CASE("where posix_spawn starts the job, a bound is refused by its name") {
    if (leash::detail::os::has_direct_start) return;
    const Census census;
    const auto refusal_of = [&](const leash::Options& options) {
        const auto job = leash::Popen::try_spawn(child({"sleep"}), options);
        CHECK(census.is_empty());
        if (job) return std::string();
        CHECK(job.error().code == std::errc::function_not_supported);
        CHECK(job.error().step == leash::Step::options);
        return job.error().subject;
    };
    leash::Options options = capture(census);
    options.umask = 077;
    CHECK(refusal_of(options) == "umask");
    options = capture(census);
    options.nice = 1;
    CHECK(refusal_of(options) == "nice");
    options = capture(census);
    options.limits.cpu_time = 1s;
    CHECK(!refusal_of(options).compare(0, 6, "limits"));
    options = capture(census);
    options.limits.core_size = 0;
    CHECK(!refusal_of(options).compare(0, 6, "limits"));
}

#if defined(__linux__)

TEST_CASE("each bound is there at the program's start, alone, and the host has none of it") {
    if (!leash::detail::os::has_direct_start) return;
    const Census census;
    const std::string wrong = in_host([&]() -> std::string {
        const std::string before = bounds_of(capture(census));
        HOST_NEEDS(before.compare(0, 6, "umask ") == 0);
        leash::Options options = capture(census);
        options.umask = 0137;
        HOST_NEEDS(bounds_of(options) == with(before, "umask", "137"));
        options.umask = 0;
        HOST_NEEDS(bounds_of(options) == with(before, "umask", "000"));

        options = capture(census);
        options.nice = 3;
        const int own = ::getpriority(PRIO_PROCESS, 0);
        HOST_NEEDS(bounds_of(options) == with(before, "nice", std::to_string(std::min(own + 3, 19))));
        HOST_NEEDS(::setpriority(PRIO_PROCESS, 0, own + 2) == 0);  // of this thread
        HOST_NEEDS(bounds_of(options) == with(before, "nice", std::to_string(std::min(own + 5, 19))));
        options.nice = 40;
        HOST_NEEDS(bounds_of(options) == with(before, "nice", "19"));
        const std::string nicer = bounds_of(capture(census));

        options = capture(census);
        options.limits.address_space = 1'000'000'000;
        HOST_NEEDS(bounds_of(options) == with(nicer, "as", "1000000000 1000000000"));
        options = capture(census);
        options.limits.file_size = 0;
        options.limits.open_files = 20;
        HOST_NEEDS(bounds_of(options) == with(with(nicer, "fsize", "0 0"), "nofile", "20 20"));
        options = capture(census);
        options.limits.processes = 12'345;
        options.limits.core_size = 1;
        HOST_NEEDS(bounds_of(options) == with(with(nicer, "nproc", "12345 12345"), "core", "1 1"));
        options = capture(census);
        options.limits.cpu_time = 1001ms;
        HOST_NEEDS(bounds_of(options) == with(nicer, "cpu", "2 3"));
        options.limits.cpu_time = 1s;
        HOST_NEEDS(bounds_of(options) == with(nicer, "cpu", "1 2"));

        HOST_NEEDS(bounds_of(capture(census)) == nicer);
        HOST_NEEDS(census.is_empty());
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a limit ends or stops what goes beyond it") {
    if (!leash::detail::os::has_direct_start) return;
    const Census census;
    leash::Options options = capture(census);
    SUBCASE("of memory") {
        const std::string size = std::to_string(2'000'000'000);
        CHECK(leash::run(child({"allocate", size}), options).out == "some\n");
        options.limits.address_space = 1'000'000'000;
        CHECK(leash::run(child({"allocate", size}), options).out == "none\n");
    }
    SUBCASE("of time on a processor") {
        options.limits.cpu_time = 1ms;
        options.limits.core_size = 0;  // as SIGXCPU is by default
        options.timeout = 20s;
        const leash::Result r = leash::run(child({"spin", "60000", "0"}), options);
        CHECK(r.status.signal() == SIGXCPU);
        CHECK_FALSE(r.timed_out);
    }
    SUBCASE("of a file") {
        const TemporaryDirectory directory;
        options.out = leash::file(directory / "out");
        options.limits.file_size = 1000;
        options.limits.core_size = 0;
        CHECK(leash::run(child({"write", "5000"}), options).status.signal() == SIGXFSZ);
        CHECK(read_file(directory / "out").size() == 1000);
    }
    SUBCASE("of descriptors, which are given to it all the same") {
        const int ours = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        options.pass_fds = {{ours, 40}};
        options.limits.open_files = 5;
        CHECK(leash::run(child({"fds"}), options).out.find("\n40 /dev/null\n") != std::string::npos);
        ::close(ours);
    }
    CHECK(census.is_empty());
}

TEST_CASE("every stage of a pipeline has the bounds, and its guardian none of them") {
    if (!leash::detail::os::has_direct_start) return;
    const Census census;
    leash::Options options = capture(census);
    options.umask = 0123;
    options.limits.open_files = 33;
    options.limits.address_space = 1'000'000'000;
    options.die_with_parent = true;
    const leash::Command first = leash::shell("\"$1\" bounds >&2", {helper()});
    const leash::Result r = leash::run(first | child({"bounds"}), options);
    CHECK(r.out == r.err);
    CHECK(r.out.find("umask 123 ") == 0);
    CHECK(r.out.find(" nofile 33 33 ") != std::string::npos);
}

TEST_CASE("more than the host may give is refused, and nothing is started") {
    if (!leash::detail::os::has_direct_start) return;
    const Census census;
    leash::Options options = capture(census);
    const auto refused = [&] { return leash::Popen::try_spawn(child({"sleep"}), options); };
    SUBCASE("a limit, of which even root has one") {
        options.limits.open_files = 1ULL << 40;
        const auto job = refused();
        REQUIRE_FALSE(job);
        CHECK(job.error().step == leash::Step::options);
        CHECK(job.error().subject == "limits.open_files");
        CHECK(job.error().code == std::errc::operation_not_permitted);
        CHECK(job.error().message().find("hard limit") != std::string::npos);
    }
    SUBCASE("a nice value") {
        const bool may = in_host([]() -> std::string {
                             HOST_NEEDS(::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, 0) - 1) == 0);
                             return "";
                         }).empty();
        options.nice = -1;
        const auto job = refused();
        CHECK(job.has_value() == may);
        if (!may) CHECK(job.error().subject == "nice");
        if (!may) CHECK(job.error().code == std::errc::permission_denied);
        if (may) return;
    }
    CHECK(census.is_empty());
}

#endif

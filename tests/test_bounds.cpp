// tests/test_bounds.cpp - Options::umask, nice and limits: what a program may do from its first instruction on.
#include "support.hpp"

#include <doctest/doctest.h>

#include <algorithm>

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

/// A limit that a shell sets it says in units: what cannot be said so is rounded down.
std::string limit(std::uint64_t bytes, std::uint64_t unit) {
    const std::string text = std::to_string(leash::detail::os::has_direct_start ? bytes : bytes / unit * unit);
    return text + ' ' + text;
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

#if defined(__linux__)

TEST_CASE("each bound is there at the program's start, alone, and the host has none of it") {
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
        HOST_NEEDS(bounds_of(options) == with(nicer, "as", limit(1'000'000'000, 1024)));
        options = capture(census);
        options.limits.file_size = 0;
        options.limits.open_files = 20;
        HOST_NEEDS(bounds_of(options) == with(with(nicer, "fsize", "0 0"), "nofile", "20 20"));
        options = capture(census);
        options.limits.processes = 12'345;
        options.limits.core_size = 1023;
        HOST_NEEDS(bounds_of(options) == with(with(nicer, "nproc", "12345 12345"), "core", limit(1023, 512)));
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
        options.timeout = 200s;        // a second of its own may be far away on a busy machine
        const leash::Result r = leash::run(child({"spin", "600000", "0"}), options);
        CHECK(r.status.signal() == SIGXCPU);
        CHECK_FALSE(r.timed_out);
    }
    SUBCASE("of a file") {
        const TemporaryDirectory directory;
        options.out = leash::file(directory / "out");
        options.limits.file_size = 1000;
        options.limits.core_size = 0;
        CHECK(leash::run(child({"write", "5000"}), options).status.signal() == SIGXFSZ);
        CHECK(read_file(directory / "out").size() == (leash::detail::os::has_direct_start ? 1000 : 512));
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

TEST_CASE("with bounds a program has nothing else that it would not have without, and all of that") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string wrong = in_host([&]() -> std::string {
        ::signal(SIGINT, SIG_IGN);  // as nohup does with another one
        leash::Options options = capture(census);
        options.cwd = directory.path();
        options.pass_fds = {{2, 3}, {2, 5}, {2, 9}, {2, 11}};
        for (const char* const name :
             {"PWD", "OLDPWD", "SHLVL", "_", "IFS", "PS4", "OPTIND", "LINENO", "LC_ALL", "LD_LIBRARY_PATH", "ENV",
              "a.b", "A-B", "BASH_FUNC_echo%%", "BASH_ENV", "1", "POSIXLY_CORRECT", "RANDOM", "UID"})
            options.env.set(name, "() { echo no; }\n'\"$x` ");
        options.env.set("empty", "").set("word", "=*\\\t\xff\n");
        for (const bool inherits : {true, false}) {
            if (!inherits) options.env = census.mark(leash::Env::empty());
            for (const char* const what : {"env", "signals", "fds", "pwd"}) {
                leash::Options bounded = options;
                bounded.umask = 022;
                bounded.limits.open_files = 20;
                bounded.limits.core_size = 0;
                // a shell has the variables in another order, and each run has its own pipes
                const auto seen = [&](const leash::Options& how) {
                    std::vector<std::string> all(1);
                    bool is_number = false;
                    for (const char c : leash::run(child({what}), how).out) {
                        is_number = c == '[' || (is_number && c != ']');
                        if (c == '\0') all.emplace_back();
                        else if (!is_number) all.back() += c;
                    }
                    std::sort(all.begin(), all.end());
                    std::string text;
                    for (const std::string& one : all) text += one + "|";
                    return text;
                };
                HOST_NEEDS(seen(options).size() > 1);
                HOST_NEEDS(seen(bounded) == seen(options));
            }
        }
        return "";
    });
    CHECK(wrong == "");
    leash::Options options = capture(census);
    options.umask = 022;
    CHECK(leash::run({"printf", "<%s>", "", "a b", "-u", "x=y", "$x'\"", "\n", "--"}, options).out ==
          "<><a b><-u><x=y><$x'\"><\n><-->");
    options.err = leash::piped;
    CHECK(leash::run(leash::shell("echo $0 $1; exit 7", {"one"}), options).status.code() == 7);
    CHECK(leash::run(leash::shell("kill -9 $$"), options).status.signal() == SIGKILL);
    CHECK(leash::run(leash::shell("echo seen >&2"), options).err == "seen\n");
    CHECK(census.is_empty());
}

TEST_CASE("what keeps a program with bounds from being started is told as without") {
    const Census census;
    const TemporaryDirectory directory;
    leash::Options options = capture(census);
    options.limits.core_size = 0;
    const auto refusal = [&](const leash::Command& command) {
        auto job = leash::Popen::try_spawn(command, options);
        CHECK_FALSE(job);
        CHECK(census.is_empty());
        return job ? leash::Error() : job.error();
    };
    CHECK(refusal({"no-such-program"}).step == leash::Step::program);
    const leash::Error text = refusal(leash::args({directory.file("text", "echo no\n", 0755)}));
    CHECK(text.step == leash::Step::program);
    CHECK(text.code == std::errc::executable_format_error);
    const leash::Error script = refusal(leash::args({directory.file("script", "#!/no/such\n", 0755)}));
    CHECK(script.step == leash::Step::interpreter);
    CHECK(script.subject == "/no/such");
    const int writer = ::open(directory.file("busy", "#!/bin/sh\n", 0755).c_str(), O_WRONLY | O_CLOEXEC);
    CHECK(refusal(leash::args({directory / "busy"})).code == std::errc::text_file_busy);
    ::close(writer);
    CHECK(leash::run(leash::args({directory / "busy"}), options).ok());
}

TEST_CASE("what a shell cannot give to a program with bounds is refused by its name, where one starts it") {
    const Census census;
    leash::Options options = capture(census);
    options.umask = 077;
    std::string subject;
    const auto refused = [&](const leash::Command& command) {
        const auto result = leash::try_run(command, options);
        CHECK(result.has_value() == leash::detail::os::has_direct_start);
        if (result) return;
        CHECK(result.error().code == std::errc::function_not_supported);
        CHECK(result.error().subject == subject);
    };
    options.executable = helper();
    subject = "executable";
    refused({"another name", "umask"});
    options.executable.clear();
    const int ours = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (int theirs = 3; theirs <= 9; ++theirs) options.pass_fds.push_back({ours, theirs});
    subject = "pass_fds";
    refused(child({"umask"}));
    ::close(ours);
    CHECK(census.is_empty());
}

#endif

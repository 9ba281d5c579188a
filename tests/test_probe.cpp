// tests/test_probe.cpp - probe(): what a program would have.
#include "support.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

using namespace support;

#if defined(__linux__)

namespace {

/// What the probe says of a descriptor; "" where there is none.
std::string what_is(const leash::Probe& probe, int number) {
    for (const auto& one : probe.descriptors) {
        if (one.number == number) return one.what;
    }
    return "";
}

template <class Address>
int bound_socket(int type, const Address& address) {
    const int fd = ::socket(reinterpret_cast<const sockaddr&>(address).sa_family, type, 0);
    if (::bind(fd, &reinterpret_cast<const sockaddr&>(address), sizeof address) != 0) return ::close(fd), -1;
    return fd;
}

int port_of(int fd) {
    sockaddr_in6 address{};
    socklen_t size = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin6_port);  // at the same place in a sockaddr_in
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

TEST_CASE("a probe has three descriptors and nothing of the host's") {
    const NothingLeft nothing_left;
    const Census census;
    const int leaking = ::open("/dev/zero", O_RDONLY);  // no O_CLOEXEC
    {
        leash::Options options;
        options.env = census.env();
        const leash::Probe probe = leash::probe(options);
        CHECK(probe.descriptors.size() == 3);
        CHECK(what_is(probe, 0) == "/dev/null");
        CHECK(probe.descriptors.front().number == 0);
        CHECK(probe.descriptors.back().number == 2);
        CHECK(probe.blocked_signals.empty());
        char here[PATH_MAX] = "";
        CHECK(::getcwd(here, sizeof here) != nullptr);
        CHECK(probe.cwd == here);
        CHECK(contains(probe.environment, "LEASH_TEST_MARK"));
        CHECK(contains(probe.environment, "PATH"));
        CHECK(probe.nice == ::getpriority(PRIO_PROCESS, 0));
        rlimit files{};
        ::getrlimit(RLIMIT_NOFILE, &files);
        CHECK(probe.limits.open_files == files.rlim_cur);
        CHECK(census.is_empty());
    }
    ::close(leaking);
    CHECK(nothing_left.holds());
}

TEST_CASE("a probe has what the options give, and each thing by what it is") {
    const Census census;
    const TemporaryDirectory directory;
    const int file = ::open((directory / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int listener = bound_socket(SOCK_STREAM, four);
    REQUIRE(::listen(listener, 1) == 0);
    const std::string port = std::to_string(port_of(listener));
    four.sin_port = htons(static_cast<std::uint16_t>(port_of(listener)));
    const int client = ::socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(::connect(client, reinterpret_cast<const sockaddr*>(&four), sizeof four) == 0);
    four.sin_port = 0;
    const int datagrams = bound_socket(SOCK_DGRAM, four);
    sockaddr_un local{};
    local.sun_family = AF_UNIX;
    const std::string path = directory / "socket";
    std::strcpy(local.sun_path, path.c_str());
    const int unix_listener = bound_socket(SOCK_STREAM, local);
    REQUIRE(::listen(unix_listener, 1) == 0);
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_addr = in6addr_loopback;
    const int listener6 = bound_socket(SOCK_STREAM, six);  // -1 where there is no IPv6

    leash::Options options;
    options.env = census.mark(leash::Env::empty().set("A", "1=2").set("B", ""));
    options.cwd = directory.path();
    options.in = leash::piped;
    options.err = leash::to_out;
    options.out = leash::null;
    options.pass_fds = {{file, 9}, {listener, 5}, {client, 6}, {datagrams, 7}, {unix_listener, 20}};
    if (listener6 >= 0 && ::listen(listener6, 1) == 0) options.pass_fds.push_back({listener6, 30});
    options.reach = leash::Reach::tree;
    options.umask = 0127;
    options.nice = 40;
    options.limits.cpu_time = 5s;
    options.limits.core_size = 0;
    options.limits.open_files = 64;
    const leash::Probe probe = leash::probe(options);
    CHECK(probe.descriptors.size() == 3 + options.pass_fds.size());
    CHECK(what_is(probe, 0).compare(0, 6, "pipe:[") == 0);
    CHECK(what_is(probe, 1) == "/dev/null");
    CHECK(what_is(probe, 2) == "/dev/null");
    CHECK(what_is(probe, 9) == directory / "file");
    CHECK(what_is(probe, 5) == "tcp 127.0.0.1:" + port + ", listening");
    CHECK(what_is(probe, 6) == "tcp 127.0.0.1:" + std::to_string(port_of(client)) + " to 127.0.0.1:" + port);
    CHECK(what_is(probe, 7) == "udp 127.0.0.1:" + std::to_string(port_of(datagrams)));
    CHECK(what_is(probe, 20) == "unix " + path + ", listening");
    if (options.pass_fds.size() == 6)
        CHECK(what_is(probe, 30) == "tcp [0:0:0:0:0:0:0:1]:" + std::to_string(port_of(listener6)) + ", listening");
    std::vector<std::string> all_names = probe.environment;
    std::sort(all_names.begin(), all_names.end());  // where a shell starts it they come in another order
    CHECK(all_names == std::vector<std::string>{"A", "B", "LEASH_JOB", "LEASH_TEST_MARK"});
    CHECK(probe.cwd == directory.path());
    CHECK(probe.umask == 0127);
    CHECK(probe.nice == 19);
    CHECK(probe.limits.cpu_time.length() == 5s);
    CHECK(probe.limits.core_size == 0);
    CHECK(probe.limits.open_files == 64);
    sockaddr_un odd{};
    odd.sun_family = AF_UNIX;
    const std::string spaced = directory / "a b c";
    std::strcpy(odd.sun_path, spaced.c_str());
    const int with_spaces = bound_socket(SOCK_STREAM, odd);
    // one whose name says that another one is what it is not
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    struct stat info {};
    ::fstat(pair[0], &info);
    const std::string lie =
        "\n0000000000000000: 00000002 00000000 00010000 0001 01 " + std::to_string(info.st_ino) + " /x";
    std::memset(odd.sun_path, 0, sizeof odd.sun_path);
    std::memcpy(odd.sun_path + 1, lie.data(), std::min(lie.size(), sizeof odd.sun_path - 1));
    const int liar = bound_socket(SOCK_STREAM, odd);
    leash::Options names;
    names.env = census.env();
    names.pass_fds = {{with_spaces, 3}, {pair[0], 4}};
    const leash::Probe named = leash::probe(names);
    CHECK(what_is(named, 3) == "unix " + spaced);
    CHECK(what_is(named, 4).find("/x") == std::string::npos);
    for (const int fd : {with_spaces, liar, pair[0], pair[1]}) ::close(fd);
    for (const int fd : {file, listener, client, datagrams, unix_listener, listener6}) ::close(fd);
    CHECK(census.is_empty());
}

TEST_CASE("a probe has the ignored signals that a program would have") {
    const Census census;
    const std::string wrong = in_host([&]() -> std::string {
        for (const int ignored : {SIGHUP, SIGPIPE, SIGUSR1}) ::signal(ignored, SIG_IGN);
        sigset_t blocked;
        ::sigemptyset(&blocked);
        ::sigaddset(&blocked, SIGTERM);
        ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
        leash::Options options;
        options.env = census.env();
        const leash::Probe probe = leash::probe(options);
        std::vector<int> ignored = probe.ignored_signals;
        ignored.erase(std::remove_if(ignored.begin(), ignored.end(), [](int one) { return one == 32 || one == 33; }),
                      ignored.end());                     // its own two, which glibc's posix_spawn leaves so
        HOST_NEEDS(ignored == std::vector<int>{SIGHUP});  // as nohup wants it
        HOST_NEEDS(probe.blocked_signals.empty());
        HOST_NEEDS(census.is_empty());
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a probe that cannot be made says why") {
    const NothingLeft nothing_left;
    leash::Options options;
    options.cwd = "/nowhere";
    const auto none = leash::try_probe(options);
    REQUIRE_FALSE(none);
    CHECK(none.error().step == leash::Step::cwd);
    options = {};
    options.limits.address_space = 100'000;  // a program needs more than that to begin
    const auto ended = leash::try_probe(options);
    REQUIRE_FALSE(ended);
    CHECK(ended.error().step == leash::Step::spawn);
    CHECK(nothing_left.holds());
}

#endif

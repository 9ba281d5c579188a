// tests/test_environment.cpp - the environment of a process in what macOS and OpenBSD tell of it: made-up answers, on every system.
#include <doctest/doctest.h>

#include "inside.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <cstdint>
#include <cstring>

using namespace std::string_literals;

namespace {

/// An answer to KERN_PROCARGS2, of a program in the given place.
std::string arguments(int count, std::string path, const std::string& strings) {
    std::string answer(sizeof count, '\0');
    std::memcpy(&answer[0], &count, sizeof count);
    path += '\0';
    while (path.size() % 8 != 0) path += '\0';
    return answer + path + strings;
}

std::string behind_arguments(const std::string& answer) {
    return std::string(leash::detail::os::environment_behind_arguments(answer));
}

/// An answer of OpenBSD: as many addresses, of which the first is so far behind the beginning (or before it), and then the
/// strings.
std::string behind_addresses(std::size_t count, std::size_t first, const std::string& strings, std::size_t before = 0) {
    std::vector<char> answer(count * sizeof(char*) + strings.size() + 1);
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(answer.data()) + first - before;
    std::memcpy(answer.data(), &address, sizeof address);
    std::memcpy(answer.data() + count * sizeof(char*), strings.data(), strings.size());
    return std::string(leash::detail::os::environment_behind_addresses({answer.data(), answer.size() - 1}));
}

}  // namespace

TEST_SUITE_BEGIN("environment");

TEST_CASE("macOS tells it behind the arguments") {
    const std::string two = "A=1\0LEASH_JOB=c\0"s;
    for (const std::string path : {"/", "/bin/l", "/bin/ls", "/bin/lss", "/usr/bin/true"}) {
        CAPTURE(path);
        CHECK(behind_arguments(arguments(1, path, "ls\0"s + two)) == two);
        CHECK(behind_arguments(arguments(3, path, "ls\0-l\0/\0"s + two)) == two);
        CHECK(behind_arguments(arguments(0, path, two)) == two);
        // An argument may be empty, the first one too: it is none of the NULs that stand behind the path.
        CHECK(behind_arguments(arguments(3, path, "\0\0x\0"s + two)) == two);
        CHECK(behind_arguments(arguments(1, path, "\0"s + two)) == two);
    }
    // A 32-bit program's path ends at a multiple of four bytes.
    CHECK(behind_arguments("\1\0\0\0/bin/lss\0\0\0\0x\0"s + two) == two);
    CHECK(behind_arguments("\1\0\0\0/x\0\0x\0"s + two) == two);
}

TEST_CASE("macOS tells none, or only a part of it") {
    CHECK(behind_arguments(arguments(2, "/bin/ls", "ls\0-l\0"s)) == "");  // Apple's own
    CHECK(behind_arguments(arguments(2, "/bin/ls", "ls\0-l"s)) == "");
    CHECK(behind_arguments(arguments(2, "/bin/ls", "ls\0"s)) == "");
    CHECK(behind_arguments(arguments(1, "/bin/ls", "ls\0A=1\0B=2"s)) == "A=1\0B=2"s);
    CHECK(behind_arguments(arguments(0x7fffffff, "/bin/ls", "ls\0A=1\0"s)) == "");
    CHECK(behind_arguments(arguments(-1, "/bin/ls", "ls\0A=1\0"s)) == "ls\0A=1\0"s);
    const std::string whole = arguments(1, "/bin/ls", "ls\0A=1\0"s);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const std::string cut = behind_arguments(whole.substr(0, size));
        CHECK(cut == "A=1\0"s.substr(0, cut.size()));
    }
}

TEST_CASE("OpenBSD tells it behind the addresses of its parts") {
    const std::string two = "A=1\0LEASH_JOB=c\0"s;
    CHECK(behind_addresses(3, 3 * sizeof(char*), two) == two);
    CHECK(behind_addresses(1, sizeof(char*), "") == "");
    CHECK(behind_addresses(3, 3 * sizeof(char*) + 4, two) == "LEASH_JOB=c\0"s);
    CHECK(behind_addresses(3, 0, two) == "");
    CHECK(behind_addresses(3, 0, two, 8) == "");
    CHECK(behind_addresses(3, 3 * sizeof(char*) + two.size() + 1, two) == "");
    using leash::detail::os::environment_behind_addresses;
    CHECK(environment_behind_addresses({}) == "");
    CHECK(environment_behind_addresses(std::string_view("\0\0\0\0", 4)) == "");
    CHECK(environment_behind_addresses(std::string(3 * sizeof(char*), '\0')) == "");  // there is none
}

TEST_SUITE_END();

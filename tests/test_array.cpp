// tests/test_array.cpp - the lists that leash keeps for itself.
#include <doctest/doctest.h>

#include "inside.hpp"

#include <string>
#include <utility>
#include <vector>

using leash::detail::Array;
using Strings = Array<std::string>;

namespace {

// Longer than what a string has within itself, so that a sanitizer sees what is lost or used too late.
std::string name(std::size_t number) { return "number " + std::to_string(number) + std::string(40, '.'); }

Strings names(std::size_t count) {
    Strings all;
    for (std::size_t i = 0; i < count; ++i) all.add(name(i));
    return all;
}

std::vector<std::string> listed(const Strings& all) { return {all.begin(), all.end()}; }

/// Owned by one at a time, and never copied.
struct Only {
    Only() = default;
    explicit Only(int& count) : owned(&count) { ++count; }
    Only(Only&& other) noexcept : owned(std::exchange(other.owned, nullptr)) {}
    Only& operator=(Only&& other) noexcept {
        std::swap(owned, other.owned);
        return *this;
    }
    ~Only() {
        if (owned != nullptr) --*owned;
    }
    int* owned = nullptr;
};

}  // namespace

TEST_SUITE_BEGIN("array");

TEST_CASE("what is added stays in its order, however often the list has to grow") {
    Strings all;
    CHECK(all.empty());
    CHECK(all.begin() == all.end());
    for (std::size_t i = 0; i < 100; ++i) {
        CHECK(all.add(name(i)) == name(i));
        REQUIRE(all.size() == i + 1);
        CHECK(all.front() == name(0));
        CHECK(all.back() == name(i));
    }
    for (std::size_t i = 0; i < 100; ++i) CHECK(all[i] == name(i));
    CHECK_FALSE(all.empty());
    CHECK(all.end() - all.begin() == 100);
}

TEST_CASE("one of its own can be added to it when it has to grow") {
    Strings all = names(1);
    for (int i = 0; i < 20; ++i) all.add(all[0]);
    for (const std::string& one : all) CHECK(one == name(0));
}

TEST_CASE("made with a size, it has that many as they are by default") {
    const Array<int> zeros(3);
    CHECK(zeros.size() == 3);
    for (const int zero : zeros) CHECK(zero == 0);
    const Array<int> none(0);
    CHECK(none.empty());
    CHECK(none.begin() == nullptr);  // without memory of its own
}

TEST_CASE("with room reserved nothing moves") {
    Strings all = names(2);
    all.reserve(50);
    CHECK(all.size() == 2);
    const std::string* const first = all.begin();
    for (std::size_t i = 2; i < 50; ++i) all.add(name(i));
    CHECK(all.begin() == first);
    all.reserve(10);
    CHECK(all.begin() == first);
    CHECK(all.size() == 50);
    for (std::size_t i = 0; i < 50; ++i) CHECK(all[i] == name(i));
}

TEST_CASE("a copy is its own, and what was moved is left empty") {
    Strings first = names(3);
    Strings copy = first;
    copy[0] = "another";
    copy.add("one more");
    CHECK(listed(first) == std::vector<std::string>{name(0), name(1), name(2)});
    CHECK(listed(copy) == std::vector<std::string>{"another", name(1), name(2), "one more"});

    const std::string* const place = first.begin();
    Strings moved = std::move(first);
    CHECK(moved.begin() == place);
    CHECK(first.empty());  // NOLINT(bugprone-use-after-move): this is what is asked
    first.add(name(7));
    CHECK(listed(first) == std::vector<std::string>{name(7)});

    moved = copy;
    CHECK(listed(moved) == listed(copy));
    const Strings& itself = moved;
    moved = itself;
    CHECK(listed(moved) == listed(copy));
    moved = std::move(first);
    CHECK(listed(moved) == std::vector<std::string>{name(7)});
    moved = {};
    CHECK(moved.empty());
}

TEST_CASE("where one is removed, the last one takes its place") {
    Strings all = names(4);
    all.remove(1);
    CHECK(listed(all) == std::vector<std::string>{name(0), name(3), name(2)});
    all.remove(2);
    CHECK(listed(all) == std::vector<std::string>{name(0), name(3)});
    all.cut(5);
    CHECK(all.size() == 2);
    all.cut(1);
    CHECK(listed(all) == std::vector<std::string>{name(0)});
    all.remove(0);
    CHECK(all.empty());
    all.add(name(9));
    CHECK(listed(all) == std::vector<std::string>{name(9)});
}

TEST_CASE("what is not in it any more is released at once, and the rest with it") {
    int owned = 0;
    {
        Array<Only> all;
        for (int i = 0; i < 9; ++i) all.add(Only(owned));
        CHECK(owned == 9);
        all.remove(0);
        CHECK(owned == 8);
        all.remove(7);
        CHECK(owned == 7);
        all.cut(3);
        CHECK(owned == 3);
        Array<Only> other = std::move(all);
        CHECK(owned == 3);
        other.add(Only(owned));
        all = std::move(other);
        CHECK(owned == 4);
        other = {};
        CHECK(owned == 4);
    }
    CHECK(owned == 0);
}

TEST_SUITE_END();

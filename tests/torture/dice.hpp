// tests/torture/dice.hpp - chance, the same again for the same seed.
#pragma once

#include <chrono>
#include <initializer_list>
#include <random>
#include <string>
#include <utility>

#include <cstddef>
#include <cstdint>

namespace torture {

class Dice {
  public:
    explicit Dice(std::uint64_t seed) : engine_(seed) {}

    /// first … last
    int between(int first, int last) { return std::uniform_int_distribution<int>(first, last)(engine_); }
    bool chance(int percent) { return between(1, 100) <= percent; }
    std::chrono::milliseconds milliseconds(int first, int last) {
        return std::chrono::milliseconds(between(first, last));
    }
    template <class T>
    T one_of(std::initializer_list<T> list) {
        return list.begin()[between(0, static_cast<int>(list.size()) - 1)];
    }

  private:
    std::mt19937_64 engine_;
};

}  // namespace torture

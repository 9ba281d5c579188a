// tests/fuzz/fuzz.hpp - what every fuzz target needs: its input as numbers and texts, and a way to fail.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

/// libFuzzer calls it, or tests/fuzz/replay.cpp with one file of the corpus after another.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

/// What must be so, whatever the input is.
#define FUZZ_NEEDS(...)                                                                    \
    do {                                                                                   \
        if (!(__VA_ARGS__)) {                                                              \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #__VA_ARGS__); \
            std::abort();                                                                  \
        }                                                                                  \
    } while (false)

namespace fuzz {

/// The input, taken from the front. At its end there are zeros and empty texts.
class Bytes {
  public:
    Bytes(const std::uint8_t* data, std::size_t size) : rest_(data, data + size) {}

    bool empty() const { return rest_.size() == taken_; }
    unsigned byte() { return empty() ? 0 : rest_[taken_++]; }
    /// One of 0 … count - 1.
    unsigned choice(unsigned count) { return byte() % count; }
    bool flag() { return choice(2) == 1; }
    std::uint64_t number() {
        std::uint64_t all = 0;
        for (unsigned i = choice(9); i > 0; --i) all = all << 8 | byte();
        return all;
    }
    /// A length, and so many bytes.
    std::string text() {
        std::string text;
        for (unsigned i = byte(); i > 0 && !empty(); --i) text += static_cast<char>(byte());
        return text;
    }
    /// All that is left, cut at each byte that is like the next one.
    std::vector<std::string> words() {
        const unsigned separator = byte();
        std::vector<std::string> words(1);
        while (!empty()) {
            const unsigned one = byte();
            if (one == separator) words.emplace_back();
            else words.back() += static_cast<char>(one);
        }
        return words;
    }

  private:
    std::vector<std::uint8_t> rest_;
    std::size_t taken_ = 0;
};

}  // namespace fuzz

// leash/detail/limit.hpp - how much of an output is kept, and which part of it.
#ifndef LEASH_0_1_0_DETAIL_LIMIT_HPP
#define LEASH_0_1_0_DETAIL_LIMIT_HPP

#include <cstddef>
#include <cstdint>

#include <leash/config.hpp>
#include <leash/options.hpp>

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

/// How much of an output is kept, and which part of it.
struct Limit {
    std::size_t most = SIZE_MAX;
    Keep which = Keep::head;

    std::size_t head() const noexcept { return which == Keep::head ? most : which == Keep::ends ? most - most / 2 : 0; }
    std::size_t tail() const noexcept { return most - head(); }
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_DETAIL_LIMIT_HPP

// leash/detail/atomic.hpp - what threads share without a lock. <atomic> would cost every user a tenth of what leash does.
#ifndef LEASH_0_1_0_DETAIL_ATOMIC_HPP
#define LEASH_0_1_0_DETAIL_ATOMIC_HPP

#include <leash/config.hpp>

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

/// As std::atomic<T> of a number or a pointer; sequentially consistent where no order is given.
template <class T>
class Atomic {
  public:
    explicit Atomic(T value) noexcept : value_(value) {}
    Atomic(const Atomic&) = delete;
    Atomic& operator=(const Atomic&) = delete;

    T load(int order = __ATOMIC_SEQ_CST) const noexcept { return __atomic_load_n(&value_, order); }
    void store(T value, int order = __ATOMIC_SEQ_CST) noexcept { __atomic_store_n(&value_, value, order); }
    T exchange(T value) noexcept { return __atomic_exchange_n(&value_, value, __ATOMIC_SEQ_CST); }
    /// Takes it from `from` to `to`, as a lock is taken: what its last holder did is seen. False where it is anything else.
    bool take(T from, T to) noexcept {
        return __atomic_compare_exchange_n(&value_, &from, to, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
    }

  private:
    static_assert(__atomic_always_lock_free(sizeof(T), nullptr), "a signal handler may use it");

    T value_;
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_DETAIL_ATOMIC_HPP

// leash/detail/shared.hpp - a counted pointer. <memory> would cost every user more than all of leash.
#ifndef LEASH_0_1_0_DETAIL_SHARED_HPP
#define LEASH_0_1_0_DETAIL_SHARED_HPP

#include <atomic>
#include <utility>

#include <leash/config.hpp>

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

/// Base of what a Shared<> points to.
class Counted {
  public:
    Counted() = default;
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    virtual ~Counted() = default;

  private:
    template <class T>
    friend class Shared;
    std::atomic<unsigned> count_{1};
};

/// Owns a T derived from Counted, together with its copies; empty when default-constructed or moved from.
template <class T>
class Shared {
  public:
    Shared() = default;
    Shared(const Shared& other) noexcept : object_(other.object_) {
        if (object_ != nullptr) object_->Counted::count_.fetch_add(1, std::memory_order_relaxed);
    }
    Shared(Shared&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Shared& operator=(Shared other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Shared() {
        // acquire-release: whoever deletes must see all that the other owners did to the object
        if (object_ != nullptr && object_->Counted::count_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete object_;
    }

    /// Takes over the first reference of a new object.
    static Shared adopt(T* object) noexcept {
        Shared shared;
        shared.object_ = object;
        return shared;
    }

    explicit operator bool() const noexcept { return object_ != nullptr; }
    T* get() const noexcept { return object_; }
    T* operator->() const noexcept { return object_; }
    T& operator*() const noexcept { return *object_; }

  private:
    T* object_ = nullptr;
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_DETAIL_SHARED_HPP

// leash/detail/shared.hpp - a counted pointer. <memory> would cost every user more than all of leash.
#ifndef LEASH_0_1_0_DETAIL_SHARED_HPP
#define LEASH_0_1_0_DETAIL_SHARED_HPP

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
    friend void retain(Counted* object) noexcept;
    friend void release(Counted* object) noexcept;
    friend bool is_shared(const Counted* object) noexcept;
    unsigned count_ = 1;  // by atomic operations only
};

/// One owner more, one less; the last one deletes.
/// @{
void retain(Counted* object) noexcept;
void release(Counted* object) noexcept;
/// @}
/// Has it more than one owner?
bool is_shared(const Counted* object) noexcept;

/// Owns a T derived from Counted, together with its copies; empty when default-constructed or moved from. The T may be
/// incomplete where it is neither made nor looked at.
template <class T>
class Shared {
  public:
    Shared() = default;
    Shared(const Shared& other) noexcept : object_(other.object_) {
        if (object_ != nullptr) retain(object_);
    }
    Shared(Shared&& other) noexcept : object_(other.object_) { other.object_ = nullptr; }
    Shared& operator=(Shared other) noexcept {
        Counted* const mine = object_;
        object_ = other.object_;
        other.object_ = mine;
        return *this;
    }
    ~Shared() {
        if (object_ != nullptr) release(object_);
    }

    /// Takes over the first reference of a new object.
    static Shared adopt(T* object) noexcept {
        Shared shared;
        shared.object_ = object;
        return shared;
    }

    explicit operator bool() const noexcept { return object_ != nullptr; }
    T* get() const noexcept { return static_cast<T*>(object_); }
    T* operator->() const noexcept { return static_cast<T*>(object_); }
    T& operator*() const noexcept { return *static_cast<T*>(object_); }
    /// Do both own the same one?
    bool is(const Shared& other) const noexcept { return object_ == other.object_; }

  private:
    Counted* object_ = nullptr;
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/shared.ipp>

#endif  // LEASH_0_1_0_DETAIL_SHARED_HPP

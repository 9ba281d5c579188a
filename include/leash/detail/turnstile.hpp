// leash/detail/turnstile.hpp - one at a time, and never a wait for it.
#pragma once

#include <atomic>

#include <leash/config.hpp>

namespace leash::detail {

/// Like a mutex that can only be tried: what is behind it may call user code, which may take its time.
class Turnstile {
  public:
    bool enter() noexcept { return !busy_.exchange(true, std::memory_order_acquire); }
    void leave() noexcept { busy_.store(false, std::memory_order_release); }

  private:
    std::atomic<bool> busy_{false};
};

/// A turn at it, if there is one to be had, for a scope.
class Turn {
  public:
    explicit Turn(Turnstile* stile) noexcept : stile_(stile), mine_(stile == nullptr || stile->enter()) {}
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
        if (mine_ && stile_ != nullptr) stile_->leave();
    }
    explicit operator bool() const noexcept { return mine_; }

  private:
    Turnstile* stile_;
    bool mine_;
};

}  // namespace leash::detail

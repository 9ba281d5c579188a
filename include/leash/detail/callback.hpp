// leash/detail/callback.hpp - any callable with given arguments, without the cost of <functional>.
#pragma once

#include <type_traits>
#include <utility>

#include <leash/config.hpp>
#include <leash/detail/shared.hpp>

namespace LEASH_NAMESPACE::detail {

/// Made from anything that can be called with these arguments; empty when default-constructed. Copies share it.
template <class... Args>
class Callback {
  public:
    Callback() = default;
    template <class Function, class = std::enable_if_t<!std::is_same_v<std::decay_t<Function>, Callback>>>
    Callback(Function&& function)
        : target_(Shared<Target>::adopt(new Holder<std::decay_t<Function>>(std::forward<Function>(function)))) {
        static_assert(std::is_invocable_v<std::decay_t<Function>&, Args...>, "leash: this callback has other arguments");
    }

    void operator()(Args... args) const {
        if (target_) target_->call(static_cast<Args>(args)...);
    }

  private:
    class Target : public Counted {
      public:
        virtual void call(Args... args) = 0;
    };
    template <class Function>
    class Holder final : public Target {
      public:
        explicit Holder(Function function) : function_(std::move(function)) {}
        void call(Args... args) override { function_(static_cast<Args>(args)...); }

      private:
        Function function_;
    };
    Shared<Target> target_;
};

}  // namespace leash::detail

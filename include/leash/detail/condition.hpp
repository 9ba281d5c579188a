// leash/detail/condition.hpp - refers to a question of the caller's.
#ifndef LEASH_0_1_0_DETAIL_CONDITION_HPP
#define LEASH_0_1_0_DETAIL_CONDITION_HPP

#include <leash/config.hpp>

namespace leash {
inline namespace LEASH_ABI {
namespace detail {

/// Refers to a question of the caller's, without a copy. (As a template, drive() would be compiled for each of them.)
class Condition {
  public:
    template <class Question>
    Condition(const Question& question) noexcept
        : question_(&question), ask_([](const void* it) { return (*static_cast<const Question*>(it))(); }) {}
    bool operator()() const { return ask_(question_); }

  private:
    const void* question_;
    bool (*ask_)(const void*);
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_DETAIL_CONDITION_HPP

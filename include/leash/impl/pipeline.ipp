// leash/impl/pipeline.ipp - the bodies of <leash/pipeline.hpp>.
#ifndef LEASH_0_1_0_IMPL_PIPELINE_IPP
#define LEASH_0_1_0_IMPL_PIPELINE_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <utility>
#include <vector>

#include <leash/pipeline.hpp>

namespace leash {
inline namespace LEASH_ABI {

LEASH_INLINE Pipeline::Pipeline(const Pipeline& other) = default;

LEASH_INLINE Pipeline::Pipeline(Pipeline&& other) noexcept = default;

LEASH_INLINE Pipeline& Pipeline::operator=(const Pipeline& other) = default;

LEASH_INLINE Pipeline& Pipeline::operator=(Pipeline&& other) noexcept = default;

LEASH_INLINE Pipeline::~Pipeline() = default;

LEASH_INLINE Pipeline& Pipeline::append(Command last) {
    stages_.push_back(std::move(last));
    return *this;
}

LEASH_INLINE Pipeline operator|(Command first, Command second) {
    Pipeline pipeline{Pipeline::Empty()};
    pipeline.append(std::move(first)).append(std::move(second));
    return pipeline;
}

LEASH_INLINE Pipeline operator|(Pipeline front, Command last) { return std::move(front.append(std::move(last))); }

LEASH_INLINE Pipeline operator|(Pipeline front, Pipeline rest) {
    std::vector<Command> stages = std::move(rest).stages();
    for (Command& stage : stages) front.append(std::move(stage));
    return front;
}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_PIPELINE_IPP

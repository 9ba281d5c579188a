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

LEASH_INLINE Pipeline::Pipeline(Empty) {}

LEASH_INLINE Pipeline::Pipeline(const Pipeline& other) = default;

LEASH_INLINE Pipeline::Pipeline(Pipeline&& other) noexcept = default;

LEASH_INLINE Pipeline& Pipeline::operator=(const Pipeline& other) = default;

LEASH_INLINE Pipeline& Pipeline::operator=(Pipeline&& other) noexcept = default;

LEASH_INLINE Pipeline::~Pipeline() = default;

LEASH_INLINE Pipeline& Pipeline::append(Command last) {
    stages_.push_back(std::move(last));
    return *this;
}

LEASH_INLINE Pipeline Pipeline::join(Command first, Command second) {
    Pipeline pipeline{Empty()};
    pipeline.append(std::move(first)).append(std::move(second));
    return pipeline;
}

LEASH_INLINE Pipeline operator|(Pipeline front, Command last) { return std::move(front.append(std::move(last))); }

LEASH_INLINE Pipeline operator|(Pipeline front, Pipeline rest) {
    for (Command& stage : rest.stages_) front.append(std::move(stage));
    return front;
}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_PIPELINE_IPP

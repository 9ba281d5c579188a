// leash/impl/which.ipp - the bodies of <leash/which.hpp>.
#ifndef LEASH_0_1_0_IMPL_WHICH_IPP
#define LEASH_0_1_0_IMPL_WHICH_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <optional>
#include <string>
#include <utility>

#include <leash/detail/posix/program.hpp>
#include <leash/options.hpp>
#include <leash/which.hpp>

namespace leash {
inline namespace LEASH_ABI {

[[gnu::cold]] LEASH_INLINE std::optional<std::string> which(const std::string& name, const Env& env) {
    namespace os = detail::os;
    if (name.empty() || name.find('\0') != std::string::npos) return std::nullopt;
    const std::optional<std::string> path = env.get("PATH");
    auto found = os::find_program(name, path ? *path : os::default_search_path(), {});
    if (!found || os::look_for_program(found->c_str()) == os::Executable::no) return std::nullopt;
    auto whole = os::absolute(*std::move(found));
    if (!whole) return std::nullopt;
    return *std::move(whole);
}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_WHICH_IPP

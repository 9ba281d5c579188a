// leash/impl/exec.ipp - the bodies of <leash/exec.hpp>.
#ifndef LEASH_0_1_0_IMPL_EXEC_IPP
#define LEASH_0_1_0_IMPL_EXEC_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <utility>

#include <leash/detail/posix/alone.hpp>
#include <leash/exec.hpp>

namespace leash {
inline namespace LEASH_ABI {

LEASH_INLINE Error exec(Command command, Options options) {
    if (auto checked = detail::os::check_alone(
            options, "not possible: the program replaces the host, so leash cannot wait for it");
        !checked)
        return checked.error();
    if (options.group.is_new() && options.group != Group::session) options.group = Group::inherited;
    return detail::os::start_alone(std::move(command), std::move(options), detail::os::become).error();
}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_EXEC_IPP

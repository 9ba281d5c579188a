// leash/impl/detached.ipp - the bodies of <leash/detached.hpp>.
#ifndef LEASH_0_1_0_IMPL_DETACHED_IPP
#define LEASH_0_1_0_IMPL_DETACHED_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <system_error>
#include <utility>

#include <leash/detached.hpp>
#include <leash/detail/posix/alone.hpp>

namespace leash {
inline namespace LEASH_ABI {

LEASH_INLINE Expected<Pid> try_spawn_detached(Command command, Options options) {
    constexpr const char* why = "not possible for a detached program: leash does not wait for it";
    if (auto checked = detail::os::check_alone(options, why); !checked) return checked.error();
    if (options.group != Group::own && options.group != Group::session)
        return detail::make_error(std::errc::invalid_argument, Step::options, "group",
                                  "a detached program always gets a new session");
    options.group = Group::session;
    return detail::os::start_alone(std::move(command), std::move(options), detail::os::start_detached);
}

#if LEASH_EXCEPTIONS

LEASH_INLINE Pid spawn_detached(Command command, Options options) {
    return try_spawn_detached(std::move(command), std::move(options)).value();
}

#endif  // LEASH_EXCEPTIONS

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_DETACHED_IPP

// leash/impl/error.ipp - the bodies of <leash/error.hpp>.
#ifndef LEASH_0_1_0_IMPL_ERROR_IPP
#define LEASH_0_1_0_IMPL_ERROR_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <leash/detail/raise.hpp>
#include <leash/detail/text.hpp>
#include <leash/error.hpp>

namespace leash {
inline namespace LEASH_ABI {

LEASH_INLINE const char* to_string(Step step) noexcept {
    switch (step) {
        case Step::command: return "command";
        case Step::environment: return "environment";
        case Step::options: return "options";
        case Step::program: return "program";
        case Step::interpreter: return "interpreter";
        case Step::cwd: return "cwd";
        case Step::redirect: return "redirect";
        case Step::spawn: return "spawn";
        case Step::signal: return "signal";
        case Step::stream: return "stream";
    }
    return "?";
}

[[gnu::cold]] LEASH_INLINE std::string Error::message() const {
    const bool hints = !hint.empty();
    const char* const quote = subject.empty() ? "" : "\"";
    return detail::concat({"leash: ", stage < 0 ? "" : "stage ", stage < 0 ? "" : detail::decimal(stage),
                           stage < 0 ? "" : ": ", to_string(step), subject.empty() ? "" : " ", quote,
                           detail::printable(subject), quote, ": ", code.message(), hints ? " (" : "", hint,
                           hints ? ")" : ""});
}

[[gnu::cold]] LEASH_INLINE SystemError::SystemError(Error error)
    : std::system_error(error.code), error_(std::move(error)), message_(error_.message()) {}

namespace detail {

LEASH_INLINE Error make_error(int code, Step step, std::string_view subject, const char* hint) {
    Error error;
    error.code = std::error_code(code, std::system_category());
    error.step = step;
    error.subject = subject;
    error.hint = hint;
    return error;
}

LEASH_INLINE Error make_error(std::errc code, Step step, std::string_view subject, const char* hint) {
    Error error = make_error(0, step, subject, hint);
    error.code = std::make_error_code(code);
    return error;
}

LEASH_INLINE Expected<void> failure(int code, Step step, std::string_view subject, const char* hint) {
    return make_error(code, step, subject, hint);
}

LEASH_INLINE Expected<void> failure(std::errc code, Step step, std::string_view subject, const char* hint) {
    return make_error(code, step, subject, hint);
}

LEASH_INLINE void raise_error(const Error& error) {
    if (error.step == Step::signal || error.step == Step::stream) raise<SystemError>(error);
    raise<SpawnError>(error);
}

}  // namespace detail

LEASH_INLINE Expected<void>::Expected(Error error) : error_(std::move(error)), failed_(true) {}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_ERROR_IPP

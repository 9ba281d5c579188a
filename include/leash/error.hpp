// leash/error.hpp - Error: what failed, in which step, with which subject; Expected: a value or an Error.
#ifndef LEASH_0_1_0_ERROR_HPP
#define LEASH_0_1_0_ERROR_HPP

#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <leash/config.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// The step that failed. Together with Error::subject it tells what to fix.
enum class Step {
    command,      ///< the argument list: empty, with a NUL byte, or an argument is too long
    environment,  ///< the name or the value of an environment variable
    options,      ///< an option with an invalid value, two that exclude each other, or one not available here
    program,      ///< the program was not found, or the system refused to execute it
    interpreter,  ///< the program is there, but its interpreter or loader (`#!` line) is missing or fails
    cwd,          ///< the working directory of the child
    redirect,     ///< a file or a descriptor for a stream, or one in pass_fds
    spawn,        ///< the system could not create the process (EAGAIN, ENOMEM, E2BIG, …)
    signal,       ///< sending a signal
    stream        ///< reading from or writing to a running job
};

/// Returns the name of the step: "program", "cwd", …
const char* to_string(Step step) noexcept;

/// A failure: an error code, the step that failed, and its subject.
struct Error {
    /// An errno of the system (std::system_category), or a std::errc of leash (std::generic_category). Compare it with
    /// std::errc, not by value(): `e.code == std::errc::no_such_file_or_directory`.
    std::error_code code;
    Step step = Step::spawn;     ///< the step that failed
    std::string subject = {};    ///< the path, descriptor, variable or option that failed
    std::string_view hint = {};  ///< more about the cause, from a string literal; may be empty
    int stage = -1;              ///< which command of a pipeline, from 0; -1 if none

    /// Returns one line for people: `leash: program "gti": No such file or directory`. Control characters are escaped.
    std::string message() const;

    /// message(), for output streams and for {fmt}.
    /// @{
    template <class Stream>
    friend auto operator<<(Stream& stream, const Error& error) -> decltype(stream << std::string()) {
        return stream << error.message();
    }
    friend std::string format_as(const Error& error) { return error.message(); }
    /// @}
};

/// The exception for an Error about a running job (Step::signal and stream). If a job cannot be started, it is a
/// SpawnError.
class [[gnu::visibility("default")]] SystemError : public std::system_error {
  public:
    /// Has the code() and the message() of the error.
    explicit SystemError(Error error);

    /// The error, its step and its subject.
    /// @{
    const Error& error() const noexcept { return error_; }
    Step step() const noexcept { return error_.step; }
    const std::string& subject() const noexcept { return error_.subject; }
    /// @}
    /// Error::message().
    const char* what() const noexcept override { return message_.c_str(); }

  private:
    Error error_;
    std::string message_;
};

/// Thrown if a job cannot be started, by the functions without try_ in their name.
class [[gnu::visibility("default")]] SpawnError : public SystemError {
  public:
    using SystemError::SystemError;
};

namespace detail {

[[gnu::cold]] Error make_error(int code, Step step, std::string_view subject = {}, const char* hint = "");
[[gnu::cold]] Error make_error(std::errc code, Step step, std::string_view subject = {}, const char* hint = "");

/// Throws SystemError or SpawnError. Without exceptions: prints why and aborts.
[[noreturn, gnu::cold]] void raise_error(const Error& error);

}  // namespace detail

template <class T>
class Expected;

namespace detail {

template <class T>
constexpr bool is_expected = false;
template <class T>
constexpr bool is_expected<Expected<T>> = true;

template <class T>
using Bare = std::remove_cv_t<std::remove_reference_t<T>>;

/// What can convert to the T of an Expected<T>: not an Expected, not an Error.
template <class T, class From>
using IfValue =
    std::enable_if_t<!is_expected<Bare<From>> && !std::is_same_v<Bare<From>, Error> && std::is_convertible_v<From, T>>;

/// A class with this base can be moved, but copied only if `copies`: so the type traits are right.
template <bool copies>
struct Copies {};
template <>
struct Copies<false> {
    Copies() = default;
    Copies(const Copies&) = delete;
    Copies(Copies&&) = default;
    Copies& operator=(const Copies&) = delete;
    Copies& operator=(Copies&&) = default;
};

/// What an Expected<T> holds. Copied and moved as a T is.
template <class T>
class Outcome {
  public:
    explicit Outcome(Error error) : nothing_(), error_(std::move(error)) {}
    template <class From>
    Outcome(bool, From&& from) : nothing_() {
        construct(std::forward<From>(from));
    }
    Outcome(const Outcome& other) : nothing_(), error_(other.error_) {
        if (other.has_value_) construct(other.value_);
    }
    Outcome(Outcome&& other) noexcept : nothing_(), error_(std::move(other.error_)) {
        if (other.has_value_) construct(std::move(other.value_));
    }
    Outcome& operator=(const Outcome& other) {
        *this = Outcome(other);
        return *this;
    }
    Outcome& operator=(Outcome&& other) noexcept {
        if (this == &other) return *this;
        destroy();
        error_ = std::move(other.error_);
        if (other.has_value_) construct(std::move(other.value_));
        return *this;
    }
    ~Outcome() { destroy(); }

    template <class From>
    void construct(From&& from) {
        ::new (static_cast<void*>(&value_)) T(std::forward<From>(from));
        has_value_ = true;
    }
    void destroy() noexcept {
        if (has_value_) value_.~T();
        has_value_ = false;
    }

    // By hand: each std::optional<T> costs every user's compiler four times as much.
    union {
        char nothing_;
        T value_;
    };
    Error error_;
    bool has_value_ = false;
};

}  // namespace detail

/// A value of type T, or the Error that prevented it: the return type of the functions named try_…. Can be copied and
/// moved if T can.
///
/// Names and behaviour are those of std::expected in C++23. It is not an alias of that, so that no type of leash
/// depends on the language version. error() is defined also if there is a value.
template <class T>
class [[nodiscard]] Expected : detail::Copies<std::is_copy_constructible_v<T>> {
  public:
    using value_type = T;      ///< the type of the value
    using error_type = Error;  ///< the type of the error

    /// Converts from a value (or a type that converts to T) or from an Error.
    /// @{
    template <class U = T, class = detail::IfValue<T, U>>
    Expected(U&& value) : is_(true, std::forward<U>(value)) {}
    [[gnu::cold]] Expected(Error error) : is_(std::move(error)) {}
    /// @}

    /// True if there is a value.
    /// @{
    bool has_value() const noexcept { return is_.has_value_; }
    explicit operator bool() const noexcept { return is_.has_value_; }
    /// @}

    /// The value, without a check: only if has_value(), as with std::optional.
    /// @{
    T& operator*() & noexcept { return is_.value_; }
    const T& operator*() const& noexcept { return is_.value_; }
    T&& operator*() && noexcept { return std::move(is_.value_); }
    const T&& operator*() const&& noexcept { return std::move(is_.value_); }
    T* operator->() noexcept { return &is_.value_; }
    const T* operator->() const noexcept { return &is_.value_; }
    /// @}

    /// Returns the value. If there is none, throws SystemError or SpawnError (without exceptions: prints why and
    /// aborts).
    /// @{
    T& value() & { return demand(), is_.value_; }
    const T& value() const& { return demand(), is_.value_; }
    T&& value() && { return demand(), std::move(is_.value_); }
    const T&& value() const&& { return demand(), std::move(is_.value_); }
    /// @}

    /// Returns the value, or `other` if there is none.
    /// @{
    template <class U>
    T value_or(U&& other) const& {
        return has_value() ? **this : static_cast<T>(std::forward<U>(other));
    }
    template <class U>
    T value_or(U&& other) && {
        return has_value() ? *std::move(*this) : static_cast<T>(std::forward<U>(other));
    }
    /// @}

    /// Returns the Error; if has_value(), an Error without a code.
    /// @{
    const Error& error() const& noexcept { return is_.error_; }
    Error&& error() && noexcept { return std::move(is_.error_); }
    /// @}

    /// If there is a value, calls the function with it and returns its Expected; otherwise returns the error.
    /// @{
    template <class Function>
    auto and_then(Function&& go_on) const& {
        using Next = detail::Bare<decltype(go_on(**this))>;
        return has_value() ? Next(go_on(**this)) : Next(error());
    }
    template <class Function>
    auto and_then(Function&& go_on) && {
        using Next = detail::Bare<decltype(go_on(*std::move(*this)))>;
        return has_value() ? Next(go_on(*std::move(*this))) : Next(std::move(*this).error());
    }
    /// @}

    /// If there is a value, calls the function with it and returns its result (or void) as an Expected; otherwise the
    /// error.
    /// @{
    template <class Function>
    auto transform(Function&& change) const& {
        using Next = Expected<std::remove_cv_t<decltype(change(**this))>>;
        return has_value() ? Next::of(change, **this) : Next(error());
    }
    template <class Function>
    auto transform(Function&& change) && {
        using Next = Expected<std::remove_cv_t<decltype(change(*std::move(*this)))>>;
        return has_value() ? Next::of(change, *std::move(*this)) : Next(std::move(*this).error());
    }
    /// @}

    /// If there is an error, calls the function with it and returns its Expected<T>; otherwise the value.
    /// @{
    template <class Function>
    Expected or_else(Function&& mend) const& {
        return has_value() ? *this : Expected(mend(error()));
    }
    template <class Function>
    Expected or_else(Function&& mend) && {
        return has_value() ? std::move(*this) : Expected(mend(std::move(*this).error()));
    }
    /// @}

    /// If there is an error, calls the function with it and returns its Error; otherwise the value.
    /// @{
    template <class Function>
    Expected transform_error(Function&& change) const& {
        return has_value() ? *this : Expected(Error(change(error())));
    }
    template <class Function>
    Expected transform_error(Function&& change) && {
        return has_value() ? std::move(*this) : Expected(Error(change(std::move(*this).error())));
    }
    /// @}

  private:
    template <class>
    friend class Expected;

    template <class Function, class... Args>
    static Expected of(Function& function, Args&&... args) {
        return function(std::forward<Args>(args)...);
    }

    void demand() const {
        if (!has_value()) detail::raise_error(error());
    }

    detail::Outcome<T> is_;
};

/// True if there is a value and it equals `value`; != is the opposite. (Not friends of the class, because their
/// argument could then be converted from a T.)
/// @{
template <class T, class U, class = std::enable_if_t<!detail::is_expected<U>>,
          class = decltype(std::declval<const T&>() == std::declval<const U&>())>
bool operator==(const Expected<T>& one, const U& value) {
    return one.has_value() && *one == value;
}
template <class T, class U, class = std::enable_if_t<!detail::is_expected<U>>,
          class = decltype(std::declval<const T&>() == std::declval<const U&>())>
bool operator!=(const Expected<T>& one, const U& value) {
    return !(one == value);
}
/// @}

/// Success or an Error. May be ignored: often it does not matter if a signal comes too late for a job that has ended.
template <>
class Expected<void> {
  public:
    using value_type = void;   ///< nothing
    using error_type = Error;  ///< the type of the error

    /// Success.
    Expected() = default;
    /// Failure.
    [[gnu::cold]] Expected(Error error);

    /// True for success.
    /// @{
    bool has_value() const noexcept { return !failed_; }
    explicit operator bool() const noexcept { return has_value(); }
    /// @}
    /// Does nothing; for templates. Only if has_value().
    void operator*() const noexcept {}
    /// If this is an error, throws SystemError or SpawnError (without exceptions: prints why and aborts).
    void value() const {
        if (failed_) detail::raise_error(error_);
    }
    /// Returns the Error; if has_value(), an Error without a code.
    /// @{
    const Error& error() const& noexcept { return error_; }
    Error&& error() && noexcept { return std::move(error_); }
    /// @}

    /// The same as in Expected<T>, but and_then() and transform() call their function without an argument.
    /// @{
    template <class Function>
    auto and_then(Function&& go_on) const {
        using Next = detail::Bare<decltype(go_on())>;
        return has_value() ? Next(go_on()) : Next(error_);
    }
    template <class Function>
    auto transform(Function&& change) const {
        using Next = Expected<std::remove_cv_t<decltype(change())>>;
        return has_value() ? Next::of(change) : Next(error_);
    }
    template <class Function>
    Expected or_else(Function&& mend) const {
        return has_value() ? *this : Expected(mend(error_));
    }
    template <class Function>
    Expected transform_error(Function&& change) const {
        return has_value() ? *this : Expected(Error(change(error_)));
    }
    /// @}

  private:
    template <class>
    friend class Expected;

    template <class Function, class... Args>
    static Expected of(Function& function, Args&&... args) {
        return function(std::forward<Args>(args)...), Expected();
    }

    Error error_;
    bool failed_ = false;
};

namespace detail {

/// make_error() as an Expected<void>. (If each place converted an Error, each would have the code for that.)
/// @{
[[gnu::cold]] Expected<void> failure(int code, Step step, std::string_view subject = {}, const char* hint = "");
[[gnu::cold]] Expected<void> failure(std::errc code, Step step, std::string_view subject = {}, const char* hint = "");
/// @}

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/error.ipp>

#endif  // LEASH_0_1_0_ERROR_HPP

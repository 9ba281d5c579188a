// leash/error.hpp - what went wrong, in which step, with what.
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

/// The step that failed. Together with Error::subject it tells what to mend.
enum class Step {
    command,      ///< the argument list: empty, or with a NUL byte in it
    environment,  ///< a variable's name or value
    options,      ///< an option whose value makes no sense, or two that exclude each other
    program,      ///< finding the program, or the system's refusal to execute it
    interpreter,  ///< the program is there, but what its `#!` line names is not
    cwd,          ///< the directory to start in
    redirect,     ///< a file or a descriptor for a stream, or one to pass on
    spawn,        ///< the system could not make the process (EAGAIN, ENOMEM, E2BIG, …)
    signal,       ///< sending a signal
    stream        ///< reading from or writing to a running job
};

/// "program", "cwd", …: the step as a word.
const char* to_string(Step step) noexcept;

/// A failure: the system's (or std::errc's) code, the step, and the thing that it is about.
struct Error {
    /// Of std::system_category where the system has said no, of std::generic_category where leash has. Compare it with
    /// std::errc, `e.code == std::errc::no_such_file_or_directory`, and not its value().
    std::error_code code;
    Step step = Step::spawn;     ///< where
    std::string subject = {};    ///< the path, descriptor, variable or option
    std::string_view hint = {};  ///< one sentence more where it helps; of a string literal, or empty
    int stage = -1;              ///< which command of a pipeline, from 0; -1 where there is no pipeline

    /// One line for a person: `leash: program "gti": No such file or directory`. Control characters are escaped.
    std::string message() const;

    /// message(), for streams and for {fmt}.
    /// @{
    template <class Stream>
    friend auto operator<<(Stream& stream, const Error& error) -> decltype(stream << std::string()) {
        return stream << error.message();
    }
    friend std::string format_as(const Error& error) { return error.message(); }
    /// @}
};

/// What is thrown for an Error: as it is where a running job is concerned (Step::signal and stream), as SpawnError where
/// one cannot be started.
class [[gnu::visibility("default")]] SystemError : public std::system_error {
  public:
    /// Its code() is the error's.
    explicit SystemError(Error error);

    /// The error, and its parts.
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

/// Thrown where a job cannot be started, by the functions that are not named try_….
class [[gnu::visibility("default")]] SpawnError : public SystemError {
  public:
    using SystemError::SystemError;
};

namespace detail {

[[gnu::cold]] Error make_error(int code, Step step, std::string_view subject = {}, const char* hint = "");
[[gnu::cold]] Error make_error(std::errc code, Step step, std::string_view subject = {}, const char* hint = "");

/// Throws SystemError, or SpawnError; without exceptions it says why, and aborts.
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

/// What may become a T in an Expected<T>: neither that itself nor an Error.
template <class T, class From>
using IfValue =
    std::enable_if_t<!is_expected<Bare<From>> && !std::is_same_v<Bare<From>, Error> && std::is_convertible_v<From, T>>;

/// Whoever has this base can be moved, and copied only where that is said: so the traits tell the truth.
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

/// A T, or the Error that prevented it. The return type of everything named try_…. Copied and moved where T is.
///
/// The names, and what they do, are those of C++23's std::expected, of which this is no alias, so that no type of leash
/// depends on the language's version; error() is defined also where there is none.
template <class T>
class [[nodiscard]] Expected : detail::Copies<std::is_copy_constructible_v<T>> {
  public:
    using value_type = T;      ///< what it is made for
    using error_type = Error;  ///< and what it is otherwise

    /// From either, copied or moved as they are; from what converts to a T too.
    /// @{
    template <class U = T, class = detail::IfValue<T, U>>
    Expected(U&& value) : is_(true, std::forward<U>(value)) {}
    [[gnu::cold]] Expected(Error error) : is_(std::move(error)) {}
    /// @}

    /// Is it a T?
    /// @{
    bool has_value() const noexcept { return is_.has_value_; }
    explicit operator bool() const noexcept { return is_.has_value_; }
    /// @}

    /// Without a check, as with std::optional: only where has_value().
    /// @{
    T& operator*() & noexcept { return is_.value_; }
    const T& operator*() const& noexcept { return is_.value_; }
    T&& operator*() && noexcept { return std::move(is_.value_); }
    const T&& operator*() const&& noexcept { return std::move(is_.value_); }
    T* operator->() noexcept { return &is_.value_; }
    const T* operator->() const noexcept { return &is_.value_; }
    /// @}

    /// The value; throws SystemError or SpawnError where there is none (without exceptions: prints why and aborts).
    /// @{
    T& value() & { return demand(), is_.value_; }
    const T& value() const& { return demand(), is_.value_; }
    T&& value() && { return demand(), std::move(is_.value_); }
    const T&& value() const&& { return demand(), std::move(is_.value_); }
    /// @}

    /// The value, or this one.
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

    /// What went wrong; an Error without a code where has_value().
    /// @{
    const Error& error() const& noexcept { return is_.error_; }
    Error&& error() && noexcept { return std::move(is_.error_); }
    /// @}

    /// Goes on with the value, where there is one: with a function that gives another Expected.
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

    /// The same with a function that cannot fail: an Expected of what it gives, be that nothing.
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

    /// Goes on with the error, where there is one: with a function that gives an Expected<T> instead.
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

    /// The same with a function that gives another Error.
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

/// Is it a value, and equal to this one? (No friends of the class, whose argument could be made of a T on the way.)
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

/// Success, or an Error. May be ignored: a signal to a job that has ended is a no-op, and often fine.
template <>
class Expected<void> {
  public:
    using value_type = void;   ///< nothing
    using error_type = Error;  ///< what it is otherwise

    /// Success.
    Expected() = default;
    /// Failure.
    [[gnu::cold]] Expected(Error error) : error_(std::move(error)), failed_(true) {}

    /// Is it a success?
    /// @{
    bool has_value() const noexcept { return !failed_; }
    explicit operator bool() const noexcept { return has_value(); }
    /// @}
    /// Nothing, for templates; only where has_value().
    void operator*() const noexcept {}
    /// Throws SystemError or SpawnError where this is an error (without exceptions: prints why and aborts).
    void value() const {
        if (failed_) detail::raise_error(error_);
    }
    /// What went wrong; an Error without a code where has_value().
    /// @{
    const Error& error() const& noexcept { return error_; }
    Error&& error() && noexcept { return std::move(error_); }
    /// @}

    /// As those of any Expected; what goes on after a success is called with nothing.
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

/// make_error() as the answer of what gives no value. (Where that is made of an Error, each place has the code for it.)
/// @{
[[gnu::cold]] Expected<void> failure(int code, Step step, std::string_view subject = {}, const char* hint = "");
[[gnu::cold]] Expected<void> failure(std::errc code, Step step, std::string_view subject = {}, const char* hint = "");
/// @}

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/error.ipp>

#endif  // LEASH_0_1_0_ERROR_HPP

// leash/error.hpp - what went wrong, in which step, with what.
#ifndef LEASH_0_1_0_ERROR_HPP
#define LEASH_0_1_0_ERROR_HPP

#include <new>
#include <string>
#include <string_view>
#include <system_error>
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
    std::error_code code;     ///< compares with std::errc: `e.code == std::errc::no_such_file_or_directory`
    Step step = Step::spawn;  ///< where
    std::string subject;      ///< the path, descriptor, variable or option
    const char* hint = "";    ///< one sentence more where it helps; a string literal, or ""
    int stage = -1;           ///< which command of a pipeline, from 0; -1 where there is no pipeline

    /// One line for a person: `leash: program "gti": No such file or directory`. Control characters are escaped.
    std::string message() const;
};

/// Thrown where a job cannot be started, by the functions that are not named try_….
class [[gnu::visibility("default")]] SpawnError : public std::system_error {
  public:
    /// Its code() is the error's.
    explicit SpawnError(Error error);

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

namespace detail {

[[gnu::cold]] Error make_error(int code, Step step, std::string_view subject = {}, const char* hint = "");
[[gnu::cold]] Error make_error(std::errc code, Step step, std::string_view subject = {}, const char* hint = "");

/// Throws SpawnError; without exceptions it says why, and aborts.
[[noreturn, gnu::cold]] void raise_error(const Error& error);

}  // namespace detail

/// A T, or the Error that prevented it. The return type of everything named try_…. Copies and moves where T does.
template <class T>
class [[nodiscard]] Expected {
  public:
    /// From either, copied or moved as they are.
    /// @{
    Expected(T value) : value_(std::move(value)), has_value_(true) {}
    Expected(Error error) : nothing_(), error_(std::move(error)) {}

    Expected(const Expected& other) : nothing_(), error_(other.error_) {
        if (other.has_value_) construct(other.value_);
    }
    Expected(Expected&& other) noexcept : nothing_(), error_(std::move(other.error_)) {
        if (other.has_value_) construct(std::move(other.value_));
    }
    Expected& operator=(Expected other) noexcept {
        destroy();
        error_ = std::move(other.error_);
        if (other.has_value_) construct(std::move(other.value_));
        return *this;
    }
    /// @}
    ~Expected() { destroy(); }

    /// Is it a T?
    /// @{
    bool has_value() const noexcept { return has_value_; }
    explicit operator bool() const noexcept { return has_value_; }
    /// @}

    /// Without a check, as with std::optional: only where has_value().
    /// @{
    T& operator*() & noexcept { return value_; }
    const T& operator*() const& noexcept { return value_; }
    T&& operator*() && noexcept { return std::move(value_); }
    T* operator->() noexcept { return &value_; }
    const T* operator->() const noexcept { return &value_; }
    /// @}

    /// The value; throws SpawnError where there is none (without exceptions: prints it and aborts).
    /// @{
    T& value() & { return demand(), value_; }
    const T& value() const& { return demand(), value_; }
    T&& value() && { return demand(), std::move(value_); }
    /// @}

    /// What went wrong; an Error without a code where has_value().
    /// @{
    const Error& error() const& noexcept { return error_; }
    Error&& error() && noexcept { return std::move(error_); }
    /// @}

  private:
    void demand() const {
        if (!has_value_) detail::raise_error(error_);
    }
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

/// Success, or an Error. May be ignored: a signal to a job that has ended is a no-op, and often fine.
template <>
class Expected<void> {
  public:
    /// Success.
    Expected() = default;
    /// Failure.
    Expected(Error error) : error_(std::move(error)), failed_(true) {}

    /// Is it a success?
    /// @{
    bool has_value() const noexcept { return !failed_; }
    explicit operator bool() const noexcept { return has_value(); }
    /// @}
    /// Throws SpawnError where this is an error (without exceptions: prints it and aborts).
    void value() const {
        if (failed_) detail::raise_error(error_);
    }
    /// What went wrong; an Error without a code where has_value().
    const Error& error() const noexcept { return error_; }

  private:
    Error error_;
    bool failed_ = false;
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/error.ipp>

#endif  // LEASH_0_1_0_ERROR_HPP

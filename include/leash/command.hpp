// leash/command.hpp - WHAT to run: an argument list, or a shell script if you ask for one with shell().
#ifndef LEASH_0_1_0_COMMAND_HPP
#define LEASH_0_1_0_COMMAND_HPP

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <leash/config.hpp>

namespace leash {
inline namespace LEASH_ABI {

class Pipeline;

namespace detail {

/// Stands for an argument that was a null pointer. It contains NUL, so the start refuses it.
inline constexpr std::string_view null_pointer("\0null", 5);

/// True for types that convert to a string. (Enums and numbers, which do not, cost no look at the conversions.)
template <class T, bool may_be = !std::is_enum_v<T> && !std::is_arithmetic_v<T>>
constexpr bool is_text =
    std::is_convertible_v<const T&, std::string_view> || std::is_convertible_v<const T&, std::string>;
template <class T>
constexpr bool is_text<T, false> = false;

/// True for integer types of one byte, except bool.
template <class Char>
constexpr bool is_byte = std::is_integral_v<Char> && sizeof(Char) == 1 && !std::is_same_v<Char, bool>;

/// A tag: the vector given to a Command is the argument list.
struct FromVector {
    explicit FromVector() = default;
};

}  // namespace detail

/// One argument. Converts from any string type and holds a copy. If it is a null pointer or contains NUL, the job does
/// not start (Step::command).
class Arg {
  public:
    /// Converts from a string; copies it.
    /// @{
    Arg(const char* text);
    Arg(std::string text);
    Arg(std::string_view text);
    /// @}
    /// Converts from std::filesystem::path and other classes that convert to std::string_view or std::string.
    template <class T, class = std::enable_if_t<std::is_class_v<T> && detail::is_text<T>>>
    Arg(const T& text) : text_(convert(text)) {}
    /// Converts from u8"…", which has char8_t since C++20; takes its bytes.
    template <class Char, class = std::enable_if_t<detail::is_byte<Char>>>
    Arg(const Char* text) : Arg(reinterpret_cast<const char*>(text)) {}
    Arg(std::nullptr_t) = delete;
    /// Does not compile: a number is not text. (This also catches NULL at the end of a list.)
    template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
    Arg(T) {
        static_assert(!std::is_arithmetic_v<T>,
                      "leash: a number is no argument: write std::to_string(number). (A list has no NULL at its end.)");
    }

    /// Copied and moved like a string.
    /// @{
    Arg(const Arg& other);
    Arg(Arg&& other) noexcept;
    Arg& operator=(const Arg& other);
    Arg& operator=(Arg&& other) noexcept;
    ~Arg();
    /// @}

    /// Returns the argument as the child gets it.
    const std::string& str() const noexcept { return text_; }

  private:
    template <class T>
    static std::string convert(const T& text) {
        if constexpr (std::is_convertible_v<const T&, std::string_view>) {
            const std::string_view view = text;
            return std::string(view);
        } else {
            return text;
        }
    }
    std::string text_;
};

/// What to run. A braced list is the argument vector, with the program first: `{"git", "log", "-1"}`. No shell sees it.
/// See also args() and shell().
class Command {
  public:
    /// From a list: the program and its arguments.
    Command(std::initializer_list<Arg> argv);

    /// Does not compile: a bare string could be meant as a program or as a script.
    template <class T, class = std::enable_if_t<detail::is_text<T>>>
    Command(const T&) {
        static_assert(!std::is_same_v<T, T>,
                      "leash: a bare string is not a command. Write a list, {\"ls\", \"-l\"}, which no shell sees, "
                      "or leash::shell(\"ls -l | wc\") if you want a shell.");
    }

    /// Does not compile: for a vector, use args().
    template <class T>
    Command(const std::vector<T>&) {
        static_assert(!std::is_same_v<T, T>, "leash: a vector is not a command by itself: write leash::args(vector).");
    }

    /// Copied and moved like a vector of strings.
    /// @{
    Command(const Command& other);
    Command(Command&& other) noexcept;
    Command& operator=(const Command& other);
    Command& operator=(Command&& other) noexcept;
    ~Command();
    /// @}

    /// For args() and shell() only.
    Command(detail::FromVector, std::vector<std::string> argv);

    /// Returns the argument vector; for a shell(), it begins with `/bin/sh -c --`.
    /// @{
    const std::vector<std::string>& argv() const& noexcept { return argv_; }
    std::vector<std::string>&& argv() && noexcept { return std::move(argv_); }
    /// @}

    /// Makes a pipeline of two commands: see Pipeline. A braced list cannot be an operand: use args().
    template <class Made = Pipeline>
    friend Made operator|(Command first, Command second) {
        return join<Made>(std::move(first), std::move(second));
    }

    /// Returns the command as one line for a POSIX shell, for people and logs: the arguments separated by spaces,
    /// quoted if necessary (`echo 'it'\''s'`), like Python's shlex.join. The line contains everything, also secrets.
    /// Control characters are not escaped.
    std::string str() const;

  private:
    template <class Made>
    static Made join(Command first, Command second) {
        return Made::join(std::move(first), std::move(second));
    }
    std::vector<std::string> argv_;
};

/// Makes a command from a vector of strings, program first, without a shell. (A template, so that braces cannot make a
/// vector here: in `args({{"ls", "-l"}})` the inner braces would be one string, from one address to another.)
template <class Vector, class = std::enable_if_t<std::is_convertible_v<Vector, std::vector<std::string>>>>
[[nodiscard]] Command args(Vector argv) {
    return Command(detail::FromVector(), std::move(argv));
}

/// Makes a command from a list, where a braced list alone does not compile. No shell.
[[nodiscard]] Command args(std::initializer_list<Arg> argv);

/// Makes a command from `count` arguments as main() gets them. `args(argc - 1, argv + 1)` runs the command that this
/// program got as its arguments. No shell.
Command args(int count, const char* const* argv);

/// Makes a command from an array that ends with a null pointer, as execvp() takes it, such as the `argv` of main(). Of an
/// array whose size the compiler knows, takes all if no null pointer is in it. No shell.
template <class Strings, class = std::enable_if_t<std::is_pointer_v<Strings> || std::is_array_v<Strings>>,
          class = std::enable_if_t<std::is_convertible_v<const Strings&, const char* const*>>>
[[nodiscard]] Command args(const Strings& argv) {
    const char* const* const first = argv;
    int count = 0;
    if constexpr (std::is_array_v<Strings>) {
        while (count < static_cast<int>(std::extent_v<Strings>) && first[count] != nullptr) ++count;
    } else {
        while (first != nullptr && first[count] != nullptr) ++count;
    }
    return args(count, first);
}

/// Does not compile: several strings need braces.
template <class T, class... More, class = std::enable_if_t<detail::is_text<T>>>
Command args(const T&, const More&...) {
    static_assert(!detail::is_text<T>, "leash: args() takes a list or a vector: write leash::args({\"ls\", \"-l\"}).");
    return Command(detail::FromVector(), {});
}

/// Makes a command that runs a script with `/bin/sh -c --`. The parameters, a vector of strings, arrive as "$1", "$2",
/// …: as data, never as part of the script.
template <class Vector, class = std::enable_if_t<std::is_convertible_v<Vector, std::vector<std::string>>>>
[[nodiscard]] Command shell(std::string script, Vector given) {
    std::vector<std::string> parameters = std::move(given), argv;
    argv.reserve(5 + parameters.size());
    argv.emplace_back("/bin/sh");
    argv.emplace_back("-c");
    argv.emplace_back("--");  // a script that starts with - or + is a script, and no option
    argv.push_back(std::move(script));
    argv.emplace_back("sh");  // $0: what sh calls itself in its messages
    for (std::string& parameter : parameters) argv.push_back(std::move(parameter));
    return Command(detail::FromVector(), std::move(argv));
}

/// The same with the parameters as a list, or without any: `shell("grep -c -- \"$1\" /etc/passwd", {name})`.
[[nodiscard]] Command shell(std::string script, std::initializer_list<Arg> parameters = {});

/// Does not compile: parameters need braces, also a single one.
template <class T, class... More, class = std::enable_if_t<detail::is_text<T>>>
Command shell(const std::string&, const T&, const More&...) {
    static_assert(!detail::is_text<T>,
                  "leash: the parameters of a script are a list: write leash::shell(script, {\"first\", \"second\"}).");
    return Command(detail::FromVector(), {});
}

/// Does not compile: a list is not a script. Use args(), or one string.
Command shell(std::initializer_list<std::string_view>, std::initializer_list<Arg> = {}) = delete;

/// Returns the text as one word for a POSIX shell, in single quotes: `it's` gives `'it'\''s'`. Use it if you must build
/// a script; parameters of shell() do not need it. A NUL byte cannot be quoted: it stays, and the job then does not
/// start.
[[nodiscard]] std::string shell_quote(std::string_view text);

/// Returns the text without the newlines at its end, like a shell's `$(…)`:
/// `leash::chomp(leash::check_output({"uname", "-r"}))`. A carriage return, which a terminal adds before each newline,
/// stays.
std::string chomp(std::string text);

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/command.ipp>

#endif  // LEASH_0_1_0_COMMAND_HPP

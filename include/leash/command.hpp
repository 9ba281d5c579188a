// leash/command.hpp - WHAT to run: an argument list, or, only when you say so, a shell script.
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

/// What an argument becomes that was given as a null pointer: its NUL is refused when the job starts.
inline constexpr std::string_view null_pointer("\0null", 5);

template <class T>
constexpr bool is_text =
    std::is_convertible_v<const T&, std::string_view> || std::is_convertible_v<const T&, std::string>;

/// One byte of text, whatever its type is called.
template <class Char>
constexpr bool is_byte = std::is_integral_v<Char> && sizeof(Char) == 1 && !std::is_same_v<Char, bool>;

/// Says that a Command's vector is the argument list.
struct FromVector {
    explicit FromVector() = default;
};

}  // namespace detail

/// One argument. Converts from whatever is a string; holds a copy. A null pointer is refused when the job starts.
class Arg {
  public:
    /// From a string, copied.
    /// @{
    Arg(const char* text);
    Arg(std::string text);
    Arg(std::string_view text);
    /// @}
    /// std::filesystem::path and other classes that convert to std::string_view or std::string.
    template <class T, class = std::enable_if_t<std::is_class_v<T> && detail::is_text<T>>>
    Arg(const T& text) : text_(convert(text)) {}
    /// The bytes of u8"…", which is of char8_t since C++20.
    template <class Char, class = std::enable_if_t<detail::is_byte<Char>>>
    Arg(const Char* text) : Arg(reinterpret_cast<const char*>(text)) {}
    Arg(std::nullptr_t) = delete;
    /// A number, or NULL at the end of a list, is no text: does not compile.
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

    /// The argument as the child gets it.
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

/// What to run. A braced list is the argument vector, program first, and no shell ever sees it:
/// `{"git", "log", "-1"}`. See also args() and shell().
class Command {
  public:
    /// The program and its arguments.
    Command(std::initializer_list<Arg> argv);

    /// A bare string is neither a list nor a script: there is no telling which was meant.
    template <class T, class = std::enable_if_t<detail::is_text<T>>>
    Command(const T&) {
        static_assert(!std::is_same_v<T, T>,
                      "leash: a bare string is not a command. Write a list, {\"ls\", \"-l\"}, which no shell sees, "
                      "or leash::shell(\"ls -l | wc\") if you want a shell.");
    }

    /// A vector goes through args().
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

    /// For args() and shell().
    Command(detail::FromVector, std::vector<std::string> argv);

    /// The argument vector; of a shell(), with `/bin/sh -c --` in front.
    /// @{
    const std::vector<std::string>& argv() const& noexcept { return argv_; }
    std::vector<std::string>&& argv() && noexcept { return std::move(argv_); }
    /// @}

    /// A pipeline of two commands: see Pipeline. A braced list is no operand: write args().
    template <class Made = Pipeline>
    friend Made operator|(Command first, Command second) {
        return join<Made>(std::move(first), std::move(second));
    }

    /// The command as a line that a POSIX shell would take, for people and logs: the arguments with blanks between, quoted
    /// where they have to be (`echo 'it'\''s'`), as Python's shlex.join has it. All of it, also what is secret; a control
    /// character stays one, within the quotes.
    std::string str() const;

  private:
    template <class Made>
    static Made join(Command first, Command second) {
        return Made::join(std::move(first), std::move(second));
    }
    std::vector<std::string> argv_;
};

/// argv from a vector of strings, program first. No shell. (A template, so that no braces make a vector here: in
/// `args({{"ls", "-l"}})` the inner ones would be one string, from an address up to another.)
template <class Vector, class = std::enable_if_t<std::is_convertible_v<Vector, std::vector<std::string>>>>
[[nodiscard]] Command args(Vector argv) {
    return Command(detail::FromVector(), std::move(argv));
}

/// argv from a list: what a braced list says already, for where a Command must be spelled out.
[[nodiscard]] Command args(std::initializer_list<Arg> argv);

/// argv as main() gets it: so many arguments. `args(argc - 1, argv + 1)` runs what this program was given to run.
Command args(int count, const char* const* argv);

/// Strings are a list only in braces.
template <class T, class... More, class = std::enable_if_t<detail::is_text<T>>>
Command args(const T&, const More&...) {
    static_assert(!detail::is_text<T>, "leash: args() takes a list or a vector: write leash::args({\"ls\", \"-l\"}).");
    return Command(detail::FromVector(), {});
}

/// A script for `/bin/sh -c --`. The parameters, a vector of strings, arrive as "$1", "$2", …: as data, never as part of
/// the script.
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

/// The same, with the parameters as a list: `shell("grep -c -- \"$1\" /etc/passwd", {name})`.
[[nodiscard]] Command shell(std::string script, std::initializer_list<Arg> parameters = {});

/// Parameters are a list, also where there is one.
template <class T, class... More, class = std::enable_if_t<detail::is_text<T>>>
Command shell(const std::string&, const T&, const More&...) {
    static_assert(!detail::is_text<T>,
                  "leash: the parameters of a script are a list: write leash::shell(script, {\"first\", \"second\"}).");
    return Command(detail::FromVector(), {});
}

/// A list is not a script: write args(), or one string.
Command shell(std::initializer_list<std::string_view>, std::initializer_list<Arg> = {}) = delete;

/// The text as one word of a POSIX shell, in single quotes: `it's` gives `'it'\''s'`. For those who must build a
/// script; a parameter of shell() needs none of it. A NUL byte cannot be quoted: it stays, and the start refuses it.
[[nodiscard]] std::string shell_quote(std::string_view text);

/// The text without the newlines at its end, all of them, as a shell's `$(…)` takes a command's output:
/// `leash::chomp(leash::check_output({"uname", "-r"}))`. A carriage return, which a terminal puts before each, stays.
std::string chomp(std::string text);

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/command.ipp>

#endif  // LEASH_0_1_0_COMMAND_HPP

// leash/stdio.hpp - HOW: where a stream of the child comes from or goes to.
#ifndef LEASH_0_1_0_STDIO_HPP
#define LEASH_0_1_0_STDIO_HPP

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <cstddef>

#include <leash/command.hpp>
#include <leash/config.hpp>
#include <leash/detail/callback.hpp>
#include <leash/detail/shared.hpp>
#include <leash/fwd.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// The four redirections that input and output have in common, as one type: `c ? leash::piped : leash::inherit`.
enum class Redirect {
    /// /dev/null: reads return end of file, writes are discarded.
    null,
    /// The same stream as the host's; /dev/null if the host has closed it. If the host made it non-blocking, it is
    /// non-blocking for the child too: see fd().
    inherit,
    /// A pipe to the host: see Popen::in(), out(), err(), communicate(), and Result::out, err.
    piped,
    /// A new pseudo-terminal, the child's controlling terminal in a session of its own: for programs that behave
    /// differently at a terminal or need one. All streams that are `tty` share it. You read and write it as a pipe,
    /// with Popen::in() and out() (err() if only `err` is tty), communicate() and run(). It behaves as a terminal:
    /// lines end with "\r\n", your input is echoed, and closing `in` sends Ctrl-D as end of file. If you close both
    /// `in` and `out`, the terminal hangs up (SIGHUP). No signal is ignored at the start, even if `nohup` or a shell's
    /// `&` made the host ignore some. Options::terminal sets its size and echo. A program that looks at its standard
    /// input (`stty`) needs `tty` for `in` too. An error for a pipeline.
    tty
};

/// The type of `to_out`: standard error goes where standard output goes, like `2>&1`.
struct ToOut {};
/// The type of `per_stage`: a pipe for standard error of each stage of a pipeline, so that you can tell the stages
/// apart: Result::errs, Captured::errs. A single command is one stage.
struct PerStage {};
/// The type of `append`: see file().
struct Append {};

inline constexpr Redirect null = Redirect::null;        ///< see Redirect::null
inline constexpr Redirect inherit = Redirect::inherit;  ///< see Redirect::inherit
inline constexpr Redirect piped = Redirect::piped;      ///< see Redirect::piped
inline constexpr Redirect tty = Redirect::tty;          ///< see Redirect::tty
inline constexpr ToOut to_out{};                        ///< see ToOut
inline constexpr PerStage per_stage{};                  ///< see PerStage
inline constexpr Append append{};                       ///< see file()

/// A file given by its path: see file().
struct File {
    std::string path;     ///< a relative path counts from the host's working directory
    bool append = false;  ///< as output: add at the end, do not empty it
};

/// A file that the host opens when the job starts; if that fails, the job does not start (Step::redirect). As input, it
/// is read from its start. As output, it is created (mode 0666 without the umask) or emptied. A relative path counts
/// from the host's working directory, not from Options::cwd. Opening a FIFO does not wait for its other end: as output
/// it is an error (ENXIO) if no process reads it; as input the child sees end of file until a process opens it for
/// writing.
///
/// If `out` and `err` are the same file, by any path, both share one open file description, as with `>file 2>&1`, so
/// nothing is lost. If one of them would empty the file that the other appends to, or that `in` reads, it is an error.
File file(std::string path);

/// The same as output that appends: each write goes to the end of the file (O_APPEND).
File file(std::string path, Append);

/// A descriptor of the host: see fd().
struct Descriptor {
    Handle number = no_handle;  ///< its number in the host
};

/// A descriptor that is open in the host. The child gets a duplicate; the host's stays open and unchanged.
///
/// The duplicate shares O_NONBLOCK. Most programs treat EAGAIN as an error and then lose output. So a pipe or terminal
/// that is both non-blocking and close-on-exec, as Popen::in().handle() and out().handle() are, is an error: to connect
/// two jobs, use a pipeline. Other non-blocking descriptors (sockets, inheritable ones, standard streams) are allowed.
inline Descriptor fd(Handle number) { return {number}; }

/// The whole input as data: see bytes().
struct Bytes {
    std::string data;  ///< the whole input
};

/// Data for the child to read, then end of file. run() and run_all() write it through a pipe while they read the
/// output. A Popen stores it in an unnamed file at the start (memfd on Linux), so any size works, but the start takes
/// time for it.
Bytes bytes(std::string data);

/// The same, copied from another type whose data() and size() are bytes: std::string_view, a vector of char or
/// std::byte.
template <class Data, class Byte = decltype(*std::declval<const Data&>().data()),
          class = std::enable_if_t<sizeof(Byte) == 1 && !std::is_convertible_v<const Data&, std::string>>>
Bytes bytes(const Data& data) {
    return {std::string(reinterpret_cast<const char*>(data.data()), data.size())};
}

namespace detail {

struct StreamFunction;
Shared<StreamFunction> make_sink_function(Callback<std::string_view> function);

}  // namespace detail

/// A function that gets the output as it comes: see sink().
struct Sink {
    detail::Shared<detail::StreamFunction> function;  ///< the function given to sink()
};

/// Calls `function(chunk)` for every piece of output, at most 256 KiB, in order. The calling thread is the one that
/// waits for the job; two calls never overlap. The chunk is valid during the call.
///
/// The function may signal the job. If it makes a call that would wait for the same job, that call returns at once with
/// no result (EDEADLK). If it starts a job whose sink is itself, it gets no output of that job. An exception of the
/// function leaves the call that waited; the Popen stays usable. Copies of a Sink share one function object.
template <class Function>
Sink sink(Function function) {
    static_assert(std::is_invocable_v<Function&, std::string_view>, "leash::sink needs a callable f(std::string_view)");
    return {detail::make_sink_function(std::move(function))};
}

/// What line_sink() does with a carriage return. Programs use it to draw progress bars, and terminals send it at the
/// end of lines.
enum class CarriageReturn {
    keep,      ///< an ordinary character, as in Reader::lines()
    split,     ///< ends a line, as a newline does ("\r\n" is one end): each state of a progress bar is a line
    overwrite  ///< as on a terminal: later text replaces the line so far; you get only its last state
};

/// How line_sink() splits the output into lines.
struct LineOptions {
    CarriageReturn carriage_return = CarriageReturn::keep;  ///< how "\r" is treated
    /// The longest line in bytes. A longer line comes in pieces, cut between UTF-8 characters. Default: 1 MiB; less
    /// than 4 counts as 4.
    std::size_t most = 1024 * 1024;
};

namespace detail {

Shared<StreamFunction> make_line_function(Callback<std::string_view> function, LineOptions options);

}  // namespace detail

/// A sink() that gets whole lines without their newline, each as soon as it is complete. At the end of the stream (also
/// if it was cut off) the function gets the rest without a newline. Everything else is as with sink(). If the function
/// throws, only the line that it got is lost.
///
/// Several streams may share one line_sink (a copy of the Sink). Their lines are not mixed, and come in the order in
/// which the pipes are found readable. That is the order of writing only if some time was between the writes: the
/// system does not record an order between two pipes. `.err = to_out` gives the exact order.
template <class Function>
Sink line_sink(Function function, LineOptions options = {}) {
    static_assert(std::is_invocable_v<Function&, std::string_view>,
                  "leash::line_sink needs a callable f(std::string_view)");
    return {detail::make_line_function(std::move(function), options)};
}

/// A function that returns the input piece by piece: see source().
struct Source {
    detail::Shared<detail::StreamFunction> function;  ///< the function given to source()
};

namespace detail {

Shared<StreamFunction> make_source_function(Callback<std::string&> function);

}  // namespace detail

/// Calls `function()` for the next piece of input (a std::string, or a type that converts to std::string_view) when the
/// pipe has room, in the thread that waits for the job. An empty piece means end of file. At most one piece is held in
/// memory. No more calls are made once the child has closed its input or the job is over. Popen::in() is closed for
/// other use. An exception of the function leaves the call that waited; the next call asks it again. Everything else is
/// as with sink().
template <class Function>
Source source(Function function) {
    static_assert(
        std::is_invocable_r_v<std::string_view, Function&>,
        "leash::source needs a callable f() that returns a std::string, or what converts to std::string_view");
    return {detail::make_source_function([its = std::move(function)](std::string& piece) mutable { piece = its(); })};
}

namespace detail {

/// What all three streams have in common: the kind, and the data of that kind.
struct Stdio {
    // The first four are those of Redirect.
    enum class Kind { null, inherit, piped, tty, to_out, per_stage, file, descriptor, bytes, sink };

    explicit Stdio(Kind k);
    explicit Stdio(Redirect r);
    explicit Stdio(File f);
    explicit Stdio(Descriptor d);
    explicit Stdio(Bytes b);
    explicit Stdio(Sink s);
    explicit Stdio(Source s);
    Stdio(const Stdio& other);
    Stdio(Stdio&& other) noexcept;
    Stdio& operator=(const Stdio& other);
    Stdio& operator=(Stdio&& other) noexcept;
    ~Stdio();

    bool is(Kind k) const noexcept { return kind == k; }
    bool is(Redirect r) const noexcept { return kind == static_cast<Kind>(r); }

    Kind kind;
    bool append = false;
    int number = -1;
    std::string text;  // the path of a file, or the bytes
    Shared<StreamFunction> function;
};

/// The private part of an Input, Output or ErrorOutput.
template <class Stream>
auto& stdio_of(Stream& stream) noexcept {
    return stream.stdio_;
}

/// Enables a template for the constants null, inherit, piped and tty, and not for `{}`.
template <class T>
using IfRedirect = std::enable_if_t<std::is_same_v<T, Redirect>>;

template <class T>
constexpr bool is_function = std::is_invocable_v<const T&, std::string_view>;

template <class T>
constexpr bool is_no_input =
    is_text<T> || std::is_arithmetic_v<T> || std::is_pointer_v<T> || std::is_invocable_v<const T&>;

template <class T>
constexpr bool is_no_output = is_text<T> || std::is_arithmetic_v<T> || std::is_pointer_v<T> || is_function<T>;

/// Fails to compile, with a message that says what to write.
template <class T>
constexpr void refuse_output() {
    static_assert(!is_text<T>,
                  "leash: a string is no output: write leash::file(\"path\"), or leash::piped to read it.");
    static_assert(!std::is_arithmetic_v<T>, "leash: a number is no output: write leash::fd(number).");
    static_assert(
        is_text<T> || is_function<T> || !std::is_pointer_v<T>,
        "leash: a pointer is no output: write leash::piped, leash::sink(function) or leash::fd(fileno(file)).");
    static_assert(!is_function<T>, "leash: a function is no output by itself: write leash::sink(function).");
}

}  // namespace detail

/// Standard input: null, inherit, piped, tty, bytes(…), source(…), file(…) or fd(…). Nothing else compiles.
class Input {
  public:
    /// From everything that can be read.
    /// @{
    Input(Redirect from);
    Input(File from);
    Input(Descriptor from);
    Input(Bytes from);
    Input(Source from);
    /// @}
    /// Does not compile: a string may be data or a path; a number, pointer or function needs fd() or source().
    template <class T, class = std::enable_if_t<detail::is_no_input<T>>>
    Input(const T&) : stdio_(null) {
        constexpr bool is_function = std::is_invocable_v<const T&>;
        static_assert(!detail::is_text<T>,
                      "leash: a string is no input: write leash::bytes(\"data\") or leash::file(\"path\").");
        static_assert(!std::is_arithmetic_v<T>, "leash: a number is no input: write leash::fd(number).");
        static_assert(detail::is_text<T> || is_function || !std::is_pointer_v<T>,
                      "leash: a pointer is no input: write leash::piped or leash::fd(fileno(file)).");
        static_assert(!is_function, "leash: a function is no input by itself: write leash::source(function).");
    }

    /// True if it is this redirection.
    bool is(Redirect which) const noexcept { return stdio_.is(which); }

  private:
    template <class Stream>
    friend auto& detail::stdio_of(Stream&) noexcept;
    detail::Stdio stdio_;
};

/// Standard output: null, inherit, piped, tty, file(…), fd(…) or sink(…).
class Output {
  public:
    /// To everything that can be written.
    /// @{
    Output(Redirect to);
    Output(File to);
    Output(Descriptor to);
    Output(Sink to);
    /// @}
    /// Does not compile: a string, number, pointer or function needs file(), fd() or sink().
    template <class T, class = std::enable_if_t<detail::is_no_output<T>>>
    Output(const T&) : stdio_(null) {
        detail::refuse_output<T>();
    }

    /// True if it is this redirection.
    bool is(Redirect which) const noexcept { return stdio_.is(which); }

  private:
    template <class Stream>
    friend auto& detail::stdio_of(Stream&) noexcept;
    detail::Stdio stdio_;
};

/// Standard error: everything that Output takes, to_out and per_stage.
class ErrorOutput {
  public:
    /// To everything that Output takes, to_out or per_stage.
    /// @{
    ErrorOutput(Redirect to);
    ErrorOutput(File to);
    ErrorOutput(Descriptor to);
    ErrorOutput(Sink to);
    ErrorOutput(Output to);
    ErrorOutput(ToOut);
    ErrorOutput(PerStage);
    /// @}
    /// Does not compile: a string, number, pointer or function needs file(), fd() or sink().
    template <class T, class = std::enable_if_t<detail::is_no_output<T>>>
    ErrorOutput(const T&) : stdio_(null) {
        detail::refuse_output<T>();
    }

    /// True if it is this redirection.
    bool is(Redirect which) const noexcept { return stdio_.is(which); }

  private:
    template <class Stream>
    friend auto& detail::stdio_of(Stream&) noexcept;
    detail::Stdio stdio_;
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/stdio.ipp>

#endif  // LEASH_0_1_0_STDIO_HPP

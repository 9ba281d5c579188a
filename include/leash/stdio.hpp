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

/// The four ways of a stream that input and output have in common, as one type: `c ? leash::piped : leash::inherit`.
enum class Redirect {
    /// The null device. Reads give end of file, writes vanish.
    null,
    /// The same stream as the host's. Where the host has it closed, the null device. A host that made it non-blocking has
    /// made it so for the child: see fd().
    inherit,
    /// A pipe to the host: Popen::in(), out(), err(), communicate(), and Result::out, err.
    piped,
    /// A pseudo-terminal, one for all streams that say so, and the child's controlling terminal, in a session of its own:
    /// for programs that behave otherwise at a terminal, or talk to nothing else. It is read and written as a pipe is,
    /// through Popen::in() and out() (err() where only `err` says tty), communicate() and run(). It is a terminal: lines
    /// end with "\r\n", what is written to it is echoed, and the end of the input is Ctrl-D, which is sent when `in` is
    /// closed. Closing `in` and `out` both hangs it up (SIGHUP). No signal is ignored there at the start, whatever `nohup`
    /// or a shell's `&` did to the host. Its size and its echo are Options::terminal. A program that asks its standard
    /// input (`stty`) wants it for `in` too. A pipeline cannot have one.
    tty
};

/// The type of `to_out`: standard error goes where standard output goes, as `2>&1` says it.
struct ToOut {};
/// The type of `per_stage`: a pipe for each stage of a pipeline, so that what they say is told apart:
/// Result::errs, Captured::errs. A single command is a stage too.
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

/// A file by its path: see file().
struct File {
    std::string path;     ///< from the host's directory on
    bool append = false;  ///< as output: to its end
};

/// A file, opened by the host when the job starts (Step::redirect if that fails). As input it is read from its
/// start; as output it is created with mode 0666 less the umask, or emptied. A relative path counts from the
/// host's directory, whatever Options::cwd says. A FIFO is opened without waiting for its other end: as output
/// that is an error (ENXIO) while nobody reads it, as input the child finds it at its end until somebody writes.
///
/// Where `out` and `err` are the same file, by whatever path, both write to it through one description, as after
/// `>file 2>&1`, and nothing is lost. An error where one of them would empty what the other adds to, or what `in` reads.
inline File file(std::string path) { return {std::move(path), false}; }

/// The same, as output: each write goes to the end of what is there (O_APPEND).
inline File file(std::string path, Append) { return {std::move(path), true}; }

/// A descriptor of the host's: see fd().
struct Descriptor {
    Handle number = no_handle;  ///< the host's
};

/// A descriptor that the host has open. The child gets a duplicate; the host's stays as it is, and stays open.
///
/// O_NONBLOCK belongs to what is open, not to the number: the child's duplicate has it too, and most programs take EAGAIN
/// for an error, and lose what they meant to write. So a non-blocking pipe or terminal that is also close-on-exec, as
/// Popen::in().handle() and out().handle() are, is refused: a pipeline connects two jobs. Sockets, and what is inheritable
/// or a standard stream, are the host's to decide about.
inline Descriptor fd(Handle number) { return {number}; }

/// The whole input, given beforehand: see bytes().
struct Bytes {
    std::string data;  ///< all of it
};

/// Data for the child to read, then end of file. run() and run_all() write it through a pipe while they read the output.
/// A Popen has nobody to write it, so that it is put into an unnamed file at the start (memfd on Linux): there too it
/// can be of any size, but the start takes as long as that does.
inline Bytes bytes(std::string data) { return {std::move(data)}; }

/// The same, copied from what else has data() and size() of bytes: std::string_view, a vector of char or std::byte.
template <class Data, class Byte = decltype(*std::declval<const Data&>().data()),
          class = std::enable_if_t<sizeof(Byte) == 1 && !std::is_convertible_v<const Data&, std::string>>>
Bytes bytes(const Data& data) {
    return {std::string(reinterpret_cast<const char*>(data.data()), data.size())};
}

namespace detail {

struct StreamFunction;
Shared<StreamFunction> make_sink_function(Callback<std::string_view> function);

}  // namespace detail

/// A function that is given the output as it comes: see sink().
struct Sink {
    detail::Shared<detail::StreamFunction> function;  ///< what sink() was given
};

/// Calls `function(chunk)` for every piece of output, at most 256 KiB, in order, never two at once, in whichever
/// thread waits for the job. The chunk is valid during the call. The function may signal the job. A call in
/// it that would wait for the same job returns at once with nothing (EDEADLK), and a job that it starts with itself as a
/// sink says nothing to it. What it throws leaves through the call that waited, and the job's handle stays usable.
/// Copies of a Sink share one function object.
template <class Function>
Sink sink(Function function) {
    static_assert(std::is_invocable_v<Function&, std::string_view>, "leash::sink needs a callable f(std::string_view)");
    return {detail::make_sink_function(std::move(function))};
}

/// What line_sink() takes a carriage return for, which programs paint their progress with, and terminals end lines with.
enum class CarriageReturn {
    keep,      ///< a character as any other, as Reader::lines() does
    split,     ///< the end of a line, as a newline is ("\r\n" is one end): each state of a progress bar is a line
    overwrite  ///< what a terminal does with it: what follows replaces what the line had, and only the last state is told
};

/// How line_sink() makes lines of what comes.
struct LineOptions {
    CarriageReturn carriage_return = CarriageReturn::keep;  ///< what a "\r" means
    /// The longest line, in bytes; one that is longer comes in pieces, cut between characters of UTF-8. Not less than 4.
    std::size_t most = 1024 * 1024;
};

namespace detail {

Shared<StreamFunction> make_line_function(Callback<std::string_view> function, LineOptions options);

}  // namespace detail

/// A sink() that is called with whole lines, without their newline, each as soon as it has come; at the end of the stream,
/// be it cut off, with what stands there without one. All else is as with sink(). What the function throws costs the line
/// that it was given, and no other.
///
/// Several streams may share one line_sink (a copy of the Sink): the halves of their lines are kept apart, and their lines
/// come as their pipes are found readable. That is the order of their writing only where they were written apart from each
/// other in time: nothing on the system knows in which order two pipes were written to. `.err = to_out` is exact.
template <class Function>
Sink line_sink(Function function, LineOptions options = {}) {
    static_assert(std::is_invocable_v<Function&, std::string_view>,
                  "leash::line_sink needs a callable f(std::string_view)");
    return {detail::make_line_function(std::move(function), options)};
}

/// A function that gives the input piece by piece: see source().
struct Source {
    detail::Shared<detail::StreamFunction> function;  ///< what source() was given
};

namespace detail {

Shared<StreamFunction> make_source_function(Callback<std::string&> function);

}  // namespace detail

/// Calls `function()` for the next piece of input (a std::string, or what converts to std::string_view) whenever the pipe
/// takes more, in whichever thread waits for the job; an empty piece is the end. At most one piece waits. It is not called any
/// more when the child has closed its input, or the job's end is over. Popen::in() is closed for others. All else is as
/// with sink(): what it throws leaves through the call that waited, and the next call asks it again.
template <class Function>
Source source(Function function) {
    static_assert(
        std::is_invocable_r_v<std::string_view, Function&>,
        "leash::source needs a callable f() that returns a std::string, or what converts to std::string_view");
    return {detail::make_source_function([its = std::move(function)](std::string& piece) mutable { piece = its(); })};
}

namespace detail {

/// What all three streams have in common: the kind, and what that kind carries.
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

/// What an Input, Output or ErrorOutput says.
template <class Stream>
auto& stdio_of(Stream& stream) noexcept {
    return stream.stdio_;
}

template <class T>
constexpr bool is_function = std::is_invocable_v<const T&, std::string_view>;

/// Refuses it, with what to write.
template <class T>
constexpr void refuse_output() {
    static_assert(!is_text<T>,
                  "leash: a string is no output: write leash::file(\"path\"), or leash::piped to read it.");
    static_assert(!std::is_arithmetic_v<T>, "leash: a number is no output: write leash::fd(number).");
    static_assert(!is_function<T>, "leash: a function is no output by itself: write leash::sink(function).");
}

}  // namespace detail

/// Standard input: null, inherit, piped, tty, bytes(…), source(…), file(…) or fd(…). Nothing else compiles.
class Input {
  public:
    /// From what can be read.
    /// @{
    Input(Redirect from) : stdio_(from) {}
    Input(File from) : stdio_(std::move(from)) {}
    Input(Descriptor from) : stdio_(from) {}
    Input(Bytes from) : stdio_(std::move(from)) {}
    Input(Source from) : stdio_(std::move(from)) {}
    /// @}
    /// A string may be data or a path, and a number is not yet a descriptor: does not compile.
    template <class T, class = std::enable_if_t<detail::is_text<T> || std::is_arithmetic_v<T>>>
    Input(const T&) : stdio_(null) {
        static_assert(!detail::is_text<T>,
                      "leash: a string is no input: write leash::bytes(\"data\") or leash::file(\"path\").");
        static_assert(detail::is_text<T>, "leash: a number is no input: write leash::fd(number).");
    }

    /// Does it say that?
    bool is(Redirect which) const noexcept { return stdio_.is(which); }

  private:
    template <class Stream>
    friend auto& detail::stdio_of(Stream&) noexcept;
    detail::Stdio stdio_;
};

/// Standard output: null, inherit, piped, tty, file(…), fd(…) or sink(…).
class Output {
  public:
    /// To what can be written.
    /// @{
    Output(Redirect to) : stdio_(to) {}
    Output(File to) : stdio_(std::move(to)) {}
    Output(Descriptor to) : stdio_(to) {}
    Output(Sink to) : stdio_(std::move(to)) {}
    /// @}
    /// A bare string, number or function does not compile.
    template <class T,
              class = std::enable_if_t<detail::is_text<T> || std::is_arithmetic_v<T> || detail::is_function<T>>>
    Output(const T&) : stdio_(null) {
        detail::refuse_output<T>();
    }

    /// Does it say that?
    bool is(Redirect which) const noexcept { return stdio_.is(which); }

  private:
    template <class Stream>
    friend auto& detail::stdio_of(Stream&) noexcept;
    detail::Stdio stdio_;
};

/// Standard error: what Output takes, to_out and per_stage.
class ErrorOutput {
  public:
    /// To what Output takes, and two more.
    /// @{
    ErrorOutput(Redirect to) : stdio_(to) {}
    ErrorOutput(File to) : stdio_(std::move(to)) {}
    ErrorOutput(Descriptor to) : stdio_(to) {}
    ErrorOutput(Sink to) : stdio_(std::move(to)) {}
    ErrorOutput(Output to) : stdio_(std::move(detail::stdio_of(to))) {}
    ErrorOutput(ToOut) : stdio_(detail::Stdio::Kind::to_out) {}
    ErrorOutput(PerStage) : stdio_(detail::Stdio::Kind::per_stage) {}
    /// @}
    /// A bare string, number or function does not compile.
    template <class T,
              class = std::enable_if_t<detail::is_text<T> || std::is_arithmetic_v<T> || detail::is_function<T>>>
    ErrorOutput(const T&) : stdio_(null) {
        detail::refuse_output<T>();
    }

    /// Does it say that?
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

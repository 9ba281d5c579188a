// leash/impl/stdio.ipp - the bodies of <leash/stdio.hpp>.
#ifndef LEASH_0_1_0_IMPL_STDIO_IPP
#define LEASH_0_1_0_IMPL_STDIO_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <string>
#include <string_view>
#include <utility>

#include <cstddef>

#include <leash/detail/stream_function.hpp>
#include <leash/detail/text.hpp>
#include <leash/stdio.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {

LEASH_INLINE Shared<StreamFunction> make_sink_function(Callback<std::string_view> function) {
    return Shared<StreamFunction>::adopt(new StreamFunction(std::move(function)));
}

/// What line_sink() was given. A rest that is "\r" where that splits is no text: a newline that follows belongs to it.
struct LineFunction final : StreamFunction {
    LineFunction(Callback<std::string_view> its, LineOptions options)
        : StreamFunction(std::move(its)),
          splits_(options.carriage_return == CarriageReturn::split),
          overwrites_(options.carriage_return == CarriageReturn::overwrite),
          most_(options.most < 4 ? 4 : options.most) {}

    void write(std::string_view& chunk, std::string& rest) override {
        while (!chunk.empty()) {
            if (splits_ && rest == "\r") {
                rest.clear();
                if (chunk.front() == '\n') {
                    chunk.remove_prefix(1);
                    continue;
                }
            }
            const std::size_t end = splits_ ? chunk.find_first_of("\r\n") : chunk.find('\n');
            std::string_view piece = chunk.substr(0, end);
            if (overwrites_) chunk.remove_prefix(overwrite(piece, rest));
            const std::size_t room = most_ - rest.size();
            const bool is_long = piece.size() > room;
            if (is_long) piece = piece.substr(0, room);
            if (!is_long && end == std::string_view::npos) {
                rest.append(piece);
                chunk.remove_prefix(piece.size());
                return;
            }
            if (!rest.empty()) rest.append(piece);  // before anything is taken: memory may run out
            const std::string_view all = rest.empty() ? piece : std::string_view(rest);
            const std::string_view line = is_long ? whole_head(all) : all;
            const bool returned = !is_long && chunk[piece.size()] == '\r';
            const Given given{rest, rest.empty() ? 0 : line.size(), returned};
            chunk.remove_prefix(is_long ? piece.size() - (rest.empty() ? all.size() - line.size() : 0)
                                        : piece.size() + 1);
            give(line);
        }
    }

    void finish(std::string& rest) override {
        if (rest.empty() || (splits_ && rest == "\r")) return;
        const Given given{rest, rest.size(), false};
        if (!overwrites_ || rest.find_first_not_of('\r') != std::string::npos) give(rest);
    }

  private:
    /// The line is given, whatever the function throws.
    struct Given {
        std::string& rest;
        std::size_t count;
        bool returned;
        ~Given() {
            rest.erase(0, count);
            if (returned) rest = '\r';
        }
    };

    /// What stands before a return that something follows is gone; how many bytes of the piece.
    static std::size_t overwrite(std::string_view& piece, std::string& rest) noexcept {
        const std::size_t last = piece.find_last_not_of('\r');
        if (last == std::string_view::npos) return 0;
        const std::size_t before = piece.rfind('\r', last);
        const std::size_t gone = before == std::string_view::npos ? 0 : before + 1;
        if (gone > 0 || (!rest.empty() && rest.back() == '\r')) rest.clear();
        piece.remove_prefix(gone);
        return gone;
    }

    void give(std::string_view line) const {
        while (overwrites_ && !line.empty() && line.back() == '\r') line.remove_suffix(1);
        function(line);
    }

    const bool splits_, overwrites_;
    const std::size_t most_;
};

LEASH_INLINE Shared<StreamFunction> make_line_function(Callback<std::string_view> function, LineOptions options) {
    return Shared<StreamFunction>::adopt(new LineFunction(std::move(function), options));
}

/// What source() was given.
struct SourceFunction final : StreamFunction {
    explicit SourceFunction(Callback<std::string&> its) : StreamFunction({}), next_(std::move(its)) {}
    void read(std::string& piece) override { next_(piece); }

  private:
    const Callback<std::string&> next_;
};

LEASH_INLINE Shared<StreamFunction> make_source_function(Callback<std::string&> function) {
    return Shared<StreamFunction>::adopt(new SourceFunction(std::move(function)));
}

LEASH_INLINE Stdio::Stdio(Kind k) : kind(k) {}

LEASH_INLINE Stdio::Stdio(Redirect r) : kind(static_cast<Kind>(r)) {}

LEASH_INLINE Stdio::Stdio(File f) : kind(Kind::file), append(f.append), text(std::move(f.path)) {}

LEASH_INLINE Stdio::Stdio(Descriptor d) : kind(Kind::descriptor), number(d.number) {}

LEASH_INLINE Stdio::Stdio(Bytes b) : kind(Kind::bytes), text(std::move(b.data)) {}

LEASH_INLINE Stdio::Stdio(Sink s) : kind(Kind::sink), function(std::move(s.function)) {}

LEASH_INLINE Stdio::Stdio(Source s) : kind(Kind::sink), function(std::move(s.function)) {}

LEASH_INLINE Stdio::Stdio(const Stdio& other) = default;

LEASH_INLINE Stdio::Stdio(Stdio&& other) noexcept = default;

LEASH_INLINE Stdio& Stdio::operator=(const Stdio& other) = default;

LEASH_INLINE Stdio& Stdio::operator=(Stdio&& other) noexcept = default;

LEASH_INLINE Stdio::~Stdio() = default;

}  // namespace detail

LEASH_INLINE File file(std::string path) { return {std::move(path), false}; }

LEASH_INLINE File file(std::string path, Append) { return {std::move(path), true}; }

LEASH_INLINE Bytes bytes(std::string data) { return {std::move(data)}; }

LEASH_INLINE Input::Input(Redirect from) : stdio_(from) {}

LEASH_INLINE Input::Input(File from) : stdio_(std::move(from)) {}

LEASH_INLINE Input::Input(Descriptor from) : stdio_(from) {}

LEASH_INLINE Input::Input(Bytes from) : stdio_(std::move(from)) {}

LEASH_INLINE Input::Input(Source from) : stdio_(std::move(from)) {}

LEASH_INLINE Output::Output(Redirect to) : stdio_(to) {}

LEASH_INLINE Output::Output(File to) : stdio_(std::move(to)) {}

LEASH_INLINE Output::Output(Descriptor to) : stdio_(to) {}

LEASH_INLINE Output::Output(Sink to) : stdio_(std::move(to)) {}

LEASH_INLINE ErrorOutput::ErrorOutput(Redirect to) : stdio_(to) {}

LEASH_INLINE ErrorOutput::ErrorOutput(File to) : stdio_(std::move(to)) {}

LEASH_INLINE ErrorOutput::ErrorOutput(Descriptor to) : stdio_(to) {}

LEASH_INLINE ErrorOutput::ErrorOutput(Sink to) : stdio_(std::move(to)) {}

LEASH_INLINE ErrorOutput::ErrorOutput(Output to) : stdio_(std::move(detail::stdio_of(to))) {}

LEASH_INLINE ErrorOutput::ErrorOutput(ToOut) : stdio_(detail::Stdio::Kind::to_out) {}

LEASH_INLINE ErrorOutput::ErrorOutput(PerStage) : stdio_(detail::Stdio::Kind::per_stage) {}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_STDIO_IPP

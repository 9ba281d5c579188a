// tests/fuzz/reader.cpp - a Reader gives what was written, in order, however it was cut into pieces and by whatever mix
// of calls it is read: lines, read_until, expect, read. All is compared with a string of what was written and not read.
#include "fuzz.hpp"

#include <leash/leash.hpp>

#include <chrono>
#include <optional>

#include <fcntl.h>
#include <unistd.h>

using namespace std::chrono_literals;
using fuzz::Bytes;

namespace {

constexpr std::size_t npos = std::string::npos;

/// Of few letters and mostly short, so that patterns are found, and cut in the middle.
std::string text(Bytes& input) {
    const unsigned length = input.byte();
    std::string text;
    for (unsigned i = length < 224 ? length % 4 : length; i > 0 && !input.empty(); --i)
        text += "ab\n\0"[input.choice(4)];
    return text;
}

/// A job whose output we write ourselves: into the pipe that is the standard output of a cat with nothing to do.
class Stream {
  public:
    Stream() : cat_(leash::Popen::try_spawn({"cat"}, options()).value()) {
        const std::string path = "/proc/" + std::to_string(cat_.pid()) + "/fd/1";
        pipe_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
        FUZZ_NEEDS(pipe_ >= 0);
    }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    ~Stream() { end(); }

    void write(const std::string& text) {
        if (pipe_ < 0) return;
        FUZZ_NEEDS(::write(pipe_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
        pending_ += text;
    }

    void read(std::size_t most) {
        const leash::Read read = out().read(most, 0s);
        FUZZ_NEEDS(read.complete == !pending_.empty());
        FUZZ_NEEDS(read.data.size() <= most);
        FUZZ_NEEDS(read.data.empty() == (pending_.empty() || most == 0));
        take(read.data);
        FUZZ_NEEDS(read.complete || read.timed_out != sees_end());
        FUZZ_NEEDS(read.eof == (sees_end() && pending_.empty()));
    }

    void read_all() {
        const leash::Read read = out().read_all(0s);
        FUZZ_NEEDS(read.complete == sees_end() && read.timed_out == !sees_end());
        FUZZ_NEEDS(read.data == (sees_end() ? pending_ : ""));
        take(read.data);
    }

    void read_until(const std::string& delimiter) {
        const leash::Read read = out().read_until(delimiter, 0s);
        const std::size_t at = pending_.find(delimiter);
        FUZZ_NEEDS(read.complete == (at != npos));
        FUZZ_NEEDS(read.complete || read.timed_out != sees_end());
        if (read.complete) FUZZ_NEEDS(read.data.size() == at + delimiter.size());
        else FUZZ_NEEDS(read.data == (sees_end() ? pending_ : ""));
        take(read.data);
    }

    /// Of patterns that overlap, which one is seen first depends on the pieces; but never is one passed over that ends
    /// before the one that was taken, or begins where that does and comes first in the list.
    void expect(const std::string& a, const std::string& b) {
        const leash::Match match = out().expect({a, b}, 0s);
        FUZZ_NEEDS(match.complete == (pending_.find(a) != npos || pending_.find(b) != npos));
        if (match.complete) {
            FUZZ_NEEDS(match.which < 2 && match.matched == (match.which == 0 ? a : b));
            const std::string seen = match.before + match.matched;
            FUZZ_NEEDS(seen.find(a) >= match.before.size() && seen.find(b) >= match.before.size());
            FUZZ_NEEDS(match.which == 0 || seen.find(a) != match.before.size());
        } else {
            FUZZ_NEEDS(match.eof == sees_end() && match.timed_out == !sees_end());
            FUZZ_NEEDS(match.matched.empty() && match.before == (sees_end() ? pending_ : ""));
        }
        take(match.before + match.matched);
    }

    /// So many lines at the most, with whatever the input says between one and the next.
    void lines(unsigned most, Bytes& input) {
        for (const std::string_view line : out().lines(0s)) {
            const std::size_t end = pending_.find('\n');
            FUZZ_NEEDS(end != npos || (sees_end() && !pending_.empty()));
            FUZZ_NEEDS(line == pending_.substr(0, end));
            pending_.erase(0, end == npos ? npos : end + 1);
            if (most-- == 0) return;
            if (input.flag()) step(input, 5);
        }
        FUZZ_NEEDS(pending_.find('\n') == npos && (pending_.empty() || !sees_end()));
    }

    /// The next call that the input asks for.
    void step(Bytes& input, unsigned kinds) {
        switch (input.choice(kinds)) {
            case 0: write(text(input)); break;
            case 1: read(input.byte()); break;
            case 2: read_until(text(input)); break;
            case 3: {
                const std::string a = text(input);
                expect(a, text(input));
                break;
            }
            case 4: read_all(); break;
            case 5: lines(input.byte(), input); break;
            case 6:
                if (input.flag()) communicate();
                else end();
                break;
        }
    }

    bool has_ended() const { return pipe_ < 0; }
    /// Empties it, for the next input; and an end that is there is seen.
    void drain() {
        while (!pending_.empty()) read(65536);
        read(1);
        FUZZ_NEEDS(sees_end() == has_ended());
    }

  private:
    static leash::Options options() {
        leash::Options options;
        options.in = leash::piped;
        options.out = leash::piped;
        return options;
    }

    leash::Reader out() { return cat_.out(); }
    /// A call that does not wait may find the last bytes, and only the next one that there are no more.
    bool sees_end() { return !out().is_open(); }

    void take(const std::string& read) {
        FUZZ_NEEDS(pending_.compare(0, read.size(), read) == 0);
        pending_.erase(0, read.size());
    }

    void close() {
        ::close(pipe_);
        pipe_ = -1;
    }

    void end() {
        if (has_ended()) return;
        close();
        cat_.in().close();
        FUZZ_NEEDS(cat_.wait().success());
    }

    void communicate() {
        if (has_ended()) return;
        close();
        const leash::Captured captured = cat_.communicate({}, 60s);
        FUZZ_NEEDS(captured.status && captured.status->success());
        FUZZ_NEEDS(captured.out == pending_);
        pending_.clear();
    }

    leash::Popen cat_;
    int pipe_ = -1;
    std::string pending_;  // written, and not read
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static std::optional<Stream> stream;  // for the next input too, unless this one ends it: a start takes long
    if (!stream) stream.emplace();
    Bytes input(data, size < 4096 ? size : 4096);
    while (!input.empty()) stream->step(input, 7);
    stream->drain();
    if (stream->has_ended()) stream.reset();
    return 0;
}

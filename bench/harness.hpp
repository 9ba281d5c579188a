// bench/harness.hpp - what the program of every library shares: it stays, is told by the driver what to measure, and
// answers with numbers. A library's own file says how its documentation does each verb, and no more.
//
// A request is a line of fields between tabs, an answer a line of numbers; "none" where the library has no such verb.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bench {

using Args = std::vector<std::string>;
using std::chrono::milliseconds;

/// The command of the n-th child.
using Commands = std::function<Args(int)>;

/// What a library can do. Each starts a child and sees it through.
struct Verbs {
    std::string version;
    void (*run)(const Args&) = nullptr;                             ///< nothing redirected that needs not be
    std::string (*capture)(const Args&) = nullptr;                  ///< gives its output
    std::size_t (*sink)(const Args&) = nullptr;                     ///< takes its output piece by piece; the sum
    std::string (*both)(const Args&, std::string input) = nullptr;  ///< writes its input, gives its output
    bool (*wait)(const Args&, milliseconds) = nullptr;              ///< waits so long at most; has it ended?
    std::string (*deadline)(const Args&, milliseconds) = nullptr;   ///< captures, and ends it when it takes longer
    std::size_t (*many)(const Commands&, int count, int at_most, bool capture) = nullptr;  ///< bytes captured
};

inline std::int64_t now() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

inline void expect(bool holds, const char* what) {
    if (!holds) throw std::runtime_error(what);
}

// ---- what the parent is like while it is measured

class Surroundings {
  public:
    void heap(std::size_t mebibytes) { heap_.assign(mebibytes << 20, 'x'); }

    void threads(int count) {
        const auto sleep = [] {
            for (;;) ::pause();
        };
        for (int i = 0; i < count; ++i) std::thread(sleep).detach();
    }

    /// Open descriptors that a child does not get to see, as a careful host has them.
    static void descriptors(int count) {
        const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int i = 1; i < count; ++i) expect(::fcntl(null, F_DUPFD_CLOEXEC, 3) >= 0, "no descriptor is left");
    }

    /// A listening socket and others, as a careless one has them.
    static void leaks(int others) {
        const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
        const sockaddr any{AF_UNIX, {}};
        expect(::bind(listener, &any, sizeof any.sa_family) == 0 && ::listen(listener, 1) == 0, "no socket");
        for (int i = 0; i < others; ++i) expect(::open("/dev/null", O_RDWR) >= 0, "no descriptor is left");
    }

    static void descriptor_limit(rlim_t soft) {
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = soft;
        expect(::setrlimit(RLIMIT_NOFILE, &limit) == 0, "above the hard limit");
    }

  private:
    std::string heap_;
};

// ---- measuring

/// The median time of a call, in ns.
template <class Call>
std::int64_t median_time(int count, Call call) {
    std::vector<std::int64_t> times;
    for (int i = 0; i < count; ++i) {
        const std::int64_t begin = now();
        call();
        times.push_back(now() - begin);
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

inline std::int64_t from_status(const char* key) {
    std::FILE* const file = std::fopen("/proc/self/status", "r");
    char line[256];
    long value = 0;
    while (std::fgets(line, sizeof line, file) != nullptr) {
        if (std::strncmp(line, key, std::strlen(key)) == 0) value = std::strtol(line + std::strlen(key), nullptr, 10);
    }
    std::fclose(file);
    return value * 1024;
}

/// How much more memory a call had at its peak than before, in bytes.
template <class Call>
std::int64_t peak_of(Call call) {
    if (std::FILE* const reset = std::fopen("/proc/self/clear_refs", "w")) {
        std::fputs("5", reset);
        std::fclose(reset);
    }
    const std::int64_t before = from_status("VmRSS:");
    call();
    return from_status("VmHWM:") - before;
}

struct Cost {
    std::int64_t cpu, switches;  // ns; of this process, not of its children

    static Cost so_far() {
        rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        const auto nanoseconds = [](const timeval& t) { return t.tv_sec * 1'000'000'000 + t.tv_usec * 1000; };
        return {nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime), usage.ru_nvcsw + usage.ru_nivcsw};
    }
    Cost since(const Cost& before) const { return {cpu - before.cpu, switches - before.switches}; }
};

/// `child nap … FILE` writes into the file when it ended: how much later the wait returned, each time.
inline std::vector<std::int64_t> lateness(const Verbs& verbs, int count, const Args& nap) {
    const int file = ::open(nap.back().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    std::vector<std::int64_t> all;
    for (int i = 0; i < count; ++i) {
        verbs.wait(nap, milliseconds(1000));  // one that says it still runs was late by what is left of the second
        const std::int64_t returned = now();
        std::int64_t ended = 0;
        expect(::pread(file, &ended, sizeof ended, 0) == sizeof ended, "the child has not said when it ended");
        all.push_back(returned - ended);
    }
    ::close(file);
    return all;
}

/// `child hold FIFO …`: the first ones stay until others have started, so that between at_most - slack and at_most
/// run at any time: each later child gives leave to one other, and the last to all that are left. (A library that
/// waits for one of them alone is rescued by the child's alarm.)
inline Commands holding(const Args& hold, int count, int at_most, bool say) {
    constexpr int slack = 64;
    return [=](int n) {
        const int held = std::min(at_most, count) - slack;
        const int give = n == count - 1 ? held + 1 : n >= held ? 1 : 0;
        Args all = hold;
        all.push_back(std::to_string(give));
        all.push_back(say ? "10" : "0");
        return all;
    };
}

// ---- the requests

class Server {
  public:
    explicit Server(const Verbs& verbs) : verbs_(verbs) {
        // The children find nothing at 0 and 1 that could stop them, and none of the driver's descriptors.
        in_ = ::fdopen(::fcntl(0, F_DUPFD_CLOEXEC, 3), "r");
        out_ = ::fdopen(::fcntl(1, F_DUPFD_CLOEXEC, 3), "w");
        const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        ::dup2(null, 0);
        ::dup2(null, 1);
        ::close(null);
    }

    int serve() {
        char* line = nullptr;
        std::size_t room = 0;
        for (ssize_t n; (n = ::getline(&line, &room, in_)) > 0;) {
            Args fields(1);
            for (const char c : std::string_view(line, static_cast<std::size_t>(n) - 1)) {
                if (c == '\t') fields.emplace_back();
                else fields.back() += c;
            }
            std::fprintf(out_, "%s\n", answer(fields).c_str());
            std::fflush(out_);
        }
        std::free(line);
        return 0;
    }

  private:
    std::string answer(const Args& fields) try {
        const std::string& what = fields[0];
        const long n = fields.size() > 1 ? std::atol(fields[1].c_str()) : 0;
        const int count = static_cast<int>(n);
        const std::size_t bytes = static_cast<std::size_t>(n);
        const Args child(fields.begin() + std::min<long>(2, static_cast<long>(fields.size())), fields.end());

        if (what == "version") return verbs_.version;
        if (what == "heap") return surroundings_.heap(bytes), "ok";
        if (what == "threads") return surroundings_.threads(count), "ok";
        if (what == "descriptors") return Surroundings::descriptors(count), "ok";
        if (what == "leaks") return Surroundings::leaks(count), "ok";
        if (what == "limit") return Surroundings::descriptor_limit(static_cast<rlim_t>(n)), "ok";

        if (what == "run" && verbs_.run) return numbers({median_time(count, [&] { verbs_.run(child); })});
        if (what == "capture" && verbs_.capture)
            return numbers({median_time(count, [&] { expect(verbs_.capture(child).size() == 10, "not captured"); })});
        if (what == "seen" && verbs_.capture) return verbs_.capture(child);
        if (what == "big" && verbs_.capture) {
            std::int64_t time = 0;
            const std::int64_t peak = peak_of([&] {
                const std::int64_t begin = now();
                const std::string all = verbs_.capture(child);
                time = now() - begin;
                expect(all.size() == bytes && all[bytes - 1] == all[256 * 1024 - 1], "not captured");
            });
            return numbers({time, peak});
        }
        if (what == "sink" && verbs_.sink)
            return numbers({median_time(1, [&] { expect(verbs_.sink(child) == bytes, "not all was seen"); })});
        if (what == "both" && verbs_.both) {
            std::string input(bytes, 'x');
            const std::int64_t begin = now();
            const std::string all = verbs_.both(child, std::move(input));
            const std::int64_t time = now() - begin;
            expect(all.size() == bytes && all[bytes - 1] == 'x', "not all came back");
            return numbers({time});
        }
        if (what == "late" && verbs_.wait) return numbers(lateness(verbs_, count, child));
        if (what == "idle" && verbs_.wait) {
            const Cost before = Cost::so_far();
            expect(verbs_.wait(child, milliseconds(60'000)), "it had ended");
            const Cost cost = Cost::so_far().since(before);
            return numbers({cost.switches, cost.cpu});
        }
        if (what == "deadline" && verbs_.deadline)
            return numbers({median_time(1, [&] { verbs_.deadline(child, milliseconds(n)); })});
        if ((what == "many" || what == "many captured") && verbs_.many) {
            const bool captured = what == "many captured";
            const Cost before = Cost::so_far();
            const std::int64_t begin = now();
            const std::size_t got = verbs_.many(holding(child, count, 512, captured), count, 512, captured);
            const std::int64_t time = now() - begin;
            expect(got == (captured ? bytes * 10 : 0), "not all was captured");
            return numbers({time, Cost::so_far().since(before).cpu});
        }
        return "none";
    } catch (const std::exception& e) {
        return std::string("error ") + e.what();
    }

    static std::string numbers(const std::vector<std::int64_t>& all) {
        std::string text;
        for (const std::int64_t one : all) text += (text.empty() ? "" : " ") + std::to_string(one);
        return text;
    }

    Verbs verbs_;
    Surroundings surroundings_;
    std::FILE* in_;
    std::FILE* out_;
};

inline int serve(const Verbs& verbs) { return Server(verbs).serve(); }

}  // namespace bench

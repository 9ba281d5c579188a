// leash/impl/jobserver.ipp - the bodies of <leash/jobserver.hpp>.
#ifndef LEASH_0_1_0_IMPL_JOBSERVER_IPP
#define LEASH_0_1_0_IMPL_JOBSERVER_IPP

#include <leash/config.hpp>

#if !defined(LEASH_COMPILED) || defined(LEASH_IMPLEMENTATION)

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/sys/descriptors.hpp>
#include <leash/detail/posix/sys/files.hpp>
#include <leash/detail/posix/sys/spawn.hpp>
#include <leash/detail/posix/tokens.hpp>
#include <leash/detail/shared.hpp>
#include <leash/detail/text.hpp>
#include <leash/jobserver.hpp>

namespace leash {
inline namespace LEASH_ABI {

namespace detail {

/// The next word of MAKEFLAGS, which is taken off; empty at its end, and where what follows is variables.
inline std::string_view take_word(std::string_view& flags) noexcept {
    while (!flags.empty() && flags.front() == ' ') flags.remove_prefix(1);
    const std::string_view word = flags.substr(0, flags.find(' '));
    if (word == "--") return {};
    flags.remove_prefix(word.size());
    return word;
}

inline bool begins_with(std::string_view text, std::string_view start) noexcept {
    return text.substr(0, start.size()) == start;
}

/// MAKEFLAGS without another jobserver, and with this one.
[[gnu::cold]] inline std::string with_jobserver(std::string_view flags, std::string_view words) {
    std::string all;
    for (std::string_view word; !(word = take_word(flags)).empty();) {
        if (begins_with(word, "-j") || begins_with(word, "--jobserver-")) continue;
        all += word;
        all += ' ';
    }
    all += words;
    if (!flags.empty()) all += concat({" ", flags});  // variables
    return all;
}

[[gnu::cold]] inline void hand_down_tokens(const Tokens& tokens, Tokens::Given& given) {
    std::string words = tokens.jobs > 0 ? concat({"-j", decimal(tokens.jobs)}) : "-j";
    if (!tokens.path.empty()) {
        words += concat({" --jobserver-auth=fifo:", tokens.path});
    } else {
        const auto find_free = [&](int number) {
            const auto is_taken = [&] {
                for (const int other : given.taken) {
                    if (other == number) return true;
                }
                return false;
            };
            while (is_taken()) ++number;
            given.taken.add(number);
            return number;
        };
        given.read = find_free(tokens.read_there);
        given.write = find_free(tokens.write_there);
        const std::string both = concat({decimal(given.read), ",", decimal(given.write)});
        for (const char* const name : {" --jobserver-fds=", " --jobserver-auth="}) words += concat({name, both});
    }
    given.flags = with_jobserver(given.flags, words);
}

inline Shared<Tokens> make_tokens() {
    auto made = Shared<Tokens>::adopt(new Tokens);
    made->hand_down = hand_down_tokens;
    return made;
}

/// Is it open that way, and a pipe?
inline bool is_pipe(int number, int access) noexcept {
    struct stat info {};
    const int flags = sys::fcntl(number, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) == access && sys::fstat(number, &info) == 0 && S_ISFIFO(info.st_mode);
}

}  // namespace detail

LEASH_INLINE detail::Tokens* tokens_of(const Jobserver& jobserver) noexcept { return jobserver.tokens_.get(); }

[[gnu::cold]] LEASH_INLINE Jobserver Jobserver::inherited() {
    std::string_view flags;
    char** const all = detail::sys::environment();
    for (char** entry = all; all != nullptr && *entry != nullptr; ++entry) {
        if (detail::begins_with(*entry, "MAKEFLAGS=")) flags = std::string_view(*entry).substr(10);
    }
    std::string where;
    auto tokens = detail::make_tokens();
    for (std::string_view word; !(word = detail::take_word(flags)).empty();) {
        for (const char* const name : {"--jobserver-auth=", "--jobserver-fds="}) {
            if (detail::begins_with(word, name)) where = word.substr(std::string_view(name).size());
        }
        if (detail::begins_with(word, "-j")) tokens->jobs = std::atoi(std::string(word.substr(2)).c_str());
    }
    Jobserver found;
    if (detail::begins_with(where, "fifo:")) {
        tokens->path = where.substr(5);
        // For reading and writing, so that it has no end when others go, and opening it never waits.
        tokens->own = detail::os::Fd::open(tokens->path.c_str(), O_RDWR | O_NONBLOCK);
        if (!tokens->own.is_open() && !detail::os::is_shortage(errno)) return found;
        if (!tokens->own.is_open()) tokens->error = errno;
        else if (!detail::is_pipe(tokens->own.get(), O_RDWR)) return found;
    } else {
        int read = -1, write = -1;
        char rest = 0;
        if (std::sscanf(where.c_str(), "%d,%d%c", &read, &write, &rest) != 2 || read < 3 || write < 3 ||
            !detail::is_pipe(read, O_RDONLY) || !detail::is_pipe(write, O_WRONLY))
            return found;
        tokens->read_there = read;
        tokens->write_there = write;
        tokens->read = detail::os::Fd(detail::os::duplicate_above(read, 3));
        if (tokens->read.is_open()) tokens->write = detail::os::Fd(detail::os::duplicate_above(write, 3));
        if (!tokens->write.is_open()) tokens->error = errno;
        else tokens->open_own();
    }
    found.tokens_ = std::move(tokens);
    return found;
}

[[gnu::cold]] LEASH_INLINE Jobserver Jobserver::serve(int jobs) {
    Jobserver served;
    served.tokens_ = detail::make_tokens();
    detail::Tokens& tokens = *served.tokens_;
    tokens.jobs = jobs;
    if (jobs < 1 || jobs > 4096) {  // what a pipe holds anywhere
        tokens.error = EINVAL;
        tokens.why = "jobs must be from 1 to 4096";
        return served;
    }
    detail::os::PipeEnds ends;
    if (!detail::os::make_pipe(ends)) {
        tokens.error = errno;
        return served;
    }
    tokens.read = std::move(ends.read);
    tokens.write = std::move(ends.write);
    const std::string all(static_cast<std::size_t>(jobs - 1), '+');
    if (!all.empty() && detail::os::write_some(tokens.write, all) != static_cast<ssize_t>(all.size()))
        tokens.error = EIO;
    tokens.open_own();
    return served;
}

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // the bodies are here

#endif  // LEASH_0_1_0_IMPL_JOBSERVER_IPP

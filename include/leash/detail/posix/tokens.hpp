// leash/detail/posix/tokens.hpp - what a Jobserver holds: a pipe or a FIFO with a token for each job that may run.
#ifndef LEASH_0_1_0_DETAIL_POSIX_TOKENS_HPP
#define LEASH_0_1_0_DETAIL_POSIX_TOKENS_HPP

#include <leash/config.hpp>

#include <string>
#include <string_view>

#include <cstdio>

#include <leash/detail/array.hpp>
#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/sys/files.hpp>
#include <leash/detail/shared.hpp>

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {

namespace detail {

/// What a Jobserver is.
struct Tokens : Counted {
    os::Fd read, write;  // a pipe's ends, which block, as make wants them; neither of a FIFO
    std::string path;    // of a FIFO
    os::Fd own;          // for ourselves, and non-blocking: a description of our own of the same
    int read_there = 3;  // the numbers that a child may know it by already
    int write_there = 4;
    int jobs = 0;   // where that is known
    int error = 0;  // with which it could not be made
    const char* why = "";

    /// What a job is given of it.
    struct Given {
        std::string flags;          // its MAKEFLAGS, before and after
        Array<int> taken;           // numbers that it has for others
        int read = -1, write = -1;  // those of the pipe there
    };
    /// By a pointer, so that only who makes a jobserver has the code for it.
    void (*hand_down)(const Tokens& tokens, Given& given) = nullptr;

    /// The pipe's reading end once more: to make that non-blocking would make it so for all who have it. Stays closed where
    /// that cannot be had: without /proc.
    void open_own() noexcept {
        char name[32];
        std::snprintf(name, sizeof name, "/proc/self/fd/%d", read.get());
        own = os::Fd::open(name, O_RDONLY | O_NONBLOCK);
    }
    /// -1 where there is none at the moment.
    int take() noexcept {
        char token;
        return os::read_some(own, &token, 1) == 1 ? static_cast<unsigned char>(token) : -1;
    }
    /// The very one.
    void give_back(int token) noexcept {
        const char byte = static_cast<char>(token);
        static_cast<void>(os::write_some(path.empty() ? write : own, std::string_view(&byte, 1)));
    }
};

}  // namespace detail
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#endif  // LEASH_0_1_0_DETAIL_POSIX_TOKENS_HPP

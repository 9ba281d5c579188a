// bench/posix.hpp - what the hand-written floors share.
#pragma once

#include "harness.hpp"

#include <cerrno>
#include <csignal>
#include <spawn.h>
#include <sys/wait.h>

extern char** environ;

namespace bench {

inline std::vector<char*> pointers(const Args& args) {
    std::vector<char*> list;
    for (const std::string& one : args) list.push_back(const_cast<char*>(one.c_str()));
    list.push_back(nullptr);
    return list;
}

inline int reap(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return status;
}

struct Pipe {
    int read, write;
    Pipe() {
        int ends[2];
        expect(::pipe2(ends, O_CLOEXEC) == 0, "no pipe");
        read = ends[0];
        write = ends[1];
    }
};

}  // namespace bench

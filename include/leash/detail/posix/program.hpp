// leash/detail/posix/program.hpp - which file is executed, and why it could not be.
#pragma once

#include <leash/config.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <leash/detail/posix/fd.hpp>
#include <leash/error.hpp>

#if LEASH_POSIX

namespace LEASH_NAMESPACE::detail::os {

/// 0, or the errno that keeps the path from being executed as a program.
inline int why_not_executable(const char* path) noexcept {
    struct stat info {};
    if (sys::stat(path, &info) != 0) return errno;
    if (S_ISDIR(info.st_mode)) return EISDIR;
    if (!S_ISREG(info.st_mode)) return EACCES;
    return sys::access(path, X_OK) == 0 ? 0 : errno;
}

/// 0, or the errno that keeps the path from being a directory to start in.
inline int why_not_directory(const char* path) noexcept {
    struct stat info {};
    if (sys::stat(path, &info) != 0) return errno;
    if (!S_ISDIR(info.st_mode)) return ENOTDIR;
    return sys::access(path, X_OK) == 0 ? 0 : errno;
}

/// The path made absolute from the host's directory, which a `cwd` of the child's must not change.
inline Expected<std::string> absolute(std::string path) {
    if (!path.empty() && path.front() == '/') return path;
    std::string here(256, '\0');
    while (sys::getcwd(&here[0], here.size()) == nullptr) {
        if (errno != ERANGE) return make_error(errno, Step::program, path, "the host's directory cannot be told");
        here.resize(here.size() * 2);
    }
    here.resize(here.find('\0'));
    return here + '/' + path;
}

/// The file for a program's name: as it is where it holds a slash, otherwise the first executable of that name in
/// `search`, a list of directories as in PATH. Directories are passed over, and so is what may not be executed:
/// that is reported only where nothing better follows.
inline Expected<std::string> find_program(const std::string& name, std::string_view search) {
    if (name.find('/') != std::string::npos) {
        if (const int error = why_not_executable(name.c_str())) return make_error(error, Step::program, name);
        return name;
    }
    int reason = ENOENT;
    for (;;) {
        const std::size_t colon = search.find(':');
        std::string candidate(search.substr(0, colon));
        if (candidate.empty()) candidate += '.';
        candidate += '/';
        candidate += name;
        const int error = why_not_executable(candidate.c_str());
        if (error == 0) return candidate;
        struct stat info {};  // EACCES also says that a directory in PATH may not be searched: that is no finding
        if (error == EACCES && sys::stat(candidate.c_str(), &info) == 0) reason = EACCES;
        if (colon == std::string_view::npos) break;
        search.remove_prefix(colon + 1);
    }
    return make_error(reason, Step::program, name,
                      reason == EACCES ? "found in PATH, but not executable" : "not found in the child's PATH");
}

/// What a program is looked up in where the child has no PATH.
inline const char* default_search_path() noexcept { return "/bin:/usr/bin"; }

/// What the `#!` line of a script names; nothing for any other file, or one that may not be read.
inline std::optional<std::string> interpreter_of(const std::string& path) {
    const Fd file = Fd::open(path.c_str(), O_RDONLY | O_NONBLOCK);
    if (!file.is_open()) return std::nullopt;
    char start[4096];
    const ssize_t size = read_some(file, start, sizeof start);
    if (size < 2 || start[0] != '#' || start[1] != '!') return std::nullopt;
    std::string_view line(start + 2, static_cast<std::size_t>(size) - 2);
    line = line.substr(0, line.find('\n'));
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    return std::string(line.substr(0, line.find_first_of(" \t")));
}

/// The system's refusal to execute a program that is there, told as what it is about: exec has one number for a
/// program, for the interpreter that its #! line names, and for that one's interpreter.
inline Error explain_exec(int error, const std::string& program) {
    std::string path = program;
    for (int depth = 0; depth < 5; ++depth) {  // as many as Linux follows
        auto interpreter = interpreter_of(path);
        if (!interpreter) break;
        if (interpreter->empty()) return make_error(error, Step::interpreter, path, "its #! line names nothing");
        path = *std::move(interpreter);
        // "/bin/sh\r": the file has the line ends of another system
        const bool carriage_return = path.back() == '\r';
        if (const int why = why_not_executable(path.c_str()))
            return make_error(why, Step::interpreter, path,
                              carriage_return ? "the #! line ends in a carriage return" : "named by a #! line");
    }
    const bool is_program = path == program;
    const Step step = is_program ? Step::program : Step::interpreter;
    switch (error) {
        // It is there and may be executed: what is missing is what it needs itself.
        case ENOENT:
            return make_error(error, Step::interpreter, path, "it is there, its own loader or interpreter is not");
        case ENOEXEC:
            return make_error(
                error, step, path,
                is_program ? "not a program for this system, nor a script with a #! line; leash::shell() runs scripts"
                           : "named by a #! line, but not a program for this system");
        case ETXTBSY: return make_error(error, step, path, "the file is being written");
        default: return make_error(error, step, path);
    }
}

/// The system's refusal to start, told as what it is about.
inline Error explain_spawn(int error, const std::string& program, const std::string& cwd) {
    if (!cwd.empty()) {
        if (const int why = why_not_directory(cwd.c_str())) return make_error(why, Step::cwd, cwd);
    }
    switch (error) {
        case E2BIG:
            return make_error(error, Step::spawn, program, "arguments and environment exceed the system's limit");
        case EAGAIN: return make_error(error, Step::spawn, program, "the limit of processes is reached");
        case ENOMEM:
        case EMFILE:
        case ENFILE:
        case EBADF:
        case ENOSYS: return make_error(error, Step::spawn, program);
        default: break;
    }
    if (const int why = why_not_executable(program.c_str())) return make_error(why, Step::program, program);
    return explain_exec(error, program);
}

}  // namespace leash::detail::os

#endif  // LEASH_POSIX

// leash/detail/posix/inventory.hpp - what a process has, as /proc shows it: its descriptors by what they are, its sets of signals.
#ifndef LEASH_0_1_0_DETAIL_POSIX_INVENTORY_HPP
#define LEASH_0_1_0_DETAIL_POSIX_INVENTORY_HPP

#include <leash/config.hpp>

#include <string>
#include <string_view>
#include <vector>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <leash/detail/posix/fd.hpp>
#include <leash/detail/posix/sys/files.hpp>
#include <leash/detail/text.hpp>

#if LEASH_POSIX

namespace leash {
inline namespace LEASH_ABI {
namespace detail::os {

/// "/proc/123/name"
[[gnu::cold]] inline std::string path_in_proc(Pid pid, std::string_view name) {
    return concat({"/proc/", decimal(pid), "/", name});
}

/// Where it leads; empty where that cannot be told.
[[gnu::cold]] inline std::string read_link(const std::string& path) {
    char target[4096];
    return sys::readlink(path.c_str(), target, sizeof target) > 0 ? target : std::string();
}

/// All of it; false with errno.
[[gnu::cold]] inline bool read_whole(const std::string& path, std::string& text) {
    const Fd file = Fd::open(path.c_str(), O_RDONLY);
    if (!file.is_open()) return false;
    char piece[4096];
    ssize_t size;
    text.clear();
    while ((size = read_some(file, piece, sizeof piece)) > 0) text.append(piece, static_cast<std::size_t>(size));
    return size == 0;
}

/// What stands behind "name:" at the start of a line of a status file; empty where there is no such line.
[[gnu::cold]] inline std::string_view field_of(std::string_view status, std::string_view name) {
    for (std::size_t at = 0; at < status.size();) {
        const std::size_t end = status.find('\n', at);
        const std::string_view line = status.substr(at, end - at);
        if (line.substr(0, name.size()) == name && line.substr(name.size(), 2) == ":\t")
            return line.substr(name.size() + 2);
        if (end == std::string_view::npos) break;
        at = end + 1;
    }
    return {};
}

/// The numbers of a set that is written as hexadecimal digits.
[[gnu::cold]] inline std::vector<int> read_signals(std::string_view digits) {
    std::vector<int> numbers;
    const unsigned long long set = std::strtoull(std::string(digits).c_str(), nullptr, 16);
    for (int signal = 1; signal <= 64; ++signal) {
        if ((set >> (signal - 1) & 1) != 0) numbers.push_back(signal);
    }
    return numbers;
}

/// "127.0.0.1:80" of "0100007F:0050": an address as the words of the machine, and a port.
[[gnu::cold]] inline std::string read_address(const char* text) {
    unsigned words[4] = {};
    unsigned port = 0;
    unsigned char bytes[16];
    if (std::sscanf(text, "%8x:%4x", &words[0], &port) == 2) {
        char address[32];
        std::memcpy(bytes, words, 4);
        std::snprintf(address, sizeof address, "%d.%d.%d.%d:%u", bytes[0], bytes[1], bytes[2], bytes[3], port);
        return address;
    }
    if (std::sscanf(text, "%8x%8x%8x%8x:%4x", &words[0], &words[1], &words[2], &words[3], &port) != 5) return {};
    std::memcpy(bytes, words, 16);
    std::string address = "[";
    for (int i = 0; i < 16; i += 2) {
        char group[8];
        const unsigned number = bytes[i] * 256U + bytes[i + 1];
        std::snprintf(group, sizeof group, "%s%x", i > 0 ? ":" : "", number);
        address += group;
    }
    return concat({address, "]:", decimal(port)});
}

/// A socket with this inode, if this line of a table of /proc/net is its own.
[[gnu::cold]] inline std::string read_internet_socket(const char* line, const std::string& inode,
                                                      const char* protocol) {
    char local[48], remote[48], number[24];
    unsigned state = 0;
    if (std::sscanf(line, "%*s %47s %47s %x %*s %*s %*s %*s %*s %23s", local, remote, &state, number) != 4 ||
        inode != number)
        return {};
    constexpr unsigned established = 1, listening = 10;
    const std::string from = concat({protocol, " ", read_address(local)});
    if (state == listening) return from + ", listening";
    return state == established ? concat({from, " to ", read_address(remote)}) : from;
}
[[gnu::cold]] inline std::string read_unix_socket(const char* line, const std::string& inode) {
    char flags[16], number[24];
    int end = 0;
    if (std::sscanf(line, "%*s %*s %*s %15s %*s %*s %23s%n", flags, number, &end) != 2 || inode != number) return {};
    const char* const path = line[end] == ' ' ? line + end + 1 : "";
    const bool listens = std::strtoul(flags, nullptr, 16) == 0x10000;  // __SO_ACCEPTCON
    return concat({"unix", *path != '\0' ? " " : "", path, listens ? ", listening" : ""});
}

/// What a link of /proc/<pid>/fd says; a socket by its addresses, in the network of that process.
[[gnu::cold]] inline std::string describe_descriptor(Pid pid, const std::string& link) {
    constexpr std::string_view socket = "socket:[";
    if (link.compare(0, socket.size(), socket) != 0) return link;
    const std::string inode = link.substr(socket.size(), link.size() - socket.size() - 1);
    std::string answer;
    for (const char* const table : {"tcp", "tcp6", "udp", "udp6", "unix"}) {
        std::string text;
        if (!read_whole(path_in_proc(pid, concat({"net/", table})), text)) continue;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = text.find('\n', at);
            const std::string line = text.substr(at, end - at);
            const std::string found = *table == 'u' && table[1] == 'n'
                                          ? read_unix_socket(line.c_str(), inode)
                                          : read_internet_socket(line.c_str(), inode, *table == 't' ? "tcp" : "udp");
            // The name of a unix socket may have a newline and whatever else in it, even a line about another socket.
            if (!found.empty() && !answer.empty()) return link;
            if (!found.empty()) answer = found;
            at += line.size() + 1;
        }
    }
    return answer.empty() ? link : answer;
}

}  // namespace detail::os
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_POSIX

#endif  // LEASH_0_1_0_DETAIL_POSIX_INVENTORY_HPP

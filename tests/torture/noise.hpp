// tests/torture/noise.hpp - what a host does meanwhile: threads that open descriptors without close-on-exec, that fork,
// and that interrupt the others' system calls.
#pragma once

#include "dice.hpp"

#include <atomic>
#include <thread>
#include <vector>

#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace torture {

inline std::atomic<long> opened{0}, forked{0}, signalled{0};

/// Runs as long as it lives; it leaves nothing.
class Noise {
  public:
    Noise(std::uint64_t seed, std::vector<pthread_t> interrupted) : interrupted_(std::move(interrupted)) {
        struct sigaction nothing {};
        nothing.sa_handler = [](int) {};
        ::sigaction(SIGUSR1, &nothing, nullptr);  // no SA_RESTART
        threads_.emplace_back([this, seed] { open_and_close(Dice(seed)); });
        threads_.emplace_back([this, seed] { fork_and_wait(Dice(seed + 1)); });
        threads_.emplace_back([this, seed] { interrupt(Dice(seed + 2)); });
    }
    Noise(const Noise&) = delete;
    Noise& operator=(const Noise&) = delete;
    ~Noise() {
        stop_ = true;
        for (std::thread& thread : threads_) thread.join();
    }

  private:
    void open_and_close(Dice dice) {
        std::vector<int> open;
        while (!stop_) {
            int ends[2] = {-1, -1};
            switch (dice.between(0, 2)) {
                case 0: static_cast<void>(!::pipe(ends)); break;
                case 1: static_cast<void>(!::socketpair(AF_UNIX, SOCK_STREAM, 0, ends)); break;
                default: ends[0] = ::open("/dev/null", O_RDWR); break;
            }
            for (const int fd : ends) {
                if (fd >= 0) open.push_back(fd);
            }
            opened += static_cast<long>(ends[1] < 0 ? 1 : 2);
            while (open.size() > 24) close_one(open, static_cast<std::size_t>(dice.between(0, 24)));
            ::usleep(static_cast<useconds_t>(dice.between(0, 200)));
        }
        while (!open.empty()) close_one(open, 0);
    }
    static void close_one(std::vector<int>& open, std::size_t index) {
        ::close(open[index]);
        open[index] = open.back();
        open.pop_back();
    }

    void fork_and_wait(Dice dice) {
        while (!stop_) {
            const bool executes = dice.chance(50);
            const int time = dice.between(0, 5);
            const pid_t child = ::fork();
            if (child == 0) {  // only what is safe after a fork
                if (executes) ::execl("/bin/true", "true", static_cast<char*>(nullptr));
                ::poll(nullptr, 0, time);
                ::_exit(0);
            }
            while (child > 0 && ::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {}
            ++forked;
            ::usleep(static_cast<useconds_t>(dice.between(0, 5000)));
        }
    }

    void interrupt(Dice dice) {
        const int last = static_cast<int>(interrupted_.size()) - 1;
        while (!stop_) {
            ::pthread_kill(interrupted_[static_cast<std::size_t>(dice.between(0, last))], SIGUSR1);
            ++signalled;
            ::usleep(static_cast<useconds_t>(dice.between(0, 2000)));
        }
    }

    const std::vector<pthread_t> interrupted_;
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_;
};

}  // namespace torture

// examples/asio.cpp - jobs in an event loop of Asio's (stand-alone, Debian's libasio-dev): nothing in it blocks.
//
//     g++ -std=c++20 -Iinclude examples/asio.cpp -o asio -pthread
//
//     ./asio SECONDS SCRIPT...      runs the scripts side by side and shows their lines as they come; what still runs
//                                   after SECONDS gets SIGTERM, and a second later SIGKILL

#include <leash/leash.hpp>

#include <algorithm>
#include <chrono>
#include <list>
#include <string>
#include <string_view>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <asio.hpp>
#include <fcntl.h>

using namespace std::chrono_literals;

namespace {

using Handle = asio::posix::stream_descriptor;
using Seconds = std::chrono::duration<double>;

/// Asio closes what it is given, and keeps books about it until then: it gets duplicates of what is the Popen's own.
int duplicate(int handle) { return ::fcntl(handle, F_DUPFD_CLOEXEC, 0); }

class Job {
  public:
    Job(asio::io_context& loop, int number, const char* script, Seconds limit)
        : number_(number),
          // No Options::timeout: the call that keeps it also waits for the grace. Here the loop has a timer for that.
          popen_(leash::shell(script), {.out = leash::piped, .err = leash::to_out}),
          leader_(popen_.exit_handle()),
          output_(loop, duplicate(popen_.out().handle())),
          exit_(loop, duplicate(leader_)),
          timer_(loop),
          look_(loop) {
        wait_for_output();
        wait_for_exit();
        wait(limit, false);
        look_later();
    }

  private:
    void wait_for_output() {
        output_.async_wait(Handle::wait_read, [this](std::error_code error) {
            if (error) return;  // closed, since the job is over
            advance();
            if (!popen_.out().is_open()) output_.close();
            if (output_.is_open()) wait_for_output();
        });
    }

    void wait_for_exit() {
        exit_.async_wait(Handle::wait_read, [this](std::error_code error) {
            if (error) return;
            // Where the leader has left somebody behind, it is that one's handle now. Asked before poll(), which has the
            // last word. The leader's own would be readable for ever, and tell nothing.
            const int next = popen_.exit_handle();
            advance();
            if (!exit_.is_open() || next == leader_) return;
            exit_.close();
            exit_.assign(duplicate(next));
            wait_for_exit();
        });
    }

    /// Not everything has a handle that tells: see Popen::time_left().
    void look_later() {
        look_.expires_after(std::min<std::chrono::nanoseconds>(popen_.time_left().length(), 1h));
        look_.async_wait([this](std::error_code error) {
            if (!error && exit_.is_open()) advance();
        });
    }

    void wait(Seconds time, bool asked) {
        timer_.expires_after(std::chrono::duration_cast<std::chrono::nanoseconds>(time));
        timer_.async_wait([this, asked](std::error_code error) {
            if (error || !exit_.is_open()) return;  // the job is over
            asked ? popen_.kill() : popen_.terminate();
            if (!asked) wait(Seconds(1), true);
        });
    }

    /// Something has happened: output, an end, or both. Takes what there is, without waiting.
    void advance() {
        const auto status = popen_.poll();  // before the read: if it is over, all that it wrote is in the pipe now
        for (bool more = true; more;) {
            const leash::Read read = popen_.out().try_read(SIZE_MAX);  // all: of what is left, Asio would not tell
            show(read.data);
            more = status && read;
        }
        if (!status) {
            look_later();
        } else if (exit_.is_open()) {
            if (!line_.empty()) show("\n");
            std::printf("%d: %s\n", number_, status->describe().c_str());
            output_.close();
            exit_.close();
            timer_.cancel();
            look_.cancel();
        }
        std::fflush(stdout);
    }

    void show(std::string_view chunk) {
        for (std::size_t end; (end = chunk.find('\n')) != std::string_view::npos; chunk.remove_prefix(end + 1)) {
            std::printf("%d| %s%.*s\n", number_, line_.c_str(), static_cast<int>(end), chunk.data());
            line_.clear();
        }
        line_ += chunk;
    }

    int number_;
    leash::Popen popen_;
    std::string line_;  // has no end yet
    int leader_;        // its handle
    Handle output_, exit_;
    asio::steady_timer timer_, look_;
};

}  // namespace

int main(int argc, char** argv) {
    asio::io_context loop;
    std::list<Job> jobs;
    for (int i = 2; i < argc; ++i) jobs.emplace_back(loop, i - 1, argv[i], Seconds(std::atof(argv[1])));
    loop.run();
}

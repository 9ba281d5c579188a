// examples/asio.cpp - jobs in an event loop of Asio's (stand-alone, Debian's libasio-dev): nothing in it blocks.
//
//     g++ -std=c++20 -Iinclude examples/asio.cpp -o asio -pthread
//
//     ./asio SECONDS SCRIPT...      runs the scripts side by side and shows their lines as they come; what still runs
//                                   after SECONDS gets SIGTERM, and a second later SIGKILL

#include <leash/leash.hpp>

#include <chrono>
#include <list>
#include <string>
#include <string_view>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <asio.hpp>
#include <fcntl.h>

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
          output_(loop, duplicate(popen_.out().handle())),
          exit_(loop, duplicate(popen_.exit_handle())),
          timer_(loop) {
        wait(output_);
        wait(exit_);
        wait(limit, false);
    }

  private:
    void wait(Handle& handle) {
        handle.async_wait(Handle::wait_read, [this, &handle](std::error_code error) {
            if (error) return;  // closed, since the job is over
            advance();
            std::fflush(stdout);
            if (&handle == &output_ && !popen_.out().is_open()) output_.close();
            if (handle.is_open()) wait(handle);
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

    /// Something has happened: output, the end, or both. Takes what there is, without waiting.
    void advance() {
        const auto status = popen_.poll();  // before the read: if it has ended, all that it wrote is in the pipe now
        for (bool more = true; more;) {
            const leash::Read read = popen_.out().try_read(SIZE_MAX);  // all: of what is left, Asio would not tell
            show(read.data);
            more = status && read;
        }
        if (!status || !exit_.is_open()) return;
        if (!line_.empty()) show("\n");
        std::printf("%d: %s\n", number_, status->describe().c_str());
        output_.close();
        exit_.close();
        timer_.cancel();
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
    Handle output_, exit_;
    asio::steady_timer timer_;
};

}  // namespace

int main(int argc, char** argv) {
    asio::io_context loop;
    std::list<Job> jobs;
    for (int i = 2; i < argc; ++i) jobs.emplace_back(loop, i - 1, argv[i], Seconds(std::atof(argv[1])));
    loop.run();
}

// examples/supervisor.cpp - what epoll.cpp does, with a Supervisor: all jobs behind one handle, in a loop of one's own.
//
//     g++ -std=c++20 -Iinclude examples/supervisor.cpp -o supervisor -pthread
//
//     ./supervisor SECONDS SCRIPT...      runs the scripts side by side and shows their lines as they come; what still
//                                         runs after SECONDS, or at Ctrl-C, gets SIGTERM, and a second later SIGKILL

#include <leash/leash.hpp>

#include <chrono>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <poll.h>

using namespace std::chrono_literals;

namespace {

leash::Cancel interrupted;

struct Lines {
    std::string rest;  // has no end yet

    void show(std::uint64_t number, std::string_view chunk) {
        for (std::size_t end; (end = chunk.find('\n')) != std::string_view::npos; chunk.remove_prefix(end + 1)) {
            std::printf("%d| %s%.*s\n", static_cast<int>(number), rest.c_str(), static_cast<int>(end), chunk.data());
            rest.clear();
        }
        rest += chunk;
    }
};

/// For poll(2): not a moment too early, or it would be asked in vain.
int milliseconds(leash::Timeout time) {
    const auto count = std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(time.length())).count();
    return count > std::numeric_limits<int>::max() ? -1 : static_cast<int>(count);
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGINT, [](int) { interrupted.fire(); });
    leash::Supervisor jobs;
    std::vector<Lines> lines(static_cast<std::size_t>(argc));
    for (int i = 2; i < argc; ++i) {
        // The Supervisor keeps the deadline, grace and all, and none of its calls waits for it.
        leash::Popen job(leash::shell(argv[i]), {.out = leash::piped,
                                                 .err = leash::to_out,
                                                 .timeout = std::chrono::duration<double>(std::atof(argv[1])),
                                                 .grace = 1s});
        jobs.add(std::move(job), static_cast<std::uint64_t>(i - 1)).value();
    }

    for (bool told = false; !jobs.empty();) {
        pollfd handles[] = {{jobs.handle(), POLLIN, 0}, {told ? -1 : interrupted.handle(), POLLIN, 0}};
        ::poll(handles, 2, milliseconds(jobs.time_left()));  // the loop: here it would wait for much else
        if (interrupted.fired() && !std::exchange(told, true)) jobs.cancel();
        for (int most = 100; most > 0; --most) {  // then the loop has its turn, also where a job writes without end
            const auto event = jobs.next(0s);
            if (!event) break;
            Lines& its = lines[event->tag];
            its.show(event->tag, jobs.job(event->id).out().try_read(SIZE_MAX).data);
            if (event->kind != leash::Supervisor::Event::ended) continue;
            if (!its.rest.empty()) its.show(event->tag, "\n");
            std::printf("%d: %s\n", static_cast<int>(event->tag), jobs.remove(event->id).wait().describe().c_str());
        }
        std::fflush(stdout);
    }
}

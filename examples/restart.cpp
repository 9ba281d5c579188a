// examples/restart.cpp - keeps programs running: what fails is started again, later each time. One thread, no sleep.
//
//     g++ -std=c++20 -Iinclude examples/restart.cpp -o restart -pthread
//
//     ./restart SHORTEST LONGEST SCRIPT...   a script that fails is started again after SHORTEST seconds, twice as long
//                                            each time, LONGEST at the most; one that ran for LONGEST begins anew.
//                                            Over when all have exited with 0, or at Ctrl-C, which ends those that run

#include <leash/leash.hpp>

#include <algorithm>
#include <chrono>
#include <vector>

#include <csignal>
#include <cstdio>
#include <cstdlib>

using Event = leash::Supervisor::Event;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

namespace {

leash::Cancel interrupted;

struct Program {
    int number;
    const char* script;
    Seconds pause{};
    Clock::time_point start{};
    leash::Supervisor::Id timer = 0;
};

void start(leash::Supervisor& jobs, Program& program) {
    program.start = Clock::now();
    jobs.add(leash::Popen(leash::shell(program.script)), &program).value();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) return std::puts("usage: restart SHORTEST LONGEST SCRIPT..."), 1;
    const Seconds shortest(std::atof(argv[1])), longest(std::atof(argv[2]));
    std::signal(SIGINT, [](int) { interrupted.fire(); });

    leash::Supervisor jobs;
    jobs.cancel_with(interrupted).value();  // ends those that run
    const auto watch = jobs.watch(interrupted.handle()).value();
    std::vector<Program> programs;
    for (int i = 3; i < argc; ++i) programs.push_back({i - 2, argv[i]});
    for (Program& program : programs) start(jobs, program);

    while (!jobs.done()) {
        const auto event = jobs.next();
        if (event->kind == Event::readable) {
            jobs.forget(watch);
            for (const Program& program : programs) jobs.forget(program.timer);  // none is started again
        }
        if (event->kind == Event::timer) start(jobs, *event->tag_as<Program>());
        if (event->kind != Event::ended) continue;

        Program& its = *event->tag_as<Program>();
        const leash::ExitStatus status = jobs.remove(event->id).wait();
        std::printf("%d: %s", its.number, status.describe().c_str());
        if (!status.success() && !interrupted.fired()) {
            const bool anew = its.pause == Seconds::zero() || Clock::now() - its.start >= longest;
            its.pause = anew ? shortest : std::min(2 * its.pause, longest);
            its.timer = jobs.after(its.pause, &its);
            std::printf(", again in %g s", its.pause.count());
        }
        std::puts("");
        std::fflush(stdout);
    }
}

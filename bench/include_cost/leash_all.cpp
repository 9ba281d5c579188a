// What a file is left with that uses all of leash: see tools/compile-budget.
#include <leash/leash.hpp>

#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

int main() {
    using namespace std::chrono_literals;
    std::size_t bytes = 0;

    leash::Options options;
    options.out = leash::piped;
    leash::Popen job({"seq", "10"}, options);
    for (const std::string_view line : job.out().lines()) bytes += line.size();
    static_cast<void>(job.wait_for(1s));

    std::vector<leash::Task> jobs;
    jobs.push_back({{"true"}, {}});
    for (const auto& result : leash::run_all(std::move(jobs))) bytes += result && result->ok() ? 0U : 1U;

    leash::Supervisor supervisor;
    supervisor.add(leash::Popen({"true"}, options)).value();
    while (const auto event = supervisor.next()) {
        if (event->kind == leash::Supervisor::Event::ended) supervisor.remove(event->id).wait();
    }

    leash::Options into_sink;
    into_sink.out = leash::sink([&](std::string_view chunk) { bytes += chunk.size(); });
    bytes += leash::run({"echo", "hi"}, into_sink).ok() ? 0U : 1U;
    bytes += leash::run(leash::args({"echo"}) | leash::args({"cat"}), options).out.size();
    return bytes > 0 ? 0 : 1;
}

// tests/compile/optimized_cpp20.cpp - what users write, as they would compile it: no warning, at -O2 either.
#include <leash/leash.hpp>

#include <chrono>

using namespace std::chrono_literals;

// Each in a function of its own: what is inlined, and so what is warned of, depends on what stands around it.

bool is_over_in_time(leash::Popen& job) { return job.wait_for(1s).has_value(); }

std::string next(leash::Popen& job) { return job.out().read_until("\n", 1s).data + job.err().try_read().data; }

void tell(leash::Popen& job) {
    job.in().write("text", 1s);
    job.in().enqueue("more");
    if (job.out().expect({"ready", "failed"}, 1s)) job.in().close();
}

std::size_t count(leash::Popen& job) {
    std::size_t bytes = 0;
    for (const std::string_view line : job.out().lines(1s)) bytes += line.size();
    return bytes;
}

bool end(leash::Popen job) {
    const leash::Captured c = job.communicate("input", 1s);
    return c.status && job.stop(1s).success() && job.poll();
}

void serve(leash::Popen job, const leash::Cancel& token) {
    leash::Supervisor jobs;
    jobs.add(std::move(job), 1).value();
    if (jobs.cancel_with(token)) {
        while (const auto event = jobs.next(1s)) {}
    }
}

int main() {
    leash::run({"true"}).check_ok();
    leash::Popen job(leash::shell("cat", {"x"}), {.in = leash::piped, .out = leash::piped});
    return job.communicate("text").out.empty() ? 1 : 0;
}

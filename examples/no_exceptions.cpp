// examples/no_exceptions.cpp - the functions named try_...: the same, with the failure as a value.
//
//     g++ -std=c++17 -fno-exceptions -fno-rtti -Iinclude examples/no_exceptions.cpp -o no_exceptions -pthread

#include <leash/leash.hpp>

#include <chrono>
#include <cstdio>

int main() {
    leash::Options options;
    options.out = leash::piped;
    options.timeout = std::chrono::seconds(5);

    // Not started: an Error, with the step that failed and what it was about.
    leash::Expected<leash::Result> result = leash::try_run({"gti", "status"}, options);
    if (!result) {
        const leash::Error& error = result.error();
        std::printf("%s\n", error.message().c_str());
        std::printf("step %s, subject %s, is ENOENT: %s\n", to_string(error.step), error.subject.c_str(),
                    error.code == std::errc::no_such_file_or_directory ? "yes" : "no");
    }

    // Started: a Result, however it ended.
    result = leash::try_run(leash::shell("echo half of it; exit 3"), options);
    if (result) std::printf("%s, said: %s", result->status.describe().c_str(), result->out.c_str());

    leash::Expected<leash::Popen> job = leash::Popen::try_spawn({"sleep", "60"});
    if (!job) return 1;
    std::printf("stopped: %s\n", job->stop().describe().c_str());
}

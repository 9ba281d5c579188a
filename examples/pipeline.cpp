// examples/pipeline.cpp - a | b | c as one job, without a shell: each stage's status, and what each has to complain of.
//
//     g++ -std=c++20 -Iinclude examples/pipeline.cpp -o pipeline -pthread && ./pipeline

#include <leash/leash.hpp>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>

using namespace std::chrono_literals;

namespace {

/// One group, one deadline for all stages; `err` apart for each.
void show(const char* title, leash::Pipeline pipeline) {
    std::printf("%s\n", title);
    const std::string fruit = "pear\napple\npear\nfig\npear\napple\n";
    const auto result = leash::try_run(
        std::move(pipeline), {.in = leash::bytes(fruit), .out = leash::piped, .err = leash::per_stage, .timeout = 10s});
    if (!result) {
        std::printf("  not started: %s\n", result.error().message().c_str());  // and nothing of it is left
        return;
    }
    for (std::size_t i = 0; i < result->statuses.size(); ++i) {
        std::printf("  stage %zu: %s\n", i, result->statuses[i].describe().c_str());
        if (!result->errs[i].empty()) std::printf("    says: %s", result->errs[i].c_str());
    }
    std::printf("  ok: %s, output: %s", result->ok() ? "yes" : "no", result->out.c_str());
}

}  // namespace

int main() {
    using leash::args;
    using leash::shell;
    show("all is well", args({"sort"}) | args({"uniq", "-c"}) | args({"sort", "-rn"}) | args({"head", "-n1"}));
    show("SIGPIPE ends an early stage, since a later one has had enough: no failure",
         args({"yes"}) | args({"head", "-n1"}));
    show("a stage in the middle fails: so does the whole",
         args({"cat"}) | shell("echo 'out of order' >&2; cat; exit 3") | args({"wc", "-l"}));
    show("a stage does not exist: none is left running", args({"cat"}) | args({"no-such-program"}) | args({"wc"}));
}

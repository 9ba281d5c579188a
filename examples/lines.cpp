// examples/lines.cpp - a running job: its output line by line as it comes, input, and a deadline over all.

#include <leash/leash.hpp>

#include <cstdio>

using namespace std::chrono_literals;

int main() {
    leash::Options options;
    options.out = leash::piped;
    options.timeout = 1s;

    // A job that never ends. Whatever waits for it or reads from it keeps its deadline, and then ends it.
    leash::Popen ticker(leash::shell("n=0; while :; do n=$((n + 1)); echo tick $n; sleep 0.3; done"), options);
    for (std::string_view line : ticker.out().lines()) {
        std::printf("%.*s\n", static_cast<int>(line.size()), line.data());
    }
    const leash::ExitStatus status = ticker.wait();
    std::printf("%s, timed out: %s\n", status.describe().c_str(), ticker.timed_out() ? "yes" : "no");

    // A conversation: every call has a deadline of its own besides.
    leash::Options both;
    both.in = leash::piped;
    both.out = leash::piped;
    leash::Popen cat({"cat"}, both);
    for (const char* const question : {"one\n", "two\n"}) {
        if (!cat.in().write(question, 1s)) return 1;
        const leash::Read answer = cat.out().read_until("\n", 1s);
        if (!answer) return 1;
        std::printf("answer: %s", answer.data.c_str());
    }
    cat.in().close();  // end of file: cat ends by itself
    std::printf("cat %s\n", cat.wait().describe().c_str());
}

// tests/compile/optimized_wait_cpp20.cpp - a small program: what is used once is inlined, and more is warned of.
#include <leash/leash.hpp>

#include <chrono>

using namespace std::chrono_literals;

int main() {
    leash::Popen job({"sleep", "1"});
    return job.wait_for(5s).has_value() ? 0 : 1;
}

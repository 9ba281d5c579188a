// tests/compile/optimized_cpp20.cpp - the least that a user writes, as he would compile it: no warning, at -O2 either.
#include <leash/leash.hpp>

int main() {
    leash::run({"true"}).check_ok();
    leash::Popen job(leash::shell("cat", {"x"}), {.in = leash::piped, .out = leash::piped});
    return job.communicate("text").out.empty() ? 1 : 0;
}

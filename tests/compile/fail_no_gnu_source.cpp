// expect: compile without -U_GNU_SOURCE
#undef _GNU_SOURCE
#include <leash/leash.hpp>

int main() { return leash::run({"true"}).status.code(); }

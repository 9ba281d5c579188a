// tests/consumer/main.cpp - a project that uses leash: see run.
#include <leash/leash.hpp>

int main() { return leash::check_output({"echo", "leash"}) == "leash\n" ? 0 : 1; }

#include <leash/leash.hpp>

int main() { return leash::check_output({"echo", "leash"}) == "leash\n" ? 0 : 1; }

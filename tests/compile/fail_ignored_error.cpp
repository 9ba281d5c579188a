// expect: nodiscard
#include <leash/leash.hpp>

int main() { leash::try_run({"true"}); }

#include <leash/leash.hpp>

int main() { return leash::run({"true"}).ok() ? 0 : 1; }

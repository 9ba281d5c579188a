// expect: no matching function
#include <leash/leash.hpp>

int main() { static_cast<void>(leash::shell("ls \"$1\"", {{"a", "b"}})); }

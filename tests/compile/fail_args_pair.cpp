// expect: no matching function
#include <leash/leash.hpp>

int main() { static_cast<void>(leash::args({{"ls", "-l"}})); }

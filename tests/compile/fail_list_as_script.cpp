// expect: deleted
#include <leash/leash.hpp>

int main() { return static_cast<int>(leash::shell({"ls", "-l"}).argv().size()); }

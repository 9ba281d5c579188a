// expect: deleted
#include <leash/leash.hpp>

int main() { static_cast<void>(leash::run({"ls", nullptr})); }

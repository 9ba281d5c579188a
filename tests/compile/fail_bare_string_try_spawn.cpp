// expect: a bare string is not a command
#include <leash/leash.hpp>

int main() { static_cast<void>(leash::Popen::try_spawn("ls -l")); }

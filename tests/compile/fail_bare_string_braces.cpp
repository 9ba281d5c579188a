// expect: a bare string is not a command
#include <leash/leash.hpp>

int main() { leash::Popen job{"ls -l"}; }

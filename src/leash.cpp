#define LEASH_IMPLEMENTATION 1  // LEASH_COMPILED comes from the command line: every file of the program has it
#include <leash/leash.hpp>

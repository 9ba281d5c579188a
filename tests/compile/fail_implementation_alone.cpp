// expect: LEASH_IMPLEMENTATION is for one file of a program
#define LEASH_IMPLEMENTATION
#include <leash/leash.hpp>

// As with a precompiled header: the contracts were seen before, by somebody who had no use for the bodies.
#include <leash/leash.hpp>

#define LEASH_IMPLEMENTATION
#include <leash/leash.hpp>

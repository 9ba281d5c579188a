// A part of leash that was included before, by another header or from another copy of the same version, does no harm.
#include <leash/fwd.hpp>
#if __has_include(<leash/error.hpp>)
#include <leash/error.hpp>
#endif

#include "../../single_include/leash/leash.hpp"

#include <leash/leash.hpp>

#include "../../single_include/leash/fwd.hpp"
#if __has_include(<leash/run_all.hpp>)
#include <leash/run_all.hpp>
#endif

int main() { return leash::run({"true"}).ok() ? 0 : 1; }

// expect: two versions of it in one file
#define LEASH_VERSION_MAJOR 99  // as another version's header does, which was included before
#include <leash/fwd.hpp>

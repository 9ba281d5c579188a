#include <leash/leash.hpp>

#if !defined(LEASH_COMPILED)
#error "this part is of the compiled form"
#endif

std::string said_by_the_compiled_part();

std::string said_by_the_compiled_part() { return leash::check_output({"printf", "%s", "hello"}); }

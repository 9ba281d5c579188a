// tests/compile/ok_poorest_system.cpp - a system whose posix_spawn has neither closefrom nor chdir nor tcsetpgrp.
#define LEASH_FORCE_ENUMERATED_CLOSE
#define LEASH_FORCE_NO_CHDIR
#define LEASH_FORCE_NO_RELATIVE_PROGRAM
#define LEASH_FORCE_NO_TCSETPGRP
#include <leash/leash.hpp>

int main() { return leash::run({"true"}).status.code(); }

// tests/compile/child.cpp - the direct start and what it calls, and nothing else: check_child.cmake looks into its assembly.
#include <leash/leash.hpp>

decltype(&leash::detail::os::start_directly) start = &leash::detail::os::start_directly;

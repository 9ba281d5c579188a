// tests/inside.hpp - what some tests know of the inside. The single header has it in itself, unless it is compiled.
#pragma once

#include <leash/leash.hpp>

#if __has_include(<leash/detail/pump.hpp>)
#include <leash/detail/plan.hpp>
#include <leash/detail/posix/spawn.hpp>
#include <leash/detail/pump.hpp>
#endif

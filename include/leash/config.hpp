// leash/config.hpp - version, platform, exceptions, header-only or compiled. All macros of more than one file.
#ifndef LEASH_0_1_0_CONFIG_HPP
#define LEASH_0_1_0_CONFIG_HPP

#if defined(LEASH_VERSION_MAJOR)
#error "leash: two versions of it in one file; the header that comes second has to be of the first one's version"
#endif

/// The version. It stands only here: CMakeLists.txt and meson.build read these three lines.
/// @{
#define LEASH_VERSION_MAJOR 0
#define LEASH_VERSION_MINOR 1
#define LEASH_VERSION_PATCH 0
/// @}
/// The version as one number, for `#if`: 1.2.3 is 10203.
#define LEASH_VERSION (LEASH_VERSION_MAJOR * 10000 + LEASH_VERSION_MINOR * 100 + LEASH_VERSION_PATCH)

#if !((defined(__cplusplus) && __cplusplus >= 201703L) || (defined(_MSVC_LANG) && _MSVC_LANG >= 201703L))
#error "leash needs C++17 or later: compile with -std=c++17 (or /std:c++17)"
#endif

// 1 on POSIX platforms, which detail/posix supports. Windows is planned.
#if defined(__unix__) || defined(__APPLE__)
#define LEASH_POSIX 1
#else
#error "leash: only POSIX systems so far (Linux is tested; macOS and the BSDs are written for)"
#endif

#if defined(__linux__) && !defined(_GNU_SOURCE)
#error "leash needs what _GNU_SOURCE declares, which g++ and clang++ define: compile without -U_GNU_SOURCE"
#endif

/// 1, or 0 with -fno-exceptions. With 0, functions that throw are not declared: use those whose name begins with
/// `try_`, such as try_run() and Popen::try_spawn(). Everything else is the same.
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS)
#define LEASH_EXCEPTIONS 1
#else
#define LEASH_EXCEPTIONS 0
#endif

// Header-only is the default. If every file of the program is compiled with LEASH_COMPILED, the headers only declare.
// Then one file must also define LEASH_IMPLEMENTATION, or the program must link leash::compiled, which contains that
// file.
#if defined(LEASH_IMPLEMENTATION) && !defined(LEASH_COMPILED)
#error "leash: LEASH_IMPLEMENTATION is for one file of a program of which every file is compiled with LEASH_COMPILED"
#endif
#if defined(LEASH_COMPILED)
#define LEASH_INLINE
#else
#define LEASH_INLINE inline
#endif

// The inline namespace in leash:: that holds everything: v0_1_0, plus _compiled with LEASH_COMPILED, plus _nothrow
// without exceptions. So one program can link parts that use different versions or modes. If the bodies are missing,
// the linker's message names the mode. Users never write this name.
#define LEASH_JOIN_EXPANDED(major, minor, patch, suffix) v##major##_##minor##_##patch##suffix
#define LEASH_JOIN(major, minor, patch, suffix) LEASH_JOIN_EXPANDED(major, minor, patch, suffix)
#if LEASH_EXCEPTIONS && defined(LEASH_COMPILED)
#define LEASH_ABI LEASH_JOIN(LEASH_VERSION_MAJOR, LEASH_VERSION_MINOR, LEASH_VERSION_PATCH, _compiled)
#elif LEASH_EXCEPTIONS
#define LEASH_ABI LEASH_JOIN(LEASH_VERSION_MAJOR, LEASH_VERSION_MINOR, LEASH_VERSION_PATCH, )
#elif defined(LEASH_COMPILED)
#define LEASH_ABI LEASH_JOIN(LEASH_VERSION_MAJOR, LEASH_VERSION_MINOR, LEASH_VERSION_PATCH, _compiled_nothrow)
#else
#define LEASH_ABI LEASH_JOIN(LEASH_VERSION_MAJOR, LEASH_VERSION_MINOR, LEASH_VERSION_PATCH, _nothrow)
#endif

// For fault-injection tests. A test that defines LEASH_FAULTS provides leash_fault(). leash calls it before every
// system call: it returns the errno to fail with, or 0 to make the call. Without LEASH_FAULTS, nothing is compiled.
#if defined(LEASH_FAULTS)
int leash_fault(const char* call) noexcept;
#define LEASH_FAULT(call) ::leash_fault(call)
#else
#define LEASH_FAULT(call) 0
#endif

#endif  // LEASH_0_1_0_CONFIG_HPP

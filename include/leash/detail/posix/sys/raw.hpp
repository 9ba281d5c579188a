// leash/detail/posix/sys/raw.hpp - system calls without a libc, for a child that runs in its parent's memory.
#ifndef LEASH_0_1_0_DETAIL_POSIX_SYS_RAW_HPP
#define LEASH_0_1_0_DETAIL_POSIX_SYS_RAW_HPP

#include <leash/config.hpp>

#include <type_traits>

#include <leash/detail/posix/sys/guards.hpp>

// Where there are such: Linux, on the processors for which system_call() is written, with 64-bit numbers. Not under the thread
// sanitizer, which has to follow each process itself. LEASH_FORCE_POSIX_SPAWN does without them everywhere.
#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__)) && !defined(__ILP32__) && \
    !defined(__SANITIZE_THREAD__) && !defined(LEASH_FORCE_POSIX_SPAWN)
#define LEASH_DIRECT_START 1
#else
#define LEASH_DIRECT_START 0
#endif
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef LEASH_DIRECT_START
#define LEASH_DIRECT_START 0
#endif
#endif

// Of functions of such a child, and of their parts: nothing may be added to them that counts, checks or looks up. (A stack
// protector's canary is the parent's and stays as it is; so is a shadow stack, on which the child goes on where its parent
// waits.) These macros end with child.hpp, LEASH_DIRECT_START with direct_start.hpp.
#if defined(__clang__)
#if __has_attribute(no_profile_instrument_function)
#define LEASH_PLAIN                                         \
    no_instrument_function, no_profile_instrument_function, \
        no_sanitize("address", "hwaddress", "memory", "undefined", "coverage")
#else
#define LEASH_PLAIN no_instrument_function, no_sanitize("address", "hwaddress", "memory", "undefined", "coverage")
#endif
#else
#define LEASH_PLAIN no_instrument_function, no_profile_instrument_function, no_sanitize_address, no_sanitize_undefined
#endif
#define LEASH_CHILD __attribute__((no_split_stack, LEASH_PLAIN)) inline
#define LEASH_CHILD_PART __attribute__((always_inline, LEASH_PLAIN)) inline

#if LEASH_DIRECT_START

#include <csignal>

#include <sys/syscall.h>

namespace leash {
inline namespace LEASH_ABI {
namespace detail::sys {

template <class T>
LEASH_CHILD_PART long word(T value) noexcept {
    if constexpr (std::is_arithmetic_v<T>) return static_cast<long>(value);
    else return reinterpret_cast<long>(value);
}

/// In no template, where g++ 10 forgets which register a variable is to be in.
LEASH_CHILD_PART long system_call_of_words(long number, long a, long b, long c, long d) noexcept {
#if defined(__x86_64__)
    long result;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
#else
    register long name __asm__("x8") = number;
    register long first __asm__("x0") = a;
    register long second __asm__("x1") = b;
    register long third __asm__("x2") = c;
    register long fourth __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(first) : "r"(name), "r"(second), "r"(third), "r"(fourth) : "memory");
    return first;
#endif
}

/// A system call, which gives the negated errno where it fails. (No array and no braces here, or clang calls memset.)
template <class A = int, class B = int, class C = int, class D = int>
LEASH_CHILD_PART long system_call(long number, A a = {}, B b = {}, C c = {}, D d = {}) noexcept {
    return system_call_of_words(number, word(a), word(b), word(c), word(d));
}

/// clone(), with a child that runs `begin` on a stack of its own and ends with what that gives; the negated errno where it fails.
/// (The libc's is not for children that have no libc, and musl's makes no thread.)
LEASH_CHILD_PART long system_clone(int (*begin)(void*), void* stack, long flags, void* argument, int* exit) noexcept {
#if defined(__x86_64__)
    long result;
    register auto start __asm__("r12") = begin;
    register void* given __asm__("r13") = argument;
    __asm__ volatile(
        "syscall\n\ttestq %%rax, %%rax\n\tjnz 1f\n\t"
        "xorl %%ebp, %%ebp\n\tmovq %4, %%rdi\n\tcallq *%3\n\tmovl %%eax, %%edi\n\tmovl $60, %%eax\n\tsyscall\n"  // SYS_exit
        "1:"
        : "=a"(result)
        : "0"(long{SYS_clone}), "D"(flags), "r"(start), "r"(given), "S"(stack), "d"(exit)
        : "rcx", "r11", "cc", "memory");
    return result;
#else
    register long name __asm__("x8") = SYS_clone;
    register long first __asm__("x0") = flags;
    register void* second __asm__("x1") = stack;
    register int* third __asm__("x2") = exit;
    register auto start __asm__("x9") = begin;
    register void* given __asm__("x10") = argument;
    __asm__ volatile(
        "svc 0\n\tcbnz x0, 1f\n\tmov x29, xzr\n\tmov x0, %5\n\tblr %4\n\tmov x8, 93\n\tsvc 0\n"  // SYS_exit
        "1:"
        : "+r"(first)
        : "r"(name), "r"(second), "r"(third), "r"(start), "r"(given)
        : "cc", "memory");
    return first;
#endif
}

constexpr long close_range_number = 436;
using Signals = unsigned long;  // the kernel's own set of them

#if defined(__x86_64__)
/// What a signal handler returns to, rt_sigreturn; elsewhere the kernel has that itself.
__attribute__((naked, LEASH_PLAIN)) inline void end_handler() noexcept {
    __asm__ volatile("movl $15, %eax\n\tsyscall");
}
#endif

/// As the kernel has it, which no libc declares.
struct Disposition {
    LEASH_CHILD_PART explicit Disposition(void (*handles)(int) = nullptr) noexcept : handler(handles) {}
    void (*handler)(int);
#if defined(__x86_64__)
    unsigned long flags = 0x04000000;  // SA_RESTORER
    void (*restorer)() = end_handler;
#else
    unsigned long flags = 0;
    void (*restorer)() = nullptr;
#endif
    Signals mask = 0;
};

LEASH_CHILD_PART long dispose(int signal, const Disposition* now, Disposition* before) noexcept {
    return system_call(SYS_rt_sigaction, signal, now, before, sizeof(Signals));
}

/// What a clone() is: a child; one whose end nobody is told of, and for which only waitid with __WALL waits; a thread of this
/// process (CLONE_SIGHAND, CLONE_THREAD) with a directory and a umask of its own.
constexpr int a_child = SIGCHLD, a_silent_child = 0, a_thread = 0x800 | 0x10000;

/// A child that runs `begin` on a stack of its own, in this process's memory and with its table of descriptors; this
/// thread waits until the child has executed a program or ended. All signals are blocked for both: the child is to unblock
/// them. A pidfd of it comes with it (Linux 5.2; an older kernel leaves `exit` as it is). (Marked as the child's code is: g++ 12
/// refuses to inline that where --coverage counts.)
LEASH_CHILD pid_t clone(int (*begin)(void*), void* stack, int kind, bool with_exit, void* argument, int* exit) noexcept;
inline pid_t clone(int (*begin)(void*), void* stack, int kind, bool with_exit, void* argument, int* exit) noexcept {
    if (const int e = LEASH_FAULT("clone")) return fail(e);
    const int flags = 0x100 | 0x400 | 0x4000 | kind;  // CLONE_VM, _FILES, _VFORK
    constexpr int clone_pidfd = 0x1000;
    const bool wants_exit = with_exit && LEASH_FAULT("clone_pidfd") == 0;
    // Past the libc, which keeps two signals for itself: a thread may be cancelled meanwhile.
    const Signals all = ~Signals{0};
    Signals before = 0;
    system_call(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    const long result = system_clone(begin, stack, flags | (wants_exit ? clone_pidfd : 0), argument, exit);
    system_call(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, sizeof before);
    return result < 0 ? fail(static_cast<int>(-result)) : static_cast<pid_t>(result);
}

/// Linux 6.11 or later?
LEASH_CHILD_PART bool copies_parts() noexcept {
    char name[6 * 65];  // struct utsname: the release is the third of its texts
    if (system_call(SYS_uname, name) < 0) return false;
    int numbers[2];
    const char* text = &name[130];
    for (int i = 0; i < 2; ++i) {
        numbers[i] = 0;
        for (; *text >= '0' && *text <= '9'; ++text) numbers[i] = numbers[i] * 10 + (*text - '0');
        if (*text == '.') ++text;
    }
    return numbers[0] > 6 || (numbers[0] == 6 && numbers[1] >= 11);
}

/// Does valgrind run this program? It ends one that shares descriptors with its child. (Its other half, qemu, refuses that
/// by EINVAL.) The sequence does nothing on a processor.
inline bool is_in_valgrind() noexcept {
    const unsigned long request[6] = {0x1001, 0, 0, 0, 0, 0};
#if defined(__x86_64__)
    unsigned long answer = 0;
    __asm__ volatile("rolq $3, %%rdi\n\trolq $13, %%rdi\n\trolq $61, %%rdi\n\trolq $51, %%rdi\n\txchgq %%rbx, %%rbx"
                     : "+d"(answer)
                     : "a"(request)
                     : "cc", "memory");
    return answer != 0;
#else
    register unsigned long answer __asm__("x3") = 0;
    register const unsigned long* asked __asm__("x4") = request;
    __asm__ volatile(
        "ror x12, x12, #3\n\tror x12, x12, #13\n\tror x12, x12, #51\n\tror x12, x12, #61\n\torr x10, x10, x10"
        : "+r"(answer)
        : "r"(asked)
        : "cc", "memory");
    return answer != 0;
#endif
}

}  // namespace detail::sys
}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_DIRECT_START

#endif  // LEASH_0_1_0_DETAIL_POSIX_SYS_RAW_HPP

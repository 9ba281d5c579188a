// bench/child.c - the program that every measurement starts. It has no libc, whose start-up would be two thirds of what
// a spawn costs, and so hide the rest. Linux on x86-64 and AArch64.
//
//   child                        ends
//   child say                    writes ten bytes
//   child flood BYTES            writes so many, a multiple of 256 KiB
//   child cat                    copies its input to its output
//   child fds                    writes how many descriptors above 2 it has
//   child nap MICROSECONDS FILE  sleeps, and as the last thing that it does writes the monotonic time in ns to the file
//   child hold FIFO GIVE SAY     writes SAY bytes, puts GIVE tokens into the FIFO, takes one out, and ends (where it
//                                gets none, SIGALRM ends it after 250 ms)

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#if defined(__x86_64__)
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
static long call(long number, long a, long b, long c, long d) {
    long result;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start: mov x0, sp\n bl begin\n");
static long call(long number, long a, long b, long c, long d) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#else
#error "the benchmark's child is written for x86-64 and AArch64"
#endif

enum { block = 256 * 1024 };
static char buffer[block];

static _Noreturn void leave(int code) {
    for (;;) call(SYS_exit_group, code, 0, 0, 0);
}

static void put(int fd, const char* from, long count) {
    while (count > 0) {
        const long n = call(SYS_write, fd, (long)from, count, 0);
        if (n <= 0) leave(1);
        from += n;
        count -= n;
    }
}

/// As little as is needed: a page that nobody touches costs nothing.
static void fill(long count) {
    for (long i = 0; i < count; ++i) buffer[i] = (char)('a' + i % 26);
}

static long number(const char* text) {
    long value = 0;
    while (*text) value = value * 10 + (*text++ - '0');
    return value;
}

static long open_file(const char* path, int flags) { return call(SYS_openat, AT_FDCWD, (long)path, flags, 0); }

static void count_descriptors(void) {
    long open = 0;
    for (int fd = 3; fd < 4096; ++fd) open += call(SYS_fcntl, fd, F_GETFD, 0, 0) >= 0;
    char text[20];
    int at = sizeof text;
    do text[--at] = (char)('0' + open % 10);
    while (open /= 10);
    put(1, text + at, (long)sizeof text - at);
}

static void nap(long microseconds, const char* path) {
    const long file = open_file(path, O_WRONLY);
    struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};
    call(SYS_nanosleep, (long)&time, 0, 0, 0);
    call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&time, 0, 0);
    const long now = time.tv_sec * 1000000000L + time.tv_nsec;
    call(SYS_pwrite64, file, (long)&now, sizeof now, 0);
}

static void hold(const char* path, long give, long say) {
    const long fifo = open_file(path, O_RDWR);
    if (fifo < 0) leave(1);
    const struct itimerval longest = {{0, 0}, {0, 250000}};
    call(SYS_setitimer, ITIMER_REAL, (long)&longest, 0, 0);
    fill(say > give ? say : give);
    put(1, buffer, say);
    put((int)fifo, buffer, give);
    call(SYS_read, fifo, (long)buffer, 1, 0);
}

__attribute__((used)) _Noreturn void begin(long* stack) {
    char** const argv = (char**)(stack + 1);
    switch (stack[0] > 1 ? argv[1][0] : 0) {
        case 's': fill(10), put(1, buffer, 10); break;
        case 'f':
            if (argv[1][1] == 'd') {
                count_descriptors();
                break;
            }
            fill(block);
            for (long left = number(argv[2]); left > 0; left -= block) put(1, buffer, block);
            break;
        case 'c':
            for (;;) {
                const long n = call(SYS_read, 0, (long)buffer, block, 0);
                if (n <= 0) break;
                put(1, buffer, n);
            }
            break;
        case 'n': nap(number(argv[2]), argv[3]); break;
        case 'h': hold(argv[2], number(argv[3]), number(argv[4])); break;
    }
    leave(0);
}

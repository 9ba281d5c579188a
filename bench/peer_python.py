# bench/peer_python.py - Python: subprocess, and asyncio for many at once. See harness.hpp for the requests.
import asyncio
import ctypes
import fcntl
import os
import platform
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time


def run(args):
    subprocess.run(args)


def capture(args):
    return subprocess.run(args, stdout=subprocess.PIPE).stdout


def sink(args):
    count = 0
    with subprocess.Popen(args, stdout=subprocess.PIPE) as child:
        while piece := child.stdout.read1():
            count += len(piece)
    return count


def both(args, data):
    return subprocess.run(args, input=data, stdout=subprocess.PIPE).stdout


def wait(args, seconds):
    with subprocess.Popen(args) as child:
        try:
            child.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            child.kill()
            return False


def deadline(args, seconds):
    try:
        subprocess.run(args, stdout=subprocess.PIPE, timeout=seconds)
    except subprocess.TimeoutExpired:
        pass


def many(commands, count, at_most, captured):
    async def one(free, args):
        async with free:
            pipe = asyncio.subprocess.PIPE if captured else None
            child = await asyncio.create_subprocess_exec(*args, stdout=pipe)
            out, _ = await child.communicate()
            return len(out or b"")

    async def everything():
        free = asyncio.Semaphore(at_most)
        return sum(await asyncio.gather(*(one(free, commands(n)) for n in range(count))))

    return asyncio.run(everything())


# ---- the requests


def median_time(count, call):
    times = []
    for _ in range(count):
        begin = time.monotonic_ns()
        call()
        times.append(time.monotonic_ns() - begin)
    return int(statistics.median(times))


def from_status(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(key))


def big(child, size):
    with open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")
    before = from_status("VmRSS:")
    begin = time.monotonic_ns()
    data = capture(child)
    taken = time.monotonic_ns() - begin
    assert len(data) == size
    return taken, from_status("VmHWM:") - before


def lateness(count, nap):
    open(nap[-1], "ab").close()
    for _ in range(count):
        wait(nap, 1)
        returned = time.monotonic_ns()
        with open(nap[-1], "rb") as file:
            yield returned - int.from_bytes(file.read(8), sys.byteorder)


def cost():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_nvcsw + used.ru_nivcsw, int((used.ru_utime + used.ru_stime) * 1e9)


def holding(hold, count, at_most, say):
    held = min(at_most, count) - 64
    give = lambda n: held + 1 if n == count - 1 else int(n >= held)
    return lambda n: [*hold, str(give(n)), "10" if say else "0"]


def measured_many(child, count, captured):
    before, begin = cost(), time.monotonic_ns()
    got = many(holding(child, count, 512, captured), count, 512, captured)
    taken = time.monotonic_ns() - begin
    assert got == (10 * count if captured else 0)
    return taken, cost()[1] - before[1]


def idle(child):
    before = cost()
    wait(child, 60)
    after = cost()
    return after[0] - before[0], after[1] - before[1]


heap = []


def fill_heap(mebibytes):
    heap.append(bytearray(b"x" * 4096) * (mebibytes * 256))


def open_descriptors(count):
    null = os.open("/dev/null", os.O_RDWR)
    for _ in range(count - 1):
        fcntl.fcntl(null, fcntl.F_DUPFD_CLOEXEC, 3)


leaked = []


def leak(others):
    leaked.append(socket.socket(socket.AF_UNIX))
    leaked[-1].bind("")
    leaked[-1].listen()
    leaked[-1].set_inheritable(True)
    for _ in range(others):
        os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)


def limit_descriptors(soft):
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def start_threads(count):
    for _ in range(count):  # in C, as those of the other programs: the interpreter's lock is not what is measured
        threading.Thread(target=ctypes.CDLL(None).pause, daemon=True).start()


def answer(what, n="0", *child):
    n, child = int(n), list(child)
    if what == "version":
        return platform.python_version()
    setup = {"heap": fill_heap, "threads": start_threads, "descriptors": open_descriptors, "leaks": leak,
             "limit": limit_descriptors}
    if what in setup:
        setup[what](n)
        return "ok"
    if what == "seen":
        return capture(child).decode()
    data = b"x" * n if what == "both" else b""
    numbers = {
        "run": lambda: [median_time(n, lambda: run(child))],
        "capture": lambda: [median_time(n, lambda: capture(child))],
        "big": lambda: big(child, n),
        "sink": lambda: [median_time(1, lambda: sink(child))],
        "both": lambda: [median_time(1, lambda: both(child, data))],
        "late": lambda: lateness(n, child),
        "idle": lambda: idle(child),
        "deadline": lambda: [median_time(1, lambda: deadline(child, n / 1000))],
        "many": lambda: measured_many(child, n, False),
        "many captured": lambda: measured_many(child, n, True),
    }
    return " ".join(map(str, numbers[what]()))


def main():
    requests, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    null = os.open("/dev/null", os.O_RDWR)
    for standard in 0, 1:
        os.dup2(null, standard)
    for line in requests:
        try:
            text = answer(*line.rstrip("\n").split("\t"))
        except Exception as failure:
            text = f"error {failure!r}"
        print(text, file=answers, flush=True)


main()

"""The programs that are measured: built, started, and asked."""

import concurrent.futures
import glob
import os
import select
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BUILD = os.path.join(ROOT, "build", "bench")
CHILD = os.path.join(BUILD, "child")
CXX = os.environ.get("CXX", "g++")
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable

# What is measured: its name here and in the results, its name for readers, and what its program is compiled with.
LIBRARIES = {
    "leash": ("leash", ["-I" + os.path.join(ROOT, "include")]),
    "leash_posix_spawn": ("leash by posix_spawn", ["-DLEASH_FORCE_POSIX_SPAWN", "-I" + os.path.join(ROOT, "include")]),
    "floor": ("floor", []),
    "bare": ("bare posix_spawn", []),
    "boost_v1": ("Boost.Process v1", ["-lboost_filesystem"]),
    "boost_v2": ("Boost.Process v2", ["-lboost_filesystem"]),
    "libuv": ("libuv", ["pkg-config:libuv"]),
    "glib": ("GLib", ["pkg-config:gio-2.0"]),
    "qt5": ("Qt 5", ["-fPIC", "pkg-config:Qt5Core"]),
    "poco": ("Poco", ["-lPocoFoundation"]),
    "python": ("Python", None),
}
NAMES = {key: name for key, (name, _) in LIBRARIES.items()}


def say(*text):
    print(*text, flush=True)


def flags_of(key):
    flags = []
    for flag in LIBRARIES[key][1] or []:
        if flag.startswith("pkg-config:"):
            found = subprocess.run(["pkg-config", "--cflags", "--libs", flag[11:]], capture_output=True, text=True)
            if found.returncode != 0:
                raise OSError(f"{flag[11:]} is not installed")
            flags += found.stdout.split()
        else:
            flags.append(flag)
    return flags


def compile_one(sources, target, command):
    """Unless it was done: with the same command, since the last change of the sources."""
    note = target + ".command"
    if os.path.exists(note) and all(os.path.getmtime(one) < os.path.getmtime(note) for one in sources):
        with open(note) as file:
            if file.read() == repr(command):
                return
    begin = time.time()
    done = subprocess.run(command + ["-o", target], stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        wrong = [line for line in done.stderr.splitlines() if "error" in line or "undefined" in line]
        raise OSError(wrong[0] if wrong else done.stderr)
    with open(note, "w") as file:
        file.write(repr(command))
    os.utime(note, (begin, begin))  # a source that has changed meanwhile is newer


def build_library(key):
    """The command that starts its program."""
    if key == "python":
        return [PYTHON, os.path.join(HERE, "peer_python.py")]
    is_leash = key.startswith("leash")
    source, target = os.path.join(HERE, ("leash" if is_leash else key) + ".cpp"), os.path.join(BUILD, key)
    sources = [source, *glob.glob(HERE + "/*.hpp")]
    if is_leash:
        sources += glob.glob(ROOT + "/include/**/*.hpp", recursive=True)
    command = [CXX, "-std=c++20", "-O2", "-pthread", source, *flags_of(key)]
    compile_one(sources, target, command)
    return [target]


def build():
    """The programs by library, and what is left out and why."""
    os.makedirs(BUILD, exist_ok=True)
    child = os.path.join(HERE, "child.c")
    compile_one([child], CHILD, [CXX.replace("g++", "gcc").replace("clang++", "clang"), "-O2", "-static", "-nostdlib",
                                 "-ffreestanding", "-fno-stack-protector", child])
    programs, missing = {}, {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        builds = {key: pool.submit(build_library, key) for key in LIBRARIES}
    for key, one in builds.items():
        try:
            programs[key] = one.result()
        except OSError as why:
            if key in ("leash", "leash_posix_spawn", "floor", "bare"):
                sys.exit(f"bench: {key} does not build: {why}")
            missing[key] = str(why)
            say(f"left out: {NAMES[key]}: {why}")
    return programs, missing


class Failed(Exception):
    """A library does not do it, or not in time."""


class Worker:
    """The program of a library, which stays and does what it is asked."""

    running = set()

    def __init__(self, command, cpus=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        Worker.running.add(self)
        if cpus:
            os.sched_setaffinity(self.process.pid, cpus)

    def send(self, *request):
        self.process.stdin.write(("\t".join(map(str, request)) + "\n").encode())
        self.process.stdin.flush()

    def receive(self, seconds):
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            raise Failed("hangs")
        answer = self.process.stdout.readline().decode().strip()
        if answer == "none":
            raise Failed("cannot")
        if answer.startswith("error") or not answer:
            raise Failed(answer or "crashed")
        return answer

    def ask(self, *request, seconds=120):
        self.send(*request)
        return self.receive(seconds)

    def numbers(self, *request, **how):
        return [int(one) for one in self.ask(*request, **how).split()]

    def end(self):
        Worker.running.discard(self)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Workers(dict):
    """One per library, in the same surroundings."""

    def __init__(self, programs, pinned=False, setup=()):
        super().__init__()
        cpus = {max(os.sched_getaffinity(0))} if pinned else None
        for key, command in programs.items():
            self[key] = Worker(command, cpus)
            for request in setup:
                self[key].ask(*request)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self.values():
            worker.end()



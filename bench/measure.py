"""The ten measurements. Each takes the libraries in turn, round by round; summarise() pairs the rounds."""

import glob
import os
import resource
import signal
import statistics
import subprocess
import time
from contextlib import suppress

from programs import BUILD, CHILD, CXX, HERE, NAMES, Failed, Workers, flags_of, say


def figure(value):
    """For people: three digits, or what is before the point."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class Series:
    """What the rounds gave: per library a list of values, or why there is none."""

    def __init__(self):
        self.values, self.failed = {}, {}

    def add(self, key, value):
        self.values.setdefault(key, []).append(value)

    def fail(self, key, why):
        self.values.pop(key, None)
        self.failed[key] = str(why)


def interleave(keys, rounds, measure, width=1):
    """Round by round, each library in turn, beginning with another one each time. `measure(key, round)` gives `width`
    values; the answer is a Series for each."""
    keys = list(keys)
    all_series = [Series() for _ in range(width)]
    for number in range(rounds):
        for key in keys[number % len(keys):] + keys[:number % len(keys)]:
            if key in all_series[0].failed:
                continue
            try:
                for series, value in zip(all_series, measure(key, number)):
                    series.add(key, value)
            except Failed as why:
                for series in all_series:
                    series.fail(key, why)
    return all_series


def spread(values):
    """Median and quartiles, rounded to six digits: more would be noise."""
    first, median, third = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {name: float(f"{value:.6g}") for name, value in (("median", median), ("q1", first), ("q3", third))}


def summarise(series, unit, reference=None, better="lower", **more):
    """Per library the spread of its values, and that of the ratios of paired rounds to the reference."""
    rows = {}
    for key, values in series.values.items():
        rows[key] = {**spread(values), "rounds": len(values)}
        base = series.values.get(reference, [])
        if len(base) == len(values) and all(base):
            ratio = spread([value / other for value, other in zip(values, base)])
            rows[key].update(ratio=ratio["median"], ratio_q1=ratio["q1"], ratio_q3=ratio["q3"])
    for key, why in series.failed.items():
        if why != "cannot":
            rows[key] = {"failed": why}
    return {"unit": unit, "better": better, "reference": reference, **more, "rows": rows}


def processes_with(mark):
    """Those that have it in their command line, as zombies have not."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                if mark.encode() in file.read():
                    found.append(int(path.split("/")[2]))
        except OSError:
            pass
    return found


def end_processes(mark):
    for pid in processes_with(mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def memory_available():
    """In MiB."""
    with open("/proc/meminfo") as info:
        return next(int(line.split()[1]) / 1024 for line in info if line.startswith("MemAvailable"))


class Bench:
    def __init__(self, programs, quick):
        self.programs, self.quick = programs, quick
        self.results = {}
        self.begin = time.monotonic()

    def note(self, name, result):
        self.results[name] = result
        say(f"[{time.monotonic() - self.begin:4.0f} s] {name}, {result['unit']}")
        for key, row in result["rows"].items():
            text = row["failed"] if "failed" in row else f"{figure(row['median']):>6}"
            if "ratio" in row:
                text += f"   {row['ratio']:.3f} [{row['ratio_q1']:.3f} {row['ratio_q3']:.3f}]"
            say(f"    {NAMES.get(key, key):18} {text}")

    def run(self):
        self.spawn()
        self.small_capture()
        self.much()
        self.timed_wait()
        self.idle_wait()
        self.deadlines()
        self.many()
        self.descriptors()
        self.include_cost()

    # ---- small ones: median times of batches, on one processor

    def times(self, name, verb, *child, setup=(("limit", 1024),), **more):
        batch_ns = 10_000_000 if self.quick else 25_000_000
        counts = {}

        def measure(key, _):
            if key not in counts:  # the first call warms it up, and says how many make a batch
                once, = workers[key].numbers(verb, 3, *child)
                counts[key] = max(3, min(200, batch_ns // once))
            return [workers[key].numbers(verb, counts[key], *child)[0] / 1000]

        try:
            with Workers(self.programs, pinned=True, setup=setup) as workers:
                series, = interleave(workers, 7 if self.quick else 41, measure)
            self.note(name, summarise(series, "µs", "floor", **more))
        except Failed as why:
            say(f"left out: {name}: {why}")

    def spawn(self):
        self.times("spawn", "run", CHILD)
        for mebibytes in (64, 1024) if self.quick else (64, 256, 1024):
            if mebibytes * len(self.programs) > 0.7 * memory_available():
                say(f"left out: a heap of {mebibytes} MiB in each of {len(self.programs)} programs: too little memory")
            else:
                self.times(f"spawn, heap {mebibytes} MiB", "run", CHILD, setup=[("limit", 1024), ("heap", mebibytes)])
        self.times("spawn, 4 threads", "run", CHILD, setup=[("limit", 1024), ("threads", 4)])
        for count in (10, 1000, 10_000) if self.quick else (10, 100, 1000, 10_000):
            self.times(f"spawn, {count} descriptors", "run", CHILD, setup=[("limit", 16384), ("descriptors", count)])
        highest = min(1 << 20, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        self.times("spawn, highest limit", "run", CHILD, setup=[("limit", highest)], limit=highest)

    def small_capture(self):
        self.times("capture", "capture", CHILD, "say")

    # ---- large ones, on all processors

    def much(self):
        rounds = 3 if self.quick else 9

        def speed(verb):
            def measure(key, _):
                seconds = workers[key].numbers(verb, size, CHILD, "flood", size)[0] / 1e9
                return [size / 2**30 / seconds]

            return measure

        def memory(key, number):
            """A string that doubles holds up to twice the output, just after it has grown: so, over a range of sizes."""
            bytes_ = octave[number]
            return [workers[key].numbers("big", bytes_, CHILD, "flood", bytes_)[1] / bytes_]

        def both_ways(key, _):
            return [workers[key].numbers("both", through, CHILD, "cat")[0] / 1e6]

        with Workers(self.programs) as workers:
            # As much as takes the floor a second or two: where memory is slow to be had, 1 GiB would take hours.
            size = 128 << 20
            most = 256 << 20 if self.quick else 1 << 30

            def takes(size):
                return min(workers["floor"].numbers("big", size, CHILD, "flood", size)[0] for _ in range(2))

            with suppress(Failed):
                while size < most and takes(size) < 0.8e9:
                    size *= 2
            through = size // 4
            octave = [part * (size // 64) + (256 << 10) for part in (range(8, 16, 2) if self.quick else range(8, 16))]
            series, = interleave(workers, rounds, speed("big"))
            self.note("big capture", summarise(series, "GiB/s", "floor", "higher", bytes=size))
            series, = interleave(workers, len(octave), memory)
            peaks = summarise(series, "× the output", bytes=octave)
            for key, values in series.values.items():
                peaks["rows"][key]["worst"] = round(max(values), 3)
            self.note("big capture, memory", peaks)
            series, = interleave(workers, rounds, speed("sink"))
            self.note("sink", summarise(series, "GiB/s", "floor", "higher", bytes=size))
            series, = interleave(workers, rounds, both_ways)
            self.note("both ways", summarise(series, "ms", "floor", bytes=through))

    # ---- waiting

    def timed_wait(self):
        """How late it returns. What is late by a tenth of a second has lost its wake-up."""
        naps = 0, 50, 100, 200, 400, 800, 1600
        rounds, batch = (14, 10) if self.quick else (98, 20)
        of_leash = rounds if self.quick else 500  # ten thousand
        lost = dict.fromkeys(self.programs, 0)
        stamp = os.path.join(BUILD, "stamp")

        def measure(key, number):
            all_ns = workers[key].numbers("late", batch, CHILD, "nap", naps[number % len(naps)], stamp)
            lost[key] += sum(ns > 100_000_000 for ns in all_ns)
            return [statistics.median(all_ns) / 1000]

        with Workers(self.programs, pinned=True) as workers:
            series, = interleave(workers, rounds, measure)
            for number in range(rounds, of_leash):
                measure("leash", number)
        result = summarise(series, "µs", "bare")
        for key in series.values:
            result["rows"][key].update(lost=lost[key], waits=batch * (of_leash if key == "leash" else rounds))
        self.note("late", result)

    def idle_wait(self):
        """What it costs while nothing happens; all libraries at the same time."""
        seconds = 2 if self.quick else 5
        switches, cpu = Series(), Series()
        with Workers(self.programs) as workers:
            for worker in workers.values():
                worker.send("idle", 0, CHILD, "nap", seconds * 1_000_000, os.path.join(BUILD, "stamp"))
            for key, worker in workers.items():
                try:
                    count, ns = map(int, worker.receive(seconds + 20).split())
                    switches.add(key, count)
                    cpu.add(key, ns / 1e6)
                except Failed as why:
                    switches.fail(key, why)
                    cpu.fail(key, why)
        self.note("idle", summarise(switches, "context switches", seconds=seconds))
        self.note("idle, processor time", summarise(cpu, "ms", seconds=seconds))

    # ---- ending

    def deadlines(self):
        """Captured, with a deadline of 100 ms, while another process holds the pipe: one of the job's group, or not."""
        self.deadline("deadline, tree", "sleep 100.{0} & sleep 100.{0}")
        self.deadline("deadline, escapee", "setsid sleep 101.{0} & sleep 100.{0}")

    def deadline(self, name, script):
        limit, rounds = (3, 2) if self.quick else (8, 7)
        mark = f"{os.getpid():07}"
        marks = {key: f"{mark}{place:02}" for place, key in enumerate(self.programs)}
        alive = {}

        def ask(worker, key):
            worker.send("deadline", 100, "/bin/sh", "-c", script.format(marks[key]))

        def answer(worker, key, end):
            """The time that it took, in ms; what it left is counted, and ended."""
            try:
                return [int(worker.receive(max(0, end - time.monotonic()))) / 1e6]
            finally:
                time.sleep(0.05)  # what was killed may be on its way out
                alive[key] = [len(processes_with(f"{group}.{marks[key]}")) for group in (100, 101)]
                end_processes(marks[key])

        def measure(key, _):
            ask(workers[key], key)
            return answer(workers[key], key, time.monotonic() + limit)

        try:
            with Workers(self.programs) as workers:
                # First all at the same time, to see who hangs: they do it together, once.
                for key, worker in workers.items():
                    ask(worker, key)
                end = time.monotonic() + limit
                first, = interleave(workers, 1, lambda key, _: answer(workers[key], key, end))
                times, = interleave(first.values, rounds, measure)
        finally:
            end_processes(mark)
        for key, why in first.failed.items():
            times.fail(key, f"hangs (> {limit} s)" if why == "hangs" else why)
        result = summarise(times, "ms")
        for key, row in result["rows"].items():
            row["alive"], row["escaped"] = alive[key]
        self.note(name, result)

    # ---- many

    def many(self):
        rounds = 2 if self.quick else 5
        fifo = os.path.join(BUILD, "fifo")
        for name, verb in (("many", "many"), ("many, captured", "many captured")):
            count = 800

            def measure(key, _):
                if os.path.exists(fifo):  # with what the last ones left in it
                    os.unlink(fifo)
                os.mkfifo(fifo)
                ns, cpu = workers[key].numbers(verb, count, CHILD, "hold", fifo, seconds=60)
                return count / (ns / 1e9), cpu / count / 1000

            with Workers(self.programs, setup=[("limit", 16384)]) as workers:
                if not self.quick:  # what takes the floor some seconds: others take ten times as long, and are not to hang
                    with suppress(Failed):
                        count = max(1500, min(5000, int(3 * measure("floor", 0)[0])))
                rate, cpu = interleave(workers, rounds, measure, 2)
            self.note(name, summarise(rate, "children/s", "floor", "higher", count=count))
            self.note(name + ", processor time", summarise(cpu, "µs a child", "floor", count=count))

    # ---- what the child sees, and what the compiler does

    def descriptors(self):
        with Workers(self.programs, setup=[("leaks", 100)]) as workers:
            seen, = interleave(workers, 1, lambda key, _: workers[key].numbers("seen", 0, CHILD, "fds"))
        self.note("descriptors", summarise(seen, "descriptors", open=101))

    def include_cost(self):
        """Of a program that runs a command and captures its output; four std headers are the reference."""
        units = {"std": []}
        for key in self.programs:
            if os.path.exists(os.path.join(HERE, "include_cost", key + ".cpp")):
                units[key] = flags_of(key)
        out = os.path.join(BUILD, "unit")

        def compile_it(key, *flags):
            """Its processor time, in seconds, and what it printed."""
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            unit = os.path.join(HERE, "include_cost", key + ".cpp")
            done = subprocess.run([CXX, "-std=c++17", unit, *flags, *units[key]], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if done.returncode != 0:
                raise Failed("does not compile")
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout

        def size(key, _):
            lines = compile_it(key, "-E", "-P")[1].count(b"\n")
            compile_it(key, "-O2", "-pthread", "-s", "-o", out)
            return lines, os.path.getsize(out) / 1000

        rounds = 1 if self.quick else 5
        syntax, = interleave(units, rounds, lambda key, _: [compile_it(key, "-fsyntax-only")[0]])
        self.note("include, syntax", summarise(syntax, "s", "std"))
        optimised, = interleave(units, rounds, lambda key, _: [compile_it(key, "-O2", "-c", "-o", out)[0]])
        self.note("include, -O2", summarise(optimised, "s", "std"))
        lines, sizes = interleave(units, 1, size, 2)
        self.note("include, lines", summarise(lines, "lines"))
        result = summarise(sizes, "KB")
        for row in result["rows"].values():
            row["over"] = round(row["median"] - result["rows"]["std"]["median"], 1)
        self.note("include, size", result)

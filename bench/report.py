"""What the measurements say: the goals, the machine and the tables."""

import datetime
import os
import platform
import subprocess

from measure import figure
from programs import CXX, LIBRARIES, NAMES, ROOT

# The goals: what of leash's is compared with how much. "ratio" is the median of the paired rounds, against the floor.
GOALS = [
    # what is promised, measurement, value, bound; of which program, where it is not leash
    ("spawn + wait ÷ floor", "spawn", "ratio", "<=", 0.95),
    ("… with a heap of 1 GiB", "spawn, heap 1024 MiB", "ratio", "<=", 0.95),
    ("… with 4 threads", "spawn, 4 threads", "ratio", "<=", 0.95),
    ("… with 10 000 open descriptors", "spawn, 10000 descriptors", "ratio", "<=", 0.20),
    ("… at the highest RLIMIT_NOFILE", "spawn, highest limit", "ratio", "<=", 0.95),
    ("… by posix_spawn", "spawn", "ratio", "<=", 1.04, "leash_posix_spawn"),
    ("capture of 10 bytes ÷ floor", "capture", "ratio", "<=", 1.00),
    ("capture of much, GiB/s ÷ floor", "big capture", "ratio", ">=", 1.0),
    ("its peak memory at worst ÷ the output (a string that doubles: 2)", "big capture, memory", "worst", "<=", 2.1),
    ("sink, GiB/s ÷ a loop of reads", "sink", "ratio", ">=", 0.95),
    ("both ways through cat ÷ a poll loop", "both ways", "ratio", "<=", 1.15),
    ("timed wait: lateness ÷ blocking waitpid", "late", "ratio", "<=", 1.10),
    ("timed wait: wake-ups lost", "late", "lost", "<=", 0),
    ("timed wait: context switches while nothing happens", "idle", "median", "<=", 3),
    ("deadline with grandchildren: ms until it returns", "deadline, tree", "median", "<=", 100 + 10),
    ("… survivors", "deadline, tree", "alive", "<=", 0),
    ("deadline with an escapee: ms until it returns", "deadline, escapee", "median", "<=", 100 + 200 + 10),
    ("… survivors in the group", "deadline, escapee", "alive", "<=", 0),
    ("512 in flight, children/s ÷ epoll floor", "many", "ratio", ">=", 1.10),
    ("… with capture", "many, captured", "ratio", ">=", 1.10),
    ("inherited descriptors that a child sees", "descriptors", "median", "<=", 0),
    ("include cost, syntax only ÷ four std headers", "include, syntax", "ratio", "<=", 0.25 / 0.16),
    ("include cost, -O2 ÷ four std headers", "include, -O2", "ratio", "<=", 0.40 / 0.20),
    ("preprocessed lines", "include, lines", "median", "<=", 30_000),
    ("stripped program, more than with four std headers, KB", "include, size", "over", "<=", 25),
]


def judge(results):
    """Each goal with what was measured. Missed is what the nearer quartile misses too: the rest may be noise."""
    verdicts = []
    for title, name, field, relation, bound, *who in GOALS:
        row = results.get(name, {}).get("rows", {}).get(*who or ["leash"], {})
        value, verdict = row.get(field), "not measured"
        if value is not None:
            def holds(one):
                return one <= bound if relation == "<=" else one >= bound

            nearer = "q1" if relation == "<=" else "q3"
            nearer = row.get(nearer if field == "median" else f"{field}_{nearer}", value)
            verdict = "met" if holds(value) else "within the spread" if holds(nearer) else "missed"
        verdicts.append({"goal": title, "bound": f"{relation} {bound:.4g}", "value": value, "verdict": verdict})
    return verdicts


# ---- the machine


def text_of(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def machine():
    cpuinfo = dict(line.split(":", 1) for line in text_of("/proc/cpuinfo").splitlines() if ":" in line)
    cpuinfo = {key.strip(): value.strip() for key, value in cpuinfo.items()}
    pages = text_of("/sys/kernel/mm/transparent_hugepage/enabled")
    return {
        "processor": cpuinfo.get("model name", platform.machine()),
        "virtual": "hypervisor" in cpuinfo.get("flags", ""),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release().split("-")[0],
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "libc": " ".join(platform.libc_ver()),
        "compiler": output_of(CXX, "--version").split("\n")[0],
        "huge_pages": pages[pages.find("[") + 1:pages.find("]")],
        "load_at_start": round(os.getloadavg()[0], 2),
        "commit": output_of("git", "-C", ROOT, "describe", "--always", "--dirty", "--exclude=*"),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
    }


def describe(about):
    cores = f"{about['cores']} {'virtual ' if about['virtual'] else ''}cores ({about['processor']})"
    return (f"{cores}, {about['memory_gib']} GiB, Linux {about['kernel']}, {about['libc']}, {about['compiler']}, "
            f"{about['system']}")


# ---- the tables: libraries in rows, and in each column how the library's row of one measurement becomes a cell


def value(row):
    return row.get("failed") or figure(row["median"])


def ratio(row):
    return row.get("failed") or (f"{row['ratio']:.2f}" if row["ratio"] < 100 else f"{row['ratio']:.0f}")


def ratio_and_quartiles(row):
    return row.get("failed") or f"{ratio(row)} ({row['ratio_q1']:.2f}–{row['ratio_q3']:.2f})"


def field(name):
    return lambda row: figure(row[name]) if name in row else "–"


def rows_of(results, columns):
    """A table. columns: heading, measurement, cell."""
    columns = [one for one in columns if one[1] in results]
    lines = ["| | " + " | ".join(heading for heading, _, _ in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for key in ("std", *LIBRARIES):
        rows = [results[name]["rows"].get(key) for _, name, _ in columns]
        if any(rows):
            cells = [cell(row) if row else "–" for row, (_, _, cell) in zip(rows, columns)]
            name = "**leash**" if key == "leash" else NAMES.get(key, "four std headers")
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def with_figures(readme, report):
    """The README with the figures of this report between its two marks: a few sentences, which link to the tables."""
    results = report["results"]
    begin, end = "<!-- figures of bench/results/latest.json: begin -->\n", "<!-- figures: end -->"
    head, rest = readme.split(begin)
    _, tail = rest.split(end)

    def told(name, cell, *keys):
        rows = results[name]["rows"]
        return ", ".join(f"{NAMES[key]} {cell(rows[key])}" for key in keys if key in rows)

    def own(name, cell):
        return cell(results[name]["rows"]["leash"])

    peers = ("boost_v2", "libuv", "qt5", "python")  # the last one compiles nothing
    count = f"{results['many']['count']:,}".replace(",", " ")
    lines = [
        f"Measured on {describe(report['machine'])}; {report['machine']['date']}.",
        "",
        f"- **Start and wait:** {own('spawn', ratio)} times a hand-written `posix_spawn` with the same guarantees "
        f"({told('spawn', ratio, *peers)}).",
        f"- **{count} short jobs, 512 at the same time:** {own('many', value)} a second (hand-written code "
        f"{value(results['many']['rows']['floor'])}; {told('many', value, *peers)}).",
        f"- **Compile a file that captures output, header-only:** {own('include, -O2', value)} s of processor time with `-O2` "
        f"({told('include, -O2', value, *peers)}; the last two come compiled); see [what it costs to compile](docs/compile-time.md).",
    ]
    return head + begin + "\n" + "\n".join(lines) + "\n\n" + end + tail


def markdown(report):
    results, versions, about = report["results"], report["versions"], report["machine"]
    out = [f"Measured on {describe(about)}; {about['date']}, commit {about['commit']}."]
    if report["quick"]:
        out.append("**A quick run, for a first look only.**")
    if about["load_at_start"] > 0.5:
        out.append(f"The machine was not idle: load {about['load_at_start']} at the start.")
    out.append("Medians; in brackets the quartiles of the ratios of paired rounds.")

    def table(title, columns, note=""):
        out.extend(["", f"## {title}", ""] + ([note, ""] if note else []) + rows_of(results, columns))

    def more(name, what):
        return results.get(name, {}).get(what, "–")

    def spawn(heading, name, cell=ratio):
        floor = value(results[name]["rows"]["floor"]) if name in results else "–"
        return f"{heading} (floor {floor} µs)", name, cell

    table("Spawn and wait, ÷ floor", [
        spawn("small parent", "spawn", ratio_and_quartiles),
        spawn("1 GiB heap", "spawn, heap 1024 MiB"),
        spawn("4 threads", "spawn, 4 threads"),
        spawn("10 000 descriptors", "spawn, 10000 descriptors"),
        spawn(f"RLIMIT_NOFILE {more('spawn, highest limit', 'limit')}", "spawn, highest limit"),
    ], "The floor is posix_spawn with a process group, an empty mask, default signals and closefrom, then waitpid. All on "
       "one processor. The open descriptors are close-on-exec.")
    table("Output", [
        ("10 bytes captured, ÷ floor", "capture", ratio_and_quartiles),
        (f"{more('big capture', 'bytes') >> 20} MiB captured, GiB/s", "big capture", value),
        ("÷ floor", "big capture", ratio_and_quartiles),
        ("peak memory ÷ output, at worst", "big capture, memory", field("worst")),
        ("into a sink, GiB/s", "sink", value),
        ("÷ a loop of reads", "sink", ratio_and_quartiles),
        (f"{more('both ways', 'bytes') >> 20} MiB through cat, time ÷ a poll loop", "both ways", ratio_and_quartiles),
    ])
    table("A timed wait", [
        ("returns after the exit, µs", "late", value),
        ("÷ blocking waitpid", "late", ratio_and_quartiles),
        ("wake-ups lost", "late", lambda row: row.get("failed") or f"{row['lost']} of {row['waits']}"),
        (f"context switches in {more('idle', 'seconds')} s", "idle", value),
        ("processor time in it, ms", "idle, processor time", value),
    ])
    table("A deadline of 100 ms, captured", [
        ("`sleep & sleep`: returns after, ms", "deadline, tree", value),
        ("left alive", "deadline, tree", field("alive")),
        ("`setsid sleep & sleep`: returns after, ms", "deadline, escapee", value),
        ("left alive in the group", "deadline, escapee", field("alive")),
        ("beside it", "deadline, escapee", field("escaped")),
    ], "Each by its documented way. No signal to a group reaches what left it by setsid. leash reads on for its `drain` "
       "of 200 ms where a pipe is still held.")
    table(f"{more('many', 'count')} children, 512 in flight", [
        ("children/s", "many", value),
        ("÷ floor", "many", ratio_and_quartiles),
        ("the parent's processor time a child, µs", "many, processor time", value),
        ("captured, children/s", "many, captured", value),
        ("÷ floor", "many, captured", ratio_and_quartiles),
        ("processor time, µs", "many, captured, processor time", value),
    ])
    table("Descriptors of the parent that a child sees", [
        (f"of {more('descriptors', 'open')} without close-on-exec", "descriptors", value),
    ])
    table("Include cost of a program that runs a command and captures its output", [
        ("syntax only, CPU s", "include, syntax", value),
        ("÷ four std headers", "include, syntax", ratio_and_quartiles),
        ("-O2, CPU s", "include, -O2", value),
        ("÷ four std headers", "include, -O2", ratio_and_quartiles),
        ("preprocessed lines", "include, lines", value),
        ("stripped, KB more", "include, size", field("over")),
    ])
    out += ["", "## Goals", "", "| goal | bound | measured | |", "|---|---|---|---|"]
    out += [f"| {one['goal']} | {one['bound']} | {figure(one['value'])} | {one['verdict']} |"
            for one in report["goals"]]
    peers = [f"{NAMES[key]} {version}" for key, version in versions.items() if key not in ("floor", "bare")]
    out += ["", "Versions: " + ", ".join(peers) + "."]
    out += [f"Left out: {NAMES[key]} ({why})." for key, why in report["missing"].items()]
    return "\n".join(out) + "\n"

#!/usr/bin/env python3
"""Measures leash against hand-written floors and other libraries, all in one go: see bench/README.md.

bench.py [--quick] [--check]         measures, and writes bench/results/ (with --quick: build/bench/quick/)
bench.py --from FILE.json [--check]  makes the tables and plots of an earlier run anew
bench.py --verify                    fails where bench/results/ and the README do not say what latest.json there does

--quick: under two minutes, for a first look. --check: fails where a goal is missed.
"""

import argparse
import json
import os
import sys
import time

import plot
from measure import Bench, figure
from programs import BUILD, HERE, ROOT, Worker, Workers, build, say
from report import describe, judge, machine, markdown, with_figures


RESULTS = os.path.join(HERE, "results")
LATEST = os.path.join(RESULTS, "latest.json")
README = os.path.join(ROOT, "README.md")


def text_of(path):
    with open(path) as file:
        return file.read()


def readable(report, folder):
    """What there is to read of a report: a text for each file. The README has a part of the one in bench/results/."""
    texts = {os.path.join(folder, name + ".svg"): drawing for name, drawing in plot.all_plots(report).items()}
    texts[os.path.join(folder, "table.md")] = markdown(report)
    if folder == RESULTS:
        texts[README] = with_figures(text_of(README), report)
    return texts


def publish(report, folder):
    os.makedirs(folder, exist_ok=True)
    texts = readable(report, folder)
    texts[os.path.join(folder, "latest.json")] = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    for path, text in texts.items():
        with open(path, "w") as file:
            file.write(text)


def verify():
    report = json.loads(text_of(LATEST))
    wrong = [path for path, text in readable(report, RESULTS).items() if text_of(path) != text]
    for path in wrong:
        say(f"{os.path.relpath(path, ROOT)} does not say what {os.path.relpath(LATEST, ROOT)} does: bench.py --from it")
    sys.exit(bool(wrong))


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--check", action="store_true")
    options.add_argument("--from", dest="earlier", metavar="FILE.json")
    options.add_argument("--verify", action="store_true")
    chosen = options.parse_args()
    if chosen.verify:
        verify()
    begin = time.monotonic()
    if chosen.earlier:
        report = json.loads(text_of(chosen.earlier))
        folder = os.path.dirname(os.path.abspath(chosen.earlier))
    else:
        programs, missing = build()
        about = machine()
        say(describe(about))
        if about["load_at_start"] > 0.5:
            say(f"the machine is not idle (load {about['load_at_start']}): expect a wide spread")
        with Workers(programs) as workers:
            versions = {key: worker.ask("version") for key, worker in workers.items()}
        bench = Bench(programs, chosen.quick)
        try:
            bench.run()
        finally:
            for worker in list(Worker.running):
                worker.end()
        report = {"quick": chosen.quick, "machine": about, "versions": versions, "missing": missing,
                  "results": bench.results}
        folder = os.path.join(BUILD, "quick") if chosen.quick else RESULTS
    report["goals"] = judge(report["results"])
    publish(report, folder)
    say()
    for one in report["goals"]:
        say(f"{one['verdict']:18} {one['goal']}: {figure(one['value'])} (goal {one['bound']})")
    say(f"{time.monotonic() - begin:.0f} s; the tables and plots are in {os.path.relpath(folder, ROOT)}/")
    if chosen.check and any(one["verdict"] == "missed" for one in report["goals"]):
        sys.exit(1)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measures leash against hand-written floors and other libraries, all in one go: see bench/README.md.

bench.py [--quick] [--check]         measures, and writes bench/results/ (with --quick: build/bench/quick/)
bench.py --from FILE.json [--check]  makes the tables and plots of an earlier run anew

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
from report import describe, judge, machine, markdown


def publish(report, folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "latest.json"), "w") as file:
        json.dump(report, file, indent=1, ensure_ascii=False)
        file.write("\n")
    with open(os.path.join(folder, "table.md"), "w") as file:
        file.write(markdown(report))
    for name, drawing in plot.all_plots(report).items():
        with open(os.path.join(folder, name + ".svg"), "w") as file:
            file.write(drawing)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--check", action="store_true")
    options.add_argument("--from", dest="earlier", metavar="FILE.json")
    chosen = options.parse_args()
    begin = time.monotonic()
    if chosen.earlier:
        with open(chosen.earlier) as file:
            report = json.load(file)
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
        folder = os.path.join(BUILD, "quick") if chosen.quick else os.path.join(HERE, "results")
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

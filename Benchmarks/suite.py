#!/usr/bin/env python3
"""Berth and real QEMU side by side, and beside them what the machine can do.

See docs/performance.md for what is measured and how to read it.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import answers
import figures
import limits
import loads
import machine
import memory
import report
import requirements
import restores
import saves
import transfers
from results import Results
from run import Run

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = {part.PART: part for part in (limits, loads, saves, transfers, restores, answers)}


def main():
    options = arguments()
    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    if options.again:
        results, about = read(options)
    else:
        results, about = measure(options, output)
    text = report.markdown(results, about)
    (output / "report.md").write_text(text, encoding="utf-8")
    pictures = figures.draw(results, options)
    for name, picture in pictures.items():
        (output / name).write_text(picture, encoding="utf-8")
    if options.docs:
        write_page(pathlib.Path(options.docs), text, pictures)
    rows = list(requirements.all_requirements(results, options))
    show(rows, results)
    print(f"\nTables, values and drawings: {output}/report.md, results.json, *.svg")
    return 1 if options.gate and any(row.is_met is False for row in rows) else 0


def measure(options, output):
    began = time.monotonic()
    directory = tempfile.mkdtemp(prefix="run-", dir=options.directory or output)
    # An end by signal takes the images and the processes along too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    run = Run(options, directory)
    about = {"options": options, "machine": description(options, directory)}
    try:
        machine.need_room(directory, run.size)
        memory.prepare(run)
        for run.round in range(options.rounds):
            for name, part in PARTS.items():
                if name in options.only:
                    part.measure(run)
            run.close_all()
            about["machine"]["took"] = f"{(time.monotonic() - began) / 60:.0f} minutes"
            # What comes later may be interrupted.
            keep(run.results, about, output)
    finally:
        run.close_all()
        shutil.rmtree(directory, ignore_errors=True)
    if not run.results.order:
        raise SystemExit(f"no case of {', '.join(options.only)} contains '{options.case}'")
    return run.results, about


def keep(results, about, output):
    kept = {
        "options": vars(about["options"]), "machine": about["machine"], **results.json(),
        "requirements": [
            vars(row) for row in requirements.all_requirements(results, about["options"])
        ],
    }
    (output / "results.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def read(options):
    """What an earlier run measured."""
    kept = json.loads(pathlib.Path(options.again).read_text(encoding="utf-8"))
    options.size = kept["options"]["size"]
    return Results.of(kept), {"options": options, "machine": kept["machine"]}


def description(options, directory):
    guest = options.size / 1024
    return {
        "date": time.strftime("%Y-%m-%d"),
        "guest": f"{guest:g} GiB, {guest * 3 / 4:g} GiB of it not zero, layout '{options.layout}'",
        "rounds": str(options.rounds),
        "QEMU": machine.output(options.qemu, "--version").partition("\n")[0],
        "Berth": machine.output("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "fio": machine.output("fio", "--version") or "not installed",
        **machine.describe(directory),
    }


def write_page(page, text, pictures):
    folder = page.parent / "images"
    folder.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        (folder / name).write_text(picture, encoding="utf-8")
    links = "\n\n".join(f"![{figures.TITLES[name]}](images/{name})" for name in pictures)
    report.replace_in(page, f"{text}\n{links}\n")


def show(rows, results):
    print(f"\n{'measured':>34}  {'must':<10}{'met':<6}{'aim':<30}reached")
    for row in rows:
        print(row.work)
        aim = f"{row.aim} ({row.aimed_at})" if row.aimed_at else row.aim
        met, reached = (report.yes(value).strip("*") for value in (row.is_met, row.is_reached))
        print(f"{row.measured:>34}  {row.must:<10}{met:<6}{aim:<30}  {reached if aim else ''}")
    for (part, case, who), reason in results.reasons.items():
        print(f"not measured: {part}: {case}: {who}: {reason}")
    if results.verified:
        print("compared with the guest's memory, and equal: " + "; ".join(results.verified))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts: {', '.join(PARTS)}")
    parser.add_argument("--case", help="only cases that contain these words, 'save: sequential' say")
    parser.add_argument("--rounds", type=int, help="default: 3")
    parser.add_argument("--size", type=int, help="guest memory, MiB; default: 2048")
    parser.add_argument("--sparse", type=int, help="the large guest of 'map', GiB; default: 16")
    parser.add_argument("--quick", action="store_true",
                        help="one round, 256 MiB, 1 GiB for 'map'")
    parser.add_argument("--layout", choices=("runs", "mixed"), default="runs",
                        help="where the zeros are: in runs of 4 MiB, or between other pages too")
    parser.add_argument("--output", default=ROOT / ".bench", help="where the results go")
    parser.add_argument("--directory", help="where the images go; default: below --output")
    parser.add_argument("--docs", help="page that gets the results too, between its two marks")
    parser.add_argument("--again", help="results.json of an earlier run: only write its tables")
    parser.add_argument("--gate", action="store_true", help="exit status 1 if a must isn't met")
    parser.add_argument("--qemu", default=os.environ.get("BERTH_QEMU"))
    parser.add_argument("--berth", default=os.environ.get("BERTH_BINARY"))
    options = parser.parse_args()
    options.output = str(options.output)
    options.only = options.only.split(",")
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.size = options.size or (256 if options.quick else 2048)
    if options.sparse is None:
        options.sparse = 1 if options.quick else 16
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"there is no part {', '.join(unknown)}")
    if options.size % 16:
        parser.error("--size must be a multiple of 16")
    if not options.again and not (options.qemu and options.berth):
        parser.error("set BERTH_QEMU and BERTH_BINARY, or run 'make bench'")
    return options


if __name__ == "__main__":
    sys.exit(main())

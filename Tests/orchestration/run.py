#!/usr/bin/env python3
"""Drives Berth and real QEMU through the Python client qemu.qmp; see docs/testing.md.

run.py [WORD...]: runs the scenarios whose line contains every WORD ("berth to qemu", "qmp_shell", ...).
Berth comes from BERTH_BINARY, QEMU from BERTH_QEMU. Exit status 1 if a scenario failed, or if one was
skipped although BERTH_REQUIRE_PEERS=1.
"""

import asyncio
import logging
import os
import sys
import time
import traceback

import benchmarks
import clients
import console
import images
import migration
import workloads

TOTAL_LIMIT = 180  # seconds for one scenario, in case a wait of its own is missing


def commands():
    """The programs under test, each with the words that start an endpoint."""
    found = {}
    if berth := os.environ.get("BERTH_BINARY"):
        found["berth"] = [berth, "run"]
    if qemu := os.environ.get("BERTH_QEMU"):
        # No hardware is needed: the guest has no processor.
        found["qemu"] = [qemu, "-accel", "tcg"]
    return found


def scenarios():
    """Pairs of a line that names the scenario and a function that makes its coroutine, or None."""
    found = commands()
    for one in ("berth", "qemu"):
        for function in clients.SCENARIOS:
            title = f"{one}: {function.__name__}"
            yield title, one in found and (lambda f=function, c=one: f(found[c]))
        for function in console.SCENARIOS:
            title = f"{one}: {function.__name__}"
            both = one in found and "berth" in found
            yield title, both and (lambda f=function, c=one: f(found[c]))
    for function in workloads.SCENARIOS + images.SCENARIOS:
        title = f"berth: {function.__name__}"
        yield title, "berth" in found and (lambda f=function: f(found["berth"]))
    for function in benchmarks.SCENARIOS:
        title = f"berth and qemu: {function.__name__}"
        yield title, len(found) == 2 and function
    for ends in (("berth", "berth"), ("berth", "qemu"), ("qemu", "berth"), ("qemu", "qemu")):
        for function in migration.SCENARIOS:
            title = f"{ends[0]} to {ends[1]}: {function.__name__}"
            yield title, all(end in found for end in ends) and (
                lambda f=function, e=ends: f(found[e[0]], found[e[1]])
            )


def main(words):
    logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for title, start in scenarios():
        title = title.replace("_", " ")
        if not all(word.replace("_", " ") in title for word in words):
            continue
        if not start:
            counts["skipped"] += 1
            print(f"skipped  {title} (BERTH_BINARY or BERTH_QEMU is not set)", flush=True)
            continue
        began = time.monotonic()
        try:
            asyncio.run(asyncio.wait_for(start(), TOTAL_LIMIT))
        except Exception:
            counts["failed"] += 1
            print(f"FAILED   {title}")
            print("         " + traceback.format_exc().replace("\n", "\n         "), flush=True)
        else:
            counts["passed"] += 1
            print(f"passed   {title} ({time.monotonic() - began:.1f} s)", flush=True)
    summary = f"{counts['passed']} passed, {counts['failed']} failed"
    if counts["skipped"]:
        summary += f", {counts['skipped']} skipped"
    print(f"Orchestration: {summary}")
    required = os.environ.get("BERTH_REQUIRE_PEERS") == "1"
    return 1 if counts["failed"] or (required and counts["skipped"]) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

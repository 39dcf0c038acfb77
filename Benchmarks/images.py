#!/usr/bin/env python3
"""What berth inspect, verify, seal and convert cost, beside cp on the same files.

See README.md beside this file for what is measured and how.
"""

import argparse
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import machine

MIB = 1 << 20
GIB = 1 << 30
PAGE = 4096
GOALS = (  # what, unit, goal, whether less is better
    ("inspect, 16 GiB sparse mapped-ram", "ms", 100, True),
    ("verify of structure, 16 GiB sparse mapped-ram", "ms", 1000, True),
    ("convert sequential to mapped-ram, of cp's speed", "%", 80, False),
    ("convert mapped-ram to sequential, of cp's speed", "%", 80, False),
    ("largest resident memory of all commands", "MiB", 64, True),
)


class Stream:
    """A sequential stream of `-M none`, made here so that its pages are known."""

    def __init__(self, path, byte_count, seed=1):
        self.file = open(path, "wb", buffering=MIB)
        self.byte_count = byte_count
        self.random = random.Random(seed)
        self.named = False

    def write(self):
        put, size = self.file.write, self.byte_count
        put(b"QEVM" + struct.pack(">IBI", 3, 7, 4) + b"none")
        put(struct.pack(">BIB3sII", 1, 1, 3, b"ram", 0, 4))
        put(struct.pack(">QB3sQQ", size | 4, 3, b"ram", size, 0x10) + footer(1))
        put(struct.pack(">BI", 2, 1))
        self.pages()
        put(struct.pack(">Q", 0x10) + footer(1))
        put(struct.pack(">BIQ", 3, 1, 0x10) + footer(1))
        put(full(0, b"timer", 2, bytes(24)))
        state = struct.pack(">I32sBB66s", 8, b"running", 1, 0, b"")
        put(full(3, b"globalstate", 1, state))
        put(end(timer=24, globalstate=104))
        self.file.close()

    def pages(self):
        """Runs of 1 to 512 pages, three of four with content."""
        content = os.urandom(256 * PAGE)
        page, count = 0, self.byte_count // PAGE
        while page < count:
            end = min(count, page + self.random.randint(1, 512))
            has_content = self.random.random() < 0.75
            for index in range(page, end):
                word = index << 12 | (8 if has_content else 2) | (0x20 if self.named else 0)
                name = b"" if self.named else b"\3ram"
                self.named = True
                start = index * 97 % 255 * PAGE
                data = content[start:start + PAGE] if has_content else b"\0"
                self.file.write(struct.pack(">Q", word) + name + data)
            page = end


def footer(section):
    return struct.pack(">BI", 0x7E, section)


def full(section, name, version, body):
    head = struct.pack(">BIB", 4, section, len(name)) + name + struct.pack(">II", 0, version)
    return head + body + footer(section)


def end(**devices):
    """The end mark, and the description of the sections."""
    described = [
        {"name": name, "instance_id": 0, "vmsd_name": name, "version": 1,
         "fields": [{"name": "data", "type": "buffer", "size": size}]}
        for name, size in devices.items()
    ]
    text = json.dumps({"page_size": PAGE, "devices": described}).encode()
    return b"\0" + struct.pack(">BI", 6, len(text)) + text


class Bench:
    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.values = {}
        self.largest = 0

    def file(self, name):
        return os.path.join(self.directory, name)

    def note(self, what, unit, value):
        self.values.setdefault((what, unit), []).append(value)

    def settle(self):
        """Has the kernel keep as much memory in hand as a copy takes; see machine.py.

        In another process: what a process has used counts as used by those that it starts.
        """
        os.sync()
        child = os.fork()
        if child == 0:
            machine.touch_free_memory(self.directory, 2 * self.options.size * MIB)
            os._exit(0)
        os.waitpid(child, 0)

    def run(self, *command, expected=0):
        """Runs a command; gives its seconds, and notes Berth's memory."""
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != expected:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        if command[0] == self.options.berth:
            self.largest = max(self.largest, usage.ru_maxrss / 1024)
        return elapsed

    def berth(self, *arguments):
        return self.run(self.options.berth, *arguments)

    def copy(self, source, target):
        """cp as the issue of this benchmark has it; and with the file on the disk, as Berth has it."""
        seconds = self.run("cp", "--sparse=always", source, target)
        start = time.monotonic()
        self.run("sync", target)
        return seconds, seconds + time.monotonic() - start

    def prepare(self):
        Stream(self.file("sequential"), self.options.size * MIB).write()
        self.berth("convert", self.file("sequential"), self.file("mapped"), "--format", "mapped-ram")
        self.sparse()

    def sparse(self):
        """A guest of 16 GiB, unless another size is asked for, a hundredth of it with content: as QEMU lays it out."""
        path, size = self.file("sparse.seq"), self.options.sparse * GIB
        with open(path, "wb", buffering=MIB) as file:
            file.write(b"QEVM" + struct.pack(">IBI", 3, 7, 4) + b"none")
            file.write(struct.pack(">BIB3sII", 1, 1, 3, b"ram", 0, 4))
            file.write(struct.pack(">QB3sQQ", size | 4, 3, b"ram", size, 0x10) + footer(1))
            file.write(struct.pack(">BI", 2, 1))
            word, content = 8, os.urandom(PAGE)
            for start in range(0, size // PAGE, 6400):
                for index in range(start, start + 64):
                    file.write(struct.pack(">Q", index << 12 | word))
                    file.write((b"\3ram" if word == 8 else b"") + content)
                    word = 0x28
            file.write(struct.pack(">Q", 0x10) + footer(1))
            file.write(struct.pack(">BIQ", 3, 1, 0x10) + footer(1))
            file.write(full(0, b"timer", 2, bytes(24)))
            file.write(end(timer=24))
        self.berth("convert", path, self.file("sparse"), "--format", "mapped-ram")
        os.unlink(path)

    def round(self):
        sparse = self.file("sparse")
        self.note(*GOALS[0][:2], self.berth("inspect", sparse) * 1000)
        self.note(*GOALS[1][:2], self.berth("verify", sparse) * 1000)
        for source, target, goal in (
            ("sequential", "mapped-ram", GOALS[2]), ("mapped", "sequential", GOALS[3])
        ):
            self.conversion(self.file(source), target, goal)
        self.content()

    def conversion(self, source, target, goal):
        out = self.file("out")
        name = goal[0].partition(",")[0]
        for kind in random.sample(("convert", "cp"), 2):
            self.settle()
            machine.warm(source)
            if kind == "convert":
                seconds = self.berth("convert", source, out, "--format", target)
            else:
                plain, durable = self.copy(source, out)
            os.unlink(out)
        self.note(name, "s", seconds)
        self.note(f"{name}: cp --sparse=always", "s", plain)
        self.note(f"{name}: the same, and sync", "s", durable)
        self.note(goal[0], goal[1], 100 * plain / seconds)
        self.note(goal[0].replace("cp's speed", "the speed of cp and sync"), "%", 100 * durable / seconds)

    def content(self):
        size = os.stat(self.file("mapped")).st_blocks * 512 / GIB
        path = self.file("mapped")
        for algorithm in ("crc32c", "blake3"):
            machine.warm(path)
            self.note(f"seal, {algorithm}", "GiB/s", size / self.berth("seal", path, "--algorithm", algorithm))
            self.note(f"verify of content, {algorithm}", "GiB/s", size / self.berth("verify", path))
            self.berth("seal", path, "--remove")

    def report(self):
        self.note(*GOALS[4][:2], self.largest)
        print(f"{'':56} {'median':>9} {'least':>9} {'most':>9}  goal")
        missed = 0
        for (what, unit), values in self.values.items():
            median = statistics.median(values)
            line = f"{what + ', ' + unit:56} {median:9.1f} {min(values):9.1f} {max(values):9.1f}"
            for name, goal_unit, goal, less in GOALS:
                if (name, goal_unit) == (what, unit):
                    is_met = median <= goal if less else median >= goal
                    missed += not is_met
                    line += f"  {'<=' if less else '>='} {goal}: {'met' if is_met else 'MISSED'}"
            print(line)
        return missed


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--berth", default=os.environ.get("BERTH_BINARY"), help="the binary")
    parser.add_argument("--size", type=int, default=2048, help="MiB of the guest that is converted")
    parser.add_argument("--sparse", type=int, default=16, help="GiB of the guest that is inspected")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", help="where the images go; else beside the benchmark's results")
    parser.add_argument("--json", help="a file for all values")
    parser.add_argument("--gate", action="store_true", help="fail if a goal is missed")
    options = parser.parse_args()
    if not options.berth:
        parser.error("name the binary with --berth or BERTH_BINARY")
    return options


def main():
    options = arguments()
    base = options.directory or pathlib.Path(__file__).resolve().parent.parent / ".bench"
    os.makedirs(base, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory = tempfile.mkdtemp(prefix="images-", dir=base)
    bench = Bench(options, directory)
    try:
        machine.need_room(directory, options.size * MIB)
        bench.prepare()
        for _ in range(options.rounds):
            bench.round()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    missed = bench.report()
    if options.json:
        values = [{"what": what, "unit": unit, "values": values}
                  for (what, unit), values in bench.values.items()]
        pathlib.Path(options.json).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return 1 if options.gate and missed else 0


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.exit(main())

#!/usr/bin/env python3
"""Berth and real QEMU side by side: save, restore, migrate, start, answer, lie in memory.

See README.md beside this file for what is measured and how.
"""

import argparse
import contextlib
import mmap
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from qmp import Endpoint

MIB = 1 << 20
PROCESSOR = "processor time, "


class Bench:
    """The programs, the guest's images and the results."""

    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.size = options.size * MIB
        self.programs = {"QEMU": [options.qemu], "Berth": [options.berth, "run"]}
        self.results = {}  # (line, program) -> values
        self.images = {}

    def file(self, name):
        return os.path.join(self.directory, name)

    def record(self, line, program, value):
        self.results.setdefault((line, program), []).append(value)

    def turns(self):
        """Every round, both programs; the other one first each time."""
        order = list(self.programs)
        for number in range(self.options.rounds):
            for program in order if number % 2 == 0 else reversed(order):
                yield program

    def wants(self, *lines):
        words = self.options.words
        return not words or any(word in line for word in words for line in lines)

    # --- the guest -----------------------------------------------------------------------------------

    def prepare(self):
        """Lets QEMU write the guest's memory in both formats; every restore starts from these."""
        memory = self.file("memory")
        noise = random.Random(2).randbytes(10 * MIB)
        alternating = b"".join(
            noise[start : start + 4096] + bytes(4096) for start in range(0, 2 * MIB, 4096)
        )
        block = noise + alternating + bytes(2 * MIB)
        with open(memory, "wb") as file:
            for number in range(self.size // len(block)):
                # Pages of different blocks must not be equal.
                file.write(number.to_bytes(8, "little") + block[8:])
            file.truncate(self.size)
        self.words_of_memory = memory
        for name, mapped in (("sequential", False), ("mapped-ram", True)):
            image = self.file(f"base-{name}")
            end = Endpoint(self.programs["QEMU"], self.directory, *self.memory_in(memory))
            self.ready(end, mapped)
            end.execute("migrate", uri=f"file:{image}")
            end.wait_for_end()
            end.close()
            self.images[name] = image

    def memory_in(self, path):
        return (
            "-object", f"memory-backend-file,id=ram,size={self.size}B,share=on,mem-path={path}",
            "-machine", "memory-backend=ram", "-m", str(self.options.size), "-S",
        )

    def ready(self, end, mapped):
        end.capabilities(events=True, mapped_ram=mapped)
        end.execute("migrate-set-parameters", **{"max-bandwidth": 0})

    def waiting(self, program, mapped):
        end = Endpoint(
            self.programs[program], self.directory,
            "-m", str(self.options.size), "-S", "-incoming", "defer",
        )
        self.ready(end, mapped)
        return end

    def settle(self, *paths):
        for path in paths:
            if os.path.exists(path):
                os.unlink(path)
        os.sync()
        self.touch_free_memory()

    def touch_free_memory(self):
        """Lets the kernel have as much memory in hand as a run takes.

        In a virtual machine a page that nobody used lately costs a fault of the host's too, many times
        what the copy into it costs; it would hit whichever program happens to come first.
        """
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        with mmap.mmap(-1, 2 * self.size + (1 << 30), flags=private) as memory:
            memory.madvise(mmap.MADV_HUGEPAGE)
            piece = bytes([1]) * (1 << 24)
            for _ in range(len(memory) // len(piece)):
                memory.write(piece)

    @contextlib.contextmanager
    def timed(self, line, program, *ends):
        """Records how long the body took, and how long the processors ran for it."""
        ran = sum(end.processor_time() for end in ends)
        began = time.perf_counter()
        yield
        took = time.perf_counter() - began
        self.record(line, program, took)
        self.record(PROCESSOR + line, program, sum(end.processor_time() for end in ends) - ran)

    # --- what is timed -------------------------------------------------------------------------------

    def files(self, name):
        mapped = name == "mapped-ram"
        lines = (f"restore, {name} file", f"save, {name} file")
        if not self.wants(*lines):
            return
        image = self.images[name]
        for program in self.turns():
            saved = self.file(f"saved-{program}")
            self.settle(saved)
            end = self.waiting(program, mapped)
            with self.timed(lines[0], program, end):
                end.execute("migrate-incoming", uri=f"file:{image}")
                end.wait_for_end()
            self.touch_free_memory()
            with self.timed(lines[1], program, end):
                end.execute("migrate", uri=f"file:{saved}")
                end.wait_for_end()
            self.record(f"resident after them, {name}", program, end.resident(self.size // 2)[0])
            self.record(f"image, {name}", program, os.stat(saved).st_blocks * 512)
            end.close()
        self.verify(self.file("saved-Berth"), name)
        self.settle(self.file("saved-QEMU"), self.file("saved-Berth"))

    def verify(self, saved, name):
        """QEMU loads what Berth saved; the memory must be what it was."""
        memory = self.file("verified")
        end = Endpoint(
            self.programs["QEMU"], self.directory, *self.memory_in(memory), "-incoming", "defer"
        )
        self.ready(end, name == "mapped-ram")
        end.execute("migrate-incoming", uri=f"file:{saved}")
        end.wait_for_end()
        end.close()
        same = subprocess.run(["cmp", self.words_of_memory, memory], check=False).returncode == 0
        self.settle(memory)
        if not same:
            raise SystemExit(f"QEMU read other memory out of Berth's {name} image")
        print(f"verified: QEMU finds the guest unchanged in Berth's {name} image", flush=True)

    def live(self, transport):
        line = f"live, {transport}"
        if not self.wants(line):
            return
        for program in self.turns():
            self.settle()
            source = self.waiting(program, mapped=True)
            source.execute("migrate-incoming", uri=f"file:{self.images['mapped-ram']}")
            source.wait_for_end()
            source.capabilities(mapped_ram=False)
            destination = self.waiting(program, mapped=False)
            if transport == "unix":
                address = f"unix:{self.file('socket')}"
                destination.execute("migrate-incoming", uri=address)
            else:
                destination.execute("migrate-incoming", uri="tcp:127.0.0.1:0")
                port = destination.execute("query-migrate")["socket-address"][0]["port"]
                address = f"tcp:127.0.0.1:{port}"
            with self.timed(line, program, source, destination):
                source.execute("migrate", uri=address)
                source.wait_for_end()
            destination.wait_for_end()
            source.close()
            destination.close()

    def plain_copy(self):
        if not self.wants("save, sequential file"):
            return
        copy = self.file("copy")
        for _ in range(self.options.rounds):
            self.settle(copy)
            began = time.perf_counter()
            subprocess.run(
                ["dd", f"if={self.images['sequential']}", f"of={copy}", "bs=1M", "status=none"],
                check=True,
            )
            self.record("save, sequential file", "dd", time.perf_counter() - began)
        self.settle(copy)

    def small_things(self):
        lines = ("start to negotiated QMP", "query-migrate round trip", "resident at rest")
        if not self.wants(*lines):
            return
        for _ in range(3):
            for program in self.turns():
                end = Endpoint(self.programs[program], self.directory, "-m", "64")
                self.record(lines[0], program, end.start_time)
                end.close()
        for program in self.turns():
            end = Endpoint(self.programs[program], self.directory, "-m", "64")
            times = []
            for _ in range(2000):
                began = time.perf_counter()
                end.execute("query-migrate")
                times.append(time.perf_counter() - began)
            self.record(lines[1], program, statistics.median(times))
            total, anonymous = end.resident()
            self.record(lines[2], program, total)
            self.record(f"{lines[2]}, anonymous", program, anonymous)
            end.close()

    # --- the table -----------------------------------------------------------------------------------

    def lines(self):
        """The lines in the order of their first results, processor time after what it belongs to."""
        names = list(dict.fromkeys(line for line, _ in self.results))
        for name in names:
            if not name.startswith(PROCESSOR):
                yield name
                if PROCESSOR + name in names:
                    yield PROCESSOR + name

    def show(self):
        print(
            f"\n{self.options.rounds} rounds{'medians':>40}{'best':>36}\n"
            f"{'':33}{'QEMU':>11}{'Berth':>11}{'Q/B':>7}  {'QEMU':>11}{'Berth':>11}{'Q/B':>7}"
        )
        slower = []
        for line in self.lines():
            one, other = (
                statistics.median(self.results[line, program]) for program in self.programs
            )
            best = [min(self.results[line, program]) for program in self.programs]
            note = ""
            if (line, "dd") in self.results:
                note = f"   dd: {number(line, statistics.median(self.results[line, 'dd']))}"
            if line.startswith(("restore", "save", "live")):
                note = f"   {self.size / other / (1 << 30):.2f} GiB/s of guest" + note
            # Its own line of the table, right below the one that it belongs to.
            label = "  processor time" if line.startswith(PROCESSOR) else line
            print(f"{label:33}{compare(line, one, other)}  {compare(line, *best)}{note}")
            if self.options.gate and other > one * self.options.gate:
                slower.append(line)
        for line in slower:
            print(f"Berth needs more than {self.options.gate} times as much as QEMU: {line}")
        return 1 if slower else 0


def compare(line, one, other):
    ratio = one / other if other else float("inf")
    return f"{number(line, one):>11}{number(line, other):>11}{ratio:>7.2f}"


def number(line, value):
    if line.startswith(("resident", "image")):
        return f"{value / MIB:.1f} MiB"
    if value < 0.001:
        return f"{value * 1e6:.0f} us"
    return f"{value * 1e3:.1f} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="measure only lines that contain one of these")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=2048, help="guest memory, MiB")
    parser.add_argument("--gate", type=float, help="fail if Berth needs more than this times QEMU")
    parser.add_argument("--directory", help="where the images go; default: below TMPDIR")
    parser.add_argument("--qemu", default=os.environ.get("BERTH_QEMU"))
    parser.add_argument("--berth", default=os.environ.get("BERTH_BINARY"))
    options = parser.parse_args()
    if not options.qemu or not options.berth:
        parser.error("set BERTH_QEMU and BERTH_BINARY, or run 'make bench'")
    directory = tempfile.mkdtemp(prefix="berth-bench-", dir=options.directory)
    # An end by signal takes the images and the processes along too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        bench = Bench(options, directory)
        bench.small_things()
        if bench.wants(
            *(f"{verb}, {name} file" for verb in ("restore", "save")
              for name in ("sequential", "mapped-ram")), "live, unix", "live, tcp"
        ):
            bench.prepare()
            bench.plain_copy()
            bench.files("sequential")
            bench.files("mapped-ram")
            bench.live("unix")
            bench.live("tcp")
        return bench.show()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Guests that write while they are migrated: convergence, background snapshots, dirty tracking.

See README.md beside this file for what is measured and how.
"""

import argparse
import json
import mmap
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import plot
from guest import Guest
from qmp import Failure

MIB = 1 << 20
ROOT = pathlib.Path(__file__).resolve().parent.parent


class Bench:
    """The programs, the folder of the images, and the results."""

    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.size = options.size * MIB
        self.results = {}  # table -> case -> column -> values
        self.lines = {}  # case -> samples of the plot

    def record(self, table, case, **columns):
        row = self.results.setdefault(table, {}).setdefault(case, {})
        for column, value in columns.items():
            row.setdefault(column, []).append(value)

    def file(self, name):
        return os.path.join(self.directory, name)

    def guest(self, size, *options, backend="memory-backend-ram"):
        return Guest(
            [self.options.berth, "run"], self.directory, "-m", f"{size}B",
            "-object", f"{backend},id=ram,size={size}B", "-machine", "memory-backend=ram", *options,
        )

    def settle(self, *paths):
        """Removes files, writes back, and lets the kernel have memory in hand; see machine.py."""
        for path in paths:
            pathlib.Path(path).unlink(missing_ok=True)
        os.sync()
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        with mmap.mmap(-1, 3 * self.size, flags=private) as memory:
            memory.madvise(mmap.MADV_HUGEPAGE)
            piece = bytes([1]) * (1 << 24)
            for _ in range(len(memory) // len(piece)):
                memory.write(piece)

    # --- convergence ---------------------------------------------------------------------------------

    def convergence(self):
        bandwidth = self.options.bandwidth * MIB

        def rescue(guest):
            return [(10, lambda: guest.set(**{"downtime-limit": 2000}))]

        cases = [
            ("nothing", 0, "random", {}, {}, None),
            ("25 % of the bandwidth", 0.25, "random", {}, {}, None),
            ("75 %", 0.75, "random", {}, {}, None),
            ("150 %, downtime-limit 2 s after 10 s", 1.5, "random", {}, {}, rescue),
            ("150 %, auto-converge", 1.5, "random", {"auto_converge": True}, {}, None),
            ("150 %, dirty-limit", 1.5, "random", {"dirty_limit": True},
             {"vcpu-dirty-limit": bandwidth // MIB // 2}, None),
            ("150 % by increment, xbzrle", 1.5, "increment", {"xbzrle": True},
             {"xbzrle-cache-size": self.size // 2}, None),
        ]
        for _ in range(self.options.rounds):
            for case, share, pattern, capabilities, parameters, orders in cases:
                self.converge(
                    case, int(share * bandwidth), pattern, capabilities,
                    {"max-bandwidth": bandwidth, **parameters}, orders,
                )

    def converge(self, case, rate, pattern, capabilities, parameters, orders):
        size = self.size // 2
        address = f"unix:{self.file('socket')}"
        self.settle()
        source = self.guest(size)
        # A rate of 0 is no limit: who is to write nothing has no workload.
        source.fill(pattern, size, rate)
        if not rate:
            source.execute("object-del", id="writer")
        destination = self.guest(
            size, "-S", "-incoming", "defer",
            "-object", f"guest-workload,id=writer,memdev=ram,pattern={pattern}",
        )
        destination.execute("migrate-incoming", uri=address)
        source.capabilities(**capabilities)
        source.set(**parameters)
        info, samples = source.migrate(address, orders(source) if orders else ())
        destination.end.wait_for_end()
        digests = [guest.execute("x-query-ram-digest") for guest in (source, destination)]
        arrived = destination.workload()
        if digests[0] != digests[1] or arrived["verdict"] != "clean":
            raise SystemExit(f"{case}: other memory arrived: {digests} {arrived}")
        self.lines.setdefault(case, [(now, left / MIB) for now, left, _ in samples])
        self.record(
            "convergence", case,
            total=info["total-time"] / 1e3, downtime=info["downtime"] / 1e3,
            passes=info["ram"]["dirty-sync-count"], sent=info["ram"]["transferred"] / MIB,
            throttle=max(throttle for _, _, throttle in samples),
        )
        source.close()
        destination.close()

    def draw(self, path):
        panels = [
            plot.Panel("The guest rewrites less than can be sent"),
            plot.Panel("It rewrites one and a half times as much as can be sent"),
        ]
        for case, points in self.lines.items():
            if "xbzrle" not in case:
                panels["150" in case].line(case, points)
        for panel in panels:
            # The default of downtime-limit, 300 ms.
            panel.level("fits into\ndowntime-limit", self.options.bandwidth * 0.3)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(plot.draw(panels, "time since migrate, s", "remaining, MiB"))

    # --- background snapshots ------------------------------------------------------------------------

    def snapshots(self):
        backends = {"anonymous": "memory-backend-ram", "memfd": "memory-backend-memfd"}
        runs = [
            lambda pattern=pattern, kind=kind, mapped=mapped, background=background: self.save(
                pattern, kind, backends[kind], mapped, background
            )
            for pattern in ("random", "increment")
            for kind in backends
            for mapped in (False, True)
            for background in (True, False)
            if background or kind == "anonymous"
        ]
        if self.options.qemu:
            runs.insert(len(runs) // 2, self.save_with_qemu)
        for number in range(self.options.rounds):
            for run in runs if number % 2 == 0 else reversed(runs):
                run()

    def save(self, pattern, kind, backend, mapped, background):
        """Three quarters of the memory are written without end; a precopy is stopped after 5 s."""
        size = self.size * 3 // 4
        image = self.file("image")
        self.settle(image)
        guest = self.guest(self.size, backend=backend)
        guest.fill(pattern, size)
        guest.execute("stop")
        guest.execute("cont")
        speed = guest.written(1)
        stall_without = guest.workload()["longest-write"]
        guest.capabilities(mapped_ram=mapped, background_snapshot=background)
        guest.set(**{"max-bandwidth": 0})
        began = time.perf_counter()
        orders = [] if background else [(5, lambda: guest.execute("stop"))]
        info, _ = guest.migrate(f"file:{image}", orders)
        took = time.perf_counter() - began
        written = guest.workload()
        status = os.stat(image)
        self.record(
            "snapshot",
            f"{'background' if background else 'precopy'}, {pattern}, {kind}, "
            + ("mapped-ram" if mapped else "sequential"),
            pause=guest.pause() if background else info["downtime"] / 1e3,
            stall=written["longest-write"] / 1e9, stall_without=stall_without / 1e9,
            total=info["total-time"] / 1e3, took=took, speed=speed / MIB,
            image=status.st_size / MIB, on_disk=status.st_blocks * 512 / MIB, memory=size / MIB,
        )
        guest.close()
        self.check(image, pattern, size, mapped)
        self.settle(image)

    def check(self, image, pattern, size, mapped):
        guest = self.guest(
            self.size, "-S", "-incoming", "defer",
            "-object", f"guest-workload,id=writer,memdev=ram,size={size}B,pattern={pattern}",
        )
        guest.capabilities(mapped_ram=mapped)
        guest.execute("migrate-incoming", uri=f"file:{image}")
        guest.end.wait_for_end()
        restored = guest.workload()
        if restored["verdict"] != "clean":
            raise SystemExit(f"{image} isn't the memory of one instant: {restored}")
        guest.close()

    def save_with_qemu(self):
        """The guest of Tests/guest, on three quarters of the memory; only sequentially."""
        firmware, image = self.file("guest.bin"), self.file("image")
        if not os.path.exists(firmware):
            self.assemble(firmware)
        self.settle(image)
        guest = Guest(
            [self.options.qemu], self.directory, "-machine", "pc,accel=kvm:tcg",
            "-m", str(self.options.size), "-bios", firmware,
        )
        # Until it has been everywhere, and longer.
        time.sleep(6)
        guest.capabilities(background_snapshot=True)
        info, _ = guest.migrate(f"file:{image}")
        accelerator = "KVM" if guest.execute("query-kvm")["enabled"] else "TCG"
        status = os.stat(image)
        self.record(
            "snapshot", f"QEMU ({accelerator}), counter, anonymous, sequential",
            pause=guest.pause(), total=info["total-time"] / 1e3,
            image=status.st_size / MIB, on_disk=status.st_blocks * 512 / MIB,
            memory=self.size * 3 // 4 / MIB,
        )
        guest.close()
        self.settle(image)

    def assemble(self, firmware):
        folder = ROOT / "Tests/guest"
        source = (folder / "counter.S").read_text()
        last = f"LAST,   {self.size * 3 // 4:#x}"
        pathlib.Path(self.directory, "counter.S").write_text(
            source.replace("LAST,   0x1000000", last)
        )
        shutil.copy(folder / "build.sh", self.directory)
        subprocess.run(["sh", self.file("build.sh"), firmware], check=True)

    # --- dirty tracking ------------------------------------------------------------------------------

    def tracking(self):
        size = self.size // 4
        for _ in range(self.options.rounds):
            for pattern in ("increment", "random"):
                for kind in ("ram", "memfd"):
                    self.settle()
                    guest = self.guest(size, backend=f"memory-backend-{kind}")
                    guest.fill(pattern, size)
                    speeds = {"none": guest.written(2)}
                    # Four passes a second, without an end.
                    guest.set(**{"max-bandwidth": 4 * size, "downtime-limit": 0})
                    for mode in ("software", "kernel"):
                        guest.set(**{"x-dirty-tracking": mode})
                        guest.execute("migrate", uri="exec:cat >/dev/null")
                        time.sleep(0.5)
                        speeds[mode] = guest.written(3)
                        self.cancel(guest)
                    self.record(
                        "tracking", f"{pattern}, {kind}",
                        **{mode: speed / MIB for mode, speed in speeds.items()},
                    )
                    guest.close()
            self.idle()

    def cancel(self, guest):
        guest.execute("migrate_cancel")
        while (status := guest.execute("query-migrate")["status"]) != "cancelled":
            if status in ("completed", "failed"):
                raise SystemExit(f"a migration that can't converge: {status}")
            time.sleep(0.01)

    def idle(self):
        """Seconds of processor time in 5 seconds."""
        guest = self.guest(self.size)
        cases = [("running, no workload", lambda: None)]
        cases.append(("workload of 16 MiB/s", lambda: guest.fill("random", 64 * MIB, 16 * MIB)))
        cases.append(("the same, stopped", lambda: guest.execute("stop")))
        for case, prepare in cases:
            prepare()
            before = guest.end.processor_time()
            time.sleep(5)
            self.record("idle", case, processor=guest.end.processor_time() - before)
        guest.close()

    def executable(self):
        """What the code below the endpoint costs by itself."""
        program = pathlib.Path(self.options.berth).with_name("berth-bench")
        if program.exists():
            for word in ("tracking", "snapshot"):
                print(f"\nberth-bench {word}\n", flush=True)
                subprocess.run([program, word], check=True)

    # --- tables --------------------------------------------------------------------------------------

    def show(self):
        for table, cases in self.results.items():
            rows = list(cases.values())
            columns = list(dict.fromkeys(column for row in rows for column in row))
            print(f"\n| {table} | " + " | ".join(UNITS.get(c, c) for c in columns) + " |")
            print("|---" * (len(columns) + 1) + "|")
            for case, row in cases.items():
                print(f"| {case} | " + " | ".join(cell(c, row.get(c)) for c in columns) + " |")

    def json(self):
        return {
            "rounds": self.options.rounds, "size": self.options.size,
            "bandwidth": self.options.bandwidth, "results": self.results,
        }


UNITS = {
    "total": "total, s", "downtime": "downtime, ms", "sent": "sent, MiB", "throttle": "throttle, %",
    "pause": "pause, ms", "stall": "longest stall, ms", "stall_without": "before, ms",
    "took": "by the clock, s", "speed": "written before, MiB/s", "image": "image, MiB",
    "on_disk": "on disk, MiB", "memory": "non-zero memory, MiB", "none": "no migration, MiB/s",
    "software": "software, MiB/s", "kernel": "kernel, MiB/s", "processor": "processor, s",
}


def cell(column, values):
    if not values:
        return "-"
    value = statistics.median(values)
    if "ms" in UNITS.get(column, ""):
        return f"{value * 1e3:.2f}" if column != "downtime" else f"{value * 1e3:.0f}"
    return f"{value:.2f}" if UNITS.get(column, "").endswith(" s") else f"{value:.0f}"


def main():
    parts = ("convergence", "snapshots", "tracking", "executable")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"which parts to measure: {', '.join(parts)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, help="memory of the largest guest, MiB")
    parser.add_argument("--bandwidth", type=int, default=256, help="of the convergence, MiB/s")
    parser.add_argument("--plot", type=pathlib.Path, help="where the convergence is drawn, SVG")
    parser.add_argument("--json", type=pathlib.Path, help="where all values go")
    parser.add_argument("--directory", help="where the images go; default: below TMPDIR")
    parser.add_argument("--qemu", default=os.environ.get("BERTH_QEMU"))
    parser.add_argument("--berth", default=os.environ.get("BERTH_BINARY"))
    options = parser.parse_args()
    if not options.berth:
        parser.error("set BERTH_BINARY, or run 'make bench BENCH=live'")
    if unknown := set(options.parts) - set(parts):
        parser.error(f"there is no part {', '.join(unknown)}")
    directory = tempfile.mkdtemp(prefix="berth-bench-", dir=options.directory)
    # An end by signal takes the images and the processes along too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    bench = Bench(options, directory)
    try:
        for part in options.parts or parts:
            getattr(bench, part)()
        bench.show()
        if options.json:
            options.json.write_text(json.dumps(bench.json(), indent=1) + "\n")
        if options.plot and bench.lines:
            bench.draw(options.plot)
    except Failure as failure:
        raise SystemExit(str(failure)) from None
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()

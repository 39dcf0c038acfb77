"""One run of the suite: its programs, files and results, and how a case is tried."""

import contextlib
import os
import pathlib
import subprocess
import time

import machine
from machine import GIB, MIB, warm
from modes import MAPPED
from qmp import Endpoint, Failure
from results import Results


class Run:
    """Everything that the parts share."""

    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.size = options.size * MIB
        self.data = self.size * 3 // 4  # bytes of pages that aren't zero
        self.programs = {"QEMU": [options.qemu], "Berth": [options.berth, "run"]}
        self.results = Results()
        self.images = {}  # is mapped-ram -> image that QEMU wrote
        self.memory = None  # file with the guest's memory
        self.round = 0
        self.ends = []
        self.holders = {}
        self.began = time.monotonic()

    def file(self, name):
        return os.path.join(self.directory, name)

    @property
    def is_last_round(self):
        return self.round == self.options.rounds - 1

    def turns(self):
        """Both programs; the other one first in each round."""
        programs = list(self.programs)
        return programs if self.round % 2 == 0 else programs[::-1]

    # --- endpoints -----------------------------------------------------------------------------------

    def start(self, program, *options):
        end = Endpoint(self.programs[program], self.directory, *options)
        self.ends.append(end)
        return end

    def waiting(self, program, mode, *options, size=None, **parameters):
        """An endpoint with memory never touched before, ready for migrate-incoming."""
        mebibytes = str(size or self.options.size)
        end = self.start(program, "-m", mebibytes, *options, "-incoming", "defer")
        mode.apply(end, **parameters)
        return end

    def holder(self, program):
        """An endpoint that has the guest's memory, to save and to send it again and again."""
        if program not in self.holders:
            warm(self.images[True])
            end = self.waiting(program, MAPPED, "-S")
            end.execute("migrate-incoming", uri=f"file:{self.images[True]}")
            end.wait_for_end()
            self.holders[program] = end
        return self.holders[program]

    def close(self, end):
        end.close()
        self.ends.remove(end)
        self.holders = {name: other for name, other in self.holders.items() if other is not end}

    def close_all(self):
        for end in list(self.ends):
            self.close(end)

    # --- measuring -----------------------------------------------------------------------------------

    def attempt(self, part, case, who, action):
        """Adds what the action measured. What fails once is not tried again, and the reason is kept."""
        word = self.options.case
        if (part, case, who) in self.results.reasons or (word and word not in f"{part}: {case}"):
            return
        now = time.monotonic() - self.began
        title = f"{now:5.0f} s  round {self.round + 1}  {part}: {case}: {who}"
        try:
            metrics = action()
        except (Failure, OSError, ValueError, subprocess.SubprocessError) as failure:
            if isinstance(failure, TimeoutError):
                failure = "no answer, and no end, for two minutes"
            self.results.fail(part, case, who, failure)
            self.close_all()
            print(f"{title}: not measured: {failure}", flush=True)
        else:
            self.results.add(part, case, who, **metrics)
            if "seconds" in metrics:
                title += f": {metrics['seconds']:.4f} s"
            if "rate" in metrics:
                title += f": {metrics['rate'] / GIB:.2f} GiB/s"
            print(title, flush=True)

    def remove(self, *paths):
        for path in paths:
            pathlib.Path(path).unlink(missing_ok=True)

    def settle(self, *paths):
        """Before every run, alike for all: old files go, the disk is synced, memory is in hand."""
        self.remove(*paths)
        os.sync()
        machine.touch_free_memory(self.directory, self.data + 256 * MIB)

    @contextlib.contextmanager
    def migrating(self, *ends, until=Endpoint.wait_for_end):
        """Measures how long the first of the ends takes, and how long the processors run for all."""
        before = sum(end.processor_time() for end in ends)
        metrics = {}
        began = time.perf_counter()
        yield metrics
        until(ends[0])
        metrics["seconds"] = time.perf_counter() - began
        for end in ends[1:]:
            end.wait_for_end()
        metrics["processor"] = sum(end.processor_time() for end in ends) - before

"""limits: what this machine does with the same bytes, without a migration around them."""

import json
import os
import shutil
import subprocess
import time

import raw
from machine import warm
from qmp import Failure

PART = "limits"
WHO = "machine"

# Kinds of access, as fio's options.
ENGINES = {
    "fio psync": ("--ioengine=psync",),
    "fio psync, space allocated first": ("--ioengine=psync", "--fallocate=native"),
    "fio psync, 2 jobs": ("--ioengine=psync", "--numjobs=2"),
    "fio io_uring, depth 4": ("--ioengine=io_uring", "--iodepth=4"),
}
DIRECT_WRITE = tuple(f"write, direct: {engine}" for engine in ENGINES)
DIRECT_READ = tuple(
    f"read, direct: {engine}" for engine in ENGINES if "allocated" not in engine
)
WRITE, READ = "write, page cache: fio, 1 MiB", "read, page cache: fio, 1 MiB"
COPY, CP = "copy of a file: dd, 1 MiB", "copy of a file: cp"
FILL = ("read, page cache, into new memory", "read, page cache, into new memory, 2 threads")
MEMCPY = ("memcpy, 1 MiB", "memcpy, 1 MiB, 2 threads")
SOCKET = {"unix": "unix socket, 1 MiB", "tcp": "tcp loopback, 1 MiB"}


def measure(run):
    def attempt(case, function, *arguments):
        run.attempt(PART, case, WHO, lambda: {"rate": function(run, *arguments)})

    for case, threads in zip(MEMCPY, (1, 2)):
        attempt(case, lambda run, threads: raw.copy_memory(run.data, threads), threads)
    for case, threads in zip(FILL, (1, 2)):
        attempt(case, fill, threads)
    for transport, case in SOCKET.items():
        attempt(case, lambda run, transport: raw.send(transport, run.data), transport)
    attempt(WRITE, write, ("--ioengine=psync", "--bs=1M"))
    attempt(READ, read, ("--ioengine=psync", "--bs=1M", "--invalidate=0"))
    for case, engine in zip(DIRECT_WRITE, ENGINES.values()):
        attempt(case, write, (*engine, "--direct=1"))
    for case in DIRECT_READ:
        attempt(case, read, (*ENGINES[case.partition(": ")[2]], "--direct=1"))
    run.remove(run.file("limit"))
    attempt(COPY, copy, "dd", "if={0}", "of={1}", "bs=1M", "status=none")
    attempt(CP, copy, "cp", "--reflink=never", "{0}", "{1}")


def write(run, options):
    """Into a new file, as every save does."""
    run.settle(run.file("limit"))
    return fio(run, "write", options)


def read(run, options):
    path = run.file("limit")
    if not os.path.exists(path) or os.stat(path).st_size < run.data:
        with open(path, "wb") as file:
            for _ in range(run.data >> 20):
                file.write(bytes([1]) * (1 << 20))
        os.sync()
    if "--direct=1" not in options:
        warm(path)
    run.settle()
    return fio(run, "read", options)


def fio(run, verb, options):
    if not shutil.which("fio"):
        raise Failure("fio is not installed; 'make bench' installs it on Debian")
    jobs = 2 if "--numjobs=2" in options else 1
    size = run.data // jobs >> 22 << 22
    command = [
        "fio", f"--name={verb}", f"--filename={run.file('limit')}", f"--rw={verb}", "--bs=4M",
        f"--size={size}", f"--offset_increment={size}", "--fallocate=none", "--thread",
        "--group_reporting", "--output-format=json", *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"fio: {(done.stderr or done.stdout)[-300:]}")
    # What fio warns of comes before the JSON.
    job = json.loads(done.stdout[done.stdout.index("{") :])["jobs"][0]
    return job[verb]["bw_bytes"]


def copy(run, program, *arguments):
    """The image of a sequential save, from the page cache into a new file."""
    image, path = run.images[False], run.file("copy")
    warm(image)
    run.settle(path)
    began = time.perf_counter()
    subprocess.run([program, *(word.format(image, path) for word in arguments)], check=True)
    took = time.perf_counter() - began
    run.remove(path)
    return os.stat(image).st_size / took


def fill(run, threads):
    image = run.images[False]
    warm(image)
    run.settle()
    return raw.fill_memory(image, run.data, threads)

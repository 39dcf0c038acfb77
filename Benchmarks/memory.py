"""The guest's memory, and the images that every load begins with."""

import os
import random
import subprocess

from machine import MIB
from qmp import Failure
from modes import MAPPED, SEQUENTIAL

BLOCK = 16 * MIB


def block(layout):
    """16 MiB, three quarters of its pages noise.

    runs: 12 MiB of noise, 4 MiB of zeros. mixed: 10 MiB of noise, 4 MiB that alternate page by page,
    2 MiB of zeros; what a long-running guest may look like.
    """
    if layout == "runs":
        return random.Random(2).randbytes(12 * MIB) + bytes(4 * MIB)
    noise = random.Random(2).randbytes(10 * MIB)
    alternating = b"".join(
        noise[start : start + 4096] + bytes(4096) for start in range(0, 2 * MIB, 4096)
    )
    return noise + alternating + bytes(2 * MIB)


def prepare(run):
    """Lets QEMU write the guest's memory in both formats; every load starts from these."""
    piece = block(run.options.layout)
    run.memory = run.file("memory")
    with open(run.memory, "wb") as file:
        for number in range(run.size // BLOCK):
            # No two blocks of 16 MiB are equal.
            file.write(number.to_bytes(8, "little") + piece[8:])
    for mode in (SEQUENTIAL, MAPPED):
        image = run.file(f"base-{mode.name}")
        end = run.start("QEMU", *shared(run, run.memory))
        mode.apply(end)
        # The image of a guest that stands still would stand still after it was loaded.
        end.execute("cont")
        end.execute("migrate", uri=f"file:{image}")
        end.wait_for_end()
        run.close(end)
        run.images[mode.mapped] = image
    # Only compared with at the end: it need not take the place of the images in the page cache.
    os.sync()
    with open(run.memory, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def shared(run, path):
    """A guest whose memory is that file."""
    return (
        "-object", f"memory-backend-file,id=ram,size={run.size}B,share=on,mem-path={path}",
        "-machine", "memory-backend=ram", "-m", str(run.options.size), "-S",
    )


def verify_image(run, path, mode, case):
    """QEMU loads what Berth saved; the memory must be what it was."""
    copy = run.file("verified")
    end = run.start("QEMU", *shared(run, copy), "-incoming", "defer")
    mode.apply(end)
    end.execute("migrate-incoming", uri=f"file:{path}")
    end.wait_for_end()
    run.close(end)
    same = subprocess.run(["cmp", "-s", run.memory, copy], check=False).returncode == 0
    os.unlink(copy)
    if not same:
        raise Failure("QEMU reads other memory out of Berth's image")
    run.results.verified.append(case)


def verify_digest(run, end, case):
    """An endpoint of Berth must have the memory that its other endpoint was given."""
    digests = [other.execute("x-query-ram-digest") for other in (run.holder("Berth"), end)]
    if digests[0] != digests[1]:
        raise Failure("other memory arrived than was there")
    run.results.verified.append(case)

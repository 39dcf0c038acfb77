"""The machine below the programs: its memory and caches before a run, and what it is."""

import mmap
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile

MIB = 1 << 20
GIB = 1 << 30
MADV_POPULATE_WRITE = 23


def touch_free_memory(directory, size):
    """Lets the kernel have as much memory in hand as a run takes, for files and for guests.

    A virtual machine gives free memory back to its host. A page that it gave back costs a fault of
    the host's when it is next used, many times what copying into it costs, and it would hit whichever
    program happens to come first. Pages of files and huge pages come from different free lists: so
    some of each are used, and let go.
    """
    size = min(size, (free_memory() - GIB) // 2) // MIB * MIB
    if size <= 0:
        return
    buffer = bytearray(MIB)
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        # Without content: its pages come from memory alone.
        file.truncate(size)
        for offset in range(0, size, len(buffer)):
            os.preadv(file.fileno(), [buffer], offset)
        with new_memory(size) as memory:
            memory.madvise(MADV_POPULATE_WRITE)


def new_memory(size):
    """Memory never touched before, in huge pages where the kernel gives them."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def free_memory():
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemFree:"):
                return int(line.split()[1]) << 10
    raise OSError("/proc/meminfo has no line MemFree")


def warm(path):
    """Reads a file, so that the page cache holds all of it."""
    buffer = bytearray(4 * MIB)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def need_room(directory, size):
    """Says beforehand what would fail in the middle: images and copies, and two guests at a time."""
    free = shutil.disk_usage(directory).free
    if free < 5 * size + GIB:
        raise SystemExit(
            f"{directory} has {free / GIB:.0f} GiB free, and {5 * size / GIB + 1:.0f} are needed: "
            "choose another folder with --directory, or a smaller guest with --size"
        )
    available = int(values("/proc/meminfo", ":")["MemAvailable"].split()[0]) << 10
    if available < 5 * size + GIB:
        raise SystemExit(
            f"{available / GIB:.0f} GiB of memory are free, and {5 * size / GIB + 1:.0f} are needed, "
            "so that nothing has to leave the page cache: choose a smaller guest with --size"
        )


def describe(directory):
    """What a reader must know of the machine, as pairs of name and text."""
    meminfo = values("/proc/meminfo", ":")
    cpuinfo = values("/proc/cpuinfo", ":")
    mount = output("findmnt", "-no", "FSTYPE,SOURCE", "-T", directory).split()
    return {
        "processor": f"{os.cpu_count()} x {cpuinfo.get('model name', platform.machine())}",
        "virtual machine": output("systemd-detect-virt", "--vm") or ("yes" if is_virtual() else "no"),
        "memory": f"{int(meminfo['MemTotal'].split()[0]) / MIB:.0f} GiB",
        "huge pages": word("/sys/kernel/mm/transparent_hugepage/enabled"),
        "kernel": platform.release().partition("-")[0],
        "file system": " on ".join(mount) or "unknown",
        "written back": f"from {word('/proc/sys/vm/dirty_background_ratio')} % of free memory on, "
        f"waited for at {word('/proc/sys/vm/dirty_ratio')} %",
    }


def is_virtual():
    return "hypervisor" in values("/proc/cpuinfo", ":").get("flags", "").split()


def values(path, separator):
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(separator) for line in reversed(lines))
    return {key.strip(): value.strip() for key, _, value in pairs}


def word(path):
    """The content of a kernel's file; of a choice the word in brackets."""
    try:
        text = pathlib.Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
    return text.partition("[")[2].partition("]")[0] or text


def output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()

"""Which drawings a run gets: speeds with the machine's limit, and ratios with what was asked."""

import bars
import loads
import requirements
import saves
import transfers
from machine import GIB, MIB

SPEEDS = {
    "performance-save.svg": (saves.PART, "Save to a file"),
    "performance-load.svg": (loads.PART, "Load from a file"),
    "performance-live.svg": (transfers.PART, "Live migration over sockets of one machine"),
}
RATIOS = "performance-ratios.svg"
TITLES = {
    RATIOS: "How many times as fast as QEMU",
    **{name: title for name, (_, title) in SPEEDS.items()},
}


def draw(results, options):
    """SVG texts by file name; none for what wasn't measured."""
    pictures = {}
    rows = [row for row in requirements.all_requirements(results, options) if row.ratio]
    groups = [
        bars.Group(short(row.work), [("QEMU / Berth", row.ratio[0])],
                   [("must", row.ratio[1]), ("aim", row.ratio[2])])
        for row in rows if row.ratio[0]
    ]
    if groups:
        pictures[RATIOS] = bars.draw(
            TITLES[RATIOS], groups, "QEMU's time divided by Berth's", bars.COLOURS[1:]
        )
    data = options.size * MIB * 3 / 4
    for name, (part, title) in SPEEDS.items():
        groups = []
        for case in results.cases(part):
            rates = []
            for who in ("QEMU", "Berth"):
                seconds = results.median(part, case, who)
                if seconds or (part, case, who) in results.reasons:
                    rates.append((who, data / seconds / GIB if seconds else None))
            bound = requirements.limit(results, part, case)
            groups.append(bars.Group(case, rates, [("limit", bound / GIB)] if bound else ()))
        if any(value for group in groups for _, value in group.bars):
            pictures[name] = bars.draw(title, groups, "GiB/s of pages that aren't zero")
    return pictures


def short(work):
    words = work.partition(", vs")[0]
    for long, brief in SHORTER.items():
        words = words.replace(long, brief)
    return words


SHORTER = {
    "to a file, page cache": "", "from a file": "", ", page cache": "", ", one channel": "",
    "live migration over": "live over", "processor time per GiB saved": "processor time, save",
}

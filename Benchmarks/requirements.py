"""What was asked of the speed, beside what was measured: ratios of medians of one run."""

import dataclasses

import limits
import loads
import modes
import restores
import saves
import transfers
from machine import MIB


@dataclasses.dataclass
class Requirement:
    """A row of the table. `None` for what was not measured."""

    work: str
    measured: str
    must: str
    is_met: bool | None
    aim: str = ""
    aimed_at: str = ""  # what the aim was compared with, as measured
    is_reached: bool | None = None
    # For the drawing, where it is a ratio of times: the ratio, and what it must and should be.
    ratio: tuple | None = None


def all_requirements(results, options):
    data = options.size * MIB * 3 // 4

    def rate(part, case, who="Berth"):
        seconds = results.median(part, case, who)
        return data / seconds if seconds else None

    yield times(
        results, "sequential save to a file, page cache, vs QEMU's", saves.PART, modes.SEQUENTIAL,
        6, 9,
    )
    yield times(
        results, "sequential load from a file, vs QEMU's", loads.PART, modes.SEQUENTIAL, 5, 10
    )
    yield times(
        results, "mapped-ram save, one channel, page cache, vs QEMU's", saves.PART, modes.MAPPED,
        3, 5,
    )
    direct = [mode for mode in modes.FILES if mode.direct and mode.channels]
    yield against_limit(
        "mapped-ram save, direct-io, one channel, vs QEMU's best with multifd and direct-io",
        rate(saves.PART, modes.DIRECT.name),
        best(rate(saves.PART, mode.name, "QEMU") for mode in direct),
        1, limits_best(results, limits.DIRECT_WRITE), 0.95, "fio's best",
    )
    yield against_limit(
        "mapped-ram load, copy, one channel, vs QEMU's best load",
        rate(loads.PART, modes.MAPPED.name),
        best(rate(loads.PART, mode.name, "QEMU") for mode in modes.FILES),
        1.5, limits_best(results, limits.FILL), 0.95, "reading into new memory",
    )
    yield restoring(results)
    for transport in transfers.TRANSPORTS:
        case = f"{transport}, {modes.SOCKETS[0].name}"
        yield against_limit(
            f"live migration over {transport}, one channel, vs QEMU's",
            rate(transfers.PART, case), rate(transfers.PART, case, "QEMU"),
            4, limits_best(results, [limits.SOCKET[transport]]), 0.9, "raw 1 MiB sends",
        )
    yield processor(results)
    yield beyond_guest(results)


def best(rates):
    return max((rate for rate in rates if rate), default=None)


def limits_best(results, cases):
    return best(results.median(limits.PART, case, limits.WHO, "rate") for case in cases)


def limit(results, part, case):
    """Bytes per second that the machine does with what this case uses."""
    if part == transfers.PART:
        return limits_best(results, [limits.SOCKET[case.partition(",")[0]]])
    if part == saves.PART:
        return limits_best(results, limits.DIRECT_WRITE if "direct" in case else [limits.WRITE])
    return limits_best(results, limits.DIRECT_READ if "direct" in case else limits.FILL)


def times(results, work, part, mode, must, aim):
    ratio = results.ratio(part, mode.name)
    return Requirement(
        work, shown(ratio, "x"), f">= {must}x", reaches(ratio, must),
        f">= {aim}x", "", reaches(ratio, aim), (ratio, must, aim),
    )


def against_limit(work, rate, other, must, bound, share, name):
    ratio = rate / other if rate and other else None
    part = rate / bound if rate and bound else None
    aim = share * bound / other if bound and other else None
    return Requirement(
        work, shown(ratio, "x"), f">= {must}x", reaches(ratio, must),
        f">= {share:.0%} of {name}".replace("%", " %"),
        f"{part * 100:.0f} %" if part else "", reaches(part, share), (ratio, must, aim),
    )


def restoring(results):
    found = {
        case: results.median(restores.PART, case, "Berth")
        for case in results.cases(restores.PART) if case.startswith("map")
    }
    measured = [seconds for seconds in found.values() if seconds is not None]
    is_complete = bool(found) and len(measured) == len(found)
    text = ", ".join(
        f"{case.removeprefix('map, ')}: {milliseconds(seconds)}" for case, seconds in found.items()
    )
    worst = max(measured) if is_complete else None
    return Requirement(
        "mapped-ram load, map, to the guest running", text or "-", "<= 50 ms",
        None if worst is None else worst <= 0.05, "<= 10 ms at either size", "",
        None if worst is None else worst <= 0.01,
    )


def processor(results):
    """The mode in which it is hardest, of those that both programs have."""
    ratios = {
        mode.name: ratio for mode in modes.FILES
        if (ratio := results.ratio(saves.PART, mode.name, "processor", "Berth", "QEMU"))
    }
    worst = max(ratios, key=ratios.get, default=None)
    ratio = ratios.get(worst)
    return Requirement(
        "processor time per GiB saved, vs QEMU's, every mode",
        f"{ratio:.2f}x at most ({worst})" if worst else "-", "<= 0.4x",
        None if ratio is None else ratio <= 0.4,
        ratio=(1 / ratio if ratio else None, 2.5, None),
    )


def beyond_guest(results):
    """The most in any mode, and whether QEMU takes less in the same one."""
    pairs = [
        [results.median(part, case, who, "beyond guest") for who in ("Berth", "QEMU")]
        for part in (saves.PART, transfers.PART) for case in results.cases(part)
    ]
    mine = [one for one, _ in pairs if one is not None]
    both = [(one, other) for one, other in pairs if one is not None and other is not None]
    return Requirement(
        "memory of the process beyond the guest's, at its peak in a save or a live migration",
        f"{max(mine) / MIB:.0f} MiB" if mine else "-", "<= 64 MiB",
        max(mine) <= 64 * MIB if mine else None, "below QEMU's",
        f"QEMU: {max(other for _, other in both) / MIB:.0f} MiB" if both else "",
        all(one < other for one, other in both) if both else None,
    )


def reaches(value, bound):
    return None if value is None else value >= bound


def shown(value, unit):
    return "-" if value is None else f"{value:.2f}{unit}"


def milliseconds(seconds):
    return "-" if seconds is None else f"{seconds * 1e3:.1f} ms"

"""The tables of a run, as Markdown, and their place in a page."""

import pathlib
import statistics

import answers
import limits
import loads
import requirements
import restores
import saves
import transfers
from machine import GIB, MIB

BEGIN, END = "<!-- one run: begin -->", "<!-- one run: end -->"
PROGRAMS = ("QEMU", "Berth")


def markdown(results, about):
    """All tables; `about` has the options and what ran where."""
    return "\n\n".join(section for section in sections(results, about) if section) + "\n"


def sections(results, about):
    options = about["options"]
    machine = [[name, value] for name, value in about["machine"].items()]
    yield table(["The run", ""], machine)
    yield table(
        ["Work", "measured", "must", "met", "aim", "measured", "reached"],
        [
            [row.work, row.measured, row.must, yes(row.is_met), row.aim, row.aimed_at,
             yes(row.is_reached) if row.aim else ""]
            for row in requirements.all_requirements(results, options)
        ],
    )
    for part, verb in ((saves.PART, "Save"), (loads.PART, "Load"), (transfers.PART, "Live")):
        yield speeds(results, part, verb, options)
    yield mixed(results, options)
    yield smaller(results, restores.PART, "Restore, to the guest running", ("Berth",))
    yield smaller(results, answers.PART, "Endpoint", PROGRAMS)
    yield table(
        ["Limit", "GiB/s", "least - most"],
        [
            [case, gibibytes(statistics.median(rates)),
             f"{gibibytes(min(rates))} - {gibibytes(max(rates))}"]
            for case in results.cases(limits.PART)
            if (rates := results.all(limits.PART, case, limits.WHO, "rate"))
        ],
    )
    yield table(
        ["Not measured", "by", "because"],
        [
            [f"{part}: {case}", who, reason]
            for (part, case, who), reason in results.reasons.items()
        ],
    )


def speeds(results, part, verb, options):
    data = options.size * MIB * 3 / 4
    live = part == transfers.PART
    head = [verb, "QEMU, s", "Berth, s", "QEMU / Berth", "QEMU, GiB/s", "Berth, GiB/s", "of limit",
            "QEMU, CPU s/GiB", "Berth, CPU s/GiB"]
    if part != loads.PART:
        head += ["QEMU, beyond guest", "Berth, beyond guest"]
    if live:
        head += ["QEMU, downtime", "Berth, downtime"]
    rows = []
    for case in results.cases(part):
        seconds = [results.median(part, case, who) for who in PROGRAMS]
        bound = requirements.limit(results, part, case)
        row = [case, *(spread(results.all(part, case, who, "seconds")) for who in PROGRAMS)]
        row.append(requirements.shown(results.ratio(part, case), ""))
        row += [gibibytes(data / value) if value else "-" for value in seconds]
        row.append(f"{data / seconds[1] / bound * 100:.0f} %" if bound and seconds[1] else "-")
        for who in PROGRAMS:
            value = results.median(part, case, who, "processor")
            row.append("-" if value is None else f"{value / data * GIB:.2f}")
        if part != loads.PART:
            row += [size(results.median(part, case, who, "beyond guest")) for who in PROGRAMS]
        if live:
            row += [duration(results.median(part, case, who, "downtime")) for who in PROGRAMS]
        rows.append(row)
    return table(head, rows)


def mixed(results, options):
    """Live migrations between the two programs."""
    data = options.size * MIB * 3 / 4
    rows = []
    for case in results.cases(transfers.PART):
        for who in results.values.get(transfers.PART, {}).get(case, {}):
            if who not in PROGRAMS:
                seconds = results.median(transfers.PART, case, who)
                values = results.all(transfers.PART, case, who, "seconds")
                rows.append([case, who, spread(values), gibibytes(data / seconds)])
    return table(["Live, from one to the other", "", "s", "GiB/s"], rows)


def smaller(results, part, title, programs):
    head = [title, *programs]
    rows = []
    for case in results.cases(part):
        for metric, suffix, form in (
            ("seconds", "", duration), ("longest", ", the longest", duration),
            ("resident", "", size), ("anonymous", ", anonymous", size),
        ):
            values = [results.median(part, case, who, metric) for who in programs]
            if any(value is not None for value in values):
                rows.append([case + suffix, *(form(value) for value in values)])
    return table(head, rows)


def table(head, rows):
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([str(cell).replace("|", "/") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def spread(values):
    """The median, and the least and the most in parentheses."""
    if not values:
        return "-"
    middle = f"{statistics.median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f} - {max(values):.2f})"


def gibibytes(rate):
    return f"{rate / GIB:.2f}"


def size(count):
    return "-" if count is None else f"{count / MIB:.1f} MiB"


def duration(seconds):
    if seconds is None:
        return "-"
    return f"{seconds * 1e6:.0f} us" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def yes(value):
    return "-" if value is None else "yes" if value else "**no**"


def replace_in(page, text):
    """Puts the text between the page's two marks."""
    path = pathlib.Path(page)
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for it: no line '{BEGIN}' before a line '{END}'")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")

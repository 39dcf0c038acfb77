"""Bar charts as SVG, as plot.py draws lines: groups of bars, each group with marks to compare with."""

import html

from plot import COLOURS, GREY, WIDTH, text, ticks

LEFT, RIGHT, TOP, BOTTOM, BAR, GAP = 250, 70, 66, 46, 17, 13


class Group:
    """Bars below each other: pairs of who and value. Marks: pairs of kind and value."""

    def __init__(self, label, bars, marks=()):
        self.label = label
        self.bars = bars
        self.marks = [(kind, value) for kind, value in marks if value]


def draw(title, groups, x_title, form="{:.2f}"):
    """The text of an SVG file."""
    names = list(dict.fromkeys(name for group in groups for name, _ in group.bars))
    kinds = list(dict.fromkeys(kind for group in groups for kind, _ in group.marks))
    values = [value for group in groups for _, value in [*group.bars, *group.marks] if value]
    marks = ticks(max(values), 8)
    height = TOP + BOTTOM + sum(len(group.bars) * BAR + GAP for group in groups)

    def place(value):
        return LEFT + value / marks[-1] * (WIDTH - LEFT - RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="13" fill="{GREY}">',
        text(20, 24, title, "start", "bold"),
        *legend(names, kinds),
    ]
    for tick in marks:
        x = place(tick)
        parts.append(
            f'<path d="M{x:.1f} {TOP}V{height - BOTTOM}" stroke="{GREY}" stroke-opacity=".25"/>'
        )
        parts.append(text(x, height - BOTTOM + 18, f"{tick:g}", "middle"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, height - 8, x_title, "middle"))
    y = TOP + GAP / 2
    for group in groups:
        parts += draw_group(group, y, place, names, kinds, form)
        y += len(group.bars) * BAR + GAP
    return "\n".join([*parts, "</svg>", ""])


def draw_group(group, y, place, names, kinds, form):
    depth = len(group.bars) * BAR
    yield text(LEFT - 10, y + depth / 2 + 4, group.label, "end")
    for number, (name, value) in enumerate(group.bars):
        top = y + number * BAR
        if value:
            colour = COLOURS[names.index(name) % len(COLOURS)]
            yield (
                f'<rect x="{LEFT}" y="{top + 1:.1f}" width="{place(value) - LEFT:.1f}" '
                f'height="{BAR - 3}" fill="{colour}"/>'
            )
            yield text(place(value) + 5, top + BAR - 4.5, form.format(value), "start")
        else:
            yield text(LEFT + 5, top + BAR - 4.5, "not measured", "start")
    for kind, value in group.marks:
        yield (
            f'<path d="M{place(value):.1f} {y - 3:.1f}v{depth + 5}" stroke="{GREY}" '
            f'stroke-width="2"{dashes(kinds.index(kind))}/>'
        )


def legend(names, kinds):
    x = 20
    for number, name in enumerate(names):
        yield f'<rect x="{x}" y="37" width="13" height="13" fill="{COLOURS[number % len(COLOURS)]}"/>'
        yield f'<text x="{x + 19}" y="48">{html.escape(name)}</text>'
        x += 45 + 7 * len(name)
    for number, kind in enumerate(kinds):
        yield f'<path d="M{x + 4} 35v17" stroke="{GREY}" stroke-width="2"{dashes(number)}/>'
        yield f'<text x="{x + 13}" y="48">{html.escape(kind)}</text>'
        x += 39 + 7 * len(kind)


def dashes(number):
    return ' stroke-dasharray="4 3"' if number else ""

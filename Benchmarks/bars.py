"""Bar charts as SVG, as plot.py draws lines: groups of bars, each group with marks to compare with."""

import html

from plot import COLOURS, GREY, WIDTH, text, ticks

LEFT, RIGHT, TOP, BOTTOM, BAR, GAP = 250, 110, 66, 46, 17, 13
# Seen on bars as well as on white and black.
MARK = COLOURS[3]


class Group:
    """Bars below each other: pairs of who and value. Marks: pairs of kind and value."""

    def __init__(self, label, bars, marks=()):
        self.label = label
        self.bars = bars
        self.marks = [(kind, value) for kind, value in marks if value]


def draw(title, groups, x_title, colours=COLOURS):
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
        *legend(names, kinds, colours),
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
        parts += draw_group(group, y, place, names, kinds, colours)
        y += len(group.bars) * BAR + GAP
    return "\n".join([*parts, "</svg>", ""])


def draw_group(group, y, place, names, kinds, colours):
    depth = len(group.bars) * BAR
    yield text(LEFT - 10, y + depth / 2 + 4, group.label, "end")
    for row, (name, value) in enumerate(group.bars):
        top = y + row * BAR
        if value:
            colour = colours[names.index(name)]
            yield (
                f'<rect x="{LEFT}" y="{top + 1:.1f}" width="{place(value) - LEFT:.1f}" '
                f'height="{BAR - 3}" fill="{colour}"/>'
            )
        # In a column of their own, where no mark is.
        number = f"{value:.2f}" if value else "not measured"
        yield text(WIDTH - 8, top + BAR - 4.5, number, "end")
    for kind, value in group.marks:
        yield (
            f'<path d="M{place(value):.1f} {y - 3:.1f}v{depth + 5}" stroke="{MARK}" '
            f'stroke-width="2.5"{dashes(kinds.index(kind))}/>'
        )


def legend(names, kinds, colours):
    x = 20
    for number, name in enumerate(names):
        yield f'<rect x="{x}" y="37" width="13" height="13" fill="{colours[number]}"/>'
        yield f'<text x="{x + 19}" y="48">{html.escape(name)}</text>'
        x += 45 + 7 * len(name)
    for number, kind in enumerate(kinds):
        yield f'<path d="M{x + 4} 35v17" stroke="{MARK}" stroke-width="2.5"{dashes(number)}/>'
        yield f'<text x="{x + 13}" y="48">{html.escape(kind)}</text>'
        x += 39 + 7 * len(kind)


def dashes(number):
    return ' stroke-dasharray="4 3"' if number else ""

"""Line charts as SVG: as much of them as the benchmarks need, readable on light and dark pages."""

import html
import math

# Told apart by lightness as well as by colour; middle tones show on white and on black.
COLOURS = ("#2f81d6", "#e0851b", "#2e9e5b", "#c94f8c", "#8a6fe0")
GREY = "#7d8590"
WIDTH, LEFT, RIGHT, TOP, BOTTOM, PLOT = 860, 70, 110, 40, 46, 210


class Panel:
    """A chart of its own, below the one before; all share the range of x."""

    def __init__(self, title):
        self.title = title
        self.lines = []
        self.levels = []

    def line(self, label, points):
        self.lines.append((label, points))

    def level(self, label, value):
        """A horizontal line to compare with; its label, in short lines, stands beside it."""
        self.levels.append((label, value))


def draw(panels, x_title, y_title):
    """The text of an SVG file."""
    end = max(x for panel in panels for _, points in panel.lines for x, _ in points)
    height = (TOP + PLOT + BOTTOM) * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="13" fill="{GREY}">'
    ]
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate(0 {number * (TOP + PLOT + BOTTOM)})">')
        parts += draw_panel(panel, end, x_title, y_title)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def draw_panel(panel, end, x_title, y_title):
    top = max(y for _, points in panel.lines for _, y in points)
    x_ticks, y_ticks = ticks(end, 10), ticks(top, 5)
    width = WIDTH - LEFT - RIGHT

    def place(x, y):
        return LEFT + x / x_ticks[-1] * width, TOP + PLOT - y / y_ticks[-1] * PLOT

    yield text(LEFT, TOP - 18, panel.title, "start", "bold")
    for tick in y_ticks:
        _, y = place(0, tick)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GREY}" stroke-opacity=".25"/>'
        yield text(LEFT - 8, y + 4, f"{tick:g}", "end")
    for tick in x_ticks:
        x, y = place(tick, 0)
        yield f'<path d="M{x:.1f} {y}v5" stroke="{GREY}"/>'
        yield text(x, y + 19, f"{tick:g}", "middle")
    yield text(LEFT + width / 2, TOP + PLOT + 37, x_title, "middle")
    middle = TOP + PLOT / 2
    yield (
        f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">'
        f"{html.escape(y_title)}</text>"
    )
    for label, value in panel.levels:
        _, y = place(0, value)
        yield (
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GREY}" stroke-dasharray="5 4"/>'
        )
        for number, line in enumerate(label.split("\n")):
            yield text(WIDTH - RIGHT + 6, y + 16 * number, line, "start")
    for number, (label, points) in enumerate(panel.lines):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in thinned(points, end))
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
        x, y = place(*points[-1])
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
        # The labels stand where no line comes: right, at the top.
        y = TOP + 6 + 19 * number
        yield f'<path d="M{WIDTH - RIGHT - 330} {y}h26" stroke="{colour}" stroke-width="3"/>'
        yield f'<text x="{WIDTH - RIGHT - 297}" y="{y + 4}" fill="{colour}">{html.escape(label)}</text>'


def thinned(points, end):
    """The points without those that nobody would see; turns of a line stay."""
    kept = points[:1]
    for before, point, after in zip(points, points[1:], points[2:]):
        turns = (point[1] - before[1]) * (after[1] - point[1]) < 0
        if turns or point[0] - kept[-1][0] > end / 400:
            kept.append(point)
    return kept + points[-1:]


def ticks(end, count):
    """Round numbers from 0 to at least `end`, about `count` of them."""
    step = 10.0 ** math.floor(math.log10(end / count))
    step *= next(factor for factor in (1, 2, 5, 10) if end / (step * factor) <= count)
    return [step * number for number in range(math.ceil(end / step - 1e-9) + 1)]


def text(x, y, words, anchor, weight="normal"):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{html.escape(words)}</text>"
    )

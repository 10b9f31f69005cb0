"""Log-log line plots as small SVG files that read on light and on dark pages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 70, 170, 44, 50
GREY = "#808080"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#C46A9B", "#B98200", "#3D9BD0")
"""Okabe and Ito's, which the colour-blind can tell apart, the light ones darker, so that all have a
contrast of 3 to white and to black pages; lines carry their names besides."""
DASHES = ("", "6 3", "2 3")
LABEL_STEP = 15
"""Pixels between the names of two lines at least."""

Line = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What is drawn."""

    title: str
    description: str
    across: str
    """What the x axis counts."""
    up: str
    """What the y axis counts."""
    lines: Mapping[str, Line]
    """Name to (x, y), all above 0, from left to right."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Numbers to pixels, by their logarithm."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        span = math.log(self.high / self.low) or 1.0
        return self.start + math.log(value / self.low) / span * (self.stop - self.start)


def svg(plot: Plot) -> str:
    """The file's content."""
    points = [point for line in plot.lines.values() for point in line]
    across = Axis(min(x for x, _ in points), max(x for x, _ in points), LEFT, WIDTH - RIGHT)
    low, high = decades([y for _, y in points])
    up = Axis(low, high, HEIGHT - BOTTOM, TOP)
    body = [
        *_frame(plot),
        *_columns(sorted({x for x, _ in points}), across),
        *_rows(low, high, up),
        *_lines(plot.lines, across, up),
    ]
    return "\n".join([*body, "</svg>", ""])


def decades(values: Sequence[float]) -> tuple[float, float]:
    """The powers of ten around positive numbers."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return 10.0**low, 10.0 ** max(high, low + 1)


def _frame(plot: Plot) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' font-family="sans-serif" font-size="12" fill="{GREY}">'
    )
    yield f"<title>{escape(plot.title)}</title>"
    yield f"<desc>{escape(plot.description)}</desc>"
    yield _text(LEFT, 18, plot.title, "start", ' font-size="14" font-weight="bold"')
    yield _text(LEFT, 34, plot.up, "start")
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, plot.across, "middle")


def _columns(values: Sequence[float], across: Axis) -> Iterator[str]:
    for value in values:
        x = across(value)
        yield _rule(x, TOP, x, HEIGHT - BOTTOM)
        yield _text(x, HEIGHT - BOTTOM + 18, f"{value:,g}", "middle")


def _rows(low: float, high: float, up: Axis) -> Iterator[str]:
    value = low
    while value <= high * 1.001:
        yield _rule(LEFT, up(value), WIDTH - RIGHT, up(value))
        yield _text(LEFT - 8, up(value) + 4, f"{value:,g}", "end")
        value *= 10


def _lines(lines: Mapping[str, Line], across: Axis, up: Axis) -> Iterator[str]:
    places = spaced({name: up(line[-1][1]) for name, line in lines.items()})
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        dash = DASHES[number // len(COLOURS) % len(DASHES)]
        pixels = [(across(x), up(y)) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in pixels)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        yield (
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'
        )
        for x, y in pixels:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
        end = WIDTH - RIGHT + 12
        leader = f'stroke="{colour}" stroke-width="0.7" stroke-dasharray="1 2"'
        yield _rule(pixels[-1][0] + 4, pixels[-1][1], end - 2, places[name], leader)
        yield _text(end, places[name] + 4, name, "start", f' style="fill:{colour}"')


def spaced(wanted: Mapping[str, float]) -> dict[str, float]:
    """Heights moved apart, in their order, so that names do not cover each other."""
    places: dict[str, float] = {}
    last = -math.inf
    for name in sorted(wanted, key=wanted.__getitem__):
        last = max(wanted[name], last + LABEL_STEP)
        places[name] = last
    over = max([0.0, last - (HEIGHT - BOTTOM)])
    return {name: place - over for name, place in places.items()}


def _rule(
    x: float, y: float, to_x: float, to_y: float,
    stroke: str = f'stroke="{GREY}" stroke-opacity="0.3"',
) -> str:  # fmt: skip
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" {stroke}/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'

"""Heads in order, one row each: role, statistics, the token that they look at most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite, isnan

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.heads_options import SORTS, Order
from attnscope.records import HeadFocus, Tokens
from attnscope.render.grid import label_at
from attnscope.render.hanging import hanging
from attnscope.render.palette import (
    CAUTION,
    FUTURE,
    QUIET,
    ROLES,
    STRONG,
    Fitted,
    Look,
    counted,
    percent,
)
from attnscope.text import fit, pad

SHORTEST, LONGEST = 15, 24
"""Terminal cells of the column of tokens."""
GAP = "  "
WORDS = {"head", "role", "strongest token"}
"""Columns that are flush left."""
URGENT = (
    "head", "role", "score", "entropy", "distance", "sink", "induction", "previous",
    "strongest token", "self", "duplicate",
)  # fmt: skip
"""Which columns stay where there is no room for all, the column of the order besides."""


def head_table(focus: Sequence[HeadFocus], tokens: Tokens, order: Order) -> RenderableType:
    """The first heads of that order, in as many columns as fit."""
    return Fitted(lambda width, look: Group(*_draw(focus, tokens, order, (width, look))))


def ordered(focus: Sequence[HeadFocus], order: Order) -> list[HeadFocus]:
    """Heads by one of their numbers, equal ones by layer and head; those without one last."""
    column = SORTS[order.sort]

    def value(head: HeadFocus) -> float:
        number = getattr(head, column.field)
        return float("nan") if number is None else float(number)

    told = [head for head in focus if not isnan(value(head))]
    rest = [head for head in focus if isnan(value(head))]
    return [*sorted(told, key=value, reverse=column.lowest == order.reverse), *rest]


def head_name(head: HeadFocus) -> str:
    """`L3.H1`, as `--head` takes it."""
    return f"L{head.layer}.H{head.head}"


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    heading: str
    cells: list[Text]

    @property
    def size(self) -> int:
        return max(cell_len(self.heading), *(cell.cell_len for cell in self.cells))


def _draw(
    focus: Sequence[HeadFocus], tokens: Tokens, order: Order, fitted: tuple[int, Look]
) -> list[Text]:
    width, look = fitted
    shown = ordered(focus, order)[: order.top]
    if not shown:
        return []
    columns = [
        _Column(name, name + "*" * (name == order.sort), [cell(head) for head in shown])
        for name, cell in _cells(tokens, width, look).items()
    ]
    kept = _fitting(columns, order, width)
    words = f"{len(shown):,} of {counted(len(focus), 'head')}, by {order.sort}*: {order.words}"
    lines = hanging(Text(), look.say(words), width)
    lines += _rows(kept)
    return [*lines, *_notes(columns, kept, (width, look))]


def _cells(tokens: Tokens, width: int, look: Look) -> dict[str, Callable[[HeadFocus], Text]]:
    """Column -> what it says of a head."""

    def share(name: str) -> Callable[[HeadFocus], Text]:
        return lambda head: _number(getattr(head, SORTS[name].field), percent, look)

    def token(head: HeadFocus) -> Text:
        place = f" ({head.strongest_key})"
        longest = min(LONGEST, max(width // 5, SHORTEST)) - len(place)
        name = look.spell(label_at(tokens, head.strongest_key))
        return Text.assemble(fit(name, longest, look.glyphs.ellipsis), (place, QUIET))

    return {
        "head": _named,
        "role": lambda head: Text(head.role, ROLES[head.role][1]),
        "score": lambda head: _number(head.role_score, percent, look),
        "entropy": lambda head: _number(head.entropy, lambda one: f"{one:.2f}", look),
        "distance": lambda head: _number(head.distance, _far, look),
        **{name: share(name) for name in list(SORTS)[2:]},
        "strongest token": token,
    }


def _named(head: HeadFocus) -> Text:
    if head.future_weight > 0:
        return Text.assemble((head_name(head), STRONG), ("!", FUTURE))
    mark = "" if head.verified and isfinite(head.future_weight) else "?"
    return Text.assemble((head_name(head), STRONG), (mark, CAUTION))


def _number(value: float | None, words: Callable[[float], str], look: Look) -> Text:
    if value is None:
        return Text(look.glyphs.neutral, QUIET)
    return Text(words(value)) if isfinite(value) else Text("?", CAUTION)


def _far(tokens: float) -> str:
    return f"{tokens:.1f}" if abs(tokens) < 1000 else f"{tokens:,.0f}"


def _fitting(columns: list[_Column], order: Order, width: int) -> list[_Column]:
    """Columns that fit side by side, the most urgent first, in their own order."""
    sizes = {column.name: column.size + len(GAP) for column in columns}
    kept: set[str] = set()
    room = width + len(GAP)
    for name in ("head", order.sort, *URGENT):
        if name not in kept and sizes[name] <= room:
            kept.add(name)
            room -= sizes[name]
    return [column for column in columns if column.name in kept]


def _rows(columns: list[_Column]) -> list[Text]:
    heading = GAP.join(
        pad(column.heading, column.size, "<" if column.name in WORDS else ">") for column in columns
    )
    lines = [Text(heading.rstrip(), style=QUIET)]
    for cells in zip(*(column.cells for column in columns), strict=True):
        line = Text()
        for column, cell in zip(columns, cells, strict=True):
            missing = " " * (column.size - cell.cell_len)
            line.append(GAP if line.cell_len else "")
            left, right = ("", missing) if column.name in WORDS else (missing, "")
            line.append(left).append_text(cell).append(right)
        line.rstrip()
        lines.append(line)
    return lines


def _notes(columns: list[_Column], kept: list[_Column], fitted: tuple[int, Look]) -> list[Text]:
    """What the numbers are, and what had no room."""
    width, look = fitted
    names = [column.name for column in kept]
    told = [f"{name}: {SORTS[name].meaning}" for name in list(SORTS)[:2] if name in names]
    shares = [f"{name} {SORTS[name].meaning}" for name in list(SORTS)[2:] if name in names]
    if shares:
        told.append(f"in % of a query's weight: {', '.join(shares)}")
    if any(cell.plain == look.glyphs.neutral for column in kept for cell in column.cells):
        told.append(f"{look.glyphs.neutral} no token occurs twice")
    missing = [column.name for column in columns if column not in kept]
    lines = hanging(Text(), look.say("; ".join(told)), width, QUIET)
    if missing:
        words = f"no room here for {', '.join(missing)}: --width, or --format csv"
        lines += hanging(Text(), look.say(words), width, QUIET)
    return lines


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.render.demo import heads

    demo = heads()
    Console().print(head_table(demo.focus, demo.tokens, Order(sort="induction")))

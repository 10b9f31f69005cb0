"""Every head of every layer in one grid: the pattern that it follows, and how strongly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import ceil, isfinite

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import HeadFocus
from attnscope.render.palette import (
    BAD,
    CAUTION,
    FUTURE,
    QUIET,
    ROLES,
    Fitted,
    Look,
    counted,
)

FULL, COMPACT, DENSE = 5, 3, 1
"""Terminal cells of a head: letter, two digits, flag and gap; letter, bar (flag) and gap; or the
letter (flag) alone, eight of them together.
"""
TALLEST = 100
"""Lines of the tallest map that still shows scores."""


def focus_map(focus: Sequence[HeadFocus]) -> RenderableType:
    """Layers x heads, each cell with the role's letter and its score; a legend below."""
    return Fitted(lambda width, look: _draw(focus, width, look))


def _draw(focus: Sequence[HeadFocus], width: int, look: Look) -> RenderableType:
    by_place = {(each.layer, each.head): each for each in focus}
    layers = sorted({each.layer for each in focus})
    heads = max((each.head for each in focus), default=-1) + 1
    labels = max(len(f"layer {max(layers, default=0)}"), len("head")) + 2
    cell, block = _blocks(heads, width - labels)
    if len(layers) * ceil(heads / max(block, 1)) > TALLEST and heads > block:
        cell, block = DENSE, max((width - labels) // 9 * 8, 8)
    parts: list[Text] = []
    for first in range(0, heads, block):
        here = range(first, min(first + block, heads))
        parts.append(_heading(here, labels, cell))
        for layer in layers:
            line = Text(f"layer {layer}".ljust(labels), style=QUIET)
            for head in here:
                line.append_text(_cell(by_place.get((layer, head)), cell, look))
                line.append(" " * (cell == DENSE and head % 8 == 7))
            line.rstrip()
            parts.append(line)
        parts.append(Text())
    return Group(*parts, *_legend(focus, cell, look))


def _blocks(heads: int, room: int) -> tuple[int, int]:
    """Cell width, and heads a block: whole rows where they fit, else blocks of multiples of 8."""
    for cell in (FULL, COMPACT):
        if heads * cell <= room:
            return cell, max(heads, 1)
    capacity = max(room // COMPACT, 1)
    if capacity < 8:
        return COMPACT, capacity
    blocks = ceil(heads / (capacity // 8 * 8))
    return COMPACT, ceil(heads / blocks / 8) * 8


def _heading(heads: range, labels: int, cell: int) -> Text:
    line = "head".ljust(labels)
    step = 8 if cell == DENSE else 1 if len(str(heads[-1])) < cell else 4
    for head in heads[::step]:
        line += str(head).ljust(cell * step + (cell == DENSE))
    return Text(line.rstrip(), style=QUIET)


def _cell(each: HeadFocus | None, width: int, look: Look) -> Text:
    if each is None:
        return Text(" " * width)
    letter, colour, _ = ROLES[each.role]
    flag = _flag(each)
    if width == DENSE:
        words = flag.strip() or letter
    elif width == FULL:
        words = letter + _digits(each.role_score) + flag
    else:
        words = letter + (flag.strip() or _bar(each.role_score, look))
    style = {"!": FUTURE, "?": CAUTION}.get(flag, colour)
    return Text.assemble((words, style), " " * (width - len(words)))


def _flag(each: HeadFocus) -> str:
    if each.future_weight > 0:
        return "!"
    return " " if each.verified and isfinite(each.future_weight) else "?"


def _digits(score: float) -> str:
    return f"{min(round(score * 100), 99):02d}" if isfinite(score) else "--"


def _bar(score: float, look: Look) -> str:
    if not isfinite(score):
        return "-"
    levels = look.glyphs.levels
    return levels[min(int(max(score, 0) * len(levels)), len(levels) - 1)]


def _legend(focus: Sequence[HeadFocus], cell: int, look: Look) -> list[Text]:
    counts = Counter(each.role for each in focus)
    digits = len(str(max(counts.values(), default=0)))
    lines = []
    for role, (letter, colour, meaning) in ROLES.items():
        if counts[role]:
            line = Text.assemble((f"{letter} {role:<16}", colour), f"{counts[role]:>{digits}}")
            lines.append(line.append(f"  {meaning}", QUIET))
    lines.append(Text(look.say(_reading(cell, look)), style=QUIET))
    leaking = [each for each in focus if each.future_weight > 0]
    if leaking:
        words = f" {counted(len(leaking), 'head')} with weight on a later token"
        lines.append(Text.assemble(("!", FUTURE), (words, BAD)))
    unverified = sum(_flag(each) == "?" or not each.verified for each in focus)
    if unverified:
        reason = "not verified: recomputed and kernel's output differ"
        words = f"? {counted(unverified, 'head')} {reason}"
        lines.append(Text(words, style=CAUTION))
    return lines


def _reading(cell: int, look: Look) -> str:
    if cell == DENSE:
        return "letter = best pattern"
    if cell == FULL:
        return "letter = best pattern, number = score in % (99 at most)"
    form = "digit = score in tenths" if look.glyphs.levels.isdigit() else "bar = score"
    return f"letter = best pattern, {form}"


if __name__ == "__main__":
    from rich.console import Console

    roles = tuple(ROLES)
    demo = [
        HeadFocus(
            layer=index // 4, head=index % 4, kv_head=index % 4, entropy=1.0, distance=2.0,
            strongest_key=0, self_weight=0.2, previous_weight=0.3, first_weight=0.1,
            local_weight=None, broad=0.5, induction=None, duplicate=None,
            future_weight=0.1 if index == 5 else 0.0, role=roles[index % 8],
            role_score=(index + 1) / 17, verified=index != 9, difference=0.0, rounding=0.1,
            noticed=9, noticeable=9, compared=9,
        )
        for index in range(16)
    ]  # fmt: skip
    Console().print(focus_map(demo))

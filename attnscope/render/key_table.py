"""The keys of one hand-traced query, one row a key."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import torch
from rich.cells import cell_len
from rich.text import Text

from attnscope.records import HandTrace, Tokens
from attnscope.render.grid import label_at
from attnscope.render.palette import BAR, FUTURE, QUIET, Look, counted
from attnscope.text import fit, pad

ALL = 24
"""Up to this many keys are all shown."""
STRONGEST, LATER, CLOSED = 16, 4, 2
"""Of more keys: the strongest visible ones, the strongest later ones, the first blocked ones."""
LONGEST_NAME = 24
LONGEST_BAR = 24
HEADINGS = ("dot", "score", "mask", "exp", "weight")


@dataclass(frozen=True, slots=True)
class Row:
    """One key's numbers, as words."""

    key: int
    cells: tuple[str, ...]
    weight: float
    style: str


def key_table(hand: HandTrace, tokens: Tokens, width: int, look: Look) -> list[Text]:
    """The table's lines, and a line that counts the keys left out."""
    keys = shown_keys(hand)
    rows = [_row(hand, key) for key in keys]
    sizes = [
        max(len(heading), *(len(row.cells[column]) for row in rows)) + 2
        for column, heading in enumerate(HEADINGS)
    ]
    digits = len(str(max(keys)))
    longest = max(cell_len(label_at(tokens, key)) for key in keys)
    name = min(longest, LONGEST_NAME, max(width - sum(sizes) - digits - 8, 5))
    bar = min(max(width - sum(sizes) - digits - name - 3, 0), LONGEST_BAR)
    heading = "key".ljust(digits + 1 + name)
    for title, size in zip(HEADINGS, sizes, strict=True):
        heading += title.rjust(size)
    lines = [Text(heading, style=QUIET)]
    peak = max((row.weight for row in rows), default=0.0)
    for row in rows:
        label = fit(label_at(tokens, row.key), name, look.glyphs.ellipsis)
        line = Text.assemble((f"{row.key:>{digits}} ", QUIET), (pad(label, name), row.style))
        for cell, size in zip(row.cells, sizes, strict=True):
            style = FUTURE if cell == "FUTURE!" else row.style
            line.append(" " * (size - len(cell))).append(cell, style)
        if row.weight:
            line.append("  ").append(_bar(row.weight, peak, bar, look), BAR)
        lines.append(line)
    return lines + _left_out(hand, keys, look)


def shown_keys(hand: HandTrace) -> list[int]:
    """The keys worth a row, in order of position."""
    total = len(hand.weights)
    if total <= ALL:
        return list(range(total))
    order = torch.argsort(hand.weights.nan_to_num(), descending=True, stable=True)
    allowed = hand.allowed.tolist()
    ranked = [key for key in order.tolist() if allowed[key]]
    later = [key for key in ranked if key > hand.query_index]
    closed = [key for key in range(hand.query_index + 1, total) if not allowed[key]]
    chosen = {*ranked[:STRONGEST], *later[:LATER], *closed[:CLOSED]}
    return sorted(chosen) or list(range(CLOSED))


def number(value: float) -> str:
    """Four decimals, or four digits where the number is too large or too small for them."""
    if value == 0 or 1e-4 <= abs(value) < 1e5:
        return f"{value:.4f}"
    return f"{value:.2e}"


def _row(hand: HandTrace, key: int) -> Row:
    allowed = bool(hand.allowed[key])
    weight = float(hand.weights[key])
    score, state, style = number(float(hand.scaled[key])), "VISIBLE", ""
    if not allowed:
        score, state, style = "-inf", "BLOCKED", QUIET
    elif key > hand.query_index:
        state = "FUTURE!"
    exponential = float(hand.exponentials[key])
    cells = (number(float(hand.dots[key])), score, state, number(exponential), number(weight))
    return Row(key, cells, weight if isfinite(weight) else 0.0, style)


def _bar(weight: float, peak: float, width: int, look: Look) -> str:
    """A bar as long as the weight is, the largest weight filling the width."""
    bars = look.glyphs.bars
    steps = round(weight / peak * width * len(bars)) if peak > 0 else 0
    whole, part = divmod(steps, len(bars))
    return bars[-1] * whole + (bars[part - 1] if part else "")


def _left_out(hand: HandTrace, keys: list[int], look: Look) -> list[Text]:
    rest = torch.ones(len(hand.weights), dtype=torch.bool)
    rest[keys] = False
    allowed = hand.allowed.cpu()
    open_keys, closed = int((rest & allowed).sum()), int((rest & ~allowed).sum())
    parts = []
    if open_keys:
        together = float(hand.weights.cpu()[rest & allowed].sum())
        parts.append(
            f"{counted(open_keys, 'more visible key')} with weight {number(together)} together"
        )
    if closed:
        parts.append(counted(closed, "more blocked key"))
    return [Text(look.say("… " + ", ".join(parts)), style=QUIET)] if parts else []

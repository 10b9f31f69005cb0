"""A mask as numbers: 1 and 0, 0 and -inf, or a tick and a cross."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import UInt8
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text
from torch import Tensor

from attnscope.records import CELL_BLOCKED, CELL_FUTURE_SEEN, CELL_SEEN, MaskMap, Tokens
from attnscope.render import grid
from attnscope.render.flow import flow
from attnscope.render.mask_table import pooled, title, verdict
from attnscope.render.palette import (
    BAD,
    BLOCKED,
    CAUTION,
    FUTURE,
    QUIET,
    SEEN,
    UNICODE,
    Fitted,
    Look,
)
from attnscope.text import fit, pad

Form = Literal["binary", "additive", "bool"]

MIXED = "±"
"""A cell that stands for open and closed ones."""
NAMES = 8
"""Terminal cells of a column's name at most."""


@dataclass(frozen=True, slots=True)
class _Signs:
    """How a form writes its cells, and what it says of them."""

    open: str
    closed: str
    words: tuple[str, str]


_SIGNS: dict[Form, _Signs] = {
    "binary": _Signs("1", "0", ("visible", "blocked")),
    "additive": _Signs("0", "-inf", ("added to a visible score", "added to a blocked one")),
    "bool": _Signs("✓", "✗", ("visible", "blocked")),
}
_ASCII_BOOL = _Signs("T", "F", ("visible", "blocked"))


def mask_form(mask: MaskMap, tokens: Tokens, form: Form) -> RenderableType:
    """The mask as a matrix of signs; columns go on below where they do not fit side by side."""
    return Fitted(lambda width, look: Group(*_draw(mask, tokens, form, width, look)))


def _draw(mask: MaskMap, tokens: Tokens, form: Form, width: int, look: Look) -> list[Text]:
    tokens = look.read(tokens)
    signs = _ASCII_BOOL if form == "bool" and look.glyphs is not UNICODE else _SIGNS[form]
    layout = _layout(mask, tokens, width, len(signs.closed) + 1)
    cells = pooled(mask.cells.cpu(), layout.factor)
    columns = max((width - layout.labels) // layout.cell, 1)
    lines = [title(mask, look)]
    for first in range(0, cells.shape[1], columns):
        last = min(first + columns, cells.shape[1])
        lines += [] if first == 0 else [Text()]
        lines += _band(cells, tokens, layout, (first, last), mask, signs, look)
    lines += [Text(), *_legend(cells, signs, width, look)]
    lines += [Text(look.say(grid.scale_note(layout)), style=QUIET), verdict(mask, tokens, look)]
    if form == "additive" and mask.layers:
        words = "-inf stands for whatever number this model adds to a blocked score"
        lines.append(Text(words, style=QUIET))
    return [*lines, *(Text(look.say(note), style=CAUTION) for note in mask.notes)]


def _layout(mask: MaskMap, tokens: Tokens, width: int, cell: int) -> grid.Layout:
    """Cells with room for names where all columns fit, else the narrowest; pooled from many on."""
    labels = grid.label_width(tokens, mask.pool, width)
    longest = max((cell_len(label) for label in tokens.labels), default=1)
    named = max(min(longest, NAMES) + 2, cell)
    size = max(mask.cells.shape)
    if mask.pool == 1 and size * named <= width - labels:
        return grid.Layout(1, 1, named, labels)
    factor = 1
    while -(-size // factor) > grid.TALLEST:
        factor *= 2
    if factor * mask.pool > 1:
        labels = grid.label_width(tokens, mask.pool * factor, width)
    return grid.Layout(mask.pool * factor, factor, cell, labels)


def _band(  # noqa: PLR0913, PLR0917
    cells: UInt8[Tensor, "row column"], tokens: Tokens, layout: grid.Layout,
    span: tuple[int, int], mask: MaskMap, signs: _Signs, look: Look,
) -> list[Text]:  # fmt: skip
    lines = _heading(tokens, layout, span, look)
    start = grid.first_query(mask.cells, mask.pool)
    for row in range(cells.shape[0]):
        line = grid.row_label(tokens, start + row * layout.pool, layout, look)
        for bits in cells[row, span[0] : span[1]].tolist():
            line.append_text(_cell(bits, layout.cell, signs, look))
        line.rstrip()
        lines.append(line)
    return lines


def _heading(tokens: Tokens, layout: grid.Layout, span: tuple[int, int], look: Look) -> list[Text]:
    places = [column * layout.pool for column in range(*span)]
    numbers = " " * layout.labels + _numbers(places, layout.cell)
    lines = [Text(numbers.rstrip(), style=QUIET)]
    if layout.pool == 1 and layout.cell > 4:
        room = layout.cell - 1
        cut = (fit(grid.label_at(tokens, one), room, look.glyphs.ellipsis) for one in places)
        lines.append(Text(" " * layout.labels + "".join(pad(n, layout.cell, ">") for n in cut)))
    return lines


def _numbers(places: list[int], cell: int) -> str:
    """As many numbers over the columns as have room between each other and to the right."""
    needed = len(str(places[-1])) + 1
    step = next(step for step in grid.STEPS if step * cell >= needed)
    line = ""
    for index in range(0, len(places), step):
        number, start = str(places[index]), index * cell
        if start + max(cell, len(number)) <= len(places) * cell:
            line = line.ljust(start) + number.rjust(cell)
    return line


def _cell(bits: int, width: int, signs: _Signs, look: Look) -> Text:
    seen, closed = bits & (CELL_SEEN | CELL_FUTURE_SEEN), bits & ~(CELL_SEEN | CELL_FUTURE_SEEN)
    if seen and closed:
        sign = look.say(MIXED) if look.glyphs is UNICODE else "+"
    else:
        sign = signs.open if seen else signs.closed if closed else " "
    style = SEEN if seen else BLOCKED if bits & CELL_BLOCKED else QUIET
    if not bits & CELL_FUTURE_SEEN:
        return Text(sign.rjust(width), style=style)
    return Text.assemble(" " * (width - len(sign) - 1), (f"!{sign}", FUTURE))


def _legend(cells: Tensor, signs: _Signs, width: int, look: Look) -> list[Text]:
    entries = [
        Text.assemble((signs.open, SEEN), (f" {signs.words[0]}", QUIET)),
        Text.assemble((signs.closed, BLOCKED), (f" {signs.words[1]}", QUIET)),
    ]
    seen = cells & (CELL_SEEN | CELL_FUTURE_SEEN)
    if bool(((seen > 0) & (cells != seen)).any()):
        sign = MIXED if look.glyphs is UNICODE else "+"
        entries.append(Text(f"{sign} some of each", style=QUIET))
    if bool((cells & CELL_FUTURE_SEEN).any()):
        entries.append(Text.assemble((f"!{signs.open}", FUTURE), (" LATER TOKEN VISIBLE", BAD)))
    return flow(entries, "   ", width)


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.records import CELL_FUTURE_BLOCKED

    words = ("The", "cat", "sat", "on", "mat")
    demo_tokens = Tokens(ids=(0, 1, 2, 3, 4), texts=words, labels=words, special=(False,) * 5)
    ones = torch.ones(5, 5, dtype=torch.uint8)
    demo_cells = ones.tril() * CELL_SEEN + ones.triu(1) * CELL_FUTURE_BLOCKED
    demo = MaskMap(layers=(), form="causal", cells=demo_cells, pool=1, notes=())
    for demo_form in _SIGNS:
        Console().print(mask_form(demo, demo_tokens, demo_form))

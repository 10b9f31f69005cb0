"""One delivered mask as a table: which query may see which key."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import UInt8
from rich.console import Group, RenderableType
from rich.text import Text
from torch import Tensor

from attnscope.records import (
    CELL_BLOCKED,
    CELL_FUTURE_BLOCKED,
    CELL_FUTURE_SEEN,
    CELL_SEEN,
    MaskMap,
    Tokens,
)
from attnscope.render import grid
from attnscope.render.flow import flow
from attnscope.render.palette import (
    BAD,
    BLOCKED,
    CAUTION,
    FUTURE,
    GOOD,
    QUIET,
    SEEN,
    STRONG,
    Fitted,
    Look,
    counted,
)
from attnscope.text import pad, ranges

BITS = (CELL_SEEN, CELL_BLOCKED, CELL_FUTURE_SEEN, CELL_FUTURE_BLOCKED)
MEANINGS = (
    ("seen", (CELL_SEEN,)),
    ("blocked", (CELL_BLOCKED, CELL_BLOCKED | CELL_FUTURE_BLOCKED)),
    ("later, blocked", (CELL_FUTURE_BLOCKED,)),
    ("seen up to the diagonal", (CELL_SEEN | CELL_FUTURE_BLOCKED,)),
    ("partly seen", (CELL_SEEN | CELL_BLOCKED, CELL_SEEN | CELL_BLOCKED | CELL_FUTURE_BLOCKED)),
)
"""What the quiet glyphs say, and the cells that show them."""


def mask_table(mask: MaskMap, tokens: Tokens) -> RenderableType:
    """The mask as a table with one row a query, pooled to its worst cells where it is large."""
    return Fitted(lambda width, look: _draw(mask, tokens, width, look))


def pooled(cells: UInt8[Tensor, "query key"], factor: int) -> UInt8[Tensor, "row column"]:
    """The map with `factor` x `factor` cells joined by bitwise OR: the worst one always stays."""
    return grid.joined(cells, factor, BITS)


def layer_ranges(layers: Iterable[int]) -> str:
    """Layers as words: `layer 2`, `layers 0–3, 5`."""
    words = ranges(layers).replace("-", "–")
    return f"layer {words}" if words.isdigit() else f"layers {words}"


def _draw(mask: MaskMap, tokens: Tokens, width: int, look: Look) -> RenderableType:
    tokens = look.read(tokens)
    layout = grid.picture(tuple(mask.cells.shape), mask.pool, tokens, width)
    cells = pooled(mask.cells.cpu(), layout.factor)
    rows, columns = cells.shape
    align = "^" if layout.cell > 3 else ">"
    lines = [title(mask, look), grid.ruler(layout, columns, align)]
    if layout.cell > 3:
        lines.append(grid.names(tokens.labels, layout, look, align))
    start = grid.first_query(mask.cells, mask.pool)
    for row in range(rows):
        line = grid.row_label(tokens, start + row * layout.pool, layout, look)
        for bits in cells[row].tolist():
            line.append_text(_cell(bits, layout.cell, look))
        line.rstrip()
        lines.append(line)
    note = Text(look.say(grid.scale_note(layout)), style=QUIET)
    lines += [Text(), *_legend(cells, layout.cell, width, look), note, verdict(mask, tokens, look)]
    lines += [Text(look.say(note), style=CAUTION) for note in mask.notes]
    return Group(*lines)


def title(mask: MaskMap, look: Look) -> Text:
    """Which layers share the mask and how it arrived, or its words where no model was asked."""
    if not mask.layers:
        return Text(look.say(mask.form), style=STRONG)
    layers = layer_ranges(mask.layers)
    return Text.assemble((look.say(layers), STRONG), (look.say(f" · {mask.form}"), QUIET))


def _appearance(bits: int, look: Look) -> tuple[str, str]:
    """Glyph and style of a cell; a visible later token outshouts everything else in it."""
    glyphs = look.glyphs
    if bits & CELL_FUTURE_SEEN:
        return "!", FUTURE
    return {
        0: (" ", ""),
        CELL_SEEN: (glyphs.seen, SEEN),
        CELL_BLOCKED: (glyphs.blocked, BLOCKED),
        CELL_BLOCKED | CELL_FUTURE_BLOCKED: (glyphs.blocked, BLOCKED),
        CELL_FUTURE_BLOCKED: (glyphs.later, QUIET),
        CELL_SEEN | CELL_FUTURE_BLOCKED: (glyphs.diagonal, SEEN),
    }.get(bits, (glyphs.partly, SEEN))


def _cell(bits: int, width: int, look: Look) -> Text:
    glyph, style = _appearance(bits, look)
    if glyph == "!":
        return Text(pad("!" * min(width, 2), width, "^"), style=style)
    align = {1: "<", 2: "<", 3: ">"}.get(width, "^")
    return Text(pad(glyph, width, align), style=style)


def _legend(cells: Tensor, cell: int, width: int, look: Look) -> list[Text]:
    """What the glyphs in this table mean."""
    present = set(cells.flatten().tolist())
    entries = []
    for meaning, kinds in MEANINGS:
        if present & set(kinds):
            entries.append(Text.assemble(_appearance(kinds[0], look), (f" {meaning}", QUIET)))
    if any(bits & CELL_FUTURE_SEEN for bits in present):
        sign = "!" * min(cell, 2)
        entries.append(Text.assemble((sign, FUTURE), (" LATER TOKEN SEEN", BAD)))
    return flow(entries, "   ", width)


def verdict(mask: MaskMap, tokens: Tokens, look: Look) -> Text:
    """What the mask says about later tokens, from the record's own cells."""
    cells = mask.cells.cpu()
    later = int(((cells & (CELL_FUTURE_SEEN | CELL_FUTURE_BLOCKED)) > 0).sum())
    leaking = ((cells & CELL_FUTURE_SEEN) > 0).nonzero().tolist()
    cells_there = f"{counted(later, 'cell')} above the diagonal"
    if mask.pool > 1:
        cells_there = f"{counted(later, 'square')} of {mask.pool} × {mask.pool} with later tokens"
    if not later:
        return Text(look.say("no cell lies above the diagonal"), style=QUIET)
    if not leaking:
        words = f" no later token is open ({cells_there})"
        return Text.assemble((look.glyphs.good, GOOD), (look.say(words), ""))
    verb = "is" if len(leaking) == 1 else "are"
    first = "" if len(leaking) == 1 else "the first: "
    words = f" {len(leaking):,} of {cells_there} {verb} open: {first}"
    words += _where(mask, tokens, leaking[0])
    return Text(look.say(look.glyphs.bad + words), style=BAD)


def _where(mask: MaskMap, tokens: Tokens, cell: list[int]) -> str:
    row, column = cell
    query = grid.first_query(mask.cells, mask.pool) + row * mask.pool
    key = column * mask.pool
    if mask.pool == 1:
        return f"{grid.label_at(tokens, query)} ({query}) sees {grid.label_at(tokens, key)} ({key})"
    return f"a query from {query} on sees a later key from {key} on"


if __name__ == "__main__":
    from rich.console import Console

    words = ("The", "cat", "sat", "on", "mat")
    demo_tokens = Tokens(ids=(0, 1, 2, 3, 4), texts=words, labels=words, special=(False,) * 5)
    ones = torch.ones(5, 5, dtype=torch.uint8)
    demo_cells = ones.tril() * CELL_SEEN + ones.triu(1) * CELL_FUTURE_BLOCKED
    demo_cells[1, 3] = CELL_FUTURE_SEEN
    demo = MaskMap(layers=(0, 1, 3), form="boolean tensor", cells=demo_cells, pool=1, notes=())
    Console().print(mask_table(demo, demo_tokens))

"""Two masks held against each other, cell by cell."""

from __future__ import annotations

import torch
from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import (
    DIFF_BOTH,
    DIFF_FIRST,
    DIFF_NEITHER,
    DIFF_SECOND,
    MaskDiff,
    Tokens,
)
from attnscope.render import grid
from attnscope.render.flow import flow
from attnscope.render.hanging import hanging
from attnscope.render.palette import CAUTION, GOOD, QUIET, STRONG, Fitted, Look, counted
from attnscope.text import pad

FIRST, SECOND = "bold black on cyan", "bold black on yellow"
BITS = (DIFF_BOTH, DIFF_NEITHER, DIFF_FIRST, DIFF_SECOND)


def mask_diff(diff: MaskDiff, tokens: Tokens) -> RenderableType:
    """A table whose cells say which of the two masks leaves them open: A, B, both or neither."""
    return Fitted(lambda width, look: Group(*_draw(diff, tokens, width, look)))


def _draw(diff: MaskDiff, tokens: Tokens, width: int, look: Look) -> list[Text]:
    tokens = look.read(tokens)
    layout = grid.picture(tuple(diff.cells.shape), diff.pool, tokens, width)
    cells = grid.joined(diff.cells.cpu(), layout.factor, BITS)
    align = "^" if layout.cell > 3 else ">"
    lines = [
        *hanging(Text.assemble(("A", FIRST), " "), look.say(diff.first), width),
        *hanging(Text.assemble(("B", SECOND), " "), look.say(diff.second), width),
        Text(),
        grid.ruler(layout, cells.shape[1], align),
    ]
    if layout.cell > 3:
        lines.append(grid.names(tokens.labels, layout, look, align))
    for row, bits in enumerate(cells.tolist()):
        line = grid.row_label(tokens, row * layout.pool, layout, look)
        for each in bits:
            line.append_text(_cell(each, layout.cell, look))
        line.rstrip()
        lines.append(line)
    lines += [Text(), *_legend(cells, width, look)]
    lines.append(Text(look.say(grid.scale_note(layout)), style=QUIET))
    return [*lines, _summary(diff, tokens, look)]


def _appearance(bits: int, look: Look) -> tuple[str, str]:
    """A cell that stands for several shows that any of them differs."""
    if bits & DIFF_FIRST and bits & DIFF_SECOND:
        return "X", STRONG
    if bits & DIFF_FIRST:
        return "A", FIRST
    if bits & DIFF_SECOND:
        return "B", SECOND
    return (look.glyphs.seen, QUIET) if bits & DIFF_BOTH else (look.glyphs.later, QUIET)


def _cell(bits: int, width: int, look: Look) -> Text:
    glyph, style = _appearance(bits, look) if bits else (" ", "")
    align = {1: "<", 2: "<", 3: ">"}.get(width, "^")
    drawn = pad(glyph, width, align)
    place = len(drawn) - len(drawn.lstrip())
    return Text.assemble(drawn[:place], (glyph, style), drawn[place + len(glyph) :])


def _legend(cells: torch.Tensor, width: int, look: Look) -> list[Text]:
    meanings = (
        (DIFF_FIRST, "only A leaves it open"),
        (DIFF_SECOND, "only B leaves it open"),
        (DIFF_FIRST | DIFF_SECOND, "some only A, some only B"),
        (DIFF_BOTH, "both do"),
        (DIFF_NEITHER, "neither does"),
    )
    shown = {_appearance(bits, look)[0] for bits in set(cells.flatten().tolist()) if bits}
    entries = [
        Text.assemble(_appearance(bits, look), (f" {words}", QUIET))
        for bits, words in meanings
        if _appearance(bits, look)[0] in shown
    ]
    return flow(entries, "   ", width)


def _summary(diff: MaskDiff, tokens: Tokens, look: Look) -> Text:
    total = counted(len(tokens) ** 2, "cell")
    if not diff.differing:
        return Text.assemble((look.glyphs.good, GOOD), look.say(f" the same in all {total}"))
    verb = "differs" if diff.differing == 1 else "differ"
    words = f"{diff.differing:,} of {total} {verb}"
    if diff.pool == 1:
        row, column = (diff.cells & (DIFF_FIRST | DIFF_SECOND)).nonzero()[0].tolist()
        which = "A" if int(diff.cells[row, column]) & DIFF_FIRST else "B"
        names = [f"{grid.label_at(tokens, place)} ({place})" for place in (row, column)]
        words += f", the first: only in {which}, {names[0]} sees {names[1]}"
    return Text(look.say(words), style=CAUTION)


if __name__ == "__main__":
    from rich.console import Console

    words = ("The", "cat", "sat")
    demo_tokens = Tokens(ids=(0, 1, 2), texts=words, labels=words, special=(False,) * 3)
    demo_cells = torch.tensor([[1, 2, 2], [1, 1, 8], [4, 1, 1]], dtype=torch.uint8)
    demo = MaskDiff(first="causal", second="other", cells=demo_cells, pool=1, differing=2)
    Console().print(mask_diff(demo, demo_tokens))

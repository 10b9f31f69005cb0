"""One head's weights under its own mask minus those under another one."""

from __future__ import annotations

from math import isfinite

import torch
from jaxtyping import Float
from rich.console import Group, RenderableType
from rich.text import Text
from torch import Tensor

from attnscope.records import Tokens
from attnscope.render import grid
from attnscope.render.flow import flow
from attnscope.render.palette import CAUTION, QUIET, STRONG, Fitted, Look

MORE, LESS = "cyan", "yellow"
DECIMALS, PERCENT = 8, 4
"""Terminal cells of a signed weight with four decimals, and of a signed whole percentage."""
TEXTBOOK = 12
"""Up to this many keys show four decimals."""
SMALL = 0.005
"""Differences below this are drawn as small."""


def difference_map(
    difference: Float[Tensor, "query key"], pool: int, tokens: Tokens, title: str
) -> RenderableType:
    """Signed differences, one row a query."""
    return Fitted(lambda width, look: Group(*_draw(difference, pool, tokens, title, (width, look))))


def _draw(
    difference: Tensor, pool: int, tokens: Tokens, title: str, fitted: tuple[int, Look]
) -> list[Text]:
    width, look = fitted
    tokens = look.read(tokens)
    shape = tuple(difference.shape)
    sizes = [DECIMALS] * (pool == 1 and shape[1] <= TEXTBOOK) + [PERCENT, 2, 1]
    layout = grid.lay_out_tokens(shape, pool, tokens, width, (sizes, sizes))
    # a row of a pooled cell is a mean over its queries, a column a sum over its keys
    queries = torch.ones(shape[0], 1)
    cells = grid.tiles(difference, layout.factor).sum(dim=(2, 3))
    cells = cells / grid.tiles(queries, layout.factor).sum(dim=(2, 3))
    lines = [Text(look.say(title), style=STRONG), grid.ruler(layout, cells.shape[1])]
    if layout.cell == DECIMALS:
        lines.append(grid.names(tokens.labels, layout, look))
    for row, values in enumerate(cells.tolist()):
        line = grid.row_label(tokens, row * layout.pool, layout, look)
        for value in values:
            line.append_text(_cell(value, layout.cell, look))
        lines.append(line)
    return [*lines, Text(), *_legend(layout, width, look)]


def _cell(value: float, width: int, look: Look) -> Text:
    if not isfinite(value):
        return Text("?".rjust(width), style=CAUTION)
    if value == 0:
        return Text(look.glyphs.zero.rjust(width), style=QUIET)
    sign, style = ("+", MORE) if value > 0 else ("-", LESS)
    if width == DECIMALS:
        words = f"{sign}{abs(value):.4f}".replace("0.", ".", 1)
        return Text(words.rjust(width), style=style if abs(value) >= 0.00005 else QUIET)
    if abs(value) <= SMALL:
        return Text(look.glyphs.shades[0].rjust(width), style=QUIET)
    words = sign if width < PERCENT else f"{sign}{min(round(abs(value) * 100), 99)}"
    return Text(words.rjust(width), style=style)


def _legend(layout: grid.Layout, width: int, look: Look) -> list[Text]:
    entries = [
        Text.assemble(("+", MORE), (" more weight with the model's own mask", QUIET)),
        Text.assemble(("-", LESS), (" less", QUIET)),
        Text(f"{look.glyphs.zero} the same", style=QUIET),
    ]
    if layout.cell < DECIMALS:
        entries.append(Text(look.say(f"{look.glyphs.shades[0]} under half a percent"), style=QUIET))
    if layout.cell == PERCENT:
        entries.append(Text("in percent", style=QUIET))
    return flow(entries, "   ", width)


if __name__ == "__main__":
    from rich.console import Console

    words = ("The", "cat")
    demo_tokens = Tokens(ids=(0, 1), texts=words, labels=words, special=(False,) * 2)
    demo = torch.tensor([[0.25, -0.25], [0.0, 0.0]]).double()
    Console().print(difference_map(demo, 1, demo_tokens, "own minus other"))

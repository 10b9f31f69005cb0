"""What the mask table and the heatmap share: how a matrix of tokens fits a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Shaped, UInt8
from rich.cells import cell_len
from rich.text import Text
from torch import Tensor
from torch.nn.functional import pad as pad_tensor

from attnscope.records import Tokens
from attnscope.render.palette import QUIET, Look
from attnscope.text import fit, pad

TALLEST = 48
"""Rows of the largest table; more would scroll its own headings away."""
NAMED_COLUMNS = 12
"""Wider pictures show indices only over their columns: names would pull the cells apart."""
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a matrix is laid out: further pooling, and the terminal cells of each part."""

    pool: int
    """Tokens along one side of a printed cell, the record's own pooling included."""
    factor: int
    """Record cells along one side of a printed cell."""
    cell: int
    """Terminal cells of one column."""
    labels: int
    """Terminal cells of the row labels."""


def lay_out(shape: tuple[int, ...], pool: int, width: int, labels: int, cells: list[int]) -> Layout:
    """The finest layout that fits; `cells` are the column widths to try, widest first."""
    factor = 1
    room = max(width - labels, 1)
    while True:
        rows, columns = (max(-(-size // factor), 1) for size in shape)
        sizes = [size for size in cells if size * columns <= room]
        if sizes and rows <= TALLEST:
            return Layout(pool * factor, factor, sizes[0], labels)
        factor *= 2


def lay_out_tokens(
    shape: tuple[int, ...],
    pool: int,
    tokens: Tokens,
    width: int,
    cells: tuple[list[int], list[int]],
) -> Layout:
    """The finest layout that fits beside the tokens' labels; `cells` are the column widths to try
    as it is, and those where more tokens have to share a cell.
    """
    layout = lay_out(shape, pool, width, label_width(tokens, pool, width), cells[0])
    if layout.factor == 1:
        return layout
    return lay_out(shape, pool, width, label_width(tokens, layout.pool, width), cells[1])


def picture(shape: tuple[int, ...], pool: int, tokens: Tokens, width: int) -> Layout:
    """The layout of a matrix of glyphs: with names over its columns where it is small."""
    sizes = [3, 2, 1] if pool == 1 else [2, 1]
    if pool == 1 and len(tokens) <= NAMED_COLUMNS:
        longest = max((cell_len(label) for label in tokens.labels), default=1)
        sizes = [min(max(longest, 3), 8) + 2, *sizes]
    return lay_out_tokens(shape, pool, tokens, width, (sizes, [2, 1]))


def tiles(
    cells: Shaped[Tensor, "query key"], factor: int
) -> Shaped[Tensor, "row column inner_row inner_column"]:
    """The matrix cut into squares of `factor` cells: (row, column, inside row, inside column).

    Squares at the edge are filled up with zeros.
    """
    rows, columns = (-(-size // factor) for size in cells.shape)
    missing = (0, columns * factor - cells.shape[1], 0, rows * factor - cells.shape[0])
    filled = pad_tensor(cells, missing)
    return filled.reshape(rows, factor, columns, factor).transpose(1, 2)


def joined(
    cells: UInt8[Tensor, "query key"], factor: int, bits: tuple[int, ...]
) -> UInt8[Tensor, "row column"]:
    """Squares of `factor` x `factor` cells as one: a bit is set where any of them has it."""
    squares = tiles(cells, factor)
    result = torch.zeros(squares.shape[:2], dtype=torch.uint8)
    for bit in bits:
        present = ((squares & bit) > 0).flatten(2).any(dim=2)
        result |= present.to(torch.uint8) * bit
    return result


def label_width(tokens: Tokens, pool: int, width: int) -> int:
    """Terminal cells for the row labels of a matrix over these tokens."""
    digits = len(str(max(len(tokens) - 1, 0)))
    if pool > 1:
        return 2 * digits + 3
    longest = max((cell_len(label) for label in tokens.labels), default=1)
    return digits + 3 + min(longest, max(width // 6, 5))


def first_query(cells: Shaped[Tensor, "query key"], pool: int) -> int:
    """The position of the first row; with a cache the last query meets the last key."""
    rows, columns = cells.shape
    return max(columns - rows, 0) * pool


def label_at(tokens: Tokens, position: int) -> str:
    """The label at a position; `?` beyond the prompt, where a model adds keys of its own."""
    return tokens.labels[position] if position < len(tokens) else "?"


def row_label(tokens: Tokens, first: int, layout: Layout, look: Look) -> Text:
    """The index and label of one query, or the range of queries that a row stands for."""
    digits = len(str(max(len(tokens) - 1, 0)))
    if layout.pool == 1:
        name = fit(label_at(tokens, first), layout.labels - digits - 3, look.glyphs.ellipsis)
        line = Text.assemble((f"{first:>{digits}} ", QUIET), name)
    else:
        last = min(first + layout.pool, max(len(tokens), first + 1)) - 1
        line = Text(look.say(f"{first:>{digits}}–{last:<{digits}}"), style=QUIET)
    line.append(" " * (layout.labels - line.cell_len))
    return line


def ruler(layout: Layout, columns: int, align: str = ">", first: int = 0) -> Text:
    """Token indices over the columns from `first` on, as many as have room; `align` places them in
    their column where every column has one.
    """
    last = first + (columns - 1) * layout.pool
    needed = len(str(last)) + 1
    step = next((step for step in STEPS if step * layout.cell >= needed), columns)
    line = " " * layout.labels
    for column in range(0, columns, step):
        number = str(first + column * layout.pool)
        if step == 1:
            line += pad(number, layout.cell, align)
        elif column + step < columns or len(number) <= layout.cell * (columns - column):
            line += number.ljust(layout.cell * step)
    return Text(line.rstrip(), style=QUIET)


def names(labels: Sequence[str], layout: Layout, look: Look, align: str = ">") -> Text:
    """Token labels over the columns."""
    cut = (fit(label, layout.cell - 1, look.glyphs.ellipsis) for label in labels)
    line = "".join(pad(name, layout.cell, align) for name in cut)
    return Text((" " * layout.labels + line).rstrip())


def scale_note(layout: Layout) -> str:
    """What one printed cell stands for."""
    if layout.pool == 1:
        return "row = query, column = key"
    return f"row = query, column = key, one cell = {layout.pool} × {layout.pool} tokens"

"""A block of rows of one call: what all of its heads share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from attnscope.measure.lookups import Occurrences
from attnscope.measure.row_parts import Problem

_FEW = 1 / 8
"""With repeats in a larger share of the cells, comparing is cheaper than looking up."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Cells of a block, one by one."""

    row: Int[Tensor, " cell"]
    """From 0 at the block's first row."""
    cell: Int[Tensor, " cell"]
    """Counted along the block's rows."""

    def weigh(self, weights: Tensor, total: Tensor) -> None:
        """Add the weight on these cells, (head, row, key), to the zeros of (head, row)."""
        if len(self.cell):
            total.index_add_(1, self.row, weights.flatten(1).index_select(1, self.cell))


@dataclass(frozen=True, slots=True)
class Marked:
    """Cells of a block, as booleans."""

    cells: Bool[Tensor, "row key"]

    def weigh(self, weights: Tensor, total: Tensor) -> None:
        """Add the weight on these cells, (head, row, key), to the zeros of (head, row)."""
        total += (weights * self.cells).sum(dim=-1)


@dataclass(frozen=True, slots=True)
class Block:
    """Rows start..stop-1 over the keys first..past-1."""

    start: int
    stop: int
    first: int
    past: int
    closed: tuple[tuple[int, int, Tensor], ...]
    """As `Openness.closed` gives them."""
    blind: Bool[Tensor, "mask_head row"] | None
    """Rows that see no key; None where all see some."""
    ahead: bool
    """False where no row sees a key after its own position."""
    duplicate: Listed | Marked
    """Earlier occurrences of each row's token."""
    induction: Listed | Marked
    """What follows these, before the row's own position."""

    @property
    def columns(self) -> int:
        """Number of keys."""
        return self.past - self.first


def block_of(problem: Problem, start: int, stop: int) -> Block:
    """The rows start..stop-1 over the keys that any of them can see."""
    first, past = problem.open.columns(start, stop)
    closed = tuple(problem.open.closed(start, stop, first, past - first))
    rows = (start + problem.offset, stop + problem.offset)
    blind = problem.open.blind(start, stop)
    ahead = problem.open.ahead(start, stop)
    find = _listed if _few(problem.occurrences, rows, past - first) else _marked
    repeats = find(problem.occurrences, rows, (first, past))
    return Block(start, stop, first, past, closed, blind, ahead, *repeats)


def _few(occurrences: Occurrences, rows: tuple[int, int], keys: int) -> bool:
    return occurrences.count(*rows) <= _FEW * (rows[1] - rows[0]) * keys


def _listed(
    occurrences: Occurrences, rows: tuple[int, int], keys: tuple[int, int]
) -> tuple[Listed, Listed]:
    row, key = occurrences.pairs(*rows)
    cell = row * (keys[1] - keys[0]) + key - keys[0]
    follows = (key + 1 >= keys[0]) & (key + 1 < torch.clamp(row + rows[0], max=keys[1]))
    found = Listed(row, cell)
    if keys[0] > 0 or keys[1] < rows[1]:
        inside = (key >= keys[0]) & (key < keys[1])
        found = Listed(row[inside], cell[inside])
    return found, Listed(row[follows], cell[follows] + 1)


def _marked(
    occurrences: Occurrences, rows: tuple[int, int], keys: tuple[int, int]
) -> tuple[Marked, Marked]:
    ids = occurrences.ids
    position = torch.arange(*rows, device=ids.device)[:, None]
    key = torch.arange(*keys, device=ids.device)
    same = ids[key] == ids[position]
    follows = (ids[(key - 1).clamp(min=0)] == ids[position]) & (key > 0)
    return Marked(same & (key < position)), Marked(follows & (key < position))

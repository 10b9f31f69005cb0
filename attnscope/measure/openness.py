"""Which cells of one call are open, in a form that a block of rows can skip by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from attnscope.masks import PENALTY, Mask
from attnscope.measure.attention import OUT_OF_REACH
from attnscope.records import AttentionCall

CLOSED = -1e30
"""Score of a closed cell: finite, so that its product with a weight of 0 is 0 and no NaN."""

_ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """The keys that each row sees: low <= key < high, and 0 <= low <= high <= keys.

    Causal masks, sliding windows, chunks, packed documents and left pads are all of this form. A
    row with low == high sees nothing.
    """

    low: Int[Tensor, " row"]
    """The first key in sight."""
    high: Int[Tensor, " row"]
    """Past the last key in sight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Openness:
    """Open cells by row: one stretch of keys where all rows have one, else the mask's cells."""

    rows: int
    keys: int
    mask: Mask
    spans: Spans | None
    """None where rows are no single stretches."""
    visible: Int[Tensor, " row"]
    """Number of open keys; where heads differ, the largest."""
    everywhere: bool
    """True where closed cells have finite penalties that a score could beat: none is skipped."""

    def same_as(self, other: Openness) -> bool:
        """True where both are known to open the same cells, by their spans."""
        if self.spans is None or other.spans is None:
            return False
        sizes = (self.keys, self.everywhere) == (other.keys, other.everywhere)
        return (
            sizes
            and torch.equal(self.spans.low, other.spans.low)
            and torch.equal(self.spans.high, other.spans.high)
        )

    def columns(self, start: int, stop: int) -> tuple[int, int]:
        """(first, past the last) key that any of these rows can reach."""
        if self.everywhere:
            return 0, self.keys
        if self.spans is not None:
            first = int(self.spans.low[start:stop].min())
            return first, max(int(self.spans.high[start:stop].max()), first + 1)
        reached = self._cells(start, stop).flatten(0, 1).any(dim=0).nonzero()
        return (int(reached[0]), int(reached[-1]) + 1) if len(reached) else (0, 1)

    def closed(
        self, start: int, stop: int, first: int, count: int
    ) -> Iterator[tuple[int, int, Bool[Tensor, "mask_head row column"]]]:
        """Where closed cells are among the `count` keys from `first` on.

        Yields (low, high, cells): columns low..high-1, counted from `first`, hold closed cells, and
        these are they; columns that are never named hold none.
        """
        if self.spans is None:
            yield 0, count, ~self._cells(start, stop)[..., first : first + count]
            return
        begin, end = self.spans.low[start:stop] - first, self.spans.high[start:stop] - first
        low, high = min(int(begin.max()), count), max(int(end.min()), 0)
        edges = [(0, low), (high, count)] if low < high else [(0, count)]
        for left, right in edges:
            if left < right:
                column = torch.arange(left, right, device=begin.device)
                yield left, right, ((column < begin[:, None]) | (column >= end[:, None]))[None]

    def blind(self, start: int, stop: int) -> Bool[Tensor, "mask_head row"] | None:
        """The rows that see no key; None where all of them see some."""
        if self.spans is not None:
            none = (self.visible[start:stop] == 0)[None]
        else:
            none = ~self._cells(start, stop).any(dim=-1)
        return none if bool(none.any()) else None

    def next_seen(self, offset: int) -> Bool[Tensor, " row"]:
        """True for rows that see the key after their own; where heads differ, in any of them.

        `offset` is the position of row 0 among the keys.
        """
        following = torch.arange(self.rows, device=self.visible.device) + offset + 1
        if self.spans is not None:
            return (self.spans.low <= following) & (following < self.spans.high)
        found = torch.zeros_like(following, dtype=torch.bool)
        for start in range(0, self.rows, _ROWS_AT_ONCE):
            cells = self._cells(start, min(start + _ROWS_AT_ONCE, self.rows))
            diagonal = cells.diagonal(start + offset + 1, dim1=-2, dim2=-1).any(dim=0)
            found[start : start + len(diagonal)] = diagonal
        return found

    def ahead(self, start: int, stop: int) -> bool:
        """False where these rows are known to see no key after their own position."""
        if self.spans is None or self.everywhere:
            return True
        high = self.spans.high[start:stop]
        position = torch.arange(start, stop, device=high.device) + self.keys - self.rows
        return bool((high > position + 1).any())

    def _cells(self, start: int, stop: int) -> Tensor:
        return self.mask.rows(start, stop, self.keys, self.visible.device)[0]


def openness(call: AttentionCall, device: torch.device) -> Openness:
    """The open cells of a call's first batch row, on `device`."""
    rows, keys = call.queries, call.keys
    spans = _spans(call.mask, rows, keys, device)
    counted = _counted(call.mask, rows, keys, device) if spans is None else spans.high - spans.low
    return Openness(
        rows=rows,
        keys=keys,
        mask=call.mask,
        spans=spans,
        visible=counted,
        everywhere=any(_beatable(term) for term in call.bias),
    )


def _spans(mask: Mask, rows: int, keys: int, device: torch.device) -> Spans | None:
    """Each row's open stretch; None where a row has several, or heads differ."""
    if mask.spans is not None:
        first, past = mask.spans(torch.arange(rows, device=device))
        first = first.clamp(0, keys)
        return Spans(low=first, high=torch.maximum(past.clamp(0, keys), first))
    if mask.heads > 1:
        return None
    starts, stops = [], []
    for start in range(0, rows, _ROWS_AT_ONCE):
        cells = mask.rows(start, min(start + _ROWS_AT_ONCE, rows), keys, device)[0, 0]
        begins = cells.clone()
        begins[:, 1:] &= ~cells[:, :-1]
        if int(begins.sum(dim=-1).max()) > 1:
            return None
        starts.append(begins.to(torch.uint8).argmax(dim=-1))
        stops.append(starts[-1] + cells.sum(dim=-1))
    return Spans(low=torch.cat(starts), high=torch.cat(stops))


def _counted(mask: Mask, rows: int, keys: int, device: torch.device) -> Tensor:
    blocks = [
        mask.rows(start, min(start + _ROWS_AT_ONCE, rows), keys, device)[0].sum(dim=-1).amax(dim=0)
        for start in range(0, rows, _ROWS_AT_ONCE)
    ]
    return torch.cat(blocks)


def _beatable(term: Tensor) -> bool:
    return bool(((term <= PENALTY) & (term > OUT_OF_REACH)).any())

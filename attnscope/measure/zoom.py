"""One head's weights over a long text, whole or in part, in a grid that is small enough to keep."""

from __future__ import annotations

import torch
from torch import Tensor

from attnscope.measure.attention import weight_rows
from attnscope.measure.pooling import pool_size
from attnscope.measure.trace import one_head
from attnscope.records import AttentionCall, HeadFocus, HeadView

_ROWS_AT_ONCE = 128


class Zoom:
    """The weights of one head between some queries and some keys, in float64, window by window.

    Rows are pooled before columns, so that no row of all keys is kept.
    """

    def __init__(self, head: int, rows: tuple[int, int], keys: tuple[int, int]) -> None:
        self._head, self._rows, self._keys = head, rows, keys
        sizes = (rows[1] - rows[0], keys[1] - keys[0])
        self._pool = pool_size(max(sizes))
        shape = tuple(-(-size // self._pool) for size in sizes)
        self._sums = torch.zeros(shape, dtype=torch.float64)
        self._future = torch.zeros(shape, dtype=torch.bool)

    def add(self, call: AttentionCall, start: int) -> None:
        """Count a call over the window that begins at position `start`."""
        first = max(self._rows[0] - start, 0)
        last = min(self._rows[1] - start, call.queries)
        if first >= last or start >= self._keys[1] or start + call.keys <= self._keys[0]:
            return
        single = one_head(call, self._head)
        for begin in range(first, last, _ROWS_AT_ONCE):
            self._count(single, begin, min(begin + _ROWS_AT_ONCE, last), start)

    def _count(self, single: AttentionCall, begin: int, stop: int, start: int) -> None:
        weights = weight_rows(single, begin, stop).weights[0].cpu()
        columns = slice(max(self._keys[0] - start, 0), self._keys[1] - start)
        position = torch.arange(begin, stop)[:, None] + single.offset
        ahead = (weights > 0) & (torch.arange(weights.shape[1]) > position)
        row = (torch.arange(begin, stop) + start - self._rows[0]) // self._pool
        key = torch.arange(weights.shape[1])[columns] + start - self._keys[0]
        cells = (row, key // self._pool)
        self._sums += self._pooled(weights[:, columns], *cells)
        self._future |= self._pooled(ahead[:, columns].double(), *cells) > 0

    def _pooled(self, cells: Tensor, row: Tensor, column: Tensor) -> Tensor:
        of_rows = cells.new_zeros(self._sums.shape[0], cells.shape[1]).index_add_(0, row, cells)
        return torch.zeros_like(self._sums).index_add_(1, column, of_rows)

    def view(self, focus: HeadFocus) -> HeadView:
        """What was counted, as a mean over queries and a sum over keys."""
        count = self._rows[1] - self._rows[0]
        begin = torch.arange(self._sums.shape[0]) * self._pool
        queries = (count - begin).clamp(max=self._pool)
        return HeadView(
            layer=focus.layer,
            head=focus.head,
            reason=f"{focus.role}, score {focus.role_score:.2f}",
            verified=focus.verified,
            difference=focus.difference,
            weights=self._sums / queries[:, None],
            future=self._future,
            pool=self._pool,
            origin=(self._rows[0], self._keys[0]),
        )

"""Per-head focus statistics in bounded memory.

One block of weight rows after the other is counted and dropped; nothing of size query x key for
all heads ever exists.
"""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from attnscope.measure.attention import Rows, exact, row_blocks, weight_rows
from attnscope.measure.call_focus import CallFocus, Means
from attnscope.measure.future import FutureTally
from attnscope.measure.match import MatchTally
from attnscope.measure.statistics import row_statistics
from attnscope.records import AttentionCall, HeadFocus


class FocusTally:
    """Sums over the query rows of one call, from which the means are made at the end."""

    def __init__(self, call: AttentionCall, ids: Int[Tensor, " key"]) -> None:
        device = exact(call.output[:0]).device
        self._call = call
        self._ids = ids.to(device)
        self._means = Means()
        self._received = torch.zeros(call.heads, call.keys, dtype=torch.float64, device=device)
        self._future = FutureTally(call.heads, device)
        self._own_future = FutureTally(call.heads, device)
        self.match = MatchTally(call, device)
        """How well the recomputed output matches the kernel's."""

    def add(self, rows: Rows) -> None:
        """Count the rows of one block."""
        index = torch.arange(rows.start, rows.stop, device=rows.weights.device)
        position = index + self._call.offset
        sees = rows.allowed.any(dim=-1).any(dim=0)
        self._means.add(row_statistics(rows, position, self._ids), sees)
        self._received[:, : rows.columns] += (rows.weights * sees[:, None]).sum(dim=1)
        self._future.add(rows.weights, position, sees, rows.start)
        if self._call.weights is not None:
            own = exact(self._call.weights[0, :, rows.start : rows.stop])
            self._own_future.add(own, position, sees, rows.start)
        self.match.add(rows)

    def future(self, head: int) -> tuple[float, int, int]:
        """(weight, query, key) of the largest weight that a head puts on a later key.

        The kernel's own weights count beside the recomputed ones, and alone where those do not
        reproduce its output.
        """
        sides = [self._future, self._own_future]
        if self._call.weights is not None and not self.match.verified(head):
            sides = [self._own_future]
        side = max(sides, key=lambda one: float(one.largest[head]))
        query, key = (int(place) for place in side.at[head])
        return float(side.largest[head]), query, key

    def result(self) -> tuple[HeadFocus, ...]:
        """One record a head."""
        return self.counted().result()

    def counted(self) -> CallFocus:
        """What was counted so far."""
        heads = range(self._call.heads)
        return CallFocus(
            layer=self._call.layer,
            heads=self._call.heads,
            group=self._call.heads // self._call.value.shape[1],
            means=self._means,
            match=self.match.result(),
            future=torch.tensor([self.future(head)[0] for head in heads], dtype=torch.float64),
            received=self._received.float(),
        )


def tally(call: AttentionCall, ids: Int[Tensor, " key"]) -> FocusTally:
    """The statistics of every head of one call; `ids` are the tokens at the key positions."""
    result = FocusTally(call, ids)
    for start, stop in row_blocks(call):
        result.add(weight_rows(call, start, stop))
    return result

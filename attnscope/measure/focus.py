"""Per-head focus statistics in bounded memory.

One block of weight rows after the other is counted and dropped; nothing of size query x key for
all heads ever exists.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Int
from torch import Tensor

from attnscope.measure.attention import Rows, exact, row_blocks, weight_rows
from attnscope.measure.future import FutureTally
from attnscope.measure.match import MatchTally
from attnscope.measure.roles import role_of
from attnscope.measure.statistics import row_statistics
from attnscope.records import AttentionCall, HeadFocus


class FocusTally:
    """Sums over the query rows of one call, from which the means are made at the end."""

    def __init__(self, call: AttentionCall, ids: Int[Tensor, " key"]) -> None:
        device = exact(call.output[:0]).device
        self._call = call
        self._ids = ids.to(device)
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._per_key = torch.zeros(call.heads, call.keys, dtype=torch.float64, device=device)
        self._future = FutureTally(call.heads, device)
        self._own_future = FutureTally(call.heads, device)
        self.match = MatchTally(call, device)
        """How well the recomputed output matches the kernel's."""

    def add(self, rows: Rows) -> None:
        """Count the rows of one block."""
        index = torch.arange(rows.start, rows.stop, device=rows.weights.device)
        position = index + self._call.offset
        sees = rows.allowed.any(dim=-1).any(dim=0)
        for name, statistic in row_statistics(rows, position, self._ids).items():
            counts = statistic.counts & sees
            total = (statistic.values * counts).sum(dim=-1)
            self._sums[name] = self._sums.get(name, 0.0) + total
            self._counts[name] = self._counts.get(name, 0) + int(counts.sum())
        self._per_key[:, : rows.columns] += rows.weights.sum(dim=1)
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
        return tuple(self._head(head) for head in range(self._call.heads))

    def _head(self, head: int) -> HeadFocus:
        means = {name: self._mean(name, head) for name in self._sums}
        role, score = role_of(means)
        compared = self._call.query is not None
        return HeadFocus(
            layer=self._call.layer,
            head=head,
            kv_head=head // (self._call.heads // self._call.value.shape[1]),
            entropy=means["entropy"] or 0.0,
            distance=means["distance"] or 0.0,
            strongest_key=int(self._per_key[head].argmax()),
            self_weight=means["self"] or 0.0,
            previous_weight=means["previous"] or 0.0,
            first_weight=means["first"] or 0.0,
            local_weight=means["local"],
            broad=means["broad"] or 0.0,
            induction=means["induction"],
            duplicate=means["duplicate"],
            future_weight=self.future(head)[0],
            role=role,
            role_score=score,
            verified=self.match.verified(head),
            compared=self._call.queries if compared else 0,
            difference=float(self.match.difference[head]) if compared else math.nan,
            rounding=float(self.match.rounding[head]) if compared else math.nan,
            noticed=int(self.match.noticed[head]),
            noticeable=int(self.match.noticeable[head]),
        )

    def _mean(self, name: str, head: int) -> float | None:
        count = self._counts[name]
        return float(self._sums[name][head]) / count if count else None


def tally(call: AttentionCall, ids: Int[Tensor, " key"]) -> FocusTally:
    """The statistics of every head of one call; `ids` are the tokens at the key positions."""
    result = FocusTally(call, ids)
    for start, stop in row_blocks(call):
        result.add(weight_rows(call, start, stop))
    return result

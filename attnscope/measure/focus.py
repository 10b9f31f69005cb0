"""Per-head focus statistics in bounded memory.

One block of weight rows after the other is counted and dropped; nothing of size query x key for
all heads ever exists.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Int
from torch import Tensor

from attnscope.measure.attention import Rows, output_rows, rounding_limit, row_blocks, weight_rows
from attnscope.measure.roles import role_of
from attnscope.measure.statistics import row_statistics
from attnscope.records import AttentionCall, HeadFocus


class FocusTally:
    """Sums over the query rows of one call, from which the means are made at the end."""

    def __init__(self, call: AttentionCall, ids: Int[Tensor, " key"]) -> None:
        self._call = call
        self._ids = ids.to(call.output.device)
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._per_key = self._zeros(call.keys)
        self._difference = self._zeros()
        self._largest_score = self._zeros()
        self.future = self._zeros()
        """Largest weight on a key after its query, a head."""
        self.future_at = torch.zeros(call.heads, 2, dtype=torch.long)
        """Where: (query, key), a head."""

    def _zeros(self, *shape: int) -> Tensor:
        device = self._call.output.device
        return torch.zeros(self._call.heads, *shape, dtype=torch.float64, device=device)

    def add(self, rows: Rows) -> None:
        """Count the rows of one block."""
        index = torch.arange(rows.start, rows.stop, device=rows.weights.device)
        position = index + self._call.offset
        for name, statistic in row_statistics(rows, position, self._ids).items():
            total = (statistic.values * statistic.counts).sum(dim=-1)
            self._sums[name] = self._sums.get(name, 0.0) + total
            self._counts[name] = self._counts.get(name, 0) + int(statistic.counts.sum())
        self._per_key[:, : rows.columns] += rows.weights.sum(dim=1)
        self._add_future(rows.weights, position, rows.start)
        if self._call.weights is not None:
            own = self._call.weights[0, :, rows.start : rows.stop]
            self._add_future(own, position, rows.start)
        self._compare(rows)

    def _add_future(self, weights: Tensor, position: Tensor, start: int) -> None:
        """Note the largest weight above the diagonal, of the recomputed and the kernel's own."""
        first = int(position[0]) + 1
        if first >= weights.shape[-1]:
            return
        ahead = weights[..., first:]
        key = torch.arange(first, weights.shape[-1], device=weights.device)
        ahead = ahead.masked_fill(key <= position[:, None], 0.0).double().nan_to_num(nan=math.inf)
        largest, where = ahead.flatten(1).max(dim=-1)
        query, key_index = where // ahead.shape[-1] + start, where % ahead.shape[-1] + first
        more = largest > self.future
        self.future = torch.where(more, largest, self.future)
        place = torch.stack([query, key_index], dim=-1).cpu()
        self.future_at = torch.where(more.cpu()[:, None], place, self.future_at)

    def _compare(self, rows: Rows) -> None:
        if self._call.query is None:
            return
        output = output_rows(self._call, rows)
        own = self._call.output[0, :, rows.start : rows.stop].to(output)
        gap = (output - own).abs().amax(dim=(-1, -2))
        self._difference = torch.maximum(self._difference, gap.nan_to_num(nan=math.inf))
        self._largest_score = torch.maximum(self._largest_score, rows.largest_score)

    def result(self) -> tuple[HeadFocus, ...]:
        """One record a head."""
        limits = rounding_limit(self._call, self._largest_score)
        return tuple(self._head(head, float(limits[head])) for head in range(self._call.heads))

    def _head(self, head: int, limit: float) -> HeadFocus:
        means = {name: self._mean(name, head) for name in self._sums}
        role, score = role_of(means)
        recomputed = self._call.query is not None
        difference = float(self._difference[head]) if recomputed else math.nan
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
            future_weight=float(self.future[head]),
            role=role,
            role_score=score,
            verified=recomputed and difference <= limit,
            difference=difference,
            limit=limit,
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

"""The largest weight above the diagonal."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class FutureTally:
    """The largest weight that each head puts on a key after its query, and where.

    Rows that see no key at all do not count: under a finite mask their softmax spreads over closed
    cells, and under an infinite one it is no number; neither is a look ahead.
    """

    def __init__(self, heads: int, device: torch.device) -> None:
        self.largest = torch.zeros(heads, dtype=torch.float64, device=device)
        """Shape (head); 0.0 in a causal head."""
        self.at = torch.zeros(heads, 2, dtype=torch.long, device=device)
        """Shape (head, 2): query and key of that weight."""

    def add(
        self,
        weights: Float[Tensor, "head row key"],
        position: Int[Tensor, " row"],
        counts: Bool[Tensor, " row"],
        start: int,
    ) -> None:
        """Count the query rows from `start` on, whose places among the keys are `position`."""
        first = int(position[0]) + 1
        if first >= weights.shape[-1]:
            return
        key = torch.arange(first, weights.shape[-1], device=weights.device)
        passed_over = (key <= position[:, None]) | ~counts[:, None]
        ahead = weights[..., first:].masked_fill(passed_over, 0.0).double().nan_to_num(nan=0.0)
        largest, where = ahead.flatten(1).max(dim=-1)
        width = ahead.shape[-1]
        place = torch.stack([where // width + start, where % width + first], dim=-1)
        more = largest > self.largest
        self.largest = torch.where(more, largest, self.largest)
        self.at = torch.where(more[:, None], place, self.at)

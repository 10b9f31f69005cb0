"""Where tokens occurred before, found by sorting the ids once instead of comparing all pairs."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor


class Occurrences:
    """Earlier occurrences of each token; the work is one sort, then one step a pair found."""

    def __init__(self, ids: Int[Tensor, " key"]) -> None:
        self.ids: Int[Tensor, " key"] = ids
        """The tokens."""
        self._sorted = torch.sort(ids, stable=True).indices
        place = torch.empty_like(self._sorted)
        place[self._sorted] = torch.arange(len(ids), device=ids.device)
        ordered = ids[self._sorted]
        begins = torch.ones_like(ordered, dtype=torch.bool)
        begins[1:] = ordered[1:] != ordered[:-1]
        starts = torch.where(begins, torch.arange(len(ids), device=ids.device), 0)
        self._group = starts.cummax(dim=0).values[place]
        self.before: Int[Tensor, " key"] = place - self._group
        """How often each position's token stands before it."""
        repeated = torch.zeros_like(self.before)
        repeated[1:] = (ids[1:] == ids[:-1]).long()
        self.followed: Int[Tensor, " key"] = self.before - repeated
        """How many of these are followed by another position than this one."""

    def count(self, start: int, stop: int) -> int:
        """Number of `pairs`."""
        return int(self.before[start:stop].sum())

    def pairs(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """(row, key) of every earlier occurrence for positions start..stop-1, row from 0."""
        counts = self.before[start:stop]
        row = torch.arange(stop - start, device=counts.device).repeat_interleave(counts)
        begin = counts.cumsum(dim=0) - counts
        nth = torch.arange(len(row), device=counts.device) - begin[row]
        return row, self._sorted[self._group[start:stop][row] + nth]

"""What the calls of one window share: its tokens, its masks, and room to compute in."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Int
from torch import Tensor

from attnscope.measure.lookups import Occurrences
from attnscope.measure.openness import Openness, openness
from attnscope.measure.row_block import Block, block_of
from attnscope.measure.row_parts import Problem
from attnscope.records import AttentionCall

_KEPT = 2**20
"""With more repeats in a text, blocks are made anew for every call: each takes 32 bytes."""


class Scratch:
    """Room for the blocks of one call after the other; fresh memory takes time to come by."""

    def __init__(self) -> None:
        self._room = torch.empty(0)

    def two(self, size: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Two tensors of so many numbers, of the dtype and on the device of another."""
        known = self._room.dtype == like.dtype and self._room.device == like.device
        if not known or len(self._room) < 2 * size:
            self._room = like.new_empty(2 * size)
        return self._room[:size], self._room[size : 2 * size]


class Workspace:
    """Of calls over the same tokens on the same device."""

    def __init__(self, ids: Int[Tensor, " key"], scratch: Scratch | None = None) -> None:
        self.occurrences = Occurrences(ids)
        self.scratch = scratch or Scratch()
        self._known: list[Openness] = []
        self._blocks: dict[tuple[int, int], list[Block]] = {}

    def opened(self, call: AttentionCall) -> Openness:
        """The open cells of a call; the same object for masks that are the same."""
        found = openness(call, self.occurrences.ids.device)
        same = next((one for one in self._known if one.same_as(found)), None)
        if same is None and found.spans is not None:
            self._known.append(found)
        return same or found

    def blocks(self, problem: Problem, rows: int) -> Iterable[Block]:
        """The blocks of so many rows each, in order."""
        place = (id(problem.open), rows)  # those that are known live as long as this does
        if place in self._blocks:
            return self._blocks[place]
        count = problem.query.shape[1]
        made = (
            block_of(problem, start, min(start + rows, count)) for start in range(0, count, rows)
        )
        known = any(one is problem.open for one in self._known)
        if not known or int(self.occurrences.before.sum()) > _KEPT:
            return made
        self._blocks[place] = list(made)
        return self._blocks[place]

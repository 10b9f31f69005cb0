"""What a whole run proves: nothing above the diagonal, and numbers that reproduce the kernel's."""

from __future__ import annotations

import math
from typing import Literal

from attnscope.measure.focus import FocusTally
from attnscope.records import AttentionCall, HeadFocus, MaskMap, Proof


class ProofTally:
    """Collects the evidence call by call."""

    def __init__(self) -> None:
        self._cells = 0
        self._largest = 0.0
        self._at: tuple[int, int, int, int] | None = None
        self._heads: list[HeadFocus] = []

    def add(self, call: AttentionCall, tally: FocusTally, heads: tuple[HeadFocus, ...]) -> None:
        """Count one call whose rows have all been tallied."""
        ahead = sum(max(0, call.keys - 1 - call.offset - row) for row in range(call.queries))
        self._cells += ahead * call.heads
        for head in range(call.heads):
            weight, query, key = tally.future(head)
            if weight > self._largest:
                self._largest, self._at = weight, (call.layer, head, query, key)
        self._heads.extend(heads)

    def result(self, masks: tuple[MaskMap, ...], unchecked: tuple[str, ...]) -> Proof:
        """The proof over everything that was added."""
        heads = self._heads
        compared = [head for head in heads if not math.isnan(head.difference)]
        return Proof(
            state=self._state(masks, unchecked),
            layers=len({head.layer for head in heads}),
            heads=max((head.head + 1 for head in heads), default=0),
            future_cells=self._cells,
            future_max=self._largest,
            future_at=self._at,
            recompute_max_diff=max((head.difference for head in compared), default=math.nan),
            rounding=max((head.rounding for head in compared), default=math.nan),
            noticed=sum(head.noticed for head in heads),
            noticeable=sum(head.noticeable for head in heads),
            verified=bool(heads) and all(head.verified for head in heads),
            unverified=tuple((one.layer, one.head) for one in heads if not one.verified),
            unchecked=unchecked,
        )

    def _state(
        self, masks: tuple[MaskMap, ...], unchecked: tuple[str, ...]
    ) -> Literal["clean", "leak", "unchecked"]:
        """See `Proof.state`."""
        doubtful = {head.layer for head in self._heads if not head.verified}
        opened = {layer for mask in masks for layer in mask.layers if mask.leaves_open}
        if self._largest > 0 or opened - doubtful:
            return "leak"
        trusted = bool(self._heads) and not doubtful and not unchecked
        return "clean" if trusted and self._cells > 0 and not opened else "unchecked"

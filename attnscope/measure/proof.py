"""What a whole run proves: nothing above the diagonal, and numbers that reproduce the kernel's."""

from __future__ import annotations

import math

from attnscope.measure.focus import FocusTally
from attnscope.records import AttentionCall, HeadFocus, Proof


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
        head = int(tally.future.argmax())
        largest = float(tally.future[head])
        if largest > self._largest:
            query, key = (int(index) for index in tally.future_at[head])
            self._largest, self._at = largest, (call.layer, head, query, key)
        self._heads.extend(heads)

    def result(self) -> Proof:
        """The proof over everything that was added."""
        compared = [head for head in self._heads if not math.isnan(head.difference)]
        worst = max(compared, key=lambda head: head.difference, default=None)
        return Proof(
            future_cells=self._cells,
            future_max=self._largest,
            future_at=self._at,
            recompute_max_diff=worst.difference if worst else math.nan,
            limit=worst.limit if worst else math.nan,
            verified=bool(self._heads) and all(head.verified for head in self._heads),
            unverified=tuple((one.layer, one.head) for one in self._heads if not one.verified),
        )

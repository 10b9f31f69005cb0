"""Does the recomputed output match the kernel's own, and would a wrong one have been noticed?"""

from __future__ import annotations

import torch

from attnscope.measure.attention import Rows, exact, output_rows
from attnscope.measure.call_focus import Match
from attnscope.measure.rounding import open_key_effect, rounding_limit
from attnscope.records import AttentionCall


class MatchTally:
    """Compares the outputs of one call, row by row."""

    def __init__(self, call: AttentionCall, device: torch.device) -> None:
        self._call = call
        zeros = torch.zeros(call.heads, dtype=torch.float64, device=device)
        self.difference, self.rounding = zeros, zeros
        self.noticed, self.noticeable = zeros, zeros
        """Rows in which one more open key would exceed the limit, of the rows that have one."""

    def add(self, rows: Rows) -> None:
        """Compare a block of rows; nothing to do where the scores are not understood."""
        if self._call.query is None:
            return
        output = output_rows(self._call, rows)
        own = exact(self._call.output[0, :, rows.start : rows.stop])
        gap = (output - own).abs().amax(dim=-1)
        limit = rounding_limit(self._call, rows)
        ratio = torch.where(gap == 0, 0.0, gap / limit).nan_to_num(nan=torch.inf, posinf=torch.inf)
        ratio = ratio.masked_fill(~limit.isfinite(), torch.inf)
        self.difference = torch.maximum(self.difference, gap.nan_to_num(nan=torch.inf).amax(-1))
        self.rounding = torch.maximum(self.rounding, ratio.amax(dim=-1))
        effect = open_key_effect(self._call, rows, output)
        self.noticed = self.noticed + (effect > limit).sum(dim=-1)
        self.noticeable = self.noticeable + (~effect.isnan()).sum(dim=-1)

    def result(self) -> Match:
        """All heads."""
        heads = range(self._call.heads)
        return Match(
            compared=0 if self._call.query is None else self._call.queries,
            difference=self.difference,
            rounding=self.rounding,
            noticed=self.noticed.long(),
            noticeable=self.noticeable.long(),
            verified=torch.tensor([self.verified(head) for head in heads]),
        )

    def verified(self, head: int) -> bool:
        """True when all rows match.

        Where the kernel's own mask was not seen, matching must also mean something: at least one
        row must be one that would not match under a wider mask.
        """
        if self._call.query is None or self._call.unexplained:
            return False
        told = self.noticed[head] > 0 or self.noticeable[head] == 0
        return bool(self.rounding[head] <= 1.0) and (self._call.witnessed or bool(told))

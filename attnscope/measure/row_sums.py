"""Do the rows of the kernel's own weights sum to 1, and if not, why?"""

from __future__ import annotations

import torch

from attnscope.measure.attention import Rows, bias_at, exact, score_rows
from attnscope.records import AttentionCall

LIKENESS = 1e-2
"""Relative. It names a pattern; whether rows sum to 1 is decided by the dtype's eps."""


class RowSums:
    """The weights that a kernel returned, block by block of rows."""

    def __init__(self, call: AttentionCall) -> None:
        self._call = call
        self.gap: float | None = None
        """Largest distance of a row's sum from 1, sinks counted in; None where there is no row."""
        self.multiplied = True
        """All rows so far are a softmax over every key that was multiplied by the mask."""

    def add(self, rows: Rows) -> None:
        """Count a block of rows; nothing to do where the kernel returned no weights."""
        if self._call.weights is None or self._call.query is None:
            return
        own = exact(self._call.weights[0, :, rows.start : rows.stop])
        gap = (own.sum(dim=-1) - 1.0).abs()
        if rows.sink_weights is not None:  # some models apply sinks after their kernel
            gap = torch.minimum(gap, (own.sum(dim=-1) + rows.sink_weights - 1.0).abs())
        gap = gap.masked_fill(~rows.allowed.any(dim=-1), 0.0)
        self.gap = max(self.gap or 0.0, float(gap.nan_to_num(nan=0.0).max()))
        scores = score_rows(self._call, rows.start, rows.stop, self._call.keys)
        bias = bias_at(self._call, rows.start, rows.stop)
        spread = torch.softmax(scores if bias is None else scores + bias, dim=-1)
        like = (own - spread).abs() <= LIKENESS * spread
        self.multiplied &= bool((like | (own == 0)).all())

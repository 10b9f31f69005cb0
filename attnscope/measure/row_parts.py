"""What is asked of one attention call, row by row, and the answer."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from attnscope.measure.lookups import Occurrences
from attnscope.measure.openness import Openness

NEAR = 4
"""Keys at and before a query's own position whose weights are kept one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One attention call, first batch row; heads of `query` share those of `key` in equal groups.

    Weights are `softmax(softcap · tanh(scale · query · key / softcap) + bias)` over open cells.
    """

    query: Float[Tensor, "head row d"]
    """As the kernel received it, in its dtype."""
    key: Float[Tensor, "kv_head key d"]
    """As the kernel received it."""
    scale: float
    """Factor on query · key."""
    softcap: float | None
    """See above; None without one."""
    bias: tuple[Tensor, ...]
    """Added to the scores; each of shape (1|head, 1|row, key)."""
    sinks: Float[Tensor, " head"] | None
    """One extra logit a head, which takes weight."""
    open: Openness
    """Which cells are."""
    occurrences: Occurrences
    """Of the tokens."""
    probes: Float[Tensor, "probe kv_head key"]
    """Numbers a key whose weighted sums are asked for."""

    @property
    def group(self) -> int:
        """Query heads that share one key/value head."""
        return self.query.shape[0] // self.key.shape[0]

    @property
    def offset(self) -> int:
        """Position of row 0 among the keys."""
        return self.key.shape[1] - self.query.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSums:
    """Sums over the weights w of each row, a softmax over its open keys without the sinks.

    Float32, or float64 for a float64 call. Rows that see no key hold zeros.
    """

    lse: Float[Tensor, "head row"]
    """Natural logarithm of the softmax's denominator; -inf for a row that sees no key."""
    score: Float[Tensor, "head row"]
    """Σ w · score: entropy is lse - score."""
    distance: Float[Tensor, "head row"]
    """Σ w · (position - key), in tokens."""
    first: Float[Tensor, "head row"]
    """w of key 0."""
    near: Float[Tensor, "back head row"]
    """w of the key so many positions back, `NEAR` of them from the row's own on; 0 where there is
    none."""
    duplicate: Float[Tensor, "head row"]
    """Σ w of earlier occurrences of the row's token."""
    induction: Float[Tensor, "head row"]
    """Σ w of the tokens that follow these, before the row's own."""
    future: Float[Tensor, "head row"]
    """Largest w of a key after the row's position."""
    probes: Float[Tensor, "probe head row"]
    """Σ w · u for each of `Problem.probes`."""
    received: Float[Tensor, "head key"]
    """Σ over rows of each key's weight, what sinks take left out."""

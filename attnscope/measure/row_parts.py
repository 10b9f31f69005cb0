"""What one attention call comes to, row by row, without its weights ever being stored."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int32
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """The keys that each query row sees: low <= key < high, and 0 <= low <= high <= keys.

    Causal masks, sliding windows, chunks, packed documents and left pads are all of this form. A
    row with low == high sees nothing: it is blind.
    """

    low: Int32[Tensor, " row"]
    """The first key in sight."""
    high: Int32[Tensor, " row"]
    """Past the last key in sight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSums:
    """Sums over one call's weights w, in float32.

    w is the softmax over open keys alone, sinks left out. A row's position is its place among
    the keys: row + keys - rows. Blind rows hold zeros, and -inf in `lse`.
    """

    lse: Float[Tensor, "head row"]
    """Natural logarithm of the sum of exp(score) over open keys, sinks left out."""
    score: Float[Tensor, "head row"]
    """The mean score, weighted by w; the entropy of w is lse - score."""
    distance: Float[Tensor, "head row"]
    """How far back a row looks, in tokens: the mean of position - key, weighted by w."""
    first: Float[Tensor, "head row"]
    """The weight of key 0."""
    near: Float[Tensor, "back head row"]
    """The weight of the row's own position and of the three before it."""
    duplicate: Float[Tensor, "head row"]
    """The weight of earlier keys with the row's own token."""
    induction: Float[Tensor, "head row"]
    """The weight of earlier keys that follow the row's own token."""
    future: Float[Tensor, "head row"]
    """The largest weight of a later key; 0 where none is open."""
    received: Float[Tensor, "head key"]
    """What each key is given, summed over rows, with the sinks' share taken off first."""

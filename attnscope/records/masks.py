"""What `attnscope mask` shows."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import UInt8
from torch import Tensor

from attnscope.records.calls import ModelInfo, Tokens
from attnscope.records.results import MaskMap


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskDiff:
    """Two masks over the same tokens held against each other."""

    first: str
    """The one, in words."""
    second: str
    """The other."""
    cells: UInt8[Tensor, "query key"]
    """`DIFF_…` bits; one cell stands for `pool` x `pool` tokens."""
    pool: int
    """Tokens along one side of a cell; 1 means exact."""
    differing: int
    """Cells, before any pooling, that one leaves open and the other closes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastStep:
    """One step on the way of a mask to the shape of the scores."""

    code: str
    """What is called, in Python."""
    shape: tuple[int, ...]
    """What comes out."""
    strides: tuple[int, ...]
    """How many entries lie between neighbours along each axis; 0 where they are the same entry."""
    stored: int
    """Bytes that it takes in memory."""
    words: str
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskTables:
    """Masks over the same tokens, drawn from words or as a model's layers were handed them."""

    model: ModelInfo | None
    """The model that was handed them; None for masks from words."""
    tokens: Tokens
    """What the rows and columns stand for."""
    masks: tuple[MaskMap, ...]
    """The masks, or the two that are compared."""
    diff: MaskDiff | None = None
    """How the two differ, where that was asked."""
    broadcast: tuple[BroadcastStep, ...] = ()
    """How the first one meets the scores, where that was asked."""
    notes: tuple[str, ...] = ()
    """Remarks in words."""

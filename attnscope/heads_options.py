"""What `heads` can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict


class AskedHeads(TypedDict, total=False):
    """The fields of `HeadsOptions`, as keywords."""

    layers: tuple[int, ...] | None
    views: tuple[tuple[int, int], ...]
    rows: tuple[int, int] | None
    keys: tuple[int, int] | None
    window: int | None
    windowed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsOptions:
    """What to measure, and what to draw."""

    layers: tuple[int, ...] | None = None
    """Decoder layers to look at, from 0; negative ones count from the last. None means all."""
    views: tuple[tuple[int, int], ...] = ()
    """(layer, head) of the heads to keep a heatmap of; negative numbers count from the last."""
    rows: tuple[int, int] | None = None
    """(first, past the last) query of the heatmaps, from 0; None means all."""
    keys: tuple[int, int] | None = None
    """(first, past the last) key of the heatmaps, from 0; None means all."""
    window: int | None = None
    """Tokens to read at once; None means as many as the model has positions for."""
    windowed: bool = True
    """False refuses a text that is longer than what is read at once."""

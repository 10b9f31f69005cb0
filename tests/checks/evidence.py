"""Hand-written evidence for the checks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from attnscope.records.evidence import (
    Agreement,
    CallReading,
    Cells,
    Contents,
    Influence,
    Modules,
    Place,
    Readings,
)

TOKENS = 6
ATTENTION = Place(module="model.layers.1.self_attn", layer=1, kind="LlamaAttention")
WHOLE = Place(module="", layer=None)


def causal(tokens: int = TOKENS) -> Tensor:
    """(query, key): True up to the query's own position."""
    return torch.ones(tokens, tokens).tril().bool()


def window(size: int, tokens: int = TOKENS) -> Tensor:
    """A sliding window that counts its own position."""
    return causal(tokens) & ~torch.ones(tokens, tokens).tril(-size).bool()


def influence(
    moved: Tensor | None = None, swapped: tuple[int, ...] | None = None, **changes: Any
) -> Influence:
    """Every allowed pair moves by 1; `moved` (query, key) replaces the drift."""
    swapped = tuple(range(TOKENS)) if swapped is None else swapped
    allowed = changes.pop("allowed", causal())
    drift = (causal().double() if moved is None else moved.double()).float()
    fields: dict[str, Any] = {
        "swapped": swapped,
        "drift": drift[:, list(swapped)],
        "allowed": allowed[:, list(swapped)],
        "expected": torch.zeros(TOKENS, len(swapped), dtype=torch.bool),
        "place": WHOLE,
    }
    return Influence(**{**fields, **changes})


def modules(*maps: Influence, unreplayed: tuple[str, ...] = ()) -> Modules:
    """What the replay of each module says."""
    return Modules(maps=maps, unreplayed=unreplayed)


def with_cell(query: int, key: int, value: float) -> Tensor:
    """A causal map with one more cell."""
    drift = causal().float()
    drift[query, key] = value
    return drift


def reading(**changes: Any) -> CallReading:
    """A clean call of `ATTENTION`."""
    fields: dict[str, Any] = {
        "place": ATTENTION, "problem": "", "verified": True, "rounding": 0.1,
        "sum_gap": 1e-7, "sum_limit": 2e-7,
    }  # fmt: skip
    return CallReading(**{**fields, **changes})


def readings(*calls: CallReading, unseen: tuple[str, ...] = (), **changes: Any) -> Readings:
    """What one run's calls say."""
    return Readings(calls=calls, unseen=unseen, **{"heads": 4, **changes})


def cells(count: int = 3, pattern: str = "") -> Cells:
    """Cells of which the first is head 2, query 1, key 4."""
    return Cells(count=count, head=2, query=1, key=4, pattern=pattern)


def contents(*drift: float, **changes: Any) -> Contents:
    """What changing the pads did to each position."""
    return Contents(what="the pads", drift=torch.tensor(drift), **{"place": ATTENTION, **changes})


def agreement(*gap: float, limit: float = 1e-5, **changes: Any) -> Agreement:
    """How far another way is from the plain run."""
    return Agreement(way="one token a step", gap=torch.tensor(gap), limit=limit, **changes)

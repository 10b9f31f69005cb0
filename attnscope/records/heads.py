"""Where every head of a model looks, over a text of any length."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attnscope.records.calls import ModelInfo, Tokens
from attnscope.records.results import HeadFocus, HeadView


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """Where every head of a model looks."""

    model: ModelInfo
    """What was run."""
    tokens: Tokens
    """What it read, window after window; special tokens that start a window stand there too."""
    windows: tuple[tuple[int, int], ...]
    """(first, past the last) position of each stretch that was read at once, in order; together
    they are all tokens. A single one unless the text is longer than the model reads."""
    focus: tuple[HeadFocus, ...]
    """One a layer and head, layer by layer; of a layer that makes several attention calls, one a
    call. Means over the queries of all windows; positions count over all of them."""
    layers: tuple[int, ...]
    """The layers of `received`, in order."""
    received: Float[Tensor, "layer token"]
    """Float32. The weight that each token receives, summed over queries, a mean over heads."""
    views: tuple[HeadView, ...] = ()
    """The heads that were asked for, pooled; tokens of different windows never see each other."""
    seconds: float = 0.0
    """How long reading took."""
    notes: tuple[str, ...] = ()
    """Plain-words remarks."""
    unchecked: tuple[str, ...] = ()
    """What could not be recorded, in words."""

    def table(self, name: str) -> Float[Tensor, "layer head"]:
        """A field of `HeadFocus` as a float64 tensor; NaN where a head has none.

        Raises AttributeError for a field that there is none of, ValueError for one in words.
        """
        layers = 1 + max((one.layer for one in self.focus), default=-1)
        heads = 1 + max((one.head for one in self.focus), default=-1)
        table = torch.full((layers, heads), torch.nan, dtype=torch.float64)
        for one in self.focus:
            value = getattr(one, name)
            table[one.layer, one.head] = torch.nan if value is None else float(value)
        return table

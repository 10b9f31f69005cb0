"""How a softmax's input came out of a query · key product.

Eager attention is ordinary tensor code: a product, a factor, perhaps a tanh cap, masks added or
filled in, a column of sinks. `Scores` follows those steps symbolically, so that what the softmax
received can be said in the terms of one formula and recomputed from query and key.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attnscope.masks import PENALTY, Mask, additive, dense, everything


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """A tensor of scores: cap · tanh(scale · query · key) + terms, some cells closed.

    Without a cap the tanh is absent. Shapes are those of the code that made it.
    """

    query: Tensor
    """(…, query, d)"""
    key: Tensor
    """(…, key, d)"""
    shape: torch.Size
    """Of the scores themselves: (…, query, key), without the column of sinks."""
    scale: float = 1.0
    cap: float | None = None
    terms: tuple[tuple[Tensor, float], ...] = ()
    """Added tensors with their factors; each broadcasts to `shape`."""
    closed: tuple[Tensor, ...] = ()
    """Booleans, True where a cell was filled with a value no score reaches."""
    sinks: Tensor | None = None
    """The appended column, one logit a head."""

    def times(self, factor: float) -> Scores:
        """Multiplied by a number."""
        terms = tuple((term, own * factor) for term, own in self.terms)
        if self.cap is None:
            return replace(self, scale=self.scale * factor, terms=terms)
        return replace(self, cap=self.cap * factor, terms=terms)

    def plus(self, term: Tensor, factor: float = 1.0) -> Scores | None:
        """With factor · term added; None where that cannot be said in this form."""
        if self.sinks is not None:  # a value for the whole row, sink included, changes no weight
            return self if term.ndim and term.shape[-1] == 1 else None
        return replace(self, terms=(*self.terms, (term.detach(), factor)))

    def close(self, cells: Tensor) -> Scores:
        """With the true cells filled by a value that no score reaches."""
        return replace(self, closed=(*self.closed, cells.detach()))

    def capped(self) -> Scores | None:
        """After a tanh; None where that cannot be said in this form."""
        if self.cap is not None or self.terms or self.closed:
            return None
        return replace(self, cap=1.0)

    def with_sinks(self, column: Tensor) -> Scores | None:
        """With one more column, the same for all queries, appended to the keys."""
        if self.sinks is not None or column.shape[-1] != 1:
            return None
        per_head = column[0, :, 0, 0] if column.ndim == 4 else column.reshape(-1)[:1]
        return replace(self, sinks=per_head.detach())

    def reshaped(self, operation: Callable[[Tensor], Tensor]) -> Scores:
        """The same scores after a view, reshape or transpose of leading dimensions."""
        terms = tuple((operation(term.expand(self.shape)), own) for term, own in self.terms)
        closed = tuple(operation(cells.expand(self.shape)) for cells in self.closed)
        shape = operation(torch.empty(self.shape, device="meta")).shape
        return replace(self, shape=shape, terms=terms, closed=closed)

    @property
    def factor(self) -> float:
        """On query · key, in the usual form cap · tanh(factor · query · key / cap)."""
        return self.scale * (1.0 if self.cap is None else self.cap)

    def mask(self) -> tuple[Mask, str]:
        """Which cells stay open, and how the mask arrived, in words."""
        mask, forms = everything(), []
        for term, own in self.terms:
            if term.shape[-1:] != (1,) and bool((term * own <= PENALTY).any()):
                mask &= additive(four(term) * own)
                forms.append(f"additive {str(term.dtype).removeprefix('torch.')} tensor")
        for cells in self.closed:
            mask &= dense(~four(cells))
            forms.append("filled cells")
        return mask, " and ".join(dict.fromkeys(forms)) or "none"

    def biases(self) -> tuple[Tensor, ...]:
        """The added terms as (batch, head, query, key), each broadcastable."""
        return tuple(four(term) * own if own != 1.0 else four(term) for term, own in self.terms)


def four(tensor: Tensor) -> Tensor:
    """As (batch, head, …, …): leading dimensions added, or those in the middle flattened."""
    if tensor.ndim <= 4:
        return tensor[(None,) * (4 - tensor.ndim)]
    return tensor.flatten(1, -3)


def heads_first(tensor: Tensor, batch: int) -> Tensor | None:
    """(…, position, d) as (batch, heads, position, d); None when the batch does not divide it."""
    leading = math.prod(tensor.shape[:-2])
    if leading % batch:
        return None
    return tensor.reshape(batch, leading // batch, *tensor.shape[-2:])


def closing_value(value: object) -> bool:
    """True for a fill value that closes a cell."""
    if isinstance(value, Tensor):
        return value.numel() == 1 and bool(value <= PENALTY)
    return isinstance(value, int | float) and value <= PENALTY


def number(value: object) -> float | None:
    """A Python number or a one-element tensor as float, else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, Tensor) and value.numel() == 1:
        return float(value)
    return None

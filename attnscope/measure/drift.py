"""How far apart two runs of the same shape are, bit for bit."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from attnscope.measure.attention import exact


def drift(one: Tensor, other: Tensor) -> Float[Tensor, " query"]:
    """Largest difference along the last axis, shape of all axes before it; 0.0 where equal.

    inf where one is a number and the other is none.
    """
    one, other = (_real(each) for each in (one, other))
    gap = (one - other).abs()
    gap = torch.where(one == other, 0.0, gap)  # equal infinities
    number = one.isnan() != other.isnan()
    return gap.nan_to_num(nan=0.0, posinf=torch.inf).masked_fill(number, torch.inf).amax(-1).cpu()


def _real(tensor: Tensor) -> Tensor:
    """In float64; complex numbers as pairs of real ones along the last axis."""
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj()).flatten(-2)
    return exact(tensor)

"""What a model of somebody's own returned, as one tensor with a row a position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor


def row_a_position(output: Any, batch: int, time: int) -> Tensor | None:
    """Every tensor of shape (batch, time, ...) among the outputs, side by side: (batch, time, any).

    A model may show the future in a second output, so all are judged. Attention weights, which
    have the positions on another axis too, are left out unless there is nothing else. None where no
    tensor fits.
    """
    fitting = [one for one in tensors(output) if one.shape[:2] == (batch, time)]
    single = [one for one in fitting if time not in one.shape[2:]]
    rows = [_numbers(one).reshape(batch, time, -1) for one in single or fitting]
    if not rows:
        return None
    dtype = rows[0].dtype
    for one in rows[1:]:
        dtype = torch.promote_types(dtype, one.dtype)
    return torch.cat([one.to(dtype) for one in rows], dim=-1)


def tensors(output: Any) -> Iterator[Tensor]:
    """The tensors in tuples, lists, dictionaries and dataclasses, however nested."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for one in output.values():
            yield from tensors(one)
    elif isinstance(output, tuple | list):
        for one in output:
            yield from tensors(one)
    elif is_dataclass(output):
        for each in fields(output):
            yield from tensors(getattr(output, each.name))
    else:  # any object that says what its outputs are
        named = (getattr(output, name, None) for name in ("logits", "last_hidden_state"))
        yield from (one for one in named if isinstance(one, Tensor))


def _numbers(tensor: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor

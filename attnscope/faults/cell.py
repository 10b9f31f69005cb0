"""One open cell: a single head gives a single later key a weight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from attnscope.capture.interface import Attention, InterfaceCall
from attnscope.faults.delivered import calls_of


@contextmanager
def open_cell(
    module: nn.Module, *, head: int, query: int, key: int, weight: float
) -> Iterator[None]:
    """While inside, one query of one head gives `weight` to one more key, behind the mask.

    As a careless kernel would: o becomes o + weight · (v_key - o), in float32 at least, rounded to
    the dtype. `module` makes its attention calls through transformers' interface; see `mix_in` for
    the others.
    """

    def around(attention: Attention, call: InterfaceCall) -> tuple[Tensor, Tensor | None]:
        output, weights = attention(*call.args, **call.kwargs)
        if output.shape[1] <= max(query, key):
            return output, weights
        group = head * call.value.shape[1] // call.query.shape[1]
        wide = torch.promote_types(output.dtype, torch.float32)
        value = call.value[:, group, key, : output.shape[-1]].to(wide)
        output = output.clone()
        seen = output[:, query, head].to(wide)
        output[:, query, head] = (seen + weight * (value - seen)).to(output.dtype)
        return output, weights

    with calls_of(module.modules(), around):
        yield


@contextmanager
def mix_in(
    module: nn.Module, *, query: int, key: int, weight: float, tokens: int | None = None
) -> Iterator[None]:
    """While inside, one position of a module's output takes `weight` from another one's.

    The output is (batch, token, …), or (token, batch, …) where only that holds both positions; with
    `tokens`, the first axis of that length counts them.
    """

    def mix(_module: nn.Module, _args: Any, output: Any) -> Any:
        first = output[0] if isinstance(output, tuple | list) else output
        axis = _axis(first, max(query, key), tokens)
        if axis is None:
            return output
        mixed = first.clone()
        rows = mixed.movedim(axis, 1)
        wide = torch.promote_types(first.dtype, torch.float32)
        seen, other = rows[:, query].to(wide), rows[:, key].to(wide)
        rows[:, query] = (seen + weight * (other - seen)).to(first.dtype)
        return (mixed, *output[1:]) if isinstance(output, tuple | list) else mixed

    handle = module.register_forward_hook(mix)
    try:
        yield
    finally:
        handle.remove()


def _axis(output: Tensor, last: int, tokens: int | None) -> int | None:
    shape = tuple(output.shape)
    if tokens is not None:
        return shape.index(tokens) if tokens in shape else None
    if len(shape) < 3 or max(shape[:2]) <= last:
        return None
    return 1 if shape[1] > last else 0

"""Change what a model hands to its attention kernel: the mask, or another argument.

The kernel itself stays, so that whoever watches it sees what it was really given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from attnscope.capture.interface import Attention, InterfaceCall, interface_calls
from attnscope.faults.marks import marked
from attnscope.masks import PENALTY, blocks

Result = tuple[Tensor, Tensor | None]
Alter = Callable[[Tensor, InterfaceCall], Tensor]
"""From the cells that are open, (batch|1, head|1, query, key), to the ones that shall be."""

_PLACES = ("module", "query", "key", "value", "attention_mask")


@contextmanager
def calls_of(
    modules: Iterable[nn.Module], around: Callable[[Attention, InterfaceCall], Result]
) -> Iterator[None]:
    """While inside, attention calls of these modules run inside `around`."""
    with marked(modules) as chosen:

        def choose(attention: Attention, call: InterfaceCall) -> Result:
            if chosen(call.module):
                return around(attention, call)
            return attention(*call.args, **call.kwargs)

        with interface_calls(choose):
            yield


@contextmanager
def altered(modules: Iterable[nn.Module], alter: Alter) -> Iterator[None]:
    """While inside, these modules' kernels get another mask."""

    def around(attention: Attention, call: InterfaceCall) -> Result:
        before = delivered(call)
        after = alter(before.clone(), call)
        if after.shape == before.shape and torch.equal(after, before):
            return attention(*call.args, **call.kwargs)
        return run(attention, call, attention_mask=in_its_form(before, after, call))

    with calls_of(modules, around):
        yield


def run(attention: Attention, call: InterfaceCall, **changes: Any) -> Result:
    """Make a call with some arguments replaced."""
    args, kwargs = list(call.args), dict(call.kwargs)
    for name, value in changes.items():
        place = _PLACES.index(name) if name in _PLACES else len(args)
        if place < len(args):
            args[place] = value
        else:
            kwargs[name] = value
    return attention(*args, **kwargs)


def delivered(call: InterfaceCall) -> Tensor:
    """The cells that a call leaves open, boolean, (batch|1, head|1, query, key)."""
    queries, keys = call.query.shape[2], call.key.shape[2]
    mask, device = call.offered.mask, call.query.device
    if isinstance(mask, Tensor):
        allowed = mask > PENALTY if mask.is_floating_point() else mask.bool()
        allowed = allowed[..., :keys]
        return allowed.expand(*allowed.shape[:2], queries, keys)
    if mask is not None:
        return blocks(mask).rows(0, queries, keys, device)
    everything = torch.ones(1, 1, queries, keys, dtype=torch.bool, device=device)
    return everything.tril() if reads_none_as_causal(call) else everything


def reads_none_as_causal(call: InterfaceCall) -> bool:
    """True when the kernel takes a missing mask for a causal one."""
    causal = call.offered.is_causal
    if causal is None:
        causal = bool(getattr(call.module, "is_causal", True))
    return causal and call.query.shape[2] > 1 and call.offered.implementation != "eager"


def additive(allowed: Tensor, call: InterfaceCall, closed: float) -> Tensor:
    """The cells as a mask that is added to the scores."""
    numbers = torch.zeros(allowed.shape, dtype=call.query.dtype, device=allowed.device)
    return numbers.masked_fill(~allowed, closed)


def in_its_form(before: Tensor, after: Tensor, call: InterfaceCall) -> Any:
    """The altered cells, in the form in which this kernel was given its mask."""
    given = call.offered.mask
    if call.offered.implementation == "flex_attention":
        return _block_mask(after, call)
    if isinstance(given, Tensor) and given.is_floating_point():
        opened = torch.where(before, given[..., : before.shape[-1]], 0.0)
        closed = torch.full_like(opened, torch.finfo(given.dtype).min)
        return torch.where(after, opened, closed).to(given.dtype)
    if call.offered.implementation == "eager":
        return additive(after, call, torch.finfo(call.query.dtype).min)
    return after


def _block_mask(allowed: Tensor, call: InterfaceCall) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    batch, heads, queries, keys = allowed.shape
    return create_block_mask(
        lambda b, h, q, k: allowed[b if batch > 1 else 0 * b, h if heads > 1 else 0 * h, q, k],
        batch, heads, queries, keys, device=str(call.query.device),
    )  # fmt: skip

"""Wrong masks, each made from the right one: functions for `attnscope.faults.delivered.altered`."""

from __future__ import annotations

import torch
from torch import Tensor

from attnscope.capture.interface import InterfaceCall

CLOSED_SHARE = 0.2
"""Of the past, in a mask with holes."""


def everything(allowed: Tensor, call: InterfaceCall) -> Tensor:
    """All cells open."""
    return torch.ones_like(allowed)


def whole_past(allowed: Tensor) -> Tensor:
    """Everything open up to the last cell that was."""
    return allowed.flip(-1).int().cummax(dim=-1).values.flip(-1).bool()


def in_one_head(allowed: Tensor, call: InterfaceCall) -> Tensor:
    """All cells of the last head open."""
    wide = _of_heads(allowed, call)
    wide[:, -1] = True
    return wide


def next_token(allowed: Tensor, call: InterfaceCall) -> Tensor:
    """One more cell open after the last one."""
    allowed[..., 1:] |= allowed[..., :-1].clone()
    return allowed


def not_itself(allowed: Tensor, call: InterfaceCall) -> Tensor:
    """The last open cell closed, but where it is the only one."""
    return torch.where(_many(allowed), allowed & _shifted(allowed, -1), allowed)


def inverted(allowed: Tensor, call: InterfaceCall) -> Tensor:
    """Closed where it was open, and the reverse."""
    return ~allowed


def one_column(allowed: Tensor, call: InterfaceCall) -> Tensor:
    """One key open to every query."""
    allowed[..., allowed.shape[-1] * 2 // 3] = True
    return allowed


def shorter(allowed: Tensor, call: InterfaceCall) -> Tensor:
    """As if made for three quarters of the keys and filled up with zeros to be added."""
    allowed[..., allowed.shape[-1] * 3 // 4 :] = True
    return allowed


def with_holes(allowed: Tensor, call: InterfaceCall) -> Tensor:
    """Random cells closed in one head, never the last open one of a row."""
    wide = _of_heads(allowed, call)
    generator = torch.Generator().manual_seed(0)
    kept = torch.rand(wide.shape[-2:], generator=generator).to(wide.device) > CLOSED_SHARE
    wide[:, 0] &= kept | ~_shifted(wide[:, 0], -1)
    return wide


def closed_row(allowed: Tensor, call: InterfaceCall) -> Tensor:
    """Every key closed to the middle query."""
    if allowed.shape[-2] > 1:
        allowed[..., allowed.shape[-2] // 2, :] = False
    return allowed


def without_nearest(allowed: Tensor, call: InterfaceCall) -> Tensor:
    """The key right before each query closed."""
    nearest = allowed & _shifted(allowed, -1) & ~_shifted(_shifted(allowed, -1), -1)
    return allowed & ~nearest


def one_wider(allowed: Tensor) -> Tensor:
    """One more cell open before the first one."""
    allowed[..., :-1] |= allowed[..., 1:].clone()
    return allowed


def one_narrower(size: int, allowed: Tensor) -> Tensor:
    """The first open cell closed in rows whose window is full."""
    full = allowed.sum(dim=-1, keepdim=True) >= size
    return torch.where(full, allowed & _shifted(allowed, 1), allowed)


def past_the_window(size: int, allowed: Tensor) -> Tensor:
    """The whole past open, to queries two windows from the start."""
    queries, keys = allowed.shape[-2:]
    query = torch.arange(queries, device=allowed.device)[:, None] + keys - queries
    key = torch.arange(keys, device=allowed.device)
    return allowed | ((query >= 2 * size) & (key < query))


def from_top_left(allowed: Tensor, call: InterfaceCall) -> Tensor:
    """Several queries over more keys, the diagonal counted from the wrong corner."""
    queries, keys = allowed.shape[-2:]
    return allowed.tril() if 1 < queries < keys else allowed


def last_slot(allowed: Tensor, call: InterfaceCall) -> Tensor:
    """The last key open to every query."""
    allowed[..., -1] = True
    return allowed


def _of_heads(allowed: Tensor, call: InterfaceCall) -> Tensor:
    batch, heads = allowed.shape[0], call.query.shape[1]
    return allowed.expand(batch, heads, *allowed.shape[2:]).clone()


def of_rows(allowed: Tensor, call: InterfaceCall) -> Tensor:
    """The same cells with an entry for each row of the batch."""
    return allowed.expand(call.query.shape[0], *allowed.shape[1:]).clone()


def _many(allowed: Tensor) -> Tensor:
    return allowed.sum(dim=-1, keepdim=True) > 1


def _shifted(allowed: Tensor, step: int) -> Tensor:
    """Cells moved along the keys; what comes in from outside is closed."""
    moved = allowed.roll(step, dims=-1)
    moved[..., 0 if step > 0 else -1] = False
    return moved

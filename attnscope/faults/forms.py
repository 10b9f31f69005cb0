"""Leaks in the form in which one backend's mask is handed over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from attnscope.capture.interface import Attention, InterfaceCall
from attnscope.faults import alterations, parts
from attnscope.faults.delivered import Result, additive, altered, calls_of, delivered, run
from attnscope.faults.fault import Fault
from attnscope.faults.masks import OLD, attends


@contextmanager
def cast_to_bool(model: Any) -> Iterator[str]:
    """An additive mask cast to bool: what it closed becomes True, which means open."""

    def around(attention: Attention, call: InterfaceCall) -> Result:
        if call.query.shape[2] == 1:
            return attention(*call.args, **call.kwargs)
        return run(attention, call, attention_mask=additive(delivered(call), call, OLD).bool())

    name, module = parts.attentions(model)[-1]
    with calls_of([module], around):
        yield name


@contextmanager
def bool_added(model: Any) -> Iterator[str]:
    """A boolean mask added to the scores as 0 and 1."""

    def around(attention: Attention, call: InterfaceCall) -> Result:
        return run(attention, call, attention_mask=delivered(call))

    name, module = parts.attentions(model)[-1]
    with calls_of([module], around):
        yield name


@contextmanager
def on_sdpa_only(model: Any) -> Iterator[str]:
    """Everything open, where the kernel is sdpa."""

    def alter(allowed: Tensor, call: InterfaceCall) -> Tensor:
        sdpa = call.offered.implementation == "sdpa"
        return alterations.everything(allowed, call) if sdpa else allowed

    name, module = parts.attentions(model)[-1]
    with altered([module], alter):
        yield name


@contextmanager
def stale_blocks(model: Any) -> Iterator[str]:
    """FlexAttention's block table of an open mask under a causal predicate."""
    from torch.nn.attention.flex_attention import BlockMask

    def around(attention: Attention, call: InterfaceCall) -> Result:
        right: Any = call.offered.mask
        some, indices = torch.zeros_like(right.kv_num_blocks), right.kv_indices
        every = torch.arange(indices.shape[-1], dtype=indices.dtype, device=indices.device)
        wrong = BlockMask.from_kv_blocks(
            some, indices, some + indices.shape[-1], every.expand_as(indices).contiguous(),
            BLOCK_SIZE=right.BLOCK_SIZE, mask_mod=right.mask_mod,
            seq_lengths=(call.query.shape[2], call.key.shape[2]),
        )  # fmt: skip
        return run(attention, call, attention_mask=wrong)

    name, module = parts.attentions(model)[-1]
    with calls_of([module], around):
        yield name


FAULTS = (
    Fault(
        name="mask dropped on one backend",
        key="dropped-on-sdpa",
        words="The last layer's mask leaves every cell open, with sdpa only.",
        caught_by=("ATN501",),
        plant=on_sdpa_only,
        applies=lambda model: attends(model) and parts.backend(model) == "sdpa",
        prove=False,
    ),
    Fault(
        name="additive mask cast to bool",
        key="cast-to-bool",
        words="sdpa is handed the additive mask as booleans, so closed cells are open.",
        caught_by=("ATN201", "ATN101", "ATN302", "ATN301"),
        plant=cast_to_bool,
        applies=lambda model: attends(model) and parts.backend(model) == "sdpa",
        prove=False,
    ),
    Fault(
        name="boolean mask added to the scores",
        key="bool-added",
        words="Eager attention adds the boolean mask, so closed cells get 0 and open ones 1.",
        caught_by=("ATN101", "ATN302", "ATN301"),
        plant=bool_added,
        applies=lambda model: attends(model) and parts.backend(model) == "eager",
        prove=False,
    ),
    Fault(
        name="stale block table under a right predicate",
        key="stale-blocks",
        words="FlexAttention is handed the block table of an open mask with a causal predicate.",
        caught_by=("ATN201", "ATN101", "ATN302", "ATN301"),
        plant=stale_blocks,
        applies=lambda model: attends(model) and parts.backend(model) == "flex_attention",
        prove=False,
    ),
)
"""In reading order."""

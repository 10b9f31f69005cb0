"""Leaks in what a kernel computes, behind a right mask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from attnscope.capture.interface import Attention, InterfaceCall
from attnscope.faults import parts
from attnscope.faults.cell import open_cell
from attnscope.faults.delivered import Result, calls_of, delivered, run
from attnscope.faults.fault import Fault

WEIGHT = 1e-6
"""Of the single open cell; float32 sees it, half precision does not."""

CELL = (6, 14)
"""Query and key of the single open cell."""

PLAIN = 1e-2
"""Of a leak that every dtype sees."""


@contextmanager
def one_cell(model: Any) -> Iterator[str]:
    """One query of one head gives a weight to one later key."""
    name, module = parts.attentions(model)[-1]
    weight = WEIGHT if model.dtype in {torch.float32, torch.float64} else PLAIN
    with open_cell(module, head=0, query=CELL[0], key=CELL[1], weight=weight):
        yield name


@contextmanager
def far_cell(model: Any) -> Iterator[str]:
    """One query of one head gives a weight to the first key, beyond the window."""
    name, module = parts.windowed(model)[-1]
    with open_cell(module, head=0, query=parts.window(model, name) + 2, key=0, weight=PLAIN):
        yield name


@contextmanager
def masked_after_softmax(model: Any) -> Iterator[str]:
    """Softmax over all keys, and its weights multiplied by the mask."""

    def around(attention: Attention, call: InterfaceCall) -> Result:
        weights = torch.softmax(_scores(call), dim=-1) * delivered(call)
        output = torch.matmul(weights, _repeated(call.value, call))
        return output.transpose(1, 2).contiguous(), weights

    name, module = parts.attentions(model)[-1]
    with calls_of([module], around):
        yield name


@contextmanager
def overflowing(model: Any) -> Iterator[str]:
    """The scores of one query overflow."""

    def around(attention: Attention, call: InterfaceCall) -> Result:
        query = call.query.clone()
        if query.shape[2] > 1:
            query[:, :, query.shape[2] // 2] = torch.inf
        return run(attention, call, query=query)

    name, module = parts.attentions(model)[-1]
    with calls_of([module], around):
        yield name


@contextmanager
def mixed_rows(model: Any) -> Iterator[str]:
    """Every row of a batch attends to the first row's values."""

    def around(attention: Attention, call: InterfaceCall) -> Result:
        return run(attention, call, value=call.value[:1].expand_as(call.value).contiguous())

    name, module = parts.attentions(model)[-1]
    with calls_of([module], around):
        yield name


def _scores(call: InterfaceCall) -> Tensor:
    scale = call.offered.scale
    scale = call.query.shape[-1] ** -0.5 if scale is None else scale
    scores = torch.matmul(call.query, _repeated(call.key, call).transpose(2, 3)) * scale
    cap = call.offered.softcap
    return scores if not cap else torch.tanh(scores / cap) * cap


def _repeated(states: Tensor, call: InterfaceCall) -> Tensor:
    return states.repeat_interleave(call.query.shape[1] // states.shape[1], dim=1)


def _attends(model: Any) -> bool:
    return bool(parts.attentions(model))


def _plain_softmax(model: Any) -> bool:
    found = parts.attentions(model)
    return bool(found) and not any(hasattr(module, "sinks") for _, module in found)


FAULTS = (
    Fault(
        name="one cell open in one head of the last layer",
        key="one-cell",
        words=f"One query of one head gives a weight of {WEIGHT:.0e} to one later key"
        f" ({PLAIN:.0e} in half precision).",
        caught_by=("ATN302", "ATN301"),
        plant=one_cell,
        applies=_attends,
    ),
    Fault(
        name="one cell open beyond the window",
        key="far-cell",
        words="One query of one head gives a weight to a key beyond the window, behind the mask.",
        caught_by=("ATN303",),
        plant=far_cell,
        applies=lambda model: bool(parts.windowed(model)),
    ),
    Fault(
        name="mask multiplied after the softmax",
        key="after-softmax",
        words="The last attention layer's softmax runs over all keys; then weights are masked.",
        caught_by=("ATN105", "ATN302", "ATN301"),
        plant=masked_after_softmax,
        applies=_plain_softmax,
    ),
    Fault(
        name="scores that overflow",
        key="overflow",
        words="One query's scores in the last attention layer are infinite.",
        caught_by=("ATN102",),
        plant=overflowing,
        applies=lambda model: _attends(model) and parts.backend(model) != "flex_attention",
    ),
    Fault(
        name="rows of a batch mixed",
        key="mixed-rows",
        words="In the last attention layer every row attends to the first row's values.",
        caught_by=("ATN305", "ATN405"),
        plant=mixed_rows,
        applies=_attends,
        quick=False,
    ),
)
"""In reading order."""

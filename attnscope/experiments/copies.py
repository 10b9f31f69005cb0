"""More exact copies of a subject, made when first asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from attnscope.errors import CaptureError
from attnscope.experiments.subject import Subject
from attnscope.experiments.swaps import Setting
from attnscope.experiments.switches import exact_copy

HALVES = frozenset({torch.bfloat16, torch.float16})
"""Dtypes whose rounding can hide a real difference."""


def in_float32(subject: Subject, ids: Tensor) -> Subject | None:
    """A copy of a model in half precision that runs on `ids`; None for others, where it does not
    fit, and where a kernel has no float32.
    """
    twin = _copy(subject, torch.float32) if subject.model.dtype in HALVES else None
    return twin if twin is not None and _logits(twin, "plain", ids, ids[:, :0]) else None


def in_float64(subject: Subject, ids: Tensor) -> Subject | None:
    """A copy that runs on `ids`; None where it does not fit or a kernel has no float64."""
    twin = _copy(subject, torch.float64)
    if twin is None:
        return None
    if not subject.own:  # there everything is float64, and hooks would change torch's kernels
        for module in twin.model.modules():
            module.register_forward_pre_hook(_closed_as_in_float32, with_kwargs=True)
    return twin if _logits(twin, "plain", ids, ids[:, :0]) else None


def in_less(subject: Subject, ids: Tensor) -> Subject | None:
    """A float32 copy of a float64 model of unknown making: nothing finer can tell its rounding, but
    in float32 rounding grows by 5e8, and a leak not at all. None for others.
    """
    if not subject.own or subject.model.dtype != torch.float64:
        return None
    twin = _copy(subject, torch.float32)
    return twin if twin is not None and _logits(twin, "plain", ids, ids[:, :0]) else None


def usable(twin: Subject | None, setting: Setting) -> bool:
    """True where its logits are numbers: a mask that attention makes for itself out of float64's
    minimum may leave rows of pads NaN, which tell nothing.
    """
    return twin is not None and _logits(twin, setting.key, setting.ids, setting.aside)


def _closed_as_in_float32(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Additive masks with float32's minimum for float64's: eager attention takes its softmax in
    float32, where that would overflow, and rows of pads, all closed, would make everything NaN.
    """
    return tuple(_closed(one) for one in args), {name: _closed(one) for name, one in kwargs.items()}


def _closed(value: Any) -> Any:
    if not isinstance(value, Tensor) or value.dtype != torch.float64:
        return value
    closed = value == torch.finfo(torch.float64).min
    return value.masked_fill(closed, torch.finfo(torch.float32).min) if closed.any() else value


def _logits(twin: Subject, key: str, ids: Tensor, aside: Tensor) -> bool:
    try:
        return not bool(twin.run(key, ids, aside).isnan().any())
    except CaptureError:  # what was found in the model's own dtype stands
        return False


def _copy(subject: Subject, dtype: torch.dtype) -> Subject | None:
    model = exact_copy(subject.model, dtype)
    if model is None:
        return None
    twin = Subject(model, subject.vocabulary.tolist(), subject.cost)
    twin.wide = subject.own and dtype == torch.float64
    twin.first_position = subject.first_position
    return twin

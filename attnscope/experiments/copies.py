"""More exact copies of a subject, made when first asked for."""

from __future__ import annotations

import torch
from torch import Tensor

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
    return twin if twin is not None and _logits(twin, "plain", ids, ids[:, :0]) else None


def usable(twin: Subject | None, setting: Setting) -> bool:
    """True where its logits are numbers: eager attention takes its softmax in float32, where
    float64's minimum overflows, so rows of pads become NaN and tell nothing.
    """
    return twin is not None and _logits(twin, setting.key, setting.ids, setting.aside)


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
    twin.first_position = subject.first_position
    return twin

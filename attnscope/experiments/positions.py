"""From which number a model counts the position ids that it is given."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import Tensor

from attnscope.experiments.subject import Subject
from attnscope.measure.drift import drift


def first_position(subject: Subject, ids: Tensor, plain: Tensor) -> int:
    """0, or one past the pad's id as in RoBERTa: whichever is nearer to the `plain` logits.

    `ids` has shape (1, token), `plain` (token, vocab). 0 for a model that takes no position_ids.
    """
    if "position_ids" not in subject.takes:
        return 0
    places = torch.arange(ids.shape[1], device=subject.device)[None]
    pad = getattr(subject.config, "pad_token_id", None)
    moved: dict[int, float] = {}
    for first in (0, pad + 1) if isinstance(pad, int) else (0,):
        if 0.0 in moved.values():  # ids outside a table end a process on CUDA
            break
        subject.first_position = first
        with suppress(Exception):  # the conditions that pass ids say why
            with torch.no_grad():
                given = ids.to(subject.device)
                told = subject(given, position_ids=places, use_cache=False).logits[0]
            moved[first] = float(drift(plain, told).max())
    return min(moved, key=lambda first: moved[first], default=0)

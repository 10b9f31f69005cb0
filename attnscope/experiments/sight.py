"""How small a leak would be seen? Leaks of falling weight are planted until one is not."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from attnscope.experiments.replay import Recorded, replay
from attnscope.experiments.subject import Subject
from attnscope.faults.cell import mix_in, open_cell

WEIGHTS = tuple(step * 10.0**-power for power in range(13) for step in (1.0, 0.3))
"""Tried from the largest down."""


def smallest_seen(call: Recorded, seed: int) -> float | None:
    """The smallest weight of one planted cell that moves the module's output; None for none.

    In one head, where transformers' interface runs the module's attention, else in its output.
    """
    query, key = max(call.tokens - 2, 0), call.tokens - 1
    in_head, whole = 0.0, 0.0
    for weight in WEIGHTS:
        planted = open_cell(call.module, head=0, query=query, key=key, weight=weight)
        if not _seen(call, planted, query, key, seed):
            break
        in_head = weight
    if in_head:
        return in_head
    for weight in WEIGHTS:
        planted = mix_in(
            call.module, query=query, key=key, weight=weight,
            tokens=None if call.layout == "theirs" else call.tokens,
        )  # fmt: skip
        if not _seen(call, planted, query, key, seed):
            break
        whole = weight
    return whole or None


def smallest_in_logits(subject: Subject, ids: Tensor, seed: int) -> float | None:
    """Likewise for a leak straight into the logits of `ids`, shape (1, token): for models that give
    none of their modules a row a token.
    """
    query, key = ids.shape[1] - 2, ids.shape[1] - 1
    changed = ids.clone()
    changed[0, key] = subject.others(ids, seed)[0, key]
    base, moved = (subject.run("plain", each, each[:, :0]) for each in (ids, changed))
    smallest = None
    for weight in WEIGHTS:
        leaks = [base[query] + weight * (one[key] - base[query]) for one in (base, moved)]
        if torch.equal(*leaks) or bool(leaks[0].isnan().any()):
            break
        smallest = weight
    return smallest


def _seen(
    call: Recorded, planted: AbstractContextManager[None], query: int, key: int, seed: int
) -> bool:
    with planted:
        drift = replay(call, (key,), seed)
    return drift is not None and bool(drift[query, 0] > 0)

"""Something moved that may not: is it rounding, or where does it enter?

Rounding vanishes where it cannot hide (each token's experts computed apart, float64); a leak stays.
And rounding is small: what is larger than the model's floor is none, whatever becomes of it in
float64. Only where half precision picks between nearly even experts does that bound not hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from attnscope.capture.modules import ModuleStack
from attnscope.capture.traits import routes
from attnscope.experiments import copies, mixers, swaps
from attnscope.experiments.copies import HALVES
from attnscope.experiments.mixers import Asked
from attnscope.experiments.replay import Recorded
from attnscope.experiments.subject import Subject
from attnscope.experiments.swaps import Setting
from attnscope.experiments.switches import batched_experts
from attnscope.records.evidence import Contents, Influence, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What can be asked beside the model itself."""

    subject: Subject
    finer: Subject | None
    """A float64 copy of it; None where there is none."""
    limit: float
    """The model's floor, times its factor."""
    recorded: list[Recorded]
    """The module calls of the plain run."""
    asked: Asked
    """For replays."""


def of_sweep(
    means: Means, setting: Setting, found: Influence, visible: Bool[Tensor, "query key"]
) -> Influence:
    """A sweep in which something moved ahead, with its reason or its place."""
    before = _largest(found.drift, found.allowed)
    moved = found.drift.masked_fill(found.allowed, 0.0)
    worst = [found.swapped[int(k)] for k in (moved.amax(dim=0) > 0).nonzero().flatten()]
    place = [found.swapped.index(k) for k in worst]
    with batched_experts(means.subject.model) as batched:
        if batched:
            again = swaps.sweep(means.subject, setting, worst)
            after = _largest(again, visible[:, worst])
            if after == 0.0 and small(means, before):
                return replace(found, rounding=mixers.apart(before))
            if after > 0.0:
                found.drift[:, place] = again
        columns = found.drift[:, place].masked_fill(visible[:, worst], 0.0)
        key = worst[int(columns.amax(dim=0).argmax())]
        name = swaps.entry_of_swap(means.subject, setting, key, visible)
    if not name:  # what only batched experts do
        name = swaps.entry_of_swap(means.subject, setting, key, visible)
    finer = None
    if means.finer is not None and copies.usable(means.finer, setting):
        finer = _largest(swaps.sweep(means.finer, setting, [key]), visible[:, [key]])
    if words := _rounds(means, name, float(columns.max()), finer):
        return replace(found, rounding=words)
    return replace(found, place=place_of(means.subject.model, name))


def of_contents(means: Means, setting: Setting, found: Contents) -> Contents:
    """Tokens aside that moved others, with the reason or the place."""
    moved, before = found.drift, float(found.drift.max())
    with batched_experts(means.subject.model) as batched:
        again = swaps.contents(means.subject, setting) if batched else moved
        if not (again > 0).any() and small(means, before):
            return replace(found, rounding=mixers.apart(before))
        moved = again if (again > 0).any() else moved
        name = swaps.entry_of_contents(means.subject, setting)
    if not name:
        name = swaps.entry_of_contents(means.subject, setting)
    finer = None
    if means.finer is not None and copies.usable(means.finer, setting):
        finer = float(swaps.contents(means.finer, setting).max())
    if words := _rounds(means, name, float(moved.max()), finer):
        return replace(found, rounding=words)
    return replace(found, drift=moved, place=place_of(means.subject.model, name))


def small(means: Means, measured: float) -> bool:
    """True when a drift is no larger than rounding can be."""
    flips = means.subject.model.dtype in HALVES and routes(means.subject.model)
    return measured < float("inf") and (flips or measured <= means.limit)


def place_of(model: nn.Module, name: str) -> Place:
    """A module by its name; a blank place for an empty one."""
    if not name:
        return Place(module="", layer=None)
    kind = type(model.get_submodule(name)).__name__
    return Place(module=name, layer=ModuleStack(model).layer(name), kind=kind)


def _rounds(means: Means, name: str, measured: float, finer: float | None) -> str:
    """Why a drift is rounding, in words; empty when it is not, or cannot be told.

    `finer` is the same measured in float64. Where that is not possible, the module where it enters
    is replayed in float64.
    """
    if not small(means, measured):
        return ""
    if finer is not None:
        vanishes = finer <= measured * mixers.ROUNDING_SHRINKS
        return f"{measured:.1e}, and {finer:.1e} in float64" if vanishes else ""
    calls = [call for call in means.recorded if call.name == name]
    clean = bool(calls) and all(mixers.clean_in_float64(call, means.asked) for call in calls)
    return f"{measured:.1e}; {name} alone is clean in float64" if clean else ""


def _largest(drift: Tensor, allowed: Tensor) -> float:
    return float(torch.where(allowed, 0.0, drift).max())

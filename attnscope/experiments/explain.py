"""Something moved that may not: is it rounding, or where does it enter?

Only experts round like this: they are batched by how many tokens chose them, so one token's choice
moves the last bits of others. In a model without experts every forbidden bit is a leak. Among
experts, rounding vanishes where it cannot hide (each token's experts computed apart, float64), and
it is small: what is larger than the floor is none, whatever becomes of it in float64. In half
precision, where rounding also picks between nearly even experts, the floor is that of a float32
copy with the same experts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from attnscope.capture.modules import ModuleStack
from attnscope.capture.traits import routes
from attnscope.experiments import copies, mixers, swaps
from attnscope.experiments.copies import HALVES
from attnscope.experiments.mixers import Asked
from attnscope.experiments.replay import Recorded, replay
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
    coarser: Subject | None
    """A float32 copy of a float64 model of unknown making; None for others."""
    limit: float
    """The model's floor, times its factor."""
    single: Subject | None
    """A float32 copy of a model in half precision; None for others."""
    single_limit: float
    """Its floor, times the factor."""
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

    def again(subject: Subject) -> float:
        return _largest(swaps.sweep(subject, setting, worst), visible[:, worst])

    few = small(means, before, again)
    with batched_experts(means.subject.model) as batched:
        if batched:
            apart = swaps.sweep(means.subject, setting, worst)
            if _largest(apart, visible[:, worst]) == 0.0 and few:
                return replace(found, rounding=mixers.apart(before))
            if _largest(apart, visible[:, worst]) > 0.0:
                found.drift[:, place] = apart
        columns = found.drift[:, place].masked_fill(visible[:, worst], 0.0)
        key = worst[int(columns.amax(dim=0).argmax())]
        name = _entry(means, setting, key, visible)
    if not name:  # what only batched experts do
        name = swaps.entry_of_swap(means.subject, setting, key, visible)
    if few and (words := _vanishes(means, setting, name, columns, worst, visible)):
        return replace(found, rounding=words)
    untold = few and not batched and _untold(means, setting, before, name)
    return replace(found, place=place_of(means.subject.model, name), untold=untold)


def of_contents(means: Means, setting: Setting, found: Contents) -> Contents:
    """Tokens aside that moved others, with the reason or the place."""
    moved, before = found.drift, float(found.drift.max())
    few = small(means, before, lambda subject: float(swaps.contents(subject, setting).max()))
    with batched_experts(means.subject.model) as batched:
        apart = swaps.contents(means.subject, setting) if batched else moved
        if not (apart > 0).any() and few:
            return replace(found, rounding=mixers.apart(before))
        moved = apart if (apart > 0).any() else moved
        name = swaps.entry_of_contents(means.subject, setting)
    if not name:
        name = swaps.entry_of_contents(means.subject, setting)
    if few and means.finer is not None and copies.usable(means.finer, setting):
        finer = swaps.contents(means.finer, setting)
        if mixers.vanishes(moved, finer):
            return replace(found, rounding=mixers.finer_words(moved, finer))
    elif few and _clean_alone(means, name):
        return replace(found, rounding=f"{float(moved.max()):.1e}; {name} is clean in float64")
    untold = few and not batched and _untold(means, setting, before, name)
    place = place_of(means.subject.model, name)
    return replace(found, drift=moved, place=place, untold=untold)


def small(means: Means, measured: float, again: Callable[[Subject], float]) -> bool:
    """True when a drift is no larger than rounding across positions can be.

    `again` measures it on another subject.
    """
    model = means.subject.model
    if measured == float("inf") or not mixers.rounds_across(model, model):
        return False
    if means.subject.model.dtype not in HALVES:
        return measured <= means.limit
    return means.single is None or again(means.single) <= means.single_limit


def place_of(model: nn.Module, name: str) -> Place:
    """A module by its name; a blank place for an empty one."""
    if not name:
        return Place(module="", layer=None)
    kind = type(model.get_submodule(name)).__name__
    return Place(module=name, layer=ModuleStack(model).layer(name), kind=kind)


def _entry(means: Means, setting: Setting, key: int, visible: Bool[Tensor, "query key"]) -> str:
    """Where it enters; in a model of unknown making, whose rounding may have touched other modules
    before, by its float64 copy.
    """
    finer = means.finer
    if means.subject.own and finer is not None and copies.usable(finer, setting):
        name = swaps.entry_of_swap(finer, setting, key, visible)
        if name:
            return name
    return swaps.entry_of_swap(means.subject, setting, key, visible)


def _vanishes(
    means: Means,
    setting: Setting,
    name: str,
    columns: Tensor,
    worst: list[int],
    visible: Bool[Tensor, "query key"],
) -> str:
    """How every one of the drifts vanishes in float64, in words; empty when one does not.

    Where the model has no float64 copy that tells, the module where it enters is replayed in one.
    """
    if means.coarser is not None and copies.usable(means.coarser, setting):
        coarser = swaps.sweep(means.coarser, setting, worst).masked_fill(visible[:, worst], 0.0)
        grown = f"{float(columns.max()):.1e}, and {float(coarser.max()):.1e} in float32"
        return grown if mixers.vanishes(coarser, columns) else ""
    if means.finer is not None and copies.usable(means.finer, setting):
        finer = swaps.sweep(means.finer, setting, worst).masked_fill(visible[:, worst], 0.0)
        return mixers.finer_words(columns, finer) if mixers.vanishes(columns, finer) else ""
    alone = f"{float(columns.max()):.1e}; {name} is clean in float64"
    return alone if _clean_alone(means, name) else ""


def _clean_alone(means: Means, name: str) -> bool:
    """True when the drift enters among experts, which are clean in float64.

    What else leaks with pads alone is clean as well on the inputs of the plain run.
    """
    calls = [call for call in means.recorded if call.name == name and routes(call.module)]
    return bool(calls) and all(mixers.clean_in_float64(call, means.asked) for call in calls)


def _untold(means: Means, setting: Setting, before: float, name: str) -> bool:
    """True where a drift as small as rounding enters at a module that holds experts, or in a model
    of unknown making, and neither the model nor that module runs in float64: kernels such as
    FlexAttention on a CPU have none.

    Where experts can be computed apart it was told already: what still moved is no rounding.
    """
    if means.subject.model.dtype in HALVES or before > means.limit:
        return False
    if means.finer is not None and copies.usable(means.finer, setting):
        return False
    if means.subject.own:
        return True
    calls = [call for call in means.recorded if call.name == name and routes(call.module)]
    asked = means.asked.positions[:1], means.asked.seed, torch.float64
    return bool(calls) and all(replay(call, *asked) is None for call in calls)


def _largest(drift: Tensor, allowed: Tensor) -> float:
    return float(torch.where(allowed, 0.0, drift).max())

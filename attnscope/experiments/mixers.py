"""Which modules mix positions, and how: every candidate is replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.nn import ModuleList

from attnscope.capture.modules import ModuleStack
from attnscope.capture.traits import routes
from attnscope.declared import Declared
from attnscope.experiments.replay import Recorded, replay
from attnscope.experiments.switches import batched_experts
from attnscope.load.own import chains_layers
from attnscope.load.stand_in import StandIn
from attnscope.records.evidence import Influence, Modules, Place

ROUNDING_SHRINKS = 1e-3
"""Rounding shrinks by 5e-10 from float32 to float64, a leak not at all: anything between tells."""

NATIVE_SHARE = {torch.float32: 1e-3, torch.float64: 1e-9}
"""Of what may move: rounding in the model's own dtype stays far below, whatever becomes of it in
float64."""

MIXED = 1e-5
"""Share of its own movement by which a position must move another one to be mixed with it."""

DAMPING = 1 / 64
"""Makes scores so small that every open key gets a weight that float64 can see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What replays need beside the recorded calls."""

    model: Any
    positions: tuple[int, ...]
    seed: int
    attending: frozenset[str]
    """Names of the modules that made attention calls."""
    declared: Sequence[Declared]
    """One a layer."""
    widest: Declared
    """What may be seen anywhere."""


def influences(calls: Sequence[Recorded], asked: Asked) -> Modules:
    """The map of each module that a layer is made of, and of those outside the layers.

    A module that leaks is replaced by the innermost ones in it that leak on their own.
    """
    found: list[Influence] = []
    unreplayed: list[str] = []
    candidates = _candidates(asked.model, calls)
    for call in calls:
        if call.name in candidates:
            maps = _of_call(call, calls, asked)
            found += maps
            unreplayed += [] if maps else [call.name]
    return Modules(maps=tuple(found), unreplayed=tuple(dict.fromkeys(unreplayed)))


def attends(name: str, attending: frozenset[str]) -> bool:
    """True when a module of that name, or one inside it, made an attention call."""
    return any(f"{one}.".startswith(f"{name}.") for one in attending)


def meet_in_masks_only(calls: Sequence[Recorded], asked: Asked) -> bool:
    """True where tokens meet in attention calls alone, in one stack of layers: what masks keep
    apart then stays apart.
    """
    inner = [
        call
        for call in calls
        if not attends(call.name, asked.attending)
        and any(call.name.startswith(f"{name}.") for name in asked.attending)
    ]
    some = replace(asked, positions=asked.positions[:1])
    beside = any(mixes(one) for call in inner if (one := _influence(call, some)) is not None)
    stacks = {name.split(".layers.")[0] for name in asked.attending if ".layers." in name}
    return not beside and len(stacks) < 2


def rounds_across(module: nn.Module, model: nn.Module) -> bool:
    """True where rounding may touch positions that nothing else does: among experts, which are
    batched by how many tokens chose them, and in a model of unknown making, which may take Fourier
    transforms over time.
    """
    return isinstance(model, StandIn) or routes(module)


def vanishes(native: Tensor, finer: Tensor) -> bool:
    """True when a drift as a whole shrinks in float64 as rounding does.

    Largest against largest: rounding hits other positions in float64 than before.
    """
    return float(finer.max()) <= float(native.max()) * ROUNDING_SHRINKS < float("inf")


def finer_words(native: Tensor, finer: Tensor) -> str:
    """How a drift vanishes in float64."""
    return f"{float(native.max()):.1e}, and {float(finer.max()):.1e} in float64"


def apart(before: float) -> str:
    """Why a drift among experts is rounding, in words."""
    return f"{before:.1e}, and 0.0 with each token's experts computed apart"


def forbidden(one: Influence) -> bool:
    """True when something moved that may not, rounding left out."""
    return not one.rounding and bool((one.drift.masked_fill(one.allowed, 0.0) > 0).any())


def mixes(one: Influence) -> bool:
    """True when some position moves another one by more than rounding among experts does."""
    rows = torch.arange(one.drift.shape[0])[:, None]
    own = rows == torch.tensor(one.swapped)
    elsewhere = one.drift.masked_fill(own, 0.0)
    return not one.rounding and bool(elsewhere.max() > MIXED * one.drift[own.any(dim=1)].max())


def clean_in_float64(call: Recorded, asked: Asked) -> bool:
    """True when, in float64, nothing moves that may not, relative to what may."""
    exact = replay(call, asked.positions, asked.seed, torch.float64)
    if exact is None:
        return False
    may = columns(asked.widest, call.tokens, asked.positions)
    scale = float(exact.masked_fill(~may, 0.0).max())
    limit = ROUNDING_SHRINKS * torch.finfo(torch.float32).eps * scale
    return float(exact.masked_fill(may, 0.0).max()) <= limit


def _of_call(call: Recorded, calls: Sequence[Recorded], asked: Asked) -> list[Influence]:
    whole = _influence(call, asked)
    if whole is None:
        return []
    if not forbidden(whole):
        return [whole]
    inner = [
        one
        for child in calls
        if child.name.startswith(f"{call.name}.") and _direct(child, call, calls)
        for one in _of_call(child, calls, asked)
        if forbidden(one)
    ]
    return inner or [whole]


def _direct(child: Recorded, parent: Recorded, calls: Sequence[Recorded]) -> bool:
    """True when no other recorded module stands between the two."""
    between = {one.name for one in calls if one.name.startswith(f"{parent.name}.")}
    return not any(child.name.startswith(f"{name}.") for name in between)


def _influence(call: Recorded, asked: Asked) -> Influence | None:
    drift = replay(call, asked.positions, asked.seed)
    if drift is None:
        return None
    layer = ModuleStack(asked.model).layer(call.name)
    own = attends(call.name, asked.attending) and layer is not None and layer < len(asked.declared)
    declared = asked.declared[layer] if own and layer is not None else asked.widest
    one = Influence(
        swapped=asked.positions,
        drift=drift,
        allowed=columns(declared, call.tokens, asked.positions),
        expected=columns(declared, call.tokens, asked.positions)
        if own and declared.exact
        else torch.zeros_like(drift, dtype=torch.bool),
        place=Place(module=call.name, layer=layer, kind=type(call.module).__name__),
        beyond=own and declared.narrow,
    )
    return _decided(one, call, asked)


def _decided(one: Influence, call: Recorded, asked: Asked) -> Influence:
    """Repeated in float64 where something moved that may not, or stood still that should move."""
    wrong = one.drift.masked_fill(one.allowed, 0.0).amax(dim=0) > 0
    still = (one.expected & (one.drift == 0)).any(dim=0)
    again = [position for position, w, s in zip(one.swapped, wrong, still, strict=True) if w or s]
    if not again:
        return one
    if wrong.any() and (words := _batched(one, call, again, asked)):
        return replace(one, rounding=words)
    exact = replay(call, again, asked.seed, torch.float64)
    even = replay(call, again, asked.seed, torch.float64, DAMPING) if still.any() else exact
    if exact is None or even is None:
        lost = isinstance(asked.model, StandIn) and bool(wrong.any()) and _small(one, call, asked)
        return replace(one, undecided=bool(still.any()), untold=lost)
    place = [one.swapped.index(position) for position in again]
    native, may = one.drift[:, place], one.allowed[:, place]
    if wrong.any() and _small(one, call, asked) and (words := _rounding(native, exact, may)):
        return replace(one, rounding=words)
    if wrong.any() and _grows(native, may, call, again, asked):
        return replace(one, rounding=f"{float(native.masked_fill(may, 0.0).max()):.1e}")
    sharper = one.drift.clone()
    sharper[:, place] = torch.where(may, torch.maximum(native, torch.maximum(exact, even)), native)
    return replace(one, drift=sharper)


def _batched(one: Influence, call: Recorded, positions: list[int], asked: Asked) -> str:
    """Why forbidden drift is rounding among experts, in words; empty when it is not."""
    with batched_experts(asked.model) as batched:
        again = replay(call, positions, asked.seed) if batched else None
    may = one.allowed[:, [one.swapped.index(position) for position in positions]]
    if again is None or (again.masked_fill(may, 0.0) > 0).any():
        return ""
    before = float(one.drift.masked_fill(one.allowed, 0.0).max())
    return apart(before) if before < float("inf") and _small(one, call, asked) else ""


def _small(one: Influence, call: Recorded, asked: Asked) -> bool:
    """True when the module may round across positions, and what may not move does so as little."""
    ahead = float(one.drift.masked_fill(one.allowed, 0.0).max())
    if ahead == float("inf") or not rounds_across(call.module, asked.model):
        return False
    share = NATIVE_SHARE.get(asked.model.dtype)
    if share is None:  # half precision also picks between nearly even experts
        single = replay(call, one.swapped, asked.seed, torch.float32)
        if single is None:
            return True
        ahead = float(single.masked_fill(one.allowed, 0.0).max())
        share, scale = (
            NATIVE_SHARE[torch.float32],
            float(single.masked_fill(~one.allowed, 0.0).max()),
        )
    else:
        scale = float(one.drift.masked_fill(~one.allowed, 0.0).max())
    return ahead <= share * scale


def _grows(native: Tensor, may: Tensor, call: Recorded, positions: list[int], asked: Asked) -> bool:
    """True where drift in float64 grows in float32 as rounding does; see `copies.in_less`."""
    if not isinstance(asked.model, StandIn) or asked.model.dtype != torch.float64:
        return False
    coarser = replay(call, positions, asked.seed, torch.float32)
    return coarser is not None and bool(_rounding(coarser, native, may))


def _rounding(native: Tensor, exact: Tensor, may: Tensor) -> str:
    before, after = (one.masked_fill(may, 0.0) for one in (native, exact))
    return finer_words(before, after) if vanishes(before, after) else ""


def columns(
    declared: Declared, tokens: int, positions: Sequence[int]
) -> Bool[Tensor, "query swap"]:
    """The declared visibility of some keys."""
    return declared.mask().rows(0, tokens, tokens)[0, 0][:, list(positions)].clone()


def _candidates(model: nn.Module, calls: Sequence[Recorded]) -> frozenset[str]:
    """The children of the layers, layers without any (XLM has a list of attentions beside others),
    and the outermost recorded modules that hold no layer.
    """
    own = isinstance(model, StandIn)
    layers = [
        f"{name}.{number}"
        for name, module in model.named_modules()
        if isinstance(module, ModuleList) or (own and chains_layers(module))
        for number in range(len(module))
    ]
    names = [call.name for call in calls]
    outermost = [one for one in layers if not any(one.startswith(f"{two}.") for two in layers)]
    inside = [name for name in names if any(name.startswith(f"{one}.") for one in outermost)]
    whole = [name for name in names if own and name in outermost]  # they may mix in themselves
    direct = [name for name in inside if not any(name.startswith(f"{one}.") for one in inside)]
    bare = [
        name
        for name in names
        if name in outermost and not any(one.startswith(f"{name}.") for one in inside)
    ]
    holders = [name for name in names if any(one.startswith(f"{name}.") for one in outermost)]
    others = [
        name
        for name in names
        if name not in inside and name not in outermost and name not in holders
    ]
    free = [name for name in others if not any(name.startswith(f"{one}.") for one in others)]
    return frozenset((*(whole or direct), *bare, *free))

"""One model on one backend, and every piece of evidence that a check may ask for.

Each method is one experiment; what several checks need is measured once.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from attnscope.capture import capture
from attnscope.capture.runs import failed
from attnscope.conditions import CONDITIONS, Facts
from attnscope.declared import Declared
from attnscope.errors import CaptureError
from attnscope.experiments import floor, mixers, readings, sight, swaps
from attnscope.experiments.mixers import Asked
from attnscope.experiments.replay import Recorded, recording
from attnscope.experiments.subject import Subject
from attnscope.experiments.swaps import Setting
from attnscope.experiments.switches import batched_experts, exact_copy
from attnscope.measure.drift import drift
from attnscope.records.evidence import (
    Agreement,
    Contents,
    Floor,
    Influence,
    Place,
    Readings,
    Repeat,
)

HALVES = {"bfloat16", "float16"}
"""Dtypes whose rounding can hide a real difference: agreement is asked in float32 too."""

BIT_EQUAL = frozenset({"after_longer"})
"""Conditions of the same shape as the plain one: their limit is 0.0."""


_HANDS_POSITIONS = re.compile(
    r"(create_\w*mask\(|mask_kwargs = \{)[^{}()]*(\([^()]*\)[^{}()]*)*position_ids"
)
"""A call of the mask builder, or the arguments for it, with position ids among them."""


class Laboratory:
    """Runs experiments on one model as it is switched now; evidence is remembered."""

    def __init__(
        self,
        subject: Subject,
        *,
        ids: Tensor,
        seed: int,
        declared: Sequence[Declared],
        widest: Declared,
        per_sweep: int | None = None,
    ) -> None:
        self.subject = subject
        self._ids, self._seed = ids, seed
        self._declared, self._widest = tuple(declared), widest
        self.positions = _sample(ids.shape[1], per_sweep, seed)
        """The positions that sweeps change."""
        self.repeat = cache(self._repeat)
        self.sweep = cache(self._sweep)
        self.modules = cache(self._modules)
        self.calls = cache(self._calls)
        self.contents = cache(self._contents)
        self.agreement = cache(self._agreement)
        self.floor = cache(self._floor)
        self.facts = cache(self._facts)
        self.limit = cache(self._limit)
        self.plain = cache(self._plain)
        self._attending = cache(self._find_attending)
        self._recorded = cache(self._record)
        self.exact = cache(self._find_exact)
        self._finer = cache(self._find_finer)
        self._settle_positions = cache(self._find_first_position)

    @property
    def tokens(self) -> int:
        """How many tokens are in question."""
        return self._ids.shape[1]

    def setting(self, key: str) -> Setting:
        """A condition with its tokens."""
        aside = self.subject.aside(key, self.tokens, self._seed + 1)
        return Setting(key=key, ids=self._ids, aside=aside, seed=self._seed)

    def routed(self) -> bool:
        """True for models with experts."""
        names = (type(one).__name__.lower() for one in self.subject.model.modules())
        return any("expert" in name or "moe" in name for name in names)

    def require(self, key: str) -> None:
        """Raise CaptureError when the model cannot be asked in a condition."""
        condition = CONDITIONS[key]
        self._settle_positions()
        missing = [name for name in condition.needs if name not in self.subject.takes]
        if missing:
            raise CaptureError(f"its forward takes no {' and no '.join(missing)}")
        if condition.needs_cache and not self._returns_cache():
            raise CaptureError("it returns no cache")
        if condition.aside and len(self.subject.vocabulary) < 3:
            raise CaptureError("its vocabulary is too small for other tokens")

    # --- the experiments, one a kind of evidence

    def _repeat(self) -> Repeat:
        """Twice the same with equal random state, once observed, once with another."""
        other = self.subject.others(self._ids, self._seed)
        with torch.random.fork_rng(devices=[]):
            self.subject.run("plain", other, other[:, :0])  # what it leaves behind, if anything
            first, second = self._seeded(), self._seeded()
            with capture(self.subject.model, lambda call: None):
                observed = self._seeded()
            unseeded = self._run("plain")
        seeded = float(drift(first, second).max())
        return Repeat(
            neutral=float(drift(second, observed).max()),
            repeats=max(seeded, float(drift(second, unseeded).max())),
            seeded=seeded,
        )

    def _seeded(self) -> Float[Tensor, "query vocab"]:
        torch.manual_seed(self._seed)
        return self._run("plain")

    def _sweep(self, key: str) -> Influence:
        """Swap position by position and see what moves."""
        setting = self.setting(key)
        visible = mixers.columns(self._widest, self.tokens, range(self.tokens))
        positions = list(self.positions)
        found = Influence(
            swapped=self.positions,
            drift=swaps.sweep(self.subject, setting, positions),
            allowed=visible[:, positions],
            expected=self._expected()[:, positions],
            place=Place(module="", layer=None),
        )
        return found if not mixers.forbidden(found) else self._explained(setting, found, visible)

    def _contents(self, key: str) -> Contents:
        """Change the tokens aside and see whether the others move."""
        setting = self.setting(key)
        moved = swaps.contents(self.subject, setting)
        found = Contents(
            what=CONDITIONS[key].aside, drift=moved, place=Place(module="", layer=None)
        )
        if not (moved > 0).any():
            return found
        with batched_experts(self.subject.model) as batched:
            again = swaps.contents(self.subject, setting) if batched else moved
            if not (again > 0).any():
                return replace(found, rounding=_batched(float(moved.max())))
            name = swaps.entry_of_contents(self.subject, setting)
        finer = None if (twin := self._finer_in(setting)) is None else swaps.contents(twin, setting)
        if words := self._rounds(name, float(again.max()), finer):
            return replace(found, rounding=words)
        return replace(found, drift=again, place=self._place(name))

    def _modules(self) -> tuple[Influence, ...]:
        """Replay each module of the plain run with one position changed at a time."""
        return mixers.influences(self._recorded(), self._asked())

    def _calls(self, key: str) -> Readings:
        """Read each attention call's mask and weights in a condition."""
        setting = self.setting(key)
        return readings.read(
            self.subject, key, setting.ids, setting.aside, self._declared, self._widest
        )

    def _agreement(self, key: str) -> Agreement:
        """The same tokens by another way, against the plain run."""
        gap = drift(self.plain(), self._run(key))
        if key in BIT_EQUAL:
            return Agreement(way=CONDITIONS[key].title, gap=gap, limit=0.0)
        twin, finer = self.exact(), None
        with suppress(CaptureError):  # what was found in the model's own dtype stands
            finer = None if twin is None else twin.agreement(key)
        return Agreement(
            way=CONDITIONS[key].title,
            gap=gap,
            limit=self.limit(),
            finer=finer,
            routed=self.routed(),
        )

    def _floor(self) -> Floor:
        """Plant ever smaller leaks into the last mixer until none is seen."""
        mixing = [one for one in self.modules() if mixers.mixes(one)]
        names = {one.place.module for one in mixing}
        calls = [call for call in self._recorded() if call.name in names]
        if not calls:
            return Floor(weight=None, place=Place(module="", layer=None), dtype=self._dtype)
        last = calls[-1]
        weight = sight.smallest_seen(last, self._seed)
        return Floor(weight=weight, place=self._place(last.name), dtype=self._dtype)

    def _facts(self) -> Facts:
        """What the model's promises depend on."""
        model: Any = self.subject.model
        mixing = [one.place.module for one in self.modules() if mixers.mixes(one)]
        attending = self._attending()
        return Facts(
            model_type=str(model.config.model_type),
            takes=self.subject.takes,
            attention_only=bool(mixing) and all(_attends(name, attending) for name in mixing),
            masks_packed="position_ids" in self.subject.takes and builds_masks(model),
            absolute_positions=_absolute_positions(model) and "position_ids" not in self.subject.takes,
            sliding=any(one.narrow for one in self._declared),
            length_dependent=_length_dependent(model.config),
            static_cache=bool(getattr(model, "_can_compile_fullgraph", False)),
        )

    # --- what they share

    def _asked(self) -> Asked:
        return Asked(
            model=self.subject.model,
            positions=self.positions,
            seed=self._seed,
            attending=self._attending(),
            declared=self._declared,
            widest=self._widest,
        )

    def _run(self, key: str) -> Float[Tensor, "query vocab"]:
        setting = self.setting(key)
        return self.subject.run(key, setting.ids, setting.aside)

    def _plain(self) -> Float[Tensor, "query vocab"]:
        return self._run("plain")

    def _limit(self) -> float:
        return floor.FLOOR_FACTOR * floor.rounding_floor(self.subject, self._ids, self._seed)

    @property
    def _dtype(self) -> str:
        return str(self.subject.model.dtype).removeprefix("torch.")

    def _expected(self) -> Bool[Tensor, "query key"]:
        """Whole models are expected to see everything only where that is declared."""
        everything = self._widest.kind == "bidirectional"
        return torch.full((self.tokens, self.tokens), everything)

    def _explained(self, setting: Setting, found: Influence, visible: Tensor) -> Influence:
        """Forbidden drift: is it rounding among experts, or where does it enter?"""
        moved = found.drift.masked_fill(found.allowed, 0.0)
        worst = [found.swapped[int(k)] for k in (moved.amax(dim=0) > 0).nonzero().flatten()]
        with batched_experts(self.subject.model) as batched:
            if batched:
                again = swaps.sweep(self.subject, setting, worst)
                moved = again.masked_fill(visible[:, worst], 0.0)
                if not (moved > 0).any():
                    largest = float(found.drift.masked_fill(found.allowed, 0.0).max())
                    return replace(found, rounding=_batched(largest))
                found.drift[:, [found.swapped.index(k) for k in worst]] = again
            columns = moved if batched else moved[:, [found.swapped.index(k) for k in worst]]
            key = worst[int(columns.amax(dim=0).argmax())]
            name = swaps.entry_of_swap(self.subject, setting, key, visible)
        finer = None
        if (twin := self._finer_in(setting)) is not None:
            finer = swaps.sweep(twin, setting, [key]).masked_fill(visible[:, [key]], 0.0)
        if words := self._rounds(name, float(columns.max()), finer):
            return replace(found, rounding=words)
        return replace(found, place=self._place(name))

    def _rounds(self, name: str, measured: float, finer: Tensor | None) -> str:
        """Why a forbidden drift is rounding, in words; empty when it is not, or cannot be told.

        `finer` is the same measured in float64. Where that is not possible, the module where it
        enters is replayed in float64, and the drift must also be within the model's floor.
        """
        if finer is not None:
            after = float(finer.max())
            small = after <= measured * mixers.ROUNDING_SHRINKS
            return f"{measured:.1e}, and {after:.1e} in float64" if small else ""
        calls = [call for call in self._recorded() if call.name == name]
        clean = bool(calls) and all(mixers.clean_in_float64(call, self._asked()) for call in calls)
        if clean and measured <= self.limit():
            return f"{measured:.1e}; {name} alone is clean in float64"
        return ""

    def _finer_in(self, setting: Setting) -> Subject | None:
        """The float64 copy where its logits are numbers: eager attention takes its softmax in
        float32, where float64's minimum overflows, so rows of pads become NaN and tell nothing.
        """
        twin = self._finer()
        if twin is None:
            return None
        try:
            logits = twin.run(setting.key, setting.ids, setting.aside)
        except CaptureError:  # what was found in the model's own dtype stands
            return None
        return None if bool(logits.isnan().any()) else twin

    def _place(self, name: str) -> Place:
        from attnscope.capture.modules import ModuleStack

        if not name:
            return Place(module="", layer=None)
        module: nn.Module = self.subject.model.get_submodule(name)
        layer = ModuleStack(self.subject.model).layer(name)
        return Place(module=name, layer=layer, kind=type(module).__name__)

    def _record(self) -> list[Recorded]:
        with recording(self.subject.model, self.tokens) as calls:
            self._run("plain")
        return calls

    def _find_attending(self) -> frozenset[str]:
        names: set[str] = set()
        with capture(self.subject.model, lambda call: names.add(call.module)):
            self._run("plain")
        return frozenset(names)

    def _returns_cache(self) -> bool:
        if not self.subject.cache_name:
            return False
        try:
            with torch.no_grad():
                ran = self.subject(self._ids[:, :2].to(self.subject.device), use_cache=True)
        except Exception as error:  # whatever a model's own code raises
            raise CaptureError(failed(self.subject.model, error)) from error
        return ran.past_key_values is not None

    def _find_first_position(self) -> None:
        """Whether explicit position ids count from 0, or from one past the pad's id."""
        subject = self.subject
        if "position_ids" not in subject.takes:
            return
        places = torch.arange(self.tokens, device=subject.device)[None]
        pad = getattr(subject.config, "pad_token_id", None)
        moved = {}
        for first in (0, pad + 1) if isinstance(pad, int) else (0,):
            subject.first_position = first
            with torch.no_grad():
                ids = self._ids.to(subject.device)
                told = subject(ids, position_ids=places, use_cache=False).logits[0]
            moved[first] = float(drift(self.plain(), told).max())
        subject.first_position = min(moved, key=lambda first: moved[first])

    def _find_finer(self) -> Subject | None:
        """A float64 copy of the model that runs; None where there is none."""
        model = exact_copy(self.subject.model, torch.float64)
        if model is None:
            return None
        finer = Subject(model, self.subject.vocabulary.tolist(), self.subject.cost)
        finer.first_position = self.subject.first_position
        try:
            finer.run("plain", self._ids, self._ids[:, :0])
        except CaptureError:  # kernels without float64
            return None
        return finer

    def _find_exact(self) -> Laboratory | None:
        """The same on a float32 copy of the model; None where that is no finer or does not fit."""
        if self._dtype not in HALVES:
            return None
        model = exact_copy(self.subject.model, torch.float32)
        if model is None:
            return None
        subject = Subject(model, self.subject.vocabulary.tolist(), self.subject.cost)
        subject.first_position = self.subject.first_position
        return Laboratory(
            subject, ids=self._ids, seed=self._seed, declared=self._declared, widest=self._widest
        )


def _batched(before: float) -> str:
    return f"{before:.1e}, and 0.0 with each token's experts computed apart"


def _attends(name: str, attending: frozenset[str]) -> bool:
    return any(f"{one}.".startswith(f"{name}.") for one in attending)


def builds_masks(model: nn.Module) -> bool:
    """True when the model's code hands its position ids to transformers' mask builder."""
    sources = {type(one).__module__ for one in model.modules() if hasattr(one, "config")}
    return any(
        _HANDS_POSITIONS.search(inspect.getsource(sys.modules[name]))
        for name in sources
        if hasattr(sys.modules.get(name), "create_causal_mask")
    )


def _absolute_positions(model: nn.Module) -> bool:
    tables = (name.rpartition(".")[2] for name, _ in model.named_modules())
    return any(("pos" in name and "rot" not in name) or name == "wpe" for name in tables)


def _length_dependent(config: Any) -> bool:
    text = config.get_text_config(decoder=True)
    found = str(getattr(text, "rope_parameters", None) or "") + str(
        getattr(text, "rope_scaling", None) or ""
    )
    return "dynamic" in found or "longrope" in found


def _sample(tokens: int, count: int | None, seed: int) -> tuple[int, ...]:
    """Positions to change: all, or both ends, the middle and random ones."""
    if count is None or count >= tokens:
        return tuple(range(tokens))
    fixed = [0, tokens - 1, tokens // 2, tokens // 2 - 1, 1, tokens - 2][: max(count, 2)]
    generator = torch.Generator().manual_seed(seed)
    rest = [one for one in torch.randperm(tokens, generator=generator).tolist() if one not in fixed]
    return tuple(sorted({*fixed, *rest[: max(count - len(fixed), 0)]}))

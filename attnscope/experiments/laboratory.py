"""One model on one backend, and every piece of evidence that a check may ask for.

Each method is one experiment; what several checks need is measured once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attnscope.capture import capture
from attnscope.capture.traits import (
    builds_masks,
    depends_on_length,
    looks_positions_up,
    routes,
)
from attnscope.conditions import CONDITIONS
from attnscope.declared import Declared
from attnscope.errors import CaptureError
from attnscope.experiments import copies, explain, floor, mixers, readings, sight, swaps
from attnscope.experiments.attending import attending
from attnscope.experiments.explain import Means, place_of
from attnscope.experiments.lengths import sample
from attnscope.experiments.mixers import Asked
from attnscope.experiments.positions import first_position
from attnscope.experiments.replay import Recorded, given_tokens, recording
from attnscope.experiments.subject import Subject
from attnscope.experiments.swaps import Setting
from attnscope.measure.drift import drift
from attnscope.promises import Facts
from attnscope.records.evidence import (
    Agreement,
    Contents,
    Floor,
    Influence,
    Modules,
    Place,
    Readings,
    Repeat,
)

BIT_EQUAL = frozenset({"after_longer"})
"""Conditions of the same shape as the plain one: their limit is 0.0."""

NOWHERE = Place(module="", layer=None)
LOGITS = Place(module="the logits", layer=None, kind="no module with a row a token mixes")


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
        self.positions = sample(ids.shape[1], per_sweep, seed)
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
        self._finer = cache(lambda: copies.in_float64(self.subject, self._ids))
        self._settle_positions = cache(self._find_first_position)

    @property
    def tokens(self) -> int:
        """How many tokens are in question."""
        return self._ids.shape[1]

    def setting(self, key: str) -> Setting:
        """A condition with its tokens."""
        aside = self.subject.aside(key, self.tokens, self._seed + 1)
        return Setting(key=key, ids=self._ids, aside=aside, seed=self._seed)

    def beside_the_point(self, key: str) -> str:
        """Why a condition is none for this model, in words; empty where it is one."""
        condition = CONDITIONS[key]
        if reason := self.subject.unfit(condition):
            return reason
        if condition.needs_cache and not self.subject.returns_cache(self._ids):
            return "it returns no cache"
        if key == "alone" and self._widest.kind in {"prefix", "bidirectional"}:
            return "what is seen both ways depends on how much of it is there"
        offloads = key == "offloaded_cache" and self.subject.device.type == "cpu"
        return "there is no accelerator to offload from" if offloads else ""

    def require(self, key: str) -> None:
        """Raise CaptureError when the model cannot be asked in a condition."""
        condition = CONDITIONS[key]
        self._settle_positions()
        if self.tokens < condition.least:
            raise CaptureError(f"{self.tokens} tokens are too few: it takes {condition.least}")
        if condition.aside and len(self.subject.vocabulary) < 3:
            raise CaptureError("its vocabulary is too small for other tokens")

    # --- the experiments, one a kind of evidence

    def _repeat(self) -> Repeat:
        """Twice the same with equal random state, once observed, once with another."""
        other = self.subject.others(self._ids, self._seed)
        with torch.random.fork_rng(devices=self._generators()):
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

    def _generators(self) -> list[torch.device]:
        return [self.subject.device] if self.subject.device.type == "cuda" else []

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
            place=NOWHERE,
            own_or_later=self.subject.own,
        )
        if not mixers.forbidden(found):
            return found
        return explain.of_sweep(self._means(), setting, found, visible)

    def _contents(self, key: str) -> Contents:
        """Change the tokens aside and see whether the others move."""
        setting = self.setting(key)
        moved = swaps.contents(self.subject, setting)
        found = Contents(what=CONDITIONS[key].aside, drift=moved, place=NOWHERE)
        if not (moved > 0).any():
            return found
        return explain.of_contents(self._means(), setting, found)

    def _modules(self) -> Modules:
        """Replay each module of the plain run with one position changed at a time."""
        found = mixers.influences(self._recorded(), self._asked())
        exact = any(one.exact for one in self._declared)
        return replace(found, undeclared=self.subject.own and not exact)

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
            routed=routes(self.subject.model),
        )

    def _floor(self) -> Floor:
        """Plant ever smaller leaks into the last mixer, or the logits, until none is seen."""
        mixing = [one for one in self.modules().maps if mixers.mixes(one)]
        sound = [one for one in mixing if not mixers.forbidden(one)]  # others may hide a cell
        names = {one.place.module for one in sound or mixing}
        calls = [call for call in self._recorded() if call.name in names]
        if not calls and self.modules().unreplayed:
            return Floor(weight=None, place=NOWHERE, dtype=self._dtype)
        if not calls:
            weight = sight.smallest_in_logits(self.subject, self._ids, self._seed)
            return Floor(weight=weight, place=LOGITS, dtype=self._dtype)
        last = calls[-1]
        weight = sight.smallest_seen(last, self._seed)
        return Floor(
            weight=weight, place=place_of(self.subject.model, last.name), dtype=self._dtype
        )

    def _facts(self) -> Facts:
        """What the model's promises depend on."""
        model: Any = self.subject.model
        takes, attending = self.subject.takes, self._attending()
        mixing = [one.place.module for one in self.modules().maps if mixers.mixes(one)]
        return Facts(
            model_type=str(model.config.model_type),
            takes=takes,
            attention_only=bool(mixing) and all(mixers.attends(name, attending) for name in mixing),
            masks_packed="position_ids" in takes and builds_masks(model),
            masks_suffice=mixers.meet_in_masks_only(self._recorded(), self._asked()),
            absolute_positions="position_ids" not in takes and looks_positions_up(model),
            length_dependent=depends_on_length(model.config),
            static_cache=bool(getattr(model, "_can_compile_fullgraph", False)),
        )

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
        return torch.full((self.tokens, self.tokens), self._widest.kind == "bidirectional")

    def _means(self) -> Means:
        return Means(
            subject=self.subject,
            finer=self._finer(),
            coarser=copies.in_less(self.subject, self._ids),
            limit=self.limit(),
            single=None if (twin := self.exact()) is None else twin.subject,
            single_limit=0.0 if twin is None else twin.limit(),
            recorded=self._recorded(),
            asked=self._asked(),
        )

    def _record(self) -> list[Recorded]:
        with recording(self.subject.model, self.tokens) as calls:
            self._run("plain")
        if not self.subject.own:
            return calls
        others = self.subject.others(self._ids, self._seed)
        with recording(self.subject.model, self.tokens) as moved:
            self.subject.run("plain", others, others[:, :0])
        return given_tokens(calls, moved)

    def _find_attending(self) -> frozenset[str]:
        return attending(self.subject, self._ids).modules

    def _find_first_position(self) -> None:
        self.subject.first_position = first_position(self.subject, self._ids, self.plain())

    def _find_exact(self) -> Laboratory | None:
        """The same on a float32 copy of the model; None where that is no finer or does not fit."""
        twin = copies.in_float32(self.subject, self._ids)
        if twin is None:
            return None
        return Laboratory(
            twin, ids=self._ids, seed=self._seed, declared=self._declared, widest=self._widest
        )

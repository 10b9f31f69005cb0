"""The model as the experiments see it: callable, counted, asked only for what it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from attnscope.capture.runs import failed, input_device
from attnscope.conditions import Condition
from attnscope.errors import AttnscopeError, CaptureError
from attnscope.experiments.feeds import FEEDS, token_ids
from attnscope.experiments.ways import ASIDE, WAYS
from attnscope.experiments.wider import Wider
from attnscope.load import LoadedModel
from attnscope.load.describe import vocabulary_size
from attnscope.load.stand_in import StandIn
from attnscope.load.vocabulary import usable_ids

CACHES = ("past_key_values", "cache_params", "state")
"""What models call the cache that they take and return; the first that a model takes counts."""

THEIRS = "only models of transformers have it"
"""Why a condition is beside the point that is about arguments and caches of transformers."""

THROUGH_KWARGS = frozenset({"output_attentions", "use_cache"})
"""Arguments that transformers takes even where a forward only has `**kwargs`."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What one call returned."""

    logits: Tensor
    past_key_values: Any


@dataclass(slots=True)
class Cost:
    """What an examination has cost so far."""

    tell: Callable[[int], None]
    """Told the number of forwards after each, for progress."""
    forwards: int = 0
    tokens: int = 0

    def add(self, tokens: int) -> None:
        """Count one forward."""
        self.forwards += 1
        self.tokens += tokens
        self.tell(self.forwards)


class Subject:
    """A live model under examination."""

    def __init__(self, model: nn.Module, vocabulary: Sequence[int], cost: Cost) -> None:
        self.model: Any = model
        self.vocabulary = torch.tensor(list(vocabulary))
        """Ids that may stand anywhere: no special and no placeholder tokens."""
        self.cost = cost
        self.first_position = 0
        """What its position_ids count from; RoBERTa's count from one past the pad's id."""
        self.reached = False
        """True once it was proven that the model reads what is written over attention's output."""
        self.wide = False
        """True for a copy in which everything is to be computed in float64."""
        self._feed = FEEDS.get(getattr(self.model.config, "model_type", ""), token_ids)
        self.own = isinstance(model, StandIn)
        """True for a model that transformers does not know."""
        self.takes = _takes(self.model)
        self.cache_name = next((name for name in CACHES if name in self.takes), "")

    @property
    def config(self) -> Any:
        """The model's config, which caches are made from."""
        return self.model.config

    @property
    def device(self) -> torch.device:
        """Where its inputs belong."""
        return input_device(self.model)

    def __call__(self, ids: Tensor, **given: Any) -> Ran:
        """Run the model, without the arguments that it does not take."""
        given["past_key_values"], cached = None, given.get("past_key_values")
        inputs = {name: given[name] for name in given.keys() & self.takes - {"past_key_values"}}
        if self.first_position and "position_ids" in inputs:
            inputs["position_ids"] = inputs["position_ids"] + self.first_position
        if self.cache_name and cached is not None:
            inputs[self.cache_name] = cached
            if self.cache_name == "cache_params":  # as their prepare_inputs_for_generation does
                inputs.pop("attention_mask", None)
        with Wider() if self.wide else nullcontext():
            output, logits = self._feed(self.model, ids, inputs)
        self.cost.add(ids.numel())
        store = getattr(output, self.cache_name, None) if self.cache_name else None
        return Ran(logits.detach(), store)

    @contextmanager
    def running(self, tokens: int) -> Iterator[None]:
        """Without gradients; what the model raises becomes a CaptureError with its reason."""
        try:
            with torch.no_grad():
                yield
        except AttnscopeError:
            raise
        except torch.OutOfMemoryError as error:
            raise CaptureError(
                f"Out of memory on {self.device} with {tokens} tokens.",
                "Read fewer tokens, or use --dtype bfloat16 or --device cpu.",
            ) from error
        except Exception as error:  # whatever a model's own code raises
            raise CaptureError(failed(self.model, error)) from error

    def unfit(self, condition: Condition) -> str:
        """Why it cannot be called in a condition, in words; empty where it can."""
        missing = [name for name in condition.needs if name not in self.takes]
        if self.own:
            return _unfit(condition, missing, cached=bool(self.cache_name))
        return f"its forward takes no {' and no '.join(missing)}" if missing else ""

    def returns_cache(self, ids: Tensor) -> bool:
        """Whether it does when asked with `ids`, shape (1, token); CaptureError when it fails."""
        if not self.cache_name:
            return False
        with self.running(ids.shape[1]):
            return self(ids.to(self.device), use_cache=True).past_key_values is not None

    def run(self, key: str, ids: Tensor, aside: Tensor) -> Tensor:
        """The logits of `ids` (1, token) in a condition, shape (token, vocab).

        Raises CaptureError, with the library's own reason, when it cannot be run.
        """
        with self.running(ids.shape[1]):
            logits: Tensor = WAYS[key](self, ids.to(self.device), aside.to(self.device))[0]
        if len(logits) != ids.shape[1]:
            raise CaptureError(f"it gave logits for {len(logits)} of {ids.shape[1]} tokens")
        return logits

    def draw(self, count: int, seed: int) -> Tensor:
        """Random ids, shape (1, count)."""
        generator = torch.Generator().manual_seed(seed)
        index = torch.randint(len(self.vocabulary), (1, count), generator=generator)
        return self.vocabulary[index]

    def aside(self, key: str, tokens: int, seed: int) -> Tensor:
        """Random ids to stand aside in a condition, shape (1, aside)."""
        return self.draw(ASIDE[key](tokens) if key in ASIDE else 0, seed)

    def others(self, ids: Tensor, seed: int) -> Tensor:
        """For each id a different one, same shape."""
        size = len(self.vocabulary)
        place = torch.searchsorted(self.vocabulary, ids).clamp(max=size - 1)
        generator = torch.Generator().manual_seed(seed)
        step = torch.randint(1, size, ids.shape, generator=generator)
        other = self.vocabulary[(place + step) % size]
        return torch.where(other == ids, self.vocabulary[(place + step + 1) % size], other)


def _unfit(condition: Condition, missing: list[str], *, cached: bool) -> str:
    """Why a model that transformers does not know cannot be called in a condition."""
    if condition.their_cache or {"position_ids", "output_attentions"}.intersection(missing):
        return THEIRS
    steps = condition.needs_cache or "use_cache" in condition.needs
    if steps and condition.needs != ("use_cache",) and condition.needs:
        return THEIRS
    if steps and not cached:
        return "no hooks were given for cached steps (prefill, step)"
    return "no hook was given for padding (padded)" if missing else ""


def _takes(model: Any) -> frozenset[str]:
    """The arguments of its forward."""
    if isinstance(model, StandIn):
        return model.takes
    parameters = inspect.signature(model.forward).parameters
    open_ended = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    return frozenset(parameters) | (THROUGH_KWARGS if open_ended else frozenset())


def subject_of(loaded: LoadedModel, cost: Cost | None = None) -> Subject:
    """A loaded model as a subject."""
    model: Any = loaded.model
    cost = cost or Cost(lambda forwards: None)
    if isinstance(model, StandIn):
        return Subject(model, model.vocabulary, cost)
    head = getattr(model.get_output_embeddings(), "weight", None)
    rows = vocabulary_size(model)
    rows = rows if head is None else min(rows, head.shape[0])
    usable = usable_ids(loaded.model, loaded.tokenizer, rows)
    return Subject(loaded.model, usable, cost)

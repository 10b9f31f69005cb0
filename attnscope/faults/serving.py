"""Leaks in what is passed along: attention masks, position ids, caches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, masking_utils

from attnscope.capture.kernels import replaced
from attnscope.faults import parts
from attnscope.faults.asked import Change, changed
from attnscope.faults.fault import Fault, Plant


def everywhere(put: Callable[[Any], AbstractContextManager[None]]) -> Plant:
    """Plant something that is in no one module."""

    @contextmanager
    def plant(model: Any) -> Iterator[str]:
        with put(model):
            yield ""

    return plant


def arguments(change: Change) -> Plant:
    """Plant a change of what each forward is given."""
    return everywhere(lambda model: changed(model, change))


def _without_mask(args: tuple[Any, ...], given: dict[str, Any]) -> None:
    """Ones, because position ids that stand still would be taken for packed documents."""
    if isinstance(given.get("attention_mask"), Tensor):
        given["attention_mask"] = torch.ones_like(given["attention_mask"])


def _shifted_mask(args: tuple[Any, ...], given: dict[str, Any]) -> None:
    if isinstance(given.get("attention_mask"), Tensor):
        given["attention_mask"] = given["attention_mask"].roll(1, dims=-1)


def _without_positions(args: tuple[Any, ...], given: dict[str, Any]) -> None:
    given.pop("position_ids", None)


def _restarted(args: tuple[Any, ...], given: dict[str, Any]) -> None:
    cache = given.get("past_key_values")
    if cache is not None and cache.get_seq_length() > 0:
        ids = args[0] if args else given["input_ids"]
        given["position_ids"] = torch.arange(ids.shape[1], device=ids.device)[None]


def _swapped_keys(args: tuple[Any, ...], given: dict[str, Any]) -> None:
    """Once for each cache, before it is read for the first time."""
    cache = given.get("past_key_values")
    if cache is None or cache.get_seq_length() < 2 or hasattr(cache, "attnscope_swapped"):
        return
    cache.attnscope_swapped = True
    for layer in cache.layers:
        keys = getattr(layer, "keys", None)
        if isinstance(keys, Tensor) and keys.shape[-2] > 1:
            keys[..., :2, :] = keys[..., :2, :].flip(-2)


def _forgotten_value(args: tuple[Any, ...], given: dict[str, Any]) -> None:
    """The first cached value is read as zeros."""
    cache = given.get("past_key_values")
    for layer in cache.layers if cache is not None and cache.get_seq_length() > 0 else ():
        values = getattr(layer, "values", None)
        if isinstance(values, Tensor) and values.numel():
            values[..., 0, :] = 0.0


def _uncropped(model: Any) -> AbstractContextManager[None]:
    return replaced(Cache, "crop", lambda cache, tokens_to_remove: None)


def _unordered(model: Any) -> AbstractContextManager[None]:
    return replaced(Cache, "reorder_cache", lambda cache, beam_idx: None)


def _one_document(model: Any) -> AbstractContextManager[None]:
    return replaced(masking_utils, "find_packed_sequence_indices", lambda position_ids: None)


def _masks(model: Any) -> bool:
    return bool(parts.attentions(model)) and parts.takes(model, "attention_mask")


def _caches(model: Any) -> bool:
    return bool(parts.attentions(model)) and parts.takes(model, "past_key_values")


def _edits(model: Any) -> bool:
    return parts.attends_only(model) and _caches(model)


FAULTS = (
    Fault(
        name="attention_mask ignored",
        key="mask-ignored",
        words="The model takes every attention_mask for one of ones.",
        caught_by=("ATN204", "ATN306", "ATN404"),
        plant=arguments(_without_mask),
        applies=_masks,
    ),
    Fault(
        name="attention_mask shifted by one",
        key="mask-shifted",
        words="The attention_mask is moved by one position, so a pad is seen and a token is not.",
        caught_by=("ATN404", "ATN204", "ATN306"),
        plant=arguments(_shifted_mask),
        applies=_masks,
    ),
    Fault(
        name="packed documents mixed",
        key="documents-mixed",
        words="Position ids that start again no longer separate documents.",
        caught_by=("ATN307", "ATN205", "ATN408"),
        plant=everywhere(_one_document),
        applies=parts.packs,
        quick=False,
    ),
    Fault(
        name="position ids ignored",
        key="positions-ignored",
        words="The model drops the position ids that it is given.",
        caught_by=("ATN408", "ATN205", "ATN307"),
        plant=arguments(_without_positions),
        applies=parts.packs,
        quick=False,
    ),
    Fault(
        name="positions that start again at each step",
        key="positions-restart",
        words="With a cache, position ids count from 0 again.",
        caught_by=("ATN401", "ATN402"),
        plant=arguments(_restarted),
        applies=lambda model: _caches(model) and parts.takes(model, "position_ids"),
        quick=False,
    ),
    Fault(
        name="cached keys misplaced",
        key="keys-swapped",
        words="The first two keys of every layer change places in the cache.",
        caught_by=("ATN401", "ATN402"),
        plant=arguments(_swapped_keys),
        applies=_caches,
        quick=False,
    ),
    Fault(
        name="cached value lost",
        key="value-lost",
        words="The first value of every layer is read from the cache as zeros.",
        caught_by=("ATN402", "ATN401"),
        plant=arguments(_forgotten_value),
        applies=_caches,
        quick=False,
    ),
    Fault(
        name="cache that is not cropped",
        key="crop-ignored",
        words="Rejected draft tokens stay in the cache.",
        caught_by=("ATN409", "ATN403"),
        plant=everywhere(_uncropped),
        applies=_edits,
        quick=False,
    ),
    Fault(
        name="cache that is not reordered",
        key="reorder-ignored",
        words="Beams keep their rows of the cache when they are reordered.",
        caught_by=("ATN403", "ATN409"),
        plant=everywhere(_unordered),
        applies=_edits,
        quick=False,
    ),
)
"""In reading order."""

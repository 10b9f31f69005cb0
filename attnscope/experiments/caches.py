"""What a model's cache holds after a step, held against what it held before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from attnscope.records import CacheState

STATES = ("conv_states", "recurrent_states", "ssm_states")
"""Where caches and their layers keep states of fixed size."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one layer keeps of each token, copied, and the positions that it is of."""

    tensors: tuple[Tensor, ...]
    """Keys, values, and whatever else has one entry a token: each (…, key, d)."""
    end: int

    @property
    def start(self) -> int:
        """Position of the first entry."""
        return self.end - self.tensors[0].shape[-2]


def copies(cache: Any, end: int) -> dict[int, Kept]:
    """Each layer's keys and values after `end` tokens, as copies."""
    return {
        layer: Kept(tuple(one.clone() for one in tensors), end)
        for layer, tensors in _entries(cache, end)
    }


def states(cache: Any, before: dict[int, Kept], end: int) -> tuple[CacheState, ...]:
    """The cache after `end` tokens, layers of equal shape and history together."""
    found: dict[tuple[Any, ...], CacheState] = {}
    for layer, tensors in _entries(cache, end):
        _join(found, layer, _of_entries(layer, tensors, before.get(layer), end))
    for layer, kept in _fixed(cache):
        _join(found, layer, _of_state(layer, kept))
    return tuple(found.values())


def _of_entries(layer: int, tensors: tuple[Tensor, ...], old: Kept | None, end: int) -> CacheState:
    start = end - tensors[0].shape[-2]
    unchanged, first_new, dropped = None, start, 0
    if old is not None:
        first_new, dropped = old.end, max(start - old.start, 0)
        unchanged = _unchanged(tensors, start, old)
    return CacheState(
        kind="key/value", layers=(layer,), shape=tuple(tensors[0].shape),
        value_shape=tuple(tensors[1].shape), bytes=sum(one.nbytes for one in tensors),
        first_new=first_new, end=end, dropped=dropped, unchanged=unchanged,
    )  # fmt: skip


def _unchanged(tensors: tuple[Tensor, ...], start: int, old: Kept) -> bool | None:
    """Whether the entries of positions that are kept in both are the same, bit for bit."""
    first = max(start, old.start)
    if first >= old.end:
        return None
    return all(
        torch.equal(
            now[..., first - start : old.end - start, :],
            was[..., first - old.start : old.end - old.start, :],
        )
        for now, was in zip(tensors, old.tensors, strict=True)
    )


def _of_state(layer: int, tensors: list[Tensor]) -> CacheState:
    return CacheState(
        kind="state", layers=(layer,), shape=tuple(tensors[0].shape),
        value_shape=tuple(tensors[0].shape),
        bytes=sum(one.nbytes for one in tensors), first_new=0, end=0, dropped=0, unchanged=None,
    )  # fmt: skip


def _join(found: dict[tuple[Any, ...], CacheState], layer: int, state: CacheState) -> None:
    shapes = (state.kind, state.shape, state.value_shape)
    alike = (*shapes, state.first_new, state.end, state.dropped, state.unchanged)
    known = found.get(alike)
    if known is not None:
        layers, size = (*known.layers, layer), known.bytes + state.bytes
        state = replace(state, layers=layers, bytes=size)
    found[alike] = state


def _entries(cache: Any, end: int) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
    """Layers that keep one key and one value a token, for at most `end` tokens, and what else they
    keep of each token (an indexer's keys).
    """
    for layer, one in enumerate(getattr(cache, "layers", None) or ()):
        keys, values = getattr(one, "keys", None), getattr(one, "values", None)
        if not isinstance(keys, Tensor) or not isinstance(values, Tensor) or keys.ndim < 3:
            continue
        length = keys.shape[-2]
        others = [
            tensor
            for name, tensor in sorted(vars(one).items())
            if name not in {"keys", "values"}
            and isinstance(tensor, Tensor)
            and tensor.ndim >= 3
            and tensor.shape[-2] == length
        ]
        filled = min(length, end)
        yield layer, tuple(kept[..., :filled, :] for kept in (keys, values, *others))


def _fixed(cache: Any) -> Iterator[tuple[int, list[Tensor]]]:
    """Layers that keep states of fixed size: linear attention, state spaces, convolutions."""
    layers = getattr(cache, "layers", None)
    beside = getattr(cache, "linear_cache", None)
    for layer, state in enumerate(beside if isinstance(beside, list) else ()):  # MiniMax
        if isinstance(state, Tensor):
            yield layer, [state]
    if layers is None:  # RWKV's lists, and the caches of transformers 5.3: all layers in one
        kept = [cache if isinstance(cache, list | tuple) else _stores(cache)]
    else:
        kept = [_stores(one) for one in layers]
    for layer, stores in enumerate(kept):
        if tensors := _tensors(stores):
            yield layer, tensors


def _stores(holder: Any) -> list[Any]:
    """What a cache, or one layer of it, keeps its states in."""
    kept = (getattr(holder, name, None) for name in STATES)
    return [one for one in kept if one is not None]


def _tensors(stores: Any) -> list[Tensor]:
    """All tensors in lists and dictionaries of them."""
    if isinstance(stores, Tensor):
        return [stores]
    if not isinstance(stores, dict | list | tuple):
        return []
    values = stores.values() if isinstance(stores, dict) else stores
    return [tensor for one in values for tensor in _tensors(one)]

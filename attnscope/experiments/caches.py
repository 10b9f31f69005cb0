"""What a model's cache holds after a step, held against what it held before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attnscope.records import CacheState

STATES = ("conv_states", "recurrent_states", "ssm_states")
"""Where caches and their layers keep states of fixed size."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One layer's keys and values, copied, and the positions that they are of."""

    keys: Tensor
    values: Tensor
    end: int

    @property
    def start(self) -> int:
        """Position of the first entry."""
        return self.end - self.keys.shape[-2]


def copies(cache: Any, end: int) -> dict[int, Kept]:
    """Each layer's keys and values after `end` tokens, as copies."""
    return {
        layer: Kept(keys.clone(), values.clone(), end)
        for layer, keys, values in _entries(cache, end)
    }


def states(cache: Any, before: dict[int, Kept], end: int) -> tuple[CacheState, ...]:
    """The cache after `end` tokens, layers of equal shape and history together."""
    found: dict[tuple[Any, ...], CacheState] = {}
    for layer, keys, values in _entries(cache, end):
        _join(found, layer, _of_entries(layer, keys, values, before.get(layer), end))
    for layer, tensors in _fixed(cache):
        _join(found, layer, _of_state(layer, tensors))
    return tuple(found.values())


def _of_entries(layer: int, keys: Tensor, values: Tensor, old: Kept | None, end: int) -> CacheState:
    start = end - keys.shape[-2]
    unchanged, first_new, dropped = None, start, 0
    if old is not None:
        first_new, dropped = old.end, max(start - old.start, 0)
        overlap = old.end - max(start, old.start)
        if overlap > 0:
            place = max(start, old.start)
            unchanged = all(
                torch.equal(
                    now[..., place - start : place - start + overlap, :],
                    was[..., place - old.start : place - old.start + overlap, :],
                )
                for now, was in ((keys, old.keys), (values, old.values))
            )
    return CacheState(
        kind="key/value", layers=(layer,), shape=tuple(keys.shape),
        bytes=keys.nbytes + values.nbytes, first_new=first_new, end=end, dropped=dropped,
        unchanged=unchanged,
    )  # fmt: skip


def _of_state(layer: int, tensors: list[Tensor]) -> CacheState:
    return CacheState(
        kind="state", layers=(layer,), shape=tuple(tensors[0].shape),
        bytes=sum(one.nbytes for one in tensors), first_new=0, end=0, dropped=0, unchanged=None,
    )  # fmt: skip


def _join(found: dict[tuple[Any, ...], CacheState], layer: int, state: CacheState) -> None:
    alike = (state.kind, state.shape, state.first_new, state.end, state.dropped, state.unchanged)
    known = found.get(alike)
    if known is None:
        found[alike] = state
        return
    found[alike] = CacheState(
        kind=known.kind, layers=(*known.layers, layer), shape=known.shape,
        bytes=known.bytes + state.bytes, first_new=known.first_new, end=known.end,
        dropped=known.dropped, unchanged=known.unchanged,
    )  # fmt: skip


def _entries(cache: Any, end: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Layers that keep one key and one value a token, for at most `end` tokens."""
    for layer, one in enumerate(getattr(cache, "layers", None) or ()):
        keys, values = getattr(one, "keys", None), getattr(one, "values", None)
        if isinstance(keys, Tensor) and isinstance(values, Tensor) and keys.ndim >= 3:
            filled = min(keys.shape[-2], end)
            yield layer, keys[..., :filled, :], values[..., :filled, :]


def _fixed(cache: Any) -> Iterator[tuple[int, list[Tensor]]]:
    """Layers that keep states of fixed size: linear attention, state spaces, convolutions."""
    layers = getattr(cache, "layers", None)
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

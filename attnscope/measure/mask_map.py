"""The delivered mask of a call as a map, and which calls were handed the same one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import UInt8
from torch import Tensor

from attnscope.masks import Mask
from attnscope.measure.pooling import pool_size, worst
from attnscope.records import (
    CELL_BLOCKED,
    CELL_FUTURE_BLOCKED,
    CELL_FUTURE_SEEN,
    CELL_SEEN,
    DIFF_BOTH,
    DIFF_FIRST,
    DIFF_NEITHER,
    DIFF_SECOND,
    AttentionCall,
    MaskMap,
)

_ROWS_AT_ONCE = 512

Device = torch.device | str


class MaskMaps:
    """Collects the masks of one forward pass; equal ones share a map."""

    def __init__(self) -> None:
        self._maps: dict[bytes, MaskMap] = {}

    def add(self, call: AttentionCall) -> None:
        """Note the mask that this call's kernel was handed."""
        digest, drawn = _draw(call)
        known = self._maps.get(digest)
        if known is None:
            self._maps[digest] = drawn
        elif call.layer not in known.layers:
            self._maps[digest] = replace(known, layers=(*known.layers, call.layer))

    def result(self) -> tuple[MaskMap, ...]:
        """The distinct maps in order of first appearance."""
        return tuple(self._maps.values())


@dataclass(slots=True)
class _Seen:
    """What passing over a mask's rows shows beside its cells."""

    blind_rows: int = 0

    heads_differ: bool = False
    beyond_window: bool = False


def draw(mask: Mask, tokens: int, form: str) -> MaskMap:
    """Any mask over the same queries and keys as a map; `form` is its title."""
    seen = _Seen()
    pool = pool_size(tokens)
    parts = [_pooled(cells, pool) for cells in _blocks(mask, (tokens, tokens), "cpu", seen)]
    notes = tuple(_own_notes(seen, tokens))
    return MaskMap(layers=(), form=form, cells=torch.cat(parts), pool=pool, notes=notes)


def diff(one: Mask, other: Mask, tokens: int) -> tuple[UInt8[Tensor, "query key"], int]:
    """Which cells two masks over the same tokens leave open, as `DIFF_…` bits, pooled like a map,
    and how many differ.

    Where heads differ, a cell is open when any head sees it.
    """
    pool, parts, differing = pool_size(tokens), [], 0
    step = _step(pool)
    for start in range(0, tokens, step):
        stop = min(start + step, tokens)
        first, second = (_open(mask, start, stop, tokens) for mask in (one, other))
        differing += int((first != second).sum())
        cells = torch.where(first, DIFF_FIRST, DIFF_NEITHER)
        cells = torch.where(second, torch.where(first, DIFF_BOTH, DIFF_SECOND), cells)
        parts.append(_pooled(cells.to(torch.uint8), pool))
    return torch.cat(parts), differing


def _open(mask: Mask, start: int, stop: int, keys: int) -> Tensor:
    return mask.rows(start, stop, keys)[0].any(dim=0)


def _draw(call: AttentionCall) -> tuple[bytes, MaskMap]:
    pool = pool_size(call.keys)
    seen, parts = _Seen(), []
    digest = hashlib.blake2b()
    device, window = call.output.device, call.offered.window if call.offered else None
    for cells in _blocks(call.mask, (call.queries, call.keys), device, seen, window):
        digest.update(cells.numpy().tobytes())
        parts.append(_pooled(cells, pool))
    notes = tuple(_notes(call, seen))
    digest.update(repr((call.queries, call.keys, call.mask_form, notes)).encode())
    cells = torch.cat(parts)
    return digest.digest(), MaskMap(
        layers=(call.layer,), form=call.mask_form, cells=cells, pool=pool, notes=notes
    )


def _step(pool: int) -> int:
    return pool * max(1, _ROWS_AT_ONCE // pool)


def _pooled(cells: Tensor, pool: int) -> Tensor:
    return worst(cells, pool) if pool > 1 else cells


def _blocks(
    mask: Mask, shape: tuple[int, int], device: Device, seen: _Seen, window: int | None = None
) -> Iterator[Tensor]:
    """The cells of a mask, a block of rows after the other; the last query meets the last key."""
    queries, keys = shape
    step = _step(pool_size(keys))
    for start in range(0, queries, step):
        stop = min(start + step, queries)
        allowed = mask.rows(start, stop, keys, device)[0].cpu()
        some, every = allowed.any(dim=0), allowed.all(dim=0)
        position = torch.arange(start, stop)[:, None] + keys - queries
        key = torch.arange(keys)
        future = key > position
        seen.blind_rows += int((~some.any(dim=-1)).sum())
        seen.heads_differ |= bool((some != every).any())
        if window is not None:
            seen.beyond_window |= bool((some & (key <= position - window)).any())
        visible = torch.where(future, CELL_FUTURE_SEEN, CELL_SEEN) * some
        blocked = torch.where(future, CELL_FUTURE_BLOCKED, CELL_BLOCKED) * ~every
        yield (visible | blocked).to(torch.uint8)


def _own_notes(seen: _Seen, queries: int) -> list[str]:
    notes = []
    if seen.heads_differ:
        notes.append("heads differ: a cell is drawn as seen when any head sees it")
    if seen.blind_rows:
        notes.append(f"{seen.blind_rows} of {queries} queries see no key at all")
    return notes


def _notes(call: AttentionCall, seen: _Seen) -> list[str]:
    notes = _own_notes(seen, call.queries)
    offered = call.offered
    if offered is None:
        return notes
    if seen.beyond_window:
        notes.append(
            f"IGNORED: a window of {offered.window} was offered, but keys beyond it are seen"
        )
    if offered.softcap is not None and call.softcap is None and call.score_mod is None:
        notes.append(
            f"IGNORED: a softcap of {offered.softcap:g} was offered; {call.kernel} takes none"
        )
    if offered.sinks is not None and call.sinks is None:
        notes.append(f"IGNORED: attention sinks were offered; {call.kernel} takes none")
    if offered.mask is not None and call.mask_form in ("none", "is_causal"):
        notes.append(f"IGNORED: a mask was offered; {call.kernel} was handed {call.mask_form}")
    return notes

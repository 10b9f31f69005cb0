"""The delivered mask of a call as a map, and which calls were handed the same one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attnscope.measure.pooling import pool_size, worst
from attnscope.records import (
    CELL_BLOCKED,
    CELL_FUTURE_BLOCKED,
    CELL_FUTURE_SEEN,
    CELL_SEEN,
    AttentionCall,
    MaskMap,
)

_ROWS_AT_ONCE = 512


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


def _draw(call: AttentionCall) -> tuple[bytes, MaskMap]:
    pool = pool_size(call.keys)
    step = pool * max(1, _ROWS_AT_ONCE // pool)
    seen, parts = _Seen(), []
    digest = hashlib.blake2b()
    for start in range(0, call.queries, step):
        cells = _cells(call, start, min(start + step, call.queries), seen)
        digest.update(cells.numpy().tobytes())
        parts.append(worst(cells, pool) if pool > 1 else cells)
    notes = tuple(_notes(call, seen))
    digest.update(repr((call.queries, call.keys, call.mask_form, notes)).encode())
    cells = torch.cat(parts)
    return digest.digest(), MaskMap(
        layers=(call.layer,), form=call.mask_form, cells=cells, pool=pool, notes=notes
    )


def _cells(call: AttentionCall, start: int, stop: int, seen: _Seen) -> Tensor:
    allowed = call.mask.rows(start, stop, call.keys, call.output.device)[0].cpu()
    some, every = allowed.any(dim=0), allowed.all(dim=0)
    position = torch.arange(start, stop)[:, None] + call.offset
    key = torch.arange(call.keys)
    future = key > position
    seen.blind_rows += int((~some.any(dim=-1)).sum())
    seen.heads_differ |= bool((some != every).any())
    window = call.offered.window if call.offered else None
    if window is not None:
        seen.beyond_window |= bool((some & (key <= position - window)).any())
    visible = torch.where(future, CELL_FUTURE_SEEN, CELL_SEEN) * some
    blocked = torch.where(future, CELL_FUTURE_BLOCKED, CELL_BLOCKED) * ~every
    return (visible | blocked).to(torch.uint8)


def _notes(call: AttentionCall, seen: _Seen) -> list[str]:
    notes = []
    if seen.heads_differ:
        notes.append("heads differ: a cell is drawn as seen when any head sees it")
    if seen.blind_rows:
        notes.append(f"{seen.blind_rows} of {call.queries} queries see no key at all")
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

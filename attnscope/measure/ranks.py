"""What the processes that share a model have found, put together: local heads become global ones.

Of H heads shared by R ranks, rank r holds the heads from r · H/R on. Where a plan leaves attention
whole, every rank has all heads, and the first one's count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from attnscope.errors import CaptureError
from attnscope.heads_options import HeadsOptions
from attnscope.records import HeadFocus, Heads, HeadView

Call = tuple[HeadFocus, ...]
"""The heads of one attention call, in order."""


def local_options(options: HeadsOptions, heads: int, rank: int, world: int) -> HeadsOptions:
    """What one of `world` ranks that share `heads` heads is asked: of the views, its own.

    Heads that the model does not have are left for the reader of the options to refuse.
    """
    share = heads // world
    views: list[tuple[int, int]] = []
    for layer, head in options.views:
        place = head + heads if head < 0 else head
        if not 0 <= place < heads:
            views.append((layer, head))
        elif place // share == rank:
            views.append((layer, place % share))
    return replace(options, views=tuple(views))


def joined(parts: Sequence[Heads]) -> Heads:
    """One record of all heads from each rank's record of its own, in order of ranks.

    Raises CaptureError when the ranks have not seen the same attention calls.
    """
    first = parts[0]
    calls = [_calls(part) for part in parts]
    _require_alike(calls)
    heads = first.model.heads
    focus = [one for same in zip(*calls, strict=True) for one in _call(same, first)]
    shares = {call[0].layer: len(call) for call in calls[0]}
    views = {
        (view.layer, view.head): view
        for rank, part in enumerate(parts)
        for view in (_moved(one, rank, shares.get(one.layer, heads), heads) for one in part.views)
    }
    return replace(
        first,
        focus=tuple(focus),
        received=_received(parts),
        views=tuple(views[place] for place in sorted(views)),
        seconds=max(part.seconds for part in parts),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        unchecked=tuple(dict.fromkeys(words for part in parts for words in part.unchecked)),
    )


def _calls(part: Heads) -> list[Call]:
    """Its heads, call by call; a call begins where the layer changes or heads count anew."""
    calls: list[list[HeadFocus]] = []
    for one in part.focus:
        last = calls[-1][-1] if calls else None
        if last is None or last.layer != one.layer or one.head <= last.head:
            calls.append([])
        calls[-1].append(one)
    return [tuple(call) for call in calls]


def _require_alike(calls: Sequence[list[Call]]) -> None:
    seen = [[(call[0].layer, len(call)) for call in of_rank] for of_rank in calls]
    if any(one != seen[0] for one in seen):
        raise CaptureError(
            "The processes that share the model have not seen the same attention calls:"
            f" {', '.join(str(len(one)) for one in seen)} calls.",
            "Try another --backend.",
        )


def _call(same: Sequence[Call], first: Heads) -> Call:
    """One call as all ranks have seen it."""
    share = len(same[0])
    if share == first.model.heads:
        return same[0]
    keys = 1 + max(one.kv_head for one in same[0])
    moved = 0 if keys == first.model.kv_heads else keys  # whole where there are too few to share
    return tuple(
        replace(one, head=one.head + rank * share, kv_head=one.kv_head + rank * moved)
        for rank, call in enumerate(same)
        for one in call
    )


def _moved(view: HeadView, rank: int, share: int, heads: int) -> HeadView:
    return view if share == heads else replace(view, head=view.head + rank * share)


def _received(parts: Sequence[Heads]) -> Float[Tensor, "layer token"]:
    """The mean over all heads: every rank has the same number of a layer's heads."""
    return torch.stack([part.received.double() for part in parts]).mean(dim=0).float()

"""Runs the Triton kernels on a device and prints, as JSON, how far each field is off.

A process of its own, because TRITON_INTERPRET counts when triton is first imported.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from attnscope.measure.openness import Spans
from attnscope.measure.row_parts import RowSums
from attnscope.measure.triton_rows import Tiles, triton_row_sums, usable
from tests.measure.dense_rows import Call, worst

SMALL = Tiles(held=16, streamed=32, warps=4, stages=1)
TALL = Tiles(held=32, streamed=16, warps=4, stages=1)


def spans(
    rows: int, keys: int, see: Callable[[Tensor], tuple[Tensor | int, Tensor | int]]
) -> Spans:
    """Spans from a function of the rows' positions, cut to the keys that there are."""
    place = torch.arange(rows) + keys - rows
    low, high = (torch.as_tensor(end).expand(rows).clamp(0, keys) for end in see(place))
    return Spans(low=torch.minimum(low, high).int(), high=high.int())


def causal(place: Tensor) -> tuple[int, Tensor]:
    return 0, place + 1


def sliding(place: Tensor) -> tuple[Tensor, Tensor]:
    return place - 8, place + 1


def chunked(place: Tensor) -> tuple[Tensor, Tensor]:
    return place // 20 * 20, place + 1


def packed(place: Tensor) -> tuple[Tensor, Tensor]:
    """Nine left pads that see nothing, then documents of 11, 24 and the rest."""
    starts = torch.tensor([9, 20, 44])
    low = starts[(torch.searchsorted(starts, place, right=True) - 1).clamp(min=0)]
    return low, torch.where(place < 9, low, place + 1)


def ahead(place: Tensor) -> tuple[Tensor, Tensor]:
    return place - 21, place + 19


def call(
    see: Callable[[Tensor], tuple[Tensor | int, Tensor | int]] = causal,
    heads: tuple[int, int] = (2, 2),
    sizes: tuple[int, int, int] = (70, 70, 64),
    sharpness: float = 3.0,
    dtype: torch.dtype = torch.float32,
) -> Call:
    """Random queries and keys, strided as models make them, and tokens that repeat."""
    rows, keys, width = sizes
    generator = torch.Generator().manual_seed(rows * width + heads[0])
    query = torch.randn(rows, heads[0], width, generator=generator) * sharpness
    key = torch.randn(keys, heads[1], width, generator=generator)
    return Call(
        query=query.to(dtype).transpose(0, 1),
        key=key.to(dtype).transpose(0, 1),
        scale=width**-0.5,
        spans=spans(rows, keys, see),
        ids=torch.randint(0, 7, (keys,), generator=generator),
        probes=torch.randn(2, heads[1], keys, generator=generator),
    )


def whole(one: Call) -> Call:
    """The same with whole numbers."""
    return replace(one, query=one.query.round(), key=one.key.round())


def cases() -> dict[str, tuple[Call, Tiles]]:
    sinks = torch.tensor([-2.0, 3.0, 40.0])
    half = torch.float16
    small = replace(whole(call(sizes=(40, 40, 16), sharpness=1.0)), scale=0.5)
    return {
        "causal, grouped": (call(heads=(6, 2)), TALL),
        "sliding window": (call(sliding, sizes=(70, 70, 80)), SMALL),
        "chunked, many heads": (call(chunked, heads=(8, 8), sizes=(40, 40, 64)), TALL),
        "packed with left pads": (call(packed, heads=(3, 1)), SMALL),
        "packed, keys in wide tiles": (call(packed), TALL),
        "sinks": (replace(call(sliding, heads=(3, 3)), sinks=sinks), TALL),
        "sinks and blind rows": (replace(call(packed, heads=(3, 1)), sinks=sinks), TALL),
        "softcap": (replace(call(heads=(3, 1), sharpness=9.0), softcap=5.0), SMALL),
        "softcap, whole numbers": (replace(small, softcap=30.0), TALL),
        "softcap far away": (replace(small, softcap=500.0), TALL),
        "float16": (call(dtype=half, sizes=(45, 45, 128)), SMALL),
        "float16, softcap, sinks": (
            replace(call(chunked, (3, 1), dtype=half), softcap=30.0, sinks=sinks),
            TALL,
        ),
        "scores of a thousand": (call(sharpness=700.0), SMALL),
        "whole numbers up to a thousand": (whole(call(sharpness=60.0)), TALL),
        "evenly spread": (call(sharpness=0.0), TALL),
        "cached": (call(sizes=(20, 70, 64)), SMALL),
        "cached, sliding": (call(sliding, sizes=(20, 70, 32)), TALL),
        "one token": (call(sizes=(1, 37, 16), heads=(1, 1)), SMALL),
        "open future": (call(ahead), SMALL),
        "open future, wide": (call(ahead, sizes=(70, 70, 256), heads=(1, 1)), TALL),
        "all in sight": (call(lambda place: (0, len(place)), sharpness=1.0), TALL),
        "one word only": (replace(call(), ids=torch.zeros(70, dtype=torch.int32)), SMALL),
        "more rows than keys": (call(sizes=(50, 30, 20)), TALL),
        "nothing in sight": (call(lambda _: (5, 5), sizes=(20, 20, 16), heads=(1, 1)), TALL),
    }


def measured(one: Call, tiles: Tiles | None) -> RowSums:
    return triton_row_sums(
        one.query,
        one.key,
        scale=one.scale,
        softcap=one.softcap,
        spans=one.spans,
        ids=one.ids,
        sinks=one.sinks,
        probes=one.probes,
        tiles=tiles,
    )


def on(device: str, one: Call) -> Call:
    ends = Spans(low=one.spans.low.to(device), high=one.spans.high.to(device))
    sinks = None if one.sinks is None else one.sinks.to(device)
    moved = {
        "query": one.query.to(device),
        "key": one.key.to(device),
        "ids": one.ids.to(device),
        "probes": one.probes.to(device),
    }
    return replace(one, spans=ends, sinks=sinks, **moved)


def undefined(device: str) -> dict[str, float]:
    """A query that is not a number leaves a row that is none, and no blind one; 0 if so."""
    one = on(device, call(sizes=(20, 20, 16), heads=(1, 1)))
    one.query[0, 12] = torch.nan
    sums = measured(one, SMALL)
    broken = torch.zeros(20, dtype=torch.bool)
    broken[12] = True
    places = {"lse": sums.lse, "score": sums.score, "first": sums.first, "near": sums.near[0]}
    good = {name: torch.equal(got[0].isnan().cpu(), broken) for name, got in places.items()}
    return {name: 0.0 if fine else 1e9 for name, fine in good.items()}


def main(device: str) -> None:
    results = {}
    for name, (one, tiles) in cases().items():
        moved = on(device, one)
        assert usable(moved.query), name
        results[name] = worst(moved, measured(moved, tiles))
        if device == "cuda":
            results[f"{name}, usual tiles"] = worst(moved, measured(moved, None))
            query, key = moved.query.bfloat16(), moved.key.bfloat16()
            rough = replace(moved, query=query, key=key)
            results[f"{name}, bfloat16"] = worst(rough, measured(rough, None))
    results["not a number"] = undefined(device)
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1])

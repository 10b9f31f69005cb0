"""The streaming sums against the float64 reference, within what rounding explains."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from attnscope.masks import (
    Mask,
    additive,
    causal,
    chunked,
    dense,
    everything,
    packed,
    padding,
    prefix,
    sliding,
)
from attnscope.measure import streaming
from attnscope.measure.attention import Rows, weight_rows
from attnscope.measure.lookups import Occurrences
from attnscope.measure.openness import openness
from attnscope.measure.row_parts import Problem, RowSums
from attnscope.measure.statistics import row_statistics
from attnscope.measure.streaming import row_sums
from attnscope.records import AttentionCall
from tests.calls import random_call

TOKENS = 150
IDS = torch.randint(0, 30, (TOKENS,), generator=torch.Generator().manual_seed(3))
HOLES = dense((causal() & (sliding(9) | prefix(3))).rows(0, TOKENS, TOKENS))


def penalties(closing: float, mask: Mask = HOLES) -> dict[str, Any]:
    closed = ~mask.rows(0, TOKENS, TOKENS)
    bias = torch.zeros(closed.shape, dtype=torch.float64).masked_fill(closed, closing)
    return {"mask": additive(bias), "bias": (bias,)}


PADDED = causal() & padding(torch.arange(TOKENS)[None] >= 20)
CALLS: dict[str, dict[str, Any]] = {
    "causal": {},
    "sliding window": {"mask": causal() & sliding(20)},
    "chunks": {"mask": causal() & chunked(64)},
    "packed documents": {"mask": causal() & packed([50, 75, 25])},
    "left pads": {"mask": PADDED},
    "every key": {"mask": everything()},
    "boolean tensor": {"mask": dense((causal() & packed([50, 75, 25])).rows(0, TOKENS, TOKENS))},
    "boolean tensor with holes": {"mask": HOLES},
    "heads that differ": {
        "mask": dense(
            torch.cat([each.rows(0, TOKENS, TOKENS) for each in (HOLES, HOLES, PADDED, HOLES)], 1)
        )
    },
    "additive, the dtype's minimum": penalties(torch.finfo(torch.float32).min),
    "additive, -inf": penalties(-math.inf),
    "additive, a penalty that a score could beat": penalties(-1e4),
    "additive, with rows of pads": penalties(torch.finfo(torch.float32).min, PADDED),
    "sinks": {"sinks": torch.tensor([-1.0, 0.0, 2.0, 8.0], dtype=torch.float64)},
    "softcap": {"softcap": 2.0},
    "peaked": {"scale": 20.0},
    "very peaked": {"scale": 400.0},
    "position bias": {"bias": (torch.linspace(-3, 0, TOKENS).double()[None, None, None],)},
    "no groups": {"heads": 3, "kv_heads": 3},
    "one key head": {"heads": 5, "kv_heads": 1},
}  # fmt: skip


def problem_of(call: AttentionCall, dtype: torch.dtype, ids: Tensor = IDS) -> Problem:
    assert call.query is not None
    assert call.key is not None
    return Problem(
        query=call.query[0].to(dtype),
        key=call.key[0].to(dtype),
        scale=call.scale,
        softcap=call.softcap,
        bias=tuple(term[0] for term in call.bias),
        sinks=call.sinks,
        open=openness(call, torch.device("cpu")),
        occurrences=Occurrences(ids),
        probes=call.value[0].sum(dim=-1)[None],
    )


def rounded(call: AttentionCall, dtype: torch.dtype) -> AttentionCall:
    """The call as it is after its queries and keys were stored in a dtype."""
    assert call.query is not None
    assert call.key is not None
    query, key = (each.to(dtype).double() for each in (call.query, call.key))
    return replace(call, query=query, key=key)


def score_error(call: AttentionCall, computed: torch.dtype) -> Tensor:
    """How far a score may be off, (head, row): d products and as many sums, and their storage."""
    assert call.query is not None
    assert call.key is not None
    longest = (
        call.key[0].norm(dim=-1).amax(dim=-1).repeat_interleave(call.heads // call.key.shape[1])
    )
    size = call.query[0].norm(dim=-1) * longest[:, None] * call.scale
    largest_bias = sum(float(term[term > -9e3].abs().max()) for term in call.bias)
    eps = torch.finfo(computed).eps
    return eps * ((call.query.shape[-1] + 3) * size + 2 * largest_bias + 1)


def expected(call: AttentionCall, ids: Tensor = IDS) -> tuple[Rows, dict[str, Tensor]]:
    rows = weight_rows(call, 0, call.queries)
    full = torch.zeros(call.heads, call.queries, call.keys, dtype=torch.float64)
    sees = rows.allowed.any(dim=-1)
    full[..., : rows.columns] = rows.weights * sees[..., None]
    statistics = row_statistics(rows, torch.arange(call.queries), ids)
    values = {name: statistic.values * sees for name, statistic in statistics.items()}
    values["future"] = full.triu(1).amax(dim=-1)
    values["probes"] = (full @ call.value[0].sum(-1).repeat_interleave(
        call.heads // call.value.shape[1], dim=0)[..., None])[..., 0]  # fmt: skip
    values["received"] = full.sum(dim=1)
    return rows, values


def with_sinks(call: AttentionCall, sums: RowSums) -> dict[str, Tensor]:
    """The sums as statistics of the call, whose sinks take a share of each row."""
    share = torch.ones_like(sums.lse)
    if call.sinks is not None:
        share = torch.sigmoid(sums.lse - call.sinks[:, None].to(sums.lse))
    return {
        "distance": sums.distance * share,
        "self": sums.near[0] * share,
        "previous": sums.near[1] * share,
        "local": sums.near.sum(dim=0) * share,
        "first": sums.first * share,
        "duplicate": sums.duplicate * share,
        "induction": sums.induction * share,
        "future": sums.future * share,
        "probes": sums.probes[0] * share,
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", CALLS)
def test_agrees_with_the_reference(name: str, dtype: torch.dtype) -> None:
    call = rounded(random_call(**{"tokens": TOKENS, "d": 16, **CALLS[name]}), dtype)
    sums = row_sums(problem_of(call, dtype))
    rows, right = expected(call)
    computed = torch.promote_types(dtype, torch.float32)
    eps, delta = torch.finfo(computed).eps, score_error(call, computed)
    shares = 2 * delta + 8 * eps  # of any weights that sum to at most 1
    sizes = {"distance": TOKENS, "probes": float(call.value.sum(dim=-1).abs().max())}
    for statistic, found in with_sinks(call, sums).items():
        gap = (found.double() - right[statistic]).abs()
        assert (gap <= shares * sizes.get(statistic, 1.0)).all(), statistic
    received = (sums.received.double() - right["received"]).abs()
    assert (received <= shares.sum(dim=-1, keepdim=True) + eps * right["received"] * TOKENS).all()
    if call.sinks is None:
        seen = rows.allowed.any(dim=-1).expand_as(sums.lse)
        entropy = (sums.lse - sums.score).double()[seen]
        size = (sums.lse.abs() + sums.score.abs()).double()
        limit = (2 * delta * (1 + right["entropy"]) + 8 * eps * (1 + size))[seen]
        assert ((entropy - right["entropy"][seen]).abs() <= limit).all()
        assert (sums.lse[~seen] == -math.inf).all()


@pytest.mark.parametrize("bytes_", [1, 4_000, 40_000])
def test_blocks_of_any_size_give_the_same(bytes_: int, monkeypatch: pytest.MonkeyPatch) -> None:
    call = random_call(tokens=TOKENS, d=16, mask=causal() & sliding(40))
    whole = row_sums(problem_of(call, torch.float64))
    monkeypatch.setattr(streaming, "_BLOCK_BYTES", bytes_)
    small = row_sums(problem_of(call, torch.float64))
    for name in ("lse", "score", "distance", "near", "duplicate", "induction", "received"):
        torch.testing.assert_close(getattr(small, name), getattr(whole, name), msg=name)


@pytest.mark.parametrize("kinds", [1, 2, 10**6])
def test_texts_that_repeat_themselves_all_the_time_or_never(kinds: int) -> None:
    ids = torch.arange(TOKENS) % kinds
    call = random_call(tokens=TOKENS, d=16)
    sums = row_sums(problem_of(call, torch.float64, ids))
    _, right = expected(call, ids)
    torch.testing.assert_close(sums.duplicate, right["duplicate"])
    torch.testing.assert_close(sums.induction, right["induction"])


def test_fewer_queries_than_keys() -> None:
    call = random_call(tokens=TOKENS, d=16)
    assert call.query is not None
    last = replace(
        call, query=call.query[:, :, -7:], output=call.output[:, :, -7:], mask=causal(TOKENS - 7)
    )
    sums, whole = (row_sums(problem_of(each, torch.float64)) for each in (last, call))
    for name in ("lse", "score", "distance", "first", "near", "duplicate", "induction", "future"):
        torch.testing.assert_close(getattr(sums, name), getattr(whole, name)[..., -7:], msg=name)


def test_columns_that_no_row_sees_are_skipped() -> None:
    """A key that no query may see can hold anything, even what is no number."""
    call = random_call(tokens=TOKENS, d=16, mask=causal() & packed([128, TOKENS - 128]))
    assert call.key is not None
    key = call.key.clone()
    key[:, :, :128] = math.nan
    broken = row_sums(problem_of(replace(call, key=key), torch.float32))
    assert broken.lse[:, 128:].isfinite().all()
    assert broken.lse[:, :128].isnan().all()

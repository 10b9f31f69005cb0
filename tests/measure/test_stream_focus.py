"""Heads by streaming: the same records as the reference's, and proof that fails when it should."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from attnscope.masks import causal, everything, sliding
from attnscope.measure import stream_focus
from attnscope.measure.attention import output_rows, weight_rows
from attnscope.measure.call_focus import CallFocus
from attnscope.measure.focus import tally
from attnscope.measure.workspace import Workspace
from attnscope.records import AttentionCall, HeadFocus
from tests.calls import random_call

TOKENS = 64
IDS = torch.arange(TOKENS) % 11
NUMBERS = (
    "entropy", "distance", "self_weight", "previous_weight", "first_weight", "local_weight",
    "broad", "induction", "duplicate", "future_weight", "role_score",
)  # fmt: skip
WORDS = ("layer", "head", "kv_head", "strongest_key", "role", "compared", "verified", "noticeable")


def focus_of(call: AttentionCall) -> CallFocus:
    return stream_focus.focus_of(call, Workspace(IDS))


def in_dtype(call: AttentionCall, dtype: torch.dtype) -> AttentionCall:
    assert call.query is not None
    assert call.key is not None
    parts = {"query": call.query, "key": call.key, "value": call.value}
    rounded = replace(call, **{name: part.to(dtype) for name, part in parts.items()})
    right = output_rows(rounded, weight_rows(rounded, 0, TOKENS))[None]
    return replace(rounded, output=right.to(dtype))


def both(call: AttentionCall) -> list[tuple[HeadFocus, HeadFocus]]:
    return list(zip(focus_of(call).result(), tally(call, IDS).result(), strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "changes",
    [{}, {"mask": causal() & sliding(9)}, {"sinks": torch.tensor([0.0, 1, -2, 9]).double()}],
)
def test_the_same_as_the_reference(changes: dict[str, object], dtype: torch.dtype) -> None:
    for ours, right in both(in_dtype(random_call(tokens=TOKENS, **changes), dtype)):
        for name in NUMBERS:
            assert getattr(ours, name) == pytest.approx(getattr(right, name), abs=2e-4), name
        assert [getattr(ours, name) for name in WORDS] == [getattr(right, name) for name in WORDS]
        assert ours.verified


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("row", [0, 17])
def test_one_row_of_one_head_that_the_kernel_computed_otherwise(
    row: int, dtype: torch.dtype
) -> None:
    call = in_dtype(random_call(tokens=TOKENS), dtype)
    wide = replace(call, mask=everything())
    output = call.output.clone()
    output[0, 2, row] = output_rows(wide, weight_rows(wide, row, row + 1))[2, 0].to(dtype)
    found = focus_of(replace(call, output=output)).result()
    assert [head.verified for head in found] == [True, True, False, True]
    assert found[2].rounding > 1


def test_a_mask_that_was_not_seen_must_matter() -> None:
    """Keys and values that are all the same give the same output under any mask."""
    call = random_call(tokens=TOKENS)
    same = torch.ones_like(call.value)
    blind = replace(call, key=same, value=same, output=torch.ones_like(call.output))
    unseen = replace(blind, witnessed=False)
    assert all(head.verified for head in focus_of(blind).result())
    assert not any(head.verified for head in focus_of(unseen).result())
    assert all(head.verified for head in focus_of(replace(call, witnessed=False)).result())


def test_what_is_unexplained_is_not_verified() -> None:
    call = replace(random_call(tokens=TOKENS), unexplained="the kernel received other keys")
    assert not any(head.verified for head in focus_of(call).result())


def test_an_open_future_is_found() -> None:
    for ours, right in both(random_call(tokens=TOKENS, mask=everything())):
        assert ours.future_weight == pytest.approx(right.future_weight)
        assert ours.future_weight > 0


def test_broken_numbers_are_never_verified() -> None:
    call = random_call(tokens=TOKENS)
    output = call.output.clone()
    output[0, 1, 5] = torch.nan
    found = focus_of(replace(call, output=output)).result()
    assert [head.verified for head in found] == [True, False, True, True]


def test_calls_with_the_same_mask_share_its_blocks() -> None:
    workspace = Workspace(IDS)
    masks = (causal(), causal() & sliding(9), causal())
    first, other, again = (
        stream_focus.focus_of(random_call(tokens=TOKENS, mask=mask), workspace).result()
        for mask in masks
    )
    assert first == again != other
    apart = focus_of(random_call(tokens=TOKENS, mask=masks[1])).result()
    assert other == apart

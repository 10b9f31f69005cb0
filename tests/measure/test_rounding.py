"""The limit parts rounding from a wrong mask, in every dtype and at every size of score."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attnscope.masks import Mask, causal
from attnscope.measure.attention import output_rows, weight_rows
from attnscope.measure.focus import tally
from attnscope.measure.rounding import open_key_effect, rounding_limit
from attnscope.records import AttentionCall
from tests.calls import make_call, random_call


def kernel_call(dtype: torch.dtype, gain: float, d: int) -> AttentionCall:
    """What torch's own kernel gives in a narrow dtype; larger gains make larger scores."""
    exact = random_call(heads=8, kv_heads=4, tokens=96, d=d)
    assert exact.query is not None
    assert exact.key is not None
    query, key, value = (part.to(dtype) for part in (exact.query * gain, exact.key, exact.value))
    output = scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    return make_call(query, key, value, output=output)


def widened(first: int) -> Mask:
    """From query `first` on, each sees one key too many."""
    late = Mask(predicate=lambda b, h, q, k: (k == q + 1) & (q >= first))
    return causal() | late


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("gain", [0.3, 1, 10])
@pytest.mark.parametrize("d", [16, 64, 128])
def test_right_answers_stay_well_inside(dtype: torch.dtype, gain: float, d: int) -> None:
    heads = tally(kernel_call(dtype, gain, d), torch.arange(96)).result()
    assert all(head.verified and head.rounding < 0.5 for head in heads)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mask", [widened(0), causal(-1), widened(24)])
def test_a_wrong_mask_is_outside(dtype: torch.dtype, mask: Mask) -> None:
    """Also where the mistake begins late, when each key has a small share of the weight."""
    call = replace(kernel_call(dtype, 1, 64), mask=mask)
    heads = tally(call, torch.arange(96)).result()
    assert all(head.rounding > 1 and not head.verified for head in heads)


def test_the_effect_of_one_more_key_is_what_opening_it_does() -> None:
    call = random_call()
    rows = weight_rows(call, 0, 20)
    output = output_rows(call, rows)
    effect = open_key_effect(call, rows, output)
    wider = weight_rows(replace(call, mask=causal(1)), 0, 20)
    moved = (output_rows(call, wider) - output).abs().amax(dim=-1)
    torch.testing.assert_close(effect[:, :-1], moved[:, :-1])
    assert effect[:, -1].isnan().all()  # the last row has no next key


def test_outputs_that_would_match_anything_verify_nothing() -> None:
    """Equal values hide every mask: the recomputation matches, and proves nothing."""
    call = random_call()
    call = make_call(call.query, call.key, torch.ones_like(call.value))  # type: ignore[arg-type]
    heads = tally(replace(call, witnessed=False), torch.arange(20)).result()
    assert all(head.rounding <= 1 and head.noticed == 0 for head in heads)
    assert not any(head.verified for head in heads)
    # where the kernel's own mask was seen, it need not be inferred
    assert all(head.verified for head in tally(call, torch.arange(20)).result())


def test_infinite_values_verify_nothing() -> None:
    call = random_call()
    value = call.value.clone()
    value[0, 0, 3, 0] = torch.inf
    output = torch.full_like(call.output, torch.inf)
    heads = tally(replace(call, value=value, output=output), torch.arange(20)).result()
    assert not any(head.verified for head in heads)


def test_the_limit_grows_with_the_dtypes_eps() -> None:
    limits = [
        rounding_limit(call, weight_rows(call, 0, 96)).median()
        for call in (kernel_call(dtype, 1, 64) for dtype in (torch.float32, torch.bfloat16))
    ]
    assert 1e3 < limits[1] / limits[0] < 1e5

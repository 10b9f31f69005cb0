"""The reference against torch's own kernel and against hand-made numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attnscope.masks import additive, causal, dense, everything, sliding
from attnscope.measure import attention
from attnscope.measure.attention import output_rows, row_blocks, weight_rows
from tests.calls import make_call, random_call, weights_of


@pytest.mark.parametrize("mask", ["causal", "boolean", "additive"])
def test_agrees_with_torch(mask: str) -> None:
    call = random_call(heads=6, kv_heads=2)
    assert call.query is not None
    assert call.key is not None
    allowed = torch.rand(1, 6, 20, 20, generator=torch.Generator().manual_seed(1)) > 0.4
    allowed |= torch.eye(20, dtype=torch.bool)
    float_mask = torch.randn(1, 1, 20, 20, dtype=torch.float64).masked_fill(~allowed, -torch.inf)
    options = {
        "causal": {"is_causal": True},
        "boolean": {"attn_mask": allowed},
        "additive": {"attn_mask": float_mask},
    }[mask]
    expected = scaled_dot_product_attention(
        call.query, call.key, call.value, enable_gqa=True, **options
    )
    changes = {
        "causal": {},
        "boolean": {"mask": dense(allowed)},
        "additive": {"mask": additive(float_mask), "bias": (float_mask,)},
    }[mask]
    call = replace(call, **changes)
    torch.testing.assert_close(
        output_rows(call, weight_rows(call, 0, 20))[None], expected, rtol=1e-12, atol=1e-12
    )


def test_blocks_of_rows_give_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    call = random_call()
    whole = weights_of(call)
    monkeypatch.setattr(attention, "_BLOCK_BYTES", 8 * call.heads * call.keys * 3)
    blocks = list(row_blocks(call))
    assert blocks[0] == (0, 3)
    assert blocks[-1][1] == 20
    for start, stop in blocks:
        rows = weight_rows(call, start, stop)
        torch.testing.assert_close(rows.weights, whole[:, start:stop, : rows.columns])
        assert rows.columns == stop  # causal: later keys are not even computed


def test_softcap() -> None:
    """Scores 100 and 0 capped at 2: softmax(2 tanh 50, 0) = (e², 1) / (e² + 1)."""
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    key = torch.tensor([[[[100.0], [0.0]]]], dtype=torch.float64)
    call = make_call(one.expand(1, 1, 2, 1), key, key, scale=1.0, softcap=2.0, mask=everything())
    assert weights_of(call)[0, 0].tolist() == pytest.approx([0.880797077977882, 0.119202922022118])


def test_sinks_take_weight_and_give_no_value() -> None:
    """Two equal scores of 0 and a sink of ln 2 share 1 : 1 : 2."""
    zero = torch.zeros(1, 1, 2, 1, dtype=torch.float64)
    sinks = torch.tensor([2.0]).log()
    call = make_call(zero, zero, zero + 3.0, sinks=sinks, mask=everything())
    rows = weight_rows(call, 0, 2)
    assert rows.weights[0, 0].tolist() == pytest.approx([0.25, 0.25])
    assert rows.sink_weights is not None
    assert rows.sink_weights[0].tolist() == pytest.approx([0.5, 0.5])
    assert call.output[0, 0, 0].item() == pytest.approx(1.5)


def test_score_mod_stands_for_softcap_and_bias() -> None:
    call = random_call(softcap=5.0)
    slopes = torch.tensor([0.5, 0.25, 0.125, 0.0625], dtype=torch.float64)
    distance = torch.arange(20)[None, :] - torch.arange(20)[:, None]
    biased = replace(call, bias=((slopes[:, None, None] * distance)[None],))

    def score_mod(score, b, h, q, k):  # type: ignore[no-untyped-def]
        return 5.0 * torch.tanh(score / 5.0) + slopes[h] * (k - q)

    hooked = replace(call, softcap=None, score_mod=score_mod)
    torch.testing.assert_close(weights_of(hooked), weights_of(biased))


def test_a_finite_penalty_that_a_score_beats_shows_as_weight() -> None:
    """-1e4 closes a cell only while no score is larger; the weights tell."""
    query = torch.full((1, 1, 2, 1), 200.0, dtype=torch.float64)
    key = torch.tensor([[[[0.0], [100.0]]]], dtype=torch.float64)
    penalty = torch.tensor([[[[0.0, -1e4], [0.0, 0.0]]]], dtype=torch.float64)
    call = make_call(query, key, key, scale=1.0, bias=(penalty,), mask=additive(penalty))
    assert not weight_rows(call, 0, 1).allowed[0, 0, 1]
    assert weights_of(call)[0, 0, 1].item() == pytest.approx(1.0)


def test_a_row_that_sees_nothing_is_zero_under_a_boolean_mask() -> None:
    call = random_call(mask=dense(torch.zeros(1, 1, 20, 20, dtype=torch.bool)))
    assert weights_of(call).abs().max() == 0


def test_a_row_that_sees_nothing_is_uniform_under_a_finite_additive_mask() -> None:
    """What eager attention really does with a fully padded row."""
    low = torch.full((1, 1, 20, 20), torch.finfo(torch.float32).min)
    weights = weights_of(random_call(mask=additive(low), bias=(low,)))
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / 20))


def test_a_window_is_a_mask_like_any_other() -> None:
    weights = weights_of(random_call(mask=causal() & sliding(3)))
    assert (weights[0].count_nonzero(dim=-1) == torch.arange(1, 21).clamp(max=3)).all()

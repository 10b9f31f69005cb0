"""One head under two masks, against numpy in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from attnscope.expressions import parse
from attnscope.masks import PENALTY, additive, causal, everything
from attnscope.measure.compare import ComparisonTally, multiplied, weight_moved
from attnscope.measure.run import Selection
from attnscope.measure.trace import under_mask
from attnscope.records import AttentionCall, HeadComparison, ModelInfo
from tests.calls import random_call

MODEL = ModelInfo(
    name="tiny", architecture="Tiny", parameters=1, layers=2, heads=4, kv_heads=2, device="cpu",
    dtype="float32", backend="sdpa",
)  # fmt: skip


def attention(call: AttentionCall, head: int, allowed: np.ndarray, bias: float = 0.0) -> np.ndarray:
    """The textbook formula for one head, weights in float64."""
    assert call.query is not None
    assert call.key is not None
    group = head * call.key.shape[1] // call.query.shape[1]
    query, key = (one.double().numpy() for one in (call.query[0, head], call.key[0, group]))
    scores = np.where(allowed, query @ key.T * call.scale + bias, -np.inf)
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def compared(
    call: AttentionCall, text: str, selection: Selection | None = None
) -> HeadComparison | None:
    mask = parse(text).mask(call.keys)
    tally = ComparisonTally(
        lambda one: under_mask(one, mask), torch.arange(call.keys), MODEL, selection or Selection()
    )
    tally.add(call)
    return tally.result()


@pytest.mark.parametrize("text", ["bidirectional", "sliding:2", "prefix:3", "row:2", "~causal"])
def test_weights_and_outputs_under_another_mask(text: str) -> None:
    call = random_call(tokens=7, heads=4, kv_heads=2, mask=causal())
    result = compared(call, text, Selection(head=1))
    assert result is not None
    allowed = parse(text).mask(7).rows(0, 7, 7)[0, 0].numpy()
    own = attention(call, 1, np.tri(7, dtype=bool))
    with np.errstate(invalid="ignore"):
        other = np.nan_to_num(attention(call, 1, allowed))  # blind rows give nothing
    value = call.value[0, 0].double().numpy()
    np.testing.assert_allclose(result.own.weights, own, atol=1e-12)
    np.testing.assert_allclose(result.other.weights, other, atol=1e-12)
    np.testing.assert_allclose(result.difference, own - other, atol=1e-12)
    np.testing.assert_allclose(result.own_output, own @ value, atol=1e-12)
    np.testing.assert_allclose(result.other_output, other @ value, atol=1e-12)
    hidden, shown = allowed & ~np.tri(7, dtype=bool), ~allowed & np.tri(7, dtype=bool)
    assert result.hidden.tolist() == hidden.sum(axis=1).tolist()
    assert result.shown.tolist() == shown.sum(axis=1).tolist()
    np.testing.assert_allclose(result.hidden_weight, (other * hidden).sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(result.shown_weight, (own * shown).sum(axis=1), atol=1e-12)


def test_an_added_mask_goes_and_a_position_bias_stays() -> None:
    bias = torch.linspace(-1, 1, 6).expand(1, 1, 6, 6)
    closed = torch.full((6, 6), -1e9).triu(1)[None, None]
    call = random_call(tokens=6, heads=1, kv_heads=1)
    call = replace(call, mask=additive(closed), bias=(bias, closed))
    assert closed.min() < PENALTY
    result = compared(call, "bidirectional")
    assert result is not None
    expected = attention(call, 0, np.ones((6, 6), dtype=bool), bias[0, 0].double().numpy())
    np.testing.assert_allclose(result.other.weights, expected, atol=1e-12)


def test_scores_times_zero_leave_closed_keys_a_weight() -> None:
    call = random_call(tokens=5, heads=2, kv_heads=1, mask=causal())
    tally = ComparisonTally(multiplied, torch.arange(5), MODEL, Selection(head=1))
    tally.add(call)
    result = tally.result()
    assert result is not None
    assert call.query is not None
    assert call.key is not None
    scores = (call.query[0, 1] @ call.key[0, 0].T).double().numpy() * call.scale
    exponentials = np.exp(np.where(np.tri(5, dtype=bool), scores, 0.0))
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result.other.weights, expected, atol=1e-6)
    assert bool(result.other.future.any())
    assert result.hidden.tolist() == [4, 3, 2, 1, 0]


def test_the_head_that_changes_most_is_shown() -> None:
    call = random_call(tokens=8, heads=4, kv_heads=4, mask=causal())
    assert call.query is not None
    query = call.query.clone()
    query[:, :3] = 0  # three heads that share their weight out evenly
    query[:, 3] *= 50  # one that looks at single tokens, most of them later ones
    other = replace(call, query=query)
    moved = weight_moved(other, under_mask(other, everything()))
    result = compared(other, "bidirectional")
    assert result is not None
    assert result.own.head == int(moved.argmax())
    assert f"{float(moved.max()):.0%} of its weight" in result.own.reason
    chosen = compared(other, "bidirectional", Selection(head=-2))
    assert chosen is not None
    assert chosen.own.head == 2
    assert "of all heads" not in chosen.own.reason


def test_what_cannot_be_recomputed_is_not_compared() -> None:
    whole = random_call(tokens=4)
    weights = torch.ones(1, 4, 4, 4).tril()
    call = replace(whole, query=None, key=None, weights=weights / weights.sum(-1, keepdim=True))
    assert compared(call, "bidirectional") is None
    assert compared(random_call(tokens=4, layer=1), "causal", Selection(layer=0)) is None


def test_the_same_mask_changes_nothing() -> None:
    result = compared(random_call(tokens=6, mask=causal()), "causal")
    assert result is not None
    assert not result.difference.any()
    assert not result.moved.any()
    assert not result.lost.any()

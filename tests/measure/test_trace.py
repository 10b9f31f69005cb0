"""One head cut out of a call, drawn and traced."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from attnscope.masks import causal, dense
from attnscope.measure import pooling, trace
from attnscope.measure.focus import tally
from attnscope.measure.trace import hand_trace, head_vectors, head_view, one_head
from attnscope.records import AttentionCall, HeadFocus
from tests.calls import random_call, weights_of


def varied_call() -> AttentionCall:
    """Masks, biases and sinks that differ between heads."""
    generator = torch.Generator().manual_seed(2)
    allowed = torch.rand(1, 4, 20, 20, generator=generator) > 0.3
    allowed |= torch.eye(20, dtype=torch.bool)
    bias = torch.randn(1, 4, 1, 20, dtype=torch.float64, generator=generator)
    return random_call(
        mask=dense(allowed), bias=(bias,), sinks=torch.tensor([0.1, 0.5, -0.3, 2.0]), softcap=3.0
    )


def focus_of(call: AttentionCall, head: int) -> HeadFocus:
    return tally(call, torch.arange(call.keys)).result()[head]


@pytest.mark.parametrize("head", range(4))
def test_one_head_is_the_same_head(head: int) -> None:
    call = varied_call()
    assert torch.allclose(weights_of(one_head(call, head))[0], weights_of(call)[head])

    def score_mod(score, b, h, q, k):  # type: ignore[no-untyped-def]
        return score + h * (q - k)

    call = replace(call, bias=(), score_mod=score_mod)
    assert torch.allclose(weights_of(one_head(call, head))[0], weights_of(call)[head])


def test_the_steps_lead_from_query_to_output() -> None:
    call = varied_call()
    hand = hand_trace(call, focus_of(call, 3), 11)
    assert hand is not None
    assert call.key is not None
    torch.testing.assert_close(hand.dots, call.key[0, 1] @ hand.query)
    capped = 3.0 * torch.tanh(hand.dots * hand.scale / 3.0)
    torch.testing.assert_close(hand.scaled, capped + call.bias[0][0, 3, 0])
    assert hand.sink is not None
    assert hand.denominator == pytest.approx(float(hand.exponentials.sum()) + hand.sink)
    torch.testing.assert_close(hand.weights, hand.exponentials / hand.denominator)
    assert (hand.weights[~hand.allowed] == 0).all()
    torch.testing.assert_close(hand.output, hand.weights @ call.value[0, 1])
    torch.testing.assert_close(hand.output, hand.kernel_output)
    assert hand.verified


def test_a_blocked_keys_score_is_without_the_masks_own_term() -> None:
    low = torch.zeros(1, 1, 20, 20).masked_fill(torch.ones(20, 20).triu(1).bool(), -3e38)
    call = random_call(bias=(low,))
    hand = hand_trace(call, focus_of(call, 0), 4)
    assert hand is not None
    torch.testing.assert_close(hand.scaled, hand.dots * hand.scale)


def test_a_long_head_is_pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sum over keys, mean over queries: each row of the grid still adds up to 1."""
    monkeypatch.setattr(pooling, "EXACT_UP_TO", 10)
    monkeypatch.setattr(pooling, "CELLS", 6)
    monkeypatch.setattr(trace, "_ROWS_AT_ONCE", 5)
    call = random_call()
    view = head_view(call, focus_of(call, 1), "because")
    assert view.pool == 4
    assert view.weights.shape == (5, 5)
    torch.testing.assert_close(view.weights.sum(dim=-1), torch.ones(5, dtype=torch.float64))
    expected = weights_of(call)[1].reshape(5, 4, 5, 4).sum(dim=3).mean(dim=1)
    torch.testing.assert_close(view.weights, expected)
    assert not view.future.any()


def test_a_view_starts_at_its_first_query() -> None:
    """With a cache the last query meets the last key."""
    assert head_view(random_call(), focus_of(random_call(), 1), "because").origin == (0, 0)
    whole = random_call()
    assert whole.query is not None
    late = replace(
        whole, query=whole.query[:, :, 17:], output=whole.output[:, :, 17:], mask=causal(17),
    )  # fmt: skip
    view = head_view(late, focus_of(late, 1), "because")
    assert (view.origin, view.weights.shape) == ((17, 0), (3, 20))
    assert not view.future.any()
    torch.testing.assert_close(view.weights, weights_of(whole)[1, 17:])


def test_vectors_only_where_they_can_be_read() -> None:
    small = random_call(tokens=5, d=4)
    vectors = head_vectors(small, 2)
    assert vectors is not None
    assert small.query is not None
    assert torch.equal(vectors.query, small.query[0, 2])
    assert torch.equal(vectors.value, small.value[0, 1])
    torch.testing.assert_close(vectors.output, small.output[0, 2])
    assert not torch.allclose(vectors.unmasked, vectors.output)
    torch.testing.assert_close(vectors.unmasked[-1], vectors.output[-1])  # it saw all anyway
    assert head_vectors(random_call(tokens=13, d=4), 0) is None
    assert head_vectors(random_call(tokens=5, d=64), 0) is None


def test_without_the_mask_keeps_position_biases() -> None:
    """The last query of a causal mask sees everything anyway: without the mask it is the same."""
    slopes = torch.tensor([0.5, 0.25, 0.125, 0.0625], dtype=torch.float64)[None, :, None, None]
    alibi = slopes * torch.arange(6)
    low = torch.zeros(1, 1, 6, 6).masked_fill(torch.ones(6, 6).triu(1).bool(), -3e38)
    vectors = head_vectors(random_call(tokens=6, d=4, bias=(alibi, low)), 1)
    assert vectors is not None
    torch.testing.assert_close(vectors.unmasked[-1], vectors.output[-1])
    assert not torch.allclose(vectors.unmasked[0], vectors.output[0])

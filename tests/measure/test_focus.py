"""Focus statistics of heads whose weights are known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from attnscope.masks import everything
from attnscope.measure.focus import tally
from attnscope.measure.roles import reason, telling
from attnscope.records import HeadFocus
from tests.calls import call_with_weights, random_call

TOKENS = 12


def focus_of(weights: torch.Tensor, ids: list[int] | None = None) -> HeadFocus:
    call = call_with_weights(weights[None])
    return tally(call, torch.tensor(ids or list(range(len(weights))))).result()[0]


def shifted(back: int) -> torch.Tensor:
    """Each query looks only at the position `back` before it, the first ones at position 0."""
    weights = torch.zeros(TOKENS, TOKENS, dtype=torch.float64)
    for query in range(TOKENS):
        weights[query, max(0, query - back)] = 1.0
    return weights


def test_previous_token_head() -> None:
    head = focus_of(shifted(1))
    assert (head.role, head.role_score) == ("previous-token", 1.0)
    assert head.entropy == 0.0
    assert head.distance == pytest.approx(11 / 12)  # all but the first query look one back
    assert (head.self_weight, head.previous_weight, head.first_weight) == (0.0, 1.0, 0.0)


def test_self_and_sink_heads() -> None:
    assert focus_of(shifted(0)).role == "self"
    head = focus_of(shifted(TOKENS))
    assert (head.role, head.role_score, head.strongest_key) == ("sink", 1.0, 0)
    assert head.previous_weight == pytest.approx(1 / 11)  # query 1: the first token is the previous


def test_uniform_head_is_broad() -> None:
    weights = torch.ones(TOKENS, TOKENS, dtype=torch.float64).tril()
    head = focus_of(weights / weights.sum(-1, keepdim=True))
    assert (head.role, head.broad) == ("broad", pytest.approx(1.0))
    assert head.entropy == pytest.approx(sum(math.log(n) for n in range(1, 13)) / 12)
    # over queries with at least 8 visible keys: mean of 4/8 … 4/12
    assert head.local_weight == pytest.approx(sum(4 / n for n in range(8, 13)) / 5)
    assert head.induction is None


def test_local_head() -> None:
    weights = sum(shifted(back) for back in range(4))
    head = focus_of(weights / weights.sum(-1, keepdim=True))
    assert (head.role, head.role_score) == ("local", pytest.approx(1.0))


def test_induction_and_duplicate_token_heads() -> None:
    ids = [1, 2, 3, 4, 5, 6] * 2
    induction, duplicate = shifted(5), shifted(6)
    head = focus_of(induction, ids)
    assert (head.role, head.induction, head.duplicate) == ("induction", 1.0, 0.0)
    head = focus_of(duplicate, ids)
    assert (head.role, head.induction, head.duplicate) == ("duplicate-token", 0.0, 1.0)


def test_the_token_itself_is_no_induction_target() -> None:
    """In `a a` what follows the earlier `a` is the query itself: looking there is no induction."""
    head = focus_of(shifted(0), [7] * TOKENS)
    assert head.induction == 0.0


def test_a_planted_future_weight_is_found_where_it_is() -> None:
    weights = shifted(1)
    weights[4, 4 - 1], weights[4, 9] = 1 - 3e-7, 3e-7
    call = call_with_weights(torch.stack([shifted(1), weights]))
    call = replace(call, mask=everything())
    counted = tally(call, torch.arange(TOKENS))
    clean, leaking = counted.result()
    assert clean.future_weight == 0.0
    assert leaking.future_weight == pytest.approx(3e-7)
    assert counted.future(1)[1:] == (4, 9)
    assert telling(leaking) > telling(clean)
    assert "future" in reason(leaking)


def test_the_kernels_own_future_weight_counts_too() -> None:
    """A kernel whose returned weights leak is not excused by a clean recomputation."""
    call = random_call()
    leaked = torch.zeros(1, 4, 20, 20)
    leaked[0, 2, 5, 17] = 1e-3
    call = replace(call, weights=leaked)
    counted = tally(call, torch.arange(20))
    assert [head.future_weight > 0 for head in counted.result()] == [False, False, True, False]
    assert counted.future(2)[1:] == (5, 17)


def test_nan_output_is_never_verified() -> None:
    call = random_call()
    output = call.output.clone()
    output[0, 1, 3, 0] = math.nan
    call = replace(call, output=output)
    verified = [head.verified for head in tally(call, torch.arange(20)).result()]
    assert verified == [True, False, True, True]


def test_wrong_output_is_not_verified() -> None:
    call = random_call()
    output = call.output.clone()
    output[0, 3, 19, 2] += 1e-3
    call = replace(call, output=output)
    heads = tally(call, torch.arange(20)).result()
    assert [head.verified for head in heads] == [True, True, True, False]
    assert heads[3].difference == pytest.approx(1e-3)


def test_kv_heads_are_named() -> None:
    heads = tally(random_call(heads=6, kv_heads=2), torch.arange(20)).result()
    assert [head.kv_head for head in heads] == [0, 0, 0, 1, 1, 1]


def test_one_token() -> None:
    head = focus_of(torch.ones(1, 1, dtype=torch.float64))
    assert (head.entropy, head.future_weight) == (0.0, 0.0)

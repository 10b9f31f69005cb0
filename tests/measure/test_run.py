"""What is shown when nothing, or something impossible, is asked for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from attnscope.errors import SelectionError
from attnscope.masks import everything
from attnscope.measure.run import RunTally, Selection, find_query
from attnscope.records import ModelInfo, Tokens
from tests.calls import call_with_weights, random_call

TOKENS = Tokens(
    ids=(5, 6, 7, 5), texts=(" the", " 2", "\n", " the"), labels=("the", "2", "\\n", "the"),
    special=(False,) * 4,
)  # fmt: skip


def model(heads: int = 2) -> ModelInfo:
    return ModelInfo(
        name="m", architecture="M", parameters=1, layers=2, heads=heads, kv_heads=heads,
        device="cpu", dtype="float32", backend="eager",
    )  # fmt: skip


def prompt(length: int) -> Tokens:
    words = tuple(f"w{place}" for place in range(length))
    return Tokens(ids=tuple(range(length)), texts=words, labels=words, special=(False,) * length)


@pytest.mark.parametrize(
    ("query", "place"),
    [
        (None, 3),
        (0, 0),
        (-1, 3),
        ("1", 1),
        ("-2", 2),
        ("the", 3),
        (" the", 3),
        ("\\n", 2),
        ("\n", 2),
    ],
)
def test_queries_are_found(query: int | str | None, place: int) -> None:
    assert find_query(TOKENS, query) == place


@pytest.mark.parametrize("query", [4, -5, "7", "dragon", ""])
def test_queries_that_are_not_there(query: int | str) -> None:
    with pytest.raises(SelectionError):
        find_query(TOKENS, query)


def test_the_most_telling_head_is_chosen() -> None:
    size = 10
    uniform = torch.ones(size, size, dtype=torch.float64).tril()
    uniform /= uniform.sum(-1, keepdim=True)
    previous = torch.eye(size, dtype=torch.float64).roll(-1, dims=1)
    previous[0] = torch.eye(size, dtype=torch.float64)[0]
    run = RunTally(model(), prompt(size), Selection())
    run.add(call_with_weights(torch.stack([uniform, previous])))
    trace = run.result()
    assert trace.view is not None
    assert trace.view.head == 1
    assert "previous-token" in trace.view.reason


def test_a_layer_that_never_came_by() -> None:
    run = RunTally(model(4), prompt(20), Selection(layer=1))
    run.add(random_call())
    with pytest.raises(SelectionError, match="no layer 1"):
        run.result()


def test_nothing_checked_is_never_clean() -> None:
    """A model that has heads, none of which was seen, is not one without attention."""
    trace = RunTally(model(), prompt(3), Selection()).result()
    assert not trace.proof.verified
    assert math.isnan(trace.proof.recompute_max_diff)
    assert "nothing was checked" in trace.notes[0]
    trace = RunTally(model(heads=0), prompt(3), Selection()).result()
    assert "no attention" in trace.notes[0]


def test_a_planted_leak_is_in_the_proof() -> None:
    weights = torch.eye(6, dtype=torch.float64).repeat(2, 1, 1)
    weights[1, 2, 2], weights[1, 2, 5] = 0.75, 0.25
    call = call_with_weights(weights)
    run = RunTally(model(), prompt(6), Selection())
    run.add(replace(call, mask=everything()))
    proof = run.result().proof
    assert proof.future_cells == 2 * 15
    assert proof.future_max == pytest.approx(0.25)
    assert proof.future_at == (0, 1, 2, 5)

"""From each rank's own heads to all heads, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from attnscope.errors import CaptureError
from attnscope.heads_options import HeadsOptions
from attnscope.measure.ranks import joined, local_options
from attnscope.records import HeadFocus, Heads, HeadView
from tests.render.examples import make_focus, make_model, make_tokens

MODEL = make_model(layers=2, heads=8, kv_heads=4)


def head(layer: int, number: int, kv_head: int, entropy: float) -> HeadFocus:
    return make_focus(layer, number, kv_head=kv_head, entropy=float(entropy))


def part(focus: list[HeadFocus], received: list[list[float]], **changes: Any) -> Heads:
    layers = tuple(dict.fromkeys(one.layer for one in focus))
    facts: dict[str, Any] = {
        "model": MODEL, "tokens": make_tokens(("a", "b", "c")), "windows": ((0, 3),),
        "focus": tuple(focus), "layers": layers, "received": torch.tensor(received),
    }  # fmt: skip
    return Heads(**{**facts, **changes})


def shares() -> list[Heads]:
    """Two layers, eight heads over four key/value heads, shared by two ranks."""
    parts = []
    for rank in (0, 1):
        focus = [
            head(layer, number, number // 2, 100 * layer + 4 * rank + number)
            for layer in (0, 1)
            for number in range(4)
        ]
        parts.append(part(focus, [[1.0 + rank, 0, 2], [3, rank, 0]]))
    return parts


def test_heads_count_on_from_rank_to_rank() -> None:
    both = joined(shares())
    places = [(one.layer, one.head, one.kv_head) for one in both.focus]
    assert places == [(layer, number, number // 2) for layer in (0, 1) for number in range(8)]
    assert torch.equal(
        both.table("entropy"), torch.arange(8.0, dtype=torch.float64) + torch.tensor([[0], [100]])
    )
    assert both.received.tolist() == [[1.5, 0, 2], [3, 0.5, 0]]


def test_attention_that_every_rank_has_whole_counts_once() -> None:
    whole = [head(1, number, number // 2, number) for number in range(8)]
    parts = [
        part(
            [head(0, number, number // 2, 4 * rank + number) for number in range(4)] + whole,
            [[float(rank), 1], [5, 6]],
        )
        for rank in (0, 1)
    ]
    both = joined(parts)
    assert [(one.layer, one.head) for one in both.focus] == [
        (layer, number) for layer in (0, 1) for number in range(8)
    ]
    assert both.focus[8:] == tuple(whole)
    assert both.received.tolist() == [[0.5, 1], [5, 6]]


def test_a_single_key_that_all_ranks_keep_is_one_key_for_all() -> None:
    model = replace(MODEL, kv_heads=1)
    parts = [
        part([head(0, number, 0, number) for number in range(4)], [[1.0]], model=model)
        for _ in range(2)
    ]
    assert [one.kv_head for one in joined(parts).focus] == [0] * 8


def test_calls_of_one_layer_stay_apart() -> None:
    parts = [
        part(
            [
                head(0, number, number // 2, 10 * call + rank)
                for call in (1, 2)
                for number in (0, 1)
            ],
            [[0.0]],
            model=replace(MODEL, heads=4),
        )
        for rank in (0, 1)
    ]
    assert [(one.head, one.entropy) for one in joined(parts).focus] == [
        (0, 10), (1, 10), (2, 11), (3, 11), (0, 20), (1, 20), (2, 21), (3, 21),
    ]  # fmt: skip


def test_views_notes_and_times_of_all_ranks() -> None:
    def view(layer: int, number: int, weight: float) -> HeadView:
        return HeadView(
            layer=layer, head=number, reason="", verified=True, difference=0.0,
            weights=torch.full((1, 1), weight), future=torch.zeros(1, 1, dtype=torch.bool), pool=1,
        )  # fmt: skip

    zero, one = shares()
    zero = replace(zero, views=(view(1, 3, 0.1),), seconds=2.0, notes=("n",), unchecked=("u",))
    one = replace(one, views=(view(0, 2, 0.2), view(1, 0, 0.3)), seconds=3.0, unchecked=("u", "v"))
    both = joined([zero, one])
    assert [(each.layer, each.head, float(each.weights)) for each in both.views] == [
        (0, 6, pytest.approx(0.2)), (1, 3, pytest.approx(0.1)), (1, 4, pytest.approx(0.3)),
    ]  # fmt: skip
    assert (both.seconds, both.notes, both.unchecked) == (3.0, ("n",), ("u", "v"))


def test_ranks_that_saw_different_calls_are_an_error() -> None:
    zero, one = shares()
    with pytest.raises(CaptureError, match="not seen the same attention calls: 2, 1 calls"):
        joined([zero, replace(one, focus=one.focus[:4])])


def test_each_rank_is_asked_for_its_own_heads() -> None:
    asked = HeadsOptions(views=((0, 1), (1, 4), (-1, -1), (0, 3)), window=7)
    first, second = (local_options(asked, 8, rank, 2) for rank in (0, 1))
    assert first == replace(asked, views=((0, 1), (0, 3)))
    assert second == replace(asked, views=((1, 0), (-1, 3)))


def test_a_head_that_there_is_not_is_left_to_be_refused() -> None:
    asked = HeadsOptions(views=((0, 8), (0, -9)))
    assert all(local_options(asked, 8, rank, 2) == asked for rank in (0, 1))

from __future__ import annotations

from math import nan

import pytest
import torch
from rich.cells import cell_len

from attnscope.render.heatmap import heatmap, pooled
from tests.render import examples


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_textbook_shows_its_four_decimals(width: int, encoding: str) -> None:
    trace = examples.textbook()
    assert trace.view is not None
    output = examples.printed(heatmap(trace.view, trace.tokens), width, encoding)
    rows = [line.split()[2:] for line in output.splitlines()[4:9]]
    zero = "·" if encoding == "utf-8" else "."
    assert rows[0] == ["1.0000", *[zero] * 4]
    assert rows[1] == [".8176", ".1824", *[zero] * 3]
    assert rows[3] == [".2350", ".2350", ".1425", ".3875", zero]
    assert rows[4] == [".1892"] * 4 + [".2430"]


def test_small_is_not_zero() -> None:
    weights = torch.tensor([[1, 0, 0], [1e-7, 1 - 1e-7, 0], [0, 0.003, 0.997]])
    tokens = examples.make_tokens(("a", "b", "c"))
    exact = examples.printed(heatmap(examples.make_view(weights), tokens), 60)
    assert exact.splitlines()[5].split()[2:] == ["<.0001", "1.0000", "·"]
    narrow = examples.printed(heatmap(examples.make_view(weights, reason=""), tokens), 20)
    row = next(line for line in narrow.splitlines() if line.startswith("1 b"))
    assert row.split()[2:] == ["<1", "99", "·"]


@pytest.mark.parametrize("width", [20, 60])
def test_weight_on_the_future_is_loud(width: int) -> None:
    trace = examples.leaking()
    assert trace.view is not None
    output = examples.printed(heatmap(trace.view, trace.tokens), width)
    row = next(line for line in output.splitlines() if line.startswith("1 cat"))
    assert "!" in row
    assert "WEIGHT ON A LATER" in output
    if width == 60:
        assert "!.4000" in output
        assert "cat (1) → on (3), 0.4" in output


def test_unverified_weights_say_so() -> None:
    weights = torch.eye(2)
    tokens = examples.make_tokens(("a", "b"))
    view = examples.make_view(weights, verified=False, difference=3.2e-3)
    assert "not verified (difference 3.2e-03)" in examples.printed(heatmap(view, tokens), 80)
    view = examples.make_view(weights, verified=False, difference=nan)
    assert "not verified (nothing to compare with)" in examples.printed(heatmap(view, tokens), 80)


def test_pooling_sums_keys_and_averages_queries() -> None:
    weights = torch.ones(10, 10).tril()
    view = examples.make_view(weights / weights.sum(dim=1, keepdim=True))
    small, future = pooled(view, 4, 10)
    assert small.shape == (3, 3)
    torch.testing.assert_close(small.sum(dim=1), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(small[0, 0], torch.tensor(1.0, dtype=torch.float64))
    expected = view.weights[8:10, 0:4].sum(dim=1).mean()
    torch.testing.assert_close(small[2, 0], expected)
    assert not future.any()


def test_rows_that_stand_for_fewer_queries_count_less() -> None:
    weights = torch.tensor([[1.0, 0.0], [0.2, 0.8]])
    small, _ = pooled(examples.make_view(weights, pool=4), 2, 5)
    torch.testing.assert_close(small, torch.ones(1, 1, dtype=torch.float64))
    small, _ = pooled(examples.make_view(weights, pool=4), 1, 5)
    torch.testing.assert_close(small, weights.double())


@pytest.mark.parametrize("width", [60, 80, 200])
def test_large_ones_are_pooled_and_a_leak_survives(width: int) -> None:
    trace = examples.big()
    assert trace.view is not None
    future = torch.zeros(512, 512, dtype=torch.bool)
    future[5, 400] = True
    weights = trace.view.weights.clone()
    weights[5, 400] = 1e-6
    view = examples.make_view(weights, pool=8, future=future)
    output = examples.printed(heatmap(view, trace.tokens), width)
    rows = [line for line in output.splitlines() if "–" in line[:10]]
    assert len(rows) <= 48
    assert "!" in rows[0]
    assert "one cell = " in output
    assert "WEIGHT ON A LATER TOKEN" in output


def test_rows_stay_aligned_with_hostile_tokens() -> None:
    trace = examples.hostile()
    assert trace.view is not None
    rows = examples.printed(heatmap(trace.view, trace.tokens), 100).splitlines()[3:23]
    assert len({cell_len(row) for row in rows}) == 1

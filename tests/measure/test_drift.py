"""How far apart two runs are, where numbers end."""

from __future__ import annotations

import pytest
import torch

from attnscope.measure.drift import drift

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.0], [1.5, 4.0], 2.0),
        ([-0.0], [0.0], 0.0),
        ([INF, 1.0], [INF, 1.0], 0.0),
        ([-INF, 1.0], [-INF, 3.0], 2.0),
        ([INF], [-INF], INF),
        ([INF], [1.0], INF),
        ([NAN, 1.0], [NAN, 1.0], 0.0),
        ([NAN, 1.0], [NAN, 2.0], 1.0),
        ([NAN], [1.0], INF),
        ([1.0], [NAN], INF),
        ([NAN], [INF], INF),
    ],
)
def test_the_largest_difference(one: list[float], other: list[float], expected: float) -> None:
    assert drift(torch.tensor([one]), torch.tensor([other])).tolist() == [expected]


def test_the_smallest_difference_of_each_dtype_is_seen() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        one = torch.ones(2, 3, dtype=dtype)
        other = one.clone()
        other[1, 2] += torch.finfo(dtype).eps
        assert drift(one, other).tolist() == [0.0, torch.finfo(dtype).eps]


def test_the_smallest_number_of_all_counts() -> None:
    one = torch.zeros(1, 2)
    other = torch.tensor([[0.0, 1e-45]])
    assert 0.0 < drift(one, other).item() < 1e-44

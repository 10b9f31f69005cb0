"""Which axis counts the tokens."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from attnscope.experiments.lengths import clearer
from attnscope.experiments.rows import layout_of, row_a_token, token_axis
from attnscope.load.own import OwnModel, load_own


@pytest.mark.parametrize(
    "shape", [(2, 11, 5), (11, 2, 5), (2, 5, 11), (2, 4, 11, 3), (2, 4, 11, 11)]
)
def test_any_layout_becomes_batch_token_feature(shape: tuple[int, ...]) -> None:
    tensor = torch.randn(shape)
    rows = row_a_token(tensor, 2, 11, "told")
    assert rows is not None
    assert rows.shape == (2, 11, tensor.numel() // 22)
    axis, batch = shape.index(11), shape.index(2)
    for place in (0, 7):
        here = tensor.select(axis, place).movedim(batch if batch < axis else batch - 1, 0)
        assert torch.equal(rows[:, place].sort().values, here.flatten(1).sort().values)


@pytest.mark.parametrize("shape", [(2, 12, 5), (11, 5), (5, 11)])
def test_what_is_no_row_a_token(shape: tuple[int, ...]) -> None:
    assert row_a_token(torch.randn(shape), 2, 11, "told") is None


@pytest.mark.parametrize(
    ("layout", "shape", "axis"),
    [
        ("theirs", (1, 16, 16), 1), ("theirs", (16, 1, 8), 0), ("theirs", (16, 8), 0),
        ("theirs", (1, 8, 16), None),
        ("told", (1, 8, 16), 2), ("told", (1, 4, 16, 16), 2),
        ("unsure", (1, 16, 8), 1), ("unsure", (1, 16, 16), None), ("unsure", (1, 8, 16), None),
    ],
)  # fmt: skip
def test_the_axis_of_a_batch_of_one(layout: str, shape: tuple[int, ...], axis: int | None) -> None:
    assert token_axis(shape, 16, layout) == axis  # type: ignore[arg-type]


def test_a_length_tells_only_where_no_width_is_a_multiple_of_it() -> None:
    own = load_own(OwnModel(model=nn.Embedding(50, 22), vocab_size=50)).model
    assert layout_of(own, 13) == "told"
    assert layout_of(own, 11) == "unsure"
    assert layout_of(own, 5) == "unsure"  # 5 also divides 50, and is too short to tell anything
    assert layout_of(nn.Linear(3, 3), 13) == "theirs"


def test_an_example_is_shortened_until_its_length_tells() -> None:
    example = torch.randn(1, 16, 19)
    own = load_own(OwnModel(model=nn.Linear(19, 16), example=example)).model
    assert clearer(own, torch.arange(16)[None]).shape == (1, 15)
    assert clearer(own, torch.arange(13)[None]).shape == (1, 13)
    assert clearer(own, torch.arange(8)[None]).shape == (1, 8)

"""Which axis counts the tokens."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from attnscope.experiments.rows import row_a_token, told_by_length
from attnscope.load.own import OwnModel, load_own


@pytest.mark.parametrize(
    "shape", [(2, 11, 5), (11, 2, 5), (2, 5, 11), (2, 4, 11, 3), (2, 4, 11, 11)]
)
def test_any_layout_becomes_batch_token_feature(shape: tuple[int, ...]) -> None:
    tensor = torch.randn(shape)
    rows = row_a_token(tensor, 2, 11)
    assert rows is not None
    assert rows.shape == (2, 11, tensor.numel() // 22)
    axis, batch = shape.index(11), shape.index(2)
    for place in (0, 7):
        here = tensor.select(axis, place).movedim(batch if batch < axis else batch - 1, 0)
        assert torch.equal(rows[:, place].sort().values, here.flatten(1).sort().values)


@pytest.mark.parametrize("shape", [(2, 12, 5), (11, 5), (5, 11)])
def test_what_is_no_row_a_token(shape: tuple[int, ...]) -> None:
    assert row_a_token(torch.randn(shape), 2, 11) is None


def test_a_length_tells_only_where_no_width_is_a_multiple_of_it() -> None:
    own = load_own(OwnModel(model=nn.Embedding(50, 22), vocab_size=50)).model
    assert told_by_length(own, 13)
    assert not told_by_length(own, 11)
    assert not told_by_length(own, 5)  # 5 also divides 50
    assert not told_by_length(nn.Linear(3, 3), 13)  # of transformers, whose layouts are known

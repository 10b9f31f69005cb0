"""The vectors of a small head, side by side."""

from __future__ import annotations

import pytest
import torch

from attnscope.records import HeadVectors
from attnscope.render.vectors import vectors
from tests.render import examples

ONE = torch.arange(20, dtype=torch.float64).reshape(5, 4)
HEAD = HeadVectors(query=ONE, key=ONE / 8, value=-ONE, output=ONE / 3, unmasked=ONE / 7)


@pytest.mark.parametrize(("width", "rows"), [(60, 5), (100, 3), (200, 2)])
def test_as_many_side_by_side_as_fit(width: int, rows: int) -> None:
    output = examples.printed(vectors(HEAD, examples.make_tokens(examples.SENTENCE)), width)
    assert examples.widest(output) <= width
    assert output.count("0 The") == 5
    assert sum("0 The" in line for line in output.splitlines()) == rows


def test_four_decimals() -> None:
    output = examples.printed(vectors(HEAD, examples.make_tokens(examples.SENTENCE)), 100)
    for number in ("0.3750", "-19.0000", "6.3333", "2.7143"):
        assert number in output

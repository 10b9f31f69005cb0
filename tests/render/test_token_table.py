from __future__ import annotations

from math import inf, nan

import pytest
import torch

from attnscope.render.token_table import token_shares, token_table
from tests import heads
from tests.render.examples import make_tokens, printed, widest


def test_equal_tokens_are_counted_together_and_the_first_of_a_window_apart() -> None:
    made = heads.make_heads(
        tokens=make_tokens(("a", "b", "a", "a", "b", "b")),
        windows=((0, 3), (3, 6)),
        received=torch.tensor([[4.0, 1, 1, 6, 1, 1], [2.0, 1, 1, 4, 2, 0]]),
    )
    # means over the two layers: a 3, b 1, a 1 | a 5, b 1.5, b .5; together 12
    told = [(one.text, one.count, one.share, one.each) for one in token_shares(made)]
    assert told == [
        (None, 2, pytest.approx(8 / 12), pytest.approx(4)),
        ("b", 3, pytest.approx(3 / 12), pytest.approx(1)),
        ("a", 1, pytest.approx(1 / 12), pytest.approx(1)),
    ]


def test_shares_of_a_long_text_are_all_of_it() -> None:
    shares = token_shares(heads.long())
    assert sum(one.share for one in shares) == pytest.approx(1)
    assert sum(one.count for one in shares) == 30_000
    assert (shares[0].text, shares[0].count) == (None, 59)
    assert shares[0].each == pytest.approx(0.4 * 512, rel=1e-6)


def test_numbers_that_are_none_count_as_nothing() -> None:
    received = torch.tensor([[nan, 1.0, 1.0, inf, 2.0]] * 2)
    shares = {one.label: one.share for one in token_shares(heads.make_heads(received=received))}
    assert shares["mat"] == 0.5
    assert shares["on"] == 0


@pytest.mark.parametrize("received", [torch.zeros(2, 5), torch.full((2, 5), nan)])
def test_nothing_received_is_said(received: torch.Tensor) -> None:
    made = heads.make_heads(received=received)
    assert token_shares(made) == ()
    assert "No received weight" in printed(token_table(made, 10), 60)
    none = heads.make_heads(received=received[:0], layers=())
    assert "No received weight" in printed(token_table(none, 10), 60)


def test_one_window_names_its_first_token() -> None:
    lines = printed(token_table(heads.make_heads(), 2), 100).splitlines()
    assert lines[0].split() == ["token", "times", "share", "each"]
    assert lines[1].split() == ["The", "(0,", "the", "first)", "1", "50%", "2.50"]
    assert lines[3] == "… 3 other tokens, 35%"


def test_tokens_that_differ_in_a_space_are_told_apart() -> None:
    made = heads.make_heads(tokens=make_tokens(("x", "cat", " cat", " dog", "y")))
    output = printed(token_table(made, 10), 80)
    names = {line.split()[0] for line in output.splitlines()}
    assert {"cat", "␣cat", "dog"} <= names
    assert "\\x20cat" in printed(token_table(made, 10), 80, "ascii")


@pytest.mark.parametrize("width", [40, 60, 100])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_hostile_tokens_fit(width: int, encoding: str) -> None:
    output = printed(token_table(heads.hostile(), 99), width, encoding)
    assert widest(output) <= width
    assert "\x1b" not in output

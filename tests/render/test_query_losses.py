from __future__ import annotations

from math import inf, nan

import pytest
import torch
from rich.cells import cell_len

from attnscope.render.query_losses import ALL, query_losses
from tests.render import examples, lessons

CONSOLES = ["unicode", "ascii"]
TOKENS = examples.textbook().tokens
SHOWN = {
    "shown": torch.tensor([0, 1, 0, 0, 0]),
    "shown_weight": torch.tensor([0, 0.001, 0, 0, 0]).double(),
}


def rows_of(output: str) -> list[list[str]]:
    rows = [line.split() for line in output.splitlines()]
    return [row for row in rows if row[:1] and row[0].isdigit()]


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_what_each_query_loses(width: int, console: str) -> None:
    output = lessons.shown_on(query_losses(lessons.make_head(), TOKENS), width, console)
    assert rows_of(output) == [
        ["0", "The", "4", "80%", "50%"],
        ["1", "cat", "3", "60%", "38%"],
        ["2", "sat", "2", "40%", "25%"],
        ["3", "on", "1", "20%", "12%"],
        ["4", "mat", "0", "0%", "0%"],
    ]
    words = " ".join(output.split())
    assert words.startswith("query hidden weight moves")
    assert "hidden: keys that the model's own mask takes away" in words
    assert "shown" not in output


@pytest.mark.parametrize("width", [60, 80, 200])
def test_both_directions_have_their_columns(width: int) -> None:
    output = examples.printed(query_losses(lessons.make_head(**SHOWN), TOKENS), width)
    assert rows_of(output)[1] == ["1", "cat", "3", "60%", "1", "<1%", "38%"]
    words = " ".join(output.split())
    assert "shown: keys that only its own mask shows" in words
    numbers = output.splitlines()[:6]
    assert len({cell_len(line) for line in numbers}) == 1


@pytest.mark.parametrize("width", [60, 80])
def test_both_directions_of_a_longer_text_fit(width: int) -> None:
    shown = torch.ones(12, dtype=torch.int64)
    head = lessons.make_head(12, shown=shown, shown_weight=shown.double() / 12)
    output = examples.printed(query_losses(head, lessons.many_tokens(12)), width)
    assert [row[0] for row in rows_of(output)] == [str(place) for place in range(12)]
    assert all(len(row) == 7 for row in rows_of(output))


def test_masks_that_show_the_same_move_nothing() -> None:
    nothing = torch.zeros(5)
    head = lessons.make_head(
        hidden=nothing.long(), hidden_weight=nothing.double(), moved=nothing.double()
    )
    output = examples.printed(query_losses(head, TOKENS), 60)
    assert rows_of(output)[0] == ["0", "The", "0%"]
    assert "hidden" not in output


def test_of_many_queries_those_that_move_most_are_shown() -> None:
    moved = torch.linspace(0, 1, 40).flip(0).double()
    head = lessons.make_head(40, moved=moved)
    rows = rows_of(examples.printed(query_losses(head, lessons.many_tokens(40)), 80))
    shown = [row[0] for row in rows if row[1].startswith("word")]
    assert shown == [str(place) for place in range(ALL)]


def test_that_not_all_queries_are_shown_is_said() -> None:
    output = examples.printed(query_losses(lessons.make_head(40), lessons.many_tokens(40)), 80)
    assert f"{40 - ALL} more" in output


@pytest.mark.parametrize("width", [60, 80])
def test_a_move_that_is_no_number_is_said(width: int) -> None:
    moved = torch.tensor([inf, nan, 0, 0, 0]).double()
    rows = rows_of(examples.printed(query_losses(lessons.make_head(moved=moved), TOKENS), width))
    assert [row[-1] for row in rows] == ["?", "?", "0%", "0%", "0%"]


def test_dimensions_that_are_gone_are_named() -> None:
    lost = torch.zeros(5, 3, dtype=torch.bool)
    lost[0, 1:] = lost[2, 0] = True
    output = examples.printed(query_losses(lessons.make_head(lost=lost), TOKENS), 80)
    assert "The loses dimensions 1 and 2 (0.2000 and 1.8000 without its own mask)" in output
    assert "sat loses dimension 0 (-1.4000 without its own mask)" in output
    assert output.count("loses") == 2


def test_of_long_outputs_no_dimension_is_named() -> None:
    head = lessons.make_head(d=9, lost=torch.ones(5, 9, dtype=torch.bool))
    assert "loses" not in examples.printed(query_losses(head, TOKENS), 80)


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", [60, 80, 200])
def test_rows_stay_aligned_with_hostile_tokens(width: int, console: str) -> None:
    size = len(examples.HOSTILE)
    head = lessons.make_head(size, lost=torch.ones(size, 3, dtype=torch.bool))
    thing = query_losses(head, examples.make_tokens(examples.HOSTILE))
    output = lessons.shown_on(thing, width, console)
    assert len({cell_len(line) for line in output.splitlines()[1 : size + 1]}) == 1
    assert lessons.harmless(output)
    assert "[bold] loses dimensions 0, 1 and 2" in output


def test_one_token() -> None:
    output = examples.printed(query_losses(lessons.make_head(1), examples.make_tokens(("a",))), 60)
    assert rows_of(output) == [["0", "a", "50%"]]

from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest
import torch

from attnscope.render.caveat import POINTS, caveat
from attnscope.render.page import page
from tests.render import examples, lessons

CONSOLES = list(lessons.CONSOLES)
TOKENS = examples.textbook().tokens


def words_of(query: int = 1, **changes: object) -> str:
    hand = examples.make_hand(torch.tensor(examples.WEIGHTS[query]), query, **changes)
    return " ".join(examples.printed(caveat(hand, TOKENS), 80).split())


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_every_point_has_its_source(width: int, console: str) -> None:
    output = lessons.shown_on(caveat(), width, console)
    words = " ".join(output.split())
    assert words.startswith("What these weights do not explain")
    assert all(point in words for point in POINTS)
    assert words.count("arXiv:") == 5
    assert "Here" not in words


def test_the_first_point_has_the_numbers_of_the_traced_query() -> None:
    lengths = torch.tensor([1.0, 10, 1, 1, 1])
    words = words_of(value_lengths=lengths)
    assert "Here cat (1) gives 82% of its weight to The (0), which makes 31% of what" in words
    assert words.index("Here cat") < words.index("From the second layer on")


def test_a_query_that_looks_at_itself_most() -> None:
    """The example is the key whose weight tells least."""
    lengths = torch.tensor([1.0, 1.0, 9.0, 1.0, 1.0])
    words = words_of(2, value_lengths=lengths)
    assert "Here sat (2) gives 38% of its weight to itself, which makes 85%" in words
    assert "Here" not in words_of(1)  # all values equally long: nothing to see


@pytest.mark.parametrize("lengths", [0.0, nan])
def test_without_lengths_nothing_is_told(lengths: float) -> None:
    words = words_of(value_lengths=torch.full((5,), lengths))
    assert "nan%" not in words
    assert "Here" not in words


def test_weights_that_are_no_numbers() -> None:
    hand = examples.make_hand(torch.full((5,), 0.2), 1)
    hand = replace(hand, weights=hand.weights * nan)
    assert "Here" not in examples.printed(caveat(hand, TOKENS), 80)


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("query", [0, 1, 8, 12, 19])
def test_hostile_tokens_do_no_harm(query: int, width: int, console: str) -> None:
    weights = torch.zeros(len(examples.HOSTILE))
    weights[query] = 1
    tokens = examples.make_tokens(examples.HOSTILE)
    hand = examples.make_hand(weights, len(weights) - 1)
    output = lessons.shown_on(caveat(hand, tokens), width, console)
    assert lessons.harmless(output)


def test_the_page_has_it_where_it_is_asked_for() -> None:
    trace = examples.textbook()
    assert "do not explain" not in examples.printed(page(trace), 80)
    output = examples.printed(page(trace, with_caveat=True), 80)
    parts = ("4  Heatmap", "What these weights do not explain", "arXiv", "5  Hand")
    places = [output.index(part) for part in parts]
    assert places == sorted(places)


def test_the_page_has_it_without_a_hand_trace() -> None:
    trace = replace(examples.textbook(), hand=None)
    output = examples.printed(page(trace, with_caveat=True), 80)
    assert "What these weights do not explain" in output
    assert "Here" not in output


@pytest.mark.parametrize(("width", "console"), lessons.SCREENS)
@pytest.mark.parametrize("name", ["leaking", "hostile", "no_attention"])
def test_every_page_with_it_fits(name: str, width: int, console: str) -> None:
    output = lessons.shown_on(page(examples.ALL[name](), with_caveat=True), width, console)
    assert lessons.harmless(output)


@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_a_page_of_several_heads(width: int) -> None:
    trace = examples.textbook()
    views = tuple(replace(trace.views[0], head=head) for head in (0, 3))
    output = lessons.shown_on(page(replace(trace, views=views)), width, "unicode")
    assert "4 Heatmap: several heads' weights" in " ".join(output.split())
    assert "layer 0, head 0" in output
    assert "layer 0, head 3" in output
    assert "the same cells in every head" in " ".join(output.split())
    assert "the same cells in every head" not in examples.printed(page(trace), width)

from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest

from attnscope.heads_options import Order
from attnscope.records import Heads
from attnscope.render.heads_page import heads_page
from tests import heads
from tests.render.examples import make_focus, make_model, make_view, printed, widest


def told(made: Heads, width: int = 100) -> str:
    return " ".join(printed(heads_page(made, Order()), width).split())


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("make", [heads.make_heads, heads.long, heads.hostile])
def test_every_page_fits(make, width: int, encoding: str) -> None:  # type: ignore[no-untyped-def]
    output = printed(heads_page(make(), Order()), width, encoding)
    assert widest(output) <= width
    assert not any(evil in output for evil in "\x1b\x07\u202e")
    sections = ["Model and text", "Map", "Heads by entropy", "Tokens that receive", "Verified"]
    places = [output.index(section) for section in sections]
    assert places == sorted(places)


def test_a_long_text_says_that_it_was_read_in_windows() -> None:
    output = told(heads.long())
    assert "30,000 tokens, read in 59 windows of 512, in 12 s" in output
    assert "tokens of different windows did not see each other" in output
    assert (
        "for 64 of 30,000 queries and held against the kernel's own; every head verified." in output
    )
    lines = printed(heads_page(heads.long(), Order()), 100).splitlines()
    assert len(lines) < 120


def test_a_short_text_says_nothing_of_windows() -> None:
    output = told(heads.make_heads())
    assert "5 tokens, in 0.1 s The cat sat on mat" in output
    assert "window" not in output
    assert "Heatmap" not in output


def test_heads_that_are_not_verified_and_heads_that_leak() -> None:
    focus = (
        make_focus(0, 0, verified=False, compared=2),
        make_focus(0, 1, future_weight=0.25),
        make_focus(1, 0, future_weight=1e-5),
    )
    output = told(heads.make_heads(focus=focus, model=make_model(name="my model")))
    assert "for 2 to 3 of 5 queries and held against the kernel's own." in output
    assert "? 1 head not verified: L0.H0" in output
    assert "! WEIGHT ON A LATER TOKEN in L0.H1, L1.H0; the largest is 0.25, in L0.H1." in output
    assert "Run `attnscope verify-mask 'my model'`." in output
    assert "every head verified" not in output


def test_many_heads_are_counted_not_listed() -> None:
    focus = tuple(make_focus(0, head, verified=False) for head in range(64))
    output = told(heads.make_heads(focus=focus))
    assert "64 heads not verified: L0.H0, L0.H1, L0.H2" in output
    assert "L0.H7 and 56 more" in output


def test_what_was_not_checked_is_told() -> None:
    output = told(heads.make_heads(unchecked=("layer 3 was silent",) * 9, notes=("half of it",)))
    assert output.count("not checked: layer 3 was silent") == 8
    assert "not checked: 1 more" in output
    assert "Notes" in output
    assert "half of it" in output


def test_nothing_recomputed_is_not_verified() -> None:
    focus = (make_focus(0, 0, compared=0, verified=False, difference=nan, rounding=nan),)
    output = told(heads.make_heads(focus=focus))
    assert "Nothing could be recomputed" in output
    assert "every head verified" not in output


def test_no_attention() -> None:
    made = heads.make_heads(focus=(), layers=(), received=heads.make_heads().received[:0])
    output = told(replace(made, unchecked=("all of it",)))
    assert "Nothing was checked" in output
    assert "not checked: all of it" in output
    assert "Map" not in output


def test_pooled_heatmaps_can_be_zoomed() -> None:
    assert "--rows A:B" in told(heads.long())
    view = make_view(heads.pooled_view(5, 5).weights)
    exact = told(heads.make_heads(views=(view, view)))
    assert "5 Heatmaps" in exact
    assert "--rows A:B" not in exact

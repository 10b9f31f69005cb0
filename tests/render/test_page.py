"""What holds for the whole page, whatever the model and the terminal."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest

from attnscope.render.page import page
from tests.render import examples


@pytest.mark.parametrize("name", ["textbook", "leaking", "hostile", "no_attention"])
@pytest.mark.parametrize(
    ("width", "encoding"),
    [(30, "utf-8"), (60, "utf-8"), (80, "cp1252"), (100, "utf-8"), (200, "utf-8"), (60, "ascii")],
)
def test_every_line_fits_and_encodes(name: str, width: int, encoding: str) -> None:
    output = examples.printed(page(examples.ALL[name]()), width, encoding)
    assert examples.widest(output) <= width
    assert encoding == "utf-8" or output.isascii()


@pytest.mark.parametrize(("width", "encoding"), [(60, "utf-8"), (60, "ascii"), (200, "utf-8")])
def test_every_line_of_a_big_model_fits(width: int, encoding: str) -> None:
    output = examples.printed(page(examples.big()), width, encoding)
    assert examples.widest(output) <= width


@pytest.mark.parametrize("name", ["textbook", "hostile", "no_attention"])
def test_nothing_hostile_reaches_the_terminal(name: str) -> None:
    output = examples.printed(page(examples.ALL[name]()), 80)
    bad = {each for each in output if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co", "Cn")}
    assert bad <= {"\n"}


def test_markup_and_emoji_codes_are_left_alone() -> None:
    output = examples.printed(page(examples.hostile()), 100)
    for text in ("[bold]", "[red]evil[/red]", "[blink]", "[/]:smile:"):
        assert text in output


def test_colour_adds_no_text() -> None:
    """What colour says, the words and glyphs say too."""
    trace = examples.leaking()
    plain = examples.printed(page(trace), 80)
    no_colour = examples.printed(page(trace), 80, force_terminal=True, no_color=True)
    assert "LATER TOKEN SEEN" in plain
    assert "[31m" not in no_colour
    assert "[41m" not in no_colour
    coloured = examples.printed(page(trace), 80, force_terminal=True, color_system="standard")
    assert "41m" in coloured


def test_sections_come_in_order() -> None:
    output = examples.printed(page(examples.leaking()), 80)
    titles = (
        "1  Model and tokens", "2  Mask", "3  Focus", "4  Heatmap", "5  Hand trace", "6  Proof",
        "Notes",
    )  # fmt: skip
    places = [output.index(title) for title in titles]
    assert places == sorted(places)


def test_no_attention_is_said_and_not_drawn() -> None:
    output = examples.printed(page(examples.no_attention()), 80)
    assert "Nothing was checked" in output
    assert "No module called attention." in output
    for absent in ("Focus", "Heatmap", "Proof", "no head looks at a later token"):
        assert absent not in output


def test_a_trace_without_hand_trace_says_so() -> None:
    output = examples.printed(page(replace(examples.textbook(), hand=None)), 80)
    assert "Could not be recomputed" in output
    assert "6  Proof" in output

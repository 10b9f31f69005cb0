from __future__ import annotations

import json
from math import inf, nan
from typing import Any

import pytest
from rich.cells import cell_len

from attnscope.records import Cheat
from attnscope.render.cheat import cheat_page
from attnscope.render.generation_json import cheat_json
from tests.render import examples, lessons

CONSOLES = list(lessons.CONSOLES)


def words_of(width: int = 80, **changes: object) -> str:
    return " ".join(examples.printed(cheat_page(lessons.make_cheat(**changes)), width).split())


def meaning_of(masked: float, cheating: float, alone: float) -> str:
    losses = {"masked_loss": masked, "cheating_loss": cheating, "alone_loss": alone}
    return words_of(answers=(lessons.make_given(**losses),))


def hostile() -> Cheat:
    tokens = examples.make_tokens(examples.HOSTILE)
    return lessons.make_cheat(
        model=examples.hostile().model, tokens=tokens, start=1,
        answers=tuple(
            lessons.make_given(place, name, alone=lessons.make_candidate(name))
            for place, name in enumerate(tokens.labels)
        ),
        masked_text="\x1b[31m[red]out[/red]\u202e", cheating_text="漢字" * 60,
        notes=("\x1b[2J[blink]note",),
    )  # fmt: skip


@pytest.mark.parametrize(("width", "console"), lessons.SCREENS)
@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_every_line_fits_and_is_harmless(name: str, width: int, console: str) -> None:
    cheat = hostile() if name == "hostile" else lessons.make_cheat()
    output = lessons.shown_on(cheat_page(cheat), width, console)
    assert lessons.harmless(output)
    assert ("[red]out[/red]" in output) is (name == "hostile")


@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_each_given_token_in_three_ways(width: int) -> None:
    lines = examples.printed(cheat_page(lessons.make_cheat()), width).splitlines()
    rows = [line.split() for line in lines if line.startswith(("3 on", "4 mat"))]
    assert [row[3::2] for row in rows] == [["2.00", "0.10", "3.00"]] * 2
    assert [row[4] for row in rows] == ["on", "mat"]


def test_columns_have_their_names() -> None:
    words = words_of()
    for name in ("its masks", "all in view", "no future"):
        assert name in words[: words.index("mean loss")]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_means_stand_below_their_losses(width: int) -> None:
    lines = examples.printed(cheat_page(lessons.make_cheat()), width).splitlines()
    row = next(line for line in lines if line.startswith("3 on"))
    mean = next(line for line in lines if line.strip().startswith("mean loss"))
    for loss in ("2.00", "0.10", "3.00"):
        assert row.index(loss) == mean.index(loss)


@pytest.mark.parametrize(
    ("masked", "cheating", "alone", "words"),
    [
        (2.0, 0.5, 3.0, "the loss is 3.00, worse than with the masks."),
        (2.0, 0.5, 1.5, "and the loss is 1.50."),
        (2.0, 0.5, 0.5, "Without a future there the loss is 0.50."),
        (2.0, 3.0, 4.0, "the loss rises from 2.00 to 3.00"),
        (2.0, 2.0, 2.0, "With all in view the loss hardly changes on this text."),
        (2.0, inf, 2.0, "the loss rises from 2.00 to inf"),
    ],
)
def test_what_the_means_mean(masked: float, cheating: float, alone: float, words: str) -> None:
    assert words in meaning_of(masked, cheating, alone)


def test_what_falls_has_its_perplexities() -> None:
    words = meaning_of(2.0, 0.5, 3.0)
    assert "falls from 2.00 to 0.50 (perplexity 7.4 to 1.6)" in words


@pytest.mark.parametrize("loss", [30.0, 699.0])
def test_large_perplexities_stay_short(loss: float) -> None:
    words = meaning_of(loss, 0.5, 3.0)
    told = words[words.index("(perplexity ") : words.index(" to 1.6)")]
    assert len(told) < 30


@pytest.mark.parametrize(("masked", "cheating"), [(nan, 2.0), (2.0, nan), (nan, nan)])
def test_a_loss_that_is_no_number_is_no_small_change(masked: float, cheating: float) -> None:
    assert "hardly changes" not in meaning_of(masked, cheating, 2.0)


def test_what_is_written_with_and_without_masks() -> None:
    words = words_of()
    assert "The cat sat → with its masks on a mat → without cat cat" in words
    assert "the text goes another way" in words
    same = words_of(cheating_text=" on a mat")
    assert "The same text: taking the masks away does not change" in same


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_nothing_written_is_shown_as_nothing(text: str) -> None:
    assert '→ without ""' in words_of(cheating_text=text)


@pytest.mark.parametrize(
    ("moves", "words"),
    [
        ((0, 96, 128), "and 96 (75%) without. What is written can be kept only because"),
        ((0, 0, 128), "and 0 (0%) without. No attention comes before them"),
        ((4, 96, 128), "and 96 (75%) without."),
    ],
)
def test_what_a_cache_needs(moves: tuple[int, int, int], words: str) -> None:
    masked, cheating, stored = moves
    told = words_of(masked_move=masked, cheating_move=cheating, stored=stored)
    assert f"of the 128 numbers in the prompt's keys and values, {masked} change" in told
    assert words in told
    assert ("can be kept" in told) is (moves == (0, 96, 128))


def test_without_stored_numbers_no_cache_is_told() -> None:
    assert "the cache" not in words_of(stored=0, masked_move=0, cheating_move=0)


def test_a_cheat_that_is_right_is_painted() -> None:
    output = lessons.painted(cheat_page(lessons.make_cheat()))
    assert "\x1b[32mon" in output
    assert "\x1b[1;31m  0.10" in output


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", [60, 80, 200])
def test_rows_stay_aligned_with_hostile_tokens(width: int, console: str) -> None:
    lines = lessons.shown_on(cheat_page(hostile()), width, console).splitlines()
    rows = [line for line in lines if line.endswith(" 3.00") and line[:2].strip().isdigit()]
    assert len(rows) == len(examples.HOSTILE)
    for loss in ("  2.00", "  0.10", "  3.00"):
        assert len({cell_len(row[: row.index(loss)]) for row in rows}) == 1


def data_of(cheat: Cheat) -> Any:
    return json.loads(json.dumps(cheat_json(cheat), allow_nan=False))


def test_strict_json_with_its_numbers() -> None:
    data = data_of(lessons.make_cheat())
    assert set(data) == {
        "schema", "model", "tokens", "start", "answers", "mean_loss", "masked_text",
        "cheating_text", "masked_move", "cheating_move", "stored", "notes",
    }  # fmt: skip
    assert data["answers"][0]["cheating"] == {"token": 3, "label": "on", "probability": 0.92}
    assert data["mean_loss"] == pytest.approx({"masked": 2.0, "cheating": 0.1, "alone": 3.0})
    assert (data["start"], data["stored"], data["cheating_text"]) == (3, 128, " cat cat")


def test_what_is_no_number_is_null() -> None:
    answer = lessons.make_given(masked_loss=nan, alone=lessons.make_candidate("on", inf))
    data = data_of(lessons.make_cheat(answers=(answer,)))
    assert data["mean_loss"]["masked"] is None
    assert data["answers"][0]["masked_loss"] is None
    assert data["answers"][0]["alone"]["probability"] is None


def test_hostile_text_is_kept_and_escaped() -> None:
    text = json.dumps(cheat_json(hostile()), allow_nan=False)
    assert text.isascii()
    assert json.loads(text)["masked_text"] == "\x1b[31m[red]out[/red]\u202e"

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
import torch

from attnscope.records import Comparison
from attnscope.render.comparison import comparison_page
from attnscope.render.comparison_json import comparison_json
from tests.render import examples, lessons


def hostile() -> Comparison:
    tokens = examples.make_tokens(examples.HOSTILE)
    size = len(tokens)
    label = tokens.labels[8]
    whole = lessons.make_losses((2.0,) * (size - 1), (1.0,) * (size - 1), label)
    return lessons.make_comparison(
        model=examples.hostile().model, tokens=tokens, head=lessons.make_head(size), whole=whole,
        notes=("\x1b[2J[red]note[/red]\u202e",),
    )  # fmt: skip


@pytest.mark.parametrize(("width", "console"), lessons.SCREENS)
@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_every_line_fits_and_is_harmless(name: str, width: int, console: str) -> None:
    comparison = hostile() if name == "hostile" else lessons.make_comparison()
    output = lessons.shown_on(comparison_page(comparison, with_caveat=True), width, console)
    assert lessons.harmless(output)
    assert ("[red]note[/red]" in output) is (name == "hostile")


def test_sections_come_in_order() -> None:
    page = comparison_page(lessons.make_comparison(notes=("A note.",)), with_caveat=True)
    output = examples.printed(page, 80)
    parts = (
        "1  Model and tokens", "2  One head, two masks", "layer 0, head 0, its own mask",
        "layer 0, head 0, without a mask", "its own mask minus the other", "outputs, its own mask",
        "What these weights do not explain", "3  What each query loses", "4  The whole model",
        "* without a mask, in every attention layer", "Notes", "A note.",
    )  # fmt: skip
    places = [output.index(part) for part in parts]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("against", "words"),
    [
        ("none", "without a mask"),
        ("multiplied", "scores times 0 and 1"),
        ("sliding:2", "with sliding:2"),
    ],
)
def test_the_other_mask_has_its_words(against: str, words: str) -> None:
    output = examples.printed(comparison_page(lessons.make_comparison(against=against)), 80)
    assert f"layer 0, head 0, {words}" in output
    assert f"outputs, {words}" in output
    assert f"* {words}, in every attention layer" in output


def test_a_head_that_is_not_verified_says_so() -> None:
    head = lessons.make_head()
    head = replace(head, own=replace(head.own, verified=False))
    output = examples.printed(comparison_page(lessons.make_comparison(head=head)), 80)
    assert "NOT VERIFIED" in output


def test_outputs_are_shown_where_they_are_few() -> None:
    output = examples.printed(comparison_page(lessons.make_comparison()), 80)
    assert " 1 cat -0.7000  0.1000  0.9000     1 cat -1.4000  0.2000  1.8000" in output
    wide = lessons.make_comparison(head=lessons.make_head(d=9))
    assert "outputs, its own mask" not in examples.printed(comparison_page(wide), 80)


@pytest.mark.parametrize("missing", ["head", "whole"])
def test_what_could_not_be_compared_is_left_out(missing: str) -> None:
    comparison = lessons.make_comparison(**{missing: None}, notes=("It could not.",))
    output = examples.printed(comparison_page(comparison, with_caveat=True), 80)
    assert ("One head, two masks" in output) is (missing != "head")
    assert ("The whole model" in output) is (missing != "whole")
    assert "It could not." in output


def test_one_token() -> None:
    tokens = examples.make_tokens(("a",))
    comparison = lessons.make_comparison(tokens=tokens, head=lessons.make_head(1), whole=None)
    output = examples.printed(comparison_page(comparison), 60)
    assert output.count("1.0000") == 2
    assert "LATER" not in output


def data_of(comparison: Comparison) -> Any:
    return json.loads(json.dumps(comparison_json(comparison), allow_nan=False))


def test_strict_json_with_its_numbers() -> None:
    data = data_of(lessons.make_comparison(notes=("A note.",)))
    assert set(data) == {"schema", "model", "tokens", "against", "head", "whole", "notes"}
    assert (data["schema"], data["against"], data["notes"]) == (1, "none", ["A note."])
    assert data["head"]["own_weights"][1] == [0.5, 0.5, 0, 0, 0]
    assert data["head"]["other_weights"][1] == pytest.approx([0.2] * 5)
    assert data["head"]["difference"][1] == pytest.approx([0.3, 0.3, -0.2, -0.2, -0.2])
    assert data["head"]["hidden"] == [4, 3, 2, 1, 0]
    assert data["head"]["lost"][0] == [False] * 3
    assert data["whole"]["own_loss"] == 2.25
    assert data["whole"]["other"][1] == {"token": 7, "label": "on", "loss": 0.2}
    assert data["whole"]["leak"]["other_move"] == 9.25


def test_what_is_no_number_is_null() -> None:
    moved = torch.tensor([nan, inf, 0, 0, 0]).double()
    whole = lessons.make_losses(
        (inf, 1.0), (nan, 1.0), leak=lessons.make_leak(own_move=nan, after=inf)
    )
    data = data_of(lessons.make_comparison(head=lessons.make_head(moved=moved), whole=whole))
    assert data["head"]["moved"][:3] == [None, None, 0]
    assert data["whole"]["own_loss"] is data["whole"]["other_loss"] is None
    assert data["whole"]["own"][0]["loss"] is None
    assert data["whole"]["leak"]["own_move"] is data["whole"]["leak"]["after"] is None


def test_missing_parts_are_null() -> None:
    data = data_of(lessons.make_comparison(head=None, whole=None))
    assert data["head"] is data["whole"] is None


def test_hostile_text_is_kept_and_escaped() -> None:
    text = json.dumps(comparison_json(hostile()), allow_nan=False)
    assert text.isascii()
    assert [token["text"] for token in json.loads(text)["tokens"]] == list(examples.HOSTILE)

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
import torch

from attnscope.records import CELL_FUTURE_SEEN, Generation, StepCost
from attnscope.render.generation import first_tokens, frame, generation_page, totals
from attnscope.render.generation_json import generation_json
from tests.render import examples, lessons

CONSOLES = list(lessons.CONSOLES)


def hostile() -> Generation:
    tokens = examples.make_tokens(examples.HOSTILE)
    size = len(tokens)
    return lessons.make_generation(
        model=examples.hostile().model, prompt=first_tokens(tokens, 15), tokens=tokens,
        steps=tuple(
            lessons.make_step(read=read, candidates=(lessons.make_candidate(tokens.labels[read]),))
            for read in range(14, size)
        ),
        masks=(examples.make_mask(examples.window_cells(size, 8)),),
        reason="[blink]\x1b[5mbecause", notes=("\x1b[2J[red]note[/red]\u202e",),
    )  # fmt: skip


def without_cache() -> Generation:
    steps = (
        lessons.make_first_step(cache=()),
        lessons.make_step(cache=(), cached=StepCost(tokens=4, products=64)),
    )
    return lessons.make_generation(steps=steps)


@pytest.mark.parametrize(("width", "console"), lessons.SCREENS)
@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_every_line_fits_and_is_harmless(name: str, width: int, console: str) -> None:
    generation = hostile() if name == "hostile" else lessons.make_generation()
    output = lessons.shown_on(generation_page(generation), width, console)
    assert lessons.harmless(output)
    assert ("[red]note[/red]" in output) is (name == "hostile")


def test_sections_come_in_order() -> None:
    output = examples.printed(generation_page(lessons.make_generation(notes=("A note.",))), 80)
    parts = (
        "1  Model and prompt", "3 tokens", "2  Token by token", "the sharpest head", "step 1",
        "step 2", "3  The mask as it grew", "4  The text, and what it cost", "→ on mat", "A note.",
    )  # fmt: skip
    places = [output.index(part) for part in parts]
    assert places == sorted(places)


def test_the_mask_is_drawn_over_the_tokens_that_were_read() -> None:
    output = examples.printed(generation_page(lessons.make_generation()), 80)
    table = output[output.index("3  The mask as it grew") : output.index("4  The text")]
    assert "layers 0–1 · row by row" in table
    assert "3 on     ■    ■    ■    ■" in table
    assert "mat" not in table


@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_what_it_cost(width: int) -> None:
    words = " ".join(examples.printed(totals(lessons.make_generation()), width).split())
    assert "with the cache 4 tokens through the model, 52 query · key products" in words
    assert "without it 7 tokens through the model, 100 query · key products" in words
    assert "The last step reads token 4" in words
    assert "64 / 16 = 4.0 times as many." in words
    assert "✓ both ways agree at every step within what rounding explains (1.0e-05)" in words


def test_without_a_cache_no_step_is_cheaper() -> None:
    words = " ".join(examples.printed(totals(without_cache()), 80).split())
    assert "A step costs as much as the whole text" in words
    assert "times as many" not in words


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("drift", [1e-3, inf, nan])
def test_steps_that_differ_are_counted(drift: float, console: str) -> None:
    steps = (lessons.make_first_step(drift=drift), lessons.make_step(drift=drift))
    output = lessons.shown_on(totals(lessons.make_generation(steps=steps)), 200, console)
    bad = "✗" if console == "unicode" else "!!"
    assert f"{bad} 2 steps differ from the whole text by more than rounding explains" in output
    assert "both ways agree" not in output


def test_one_step_differs() -> None:
    steps = (lessons.make_first_step(), lessons.make_step(drift=0.5))
    output = examples.printed(totals(lessons.make_generation(steps=steps)), 200)
    assert "✗ 1 step differs from the whole text" in output


def test_a_limit_that_is_no_number_proves_nothing() -> None:
    output = examples.printed(totals(lessons.make_generation(limit=nan)), 80)
    assert "both ways agree" not in output


def test_nothing_but_spaces_was_written() -> None:
    tokens = examples.make_tokens((*examples.SENTENCE[:3], " ", "\n"))
    output = examples.printed(totals(lessons.make_generation(tokens=tokens)), 80)
    assert output.splitlines()[:2] == ["The cat sat", '→ ""']


@pytest.mark.parametrize("console", CONSOLES)
def test_frames_grow_with_the_text(console: str) -> None:
    generation = lessons.make_generation()
    first, second = (lessons.shown_on(frame(generation, number), 60, console) for number in (1, 2))
    assert "step 1" in first
    assert "3 on" not in first
    assert "step 2" in second
    assert "3 on" in second
    assert "step 1" not in second


def test_a_frame_of_a_pooled_mask_has_its_step_alone() -> None:
    mask = examples.big().masks[0]
    output = examples.printed(frame(lessons.make_generation(masks=(mask,)), 1), 60)
    assert "step 1" in output
    assert "one cell" not in output


def test_pooled_masks_are_drawn_over_the_whole_text() -> None:
    trace = examples.big()
    generation = lessons.make_generation(tokens=trace.tokens, masks=trace.masks[:1], steps=())
    generation = replace(generation, steps=lessons.make_generation().steps)
    output = examples.printed(generation_page(generation), 80)
    assert "3968–4095" in output or "4032–4095" in output


@pytest.mark.parametrize("console", CONSOLES)
def test_a_later_token_in_the_grown_mask_is_marked(console: str) -> None:
    cells = examples.causal_cells(4)
    cells[1, 3] = CELL_FUTURE_SEEN
    generation = lessons.make_generation(masks=(examples.make_mask(cells),))
    output = lessons.shown_on(generation_page(generation), 80, console)
    row = next(line for line in output.splitlines() if line.startswith("1 cat"))
    assert "!!" in row
    assert "cat (1) sees on (3)" in output


def test_without_masks_there_is_no_section_for_them() -> None:
    output = examples.printed(generation_page(lessons.make_generation(masks=(), reason="")), 80)
    assert "The mask as it grew" not in output
    assert "the head that is shown" not in output


def data_of(generation: Generation) -> Any:
    return json.loads(json.dumps(generation_json(generation), allow_nan=False))


def test_strict_json_with_its_numbers() -> None:
    data = data_of(lessons.make_generation(notes=("A note.",)))
    assert set(data) == {
        "schema", "model", "prompt", "tokens", "steps", "masks", "limit", "untold", "notes"
    }  # fmt: skip
    assert (data["schema"], data["prompt"], data["limit"]) == (1, 3, 1e-5)
    step = data["steps"][1]
    assert step["candidates"][0] == {"token": 3, "label": "mat", "probability": 0.92}
    assert step["rows"] == [{"layers": [0], "first_key": 0, "allowed": [1, 1, 1, 1]}]
    assert step["weights"]["weights"] == [0.5, 0.3, 0.197, 0.003] or step["weights"]
    assert step["cache"][0]["unchanged"] is True
    assert data["steps"][0]["cache"][0]["unchanged"] is None
    assert step["cached"] == {"tokens": 1, "products": 16}
    assert data["masks"][0]["rows"][1] == [1, 1, 0, 0]


def test_what_is_no_number_is_null() -> None:
    weights = lessons.make_weights([nan, inf, 0.5, 0.5])
    step = lessons.make_step(
        drift=nan, weights=weights, candidates=(lessons.make_candidate("on", nan),)
    )
    data = data_of(lessons.make_generation(steps=(step,), limit=inf))
    assert data["limit"] is None
    assert data["steps"][0]["drift"] is None
    assert data["steps"][0]["weights"]["weights"][:2] == [None, None]
    assert data["steps"][0]["candidates"][0]["probability"] is None


def test_missing_parts_are_empty() -> None:
    step = lessons.make_step(weights=None, cache=(), rows=())
    data = data_of(lessons.make_generation(steps=(step,), masks=()))["steps"][0]
    assert (data["weights"], data["cache"], data["rows"]) == (None, [], [])


def test_hostile_text_is_kept_and_escaped() -> None:
    text = json.dumps(generation_json(hostile()), allow_nan=False)
    assert text.isascii()
    assert [token["text"] for token in json.loads(text)["tokens"]] == list(examples.HOSTILE)


def test_pooled_masks_are_data() -> None:
    mask = examples.make_mask(torch.tensor([[1 | 8, 8], [1, 1 | 8]], dtype=torch.uint8), pool=8)
    data = data_of(lessons.make_generation(masks=(mask,)))
    assert data["masks"][0]["pool"] == 8
    assert data["masks"][0]["rows"] == [[1, 0], [1, 1]]

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from attnscope.records import CELL_FUTURE_SEEN, DIFF_SECOND, BroadcastStep, MaskTables
from attnscope.render.broadcast import broadcast
from attnscope.render.mask_json import tables_json
from attnscope.render.mask_page import FORMS, MaskStyle, mask_page
from tests.render import examples, lessons

CONSOLES = list(lessons.CONSOLES)
STEPS = (
    BroadcastStep(
        code="mask", shape=(10, 10), strides=(10, 1), stored=100, words="one cell a pair"
    ),
    BroadcastStep(
        code=".expand(2, 4, -1, -1)", shape=(2, 4, 10, 10), strides=(0, 0, 10, 1), stored=1_000,
        words="every sequence and every head reads the same cells: nothing is copied",
    ),
)  # fmt: skip
STYLES = [MaskStyle(), MaskStyle(listed=True), *(MaskStyle(form=form) for form in FORMS.values())]


def make_tables(name: str = "textbook", **changes: object) -> MaskTables:
    trace = examples.ALL[name]()
    facts: dict[str, object] = {"model": None, "tokens": trace.tokens, "masks": trace.masks}
    return MaskTables(**{**facts, **changes})  # type: ignore[arg-type]


def compared() -> MaskTables:
    diff = lessons.make_diff([[1, 2], [4, 1]])
    return make_tables(tokens=examples.make_tokens(("a", "b")), diff=diff)


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_how_a_mask_meets_the_scores(width: int, console: str) -> None:
    output = lessons.shown_on(broadcast(STEPS), width, console)
    words = " ".join(output.split())
    arrow = "→" if console == "unicode" else "->"
    assert words.startswith(f"(10, 10) {arrow} (2, 4, 10, 10)")
    assert "mask (10, 10), steps (10, 1), 100 bytes in memory one cell a pair" in words
    assert "(2, 4, 10, 10), steps (0, 0, 10, 1), 1,000 bytes in memory every sequence" in words


@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_words_follow_their_step_without_a_gap(width: int) -> None:
    lines = examples.printed(broadcast(STEPS), width).splitlines()
    assert [place for place, line in enumerate(lines) if not line.strip()] == [1]


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("style", STYLES, ids=["map", "list", *FORMS])
@pytest.mark.parametrize("name", ["leaking", "hostile"])
def test_every_page_fits_and_is_harmless(
    name: str, style: MaskStyle, width: int, console: str
) -> None:
    notes = ("\x1b[2J[red]note[/red]\u202e",)
    thing = mask_page(make_tables(name, model=examples.ALL[name]().model, notes=notes), style)
    output = lessons.shown_on(thing, width, console)
    assert lessons.harmless(output)
    assert "[red]note[/red]" in output
    assert ("!" in output) is (name == "leaking") or console != "unicode"


@pytest.mark.parametrize(
    ("style", "words"),
    [
        (MaskStyle(), "■    ■    ·"),
        (MaskStyle(listed=True), "cat looks at [The, cat]"),
        (MaskStyle(form="binary"), "1    1    0"),
        (MaskStyle(form="additive"), "0    0 -inf"),
        (MaskStyle(form="bool"), "✓    ✓    ✗"),
    ],
)
def test_each_style_draws_the_mask_its_way(style: MaskStyle, words: str) -> None:
    output = examples.printed(mask_page(make_tables(), style), 80)
    assert words in output
    assert output.startswith("layer 0 · is_causal")


def test_a_model_stands_above_its_masks_and_notes_below() -> None:
    masks = (*examples.textbook().masks, *examples.leaking().masks)
    tables = make_tables(model=examples.make_model(), masks=masks, notes=("layers 3-5: none",))
    output = examples.printed(mask_page(tables, MaskStyle()), 80)
    parts = ("TextbookModel", "is_causal", "boolean tensor", "layers 3-5: none")
    places = [output.index(part) for part in parts]
    assert places == sorted(places)


def test_a_comparison_stands_in_the_place_of_its_masks() -> None:
    output = examples.printed(mask_page(compared(), MaskStyle()), 80)
    assert "only in A, b (1) sees a (0)" in output
    assert "is_causal" not in output


def test_a_broadcast_stands_in_the_place_of_its_mask() -> None:
    output = examples.printed(mask_page(make_tables(broadcast=STEPS), MaskStyle()), 80)
    assert output.startswith("(10, 10) → (2, 4, 10, 10)")
    assert "is_causal" not in output


def test_no_masks_are_said() -> None:
    tables = make_tables("no_attention", model=examples.no_attention().model)
    output = examples.printed(mask_page(tables, MaskStyle()), 80)
    assert "No attention was seen, so there is no mask." in output


def data_of(tables: MaskTables) -> dict[str, object]:
    data: dict[str, object] = json.loads(json.dumps(tables_json(tables), allow_nan=False))
    return data


@pytest.mark.parametrize("name", ["textbook", "leaking", "hostile", "no_attention"])
def test_strict_json_with_the_same_keys(name: str) -> None:
    data = data_of(make_tables(name, model=examples.ALL[name]().model, broadcast=STEPS))
    assert set(data) == {"schema", "model", "tokens", "masks", "diff", "broadcast", "notes"}
    assert data["schema"] == 1
    assert data["diff"] is None
    assert [step["stored"] for step in data["broadcast"]] == [100, 1000]  # type: ignore[attr-defined]


def test_a_leak_as_data() -> None:
    tables = make_tables("leaking")
    (mask,) = data_of(tables)["masks"]  # type: ignore[misc]
    assert mask["rows"][1] == [1, 1, 0, 1, 0]  # type: ignore[index]
    assert int(tables.masks[0].cells[1, 3]) == CELL_FUTURE_SEEN
    assert data_of(tables)["model"] is None


def test_a_comparison_as_data() -> None:
    cells = torch.tensor([[1 | DIFF_SECOND, 2], [4, 1]], dtype=torch.uint8)
    diff = lessons.make_diff(cells, pool=2, differing=3)
    assert data_of(replace(compared(), diff=diff))["diff"] == {
        "first": "causal", "second": "sliding:2", "pool": 2, "differing": 3,
        "only_first": [[0, 0], [1, 0]], "only_second": [[1, 0], [0, 0]],
    }  # fmt: skip

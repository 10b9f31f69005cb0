from __future__ import annotations

from math import nan

import pytest

from attnscope.render.focus_map import focus_map
from tests.render import examples


def test_letter_score_and_legend() -> None:
    focus = [
        examples.make_focus(0, 0, role="induction", role_score=0.934),
        examples.make_focus(0, 1, role="sink", role_score=1.0),
        examples.make_focus(1, 0, role="mixed", role_score=0.049),
        examples.make_focus(1, 1, role="sink", role_score=0.5),
    ]
    lines = examples.printed(focus_map(focus), 60).splitlines()
    assert lines[0].split() == ["head", "0", "1"]
    assert lines[1].split() == ["layer", "0", "I93", "S99"]
    assert lines[2].split() == ["layer", "1", "m05", "S50"]
    assert any(
        line.startswith("S sink") and " 2  weight on the first token" in line for line in lines
    )
    assert not any("not verified" in line or "later token" in line for line in lines)


def test_leaking_and_unverified_heads_are_flagged() -> None:
    focus = [
        examples.make_focus(0, 0, future_weight=0.3),
        examples.make_focus(0, 1, verified=False),
        examples.make_focus(0, 2, role_score=nan, future_weight=nan),
    ]
    output = examples.printed(focus_map(focus), 60)
    assert "B87! B87? B--?" in output
    assert "! 1 head with weight on a later token" in output
    assert "? 2 heads not verified" in output


@pytest.mark.parametrize(("width", "blocks"), [(60, 4), (80, 4), (100, 3), (120, 2), (220, 1)])
def test_many_heads_wrap_to_even_blocks(width: int, blocks: int) -> None:
    output = examples.printed(focus_map(examples.big().focus), width)
    assert examples.widest(output) <= width
    headings = [line.split()[1:] for line in output.splitlines() if line.startswith("head ")]
    assert len(headings) == blocks
    shown = [head for heading in headings for head in heading]
    assert shown == [str(head) for head in range(64)]
    assert "B!" in output
    assert "P?" in output


def test_every_layer_is_shown() -> None:
    focus = [examples.make_focus(layer, 0) for layer in range(96)]
    output = examples.printed(focus_map(focus), 60)
    assert sum(line.startswith("layer ") for line in output.splitlines()) == 96


def test_ascii_scores_are_digits() -> None:
    output = examples.printed(focus_map(examples.big().focus), 60, "ascii")
    assert "digit = score in tenths" in output


@pytest.mark.parametrize(("width", "blocks"), [(60, 2), (100, 1)])
def test_very_many_heads_are_letters_in_eights(width: int, blocks: int) -> None:
    focus = [
        examples.make_focus(
            layer, head, role="sink" if head < 8 else "broad", verified=(layer, head) != (3, 9),
            future_weight=0.1 if (layer, head) == (2, 8) else 0.0,
        )
        for layer in range(80)
        for head in range(64)
    ]  # fmt: skip
    output = examples.printed(focus_map(focus), width)
    assert examples.widest(output) <= width
    lines = [line for line in output.splitlines() if line.startswith("layer ")]
    assert len(lines) == 80 * blocks
    assert lines[0].split()[2:4] == ["SSSSSSSS", "BBBBBBBB"]
    assert lines[2].split()[3] == "!BBBBBBB"
    assert lines[3].split()[3] == "B?BBBBBB"
    headings = [line.split()[1:] for line in output.splitlines() if line.startswith("head ")]
    assert [place for heading in headings for place in heading] == [
        str(one) for one in range(0, 64, 8)
    ]
    assert sum(len(line.split()[2:]) for line in lines) == 80 * 8

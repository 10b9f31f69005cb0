from __future__ import annotations

import pytest
import torch

from attnscope.records import CELL_BLOCKED, CELL_FUTURE_SEEN
from attnscope.render.mask_list import mask_list
from tests.render import examples, lessons


def listed(cells: torch.Tensor, texts: tuple[str, ...], width: int = 80) -> list[str]:
    thing = mask_list(examples.make_mask(cells), examples.make_tokens(texts))
    return examples.printed(thing, width).splitlines()


def open_later(size: int, query: int, key: int) -> torch.Tensor:
    cells = examples.causal_cells(size)
    cells[query, key] = CELL_FUTURE_SEEN
    return cells


def test_each_query_names_the_keys_that_it_sees() -> None:
    assert listed(examples.causal_cells(3), ("The", " cat", " sat")) == [
        "layer 0 · is_causal",
        "The looks at [The]",
        "cat looks at [The, cat]",
        "sat looks at [The, cat, sat]",
    ]


@pytest.mark.parametrize("console", ["unicode", "ascii"])
@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_a_later_token_is_told_by_a_character(width: int, console: str) -> None:
    trace = examples.leaking()
    output = lessons.shown_on(mask_list(trace.masks[0], trace.tokens), width, console)
    assert "cat looks at [The, cat, on!]" in output
    assert "! a later token" in output
    assert output.count("!") == 2
    assert "the window of 4 was ignored" in output


def test_the_mark_is_painted() -> None:
    trace = examples.leaking()
    output = lessons.painted(mask_list(trace.masks[0], trace.tokens))
    assert f"on{lessons.LATER}!" in output
    assert output.count(lessons.LATER) == 2


def test_words_that_stand_twice_have_their_positions() -> None:
    lines = listed(examples.causal_cells(3), ("a", " b", " a"))
    assert lines[1:] == [
        "a(0) looks at [a(0)]",
        "b looks at [a(0), b]",
        "a(2) looks at [a(0), b, a(2)]",
    ]


def test_a_query_without_keys_says_so() -> None:
    cells = examples.causal_cells(2)
    cells[0, 0] = CELL_BLOCKED
    assert listed(cells, ("a", "b"))[1] == "a looks at nothing: every key is blocked"


def test_many_keys_are_told_as_positions() -> None:
    texts = tuple(f"w{place}" for place in range(14))
    lines = listed(examples.window_cells(14, 13), texts)
    assert lines[12] == f"w11 looks at [{', '.join(texts[:12])}]"
    assert lines[13] == "w12 looks at [13 keys, 0-12]"
    assert lines[14] == "w13 looks at [13 keys, 1-13]"


@pytest.mark.parametrize("width", [20, 30, 40, 80])
def test_later_ones_among_many_are_told(width: int) -> None:
    texts = tuple(f"w{place}" for place in range(20))
    mask = examples.make_mask(open_later(20, 14, 17))
    thing = mask_list(mask, examples.make_tokens(texts))
    words = " ".join(examples.printed(thing, width).split())
    assert "w14 looks at [16 keys, 0-14, 17, 1 of them later !]" in words
    assert lessons.painted(thing, width).count(f"{lessons.LATER}!") == 2


@pytest.mark.parametrize("text", ["stop!", "!", ",", "]", "x, now"])
def test_tokens_are_not_read_as_part_of_the_list(text: str) -> None:
    """Of a mark that stands for a later token no prompt may make one of its own."""
    line = listed(examples.causal_cells(2), (text, "now"))[2]
    assert "now looks at" in line
    assert f"[{text}, now]" not in line


def test_only_later_tokens_are_painted() -> None:
    thing = mask_list(
        examples.make_mask(open_later(3, 1, 2)), examples.make_tokens(("stop!", " now", " then"))
    )
    output = lessons.painted(thing)
    assert f"then{lessons.LATER}!" in output
    assert f"stop{lessons.LATER}!" not in output


@pytest.mark.parametrize("console", ["unicode", "ascii"])
@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_hostile_tokens_do_no_harm(width: int, console: str) -> None:
    trace = examples.hostile()
    output = lessons.shown_on(mask_list(trace.masks[0], trace.tokens), width, console)
    assert lessons.harmless(output)
    assert "[bold]" in output
    assert " ".join(output.split()).count(" looks at ") == 20


@pytest.mark.parametrize("console", ["unicode", "ascii"])
def test_pooled_masks_are_not_listed(console: str) -> None:
    trace = examples.big()
    output = lessons.shown_on(mask_list(trace.masks[1], trace.tokens), 40, console)
    assert "4,096 tokens are too many to list" in " ".join(output.split())
    assert "looks at" not in output


def test_one_token() -> None:
    assert listed(examples.causal_cells(1), ("a",))[1:] == ["a looks at [a]"]


def test_keys_beyond_the_prompt_have_no_name() -> None:
    cells = examples.causal_cells(4)[1:]
    thing = mask_list(examples.make_mask(cells), examples.make_tokens(("a", "b", "c")))
    assert examples.printed(thing, 80).splitlines()[-1] == "? looks at [a, b, c, ?]"

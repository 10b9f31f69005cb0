from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.text import Text

from attnscope.render.columns import GAP, columns


def block(*lines: str) -> list[Text]:
    return [Text(line) for line in lines]


def plain(lines: list[Text]) -> list[str]:
    return [line.plain for line in lines]


def test_blocks_of_unequal_height_and_width_keep_their_places() -> None:
    blocks = [block("a", "bbbb"), block("c"), block("d", "e", "f")]
    assert plain(columns(blocks, 60, 3)) == [
        "a" + " " * (3 + GAP) + "c" + " " * GAP + "d",
        "bbbb" + " " * (GAP + 1 + GAP) + "e",
        " " * (4 + GAP + 1 + GAP) + "f",
    ]


def test_bands_are_filled_evenly() -> None:
    bands = plain(columns([block(name) for name in "abcde"], 60, 4))
    assert [line.split() for line in bands] == [["a", "b", "c"], [], ["d", "e"]]


@pytest.mark.parametrize(("width", "beside"), [(23, 3), (22, 2), (14, 2), (13, 1), (3, 1)])
def test_as_many_stand_side_by_side_as_fit(width: int, beside: int) -> None:
    lines = columns([block("x" * 5)] * 3, width, 9)
    assert max(len(line.plain.split()) for line in lines) == beside


def test_wide_characters_do_not_push_the_next_block() -> None:
    lines = columns([block("漢字", "abcd", "a"), block("|", "|", "|")], 40, 2)
    assert {cell_len(line.plain) for line in lines} == {4 + GAP + 1}


def test_no_blocks_are_no_lines() -> None:
    assert columns([], 40, 2) == []


def test_styles_stay_on_their_words() -> None:
    lines = columns([[Text("ab", style="red")], [Text("cd", style="blue")]], 40, 2)
    spans = {(lines[0].plain[span.start : span.end], str(span.style)) for span in lines[0].spans}
    assert {("ab", "red"), ("cd", "blue")} <= spans

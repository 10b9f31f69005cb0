from __future__ import annotations

import pytest
import torch
from rich.cells import cell_len

from attnscope.records import DIFF_BOTH, DIFF_FIRST, DIFF_NEITHER, DIFF_SECOND, MaskDiff
from attnscope.render.mask_diff import mask_diff
from tests.render import examples, lessons

CONSOLES = ["unicode", "ascii"]
CELLS = [
    [DIFF_BOTH, DIFF_SECOND, DIFF_NEITHER],
    [DIFF_FIRST, DIFF_BOTH, DIFF_NEITHER],
    [DIFF_FIRST, DIFF_BOTH, DIFF_BOTH],
]
ABC = examples.make_tokens(("a", "b", "c"))


def even(size: int, **changes: object) -> MaskDiff:
    """Causal against everything: B in the upper triangle."""
    rows = torch.full((size, size), DIFF_BOTH, dtype=torch.uint8)
    rows[torch.ones(size, size).triu(1).bool()] = DIFF_SECOND
    return lessons.make_diff(rows, **changes)


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_each_cell_says_which_mask_leaves_it_open(width: int, console: str) -> None:
    output = lessons.shown_on(mask_diff(lessons.make_diff(CELLS), ABC), width, console)
    both, neither = ("■", "·") if console == "unicode" else ("#", ".")
    lines = output.splitlines()
    assert lines[:2] == ["A causal", "B sliding:2"]
    assert [line.split()[1:] for line in lines[5:8]] == [
        ["a", both, "B", neither],
        ["b", "A", both, neither],
        ["c", "A", both, both],
    ]
    for words in ("A only A leaves it open", "B only B leaves it open", f"{both} both do"):
        assert words in output
    assert f"{neither} neither does" in output


def test_the_first_differing_cell_is_named() -> None:
    output = examples.printed(mask_diff(lessons.make_diff(CELLS), ABC), 80)
    assert "3 of 9 cells differ, the first: only in B, a (0) sees b (1)" in output
    single = lessons.make_diff([[DIFF_BOTH, DIFF_NEITHER], [DIFF_FIRST, DIFF_BOTH]])
    output = examples.printed(mask_diff(single, examples.make_tokens(("a", "b"))), 80)
    assert "1 of 4 cells differs, the first: only in A, b (1) sees a (0)" in output


@pytest.mark.parametrize("console", CONSOLES)
def test_the_same_masks_say_so(console: str) -> None:
    diff = lessons.make_diff([[DIFF_BOTH, DIFF_NEITHER], [DIFF_BOTH, DIFF_BOTH]])
    output = lessons.shown_on(mask_diff(diff, examples.make_tokens(("a", "b"))), 40, console)
    good = "✓" if console == "unicode" else "ok:"
    assert output.splitlines()[-1] == f"{good} the same in all 4 cells"
    assert "only" not in output


def test_one_token() -> None:
    diff = lessons.make_diff([[DIFF_SECOND]])
    output = examples.printed(mask_diff(diff, examples.make_tokens(("a",))), 40)
    words = " ".join(output.split())
    assert "1 of 1 cell differs, the first: only in B, a (0) sees a (0)" in words


@pytest.mark.parametrize("console", ["unicode", "ascii"])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_pooled_masks_show_any_cell_that_differs(width: int, console: str) -> None:
    cells = torch.full((512, 512), DIFF_BOTH | DIFF_NEITHER, dtype=torch.uint8)
    cells[400, 3] |= DIFF_FIRST
    cells[10, 11] |= DIFF_FIRST | DIFF_SECOND
    diff = lessons.make_diff(cells, pool=8, differing=9)
    output = lessons.shown_on(mask_diff(diff, examples.big().tokens), width, console)
    rows = [line for line in output.splitlines() if "–" in line[:5] or "-" in line[:5]]
    assert [sum(sign in row for row in rows) for sign in "AXB"] == [1, 1, 0]
    assert "X some only A, some only B" in output
    assert "9 of 16,777,216 cells differ" in " ".join(output.split())
    assert "the first" not in output


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_rows_stay_aligned_with_hostile_tokens(width: int, console: str) -> None:
    size = len(examples.HOSTILE)
    tokens = examples.make_tokens(examples.HOSTILE)
    output = lessons.shown_on(mask_diff(even(size), tokens), width, console)
    start = next(place for place, row in enumerate(output.splitlines()) if row[:2] == " 0")
    rows = output.splitlines()[start : start + size]
    assert [row[:2].strip() for row in rows] == [str(place) for place in range(size)]
    assert len({cell_len(row) for row in rows}) == 1
    assert lessons.harmless(output)


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("size", [49, 130])
def test_a_range_of_queries_stands_apart_from_its_cells(size: int, width: int) -> None:
    tokens = examples.make_tokens(("a",) * size)
    lines = examples.printed(mask_diff(even(size), tokens), width).splitlines()
    rows = [line for line in lines if "–" in line]
    assert rows
    assert all(row[row.index("–") + 1 :].lstrip("0123456789").startswith(" ") for row in rows)


def test_long_words_for_the_masks_go_on_below_themselves() -> None:
    words = "causal & ~padding:left:2 | (sliding:4 & first:1) & block:0-3"
    output = examples.printed(mask_diff(lessons.make_diff(CELLS, first=words), ABC), 40)
    lines = output.splitlines()
    assert lines[0].startswith("A causal & ~padding")
    assert lines[1].startswith("  ")
    assert " ".join(output.split()).startswith(f"A {words} B sliding:2")

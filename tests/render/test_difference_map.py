from __future__ import annotations

from math import inf, nan

import pytest
import torch
from rich.cells import cell_len
from rich.console import RenderableType

from attnscope.render.difference_map import difference_map
from tests.render import examples, lessons

CONSOLES = ["unicode", "ascii"]
WORDS = "more weight with the model's own mask"


def drawn(difference: torch.Tensor, texts: tuple[str, ...] = ("a", "b")) -> RenderableType:
    return difference_map(difference.double(), 1, examples.make_tokens(texts), "own minus other")


def rows_of(output: str, size: int = 2) -> list[list[str]]:
    lines = [line.split() for line in output.splitlines()]
    return [line[2:] for line in lines if line[:1] and line[0].isdigit() and len(line) == size + 2]


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", [40, 60, 200])
def test_signed_differences_with_four_decimals(width: int, console: str) -> None:
    difference = torch.tensor([[0.25, -0.25], [0.0, 1.0]])
    output = lessons.shown_on(drawn(difference), width, console)
    zero = "·" if console == "unicode" else "."
    assert output.splitlines()[0] == "own minus other"
    assert output.splitlines()[2].split() == ["a", "b"]
    assert rows_of(output) == [["+.2500", "-.2500"], [zero, "+1.0000"]]
    assert f"+ {WORDS}" in output
    assert "- less" in output
    assert f"{zero} the same" in output


@pytest.mark.parametrize("value", [1e-7, -1e-7])
def test_small_is_not_the_same(value: float) -> None:
    output = examples.printed(drawn(torch.full((2, 2), value)), 60)
    assert all(cell != "·" for row in rows_of(output) for cell in row)


@pytest.mark.parametrize("width", [20, 60])
@pytest.mark.parametrize("value", [nan, inf])
def test_what_is_no_number_is_not_told_as_the_same(value: float, width: int) -> None:
    """A head whose weights are no numbers differs, or cannot be compared."""
    output = examples.printed(drawn(torch.full((2, 2), value)), width)
    rows = [line for line in output.splitlines() if line.startswith(("0 a", "1 b"))]
    assert len(rows) == 2
    assert not any("·" in row for row in rows)


def test_percentages_where_decimals_do_not_fit() -> None:
    difference = torch.tensor([[0.25, -0.125, 0.0], [0.004, 0.999, 0], [0, 0, -1]])
    output = examples.printed(drawn(difference, ("a", "b", "c")), 20)
    assert rows_of(output, 3) == [["+25", "-12", "·"], [":", "+99", "·"], ["·", "·", "-99"]]
    assert ": under half a percent in percent" in " ".join(output.split())


def test_half_a_percent_is_not_nothing() -> None:
    output = examples.printed(drawn(torch.full((2, 2), 0.005, dtype=torch.float64)), 16)
    assert rows_of(output)
    assert all("0" not in cell for row in rows_of(output) for cell in row)


@pytest.mark.parametrize("console", CONSOLES)
def test_signs_where_no_number_fits(console: str) -> None:
    difference = torch.zeros(30, 30)
    difference[3, 1], difference[4, 2] = 0.5, -0.5
    tokens = lessons.many_tokens(30)
    thing = difference_map(difference.double(), 1, tokens, "own minus other")
    output = lessons.shown_on(thing, 80, console)
    rows = [line for line in output.splitlines() if line[3:7] == "word"]
    assert [rows[3].count("+"), rows[4].count("-")] == [1, 1]
    assert sum(row.count("+") + row.count("-") for row in rows) == 2
    assert "in percent" not in output


@pytest.mark.parametrize("size", [49, 50, 97, 130])
def test_rows_that_stand_for_fewer_queries_count_less(size: int) -> None:
    """As in the heatmap above it: a mean over the queries that there are."""
    difference = torch.zeros(size, size)
    difference[:, 0] = 0.5
    thing = difference_map(difference.double(), 1, lessons.many_tokens(size), "own minus other")
    output = examples.printed(thing, 260)
    rows = [line.split() for line in output.splitlines() if "–" in line]
    assert rows
    assert {next(cell for cell in row if cell.startswith("+")) for row in rows} == {"+50"}


@pytest.mark.parametrize("console", ["unicode", "ascii"])
@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_large_ones_are_pooled(width: int, console: str) -> None:
    difference = torch.zeros(512, 512)
    difference[100:200, 3] = 0.9
    thing = difference_map(difference.double(), 8, examples.big().tokens, "own minus other")
    output = lessons.shown_on(thing, width, console)
    rows = [line for line in output.splitlines() if line[4:5] in {"–", "-"}]
    assert 16 <= len(rows) <= 48
    assert any("+" in row for row in rows)
    assert not any("-" in row[9:] for row in rows)


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_rows_stay_aligned_with_hostile_tokens(width: int, console: str) -> None:
    size = len(examples.HOSTILE)
    difference = torch.linspace(-1, 1, size * size).reshape(size, size)
    output = lessons.shown_on(drawn(difference, examples.HOSTILE), width, console)
    rows = output.splitlines()[2:22] if width > 40 else output.splitlines()[2:12]
    assert rows[0].split()[0] in {"0", "0–1", "0-1"}
    assert len({cell_len(row) for row in rows}) == 1
    assert lessons.harmless(output)


def test_one_token() -> None:
    output = examples.printed(drawn(torch.zeros(1, 1), ("a",)), 40)
    assert rows_of(output, 1) == [["·"]]

"""Several heads' heatmaps together."""

from __future__ import annotations

import pytest
import torch
from rich.cells import cell_len

from attnscope.records import HeadView
from attnscope.render.heatmap import heatmaps
from tests.render import examples, lessons

CONSOLES = ["unicode", "ascii"]
TOKENS = examples.textbook().tokens


def causal(layer: int, size: int = 5, **changes: object) -> HeadView:
    weights = torch.ones(size, size).tril()
    weights /= weights.sum(dim=1, keepdim=True)
    return examples.make_view(weights, layer=layer, **changes)


def leaking(layer: int, head: int = 0) -> HeadView:
    weights = torch.eye(5)
    weights[1] = torch.tensor([0.5, 0.1, 0, 0.4, 0])
    return examples.make_view(weights, layer=layer, head=head)


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_each_head_is_drawn_under_its_name(width: int, console: str) -> None:
    views = (causal(0), causal(1), causal(2))
    output = lessons.shown_on(heatmaps(views, TOKENS), width, console)
    for layer in range(3):
        assert output.count(f"layer {layer}, head 0") == 1
    number = ".3333" if width >= 60 else "33"
    assert output.count(number) >= 9
    assert output.count("0 The") == 3


@pytest.mark.parametrize(("width", "beside"), [(60, 1), (80, 1), (110, 2), (200, 3)])
def test_they_stand_side_by_side_where_no_detail_is_lost(width: int, beside: int) -> None:
    views = tuple(causal(layer) for layer in range(3))
    lines = examples.printed(heatmaps(views, TOKENS), width).splitlines()
    rows = [line for line in lines if line.startswith("1 cat")]
    assert max(line.count("1 cat") for line in rows) == beside
    assert sum(line.count(".5000  .5000") for line in rows) == 3


@pytest.mark.parametrize("width", [110, 120])
def test_rows_of_one_query_stand_beside_each_other(width: int) -> None:
    """Also where one head has more words above it than the other."""
    views = (causal(0, reason="short"), causal(1, reason="the head that looks " * 4))
    rows = examples.printed(heatmaps(views, TOKENS), width).splitlines()
    assert [line.count("1 cat") for line in rows if "1 cat" in line] == [2]


def test_titles_stand_in_the_place_of_layers() -> None:
    titles = ("its own mask", "without [bold] \x1b[31m a mask")
    output = examples.printed(heatmaps((causal(0), causal(0)), TOKENS, titles), 200)
    assert "its own mask" in output
    assert "without [bold] \\x1b[31m a mask" in output
    assert "layer 0" not in output
    assert lessons.harmless(output)


@pytest.mark.parametrize("width", [60, 110, 200])
def test_a_leak_is_told_with_the_head_that_has_it(width: int) -> None:
    told = told_leak((causal(0), leaking(3, 7)), (), width)
    assert "cat (1) → on (3), 0.4" in told
    assert "layer 3, head 7" in told
    assert "layer 0" not in told


def test_a_leak_is_told_with_the_title_that_has_it() -> None:
    """With `attnscope compare` the model's own mask must not be taken for the one that leaks."""
    told = told_leak((causal(0), leaking(0)), ("its own mask", "without a mask"), 200)
    assert "without a mask" in told
    assert "its own mask" not in told


def told_leak(views: tuple[HeadView, ...], titles: tuple[str, ...], width: int) -> str:
    """All that follows the maps and their scale."""
    output = examples.printed(heatmaps(views, TOKENS, titles), width)
    words = " ".join(output[output.index("row = query") :].split())
    assert words.count("WEIGHT ON A LATER TOKEN") == 1
    return words


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", [40, 110, 200])
def test_later_weights_are_marked_only_where_they_are(width: int, console: str) -> None:
    output = lessons.shown_on(heatmaps((causal(0), leaking(1)), TOKENS), width, console)
    rows = [line for line in output.splitlines() if "1 cat" in line and "LATER" not in line]
    marked = [line for line in rows if "!" in line]
    assert len(marked) == 1
    assert marked[0].count("!") == 1
    assert "!" not in marked[0][: marked[0].rindex("1 cat")]


def test_one_scale_for_all() -> None:
    output = examples.printed(heatmaps((causal(0), causal(1)), TOKENS), 200)
    assert output.count("exactly 0") == 1
    assert output.count("row = query, column = key") == 1


@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_large_ones_are_pooled_alike(width: int) -> None:
    view = examples.big().views[0]
    output = lessons.shown_on(heatmaps((view, view), examples.big().tokens), width, "unicode")
    rows = [line for line in output.splitlines() if line[4:5] == "–"]
    assert len({row[: cell_len(row) // 2].strip() for row in rows}) <= 48 * 2
    assert output.count("one cell") == 1


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_hostile_tokens_do_no_harm(width: int, console: str) -> None:
    view, tokens = examples.hostile().views[0], examples.hostile().tokens
    output = lessons.shown_on(heatmaps((view, view), tokens), width, console)
    assert lessons.harmless(output)


def test_one_token() -> None:
    views = (causal(0, 1), causal(1, 1))
    output = examples.printed(heatmaps(views, examples.make_tokens(("a",))), 80)
    assert output.count("1.0000") == 2

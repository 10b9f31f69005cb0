from __future__ import annotations

import pytest
import torch

from attnscope.render.heatmap import heatmap, heatmaps
from attnscope.render.windows import duration, met, reading
from tests.render import examples


@pytest.mark.parametrize("pool", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("origin", [(0, 0), (4, 0), (3, 9)])
def test_cells_met_where_any_two_of_their_tokens_did(pool: int, origin: tuple[int, int]) -> None:
    windows = ((0, 4), (4, 9), (9, 10), (10, 17))
    window = [index for index, (first, stop) in enumerate(windows) for _ in range(first, stop)]
    shape = (-(-(17 - origin[0]) // pool), -(-(17 - origin[1]) // pool))
    expected = torch.tensor([
        [
            any(
                window[query] == window[key]
                for query in range(17)
                for key in range(17)
                if ((query - origin[0]) // pool, (key - origin[1]) // pool) == (row, column)
            )
            for column in range(shape[1])
        ]
        for row in range(shape[0])
    ])  # fmt: skip
    assert met(windows, shape, pool, origin).tolist() == expected.tolist()


def test_without_windows_everything_met() -> None:
    assert bool(met((), (3, 4), 2, (0, 0)).all())


def test_words() -> None:
    assert reading(1, ((0, 1),), 0.0) == "1 token"
    assert reading(1200, ((0, 512), (512, 1200)), 61.0) == (
        "1,200 tokens, read in 2 windows of 688, in 1 min 1 s"
    )
    assert [duration(one) for one in (0.04, 9.96, 59.4, 59.6, 7300.0)] == [
        "0.0 s", "10 s", "59 s", "1 min 0 s", "2 h 1 min",
    ]  # fmt: skip


def test_a_part_starts_at_its_origin() -> None:
    tokens = examples.make_tokens(tuple(f"w{index}" for index in range(100)))
    weights = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    view = examples.make_view(weights, origin=(41, 40), future=weights > 1)
    lines = examples.printed(heatmap(view, tokens), 80).splitlines()
    assert lines[2].split() == ["40", "41"]
    assert lines[3].split() == ["w40", "w41"]
    assert lines[4].split() == ["41", "w41", ".2500", ".7500"]
    assert lines[5].split() == ["42", "w42", ".5000", ".5000"]


def test_a_leak_in_a_part_is_named_by_its_own_tokens() -> None:
    tokens = examples.make_tokens(tuple(f"w{index}" for index in range(100)))
    weights = torch.tensor([[0.6, 0.4], [0.5, 0.5]])
    future = torch.tensor([[False, True], [False, False]])
    view = examples.make_view(weights, origin=(40, 40), future=future)
    assert "w40 (40) → w41 (41), 0.4" in examples.printed(heatmap(view, tokens), 80)


def test_cells_that_no_window_holds_stay_blank() -> None:
    tokens = examples.make_tokens(("a", "b", "c", "d"))
    weights = torch.tensor([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0.5, 0.5]])
    view = examples.make_view(weights)
    lines = examples.printed(heatmaps((view,), tokens, windows=((0, 2), (2, 4))), 80).splitlines()
    assert [line.split()[2:] for line in lines[4:8]] == [
        ["1.0000", "·"], [".5000", ".5000"], ["1.0000", "·"], [".5000", ".5000"],
    ]  # fmt: skip
    assert lines[6].index("1.0000") > lines[4].index("1.0000") + 12
    assert "blank: never read at once" in " ".join(lines)
    whole = examples.printed(heatmaps((view,), tokens, windows=((0, 4),)), 80)
    assert "blank" not in whole
    assert whole == examples.printed(heatmap(view, tokens), 80)
    part = examples.make_view(weights[:2, :2])
    assert "blank" not in examples.printed(heatmaps((part,), tokens, windows=((0, 2), (2, 4))), 80)


def test_weight_where_none_can_be_is_not_hidden() -> None:
    tokens = examples.make_tokens(("a", "b"))
    view = examples.make_view(torch.tensor([[1.0, 0.25], [0.5, 0.5]]))
    output = examples.printed(heatmaps((view,), tokens, windows=((0, 1), (1, 2))), 80)
    assert ".5000" in output
    assert "WEIGHT ON A LATER TOKEN" in output


def test_a_wide_part_keeps_its_rows_apart() -> None:
    tokens = examples.make_tokens(tuple("x" * 100))
    view = examples.make_view(
        torch.full((10, 100), 0.01), origin=(90, 0), future=torch.zeros(10, 100) > 0
    )
    output = examples.printed(heatmap(view, tokens), 160)
    assert "one cell" not in output
    assert sum(line.startswith("9") for line in output.splitlines()) == 10

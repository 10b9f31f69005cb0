from __future__ import annotations

import pytest
import torch
from rich.cells import cell_len

from attnscope.records import CELL_BLOCKED, CELL_FUTURE_BLOCKED, CELL_FUTURE_SEEN, CELL_SEEN
from attnscope.render.mask_table import layer_ranges, mask_table, pooled
from tests.render import examples


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((0,), "layer 0"),
        ((0, 1, 2, 3, 5), "layers 0–3, 5"),
        ((5, 1, 3), "layers 1, 3, 5"),
        ((2, 3), "layers 2–3"),
    ],
)
def test_layers_are_ranges(layers: tuple[int, ...], words: str) -> None:
    assert layer_ranges(layers) == words


def test_a_causal_mask_is_a_triangle() -> None:
    trace = examples.textbook()
    lines = examples.printed(mask_table(trace.masks[0], trace.tokens), 60).splitlines()
    assert lines[2].split() == ["The", "cat", "sat", "on", "mat"]
    assert [line.count("■") for line in lines[3:8]] == [1, 2, 3, 4, 5]
    assert [line.count("·") for line in lines[3:8]] == [4, 3, 2, 1, 0]
    assert "no later token is open (10 cells" in lines[-1]


def test_blocked_past_differs_from_blocked_future() -> None:
    mask = examples.make_mask(examples.window_cells(5, 2))
    output = examples.printed(mask_table(mask, examples.textbook().tokens), 60)
    assert "□ blocked" in output
    assert "· later, blocked" in output
    last = output.splitlines()[7]
    assert (last.count("□"), last.count("■"), last.count("·")) == (3, 2, 0)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_leak_is_loud_and_located(encoding: str) -> None:
    trace = examples.leaking()
    output = examples.printed(mask_table(trace.masks[0], trace.tokens), 60, encoding)
    assert "!!" in output.splitlines()[4]
    assert "LATER TOKEN SEEN" in output
    assert "1 of 10 cells above the diagonal is open" in output
    assert "cat (1) sees on" in output
    assert "the window of 4 was ignored" in output


@pytest.mark.parametrize("width", [60, 80, 200])
def test_one_leaking_cell_of_many_stays_loud(width: int) -> None:
    trace = examples.big()
    output = examples.printed(mask_table(trace.masks[1], trace.tokens), width)
    rows = [line for line in output.splitlines() if "–" in line[:10]]
    assert len(rows) <= 48
    assert sum("!" in row for row in rows) == 1
    assert "tokens" in output
    assert "one cell = " in output


@pytest.mark.parametrize("factor", [1, 3, 7, 13, 512])
def test_pooling_is_a_bitwise_or(factor: int) -> None:
    cells = examples.causal_cells(50)
    cells[3, 40] |= CELL_FUTURE_SEEN
    cells[30, 2] = CELL_BLOCKED
    small = pooled(cells, factor)
    for row in range(small.shape[0]):
        for column in range(small.shape[1]):
            block = cells[
                row * factor : (row + 1) * factor, column * factor : (column + 1) * factor
            ]
            expected = 0
            for bits in block.flatten().tolist():
                expected |= bits
            assert int(small[row, column]) == expected


def test_rows_stay_aligned_with_hostile_tokens() -> None:
    trace = examples.hostile()
    output = examples.printed(mask_table(trace.masks[0], trace.tokens), 100)
    rows = output.splitlines()[2:22]
    diagonal = [cell_len(row[: row.rindex("■")]) for row in rows]
    assert diagonal == list(range(diagonal[0], diagonal[0] + 60, 3))


def test_mixed_cells_have_their_own_glyph() -> None:
    cells = torch.tensor(
        [
            [CELL_SEEN | CELL_FUTURE_BLOCKED, CELL_FUTURE_BLOCKED],
            [CELL_SEEN | CELL_BLOCKED, CELL_BLOCKED | CELL_FUTURE_BLOCKED],
        ],
        dtype=torch.uint8,
    )
    mask = examples.make_mask(cells, pool=4)
    output = examples.printed(mask_table(mask, examples.make_tokens(("a",) * 8)), 60)
    assert "0–3  ◣ ·" in output
    assert "4–7  ▒ □" in output
    assert "▒ partly seen" in output
    assert "one cell = 4 × 4 tokens" in output


def test_with_a_cache_the_last_query_meets_the_last_key() -> None:
    cells = torch.full((2, 5), CELL_SEEN, dtype=torch.uint8)
    cells[0, 4] = CELL_FUTURE_BLOCKED
    output = examples.printed(
        mask_table(examples.make_mask(cells), examples.textbook().tokens), 60
    ).splitlines()
    assert output[3].startswith("3 on")
    assert output[4].startswith("4 mat")


def test_keys_beyond_the_prompt_have_no_label() -> None:
    cells = torch.full((3, 5), CELL_SEEN, dtype=torch.uint8)
    cells[0, 4] = CELL_FUTURE_SEEN
    output = examples.printed(
        mask_table(examples.make_mask(cells), examples.make_tokens(("a", "b", "c"))), 60
    )
    assert "c (2) sees ? (4)" in output

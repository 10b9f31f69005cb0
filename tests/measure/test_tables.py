"""Masks from words over words or positions, how two differ, how one is broadcast."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope.errors import SelectionError
from attnscope.expressions import parse
from attnscope.measure import pooling, tables
from attnscope.records import CELL_FUTURE_SEEN, CELL_SEEN, DIFF_FIRST, DIFF_SECOND


def seen(text: str, tokens: int) -> torch.Tensor:
    (drawn,) = tables.tables([parse(text)], tables.positions(tokens)).masks
    return (drawn.cells & (CELL_SEEN | CELL_FUTURE_SEEN)) > 0


@pytest.mark.parametrize("text", ["causal", "sliding:3", "prefix:2 & padding:left:1", "~causal"])
def test_a_table_shows_the_masks_own_cells(text: str) -> None:
    assert torch.equal(seen(text, 7), parse(text).mask(7).rows(0, 7, 7)[0, 0])


def test_blind_queries_are_told() -> None:
    (drawn,) = tables.tables([parse("causal & padding:left:2")], tables.positions(5)).masks
    assert drawn.notes == ("2 of 5 queries see no key at all",)
    assert drawn.layers == ()
    assert drawn.form == "causal & padding:left:2"


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 9))
def test_a_diff_is_the_exclusive_or(tokens: int, window: int, prefix: int) -> None:
    one, other = parse(f"sliding:{window}"), parse(f"prefix:{prefix}")
    diff = tables.tables([one, other], tables.positions(tokens)).diff
    assert diff is not None
    first, second = (each.mask(tokens).rows(0, tokens, tokens)[0, 0] for each in (one, other))
    assert diff.differing == int((first ^ second).sum())
    assert torch.equal((diff.cells & DIFF_FIRST) > 0, first & ~second)
    assert torch.equal((diff.cells & DIFF_SECOND) > 0, second & ~first)


def test_one_differing_cell_survives_pooling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooling, "EXACT_UP_TO", 16)
    monkeypatch.setattr(pooling, "CELLS", 8)
    one, other = parse("causal"), parse("causal | row:3 & ~sliding:38")
    diff = tables.tables([one, other], tables.positions(40)).diff
    assert diff is not None
    assert diff.pool == 5
    exact = (other.mask(40).rows(0, 40, 40) != one.mask(40).rows(0, 40, 40)).sum()
    assert diff.differing == int(exact) > 0
    assert bool((diff.cells & DIFF_SECOND).any())


@pytest.mark.parametrize(
    ("texts", "count", "words"),
    [
        (["causal"], 5, True),
        (["sliding:3"], 5, True),
        (["sliding:7"], 9, False),
        (["packed:3,4,2"], 9, False),
        (["packed:2,1"], 3, False),
        (["causal", "prefix:6"], 8, False),
        (["sliding:1000000"], tables.LONGEST, False),
    ],
)
def test_what_a_mask_is_drawn_over_by_itself(texts: list[str], count: int, words: bool) -> None:
    tokens = tables.fitting([parse(text) for text in texts])
    assert len(tokens) == count
    assert (tokens.texts == tables.SENTENCE) == words


def test_the_broadcast_is_torchs() -> None:
    """The exercise: length 10, batch 4, 8 heads."""
    result = tables.tables([parse("causal")], tables.positions(10), (4, 8))
    mask, lifted, expanded, scores = result.broadcast
    assert [step.shape for step in result.broadcast] == [
        (10, 10), (1, 1, 10, 10), (4, 8, 10, 10), (4, 8, 10, 10),
    ]  # fmt: skip
    assert expanded.strides == (0, 0, 10, 1)
    assert mask.stored == lifted.stored == expanded.stored == 100
    assert scores.stored == 4 * 8 * 10 * 10 * 4
    assert scores.strides == torch.zeros(4, 8, 10, 10).stride()


def test_a_layers_mask_is_one_of_the_two() -> None:
    (drawn,) = tables.tables([parse("sliding:2")], tables.positions(6)).masks
    given = tables.MaskTables(
        model=None, tokens=tables.positions(6), masks=(drawn.__class__(
            layers=(0, 3), form="boolean tensor", cells=drawn.cells, pool=1, notes=(),
        ),),
    )  # fmt: skip
    same = tables.held_against(given, ["layer:3", "sliding:2"]).diff
    assert same is not None
    assert same.differing == 0
    with pytest.raises(SelectionError, match="the layers with attention are 0, 3"):
        tables.held_against(given, ["layer:1", "causal"])


def test_pooled_masks_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "EXACT_UP_TO", 4)
    given = tables.MaskTables(model=None, tokens=tables.positions(6), masks=())
    with pytest.raises(SelectionError, match="at most 4"):
        tables.held_against(given, ["causal", "causal"])

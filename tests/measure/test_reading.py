"""One call against what is declared: each kind of wrong mask, written by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from attnscope.declared import Declared
from attnscope.masks import Mask, causal, chunked, dense, documents, everything, padding, sliding
from attnscope.measure.reading import UNWITNESSED, Span, read_call
from attnscope.records.evidence import CallReading, Cells
from tests.calls import make_call, random_call

TOKENS, HEADS = 12, 4
CAUSAL, WINDOW = Declared(), Declared(kind="sliding", size=4)


def span(tokens: int = TOKENS, **changes: Any) -> Span:
    fields: dict[str, Any] = {
        "row": 0, "start": 0, "tokens": tokens, "length": tokens, "beside": "",
    }  # fmt: skip
    return Span(**{**fields, **changes})


def read(mask: Mask, declared: Declared = CAUSAL, **changes: Any) -> CallReading:
    call = random_call(heads=HEADS, tokens=TOKENS, mask=mask, mask_form="by hand", **changes)
    return read_call(call, span(), declared)


def told(cells: Cells | None) -> tuple[int, int, int, int, str]:
    assert cells is not None
    return cells.count, cells.head, cells.query, cells.key, cells.pattern


def wrong(found: CallReading) -> set[str]:
    kinds = ("ahead", "beyond", "padding", "documents", "missing", "nan_row", "blind_row")
    return {kind for kind in kinds if getattr(found, kind) is not None}


@pytest.mark.parametrize(
    ("mask", "declared"),
    [
        (causal(), CAUSAL),
        (causal() & sliding(4), WINDOW),
        (causal() & chunked(5), Declared(kind="chunked", size=5)),
        (everything(), Declared(kind="bidirectional")),
        (causal() | dense(torch.arange(TOKENS) < 3), Declared(kind="prefix", size=3)),
    ],
)
def test_a_mask_as_declared_is_clean(mask: Mask, declared: Declared) -> None:
    found = read(mask, declared)
    assert wrong(found) == set()
    assert found.verified
    assert found.problem == ""
    assert (found.future_weight, found.future_at) == (0.0, None)
    assert found.rounding < 1
    assert (found.place.module, found.place.layer) == ("model.layers.0.self_attn", 0)


def test_a_dropped_mask_is_told_with_the_largest_weight_it_gives() -> None:
    found = read(everything())
    assert wrong(found) == {"ahead"}
    later = TOKENS * (TOKENS - 1) // 2
    assert told(found.ahead) == (later, 0, 0, 1, "the causal mask is missing")
    assert found.verified
    assert found.future_at is not None
    head, query, key = found.future_at
    assert key > query
    scores = random_call(heads=HEADS, tokens=TOKENS)
    assert scores.query is not None
    assert scores.key is not None
    product = scores.query[0] @ scores.key[0].repeat_interleave(2, 0).transpose(-1, -2)
    weights = torch.softmax(product * scores.scale, -1).triu(1)
    assert found.future_weight == pytest.approx(float(weights.max()))
    assert weights[head, query, key] == weights.max()


def test_off_by_one_ahead() -> None:
    found = read(causal(1))
    assert told(found.ahead) == (
        TOKENS - 1, 0, 0, 1, "off by one: each query sees the next token"
    )  # fmt: skip


def test_inverted() -> None:
    found = read(~causal())
    assert found.ahead is not None
    assert found.ahead.pattern == "inverted"
    assert found.missing is not None
    assert found.missing.count == TOKENS * (TOKENS + 1) // 2
    assert found.blind_row == (0, TOKENS - 1)


def test_a_single_open_cell_of_one_head() -> None:
    allowed = torch.ones(1, HEADS, TOKENS, TOKENS).tril().bool()
    allowed[0, 2, 3, 7] = True
    found = read(dense(allowed))
    assert told(found.ahead) == (1, 2, 3, 7, "a single cell")
    assert found.future_at == (2, 3, 7)
    assert wrong(found) == {"ahead"}


def test_a_missing_window() -> None:
    found = read(causal(), WINDOW)
    cells = sum(range(1, TOKENS - 4 + 1))
    assert told(found.beyond) == (cells, 0, 4, 0, "the sliding window of 4 is missing")
    assert wrong(found) == {"beyond"}


@pytest.mark.parametrize(
    ("size", "kind", "count", "words"),
    [(5, "beyond", 8, "one token too wide"), (3, "missing", 9, "one token too narrow")],
)
def test_a_window_one_off(size: int, kind: str, count: int, words: str) -> None:
    found = read(causal() & sliding(size), WINDOW)
    cells = getattr(found, kind)
    assert cells.count == count
    assert words in cells.pattern
    assert wrong(found) == {kind}


def test_another_distance_is_no_off_by_one() -> None:
    hole = Mask(predicate=lambda batch, head, query, key: query - key != 2)
    found = read(causal() & hole)
    assert found.missing is not None
    assert (found.missing.count, found.missing.pattern) == (TOKENS - 2, "")


def test_what_a_layer_may_pick_from_is_not_missing() -> None:
    assert wrong(read(causal() & sliding(3), Declared(exact=False))) == set()


PADS = 3


def beside(kind: str, mask: Mask, *, left: bool = True, **changes: Any) -> CallReading:
    length = TOKENS + PADS
    call = random_call(heads=HEADS, tokens=length, mask=mask, **changes)
    where = span(start=PADS if left else 0, length=length, beside=kind)
    return read_call(call, where, CAUSAL)


def real(*, left: bool = True) -> Tensor:
    ones = torch.ones(1, TOKENS + PADS, dtype=torch.bool)
    ones[0, :PADS] = not left
    ones[0, TOKENS:] = ones[0, TOKENS:] & left
    return ones


def test_closed_pads_are_clean_and_rows_of_pads_are_left_out() -> None:
    found = beside("pads", causal() & padding(real()))
    assert wrong(found) == set()
    assert found.verified


def test_open_pads_before_the_tokens() -> None:
    found = beside("pads", causal())
    assert wrong(found) == {"padding"}
    assert told(found.padding)[:4] == (TOKENS * PADS, 0, 0, 0)


def test_pads_after_the_tokens_are_closed_by_causality() -> None:
    assert wrong(beside("pads", causal(), left=False)) == set()
    found = beside("pads", everything() & padding(real(left=False)), left=False)
    assert wrong(found) == {"ahead"}


def test_positions_are_counted_without_pads() -> None:
    allowed = torch.ones(TOKENS + PADS, TOKENS + PADS).tril().bool()
    allowed[PADS + 2, PADS + 6] = True
    found = beside("pads", dense(allowed) & padding(real()))
    assert told(found.ahead)[:4] == (1, 0, 2, 6)
    assert found.future_at is not None
    assert found.future_at[1:] == (2, 6)


def test_open_documents() -> None:
    number = torch.tensor([[0] * PADS + [1] * TOKENS])
    assert wrong(beside("documents", causal() & documents(number))) == set()
    found = beside("documents", causal())
    assert wrong(found) == {"documents"}
    assert told(found.documents)[0] == TOKENS * PADS


def test_a_blind_row_is_found_and_spreads_no_weight_on_the_future() -> None:
    allowed = torch.ones(TOKENS, TOKENS).tril().bool()
    allowed[3] = False
    found = read(dense(allowed))
    assert found.blind_row == (0, 3)
    assert found.future_at is None


def test_a_nan_row_is_found_and_is_not_verified() -> None:
    clean = random_call(heads=HEADS, tokens=TOKENS)
    output = clean.output.clone()
    output[0, 2, 5, 0] = float("nan")
    found = read_call(random_call(heads=HEADS, tokens=TOKENS, output=output), span(), CAUSAL)
    assert found.nan_row == (2, 5)
    assert not found.verified


def test_an_output_of_something_else_is_not_verified() -> None:
    clean = random_call(heads=HEADS, tokens=TOKENS)
    other = clean.output.clone()
    other[0, 1, 4] += 1e-3
    found = read_call(random_call(heads=HEADS, tokens=TOKENS, output=other), span(), CAUSAL)
    assert not found.verified
    assert found.rounding > 1
    assert found.problem == ""


def test_a_mask_that_was_only_offered_counts_where_it_explains_the_output() -> None:
    clean = random_call(heads=HEADS, tokens=TOKENS)
    offered: dict[str, Any] = {"heads": HEADS, "tokens": TOKENS, "witnessed": False}
    assert read_call(random_call(**offered), span(), CAUSAL).problem == ""
    found = read_call(random_call(**offered, output=clean.output + 1e-3), span(), CAUSAL)
    assert found.problem == UNWITNESSED


def test_penalties_that_a_score_beats_show_as_weight_behind_a_closed_mask() -> None:
    bias = torch.zeros(1, 1, TOKENS, TOKENS, dtype=torch.float64)
    bias = bias.masked_fill(~torch.ones(TOKENS, TOKENS).tril().bool(), -1e4)
    query = torch.ones(1, HEADS, TOKENS, 8, dtype=torch.float64)
    key = torch.ones(1, 2, TOKENS, 8, dtype=torch.float64)
    key[0, :, 5:] = 5000.0  # beats the penalty
    value = torch.randn(1, 2, TOKENS, 8, generator=torch.Generator().manual_seed(0)).double()
    found = read_call(make_call(query, key, value, bias=(bias,)), span(), CAUSAL)
    assert found.ahead is None
    assert found.future_weight > 0.1
    assert found.future_at is not None
    assert found.future_at[2] >= 5


def second_row(mask: Mask) -> CallReading:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(2, heads, TOKENS, 8, dtype=torch.float64, generator=generator)
        for heads in (HEADS, 2, 2)
    )
    rows = [make_call(query[r : r + 1], key[r : r + 1], value[r : r + 1]).output for r in (0, 1)]
    call = make_call(query, key, value, mask=mask, output=torch.cat(rows))
    return read_call(call, span(row=1), CAUSAL)


def test_the_second_row_of_a_batch_is_read_as_itself() -> None:
    clean = second_row(causal())
    assert clean.verified
    assert wrong(clean) == set()


def test_a_mask_that_differs_from_row_to_row() -> None:
    allowed = torch.ones(2, 1, TOKENS, TOKENS).tril().bool()
    allowed[1, 0, 0, 5] = True
    query, key, value = (
        torch.randn(2, heads, TOKENS, 8, generator=torch.Generator().manual_seed(heads)).double()
        for heads in (HEADS, 2, 2)
    )
    call = make_call(query, key, value, mask=dense(allowed), output=query)
    first = read_call(call, span(), CAUSAL)
    second = read_call(call, span(row=1), CAUSAL)
    assert first.ahead is None
    assert told(second.ahead) == (1, 0, 0, 5, "a single cell")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"length": TOKENS + 1}, f"{TOKENS} queries over {TOKENS} keys"),
        ({"row": 1}, "a call over 1 rows"),
    ],
)
def test_calls_of_another_shape_cannot_be_read(changes: dict[str, Any], words: str) -> None:
    found = read_call(random_call(heads=HEADS, tokens=TOKENS), span(**changes), CAUSAL)
    assert words in found.problem
    assert not found.verified


def test_what_was_not_understood_cannot_be_read() -> None:
    call = random_call(heads=HEADS, tokens=TOKENS, unexplained="steps are not understood")
    assert read_call(call, span(), CAUSAL).problem == "steps are not understood"


def sums(weights: Tensor | None, **changes: Any) -> CallReading:
    call = random_call(heads=HEADS, tokens=TOKENS, weights=weights, **changes)
    return read_call(call, span(), CAUSAL)


def test_row_sums_are_those_of_the_kernels_own_weights() -> None:
    even = torch.ones(1, HEADS, TOKENS, TOKENS, dtype=torch.float64).tril()
    even = even / even.sum(-1, keepdim=True)
    assert sums(even).sum_gap == pytest.approx(0.0, abs=1e-12)
    even[0, 1, 4] *= 0.75
    assert sums(even).sum_gap == pytest.approx(0.25)
    assert sums(None).sum_gap is None


def test_a_mask_multiplied_after_the_softmax_is_recognised() -> None:
    call = random_call(heads=HEADS, tokens=TOKENS)
    assert call.query is not None
    assert call.key is not None
    scores = call.query @ call.key.repeat_interleave(2, 1).transpose(-1, -2) * call.scale
    found = sums(torch.softmax(scores, -1).tril())
    assert found.multiplied
    assert found.sum_gap is not None
    assert found.sum_gap > 0.5

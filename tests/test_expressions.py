"""Masks in words are the masks of torch, transformers and FlexAttention, on any size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask
from transformers import masking_utils

from attnscope.errors import SelectionError
from attnscope.expressions import parse
from attnscope.masks import blocks, everything

SIZES = st.integers(1, 40)
FEW = st.integers(1, 12)


def cells(text: str, tokens: int) -> Tensor:
    return parse(text).mask(tokens).rows(0, tokens, tokens)[0, 0]


def theirs(function: Callable[..., Any], tokens: int) -> Tensor:
    """What transformers hands to sdpa for one of its mask functions."""
    mask = masking_utils.sdpa_mask(
        1, tokens, tokens, mask_function=function, allow_is_causal_skip=False
    )
    assert mask is not None
    return mask[0, 0]


def no_pads() -> Tensor:
    return torch.zeros(1, dtype=torch.long)


@given(SIZES)
def test_causal(tokens: int) -> None:
    assert torch.equal(cells("causal", tokens), theirs(masking_utils.causal_mask_function, tokens))
    added = parse("causal").mask(tokens).additive(tokens, tokens)[0, 0]
    assert torch.equal(added, torch.nn.Transformer.generate_square_subsequent_mask(tokens))


@given(SIZES)
def test_bidirectional(tokens: int) -> None:
    expected = theirs(masking_utils.bidirectional_mask_function, tokens)
    assert torch.equal(cells("bidirectional", tokens), expected)


@given(SIZES, SIZES)
def test_sliding(tokens: int, window: int) -> None:
    expected = theirs(masking_utils.sliding_window_causal_mask_function(window), tokens)
    assert torch.equal(cells(f"sliding:{window}", tokens), expected)
    assert torch.equal(cells(f"causal & sliding:{window}", tokens), expected)


@given(SIZES, SIZES)
def test_chunked(tokens: int, size: int) -> None:
    expected = theirs(masking_utils.chunked_causal_mask_function(size, no_pads()), tokens)
    assert torch.equal(cells(f"chunked:{size}", tokens), expected)


@given(SIZES, SIZES)
def test_prefix(tokens: int, length: int) -> None:
    def prefix(batch: Any, head: Any, query: Any, key: Any) -> Any:
        return key < length

    function = masking_utils.or_masks(masking_utils.causal_mask_function, prefix)
    assert torch.equal(cells(f"prefix:{length}", tokens), theirs(function, tokens))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_packed(lengths: list[int]) -> None:
    number = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))[None]
    function = masking_utils.and_masks(
        masking_utils.causal_mask_function, masking_utils.packed_sequence_mask_function(number)
    )
    text = f"packed:{','.join(map(str, lengths))}"
    assert torch.equal(cells(text, sum(lengths)), theirs(function, sum(lengths)))


@given(SIZES, st.integers(0, 40), st.booleans())
def test_padding(tokens: int, pads: int, left: bool) -> None:
    pads = min(pads, tokens)
    real = torch.ones(1, tokens, dtype=torch.bool)
    real[:, slice(0, pads) if left else slice(tokens - pads, tokens)] = False
    function = masking_utils.and_masks(
        masking_utils.causal_mask_function, masking_utils.padding_mask_function(real)
    )
    text = f"causal & padding:{'left' if left else 'right'}:{pads}"
    assert torch.equal(cells(text, tokens), theirs(function, tokens))


@given(SIZES, st.data())
def test_an_image_block(tokens: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, tokens - 1))
    last = data.draw(st.integers(first, tokens - 1))
    group = torch.full((1, tokens), -1)
    group[:, first : last + 1] = 0
    function = masking_utils.or_masks(
        masking_utils.causal_mask_function, masking_utils.blockwise_overlay(group)
    )
    assert torch.equal(cells(f"block:{first}-{last}", tokens), theirs(function, tokens))


@given(SIZES, st.data())
def test_one_row_bidirectional(tokens: int, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, tokens - 1))
    expected = torch.ones(tokens, tokens).tril().bool()
    expected[row] = True
    assert torch.equal(cells(f"row:{row}", tokens), expected)


@given(SIZES, FEW, FEW)
def test_sinks_and_a_window(tokens: int, sinks: int, window: int) -> None:
    query, key = torch.arange(tokens)[:, None], torch.arange(tokens)
    expected = ((key < sinks) | (key > query - window)) & (key <= query)
    assert torch.equal(cells(f"sliding:{window} | first:{sinks}", tokens), expected)


TEXTS = (
    "causal", "sliding:3 | first:1", "chunked:4 & padding:left:2", "~causal", "row:1,3",
    "(prefix:2 | block:3-5) & padding:right:1", "packed:3,4,2", "bidirectional & ~padding:left:1",
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_the_predicate_is_flex_attentions_and_transformers_own(text: str) -> None:
    mask = parse(text).mask(9)
    expected = mask.rows(0, 9, 9)
    block_mask = create_block_mask(mask.predicate, 1, None, 9, 9, device="cpu")
    assert torch.equal(blocks(block_mask).rows(0, 9, 9), expected)
    joined = masking_utils.and_masks(mask.predicate, masking_utils.bidirectional_mask_function)
    given = masking_utils.sdpa_mask(
        1, 9, 9, mask_function=joined, allow_is_causal_skip=False, use_vmap=True
    )
    assert torch.equal(given, expected)
    added = masking_utils.eager_mask(1, 9, 9, mask_function=joined, use_vmap=True)
    assert torch.equal(added == 0, mask.additive(9, 9) == 0)


NAMES = ("causal", "sliding:3", "chunked:4", "prefix:2", "padding:left:1", "bidirectional")
SIGNS = st.sampled_from("&|")
TERMS = st.lists(st.tuples(SIGNS, st.booleans(), st.sampled_from(NAMES)), max_size=4)


@settings(max_examples=40)
@given(st.sampled_from(NAMES), TERMS)
def test_combinations(text: str, terms: list[tuple[str, bool, str]]) -> None:
    mask = parse(text).mask(8)
    for sign, negated, name in terms:
        one = parse(name).mask(8)
        one = ~one if negated else one
        mask = mask & one if sign == "&" else mask | one
        text = f"({text}) {sign} {'~' * negated}{name}"
    assert torch.equal(cells(text, 8), mask.rows(0, 8, 8)[0, 0])


def test_and_binds_closer_than_or() -> None:
    loose, tight = cells("causal | prefix:2 & sliding:1", 6), cells("causal", 6)
    assert torch.equal(loose, tight)
    assert torch.equal(cells("~causal & causal | causal", 6), tight)
    assert torch.equal(cells(" CAUSAL&sliding:2 ", 6), cells("sliding:2", 6))


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("", "at its end", "a kind of mask is missing"),
        ("   ", "at its end", "a kind of mask is missing"),
        ("causal &", "at its end", "a kind of mask is missing"),
        ("| causal", "at '|' (character 1)", "a kind of mask is missing"),
        ("causal sliding:3", "at 'sliding:3' (character 8)", "& or | is missing before it"),
        ("(causal", "at '(' (character 1)", "not closed"),
        ("causal)", "at ')' (character 7)", "& or | is missing"),
        ("causal & slidng:3", "at 'slidng:3' (character 10)", "did you mean sliding?"),
        ("causal & nonsense", "at 'nonsense' (character 10)", "no kind of mask is called so"),
        ("sliding", "at 'sliding'", "it is written sliding:W"),
        ("sliding:0", "at 'sliding:0'", "it is written sliding:W"),
        ("sliding:-3", "at 'sliding:-3'", "it is written sliding:W"),
        ("sliding:3.5", "at 'sliding:3.5'", "it is written sliding:W"),
        ("causal:3", "at 'causal:3'", "it is written causal"),
        ("padding:2", "at 'padding:2'", "padding:left:N or padding:right:N"),
        ("sliding:99999999999", "at 'sliding:99999999999'", "numbers go up to"),
        ("layer:1", "at 'layer:1'", "give --model"),
    ],
)
def test_what_is_not_understood_is_pointed_at(text: str, place: str, problem: str) -> None:
    with pytest.raises(SelectionError) as error:
        parse(text)
    assert place in error.value.message
    assert problem in error.value.message
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("row:5", "there is no position 5, they are 0 to 4"),
        ("row:1,7", "there is no position 7"),
        ("block:2-9", "there is no position 9"),
        ("block:3-1", "it ends before it begins"),
        ("packed:3,4", "hold 7 tokens, and there are 5"),
        ("causal & padding:left:6", "there are 5 tokens"),
    ],
)
def test_what_does_not_fit_the_tokens_is_pointed_at(text: str, problem: str) -> None:
    expression = parse(text)
    with pytest.raises(SelectionError, match="is not understood at") as error:
        expression.mask(5)
    assert problem in error.value.message


def test_long_and_deep_expressions_are_refused() -> None:
    with pytest.raises(SelectionError, match="too long"):
        parse("causal & " * 40 + "causal")
    assert torch.equal(cells("(" * 90 + "causal" + ")" * 90, 3), cells("causal", 3))
    assert torch.equal(cells("~" * 180 + "causal", 3), cells("causal", 3))


def test_how_many_tokens_show_what_it_does() -> None:
    assert parse("packed:3,4,2").documents == 9
    assert parse("causal & sliding:3").needs == 5
    assert parse("causal").documents == 0


def test_everything_and_nothing_as_numbers_to_add() -> None:
    assert not everything().additive(3, 3).any()
    assert torch.equal(
        (~everything()).additive(2, 2, torch.bfloat16)[0, 0],
        torch.full((2, 2), -torch.inf, dtype=torch.bfloat16),
    )

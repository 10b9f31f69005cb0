"""Masks say for each query and key what torch and FlexAttention say."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from attnscope import masks

SIZES = st.integers(1, 40)


def cells(mask: masks.Mask, queries: int, keys: int | None = None) -> torch.Tensor:
    return mask.rows(0, queries, keys or queries)[0, 0]


@given(SIZES)
def test_causal_is_torchs_lower_triangle(tokens: int) -> None:
    assert torch.equal(cells(masks.causal(), tokens), torch.ones(tokens, tokens).tril().bool())


@given(SIZES, SIZES)
def test_causal_with_offset_aligns_the_last_query_with_the_last_key(
    queries: int, more: int
) -> None:
    keys = queries + more
    expected = torch.ones(queries, keys).tril(keys - queries).bool()
    assert torch.equal(cells(masks.causal(keys - queries), queries, keys), expected)


@given(SIZES, st.integers(1, 50))
def test_a_window_counts_its_own_position(tokens: int, window: int) -> None:
    mask = cells(masks.causal() & masks.sliding(window), tokens)
    seen = mask.sum(dim=-1)
    assert torch.equal(seen, torch.arange(1, tokens + 1).clamp(max=window))
    assert mask.diagonal().all()


def test_algebra() -> None:
    everything, causal = masks.everything(), masks.causal()
    assert torch.equal(cells(~causal, 5), ~cells(causal, 5))
    assert torch.equal(cells(causal | ~causal, 5), cells(everything, 5))
    assert not cells(causal & ~causal, 5).any()


def test_padding_tells_batch_rows_apart() -> None:
    mask = masks.causal() & masks.padding(torch.tensor([[False, True, True], [True, True, True]]))
    rows = mask.rows(0, 3, 3)
    assert rows.shape == (2, 1, 3, 3)
    assert rows[0, 0].int().tolist() == [[0, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert rows[1, 0].int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_additive_masks_of_every_style_close_cells() -> None:
    low = torch.tensor([[0.0, -3.0, -1e4, -1e9, torch.finfo(torch.float32).min, -torch.inf]])
    assert masks.additive(low).rows(0, 1, 6)[0, 0].tolist() == [[True, True] + [False] * 4]
    half = torch.tensor([[0.0, torch.finfo(torch.float16).min]], dtype=torch.float16)
    assert masks.additive(half).rows(0, 1, 2)[0, 0].tolist() == [[True, False]]


def test_rows_are_a_block_of_the_whole() -> None:
    allowed = torch.rand(2, 3, 7, 9, generator=torch.Generator().manual_seed(0)) > 0.5
    assert torch.equal(masks.dense(allowed).rows(2, 5, 9), allowed[:, :, 2:5])


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 300), st.integers(1, 200))
def test_block_mask_is_read_cell_by_cell(tokens: int, window: int) -> None:
    block_mask = create_block_mask(
        lambda b, h, q, k: (k <= q) & (k > q - window), 1, None, tokens, tokens, device="cpu"
    )
    expected = cells(masks.causal() & masks.sliding(window), tokens)
    assert torch.equal(cells(masks.blocks(block_mask), tokens), expected)


def test_a_full_block_is_seen_whatever_the_predicate_says() -> None:
    """The kernel does not ask the predicate inside full blocks, so neither may we."""
    one = torch.ones(1, 1, 1, dtype=torch.int32)
    stale = BlockMask.from_kv_blocks(
        torch.zeros(1, 1, 1, dtype=torch.int32), torch.zeros(1, 1, 1, 1, dtype=torch.int32),
        one, torch.zeros(1, 1, 1, 1, dtype=torch.int32),
        BLOCK_SIZE=128, mask_mod=lambda b, h, q, k: k <= q, seq_lengths=(4, 4),
    )  # fmt: skip
    assert cells(masks.blocks(stale), 4).all()


@given(SIZES, SIZES)
def test_chunks_are_blocks_on_the_diagonal(tokens: int, size: int) -> None:
    sizes = [min(size, tokens - start) for start in range(0, tokens, size)]
    expected = torch.block_diag(*(torch.ones(one, one) for one in sizes)).bool()
    assert torch.equal(cells(masks.chunked(size), tokens), expected)


@given(SIZES, SIZES, SIZES)
def test_chunks_with_offset_are_the_later_rows(tokens: int, size: int, offset: int) -> None:
    whole = cells(masks.chunked(size), tokens + offset)
    assert torch.equal(cells(masks.chunked(size, offset), tokens, tokens + offset), whole[offset:])


@given(SIZES, st.integers(0, 50))
def test_a_prefix_is_seen_by_all(tokens: int, length: int) -> None:
    mask = cells(masks.prefix(length), tokens)
    assert mask.sum() == tokens * min(length, tokens)
    assert mask[:, :length].all()


def test_documents_see_themselves_only_in_each_row_of_the_batch() -> None:
    numbers = torch.tensor([[0, 0, 1, 1], [5, 3, 3, 3]])
    rows = masks.documents(numbers).rows(0, 4, 4)
    assert rows.shape == (2, 1, 4, 4)
    assert rows[0, 0].int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert rows[1, 0].int().tolist() == [[1, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]]


def test_documents_of_one_row_serve_every_row() -> None:
    packed = masks.causal() & masks.documents(torch.tensor([[0, 0, 1]]))
    assert packed.rows(0, 3, 3)[0, 0].int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    both = packed & masks.padding(torch.ones(2, 3, dtype=torch.bool))
    assert torch.equal(both.rows(0, 3, 3)[1], packed.rows(0, 3, 3)[0])

"""Masks as predicates on indices: which key a query may see.

A predicate has the signature of transformers' and FlexAttention's mask functions,
`(batch, head, query, key) -> bool`, on index tensors that broadcast against each other.
Dense tensors are derived from predicates, a block of rows at a time, so that a mask over N
tokens never has to exist as N x N cells. `Mask.predicate` itself is what FlexAttention's
`create_block_mask` and transformers' `and_masks` and `or_masks` take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Predicate = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

Spans = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From query positions to the first key that each may see, and to the one past the last. Ends may
lie outside of the keys; an end at or before the first is a query that sees nothing."""

PENALTY = -9e3
"""An additive term at or below this closes a cell. Today's masks add the dtype's minimum or -inf,
older ones -1e4 or -1e9. A closed cell keeps its finite term in the recomputation, so a score that
beats it still shows up as weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """Which key each query may see, as a predicate on (batch, head, query, key)."""

    predicate: Predicate
    """True where the query may see the key."""
    batches: int = 1
    """Number of batch rows the predicate tells apart; 1 when all rows share one mask."""
    heads: int = 1
    """Number of heads the predicate tells apart; 1 when all heads share one mask."""
    spans: Spans | None = None
    """The same as one stretch of keys a query, where that is known; long inputs are read by it."""
    cells: Bool[Tensor, "batch head query key"] | None = None
    """The tensor that the predicate looks up, if it does; sizes of 1 stand for all."""

    def rows(
        self, start: int, stop: int, keys: int, device: torch.device | str = "cpu"
    ) -> Bool[Tensor, "batch head query key"]:
        """The queries start..stop-1 against the keys 0..keys-1, as booleans.

        Shape (batches, heads, stop - start, keys).
        """
        if self.cells is not None and self.cells.shape[-1] == keys:
            whole = self.cells if self.cells.shape[2] == 1 else self.cells[:, :, start:stop]
            return whole.to(device).expand(self.batches, self.heads, stop - start, keys)
        batch = torch.arange(self.batches, device=device)[:, None, None, None]
        head = torch.arange(self.heads, device=device)[None, :, None, None]
        query = torch.arange(start, stop, device=device)[None, None, :, None]
        key = torch.arange(keys, device=device)[None, None, None, :]
        allowed = self.predicate(batch, head, query, key)
        return allowed.expand(self.batches, self.heads, stop - start, keys)

    def additive(
        self, queries: int, keys: int, dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "batch head query key"]:
        """What is added to the scores: 0 where the query may see the key, -inf elsewhere."""
        closed = ~self.rows(0, queries, keys)
        return torch.zeros(closed.shape, dtype=dtype).masked_fill(closed, -torch.inf)

    def __and__(self, other: Mask) -> Mask:
        both = self._join(other, torch.logical_and)
        if self.spans is None or other.spans is None:
            return both
        return replace(both, spans=_overlap(self.spans, other.spans))

    def __or__(self, other: Mask) -> Mask:
        return self._join(other, torch.logical_or)

    def __invert__(self) -> Mask:
        return Mask(
            predicate=lambda batch, head, query, key: ~self.predicate(batch, head, query, key),
            batches=self.batches,
            heads=self.heads,
        )

    def _join(self, other: Mask, operation: Callable[[Tensor, Tensor], Tensor]) -> Mask:
        # FlexAttention counts a predicate's arguments, so they are spelled out
        return Mask(
            predicate=lambda batch, head, query, key: operation(
                self.predicate(batch, head, query, key), other.predicate(batch, head, query, key)
            ),
            batches=max(self.batches, other.batches),
            heads=max(self.heads, other.heads),
        )


def everything() -> Mask:
    """Every query sees every key."""
    return Mask(
        predicate=lambda batch, head, query, key: (query >= 0) & (key >= 0),
        spans=lambda query: (torch.zeros_like(query), torch.full_like(query, _ENDLESS)),
    )


def causal(offset: int = 0) -> Mask:
    """Each query sees the keys at or before its own position.

    `offset` is the position of query 0 among the keys: 0 aligns the diagonal with the top left
    (torch's `is_causal`), keys - queries with the bottom right (flash kernels).
    """
    return Mask(
        predicate=lambda batch, head, query, key: key <= query + offset,
        spans=lambda query: (torch.zeros_like(query), query + offset + 1),
    )


def sliding(window: int, offset: int = 0) -> Mask:
    """Each query sees its own position and the window - 1 keys before it; no limit ahead."""
    return Mask(
        predicate=lambda batch, head, query, key: key > query + offset - window,
        spans=lambda query: (query + offset - window + 1, torch.full_like(query, _ENDLESS)),
    )


def chunked(size: int, offset: int = 0) -> Mask:
    """Each query sees the keys of its own chunk of `size` positions, before and after it."""

    def own(query: Tensor) -> tuple[Tensor, Tensor]:
        first = (query + offset) // size * size
        return first, first + size

    return Mask(
        predicate=lambda batch, head, query, key: key // size == (query + offset) // size,
        spans=own,
    )


def prefix(length: int) -> Mask:
    """Every query sees the first `length` keys (a prefix-LM's prompt)."""
    return Mask(predicate=lambda batch, head, query, key: (key < length) & (query >= 0))


def documents(number: Int[Tensor, "batch key"]) -> Mask:
    """Each query sees the keys of its own document; `number` tells documents apart."""

    def same(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        row, numbers = _clamp(batch, number.shape[0]), number.to(query.device)
        return numbers[row, query] == numbers[row, key]

    return Mask(predicate=same, batches=number.shape[0])


def packed(lengths: Sequence[int]) -> Mask:
    """Each query sees the keys of its own document; the documents stand in a row."""
    sizes = torch.tensor(lengths)
    return documents(torch.arange(len(sizes)).repeat_interleave(sizes)[None])


def queries(positions: Sequence[int]) -> Mask:
    """The queries at these positions see every key; no other sees any."""
    chosen = torch.tensor(positions)

    def listed(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query[..., None] == chosen.to(query.device)).any(-1) & (key >= 0)

    return Mask(predicate=listed)


def block(first: int, last: int) -> Mask:
    """The positions first..last see each other, before and after (an image's tokens)."""
    return Mask(
        predicate=lambda batch, head, query, key: (
            (query >= first) & (query <= last) & (key >= first) & (key <= last)
        )
    )


def padding(real: Bool[Tensor, "batch key"]) -> Mask:
    """The keys that are real tokens in their batch row."""
    return Mask(
        predicate=lambda batch, head, query, key: real.to(key.device)[
            _clamp(batch, real.shape[0]), key
        ],
        batches=real.shape[0],
    )


def dense(allowed: Tensor) -> Mask:
    """A boolean tensor of shape (batch|1, head|1, query|1, key), True where visible.

    Leading dimensions may be missing, as torch's kernels allow.
    """
    cells = allowed[(None,) * (4 - allowed.ndim)] if allowed.ndim < 4 else allowed

    def look_up(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        index = zip((batch, head, query, key), cells.shape, strict=True)
        return cells[tuple(_clamp(axis, size) for axis, size in index)]

    return Mask(predicate=look_up, batches=cells.shape[0], heads=cells.shape[1], cells=cells.bool())


def additive(bias: Tensor) -> Mask:
    """The cells that an additive float mask leaves open; see `PENALTY`.

    Shape as for `dense`.
    """
    return dense(bias > PENALTY)


def blocks(block_mask: Any) -> Mask:
    """A FlexAttention BlockMask as its kernel reads it: full blocks, and in partial blocks the
    cells that its predicate allows. (`to_dense()` has one cell a block and hides the difference.)
    """
    shape = (block_mask.shape[0], block_mask.shape[1])
    rows_per_block, keys_per_block = block_mask.BLOCK_SIZE
    key_blocks = -(-block_mask.shape[-1] // keys_per_block)
    partial = _block_table(block_mask.kv_num_blocks, block_mask.kv_indices, key_blocks)
    full = torch.zeros_like(partial)
    if block_mask.full_kv_num_blocks is not None:
        full = _block_table(block_mask.full_kv_num_blocks, block_mask.full_kv_indices, key_blocks)

    def look_up(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        table = (
            _clamp(batch, partial.shape[0]),
            _clamp(head, partial.shape[1]),
            query // rows_per_block,
            key // keys_per_block,
        )
        inside = _vectorised(block_mask.mask_mod, batch, head, query, key)
        return full[table] | (partial[table] & inside)

    return Mask(predicate=look_up, batches=shape[0], heads=shape[1])


_ENDLESS = 2**40


def _overlap(one: Spans, other: Spans) -> Spans:
    def both(query: Tensor) -> tuple[Tensor, Tensor]:
        (first, past), (other_first, other_past) = one(query), other(query)
        return torch.maximum(first, other_first), torch.minimum(past, other_past)

    return both


def _clamp(index: Tensor, size: int) -> Tensor:
    return index if size > 1 else torch.zeros_like(index)


def _block_table(counts: Tensor, indices: Tensor, key_blocks: int) -> Tensor:
    """FlexAttention's per-row lists of key blocks, as a boolean table over all key blocks."""
    listed = torch.arange(indices.shape[-1], device=indices.device) < counts[..., None]
    table = torch.zeros(*indices.shape[:-1], key_blocks, dtype=torch.int32, device=indices.device)
    return table.scatter_add_(-1, indices.long(), listed.int()) > 0


def _vectorised(mask_mod: Predicate, *index: Tensor) -> Tensor:
    """Evaluate a FlexAttention predicate, which is written for scalars, on whole index ranges."""
    mapped: Any = mask_mod
    for axis in (3, 2, 1, 0):
        mapped = torch.vmap(mapped, in_dims=tuple(0 if axis == i else None for i in range(4)))
    allowed: Tensor = mapped(*(axis.reshape(-1) for axis in index))
    return allowed

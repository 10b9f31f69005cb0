"""All statistics of one call in memory that grows with its tokens, by torch's own operations.

A block of rows at a time, over the key columns that its mask can let through: one matrix product,
one fused softmax, and every statistic from these two before the next block takes their place.
`measure.attention` and `measure.statistics` are the specification; this is their fast form.
"""

from __future__ import annotations

import torch
from torch import Tensor

from attnscope.masks import PENALTY
from attnscope.measure.openness import CLOSED
from attnscope.measure.row_block import Block
from attnscope.measure.row_parts import NEAR, Problem, RowSums
from attnscope.measure.workspace import Workspace

_BLOCK_BYTES = 8 * 2**20
"""Size of one block of scores; two live at a time. Larger ones leave the cache and are slower."""
_ROWS = 128
"""Rows of a block where there is room: fewer cost more calls, more compute more closed cells."""


def row_sums(problem: Problem, workspace: Workspace | None = None) -> RowSums:
    """The sums of every row, on the device of the call; float32, float64 for a float64 call."""
    workspace = workspace or Workspace(problem.occurrences.ids)
    sums = _blank(problem)
    kv_heads, keys = problem.key.shape[:2]
    most = _BLOCK_BYTES // sums.lse.element_size()
    rows = max(1, min(_ROWS, most // (problem.group * keys)))
    step = min(kv_heads, max(1, most // (problem.group * keys * rows)))
    room = workspace.scratch.two(step * problem.group * rows * keys, sums.lse)
    parts = [_Part(problem, sums, slice(at, at + step)) for at in range(0, kv_heads, step)]
    for block in workspace.blocks(problem, rows):
        for part in parts:
            part.add(block, room)
    return sums


def _blank(problem: Problem) -> RowSums:
    heads, rows = problem.query.shape[:2]
    dtype = torch.promote_types(problem.query.dtype, torch.float32)
    zeros = torch.zeros(heads, rows, dtype=dtype, device=problem.query.device)
    return RowSums(
        lse=torch.full_like(zeros, -torch.inf),
        score=zeros.clone(),
        distance=zeros.clone(),
        first=zeros.clone(),
        near=zeros.new_zeros(NEAR, heads, rows),
        duplicate=zeros.clone(),
        induction=zeros.clone(),
        future=zeros.clone(),
        probes=zeros.new_zeros(problem.probes.shape[0], heads, rows),
        received=zeros.new_zeros(heads, problem.key.shape[1]),
    )


class _Part:
    """Some key/value heads, and the query heads that share them."""

    def __init__(self, problem: Problem, sums: RowSums, shared: slice) -> None:
        self._problem = problem
        self._sums = sums
        self._heads = slice(shared.start * problem.group, shared.stop * problem.group)
        # one copy is cheaper than reading rows far apart, as models keep them, in every block
        self._key = problem.key[shared].to(sums.lse.dtype).contiguous().mT
        probes = problem.probes[:, shared].transpose(0, 1).to(sums.lse.dtype)
        self._vectors = torch.cat([torch.zeros_like(probes[:, :1]), probes], dim=1)

    def add(self, block: Block, scratch: tuple[Tensor, ...]) -> None:
        """Count a block of rows."""
        scores = self._scores(block, scratch[0])
        weights = scratch[1][: scores.numel()].view(scores.shape)
        torch.softmax(scores, dim=-1, out=weights)
        # the largest weight is 1 over the denominator
        lse = scores.amax(dim=-1) - weights.amax(dim=-1).log()
        if block.blind is not None:
            blind = block.blind[self._heads] if len(block.blind) > 1 else block.blind
            weights.masked_fill_(blind[..., None], 0.0)
            lse.masked_fill_(blind, -torch.inf)
        self._rows(self._sums.lse, block).copy_(lse)
        self._places(block, weights)
        block.duplicate.weigh(weights, self._rows(self._sums.duplicate, block))
        block.induction.weigh(weights, self._rows(self._sums.induction, block))
        if block.ahead:
            self._future(block, weights)
        self._products(block, weights, lse)
        # last, because it takes the place of the scores
        torch.sum(scores.mul_(weights), dim=-1, out=self._rows(self._sums.score, block))

    def _rows(self, table: Tensor, block: Block) -> Tensor:
        return table[..., self._heads, block.start : block.stop]

    def _scores(self, block: Block, scratch: Tensor) -> Tensor:
        """Shape (head, row, key), what goes into the softmax; heads are never repeated."""
        problem, key = self._problem, self._key[..., block.first : block.past]
        query = problem.query[self._heads, block.start : block.stop].to(key.dtype) * problem.scale
        grouped = query.reshape(key.shape[0], -1, query.shape[-1])
        flat = scratch[: grouped.shape[0] * grouped.shape[1] * block.columns]
        torch.bmm(grouped, key, out=flat.view(*grouped.shape[:2], block.columns))
        scores = flat.view(*query.shape[:2], block.columns)
        if problem.softcap is not None:
            scores.div_(problem.softcap).tanh_().mul_(problem.softcap)
        return self._masked(scores, block)

    def _masked(self, scores: Tensor, block: Block) -> Tensor:
        terms = [self._term(each, block) for each in self._problem.bias]
        for term in terms:
            scores.add_(term).clamp_(min=CLOSED)
        for low, high, cells in block.closed:
            closed = cells[self._heads] if cells.shape[0] > 1 else cells
            if self._problem.open.everywhere:  # these have their finite penalty, and may beat it
                for term in terms:
                    closed = closed & (term[..., low:high] > PENALTY)
            scores[..., low:high].masked_fill_(closed, CLOSED)
        return scores

    def _term(self, bias: Tensor, block: Block) -> Tensor:
        of_heads = bias[self._heads] if bias.shape[0] > 1 else bias
        of_rows = of_heads[:, block.start : block.stop] if bias.shape[1] > 1 else of_heads
        return of_rows[..., block.first : block.past]

    def _places(self, block: Block, weights: Tensor) -> None:
        """Weights on the nearest keys and on the first."""
        own = block.start + self._problem.offset - block.first  # the first row's own column
        if own >= NEAR - 1 and own + block.stop - block.start <= block.columns:
            size = (len(weights), block.stop - block.start, NEAR)
            strides = (weights.stride(0), block.columns + 1, 1)
            band = weights.as_strided(size, strides, weights.storage_offset() + own - NEAR + 1)
            self._rows(self._sums.near, block).copy_(band.permute(2, 0, 1).flip(0))
        else:
            self._diagonals(block, weights, own)
        if block.first == 0:
            self._rows(self._sums.first, block).copy_(weights[..., 0])

    def _diagonals(self, block: Block, weights: Tensor, own: int) -> None:
        """The nearest keys one by one, where rows have fewer than that many before them."""
        for back in range(NEAR):
            found = weights.diagonal(own - back, dim1=-2, dim2=-1)
            begin = block.start + max(0, back - own)
            self._sums.near[back, self._heads, begin : begin + found.shape[-1]] = found

    def _future(self, block: Block, weights: Tensor) -> None:
        begin = max(block.start + self._problem.offset + 1, block.first)
        if begin >= block.past:
            return
        key = torch.arange(begin, block.past, device=weights.device)
        row = torch.arange(block.start, block.stop, device=key.device) + self._problem.offset
        later = weights[..., begin - block.first :].masked_fill(key <= row[:, None], 0.0)
        self._rows(self._sums.future, block).copy_(later.amax(dim=-1))

    def _products(self, block: Block, weights: Tensor, lse: Tensor) -> None:
        """Every statistic that is a product of the weights with a vector, from one product."""
        # counted from the block's end, so that small distances keep their digits
        end = block.stop - 1 + self._problem.offset
        vectors = self._vectors[..., block.first : block.past]
        vectors[:, 0] = end - torch.arange(block.first, block.past, device=lse.device)
        grouped = weights.view(vectors.shape[0], -1, block.columns)
        # this way round it is three times as fast as weights @ vectors
        found = (vectors @ grouped.mT).transpose(0, 1).reshape(-1, *lse.shape)
        behind = torch.arange(block.stop - block.start - 1, -1, -1, device=lse.device)
        self._rows(self._sums.distance, block).copy_(found[0] - behind * lse.isfinite())
        self._rows(self._sums.probes, block).copy_(found[1:])
        if self._problem.sinks is None:
            total = weights.sum(dim=1)
        else:
            share = torch.sigmoid(lse - self._problem.sinks[self._heads, None].to(lse.dtype))
            total = (share[:, None] @ weights)[:, 0]
        self._sums.received[self._heads, block.first : block.past] += total

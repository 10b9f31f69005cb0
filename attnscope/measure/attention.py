"""The reference: attention in float64, a block of query rows at a time.

    weights = softmax(softcap · tanh(scale · query · key / softcap) + bias), closed cells left out
    output  = weights · value

after Vaswani et al. 2017 (arXiv:1706.03762, equation 1), with grouped key/value heads (Ainslie et
al. 2023, arXiv:2305.13245), the logit cap of Gemma 2 (arXiv:2408.00118) and sinks as one more
logit a head (Miller 2023, "Attention is off by one"; gpt-oss). It is the specification: whatever
is faster is compared with it, and it proves itself against the kernel's own output.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attnscope.masks import PENALTY
from attnscope.records import AttentionCall, ScoreMod

OUT_OF_REACH = -1e30
"""Additive terms below this, -inf and the minimum of wide dtypes, are beaten by no score."""

_BLOCK_BYTES = 32 * 2**20
"""Size of one float64 (head, row, key) block; a handful live at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Query rows start..stop-1 of one call (first batch row), all heads, keys 0..columns-1.

    Keys from `columns` on are closed to all these rows: their weights are exactly 0.
    """

    start: int
    stop: int
    columns: int
    allowed: Bool[Tensor, "mask_head row column"]
    weights: Float[Tensor, "head row column"]
    sink_weights: Float[Tensor, "head row"] | None
    scores: Float[Tensor, "head row column"]
    """What went into the softmax: -inf in closed cells; zeros where it is not understood."""

    @property
    def largest_score(self) -> Float[Tensor, "head row"]:
        """Largest absolute score of a row's open cells."""
        low, high = torch.aminmax(self.scores.masked_fill(~self.allowed, 0.0), dim=-1)
        return torch.maximum(-low, high)


def row_blocks(call: AttentionCall) -> Iterator[tuple[int, int]]:
    """(start, stop) of blocks of rows that fit the memory budget, in order."""
    size = max(1, _BLOCK_BYTES // (8 * call.heads * call.keys))
    for start in range(0, call.queries, size):
        yield start, min(start + size, call.queries)


def weight_rows(call: AttentionCall, start: int, stop: int) -> Rows:
    """The weights of query rows start..stop-1 in float64.

    Recomputed from query, key and delivered mask; where the scores are not understood, the
    kernel's own weights.
    """
    allowed = call.mask.rows(start, stop, call.keys, call.output.device)[0]
    if call.query is None:
        return _kernel_rows(call, start, stop, allowed)
    bias = _bias_rows(call, start, stop)
    columns = _columns(allowed, bias)
    allowed = _near(allowed[..., :columns])
    scores = score_rows(call, start, stop, columns)
    taking_part = allowed
    if bias is not None:
        scores = scores + bias[..., :columns]
        taking_part = allowed | (bias[..., :columns] <= PENALTY)  # its term stays finite
    scores = scores.masked_fill(~taking_part, -math.inf)
    weights, sinks = _softmax(scores, call)
    return Rows(
        start=start,
        stop=stop,
        columns=columns,
        allowed=allowed,
        weights=weights,
        sink_weights=sinks,
        scores=scores,
    )


def score_rows(
    call: AttentionCall, start: int, stop: int, columns: int
) -> Float[Tensor, "head row column"]:
    """Scores of query rows start..stop-1 before bias and mask, in float64."""
    assert call.query is not None
    assert call.key is not None
    query = exact(call.query[0, :, start:stop])
    key = exact(call.key[0, :, :columns])
    heads, rows, width = query.shape
    grouped = query.reshape(key.shape[0], -1, width)
    scores = (grouped @ key.transpose(-1, -2)).reshape(heads, rows, columns) * call.scale
    if call.score_mod is not None:
        return _modified(call.score_mod, scores, start)
    if call.softcap is not None:
        return call.softcap * torch.tanh(scores / call.softcap)
    return scores


def output_rows(call: AttentionCall, rows: Rows) -> Float[Tensor, "head row d_v"]:
    """Weights times values, in float64."""
    value = exact(call.value[0, :, : rows.columns])
    heads, count, _ = rows.weights.shape
    grouped = rows.weights.reshape(value.shape[0], -1, rows.columns)
    return (grouped @ value).reshape(heads, count, -1)


def bias_at(call: AttentionCall, start: int, stop: int) -> Float[Tensor, "head row key"] | None:
    """Position bias of query rows start..stop-1: the added terms that close no cell."""
    bias = _bias_rows(call, start, stop)
    return None if bias is None else bias.masked_fill(bias <= PENALTY, 0.0)


def _bias_rows(call: AttentionCall, start: int, stop: int) -> Tensor | None:
    total: Tensor | None = None
    for term in call.bias:
        part = term[0, :, start:stop] if term.shape[2] > 1 else term[0]
        part = exact(part[..., : call.keys])
        total = part if total is None else total + part
    return total


def _columns(allowed: Tensor, bias: Tensor | None) -> int:
    """Number of leading keys that any of these rows can reach.

    A finite penalty can be beaten, and a row with no open cell spreads over its closed ones; only
    cells closed by -inf or by the minimum of a wide dtype are out of reach.
    """
    open_cells = allowed
    if bias is not None:
        beatable = ((bias <= PENALTY) & (bias > OUT_OF_REACH)).to(allowed.device)
        blind = ~allowed.any(dim=-1, keepdim=True)
        open_cells = allowed | beatable | blind
    reached = open_cells.flatten(0, -2).any(dim=0).nonzero()
    return int(reached[-1]) + 1 if len(reached) else 1


def _softmax(scores: Tensor, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
    if call.sinks is None:
        weights = torch.softmax(scores, dim=-1)
        blind = scores.amax(dim=-1, keepdim=True) == -math.inf
        return (weights.masked_fill(blind, 0.0) if blind.any() else weights), None
    sinks = exact(call.sinks)[:, None, None].expand(*scores.shape[:-1], 1)
    both = torch.softmax(torch.cat([scores, sinks], dim=-1), dim=-1)
    return both[..., :-1], both[..., -1]


def _modified(score_mod: ScoreMod, scores: Tensor, start: int) -> Tensor:
    """Apply FlexAttention's hook, which is written for one score, to a block of them."""
    heads, rows, columns = scores.shape
    index = (
        torch.zeros((), dtype=torch.long, device=scores.device),
        torch.arange(heads, device=scores.device),
        torch.arange(start, start + rows, device=scores.device),
        torch.arange(columns, device=scores.device),
    )
    mapped = score_mod
    for axis in (4, 3, 2):  # innermost first: key, then query, then head
        mapped = torch.vmap(mapped, in_dims=tuple(0 if i in (0, axis) else None for i in range(5)))
    return mapped(scores, *index)


def _kernel_rows(call: AttentionCall, start: int, stop: int, allowed: Tensor) -> Rows:
    """The kernel's own weights, for scores that are not understood."""
    assert call.weights is not None, "a call without scores has its kernel's weights"
    weights = exact(call.weights[0, :, start:stop])
    return Rows(
        start=start,
        stop=stop,
        columns=call.keys,
        allowed=_near(allowed),
        weights=weights,
        sink_weights=None,
        scores=torch.zeros_like(weights),
    )


def exact(tensor: Tensor) -> Tensor:
    """In float64, where that exists: for Apple's GPUs on the CPU."""
    return _near(tensor).double()


def _near(tensor: Tensor) -> Tensor:
    return tensor.cpu() if tensor.device.type == "mps" else tensor

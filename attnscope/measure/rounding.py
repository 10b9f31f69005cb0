"""How far two right answers may differ, and whether a wrong one would be noticed.

With output o = Σ w·v, a kernel rounds each weight and the output to its dtype, which moves o by at
most about eps · Σ w·|v|, and each score by some δ, which moves every weight by a factor of up to
exp(2δ). Sums over d products of float32 lose δ ≈ eps(float32) · scale · |query| · |key|; eager
attention in a half precision also rounds the finished score, δ ≈ eps(dtype) · |score|.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attnscope.measure.attention import Rows, exact
from attnscope.records import AttentionCall

ROUNDING_FACTOR = 2.0
"""On the estimate above; fixed once for all models, kernels and dtypes from measurements: see
docs/architecture.md, "The limit"."""

_FLOAT32 = torch.finfo(torch.float32).eps


def rounding_limit(call: AttentionCall, rows: Rows) -> Float[Tensor, "head row"]:
    """The largest difference between two right outputs that rounding explains, a head and row.

    `ROUNDING_FACTOR · (eps + δ) · Σ w·max|v|`, eps of the coarsest dtype involved.
    """
    parts = [part for part in (call.query, call.value, call.output) if part is not None]
    eps = max(torch.finfo(part.dtype).eps for part in parts)
    largest_value = exact(call.value[0]).abs().amax(dim=-1)[:, : rows.columns]
    heads, count, columns = rows.weights.shape
    grouped = rows.weights.reshape(largest_value.shape[0], -1, columns)
    carried: Tensor = (grouped @ largest_value[..., None]).reshape(heads, count)
    return ROUNDING_FACTOR * (eps + _score_error(call, rows)) * carried


def _score_error(call: AttentionCall, rows: Rows) -> Float[Tensor, "head row"]:
    if call.query is None or call.key is None:
        return torch.zeros_like(rows.largest_score)
    query = exact(call.query[0, :, rows.start : rows.stop]).norm(dim=-1)
    key = exact(call.key[0, :, : rows.columns]).norm(dim=-1).amax(dim=-1)
    return score_rounding(call, query, key, rows.largest_score)


def score_rounding(
    call: AttentionCall,
    query: Float[Tensor, "head row"],
    key: Float[Tensor, " kv_head"],
    size: Float[Tensor, "head row"],
) -> Float[Tensor, "head row"]:
    """δ above, from the lengths of the queries, the longest keys and the size of the scores."""
    assert call.query is not None
    longest = key.repeat_interleave(query.shape[0] // key.shape[0])
    products: Tensor = _FLOAT32 * abs(call.scale) * query * longest[:, None]
    # eager code keeps its scores in a tensor, every other kernel in float32 registers
    stored = torch.finfo(call.query.dtype).eps if call.kernel == "softmax" else _FLOAT32
    return products + max(stored, _FLOAT32) * size


def open_key_effect(
    call: AttentionCall, rows: Rows, output: Float[Tensor, "head row d_v"]
) -> Float[Tensor, "head row"]:
    """How far the output would move if the kernel let each row see one key more, the next one.

    NaN for rows that see it anyway or have none. Position biases are left out of its score.
    """
    assert call.query is not None
    assert call.key is not None
    following = torch.arange(rows.start, rows.stop, device=output.device) + call.offset + 1
    inside = following.clamp(max=call.keys - 1)
    query = exact(call.query[0, :, rows.start : rows.stop])
    score = (query * _of_heads(call.key, inside, call)).sum(dim=-1) * call.scale
    if call.softcap is not None:
        score = call.softcap * torch.tanh(score / call.softcap)
    share = torch.sigmoid(score - _log_total(rows))
    moved = (_of_heads(call.value, inside, call) - output).abs().amax(dim=-1) * share
    closed = (following < call.keys) & ~_sees(rows, following)
    return moved.masked_fill(~closed, torch.nan)


def _of_heads(tensor: Tensor, key: Int[Tensor, " row"], call: AttentionCall) -> Tensor:
    """(head, row, …) of a (batch, kv_head, key, …) tensor."""
    picked = exact(tensor[0][:, key.to(tensor.device)])
    return picked.repeat_interleave(call.heads // picked.shape[0], dim=0)


def _sees(rows: Rows, key: Int[Tensor, " row"]) -> Tensor:
    index = key.clamp(max=rows.columns - 1)[None, :, None]
    seen = rows.allowed.gather(-1, index.expand(rows.allowed.shape[0], -1, 1))[..., 0]
    return seen & (key < rows.columns)


def _log_total(rows: Rows) -> Float[Tensor, "head row"]:
    """Log of the softmax's denominator, from the row's largest weight and that key's score."""
    weight, key = rows.weights.max(dim=-1)
    return rows.scores.gather(-1, key[..., None])[..., 0] - weight.log()

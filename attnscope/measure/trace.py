"""One head in full, and one of its queries step by step."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from attnscope.masks import PENALTY, Mask, dense, everything
from attnscope.measure.attention import bias_at, exact, output_rows, score_rows, weight_rows
from attnscope.measure.pooling import pool_size, sums
from attnscope.records import AttentionCall, HandTrace, HeadFocus, HeadVectors, HeadView

_ROWS_AT_ONCE = 1024
READABLE_TOKENS = 12
READABLE_NUMBERS = 8
"""Up to so many tokens and numbers a vector, all vectors of a head are shown."""


def kept(call: AttentionCall) -> AttentionCall:
    """A call that survives what the model does to its activations next; masks stay as they are.

    Weights are dropped where they can be made again.
    """
    return replace(
        call,
        query=None if call.query is None else call.query.clone(),
        key=None if call.key is None else call.key.clone(),
        value=call.value.clone(),
        output=call.output.clone(),
        weights=call.weights if call.query is None else None,
    )


def one_head(call: AttentionCall, head: int) -> AttentionCall:
    """The same call with a single query head, for which everything else is cut to fit."""
    shared = head // (call.heads // call.value.shape[1])

    def cut(tensor: Tensor | None, index: int = head) -> Tensor | None:
        if tensor is None or tensor.shape[1] == 1:
            return tensor
        return tensor[:, index : index + 1]

    mask, score_mod = call.mask, call.score_mod
    return replace(
        call,
        query=cut(call.query),
        key=cut(call.key, shared),
        value=call.value[:, shared : shared + 1],
        mask=mask
        if mask.heads == 1
        else Mask(
            predicate=lambda b, h, q, k: mask.predicate(b, h + head, q, k), batches=mask.batches
        ),
        bias=tuple(part for term in call.bias if (part := cut(term)) is not None),
        score_mod=score_mod and (lambda s, b, h, q, k: score_mod(s, b, h + head, q, k)),
        sinks=None if call.sinks is None else call.sinks[head : head + 1],
        output=call.output[:, head : head + 1],
        weights=cut(call.weights),
    )


def under_mask(call: AttentionCall, mask: Mask) -> AttentionCall:
    """The same queries, keys and values under another mask, as if the kernel were handed it.

    Of added terms only what closes cells goes; position biases stay.
    """
    mask = dense(mask.rows(0, call.queries, call.keys).to(call.output.device))
    bias = tuple(term.masked_fill(term <= PENALTY, 0.0) for term in call.bias)
    return replace(call, mask=mask, bias=bias, mask_form="another mask", weights=None)


def biases_are_known(call: AttentionCall, mask: Mask) -> bool:
    """False where `mask` opens cells whose position bias stood in one tensor with the penalties of
    the call's own mask, which took its place.
    """
    mixed = [
        term
        for term in call.bias
        if bool((term <= PENALTY).any()) and bool(((term > PENALTY) & (term != 0)).any())
    ]
    if not mixed:
        return True
    span = (0, call.queries, call.keys)
    device = call.output.device
    opened = mask.rows(*span).to(device) & ~call.mask.rows(*span, device)
    return not bool(opened.any())


def head_view(call: AttentionCall, focus: HeadFocus, reason: str) -> HeadView:
    """One head's weights over the whole prompt, pooled where it is long."""
    pool = pool_size(call.keys)
    single = one_head(call, focus.head)
    step = pool * max(1, _ROWS_AT_ONCE // pool)
    grids = [
        _view_rows(single, start, min(start + step, call.queries), pool)
        for start in range(0, call.queries, step)
    ]
    return HeadView(
        layer=call.layer,
        head=focus.head,
        reason=reason,
        verified=focus.verified,
        difference=focus.difference,
        weights=torch.cat([weights for weights, _ in grids]),
        future=torch.cat([future for _, future in grids]),
        pool=pool,
        origin=(max(call.offset, 0), 0),
    )


def _view_rows(single: AttentionCall, start: int, stop: int, pool: int) -> tuple[Tensor, Tensor]:
    rows = weight_rows(single, start, stop)
    weights = torch.zeros(stop - start, single.keys, dtype=torch.float64)
    weights[:, : rows.columns] = rows.weights[0].cpu()
    position = torch.arange(start, stop)[:, None] + single.offset
    future = (weights > 0) & (torch.arange(single.keys) > position)
    queries = torch.ones(stop - start, 1, dtype=torch.float64)
    shares = sums(weights, pool) / sums(queries, pool)
    return shares, sums(future.long(), pool) > 0


def hand_trace(call: AttentionCall, focus: HeadFocus, query_index: int) -> HandTrace | None:
    """One query of one head, step by step; None where the scores are not understood."""
    if call.query is None:
        return None
    single = one_head(call, focus.head)
    start, stop = query_index, query_index + 1
    rows = weight_rows(single, start, stop)
    scores = score_rows(single, start, stop, single.keys)[0, 0]
    bias = bias_at(single, start, stop)
    scaled = scores if bias is None else scores + bias.reshape(-1, bias.shape[-1])[0]
    weights = torch.zeros(single.keys, dtype=torch.float64, device=scores.device)
    weights[: rows.columns] = rows.weights[0, 0]
    allowed = single.mask.rows(start, stop, single.keys, scores.device)[0, 0, 0]
    sink = None if single.sinks is None else single.sinks.double()[0]
    exponentials, sink_part = _exponentials(scaled, weights, sink)
    dots = replace(single, scale=1.0, softcap=None, score_mod=None)
    return HandTrace(
        layer=call.layer,
        head=focus.head,
        query_index=query_index,
        query=_plain(single.query, query_index),
        dots=score_rows(dots, start, stop, single.keys)[0, 0].cpu(),
        scale=call.scale,
        softcap=call.softcap,
        scaled=scaled.cpu(),
        allowed=allowed.cpu(),
        exponentials=exponentials.cpu(),
        sink=sink_part,
        denominator=float(exponentials.sum()) + (sink_part or 0.0),
        weights=weights.cpu(),
        output=output_rows(single, rows)[0, 0].cpu(),
        value_lengths=exact(single.value[0, 0]).norm(dim=-1).cpu(),
        kernel_output=_plain(single.output, query_index),
        verified=focus.verified,
    )


def head_vectors(call: AttentionCall, head: int) -> HeadVectors | None:
    """One head's vectors, where there are few enough to be read; else None."""
    if call.query is None or call.key is None or call.keys > READABLE_TOKENS:
        return None
    if max(call.query.shape[-1], call.value.shape[-1]) > READABLE_NUMBERS:
        return None
    single = one_head(call, head)
    unmasked = under_mask(single, everything())
    return HeadVectors(
        query=_rows(single.query),
        key=_rows(single.key),
        value=_rows(single.value),
        output=_outputs(single),
        unmasked=_outputs(unmasked),
    )


def _outputs(single: AttentionCall) -> Tensor:
    return output_rows(single, weight_rows(single, 0, single.queries))[0].cpu()


def _exponentials(
    scaled: Tensor, weights: Tensor, sink: Tensor | None
) -> tuple[Tensor, float | None]:
    """exp(score - largest score that takes part), which is what the softmax adds up."""
    taking_part = weights > 0
    if not bool(taking_part.any()):
        return torch.zeros_like(scaled), None
    largest = scaled[taking_part].max()
    if sink is not None:
        largest = torch.maximum(largest, sink)
    exponentials = torch.where(taking_part, torch.exp(scaled - largest), 0.0)
    return exponentials, None if sink is None else math.exp(float(sink - largest))


def _plain(tensor: Tensor | None, index: int) -> Tensor:
    return _rows(tensor)[index]


def _rows(tensor: Tensor | None) -> Tensor:
    assert tensor is not None, "only asked for where the scores are understood"
    return tensor[0, 0].cpu().double()

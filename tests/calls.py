"""Hand-written attention calls, as capture would record them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from attnscope.masks import causal
from attnscope.measure.attention import output_rows, weight_rows
from attnscope.records import AttentionCall


def make_call(query: Tensor, key: Tensor, value: Tensor, **changes: Any) -> AttentionCall:
    """A causal call on float tensors (batch, head, position, d); its output is the reference's."""
    blank = query.new_zeros(*query.shape[:3], value.shape[-1])
    call = AttentionCall(
        index=0, layer=0, module="model.layers.0.self_attn", kernel="by hand",
        query=query, key=key, value=value, mask=causal(), mask_form="is_causal",
        scale=query.shape[-1] ** -0.5, softcap=None, bias=(), score_mod=None, sinks=None,
        output=blank, weights=None, offered=None, witnessed=True, unexplained=None,
    )  # fmt: skip
    call = replace(call, **changes)
    if "output" in changes or call.query is None:
        return call
    rows = weight_rows(call, 0, call.queries)
    return replace(call, output=output_rows(call, rows)[None].to(query.dtype))


def random_call(
    heads: int = 4, kv_heads: int = 2, tokens: int = 20, d: int = 8, **changes: Any
) -> AttentionCall:
    """A causal call on seeded random float64 tensors."""
    generator = torch.Generator().manual_seed(0)
    shapes = (heads, kv_heads, kv_heads)
    query, key, value = (
        torch.randn(1, count, tokens, d, dtype=torch.float64, generator=generator)
        for count in shapes
    )
    return make_call(query, key, value, **changes)


def weights_of(call: AttentionCall) -> Tensor:
    """All weights of a call, (head, query, key), in float64."""
    rows = weight_rows(call, 0, call.queries)
    full = torch.zeros(call.heads, call.queries, call.keys, dtype=torch.float64)
    full[..., : rows.columns] = rows.weights
    return full


def call_with_weights(weights: Tensor) -> AttentionCall:
    """A call whose softmax gives exactly these weights (head, query, key), by log scores."""
    heads, _, keys = weights.shape
    bias = torch.log(weights.double())[None]
    blank = torch.zeros(1, heads, keys, 2, dtype=torch.float64)
    return make_call(blank, blank, blank + 1.0, bias=(bias,))

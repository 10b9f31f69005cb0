"""From what torch's own functions were called with to what a kernel received."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import Parameter
from torch.nn.attention.bias import CausalBias, CausalVariant

from attnscope.capture.lineage import Scores, four, heads_first
from attnscope.capture.received import Received, mask_words
from attnscope.masks import Mask, additive, causal, dense, everything


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What is known of a softmax's output."""

    number: int
    """Tells this softmax from the others of a capture."""
    probabilities: Tensor
    """The output itself, before dropout and casts; with sinks, one column more."""
    scores: Scores | None
    """The scores behind it; None when the steps to them are not understood."""
    seen: Tensor | None
    """Where the scores are not understood: the cells of its input that were left open."""


def from_weights(weights: Weights, value: Tensor, output: Tensor) -> Received | None:
    """The computation that a product of weights and values completes, if it is attention."""
    if weights.scores is None:
        return _unexplained(weights, value, output)
    scores = weights.scores
    batch = scores.shape[0] if len(scores.shape) >= 4 else 1
    parts = [heads_first(part, batch) for part in (scores.query, scores.key, value, output)]
    if value.shape[-2] != scores.shape[-1] or any(part is None for part in parts):
        return None
    query, key, value, output = (part.detach() for part in parts if part is not None)
    if query.shape[1] != output.shape[1]:
        return None
    mask, form = scores.mask()
    return Received(
        kernel="softmax",
        query=query,
        key=key,
        value=value,
        mask=mask,
        mask_form=form,
        scale=scores.factor,
        softcap=scores.cap,
        bias=scores.biases(),
        sinks=scores.sinks,
        output=output,
        weights=four(weights.probabilities)[..., : scores.shape[-1]],
    )


def _unexplained(weights: Weights, value: Tensor, output: Tensor) -> Received | None:
    probabilities, seen = four(weights.probabilities), weights.seen
    square = value.ndim >= 3 and value.shape[-2] == probabilities.shape[-1]
    if seen is None or not square or probabilities.shape[-2] < 2:
        return None
    return Received(
        kernel="softmax",
        query=None,
        key=None,
        value=four(value.detach()),
        mask=dense(four(seen)),
        mask_form="cells open in the softmax's input",
        output=four(output.detach()),
        weights=probabilities,
        unexplained="the steps from query · key to the softmax are not understood",
    )


_SDPA = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")


def from_sdpa(output: Tensor, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Received:
    """A call of torch.nn.functional.scaled_dot_product_attention, and its output.

    Raises TypeError for a mask of a kind that holds no cells to read.
    """
    given = dict(zip(_SDPA, args, strict=False)) | dict(kwargs)
    query, key, value = given["query"], given["key"], given["value"]
    attn_mask, is_causal = given.get("attn_mask"), given.get("is_causal", False)
    scale = given.get("scale")
    mask, bias = _delivered(attn_mask)
    return Received(
        kernel="scaled_dot_product_attention",
        query=four(query.detach()),
        key=four(key.detach()),
        value=four(value.detach()),
        mask=causal() if attn_mask is None and is_causal else mask,
        mask_form=mask_words(attn_mask, is_causal),
        scale=query.shape[-1] ** -0.5 if scale is None else scale,
        bias=bias,
        output=four(output.detach()),
    )


def _delivered(attn_mask: Tensor | None) -> tuple[Mask, tuple[Tensor, ...]]:
    """The open cells, and what is added to the scores."""
    if attn_mask is None:
        return everything(), ()
    if isinstance(attn_mask, CausalBias):  # its data is never filled in
        bottom_right = attn_mask.variant == CausalVariant.LOWER_RIGHT
        return causal(attn_mask.seq_len_kv - attn_mask.seq_len_q if bottom_right else 0), ()
    if type(attn_mask) not in {Tensor, Parameter}:
        raise TypeError(type(attn_mask).__name__)
    cells = four(attn_mask.detach())
    if cells.is_floating_point():
        return additive(cells), (cells,)
    return dense(cells.bool()), ()

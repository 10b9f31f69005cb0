"""Masks from words, drawn over words or plain positions; how two differ; how one is broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from attnscope.errors import SelectionError
from attnscope.expressions import Expression, parse
from attnscope.kinds import KINDS, layer_kind
from attnscope.masks import Mask, dense
from attnscope.measure.mask_map import diff, draw
from attnscope.measure.pooling import EXACT_UP_TO, pool_size
from attnscope.records import (
    CELL_FUTURE_SEEN,
    CELL_SEEN,
    BroadcastStep,
    MaskDiff,
    MaskMap,
    MaskTables,
    Tokens,
)
from attnscope.text import label

SENTENCE = ("The", "cat", "sat", "on", "mat")
"""What a mask is drawn over when nothing else is asked for: the textbook example's words."""
LONGEST = 40
"""Positions that are drawn by themselves at most, where documents do not say how many."""
DRAWN = 16_384
"""Positions that are drawn at most: cells are looked at one by one."""


def tables(
    expressions: Sequence[Expression], tokens: Tokens, shape: tuple[int, int] | None = None
) -> MaskTables:
    """One mask, or two and how they differ; `shape` is (batch, heads), to broadcast the first to.

    Raises SelectionError for a mask that does not fit the tokens.
    """
    size = len(tokens)
    masks = [expression.mask(size) for expression in expressions]
    return MaskTables(
        model=None,
        tokens=tokens,
        masks=tuple(
            draw(mask, size, expression.text)
            for mask, expression in zip(masks, expressions, strict=True)
        ),
        diff=held_together(masks, [one.text for one in expressions], size),
        broadcast=broadcast(masks[0], size, *shape) if shape else (),
    )


def held_against(given: MaskTables, texts: Sequence[str]) -> MaskTables:
    """A model's masks, and how two masks differ of which either may be `layer:I`.

    Raises SelectionError for a mask that is not understood, and where masks are pooled.
    """
    size = len(given.tokens)
    if size > EXACT_UP_TO:
        raise SelectionError(
            f"Masks over {size:,} tokens are kept as a picture and cannot be compared.",
            f"Give at most {EXACT_UP_TO:,} tokens.",
        )
    kinds = (*KINDS, layer_kind(layer_masks(given.masks)))
    expressions = [parse(text, kinds) for text in texts]
    masks = [expression.mask(size) for expression in expressions]
    return replace(given, diff=held_together(masks, [one.text for one in expressions], size))


def held_together(masks: Sequence[Mask], names: Sequence[str], tokens: int) -> MaskDiff | None:
    """How two masks differ; None unless there are two."""
    if len(masks) != 2:
        return None
    cells, differing = diff(masks[0], masks[1], tokens)
    return MaskDiff(
        first=names[0],
        second=names[1],
        cells=cells,
        pool=pool_size(tokens),
        differing=differing,
    )


def layer_masks(maps: Sequence[MaskMap]) -> dict[int, Mask]:
    """The mask of each layer, from maps that are not pooled; of several in a layer the first."""
    layers: dict[int, Mask] = {}
    for drawn in maps:
        seen = dense((drawn.cells & (CELL_SEEN | CELL_FUTURE_SEEN)) > 0)
        for layer in drawn.layers:
            layers.setdefault(layer, seen)
    return layers


def fitting(expressions: Sequence[Expression]) -> Tokens:
    """Tokens that show what the masks do: the textbook's words where they do, else positions.

    Raises SelectionError for documents that are too long to draw.
    """
    documents = max(expression.documents for expression in expressions)
    if documents > DRAWN:
        raise SelectionError(
            f"Documents of {documents:,} tokens are too long to draw.", f"Pack at most {DRAWN:,}."
        )
    needed = documents or max(expression.needs for expression in expressions)
    if documents or needed > len(SENTENCE):
        return positions(documents or min(needed, LONGEST))
    return words(SENTENCE)


def positions(count: int) -> Tokens:
    """Plain positions 0 to count - 1 in the place of tokens."""
    return words([str(position) for position in range(count)])


def words(texts: Sequence[str]) -> Tokens:
    """Words in the place of tokens."""
    return Tokens(
        ids=tuple(range(len(texts))),
        texts=tuple(texts),
        labels=tuple(label(text) for text in texts),
        special=(False,) * len(texts),
    )


def broadcast(mask: Mask, tokens: int, batch: int, heads: int) -> tuple[BroadcastStep, ...]:
    """How a mask over `tokens` positions meets scores of shape (batch, heads, tokens, tokens)."""
    cells = mask.rows(0, tokens, tokens)[0, 0].clone()
    lifted = cells[None, None]
    expanded = lifted.expand(batch, heads, -1, -1)
    return (
        _step("mask", cells, "one cell for each query and key"),
        _step("mask[None, None]", lifted, "two axes in front: batch and head"),
        _step(
            f".expand({batch}, {heads}, -1, -1)",
            expanded,
            "every sequence and every head reads the same cells: steps of 0, nothing is copied",
        ),
        BroadcastStep(
            code="scores + mask",
            shape=tuple(expanded.shape),
            strides=(heads * tokens * tokens, tokens * tokens, tokens, 1),
            stored=expanded.numel() * torch.float32.itemsize,
            words="one score for each sequence, head, query and key, in float32",
        ),
    )


def _step(code: str, cells: Tensor, words: str) -> BroadcastStep:
    return BroadcastStep(
        code=code,
        shape=tuple(cells.shape),
        strides=cells.stride(),
        stored=cells.untyped_storage().nbytes(),
        words=words,
    )

"""Masks from words, drawn over words or plain positions; how two differ; how one is broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

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
    """How a boolean mask over `tokens` positions meets scores of shape (batch, heads, tokens,
    tokens). Only the mask itself is made.
    """
    cells = mask.rows(0, tokens, tokens)[0, 0].clone()
    square, size = (tokens, tokens), tokens * tokens
    steps = (size if batch == 1 else 0, size if heads == 1 else 0)
    shape = (batch, heads, *square)

    def step(code: str, shape: tuple[int, ...], strides: tuple[int, ...], words: str) -> Any:
        stored = cells.untyped_storage().nbytes()
        return BroadcastStep(code=code, shape=shape, strides=strides, stored=stored, words=words)

    return (
        step("mask", square, cells.stride(), "one boolean for each query and key"),
        step(
            "mask[None, None]", (1, 1, *square), (size, size, tokens, 1),
            "two axes of size 1 in front: batch and head",
        ),
        step(
            f".expand({batch}, {heads}, -1, -1)", shape, (*steps, tokens, 1),
            "every sequence and every head reads the same cells: a step of 0, nothing is copied",
        ),
        BroadcastStep(
            code="where(mask, scores, -inf)",
            shape=shape,
            strides=(heads * size, size, tokens, 1),
            stored=batch * heads * size * torch.float32.itemsize,
            words="one float32 score for each sequence, head, query and key; a boolean mask"
            " chooses, it is never added",
        ),
    )  # fmt: skip

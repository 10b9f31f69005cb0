"""Which axis of a tensor counts the tokens."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from attnscope.load.stand_in import StandIn

Layout = Literal["theirs", "told", "unsure"]
"""theirs: (batch, token, feature) and the few others that transformers' models use. told: any axis
as long as the tokens counts them, because nothing else has that length. unsure: (batch, token,
feature) where no other axis is as long."""

SHORTEST = 8
"""Tokens from which a length tells an axis: shorter ones are also numbers of heads and rows."""


def layout_of(model: nn.Module, tokens: int) -> Layout:
    """How the tokens of a model are found, when it reads so many."""
    if not isinstance(model, StandIn):
        return "theirs"
    if tokens < SHORTEST or any(size % tokens == 0 for size in _widths(model)):
        return "unsure"
    return "told"


def _widths(model: StandIn) -> set[int]:
    """Lengths of axes that count something else: of parameters, and of what is read."""
    shapes: list[Any] = [one.shape for one in model.parameters()]
    shapes += [] if model.alphabet is None else [model.alphabet.shape[1:]]
    return {size for shape in shapes for size in shape if size}


def token_axis(shape: tuple[int, ...], tokens: int, layout: Layout) -> int | None:
    """The axis that counts the tokens of a batch of one; None where there is none such."""
    if layout == "told":
        return shape.index(tokens) if len(shape) > 1 and tokens in shape else None
    if layout == "unsure" and shape.count(tokens) != 1:
        return None
    several = len(shape) >= 3 and shape[:2] in {(1, tokens), (tokens, 1)}  # XLNet puts time first
    if shape[:-1] == (tokens,) or several:
        return shape.index(tokens)
    return None


def row_a_token(tensor: Tensor, batch: int, tokens: int, layout: Layout) -> Tensor | None:
    """The tensor as (batch, token, feature); None where it has no row a token."""
    shape = tuple(tensor.shape)
    if shape[:2] == (batch, tokens) and (layout != "unsure" or tokens not in shape[2:]):
        return tensor.reshape(batch, tokens, -1)
    if len(shape) == 2 and shape[0] == batch * tokens and layout != "unsure":
        return tensor.reshape(batch, tokens, -1)
    if layout != "told" or tokens not in shape or batch == tokens:
        return None
    axis = shape.index(tokens)
    if batch == 1:
        return tensor.movedim(axis, 0).reshape(1, tokens, -1)
    if batch not in shape[:2]:
        return None
    return tensor.movedim((shape.index(batch), axis), (0, 1)).reshape(batch, tokens, -1)

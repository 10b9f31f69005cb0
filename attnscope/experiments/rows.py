"""Which axis of a tensor counts the tokens."""

from __future__ import annotations

from torch import Tensor, nn

from attnscope.load.stand_in import StandIn

SHORTEST = 8
"""Tokens from which a length tells an axis: shorter ones are also numbers of heads and rows."""


def told_by_length(model: nn.Module, tokens: int) -> bool:
    """True where every axis of that length counts tokens: (batch, channel, time) and the like.

    For models of no known layout, and a length that divides none of their widths.
    """
    if not isinstance(model, StandIn) or tokens < SHORTEST:
        return False
    return all(size % tokens for one in model.parameters() for size in one.shape)


def row_a_token(tensor: Tensor, batch: int, tokens: int) -> Tensor | None:
    """The tensor as (batch, token, feature), by the first axis that is as long as the tokens.

    None where there is no such axis, or where the batch cannot be told from it.
    """
    shape = tuple(tensor.shape)
    if tokens not in shape or batch == tokens:
        return None
    axis = shape.index(tokens)
    if batch == 1:
        return tensor.movedim(axis, 0).reshape(1, tokens, -1)
    if batch not in shape[:2]:
        return None
    rows = shape.index(batch)
    return tensor.movedim((rows, axis), (0, 1)).reshape(batch, tokens, -1)

"""What one row of attention weights says about its head.

Each statistic is one number a head and row, and says for which rows it means anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attnscope.measure.attention import Rows

LOCAL_SPAN = 4
"""A local head looks at its own position and the LOCAL_SPAN - 1 before it."""
LOCAL_FROM = 8
"""A row that sees fewer keys is local whatever its head does, and does not count."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """One number a head and row."""

    values: Float[Tensor, "head row"]
    counts: Bool[Tensor, " row"]
    """The rows for which it means anything."""


def row_statistics(
    rows: Rows, position: Int[Tensor, " row"], ids: Int[Tensor, " key"]
) -> dict[str, Statistic]:
    """All statistics of a block of rows; `position` is each row's place among the keys.

    Entropy in nats and over the sink as well, distance in tokens, the others shares of 0 to 1.
    """
    visible = rows.allowed.sum(dim=-1).amax(dim=0)
    return {
        "entropy": Statistic(_entropy(rows), torch.ones_like(visible, dtype=torch.bool)),
        "broad": _broad(rows, visible),
        "distance": Statistic(_distance(rows, position), torch.ones_like(position).bool()),
        "self": Statistic(_at(rows, position), position >= 1),
        "previous": Statistic(_at(rows, position - 1), position >= 1),
        "first": Statistic(rows.weights[..., 0], position >= 2),
        "local": Statistic(
            torch.stack([_at(rows, position - back) for back in range(LOCAL_SPAN)]).sum(dim=0),
            visible >= LOCAL_FROM,
        ),
        **_repeats(rows, position, ids),
    }


def _entropy(rows: Rows) -> Float[Tensor, "head row"]:
    entropy: Tensor = torch.special.entr(rows.weights).sum(dim=-1)
    if rows.sink_weights is not None:
        entropy = entropy + torch.special.entr(rows.sink_weights)
    return entropy


def _broad(rows: Rows, visible: Int[Tensor, " row"]) -> Statistic:
    choices = visible + (rows.sink_weights is not None)
    largest = torch.log(choices.clamp(min=2).double())
    return Statistic(_entropy(rows) / largest, visible >= 2)


def _distance(rows: Rows, position: Int[Tensor, " row"]) -> Float[Tensor, "head row"]:
    key = torch.arange(rows.columns, device=position.device)
    away = (position[:, None] - key).double()
    return torch.einsum("hrk,rk->hr", rows.weights, away)


def _at(rows: Rows, key: Int[Tensor, " row"]) -> Float[Tensor, "head row"]:
    """Each row's weight on one key; 0 where there is no such key."""
    inside = (key >= 0) & (key < rows.columns)
    index = key.clamp(0, rows.columns - 1)[None, :, None].expand(rows.weights.shape[0], -1, 1)
    return rows.weights.gather(-1, index)[..., 0] * inside


def _repeats(
    rows: Rows, position: Int[Tensor, " row"], ids: Int[Tensor, " key"]
) -> dict[str, Statistic]:
    """Weight on earlier occurrences of the row's token, and on what followed them.

    The induction score is that of Olsson et al. 2022 (arXiv:2209.11895).
    """
    key = torch.arange(rows.columns, device=ids.device)
    same = (ids[position][:, None] == ids[: rows.columns]) & (key < position[:, None])
    # what followed the row's own predecessor-by-one is the row itself: that is no look back
    follows = torch.zeros_like(same)
    follows[:, 1:] = same[:, :-1]
    follows &= key < position[:, None]
    return {
        "duplicate": Statistic((rows.weights * same).sum(dim=-1), same.any(dim=-1)),
        "induction": Statistic((rows.weights * follows).sum(dim=-1), follows.any(dim=-1)),
    }

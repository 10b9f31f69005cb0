"""What the attention calls of one forward show of the tokens that are new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from attnscope.measure.attention import weight_rows
from attnscope.measure.pooling import EXACT_UP_TO
from attnscope.measure.trace import one_head
from attnscope.records import AttentionCall, NewRow, NewWeights, Unseen

Place = tuple[int, int]
"""Layer and head."""


@dataclass(slots=True)
class _Group:
    """Layers whose new queries see the same keys."""

    layers: list[int]
    first_key: int
    rows: Tensor
    """(query, key) over the keys from `first_key` on."""


class NewRows:
    """Collects the new rows of the masks of one forward; layers that share them share one copy."""

    def __init__(self, end: int, place: Place | None = None) -> None:
        self.end = end
        """Tokens read so far, the new ones included."""
        self.products = 0
        """Query · key products, over all calls and heads."""
        self.weights: NewWeights | None = None
        """The newest weights of the head at `place`."""
        self.unseen: list[str] = []
        """Attention that was not followed, in words."""
        self.layers: set[int] = set()
        """Layers of which a call was seen."""
        self._place = place
        self._groups: dict[tuple[int, bytes], _Group] = {}

    def add(self, call: AttentionCall) -> None:
        """Count one call and keep its new rows, of very many the last; of several calls in a layer
        the first one's.
        """
        self.products += call.output.shape[0] * call.heads * call.queries * call.keys
        first = max(self.end - call.keys, 0)
        if call.layer not in self.layers:
            self.layers.add(call.layer)
            start = call.queries - 1 if call.queries > EXACT_UP_TO else 0
            allowed = call.mask.rows(start, call.queries, call.keys, call.output.device)[0]
            rows = allowed.any(dim=0).cpu().clone()
            alike = (first, rows.numpy().tobytes())
            group = self._groups.setdefault(alike, _Group([], first, rows))
            group.layers.append(call.layer)
        if self._place and self.weights is None and call.layer == self._place[0]:
            self.weights = _newest(call, self._place, first)

    def miss(self, unseen: Unseen) -> None:
        """Note attention that was not followed."""
        if unseen.over(self.end):
            self.unseen.append(f"{unseen.module}: {unseen.reason}")

    def newest(self) -> tuple[NewRow, ...]:
        """The last query's row, layers with the same one together."""
        found: dict[tuple[int, bytes], NewRow] = {}
        for group in self._groups.values():
            allowed = group.rows[-1].clone()
            alike = (group.first_key, allowed.numpy().tobytes())
            layers = (*(found[alike].layers if alike in found else ()), *group.layers)
            found[alike] = NewRow(
                layers=tuple(sorted(layers)), first_key=group.first_key, allowed=allowed
            )
        return tuple(found.values())

    def rows(self) -> Iterator[tuple[int, list[Tensor]]]:
        """Each layer's new rows over the keys from position 0 on."""
        for group in self._groups.values():
            wide = list(pad(group.rows, (group.first_key, 0)))
            yield from ((layer, wide) for layer in group.layers)


def _newest(call: AttentionCall, place: Place, first: int) -> NewWeights | None:
    layer, head = place
    if head >= call.heads:
        return None
    single = one_head(call, head)
    rows = weight_rows(single, call.queries - 1, call.queries)
    weights = torch.zeros(call.keys, dtype=torch.float64)
    weights[: rows.columns] = rows.weights[0, 0].cpu()
    return NewWeights(layer=layer, head=head, first_key=first, weights=weights)

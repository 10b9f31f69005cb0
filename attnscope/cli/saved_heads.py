"""What of a saved file can be shown: whole heatmaps, and parts of exact ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from attnscope.errors import SelectionError
from attnscope.heads_options import Part, placed
from attnscope.text import ranges

if TYPE_CHECKING:
    from attnscope.records import Heads, HeadView

AGAIN = "Run again with the model, without --from."


def selected(
    heads: Heads,
    layers: tuple[int, ...] | None,
    views: tuple[tuple[int, int], ...],
    parts: tuple[Part | None, Part | None],
) -> Heads:
    """The same heads with these layers only, these heatmaps (none asked for: all), and these parts
    (rows, keys) of them.

    Raises SelectionError for what was not saved.
    """
    if layers is not None:
        heads = _of_layers(heads, layers)
    count = max(heads.model.layers, 1 + max(heads.layers, default=-1))
    kept = {(view.layer, view.head): view for view in heads.views}
    chosen = []
    for layer, head in views:
        plain = (layer + count if layer < 0 else layer), _head(heads, head)
        if plain not in kept:
            saved = ", ".join(f"{one}:{other}" for one, other in kept) or "none"
            raise SelectionError(
                f"No heatmap of head {layer}:{head} was saved; there are: {saved}.", AGAIN
            )
        chosen.append(kept[plain])
    if any(parts):
        if not kept:
            raise SelectionError("No heatmap was saved, so there is no part to draw.", AGAIN)
        rows, keys = (
            part and placed(part, len(heads.tokens), option)
            for part, option in zip(parts, ("rows", "keys"), strict=True)
        )
        chosen = [_cut(view, rows, keys) for view in chosen or heads.views]
    return replace(heads, views=tuple(chosen) or heads.views)


def _of_layers(heads: Heads, layers: tuple[int, ...]) -> Heads:
    known = sorted({one.layer for one in heads.focus} | set(heads.layers))
    count = max(heads.model.layers, 1 + max(known, default=-1))
    plain = {layer + count if layer < 0 else layer: layer for layer in layers}
    missing = [given for layer, given in plain.items() if layer not in known]
    if missing:
        raise SelectionError(
            f"Layer {missing[0]} was not saved; there are: {ranges(known) or 'none'}.", AGAIN
        )
    rows = [row for row, layer in enumerate(heads.layers) if layer in plain]
    return replace(
        heads,
        focus=tuple(one for one in heads.focus if one.layer in plain),
        layers=tuple(heads.layers[row] for row in rows),
        received=heads.received[rows],
        views=tuple(view for view in heads.views if view.layer in plain),
    )


def _head(heads: Heads, head: int) -> int:
    count = max(heads.model.heads, 1 + max((one.head for one in heads.focus), default=-1))
    return head + count if head < 0 else head


def _cut(view: HeadView, rows: tuple[int, int] | None, keys: tuple[int, int] | None) -> HeadView:
    """The part of an exact heatmap. Raises SelectionError where it is pooled or lies outside."""
    sides = []
    for part, origin, size, name in zip(
        (rows, keys), view.origin, view.weights.shape, ("queries", "keys"), strict=True
    ):
        first, stop = part or (origin, origin + size)
        if view.pool > 1:
            raise SelectionError(
                f"Head {view.layer}:{view.head} was saved with {view.pool} tokens a cell: no part"
                " of it is exact.", AGAIN,
            )  # fmt: skip
        if not origin <= first < stop <= origin + size:
            raise SelectionError(
                f"Of head {view.layer}:{view.head} only the {name} {origin}:{origin + size} were"
                " saved.", AGAIN,
            )  # fmt: skip
        sides.append(slice(first - origin, stop - origin))
    across, along = sides
    return replace(
        view,
        weights=view.weights[across, along],
        future=view.future[across, along],
        origin=(view.origin[0] + across.start, view.origin[1] + along.start),
    )

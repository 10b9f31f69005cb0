"""One head's weights as a heatmap, with numbers wherever they fit."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import torch
from jaxtyping import Bool, Float
from rich.console import Group, RenderableType
from rich.text import Text
from torch import Tensor

from attnscope.records import HeadView, Tokens
from attnscope.render import grid
from attnscope.render.columns import GAP, columns
from attnscope.render.flow import flow
from attnscope.render.hanging import hanging
from attnscope.render.palette import (
    BAD,
    CAUTION,
    FUTURE,
    GOOD,
    QUIET,
    SHADES,
    STRONG,
    Fitted,
    Look,
)
from attnscope.render.windows import Windows, met

DECIMALS, PERCENT = 7, 3
"""Terminal cells of a weight with four decimals, and of a whole percentage."""
TEXTBOOK = 12
"""Up to this many keys show four decimals, as textbooks do."""


def heatmap(view: HeadView, tokens: Tokens) -> RenderableType:
    """One head's weights, one row a query; weight on later tokens is painted loudly."""
    return heatmaps((view,), tokens)


def heatmaps(
    views: Sequence[HeadView],
    tokens: Tokens,
    titles: Sequence[str] = (),
    windows: Windows = (),
) -> RenderableType:
    """Several heads' weights over the same tokens, side by side where they fit.

    Each stands under its layer, head and reason, or under the title that it is given. Cells whose
    queries and keys share none of `windows` stay blank.
    """
    if len(windows) < 2:
        windows = ()
    return Fitted(lambda width, look: _draw(views, (tokens, windows), titles, (width, look)))


def pooled(
    view: HeadView, factor: int, queries: int
) -> tuple[Float[Tensor, "row column"], Bool[Tensor, "row column"]]:
    """Weights and future flags of larger cells: a sum over keys, a mean over real queries."""
    future = grid.tiles(view.future.cpu(), factor).flatten(2).any(dim=2)
    weights = view.weights.cpu().double()
    starts = torch.arange(weights.shape[0]) * view.pool
    sizes = (queries - starts).clamp(1, view.pool).double()[:, None]
    totals = grid.tiles(weights * sizes, factor).sum(dim=(2, 3))
    rows = grid.tiles(sizes, factor)[:, 0, :, 0].sum(dim=1)
    return totals / rows[:, None], future


def _draw(
    views: Sequence[HeadView],
    text: tuple[Tokens, Windows],
    titles: Sequence[str],
    fitted: tuple[int, Look],
) -> RenderableType:
    width, look = fitted
    tokens, windows = look.read(text[0]), text[1]
    each, beside = _room(views[0], tokens, width, len(views))
    layouts = [_layout(view, tokens, each) for view in views]
    named: list[str | None] = list(titles) or [None] * len(views)
    heads = [_titled(view, title, each, look) for view, title in zip(views, named, strict=True)]
    tallest = max(map(len, heads)) if beside > 1 else 0
    blocks = [
        [*head, *[Text()] * (tallest - len(head)), *_rows(view, (tokens, windows), layout, look)]
        for head, view, layout in zip(heads, views, layouts, strict=True)
    ]
    note = Text(look.say(grid.scale_note(layouts[0])), style=QUIET)
    scale = _scale(layouts[0], _blank(views, windows), width, look)
    lines = [*columns(blocks, width, beside), Text(), *scale, note]
    for view, title in zip(views, named, strict=True):
        if bool(view.future.any()):
            where = title or f"layer {view.layer}, head {view.head}"
            line = _leak(view, tokens, look)
            lines.append(line.append(look.say(f", {where}") if len(views) > 1 else "", BAD))
    return Group(*lines)


def _room(view: HeadView, tokens: Tokens, width: int, count: int) -> tuple[int, int]:
    """Terminal cells for each of `count` heatmaps, and how many stand side by side.

    As many as take no detail away from a single one.
    """
    alone = _layout(view, tokens, width)
    for beside in range(count, 1, -1):
        each = (width - GAP * (beside - 1)) // beside
        layout = _layout(view, tokens, each)
        if (layout.cell, layout.factor) == (alone.cell, alone.factor):
            return each, beside
    return width, 1


def _titled(view: HeadView, title: str | None, width: int, look: Look) -> list[Text]:
    if title is None:
        return _title(view, width, look)
    return [*hanging(Text(), look.say(title), width, STRONG)]


def _rows(
    view: HeadView, text: tuple[Tokens, Windows], layout: grid.Layout, look: Look
) -> list[Text]:
    (tokens, windows), (query, key) = text, view.origin
    weights, future = pooled(view, layout.factor, len(tokens) - query)
    rows, columns = weights.shape
    lines = [grid.ruler(layout, columns, first=key)]
    if layout.cell == DECIMALS:
        lines.append(grid.names(tokens.labels[key : key + columns], layout, look))
    together = met(windows, (rows, columns), layout.pool, view.origin)
    for row in range(rows):
        line = grid.row_label(tokens, query + row * layout.pool, layout, look)
        cells = zip(
            weights[row].tolist(), future[row].tolist(), together[row].tolist(), strict=True
        )
        for weight, later, read in cells:
            known = read or later or weight != 0
            line.append_text(
                _cell(weight, later, layout.cell, look) if known else Text(" " * layout.cell)
            )
        lines.append(line)
    return lines


def _layout(view: HeadView, tokens: Tokens, width: int) -> grid.Layout:
    shape = tuple(view.weights.shape)
    sizes = [PERCENT, 2, 1]
    if view.pool == 1 and shape[1] <= TEXTBOOK:
        sizes = [DECIMALS, *sizes]
    return grid.lay_out_tokens(shape, view.pool, tokens, width, (sizes, [PERCENT, 2, 1]))


def _title(view: HeadView, width: int, look: Look) -> list[Text]:
    title = Text(f"layer {view.layer}, head {view.head}", style=STRONG)
    if view.verified:
        title.append(look.say(" · verified"), style=f"not bold {GOOD}")
    else:
        known = isfinite(view.difference)
        size = f"difference {view.difference:.1e}" if known else "nothing to compare with"
        title.append(look.say(f" · not verified ({size})"), style=CAUTION)
    return [title, *hanging(Text(), look.say(view.reason), width, QUIET)]


def _cell(weight: float, later: bool, width: int, look: Look) -> Text:
    if later:
        return Text(_loud(weight, width), style=FUTURE)
    if weight == 0:
        return Text(look.glyphs.zero.rjust(width), style=QUIET)
    if not isfinite(weight):
        return Text("?".rjust(width), style=CAUTION)
    level = _level(weight)
    if width < PERCENT:
        return Text(look.glyphs.shades[level] * width, style=SHADES[level][1])
    return Text(_number(weight, width), style=SHADES[level][2])


def _level(weight: float) -> int:
    return next(
        (level for level, (bound, *_) in enumerate(SHADES) if weight < bound), len(SHADES) - 1
    )


def _number(weight: float, width: int) -> str:
    if width == PERCENT:
        return _percentage(weight).rjust(width)
    if weight < 0.00005:
        return "<.0001".rjust(width)
    return f"{weight:.4f}".removeprefix("0").rjust(width)


def _percentage(weight: float) -> str:
    """Two digits, so that neighbours stay apart; three only where the neighbours have nothing."""
    if weight <= 0.005:
        return "<1"
    return "100" if weight > 1 - 1e-9 else str(min(round(weight * 100), 99))


def _loud(weight: float, width: int) -> str:
    if width < PERCENT or not isfinite(weight):
        return "!" * width
    if width == PERCENT:
        return f"!{_percentage(min(weight, 0.99)):>2}"
    return ("!" + _number(weight, width - 1).strip()).rjust(width)


def _blank(views: Sequence[HeadView], windows: Windows) -> bool:
    """True where some cell's tokens were never read at once."""
    return not all(
        bool(met(windows, tuple(view.weights.shape), view.pool, view.origin).all())
        for view in views
    )


def _scale(layout: grid.Layout, blank: bool, width: int, look: Look) -> list[Text]:
    """The legend of the shades, each drawn as the map draws it."""
    entries = [Text(f"{look.glyphs.zero} exactly 0", style=QUIET)]
    if blank:
        entries.append(Text("blank: never read at once", style=QUIET))
    if not look.colour and layout.cell >= PERCENT:  # the numbers speak, the shades do not show
        percent = [] if layout.cell == DECIMALS else [Text("in percent")]
        return flow([*percent, *entries], ", ", width)
    lower = 0.0
    for level, (bound, colour, filled) in enumerate(SHADES):
        words = look.say(f" < {bound:.0%}" if level == 0 else f" ≥ {lower:.0%}")
        if layout.cell < PERCENT:
            glyph = look.glyphs.shades[level] * 2
            entries.append(Text.assemble((glyph, colour), (words, QUIET)))
        else:
            entries.append(Text(f"{words} ", style=filled))
        lower = bound
    return flow(entries, "   " if layout.cell < PERCENT else " ", width)


def _leak(view: HeadView, tokens: Tokens, look: Look) -> Text:
    """Where the strongest cell with weight on a later token is."""
    flat = torch.where(view.future, view.weights.nan_to_num(0.0), -1.0).argmax()
    row, column = divmod(int(flat), view.weights.shape[1])
    line = Text.assemble(("!", FUTURE), (" WEIGHT ON A LATER TOKEN", BAD))
    if view.pool > 1:
        return line
    weight, (query, key) = float(view.weights[row, column]), view.origin
    places = (query + row, key + column)
    names = [f"{grid.label_at(tokens, position)} ({position})" for position in places]
    words = f": {' → '.join(names)}, {weight:.4g}"
    return line.append(look.say(words), BAD)


if __name__ == "__main__":
    from rich.console import Console

    words = ("The", "cat", "sat")
    demo_tokens = Tokens(ids=(0, 1, 2), texts=words, labels=words, special=(False,) * 3)
    demo_weights = torch.tensor([[1.0, 0, 0], [0.8176, 0.1824, 0], [0.2327, 0.3837, 0.3836]])
    demo = HeadView(
        layer=0, head=0, reason="the only head", verified=True, difference=1e-9,
        weights=demo_weights.double(), future=demo_weights.triu(1) > 0, pool=1,
    )  # fmt: skip
    Console().print(heatmap(demo, demo_tokens))

"""The page that `attnscope mask` prints."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import MaskMap, MaskTables
from attnscope.render.broadcast import broadcast
from attnscope.render.header import header
from attnscope.render.mask_diff import mask_diff
from attnscope.render.mask_forms import Form, mask_form
from attnscope.render.mask_list import mask_list
from attnscope.render.mask_table import mask_table
from attnscope.render.palette import CAUTION, Fitted

FORMS: dict[str, Form] = {"binary": "binary", "additive": "additive", "bool": "bool"}
"""The forms by name; the picture has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskStyle:
    """In which form masks are shown."""

    form: Form | None = None
    """As numbers; None for the picture that `trace` draws."""
    listed: bool = False
    """In words instead of a table."""


def mask_page(tables: MaskTables, style: MaskStyle) -> RenderableType:
    """Each mask, or how two differ, or how one is broadcast; what a model read stands above."""
    parts: list[RenderableType] = []
    if tables.model:
        parts += [header(tables.model, tables.tokens)]
    if tables.diff:
        parts.append(mask_diff(tables.diff, tables.tokens))
    elif tables.broadcast:
        parts.append(broadcast(tables.broadcast))
    else:
        parts += [_drawn(mask, tables, style) for mask in tables.masks]
        if not tables.masks:
            parts.append(Text("No attention was seen, so there is no mask.", style=CAUTION))
    if tables.notes:
        parts.append(Group(*(_note(note) for note in tables.notes)))
    spaced = [thing for part in parts for thing in (Text(), part)]
    return Group(*spaced[1:])


def _drawn(mask: MaskMap, tables: MaskTables, style: MaskStyle) -> RenderableType:
    if style.listed:
        return mask_list(mask, tables.tokens)
    if style.form:
        return mask_form(mask, tables.tokens, style.form)
    return mask_table(mask, tables.tokens)


def _note(words: str) -> RenderableType:
    return Fitted(lambda _width, look: Text(look.say(words), style=CAUTION))


if __name__ == "__main__":
    import torch
    from rich.console import Console

    from attnscope.records import CELL_SEEN, Tokens

    names = ("The", "cat")
    demo = MaskTables(
        model=None,
        tokens=Tokens(ids=(0, 1), texts=names, labels=names, special=(False,) * 2),
        masks=(
            MaskMap(
                layers=(), form="bidirectional", pool=1, notes=(),
                cells=torch.full((2, 2), CELL_SEEN, dtype=torch.uint8),
            ),
        ),
    )  # fmt: skip
    Console().print(mask_page(demo, MaskStyle(listed=True)))

"""All vectors of one small head as matrices: what a textbook prints before it computes."""

from __future__ import annotations

from jaxtyping import Float
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text
from torch import Tensor

from attnscope.records import HeadVectors, Tokens
from attnscope.render.columns import columns
from attnscope.render.key_table import number
from attnscope.render.palette import QUIET, STRONG, Fitted, Look
from attnscope.text import fit, pad

LABEL = 8
"""Largest width of a token's label, in terminal cells."""
FEW = 4
"""Matrices stand side by side at most so many a line."""


def vectors(head: HeadVectors, tokens: Tokens) -> RenderableType:
    """Query, key and value of every token, and its output with and without the mask."""
    return Fitted(lambda width, look: _draw(head, tokens, width, look))


def _draw(head: HeadVectors, tokens: Tokens, width: int, look: Look) -> RenderableType:
    labels = look.read(tokens).labels
    blocks = [
        matrix(title, values, labels, look)
        for title, values in (
            ("queries", head.query),
            ("keys", head.key),
            ("values", head.value),
            ("outputs", head.output),
            ("outputs without the mask", head.unmasked),
        )
    ]
    return Group(*columns(blocks, width, FEW))


def matrix(
    title: str, values: Float[Tensor, "token number"], labels: tuple[str, ...], look: Look
) -> list[Text]:
    """One row of numbers a token under a title, as lines."""
    room = min(LABEL, max(cell_len(label) for label in labels))
    lines = [Text(title, style=STRONG)]
    for position, row in enumerate(values.tolist()):
        name = pad(fit(labels[position], room, look.glyphs.ellipsis), room)
        numbers = " ".join(number(value).rjust(7) for value in row)
        lines.append(Text.assemble((f"{position:>2} {name} ", QUIET), numbers))
    return lines


if __name__ == "__main__":
    import torch
    from rich.console import Console

    one = torch.eye(3, 4).double()
    demo = HeadVectors(query=one, key=one, value=one, output=one / 2, unmasked=one / 3)
    words = ("The", "cat", "sat")
    Console().print(
        vectors(demo, Tokens(ids=(0, 1, 2), texts=words, labels=words, special=(False,) * 3))
    )

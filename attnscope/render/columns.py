"""Blocks of lines side by side."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

GAP = 4
"""Terminal cells between two blocks."""

Block = Sequence[Text]
"""Lines that belong together."""


def columns(blocks: Sequence[Block], width: int, most: int) -> list[Text]:
    """The blocks in bands of at most `most`, filled evenly: five as 3 and 2, not 4 and 1."""
    if not blocks:
        return []
    size = max(line.cell_len for block in blocks for line in block) + GAP
    fit = max(1, min(most, (width + GAP) // size))
    bands = -(-len(blocks) // fit)
    each = -(-len(blocks) // bands)
    lines: list[Text] = []
    for start in range(0, len(blocks), each):
        lines += [Text()] if start else []
        lines += _beside(blocks[start : start + each])
    return lines


def _beside(blocks: Sequence[Block]) -> list[Text]:
    height = max(len(block) for block in blocks)
    widths = [max(line.cell_len for line in block) for block in blocks]
    lines = []
    for row in range(height):
        line = Text()
        for block, width in zip(blocks, widths, strict=True):
            part = block[row].copy() if row < len(block) else Text()
            line.append_text(part).append(" " * (width - part.cell_len + GAP))
        line.rstrip()
        lines.append(line)
    return lines


if __name__ == "__main__":
    from rich.console import Console

    demo = [[Text("one"), Text("two")], [Text("three")]]
    Console().print(*columns(demo, 40, 2), sep="\n")

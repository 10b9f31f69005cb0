"""Words beside a lead, wrapped so that the lines below start where the words start."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text

from attnscope.render.flow import flow

NARROWEST = 24
"""Columns that words need beside their lead; with fewer they start below it."""
STEP = 4
"""Indentation of words below their lead."""


def hanging(lead: Text, words: str, width: int, style: str = "") -> list[Text]:
    """The lead and the words, in lines of at most `width` cells as far as words can be parted."""
    indent = lead.cell_len
    longest = max(map(cell_len, words.split()), default=0)
    needed = max(min(NARROWEST, cell_len(words)), longest)
    if indent > STEP and width - indent < needed:
        alone = lead.copy()
        alone.rstrip()
        return [alone, *hanging(Text(" " * STEP), words, width, style)]
    lines = flow((Text(word, style=style) for word in words.split()), " ", width - indent)
    if not lines:
        return [lead]
    below = Text(" " * indent)
    # appended, so that the lead's own style stays its own
    first = Text().append_text(lead).append_text(lines[0])
    return [first, *(below + line for line in lines[1:])]


if __name__ == "__main__":
    from rich.console import Console

    demo = Text("ATN301 future-influence  ", style="bold")
    Console().print(*hanging(demo, "every later token was swapped, nothing moved " * 3, 60))

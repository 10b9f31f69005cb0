"""Phrases side by side, in lines that never break inside a phrase."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text


def flow(phrases: Iterable[Text], gap: str, width: int) -> list[Text]:
    """The phrases with `gap` between them, as many a line as the width holds."""
    lines: list[Text] = []
    for phrase in phrases:
        if lines and lines[-1].cell_len + len(gap) + phrase.cell_len <= width:
            lines[-1].append(gap).append_text(phrase)
        else:
            lines.append(Text().append_text(phrase))
    return lines


if __name__ == "__main__":
    from rich.console import Console

    Console().print(*flow([Text("one phrase"), Text("another", "bold")], " · ", 40))

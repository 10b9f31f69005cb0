"""A long text in windows that the model can read."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

from attnscope.errors import PromptError
from attnscope.records import Tokens


def in_windows(tokens: Tokens, size: int | None) -> tuple[Tokens, tuple[tuple[int, int], ...]]:
    """The tokens as they are read, and (first, past the last) of each window.

    Every token of the text is read once. The special tokens that start the text, a BOS as a rule,
    start every window, because models are used to them. Without a size there is one window.

    Raises PromptError for a size that leaves no room beside these.
    """
    if size is None or len(tokens) <= size:
        return tokens, ((0, len(tokens)),)
    start = sum(1 for _ in takewhile(bool, tokens.special))
    room = size - start
    if room < 2:
        raise PromptError(
            f"A window of {size} tokens is too small.",
            f"It needs at least {start + 2}: two tokens, and {start} special ones before them.",
        )
    order: list[int] = []
    windows = []
    for first in range(start, len(tokens), room):
        begin = len(order)
        order += [*range(start), *range(first, min(first + room, len(tokens)))]
        windows.append((begin, len(order)))
    return _picked(tokens, order), tuple(windows)


def _picked(tokens: Tokens, order: list[int]) -> Tokens:
    return replace(
        tokens,
        ids=tuple(tokens.ids[at] for at in order),
        texts=tuple(tokens.texts[at] for at in order),
        labels=tuple(tokens.labels[at] for at in order),
        special=tuple(tokens.special[at] for at in order),
    )

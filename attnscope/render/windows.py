"""A text that was read in several windows: which tokens met, and how to say so."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from attnscope.render.palette import counted

Windows = tuple[tuple[int, int], ...]
"""(first, past the last) position of each stretch that was read at once, in order."""


def met(
    windows: Windows, shape: tuple[int, ...], pool: int, origin: tuple[int, int]
) -> Bool[Tensor, "row column"]:
    """True for cells of `pool` x `pool` tokens, from `origin` on, in which any query and any key
    were read at once; without windows everything was.
    """
    if not windows:
        return torch.ones(shape, dtype=torch.bool)
    ends = torch.tensor([stop for _, stop in windows])
    sides = [
        [_window(ends, first + index * pool, pool) for index in range(size)]
        for size, first in zip(shape, origin, strict=True)
    ]
    rows, columns = (torch.tensor(side).reshape(-1, 2) for side in sides)
    first = torch.maximum(rows[:, None, 0], columns[None, :, 0])
    return first <= torch.minimum(rows[:, None, 1], columns[None, :, 1])


def _window(ends: Tensor, first: int, pool: int) -> tuple[int, int]:
    """The windows of the first and the last of `pool` tokens."""
    last = min(first + pool, int(ends[-1])) - 1
    window, later = torch.searchsorted(ends, torch.tensor([first, last]), right=True).tolist()
    return window, later


def reading(tokens: int, windows: Windows, seconds: float) -> str:
    """How much was read, in how many windows, in what time."""
    words = counted(tokens, "token")
    if len(windows) > 1:
        longest = max(stop - first for first, stop in windows)
        words += f", read in {len(windows):,} windows of {longest:,}"
    return words + (f", in {duration(seconds)}" if seconds > 0 else "")


def duration(seconds: float) -> str:
    """A time for people: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


if __name__ == "__main__":
    print(reading(35_214, ((0, 512), (512, 35_214)), 12.3))  # noqa: T201

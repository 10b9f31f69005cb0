"""Repeated random tokens: what teaches a small model induction, and what measures it.

A block of random tokens says nothing about its next token the first time and everything the second
time, if a head looks for the previous occurrence and reads what came after it (Olsson et al.,
"In-context learning and induction heads", 2022). Periods, prefixes and gaps are drawn at random:
with a handful of fixed periods a model learns fixed offsets instead.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

NO_SOURCE = -100
"""Marks a position that repeats nothing; cross-entropy ignores it as a label."""

_SHORTEST_PERIOD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Where a block repeats, all in tokens."""

    prefix: int
    """Random tokens before the block first comes."""
    period: int
    """Length of the block."""
    gap: int
    """Random tokens between one block and the next."""


def draw_pattern(length: int, generator: torch.Generator) -> Pattern:
    """Draw a pattern whose block comes at least once, and mostly twice or more, in `length`."""
    share = float(torch.rand((), generator=generator))
    # Evenly on a logarithmic scale: short periods are where induction is first learned.
    period = int(_SHORTEST_PERIOD * (length / 2 / _SHORTEST_PERIOD) ** share)
    return Pattern(
        prefix=_between(0, length // 4, generator),
        period=period,
        gap=_between(0, 1, generator) * _between(0, period, generator),
    )


def repeated_tokens(
    pattern: Pattern, length: int, vocabulary: range, generator: torch.Generator
) -> tuple[Int[Tensor, " length"], Int[Tensor, " length"]]:
    """Fill `length` positions with random tokens in which one block of distinct tokens repeats.

    Returns the token ids, and for every position that can be continued from an earlier block the
    position of the token after the previous occurrence, elsewhere `NO_SOURCE`.
    """
    count = len(vocabulary)
    tokens = vocabulary.start + torch.randint(count, (length,), generator=generator)
    block = vocabulary.start + torch.randperm(count, generator=generator)[: pattern.period]
    sources = torch.full((length,), NO_SOURCE)
    distance = pattern.period + pattern.gap
    for start in range(pattern.prefix, length, distance):
        end = min(start + pattern.period, length)
        tokens[start:end] = block[: end - start]
        if start > pattern.prefix:
            # The block's last token foretells nothing: a random token may follow it.
            sources[start : end - 1] = torch.arange(start, end - 1) - distance + 1
    return tokens, sources


def _between(low: int, high: int, generator: torch.Generator) -> int:
    return int(torch.randint(low, high + 1, (), generator=generator))

"""The kinds of mask that have a name.

Each is a whole mask of a language model, causal wherever it does not say otherwise, and means what
it means in `--expect`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from attnscope import masks
from attnscope.masks import Mask, causal

Numbers = tuple[int, ...]
"""What follows a kind's name."""

Make = Callable[[Numbers, int], Mask]
"""From the numbers and the number of tokens to a mask; ValueError says what does not fit."""


def _two_more(numbers: Numbers) -> int:
    return max(numbers, default=0) + 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of mask."""

    usage: str
    """How it is written: `sliding:W`."""
    words: str
    """Which keys a query sees."""
    pattern: str
    """Of what follows the name, as a regular expression."""
    make: Make
    """The mask itself."""
    needs: Callable[[Numbers], int] = _two_more
    """Tokens from which on it shows what it does."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.usage.partition(":")[0]


_SIZE, _LIST = r":([1-9]\d*)", r":(\d+(?:,\d+)*)"


def _packed(numbers: Numbers, tokens: int) -> Mask:
    if sum(numbers) != tokens:
        raise ValueError(f"these documents hold {sum(numbers)} tokens, and there are {tokens}")
    return causal() & masks.packed(numbers)


def _rows(numbers: Numbers, tokens: int) -> Mask:
    _require_positions(numbers, tokens)
    return causal() | masks.queries(numbers)


def _block(numbers: Numbers, tokens: int) -> Mask:
    _require_positions(numbers, tokens)
    first, last = numbers
    if first > last:
        raise ValueError("it ends before it begins")
    return causal() | masks.block(first, last)


def _left_pads(numbers: Numbers, tokens: int) -> Mask:
    return masks.padding((torch.arange(tokens) >= _pads(numbers, tokens))[None])


def _right_pads(numbers: Numbers, tokens: int) -> Mask:
    return masks.padding((torch.arange(tokens) < tokens - _pads(numbers, tokens))[None])


def _pads(numbers: Numbers, tokens: int) -> int:
    if numbers[0] > tokens:
        raise ValueError(f"there are {tokens} tokens")
    return numbers[0]


def _require_positions(positions: Sequence[int], tokens: int) -> None:
    outside = next((one for one in positions if one >= tokens), None)
    if outside is not None:
        raise ValueError(f"there is no position {outside}, they are 0 to {tokens - 1}")


KINDS = (
    Kind(
        usage="causal", words="itself and all before it", pattern="",
        make=lambda numbers, tokens: causal(),
    ),
    Kind(
        usage="bidirectional", words="every key", pattern="",
        make=lambda numbers, tokens: masks.everything(),
    ),
    Kind(
        usage="sliding:W", words="itself and the W - 1 keys before it", pattern=_SIZE,
        make=lambda numbers, tokens: causal() & masks.sliding(*numbers),
    ),
    Kind(
        usage="chunked:C", words="itself and what is before it in its chunk of C", pattern=_SIZE,
        make=lambda numbers, tokens: causal() & masks.chunked(*numbers),
    ),
    Kind(
        usage="prefix:P", words="the first P keys, and all before it (prefix-LM)", pattern=_SIZE,
        make=lambda numbers, tokens: causal() | masks.prefix(*numbers),
    ),
    Kind(
        usage="packed:N,N", words="itself and what is before it in its document of N",
        pattern=r":([1-9]\d*(?:,[1-9]\d*)*)", make=_packed, needs=sum,
    ),
    Kind(
        usage="padding:left:N", words="every key but the first N, which are pads",
        pattern=r":left:(\d+)", make=_left_pads,
    ),
    Kind(
        usage="padding:right:N", words="every key but the last N, which are pads",
        pattern=r":right:(\d+)", make=_right_pads,
    ),
    Kind(
        usage="row:I", words="query I (or I,J,…) every key, the others causal", pattern=_LIST,
        make=_rows,
    ),
    Kind(
        usage="block:I-J", words="positions I to J each other, all causal besides (an image)",
        pattern=r":(\d+-\d+)", make=_block,
    ),
    Kind(
        usage="first:N", words="the first N keys as far as they are not later (sinks)",
        pattern=_SIZE, make=lambda numbers, tokens: causal() & masks.prefix(*numbers),
    ),
)  # fmt: skip
"""In reading order."""


def layer_kind(layers: Mapping[int, Mask]) -> Kind:
    """`layer:I`: what a model that has run was handed in its layer I."""

    def look_up(numbers: Numbers, tokens: int) -> Mask:
        if numbers[0] not in layers:
            known = ", ".join(map(str, sorted(layers)))
            raise ValueError(f"the layers with attention are {known}")
        return layers[numbers[0]]

    words = "what the model hands to layer I"
    return Kind(usage="layer:I", words=words, pattern=r":(\d+)", make=look_up)

"""What `heads` can be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypedDict

from attnscope.errors import SelectionError

Part = tuple[int | None, int | None]
"""A part of the text as a Python slice: its first place, and one past the last."""


class AskedHeads(TypedDict, total=False):
    """The fields of `HeadsOptions`, as keywords."""

    layers: tuple[int, ...] | None
    views: tuple[tuple[int, int], ...]
    rows: Part | None
    keys: Part | None
    window: int | None
    windowed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsOptions:
    """What to measure, and what to draw."""

    layers: tuple[int, ...] | None = None
    """Decoder layers to look at, from 0; negative ones count from the last. None means all."""
    views: tuple[tuple[int, int], ...] = ()
    """(layer, head) of the heads to keep a heatmap of; negative numbers count from the last."""
    rows: Part | None = None
    """The queries of the heatmaps, of the tokens as they are read; None means all."""
    keys: Part | None = None
    """The keys of the heatmaps; None means all."""
    window: int | None = None
    """Tokens to read at once; None means as many as the model has positions for."""
    windowed: bool = True
    """False refuses a text that is longer than what is read at once."""

    def resolved(self, model: str, layers: int, heads: int, tokens: int) -> HeadsOptions:
        """The same with layers and heads counted from 0, for a model of so many (0: not known) and
        a text of so many tokens.

        Raises SelectionError for a layer, head or part of the text that is not there.
        """
        missing = f"{model} has no layer", f"{model} has no head"
        chosen = self.layers
        if chosen is not None:
            chosen = tuple(sorted({_counted(one, layers, missing[0]) for one in chosen}))
        numbered = (
            (_counted(layer, layers, missing[0]), _counted(head, heads, missing[1]))
            for layer, head in self.views
        )
        views = tuple(dict.fromkeys(numbered))
        for layer, head in views:
            if chosen is not None and layer not in chosen:
                raise SelectionError(
                    f"Layer {layer} of head {layer}:{head} is not among the layers asked for.",
                    "Ask for it too.",
                )
        rows, keys = placed(self.rows, tokens, "rows"), placed(self.keys, tokens, "keys")
        return replace(self, layers=chosen, views=views, rows=rows, keys=keys)


def placed(part: Part | None, tokens: int, name: str) -> tuple[int, int]:
    """A part of a text of so many tokens: its first place, and the one past its last.

    Raises SelectionError where it holds none.
    """
    first, past, _ = slice(*(part or (None, None))).indices(tokens)
    if first >= past:
        told = ":".join("" if one is None else str(one) for one in part or ())
        raise SelectionError(
            f"The {name} {told} hold no token: the text has {tokens:,}.", "Count from 0."
        )
    return first, past


def _counted(number: int, count: int, told: str) -> int:
    """A place among so many, from 0; where their number is not known, the place as it is given."""
    if count and not -count <= number < count:
        hint = f"They are 0 to {count - 1}, or -1 to -{count} from the last."
        raise SelectionError(f"{told} {number}.", hint)
    return number + count if number < 0 else number


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A number of every head by which heads can be put in order."""

    field: str
    """Of `HeadFocus`."""
    meaning: str
    """In a few words."""
    first: str
    """Which heads come first, in words."""
    lowest: bool = False
    """True where the smallest comes first."""


SORTS: Mapping[str, Column] = MappingProxyType({
    "entropy": Column(
        field="entropy", meaning="nats, 0 for one token only", first="most focused first",
        lowest=True,
    ),
    "distance": Column(
        field="distance", meaning="tokens back, a weighted mean", first="farthest first"
    ),
    "sink": Column(field="first_weight", meaning="on the first token", first="largest first"),
    "previous": Column(
        field="previous_weight", meaning="on the token before", first="largest first"
    ),
    "induction": Column(
        field="induction", meaning="just after earlier copies", first="largest first"
    ),
    "duplicate": Column(field="duplicate", meaning="on earlier copies", first="largest first"),
    "self": Column(field="self_weight", meaning="on its own position", first="largest first"),
})  # fmt: skip
"""What `--sort` takes; all but the first two are shares of a query's weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which heads come first, and how many are told."""

    sort: str = "entropy"
    """One of `SORTS`."""
    reverse: bool = False
    """The other end first; heads without a number come last either way."""
    top: int = 10
    """So many heads, and so many tokens."""

    @property
    def words(self) -> str:
        """What comes first, in words."""
        first = SORTS[self.sort].first
        return f"{first}, reversed" if self.reverse else first

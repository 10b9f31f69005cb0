"""What the experiments of `verify-mask` measured: the evidence that checks judge.

Positions count the tokens that were asked about, without pads and other tokens beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A module of the model."""

    module: str
    """Qualified name, for example `model.layers.3.self_attn`; empty where none could be told."""
    layer: int | None
    """Decoder layer, from 0; None outside the layers."""
    kind: str = ""
    """The module's class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """Is the instrument neutral, and does the model repeat itself?"""

    neutral: float
    """Largest difference between an observed and an unobserved run; 0.0 when bit-identical."""
    repeats: float
    """Largest difference between two identical runs."""
    seeded: float
    """The same with equal random state before each; 0.0 when chance alone explains `repeats`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """Which swapped position moves which: for the whole model its logits, for a module its output.

    Measured at equal shape, so in a clean model what may not move is 0.0 to the last bit.
    """

    swapped: tuple[int, ...]
    """The positions that were changed, one a run."""
    drift: Float[Tensor, "query swap"]
    """Largest change of each position's output; inf where a number became none or the reverse."""
    allowed: Bool[Tensor, "query swap"]
    """True where the declared visibility lets the swap move the position."""
    expected: Bool[Tensor, "query swap"]
    """True where it says that the swap is seen directly; all False where that is not known."""
    place: Place
    """What was asked; for a whole model the module where forbidden influence enters, once found."""
    rounding: str = ""
    """Why forbidden drift is rounding, in words; empty where there is none or it is not."""
    undecided: bool = False
    """True where what stood still could not be measured again in float64."""
    untold: bool = False
    """True where forbidden drift is as small as rounding among experts, and nothing that runs here
    can tell the one from the other."""
    beyond: bool = False
    """True where the declared visibility is narrower than causal: a window or a chunk."""
    own_or_later: bool = False
    """True where a position that moves a later output is seen well enough, as in a model that
    shifts its inputs; otherwise it must move its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Modules:
    """The maps of a model's modules, each replayed on its own."""

    maps: tuple[Influence, ...]
    """In the order in which they ran."""
    unreplayed: tuple[str, ...]
    """Modules that do not run on their recorded inputs: they were not judged."""
    undeclared: bool = False
    """True where nobody has said that a layer must see all that it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Do tokens that must not matter matter? Pads, other rows, other documents, rejected tokens."""

    what: str
    """What was changed, in words: `the pads`, `the other row`, …"""
    drift: Float[Tensor, " query"]
    """Largest change of each position's logits; 0.0 in a clean model."""
    place: Place
    """Where it enters, once found."""
    rounding: str = ""
    """As in `Influence`."""
    untold: bool = False
    """As in `Influence`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The same tokens by another way: how far apart are the logits?"""

    way: str
    """The other way, in words."""
    gap: Float[Tensor, " query"]
    """Largest difference of each position's logits."""
    limit: float
    """What rounding explains in this model and dtype; 0.0 where bit equality is asked."""
    finer: Agreement | None = None
    """The same on a float32 copy of a model in half precision, where rounding hides little; None
    where there is none."""
    routed: bool = False
    """True for models with experts, where rounding may send a token to another one."""

    @property
    def largest(self) -> float:
        """The largest difference of any position."""
        return float(self.gap.max())


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Cells of a mask that are not as declared."""

    count: int
    """How many, over all heads."""
    head: int
    """Head of the first one."""
    query: int
    """Its query."""
    key: int
    """Its key; of pads and other documents, counted in the whole row."""
    pattern: str
    """What they look like together, in words; empty when no pattern fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReading:
    """What one attention call's mask and weights say, for one row of the batch."""

    place: Place
    """Who made it."""
    problem: str
    """Why it cannot be judged, in words; the other fields are then blank."""
    verified: bool = False
    """The weights reproduce the kernel's output."""
    rounding: float = 0.0
    """Largest difference over what rounding explains; see `HeadFocus.rounding`."""
    future_weight: float = 0.0
    """Largest weight of a real query on a later key that is not declared visible."""
    future_at: tuple[int, int, int] | None = None
    """(head, query, key) of it."""
    nan_row: tuple[int, int] | None = None
    """(head, query) of the first real query whose output is no number."""
    blind_row: tuple[int, int] | None = None
    """(head, query) of the first real query that may see no key at all."""
    sum_gap: float | None = None
    """Largest distance of a row sum of the kernel's own weights from 1, sinks counted in; None
    where the kernel returned none."""
    sum_limit: float = 0.0
    """What rounding explains of it."""
    multiplied: bool = False
    """The kernel's own weights are a softmax over every key, multiplied by the mask."""
    ahead: Cells | None = None
    """Open cells on later keys."""
    beyond: Cells | None = None
    """Open cells before the declared window or chunk."""
    padding: Cells | None = None
    """Open cells on pads."""
    documents: Cells | None = None
    """Open cells on other documents."""
    missing: Cells | None = None
    """Closed cells that are declared visible."""
    out_of_reach: bool = False
    """True where the tokens do not reach beyond the declared window or chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """The attention calls of one run, read one by one."""

    calls: tuple[CallReading, ...]
    """In order, one a call and row."""
    unseen: tuple[str, ...]
    """Attention that could not be followed, in words."""
    heads: int
    """Attention heads a layer that the config names; 0 for models without attention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The smallest leak that the instrument sees in this model, backend and dtype."""

    weight: float | None
    """Smallest weight of one planted cell in one head of the last mixer that moved something; None
    when not even a weight of 1 did."""
    place: Place
    """Where it was planted."""
    dtype: str
    """In which arithmetic."""

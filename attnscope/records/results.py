"""What was measured: masks as maps, heads in numbers, one query by hand, and the proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from attnscope.records.calls import ModelInfo, Tokens

Role = Literal[
    "induction", "duplicate-token", "previous-token", "sink", "self", "local", "broad", "mixed"
]

CELL_SEEN, CELL_BLOCKED, CELL_FUTURE_SEEN, CELL_FUTURE_BLOCKED = 1, 2, 4, 8
"""Bits of one cell of a mask map. A cell that stands for a square of tokens is the bitwise OR of
theirs, so its worst token is never averaged away."""

DIFF_BOTH, DIFF_NEITHER, DIFF_FIRST, DIFF_SECOND = 1, 2, 4, 8
"""Bits of one cell of two masks held against each other: which of them leave it open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskMap:
    """One distinct delivered mask and the layers that share it."""

    layers: tuple[int, ...]
    """The layers whose calls were handed this mask."""
    form: str
    """How it arrived, in words (see `AttentionCall.mask_form`)."""
    cells: UInt8[Tensor, "query key"]
    """`CELL_…` bits; one cell stands for `pool` x `pool` tokens."""
    pool: int
    """Tokens along one side of a cell; 1 means exact."""
    notes: tuple[str, ...]
    """Plain-words remarks: heads that differ, arguments that the kernel ignored."""

    @property
    def leaves_open(self) -> bool:
        """True when any query may see a later key."""
        return bool((self.cells & CELL_FUTURE_SEEN).any())


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFocus:
    """Where one head looks, over all queries of the prompt. Means are over queries."""

    layer: int
    """Decoder layer, from 0."""
    head: int
    """Query head, from 0."""
    kv_head: int
    """The key/value head that it shares."""
    entropy: float
    """Mean entropy of a query's weights, in nats."""
    distance: float
    """Mean distance from query to key, weighted, in tokens; keys ahead count as negative."""
    strongest_key: int
    """The key position that receives most weight, summed over queries."""
    self_weight: float
    """Mean weight on the query's own position, from the second query on."""
    previous_weight: float
    """Mean weight on the position before, from the second query on."""
    first_weight: float
    """Mean weight on position 0, from the third query on: there it is neither self nor previous."""
    local_weight: float | None
    """Mean weight on the query's own and the 3 positions before it, over queries that see at least
    8 keys; None when there is none."""
    broad: float
    """Entropy over its largest possible value (log of the visible keys), 0 to 1."""
    induction: float | None
    """Mean weight on tokens that follow an earlier occurrence of the query's token; None without
    repeats."""
    duplicate: float | None
    """Mean weight on earlier occurrences of the query's token; None without repeats."""
    future_weight: float
    """Largest weight on any key after its query: 0.0 in a causal head."""
    role: Role
    """The pattern that fits best."""
    role_score: float
    """That pattern's score, 0 to 1."""
    compared: int
    """Rows whose output was recomputed: in a trace in float64, in `heads` in float32 and along one
    direction of random signs."""
    verified: bool
    """True when the recomputed output of each of these rows matches the kernel's own within
    rounding; where the kernel's mask was not seen, also at least one row must be one that a wider
    mask would move."""
    difference: float
    """Largest difference between recomputed and kernel output, in `heads` along a direction of unit
    length; NaN if none was recomputed."""
    rounding: float
    """Largest ratio of a row's difference to what rounding explains there, at most 1 in a verified
    head; see `measure.rounding` and `measure.stream_focus`. NaN as for `difference`."""
    noticed: int
    """Rows in which one more open key would have moved the output beyond the limit."""
    noticeable: int
    """Rows that have a next key to open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadView:
    """One head's weights, for the heatmap."""

    layer: int
    """Decoder layer."""
    head: int
    """Query head."""
    reason: str
    """Why this head is shown, in plain words."""
    verified: bool
    """As in `HeadFocus`."""
    difference: float
    """As in `HeadFocus`."""
    weights: Float[Tensor, "query key"]
    """Float64. One cell holds the weight that `pool` queries give to `pool` keys, a mean over the
    queries and a sum over the keys."""
    future: Bool[Tensor, "query key"]
    """True for cells with any weight on a key after its query."""
    pool: int
    """Tokens along one side of a cell; 1 means exact."""
    origin: tuple[int, int] = (0, 0)
    """Positions of the first query and the first key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandTrace:
    """One query of one head, step by step, in float64. Vectors over keys cover all keys."""

    layer: int
    """Decoder layer."""
    head: int
    """Query head."""
    query_index: int
    """The query's position."""
    query: Float[Tensor, " d"]
    """Its query vector."""
    dots: Float[Tensor, " key"]
    """query · key."""
    scale: float
    """Factor on the dot product."""
    softcap: float | None
    """See `AttentionCall.softcap`."""
    scaled: Float[Tensor, " key"]
    """The score that enters the softmax: scaled, capped, with position bias; blocked keys without
    the mask's own term."""
    allowed: Bool[Tensor, " key"]
    """True where the mask lets the query see the key."""
    exponentials: Float[Tensor, " key"]
    """exp(score - largest visible score); 0 where blocked."""
    sink: float | None
    """The sink's exponential, part of the denominator; None without one."""
    denominator: float
    """Sum of the exponentials."""
    weights: Float[Tensor, " key"]
    """Exponential over denominator."""
    output: Float[Tensor, " d_v"]
    """Weighted sum of the values."""
    value_lengths: Float[Tensor, " key"]
    """Length of each key's value vector: what a weight is a share of."""
    kernel_output: Float[Tensor, " d_v"]
    """What the model's own kernel gave."""
    verified: bool
    """As in `HeadFocus`, for the whole head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadVectors:
    """One head's vectors for every token of a short prompt, in float64."""

    query: Float[Tensor, "query d"]
    """As the kernel received them, one row a token."""
    key: Float[Tensor, "key d"]
    """As the kernel received them."""
    value: Float[Tensor, "key d_v"]
    """As the kernel received them."""
    output: Float[Tensor, "query d_v"]
    """Weighted sums of the values under the delivered mask."""
    unmasked: Float[Tensor, "query d_v"]
    """The same with every key visible: what the mask takes away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was inspected above the diagonal, and how far it can be trusted."""

    state: Literal["clean", "leak", "unchecked"]
    """Clean: cells inspected, all weights on later tokens 0, no mask that leaves a later token
    open, every head verified, and nothing unchecked. Leak: a weight on a later token, or a verified
    head whose mask leaves one open. Everything else is unchecked."""
    layers: int
    """Layers whose attention was seen."""
    heads: int
    """Largest number of heads of a layer."""
    future_cells: int
    """Cells with key after query that were inspected, over all layers and heads."""
    future_max: float
    """The largest weight among them."""
    future_at: tuple[int, int, int, int] | None
    """(layer, head, query, key) of that weight; None when it is 0."""
    recompute_max_diff: float
    """Largest difference between recomputed and kernel output; NaN if none was recomputed."""
    rounding: float
    """Largest ratio of a difference to what rounding explains; more than 1 is no rounding."""
    noticed: int
    """Rows, over all layers and heads, in which one more open key would have been noticed."""
    noticeable: int
    """Rows that have a next key to open."""
    verified: bool
    """True when every head is; False also when there was nothing to compare."""
    unverified: tuple[tuple[int, int], ...]
    """(layer, head) of the heads that are not."""
    unchecked: tuple[str, ...]
    """What was not looked at, in words: attention that was not understood, layers without any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Everything that `attnscope trace` shows."""

    model: ModelInfo
    """What ran."""
    tokens: Tokens
    """What it read."""
    masks: tuple[MaskMap, ...]
    """Distinct delivered masks, in order of first appearance."""
    focus: tuple[HeadFocus, ...]
    """One a layer and head, in order."""
    views: tuple[HeadView, ...]
    """The heads shown as heatmaps, the first one traced by hand; none without attention."""
    hand: HandTrace | None
    """The query traced step by step; None when it could not be recomputed."""
    vectors: HeadVectors | None
    """That head's vectors where they are few and small enough to be read, else None."""
    proof: Proof
    """What was proven."""
    notes: tuple[str, ...]
    """Plain-words remarks about the run, for example that the model has no attention."""

    @property
    def view(self) -> HeadView | None:
        """The first of the heads shown; None where there is none."""
        return self.views[0] if self.views else None

"""What `attnscope compare` shows: one head, and the whole model, under two masks."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from attnscope.records.calls import ModelInfo, Tokens
from attnscope.records.results import HeadView


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadComparison:
    """One head under its own mask, as the kernel was handed it, and under another one."""

    own: HeadView
    """Its weights under its own mask."""
    other: HeadView
    """Its weights, from the same queries and keys, under the other mask."""
    difference: Float[Tensor, "query key"]
    """Own minus other, cells as in the views."""
    own_output: Float[Tensor, "query d_v"]
    """Weighted sums of the values under its own mask, float64."""
    other_output: Float[Tensor, "query d_v"]
    """The same under the other mask."""
    hidden: Int[Tensor, " query"]
    """Keys that the other mask shows a query and its own mask hides."""
    hidden_weight: Float[Tensor, " query"]
    """Weight on these keys under the other mask, 0 to 1: what its own mask takes away."""
    shown: Int[Tensor, " query"]
    """Keys that its own mask shows a query and the other mask hides."""
    shown_weight: Float[Tensor, " query"]
    """Weight on these keys under its own mask, 0 to 1: what the other mask takes away."""
    moved: Float[Tensor, " query"]
    """Length of the difference between both outputs over the length of the other output."""
    lost: Bool[Tensor, "query d_v"]
    """Dimensions of the output that are something under the other mask and exactly 0 under its own.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a model expects next."""

    token: int
    """The likeliest token's id."""
    label: str
    """Its text, safe to print."""
    loss: float
    """-log of the probability that it gives to the token that really comes, in nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Answers exchanged for others: does the guess follow what it should not know?"""

    position: int
    """Whose guess is watched; the answer stands right after it."""
    answer: str
    """The token that stands there."""
    other: str
    """Of the tokens that were put in its place, the one whose probability grew most."""
    before: float
    """Probability of that token under the other mask, before it was put in."""
    after: float
    """The same when it stands there."""
    tried: int
    """How many tokens were put in."""
    followed: int
    """How many of them got likelier, under the other mask, by standing there."""
    own_move: float
    """Largest change of any logit at that position over all of them, under the model's own masks.
    """
    own_limit: float
    """What rounding explains of `own_move`: 0.0, but for experts that cannot be computed apart."""
    other_move: float
    """The same as `own_move` under the other mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossComparison:
    """The whole model under its own masks, and with another one in every attention layer."""

    own: tuple[Guess, ...]
    """For each position but the last, what is expected after it."""
    other: tuple[Guess, ...]
    """The same under the other mask."""
    leak: Leak
    """Where the other mask helps most, among the positions to which it shows the next token."""

    @property
    def own_loss(self) -> float:
        """Mean loss, in nats a token."""
        return sum(guess.loss for guess in self.own) / len(self.own)

    @property
    def other_loss(self) -> float:
        """Mean loss under the other mask."""
        return sum(guess.loss for guess in self.other) / len(self.other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that `attnscope compare` shows."""

    model: ModelInfo
    """What ran."""
    tokens: Tokens
    """What it read."""
    against: str
    """The other mask, in words."""
    head: HeadComparison | None
    """None where no head could be recomputed."""
    whole: LossComparison | None
    """None where the model's masks cannot be exchanged."""
    notes: tuple[str, ...]
    """Remarks in words."""

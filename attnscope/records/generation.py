"""What `attnscope generate` shows: a text made token by token, and what a cheat does to it."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from attnscope.records.calls import ModelInfo, Tokens
from attnscope.records.results import MaskMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A token that may come next."""

    token: int
    """Its id."""
    label: str
    """Its text, safe to print."""
    probability: float
    """What the model gives it, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRow:
    """The newest query's row of the mask, as its kernel was handed it."""

    layers: tuple[int, ...]
    """The layers that were handed the same."""
    first_key: int
    """Position of the first key that is still there; a sliding cache lets go of the oldest."""
    allowed: Bool[Tensor, " key"]
    """Which of the keys from there on the query may see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWeights:
    """Where the newest query of one head looks."""

    layer: int
    """Decoder layer."""
    head: int
    """Query head."""
    first_key: int
    """Position of the first key."""
    weights: Float[Tensor, " key"]
    """Recomputed in float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheState:
    """The cache after a step, held against what it was before."""

    kind: str
    """`key/value`, or `state` for layers that keep one state of fixed size."""
    layers: tuple[int, ...]
    """The layers whose cache is of this shape."""
    shape: tuple[int, ...]
    """Of one tensor of keys, (batch, kv_head, key, d), or of the first state."""
    value_shape: tuple[int, ...]
    """Of one tensor of values; of a state the same as `shape`."""
    bytes: int
    """Of all these layers together."""
    first_new: int
    """Position from which on entries are new."""
    end: int
    """Position after the last entry; 0 for a state."""
    dropped: int
    """Entries that were let go in this step, as they lie outside the window."""
    unchanged: bool | None
    """True when every old entry that is still there is the same bit for bit; None where there are
    none, and for states, which are written anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """What one way to make a step costs."""

    tokens: int
    """Tokens that went through the model."""
    products: int
    """Query · key products, over all layers and heads, counted where the kernels were called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One token read (the whole prompt in the first step) and one chosen."""

    read: int
    """Position of the newest token that was read."""
    candidates: tuple[Candidate, ...]
    """The likeliest next tokens, the chosen one first."""
    rows: tuple[NewRow, ...]
    """The newest row of each distinct mask."""
    weights: NewWeights | None
    """One head's newest row; None where no head could be recomputed."""
    cache: tuple[CacheState, ...]
    """One entry for each shape of cache; none where the model returns no cache."""
    drift: float
    """Largest difference of any logit from a forward pass over the whole text without a cache; of a
    model in half precision, on a copy in float32 where there is one."""
    cached: StepCost
    """What the step cost."""
    full: StepCost
    """What it costs without a cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Everything that `attnscope generate` shows."""

    model: ModelInfo
    """What ran."""
    prompt: Tokens
    """What it was given."""
    tokens: Tokens
    """The prompt and what was generated."""
    steps: tuple[Step, ...]
    """One a generated token."""
    masks: tuple[MaskMap, ...]
    """The mask of each group of layers as it grew: the prompt's rows, then one row a step."""
    limit: float
    """What rounding explains of a step's `drift`, measured on this model and text; NaN where
    `untold` says why both cannot be compared."""
    untold: str
    """Why a step and the whole text cannot be compared, in words; empty where they are."""
    reason: str
    """Why this head's weights are shown, in plain words; empty where there are none."""
    notes: tuple[str, ...]
    """Remarks in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenToken:
    """One token of a given continuation: how it was expected in three ways."""

    position: int
    """Where it stands."""
    label: str
    """Its text, safe to print."""
    masked: Candidate
    """The likeliest token with the model's own masks."""
    masked_loss: float
    """-log of the probability of the given token, in nats."""
    cheating: Candidate
    """The likeliest token with every mask taken away and the whole text there."""
    cheating_loss: float
    """The loss of it."""
    alone: Candidate
    """The likeliest token with every mask taken away and nothing there yet of what comes."""
    alone_loss: float
    """The loss of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cheat:
    """A continuation read with the future in view, and what is left when there is no future."""

    model: ModelInfo
    """What ran."""
    tokens: Tokens
    """Prompt and continuation."""
    start: int
    """Position of the continuation's first token."""
    answers: tuple[GivenToken, ...]
    """One a token of the continuation."""
    masked_text: str
    """What the model writes after the prompt with its own masks."""
    cheating_text: str
    """What it writes with every mask taken away."""
    masked_move: int
    """How many of the prompt's keys and values change when the token after it is another one."""
    cheating_move: int
    """The same with every mask taken away."""
    stored: int
    """All keys and values of the prompt that its attention was handed, in numbers; 0 where no
    change can be told from rounding."""
    notes: tuple[str, ...]
    """Remarks in words."""

    def mean(self, way: str) -> float:
        """Mean loss of `masked`, `cheating` or `alone`, in nats a token."""
        losses = [float(getattr(answer, f"{way}_loss")) for answer in self.answers]
        return sum(losses) / len(losses)

"""What ran, what it read, and what its attention kernels received."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from attnscope.masks import Mask

ScoreMod = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""FlexAttention's hook on one score: (score, batch, head, query, key) -> score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What was loaded, in words that a bug report needs."""

    name: str
    """As asked for: a bundled name, a hub id or a directory."""
    architecture: str
    """The model's class, for example `LlamaForCausalLM`."""
    parameters: int
    """Number of parameters, shared ones counted once."""
    layers: int
    """Decoder layers according to the config (0 if it does not say)."""
    heads: int
    """Query heads a layer according to the config (0 if it does not say)."""
    kv_heads: int
    """Key/value heads a layer according to the config; equal to `heads` without grouping."""
    device: str
    """Where it runs, for example `cpu` or `cuda:0`."""
    dtype: str
    """The parameters' dtype, for example `float32`."""
    backend: str
    """The attention implementation it runs: `eager`, `sdpa`, `flex_attention`, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The prompt as the model reads it. All tuples have one entry a token."""

    ids: tuple[int, ...]
    """Vocabulary indices, specials included."""
    texts: tuple[str, ...]
    """The tokens as text, as they are: may hold control characters and markup."""
    labels: tuple[str, ...]
    """The tokens as text that is safe to print, made by `attnscope.text`."""
    special: tuple[bool, ...]
    """True for tokens such as a BOS that the tokenizer or a chat template added."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What the model offered at transformers' attention interface, before any kernel saw it."""

    implementation: str
    """The attention implementation that was asked for, for example `sdpa`."""
    mask: Any
    """The mask argument: a tensor, a FlexAttention BlockMask or None."""
    is_causal: bool | None
    """The `is_causal` argument, or None where the model passed none."""
    scale: float | None
    """The `scaling` argument: factor on query · key."""
    window: int | None
    """The `sliding_window` argument, in tokens."""
    softcap: float | None
    """The `softcap` argument: scores become softcap · tanh(score / softcap)."""
    sinks: Tensor | None
    """The `s_aux` argument: one learned extra logit a head that takes weight and gives no value."""
    position_bias: Tensor | None
    """The `position_bias` argument: added to the scores, shape (1|batch, head, query, key)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionCall:
    """One attention computation as the kernel received it, and what came out.

    The weights are `softmax(mask(softcap(scale · query · key) + bias))`, with one more column for
    the sinks; heads of `query` share the heads of `key` and `value` in equal groups.
    """

    index: int
    """Position of this call among the calls of one forward pass, from 0."""
    layer: int
    """Decoder layer, from 0; the call's index where no layer can be told."""
    module: str
    """Qualified name of the module that made the call, for example `model.layers.3.self_attn`."""
    kernel: str
    """What computed it: `scaled_dot_product_attention`, `softmax`, `flex_attention`, …"""
    query: Float[Tensor, "batch head query d"] | None
    """None when the scores could not be traced back to a query · key product."""
    key: Float[Tensor, "batch kv_head key d"] | None
    """As the kernel received it; None as for `query`."""
    value: Float[Tensor, "batch kv_head key d_v"]
    """As the kernel received it."""
    mask: Mask
    """What the kernel was really handed, `is_causal` included."""
    mask_form: str
    """How the mask arrived, in words: `is_causal`, `boolean tensor`, `BlockMask`, `none`, …"""
    scale: float
    """Factor on query · key."""
    softcap: float | None
    """Scores become softcap · tanh(score / softcap); None without one."""
    bias: tuple[Tensor, ...]
    """Added to the scores; each broadcasts to (batch, head, query, key). Additive masks are among
    them."""
    score_mod: ScoreMod | None
    """FlexAttention's hook; where there is one it stands for `softcap` and `bias`."""
    sinks: Float[Tensor, " head"] | None
    """One extra logit a head that the kernel really used."""
    output: Float[Tensor, "batch head query d_v"]
    """The kernel's own output."""
    weights: Float[Tensor, "batch head query key"] | None
    """The kernel's own weights, if it returned any."""
    offered: Offered | None
    """What the model offered at the interface; None for calls made outside it."""
    witnessed: bool
    """False where the kernel's own call was not seen and the offered arguments stand in."""
    unexplained: str | None
    """Why this record cannot be trusted to be what happened, in words; None where it can."""

    @property
    def queries(self) -> int:
        """Number of query positions."""
        return self.output.shape[2]

    @property
    def keys(self) -> int:
        """Number of key positions."""
        return self.value.shape[2]

    @property
    def heads(self) -> int:
        """Number of query heads."""
        return self.output.shape[1]

    @property
    def offset(self) -> int:
        """Position of query 0 among the keys."""
        return self.keys - self.queries


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """Attention that began and could not be followed: it was not checked."""

    module: str
    """Qualified name of the module that was running."""
    shape: tuple[int, ...] | None
    """Of the softmax's weights; None when there were none to see."""
    reason: str
    """What was not understood, in words."""

    def over(self, tokens: int) -> bool:
        """True unless it is known to be a softmax over something else than that many tokens."""
        return self.shape is None or (len(self.shape) > 2 and self.shape[-2:] == (tokens, tokens))

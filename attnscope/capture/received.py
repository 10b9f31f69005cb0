"""What a kernel received: the witness, in one form for every kernel."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from attnscope.masks import Mask
from attnscope.records import ScoreMod


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One call of an attention kernel, with its own arguments. Fields as in `AttentionCall`."""

    kernel: str
    query: Tensor | None
    key: Tensor | None
    value: Tensor
    mask: Mask
    mask_form: str
    scale: float = 1.0
    softcap: float | None = None
    bias: tuple[Tensor, ...] = ()
    score_mod: ScoreMod | None = None
    sinks: Tensor | None = None
    output: Tensor
    weights: Tensor | None = None
    witnessed: bool = True
    unexplained: str | None = None


def mask_words(mask: object, is_causal: bool) -> str:
    """How a mask arrived at a kernel, in words."""
    if mask is None:
        return "is_causal" if is_causal else "none"
    if type(mask) is Tensor:
        kind = str(mask.dtype).removeprefix("torch.")
        return "boolean tensor" if kind == "bool" else f"additive {kind} tensor"
    return type(mask).__name__

"""A model with random weights at a scale where every position moves."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

Maker = Callable[..., Any]
"""A config, and options as keywords, to a model."""

GAIN = 1.5
"""How far above the usual scale weights are drawn: scores spread enough for attention to choose."""


def build(
    config: PreTrainedConfig,
    seed: int = 0,
    backend: str | None = None,
    dtype: torch.dtype = torch.float32,
    make: Maker | None = None,
) -> PreTrainedModel:
    """A CPU model in eval mode with random weights; no global random state changes.

    A fresh initialisation is so small that many positions hardly move the logits, so its draws are
    enlarged. `backend` is an attention implementation; None leaves the choice to transformers.
    `make` is the `from_config` of an auto class; None is that of `AutoModelForCausalLM`.
    """
    causal: Any = AutoModelForCausalLM
    chosen = {} if backend is None else {"attn_implementation": backend}
    config = copy.deepcopy(config)
    _set_dtype(config, dtype)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = (make or causal.from_config)(config, dtype=dtype, **chosen)
        for parameter in model.parameters():
            _enliven(parameter.data)
    return model.eval()  # type: ignore[no-any-return]


def _set_dtype(config: PreTrainedConfig, dtype: torch.dtype) -> None:
    """Nested configs too: a text config's own dtype may win over the one that is asked for."""
    config.dtype = dtype
    for nested in vars(config).values():
        if isinstance(nested, PreTrainedConfig):
            _set_dtype(nested, dtype)


def _enliven(weights: Tensor) -> None:
    """Enlarge what was drawn small, stir what is constant, leave what was set on purpose."""
    if not weights.is_floating_point() or weights.numel() < 2:
        return
    spread = weights.std().item()
    if spread == 0.0:
        weights.add_(torch.randn(weights.shape) * 0.1)
    elif spread < 0.25 and abs(weights.mean().item()) < 0.05:
        fan = math.sqrt(weights.shape[-1] * weights.shape[-2]) if weights.dim() > 1 else 1.0
        weights.mul_(GAIN / math.sqrt(fan) / spread)

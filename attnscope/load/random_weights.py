"""A model from its config alone: the same wiring, random weights, small enough to run anywhere.

A mask is decided by code and config, so most leaks show without the checkpoint; those that only
certain weights bring about do not.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from attnscope.errors import LoadError
from attnscope.load.options import LoadOptions
from attnscope.shrink import HIDDEN, VOCAB, build, longest_window, shrink

SMALL = 20_000_000
"""Parameters up to which a model is built in its own size."""

SHORT = 64
"""Longest window of a model that is built in its own size: a prompt of twice its length is short.
"""

LARGEST = 500_000_000
"""Parameters above which a shrunken model is refused: some size in its config was not understood.
"""


def reduce(config: PreTrainedConfig, auto_model: Any, options: LoadOptions) -> PreTrainedConfig:
    """A config to build here: `config` itself where it is small, else a shrunken copy.

    Raises `LoadError` for a config that stays large.
    """
    make = _maker(auto_model, options)
    if longest_window(config) <= SHORT and _parameters(config, make) <= SMALL:
        return config
    small = shrink(config)
    left = _parameters(small, make)
    if left > LARGEST:
        raise LoadError(
            f"{options.model} cannot be made small: {left // 10**6} million parameters are left.",
            "Its config has sizes that attnscope.shrink does not know; --weights real needs none.",
        )
    return small


def build_random(
    config: PreTrainedConfig, auto_model: Any, options: LoadOptions
) -> PreTrainedModel:
    """The model on the CPU, its weights drawn from the seed."""
    return build(
        config,
        seed=options.seed,
        backend=None if options.backend == "auto" else options.backend,
        dtype=torch.float32 if options.dtype == "auto" else getattr(torch, options.dtype),
        make=_maker(auto_model, options),
    )


def random_remark(layers: int, *, shrunken: bool) -> str:
    """What a reader must know about a model with random weights."""
    size = f", shrunken to {layers} layer{'s' * (layers != 1)} of width {HIDDEN}"
    return f"random weights{size * shrunken}: the wiring was verified, not the checkpoint"


def no_tokenizer(name: str) -> str:
    """Why a shrunken model has no tokenizer."""
    return f"{name} was shrunken to a vocabulary of {VOCAB}, which its tokenizer does not fit"


def _maker(auto_model: Any, options: LoadOptions) -> partial[PreTrainedModel]:
    return partial(auto_model.from_config, trust_remote_code=options.trust_remote_code)


def _parameters(config: PreTrainedConfig, make: partial[PreTrainedModel]) -> int:
    """The number of parameters, counted without memory for them."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return make(copy.deepcopy(config), dtype=torch.float32).num_parameters()

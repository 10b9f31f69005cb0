"""Architectures that are clean: on none of them may any check find anything."""

from __future__ import annotations

from typing import Any

import torch
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel

from attnscope.shrink import build, shrink

DENSE = ("gpt2", "gptj", "gpt_neox", "llama", "phi", "stablelm", "smollm3", "olmo2", "granite")
GROUPED = ("qwen3", "glm4", "starcoder2")
WINDOW = ("mistral", "gemma2", "gemma3_text", "cohere2", "gpt_neo", "modernbert-decoder")
SINKS = ("gpt_oss",)
EXPERTS = ("mixtral", "olmoe", "qwen2_moe", "jetmoe")
LATENT = ("deepseek_v3",)
LEARNED_POSITIONS = ("opt", "biogpt", "bart", "xglm")
BIASED_BY_DISTANCE = ("bloom", "mpt")
TWO_MAPS = ("diffllama",)
NO_CACHE = ("openai-gpt",)
ENCODERS = ("bert", "roberta")
HYBRID = ("jamba", "lfm2", "falcon_h1")
NO_ATTENTION = ("mamba", "mamba2", "falcon_mamba", "rwkv")

CLEAN = (
    *DENSE, *GROUPED, *WINDOW, *SINKS, *EXPERTS, *LATENT, *LEARNED_POSITIONS, *BIASED_BY_DISTANCE,
    *TWO_MAPS, *NO_CACHE, *ENCODERS, *HYBRID, *NO_ATTENTION,
)  # fmt: skip
"""Encoder families are asked as decoders."""

QUICK = ("gpt2", "llama", "gemma2", "gpt_oss", "mixtral", "bloom", "openai-gpt", "bert", "mamba")
"""One of each trap, for the default run."""

FLEX = ("llama", "mistral", "qwen3", "gemma2", "olmo2", "mixtral")
"""Asked on flex_attention too."""

CHANGES: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 8},
    "qwen3": {"num_key_value_heads": 8},
    "bert": {"is_decoder": True},
    "roberta": {"is_decoder": True},
}


def config_of(name: str) -> PreTrainedConfig:
    """The small config of an architecture."""
    return shrink(CONFIG_MAPPING[name](**CHANGES.get(name, {})))


def model_of(name: str, seed: int, dtype: str, backend: str | None = None) -> PreTrainedModel:
    """A small model with random weights."""
    return build(config_of(name), seed=seed, backend=backend).to(getattr(torch, dtype))

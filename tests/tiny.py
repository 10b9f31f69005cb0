"""Small seeded models of the acceptance architectures, for every test that needs a live model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedConfig, PreTrainedModel

from attnscope.load import LoadedModel
from attnscope.load.describe import describe
from attnscope.shrink import build, shrink

torch.set_num_threads(1)  # models this small only wait for each other's threads

TINY: dict[str, Callable[[], PreTrainedConfig]] = {
    "gpt2": lambda: shrink(transformers.GPT2Config()),
    "llama": lambda: shrink(transformers.LlamaConfig(num_key_value_heads=8)),
    "mistral": lambda: shrink(transformers.MistralConfig()),
    "gemma2": lambda: shrink(transformers.Gemma2Config()),
    "gpt_oss": lambda: shrink(transformers.GptOssConfig()),
    "mixtral": lambda: shrink(transformers.MixtralConfig()),
    "qwen3": lambda: shrink(transformers.Qwen3Config(num_key_value_heads=8)),
    "bloom": lambda: shrink(transformers.BloomConfig()),
    "gpt_neo": lambda: shrink(transformers.GPTNeoConfig()),
    "falcon": lambda: shrink(transformers.FalconConfig()),
    "mamba": lambda: shrink(transformers.MambaConfig()),
}
"""Architecture to a function that makes its small config: llama and qwen3 with grouped heads,
mistral with a window, gemma2 with a softcap and alternating windows, gpt_oss with sinks."""


def tiny(name: str, backend: str | None = None, seed: int = 0, **overrides: Any) -> PreTrainedModel:
    """A small model in eval mode; `overrides` are set on its config before it is built."""
    config = TINY[name]()
    for field, value in overrides.items():
        setattr(config, field, value)
    return build(config, seed=seed, backend=backend)


def save_tiny(name: str, directory: Path) -> Path:
    """Write a small model's config and weights, without a tokenizer, and return the directory."""
    tiny(name).save_pretrained(directory)
    return directory


def in_memory(model: PreTrainedModel, name: str = "tiny") -> LoadedModel:
    """A model as `load` would have returned it, without a tokenizer."""
    return LoadedModel(
        model=model,
        tokenizer=None,
        tokenizer_problem="it has none",
        info=describe(model, name),
        default_prompt="",
        unused_weights=(),
    )

"""Architectures that are clean: on none of them may any check find anything."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel

from attnscope.report import Report
from attnscope.shrink import build, shrink
from attnscope.verification import VerifyOptions, verify_model
from tests.tiny import in_memory

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

QUICK = ("gpt2", "gemma2", "gpt_oss", "openai-gpt", "mamba")
"""One of each trap, for the default run."""

HEAVY = ("jamba", "falcon_h1", "deepseek_v3", "jetmoe", "gemma3_text")
"""Asked with one seed only."""

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
    return build(config_of(name), seed=seed, backend=backend, dtype=getattr(torch, dtype))


def report_of(name: str, seed: int, dtype: str, backends: tuple[str, ...] = ()) -> Report:
    """The verdict on a small model in memory."""
    model = model_of(name, seed, dtype, backends[0] if backends else None)
    return verify_model(in_memory(model, name), VerifyOptions(seed=seed, backends=backends))


def outcomes(report: Report) -> dict[str, str]:
    """Every row that is no pass: `code | condition | backend` to its outcome.

    A pass needs no line; what is neither here nor a pass fails the test.
    """
    return {
        f"{row.code} | {row.condition} | {row.backend}": row.outcome
        for row in report.results
        if row.outcome != "pass"
    }


def passed(report: Report) -> dict[str, int]:
    """How often each check passed, by backend: `ATN301 sdpa` to a number."""
    return dict(
        sorted(
            Counter(
                f"{row.code} {row.backend}" for row in report.results if row.outcome == "pass"
            ).items()
        )
    )

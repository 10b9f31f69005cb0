"""What the census builds: each registered model type, and what its default config leaves open."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from attnscope.errors import SelectionError

DEFAULT = "default"
"""Variant of a family that is built as its default config says, though it is not causal then."""


@dataclass(frozen=True, slots=True)
class Completion:
    """Arguments of a config's constructor, and why the default ones do not do."""

    fields: Mapping[str, Any]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row to be."""

    model_type: str
    """As transformers registers it."""
    variant: str = ""
    """`default` for a family that is built as its default config says; else empty."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the config's constructor."""

    @property
    def key(self) -> str:
        """Its name among the rows."""
        return f"{self.model_type} ({self.variant})" if self.variant else self.model_type


ENCODERS = (
    "bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie",
    "megatron-bert", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
)  # fmt: skip
"""Encoder families: causal only with is_decoder=True, which is not their default."""

LAYER_TYPES = "its default config names no layer that attends"
HEADS = "its default config says no size of a head, which the model's code needs"
ROUTING = "its default config says not how many experts there are, or how many a token takes"

CONVOLVING = ["conv", "conv", "full_attention", "conv"] * 8
UNSIZED = "its default config has indexed layers and no size for their index"
INDEX = {
    "indexer_n_heads": 8,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 256,
    "indexer_budget": 2048,
    "indexer_compress_ratio": 4,
}

COMPLETED: Mapping[str, Completion] = {
    **dict.fromkeys(ENCODERS, Completion({"is_decoder": True}, "an encoder by default")),
    "xmod": Completion(
        {"is_decoder": True, "default_language": "en_XX"},
        "an encoder by default; its adapters need a language",
    ),
    "xlm": Completion({"causal": True}, "masked language modelling by default"),
    "xlnet": Completion({"attn_type": "uni"}, "a permutation model by default"),
    "reformer": Completion(
        {"is_decoder": True, "hash_seed": 0},
        "its causal class refuses the default; without a seed each run draws hashes anew",
    ),
    "bamba": Completion({"attn_layer_indices": [9, 18, 27]}, LAYER_TYPES),
    "granitemoehybrid": Completion(
        {
            "layer_types": [*["linear_attention"] * 5, "full_attention"] * 5
            + ["linear_attention"] * 2
        },
        LAYER_TYPES,
    ),
    "lfm2": Completion({"layer_types": CONVOLVING}, "its default config names no convolution"),
    "lfm2_moe": Completion({"layer_types": CONVOLVING}, LAYER_TYPES),
    "hunyuan_v1_dense": Completion({"head_dim": 128}, HEADS),
    "hunyuan_v1_moe": Completion({"head_dim": 128, "num_experts": 64, "moe_topk": 8}, HEADS),
    "ministral": Completion({"head_dim": 128}, HEADS),
    "nemotron": Completion({"num_key_value_heads": 8}, "its default config says no number of them"),
    "deepseek_v2": Completion({"num_experts_per_tok": 6, "first_k_dense_replace": 1}, ROUTING),
    "dots1": Completion(
        {
            "n_routed_experts": 128,
            "n_shared_experts": 2,
            "num_experts_per_tok": 6,
            "first_k_dense_replace": 1,
        },
        ROUTING,
    ),
    "dbrx": Completion(
        {"attn_config": {"kv_n_heads": 8, "rope_theta": 5e5, "clip_qkv": 8}},
        "its default config has no rotary base and no clipping, which the model's code needs",
    ),
    "cohere_compass_text": Completion(
        {
            "num_hidden_layers": 4,
            "layer_types": [*["sliding_attention"] * 3, "full_attention"],
            "rope_parameters": {
                kind: {"rope_type": "default", "rope_theta": 1e4}
                for kind in ("sliding_attention", "full_attention")
            },
        },
        "its default config has no rotary parameters",
    ),
    "qwen4_exp_text": Completion(INDEX, UNSIZED),
    "qwen4_exp": Completion({"text_config": INDEX}, UNSIZED),
}
"""Model type to what its config is given; sizes are those of a released model, and shrink."""

BOTH_WAYS = (*ENCODERS, "xlm", "xlnet")
"""Types that are also judged as their default config builds them."""

WITHOUT_MODEL: Mapping[str, str] = {
    "gemma3n": "its image tower needs the package timm; gemma3n_text is its language model",
    **dict.fromkeys(
        ("gemma4_assistant", "gemma4_unified_assistant"),
        "it reads the keys of another model, both ways, and transformers 5.23.0 cannot build it:"
        " all of its layers share their keys, and Gemma4TextConfig.kv_sharing_modes refuses that",
    ),
}
"""Types of which there is no model to judge, and why; where one can be built, it is judged."""


def cases(types: Sequence[str], only: Sequence[str] = ()) -> tuple[Case, ...]:
    """The rows to be, sorted: all types, or those of `only` with both of their variants.

    Raises SelectionError for a type that is not registered.
    """
    for name in only:
        if name not in types:
            near = difflib.get_close_matches(name, types, n=3) or list(types[:3])
            raise SelectionError(
                f"--only {name[:40]!r} is no causal model type of this transformers.",
                f"Near: {', '.join(near)}.",
            )
    made = []
    for name in dict.fromkeys(only) or types:
        fields = COMPLETED[name].fields if name in COMPLETED else {}
        made.append(Case(model_type=name, fields=fields))
        if name in BOTH_WAYS:
            more = {"default_language": "en_XX"} if name == "xmod" else {}
            made.append(Case(model_type=name, variant=DEFAULT, fields=more))
    return tuple(sorted(made, key=lambda case: case.key))


def shard(made: Sequence[Case], number: int, of: int) -> tuple[Case, ...]:
    """Every `of`-th case, from the `number`-th on, counted from 1: the shares of a CI matrix."""
    return tuple(made[number - 1 :: of])

"""A language model's config made small with its structure kept, and a model built from it.

What counts as structure: which kinds of layer there are, grouped key/value heads, windows, chunks,
experts, softcaps, sinks, the kind of position encoding. What counts as size is in `SIZES`.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

HIDDEN, HEADS, HEAD_DIM, MLP = 64, 4, 16, 128
EXPERTS, EXPERT_MLP, RANK, STATE = 4, 32, 16, 8
VOCAB, POSITIONS, WINDOW = 97, 128, 8
"""All sizes of a small model. HEADS · HEAD_DIM = HIDDEN, and MLP = 2 · HIDDEN, which is also what
state-space layers derive for their inner width. A window of 8 is shorter than any test prompt."""

Maker = Callable[..., Any]
"""A config, and options as keywords, to a model."""

Size = int | Callable[[int], int]
"""The new value, or a rule that gives it from the old one."""


def _grouped(heads: int) -> int:
    return 1 if heads == 1 else HEADS // 2


def _at_most(largest: int) -> Callable[[int], int]:
    return lambda value: min(value, largest)


WINDOWS = ("sliding_window", "window_size", "attention_window", "attention_chunk_size")
"""How far a layer looks back."""

SIZES: dict[str, Size] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "word_embed_proj_dim"), HIDDEN),
    **dict.fromkeys(("embed_dim", "out_hidden_size", "attention_hidden_size"), HIDDEN),
    **dict.fromkeys(("intermediate_size", "intermediate_size_mlp", "n_inner", "ffn_dim"), MLP),
    **dict.fromkeys(("ffn_hidden_size", "decoder_ffn_dim", "dense_intermediate_size"), MLP),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), HEADS),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), HEADS),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), HEAD_DIM),
    "linear_num_key_heads": _at_most(HEADS // 2),
    "linear_num_value_heads": _at_most(HEADS),
    **dict.fromkeys(("head_dim", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), HEAD_DIM),
    "qk_head_dim": 2 * HEAD_DIM,
    "query_pre_attn_scalar": HEAD_DIM,
    "rotary_dim": HEAD_DIM // 2,
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), RANK),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), EXPERTS),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_topk"), _at_most(2)),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), EXPERT_MLP),
    "n_group": _at_most(2),
    "topk_group": _at_most(1),
    **dict.fromkeys(("state_size", "mamba_d_state"), STATE),
    **dict.fromkeys(("time_step_rank", "mamba_dt_rank"), 4),
    **dict.fromkeys(("mamba_chunk_size", "chunk_size"), STATE),
    "vocab_size": VOCAB,
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), POSITIONS),
    **dict.fromkeys(WINDOWS, WINDOW),
    "floor_scale": WINDOW,
    "original_max_position_embeddings": POSITIONS // 2,
}
"""Field to size. Fields that a config lacks, or holds as None, 0 or False, stay as they are."""

TOKEN_FIELDS = ("_token_id", "_token_index")
"""How the names of fields that hold special tokens end."""

KV_HEADS = ("num_key_value_heads", "num_kv_heads")
"""Counted against the query heads, so that groups stay groups."""

LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "depth")
"""The number of layers, `depth` in image towers."""

INDEX_LISTS = ("moe_layers", "mlp_only_layers", "attn_layer_indices", "full_attn_idxs")
"""Lists that name layers, unlike the lists with one entry a layer."""

PERIODS = (
    ("attn_layer_period", "attn_layer_offset"),
    ("expert_layer_period", "expert_layer_offset"),
    ("decoder_sparse_step", None),
    ("full_attention_interval", None),
)
"""A kind of layer that comes every so many layers, and where it starts."""

LEADING = ("first_k_dense_replace", "num_dense_layers")
"""So many layers of another kind come first."""

DERIVED: dict[str, Callable[[Any], object]] = {
    "attention_types": lambda config: [[list(config.attention_layers), 1]],
}
"""Fields that must agree with ones that were changed."""

ROTARY_LISTS = ("short_factor", "long_factor")
"""Lists inside the rotary parameters with one entry a pair of rotated dimensions."""

ROTARY_SECTIONS = "mrope_section"
"""How many pairs of rotated dimensions turn with time, height and width."""

TRAINED_POSITIONS = "original_max_position_embeddings"
"""The length from which a rotary encoding is stretched."""

OVERRIDES: dict[str, dict[str, int]] = {
    "mamba2": {"num_heads": MLP // HEAD_DIM},
}
"""What single model types need beyond the tables above."""

GAIN = 1.5
"""How far above the usual scale weights are drawn: scores spread enough for attention to choose."""


def shrink(config: PreTrainedConfig) -> PreTrainedConfig:
    """A copy of `config` with every size made small and every kind of layer kept at least once.

    Nested configs (a text config, a vision config) are shrunken too. The number of layers becomes
    the shortest prefix, of two layers or more, that holds every kind of layer.
    """
    small = copy.deepcopy(config)
    _shrink_in_place(small)
    return small


def longest_window(config: PreTrainedConfig) -> int:
    """The longest window or chunk of a config's text layers, in tokens; 0 where there is none."""
    fields = vars(config.get_text_config(decoder=True))
    return max((size for name in WINDOWS if isinstance(size := fields.get(name), int)), default=0)


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


def _shrink_in_place(config: PreTrainedConfig) -> None:
    fields = vars(config)
    for nested in fields.values():
        if isinstance(nested, PreTrainedConfig):
            _shrink_in_place(nested)
    _shrink_layers(config)
    _shrink_heads(config)
    for name in fields.keys() & SIZES.keys():
        if fields[name]:
            size = SIZES[name]
            setattr(config, name, size if isinstance(size, int) else size(fields[name]))
    for name in [name for name in fields if name.endswith(TOKEN_FIELDS)]:
        setattr(config, name, _into_vocabulary(fields[name]))
    _shrink_rotary(fields.get("rope_parameters"))
    for name in fields.keys() & DERIVED.keys():
        setattr(config, name, DERIVED[name](config))
    for name, value in OVERRIDES.get(config.model_type, {}).items():
        setattr(config, name, value)


def _shrink_layers(config: PreTrainedConfig) -> None:
    fields = vars(config)
    counts = [name for name in LAYERS if isinstance(fields.get(name), int)]
    if not counts:
        return
    layers = fields[counts[0]]
    lists = _lists_with_an_entry_a_layer(fields, layers)
    kinds = [_kind(fields, lists, layer) for layer in range(layers)]
    kept = min(layers, max(2, 1 + max(kinds.index(kind) for kind in set(kinds))))
    for name in counts:
        setattr(config, name, kept)
    for name in lists:
        setattr(config, name, fields[name][:kept])
    for name in _present_index_lists(fields):
        setattr(config, name, [layer for layer in fields[name] if layer < kept])


def _kind(fields: dict[str, Any], lists: list[str], layer: int) -> tuple[object, ...]:
    listed = [str(fields[name][layer]) for name in lists]
    named = [layer in fields[name] for name in _present_index_lists(fields)]
    periodic = [
        (layer - fields.get(offset or "", 0)) % fields[period] == 0
        for period, offset in PERIODS
        if fields.get(period)
    ]
    leading = [layer < fields[name] for name in LEADING if fields.get(name)]
    return (*listed, *named, *periodic, *leading)


def _lists_with_an_entry_a_layer(fields: dict[str, Any], layers: int) -> list[str]:
    return [
        name
        for name, value in fields.items()
        if isinstance(value, list) and len(value) == layers and name not in INDEX_LISTS
    ]


def _present_index_lists(fields: dict[str, Any]) -> list[str]:
    return [name for name in INDEX_LISTS if isinstance(fields.get(name), list)]


def _shrink_heads(config: PreTrainedConfig) -> None:
    heads = getattr(config, "num_attention_heads", None)
    for name in KV_HEADS:
        groups = vars(config).get(name)
        if groups:
            setattr(config, name, HEADS if groups == heads else _grouped(groups))


def _into_vocabulary(token: Any) -> Any:
    if isinstance(token, list):
        return [_into_vocabulary(one) for one in token]
    return min(token, VOCAB - 1) if isinstance(token, int) else token


def _shrink_rotary(parameters: Any) -> None:
    if not isinstance(parameters, dict):
        return
    pairs = round(HEAD_DIM * (parameters.get("partial_rotary_factor") or 1.0) / 2)
    for name, value in parameters.items():
        if name in ROTARY_LISTS:
            parameters[name] = value[:pairs]
        elif name == ROTARY_SECTIONS:
            parameters[name] = _divide(pairs, value)
        elif name == TRAINED_POSITIONS:
            parameters[name] = max(1, round(POSITIONS / parameters.get("factor", 2)))
        _shrink_rotary(value)


def _divide(whole: int, shares: list[int]) -> list[int]:
    """Parts of `whole` in the proportion of `shares`."""
    ends = [round(whole * sum(shares[:end]) / sum(shares)) for end in range(len(shares) + 1)]
    return [end - start for start, end in itertools.pairwise(ends)]


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

"""What single model types need beyond the general rules, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from attnscope.shrink.sizes import HEAD_DIM, HEADS, HIDDEN, MLP, POSITIONS, VOCAB, WINDOW


@dataclass(frozen=True, slots=True)
class Override:
    """Fields set after everything else was made small."""

    fields: Mapping[str, Any]
    reason: str


INNER_HEADS = "heads times their size must be the inner width, expand · hidden_size"
CONCATENATED = "its attention reads hidden state and embedding side by side, 2 · hidden_size wide"

OVERRIDES: Mapping[str, Override] = {
    "mamba2": Override({"num_heads": MLP // HEAD_DIM}, INNER_HEADS),
    **dict.fromkeys(
        ("bamba", "granitemoehybrid"),
        Override({"mamba_n_heads": MLP // HEAD_DIM, "mamba_d_head": HEAD_DIM}, INNER_HEADS),
    ),
    "zamba": Override(
        {
            "num_hidden_layers": 4,
            "layers_block_type": ["linear_attention", "hybrid", "linear_attention", "hybrid"],
            "attention_hidden_size": 2 * HIDDEN,
            "attention_head_dim": 2 * HIDDEN // HEADS,
        },
        f"{CONCATENATED}; its hybrid layers share their weights, so there must be two",
    ),
    "zamba2": Override(
        {
            "attention_hidden_size": 2 * HIDDEN,
            "attention_head_dim": 2 * HIDDEN // HEADS,
            "mamba_headdim": MLP // 8,
        },
        f"{CONCATENATED}; {INNER_HEADS}",
    ),
    "hrm_text": Override(
        {"num_layers_per_stack": 2, "num_hidden_layers": 16},
        "its number of layers is what its cycles make of the layers in one stack",
    ),
    "reformer": Override(
        {
            "axial_pos_shape": (8, POSITIONS // 8),
            "axial_pos_embds_dim": (16, HIDDEN - 16),
            **dict.fromkeys(("local_attn_chunk_length", "lsh_attn_chunk_length"), 7),
        },
        "positions are a product of two axes, whose widths add up to hidden_size; it pads to whole"
        " chunks, and 21 tokens, the default, are three",
    ),
    "big_bird": Override(
        {"block_size": 1, "num_random_blocks": 1},
        "it is sparse only beyond (5 + 2 · num_random_blocks) · block_size tokens, and pads to"
        " whole blocks",
    ),
    "xlstm": Override(
        dict.fromkeys(("hidden_size", "embedding_dim"), 2 * HIDDEN),
        "query and key take half of the width, rounded up to a multiple of 64",
    ),
    "dots3_note_text": Override(
        {"head_dim": 4 * HEAD_DIM}, "a quarter of head_dim is rotated, as wide as qk_rope_head_dim"
    ),
    "deepseek_v4": Override(
        {
            "compress_rates": {
                "compressed_sparse_attention": 4,
                "heavily_compressed_attention": 5,
            },
            "index_topk": 2,
        },
        "a layer makes one entry of so many tokens, and picks so many entries",
    ),
    "minimax": Override({"block_size": WINDOW}, "its linear attention reads blocks of so many"),
    "minimax_m3_vl_text": Override(
        {"index_n_heads": HEADS // 2}, "as many as key/value heads; it ranks no sums, so none tie"
    ),
    "blt_global_transformer": Override(
        {"hidden_size": 2 * HIDDEN, "head_dim": 2 * HEAD_DIM},
        "a patch is as wide as cross_attn_k bytes",
    ),
    "qwen4_exp_text": Override(
        {
            "ple_layer_ids": [1],
            "ple_embed_dim": HIDDEN,
            "heads_per_ngram": 2,
            "ngram_vocab_size_base": VOCAB,
            "make_ngram_vocab_size_divisible_by": 4,
            "split_ngram_parts": 2,
            "number_of_conv_states": 3,
            "eos_token_id": VOCAB - 1,
        },
        "the tables of its n-gram embedding have sizes and divisors of their own",
    ),
}
"""Model type, that of a nested config too, to override."""

"""The sizes of a small model, and which field of a config is which size."""

from __future__ import annotations

from collections.abc import Callable

HIDDEN, HEADS, HEAD_DIM, MLP = 64, 4, 16, 128
EXPERTS, EXPERT_MLP, RANK, STATE = 4, 32, 16, 8
VOCAB, POSITIONS, WINDOW = 97, 128, 8
"""All sizes of a small model. HEADS · HEAD_DIM = HIDDEN, and MLP = 2 · HIDDEN, which is also what
state-space layers derive for their inner width. A window of 8 is shorter than any test prompt."""

INDEX_HEADS = 16
"""Heads whose scores pick the keys of sparse attention. They are summed after a ReLU: with 4 of
them one key in 16 scores exactly 0, and ties among zeros are broken otherwise in every shape."""

Size = int | Callable[[int], int]
"""The new value, or a rule that gives it from the old one."""


def _at_most(largest: int) -> Callable[[int], int]:
    return lambda value: min(value, largest)


WINDOWS = (
    "sliding_window", "sliding_window_size", "window_size", "attention_window",
    "attention_window_size", "attention_chunk_size",
)  # fmt: skip
"""How far a layer looks back."""

BLOCKS = (
    "mamba_chunk_size", "chunk_size", "local_attn_chunk_length",
    "lsh_attn_chunk_length", "index_topk", "indexer_budget", "keep_window_size", "rel_extent",
)  # fmt: skip
"""How many tokens a layer handles together, or picks."""

SIZES: dict[str, Size] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "word_embed_proj_dim"), HIDDEN),
    **dict.fromkeys(("embed_dim", "emb_dim", "embedding_dim", "embedding_size"), HIDDEN),
    **dict.fromkeys(("input_embedding_size", "output_embedding_size"), HIDDEN),
    **dict.fromkeys(("shape_embed_dim", "pronunciation_embed_dim"), HIDDEN),
    **dict.fromkeys(("out_hidden_size", "attention_hidden_size"), HIDDEN),
    **dict.fromkeys(("backbone_hidden_size", "lru_width"), HIDDEN),
    "hidden_size_global": 2 * HIDDEN,
    **dict.fromkeys(("intermediate_size", "intermediate_size_mlp", "n_inner", "ffn_dim"), MLP),
    **dict.fromkeys(("ffn_hidden_size", "decoder_ffn_dim", "dense_intermediate_size"), MLP),
    **dict.fromkeys(
        ("encoder_ffn_dim", "feed_forward_size", "dff", "dim_ff", "d_ff", "d_inner"), MLP
    ),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), HEADS),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), HEADS),
    "swa_num_attention_heads": HEADS,
    **dict.fromkeys(("num_decoder_attention_heads", "num_encoder_attention_heads"), HEADS),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), HEAD_DIM),
    **dict.fromkeys(("linear_head_dim", "index_head_dim", "attention_head_size"), HEAD_DIM),
    "linear_num_key_heads": _at_most(HEADS // 2),
    **dict.fromkeys(("linear_num_value_heads", "linear_num_heads"), HEADS),
    **dict.fromkeys(("index_n_heads", "indexer_n_heads"), INDEX_HEADS),
    "indexer_head_dim": HEAD_DIM,
    **dict.fromkeys(("head_dim", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), HEAD_DIM),
    "qk_head_dim": 2 * HEAD_DIM,
    "query_pre_attn_scalar": HEAD_DIM,
    "rotary_dim": HEAD_DIM // 2,
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "hidden_size_per_layer_input"), RANK),
    **dict.fromkeys(("laurel_rank", "adapter_rank", "hc_lowrank", "o_lora_rank"), RANK),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), EXPERTS),
    **dict.fromkeys(("moe_num_experts", "zero_expert_num"), _at_most(EXPERTS)),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_topk"), _at_most(2)),
    **dict.fromkeys(("moe_k", "moe_top_k", "kv_n_heads"), _at_most(2)),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), EXPERT_MLP),
    **dict.fromkeys(("expert_ffn_hidden_size", "shared_intermediate_size"), EXPERT_MLP),
    **dict.fromkeys(("shared_experts_intermediate_size", "router_hidden_size"), EXPERT_MLP),
    "moe_shared_expert_intermediate_size": EXPERT_MLP,
    **dict.fromkeys(("n_group", "num_expert_group"), _at_most(2)),
    "topk_group": _at_most(1),
    **dict.fromkeys(("state_size", "mamba_d_state"), STATE),
    **dict.fromkeys(("time_step_rank", "mamba_dt_rank"), 4),
    **dict.fromkeys(BLOCKS, STATE),
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input", "decoder_vocab_size"), VOCAB),
    **dict.fromkeys(("unpadded_vocab_size", "encoder_hash_byte_group_vocab"), VOCAB),
    **dict.fromkeys(("shape_vocab_size", "pronunciation_vocab_size"), VOCAB),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), POSITIONS),
    **dict.fromkeys(WINDOWS, WINDOW),
    **dict.fromkeys(("floor_scale", "log_scaling_n_floor"), WINDOW),
    "original_max_position_embeddings": POSITIONS // 2,
}
"""Field to size. Fields that a config lacks, or holds as None, 0 or False, stay as they are; of a
list each entry is changed."""

TOKEN_FIELDS = ("_token_id", "_token_index")
"""How the names of fields that hold special tokens end."""

KV_HEADS = ("num_key_value_heads", "num_kv_heads", "swa_num_key_value_heads")
"""Counted against the query heads, so that groups stay groups."""

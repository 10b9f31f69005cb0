"""Shrunken models keep their structure, and every position moves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from attnscope.shrink import VOCAB, build, longest_window, shrink
from tests.tiny import TINY, save_tiny, tiny

LENGTH = 21
OTHERS: dict[str, PreTrainedConfig] = {
    "smollm3": transformers.SmolLM3Config(),
    "phi3": transformers.Phi3Config(),
    "gemma3_text": transformers.Gemma3TextConfig(),
    "llama4_text": transformers.Llama4TextConfig(),
    "olmo2": transformers.Olmo2Config(),
    "cohere2": transformers.Cohere2Config(),
    "gptj": transformers.GPTJConfig(),
    "mpt": transformers.MptConfig(),
    "opt": transformers.OPTConfig(),
    "stablelm": transformers.StableLmConfig(),
    "qwen2_moe": transformers.Qwen2MoeConfig(),
    "deepseek_v3": transformers.DeepseekV3Config(),
    "jamba": transformers.JambaConfig(),
    "qwen3_next": transformers.Qwen3NextConfig(),
    "falcon with alibi": transformers.FalconConfig(alibi=True),
    "falcon, new": transformers.FalconConfig(
        new_decoder_architecture=True, hidden_size=8192, num_attention_heads=128, num_kv_heads=8
    ),
}
CONFIGS = {name: make() for name, make in TINY.items()} | {
    name: shrink(config) for name, config in OTHERS.items()
}


def logits(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        answer: torch.Tensor = model(ids).logits[0]
    return answer


@pytest.mark.parametrize("name", CONFIGS)
def test_every_position_moves_itself_and_the_next_and_none_before(name: str) -> None:
    model = build(CONFIGS[name])
    ids = torch.randint(3, VOCAB - 10, (1, LENGTH), generator=torch.Generator().manual_seed(1))
    clean = logits(model, ids)
    for position in range(0, LENGTH - 1, 6):
        changed = ids.clone()
        changed[0, position] += 7
        moved = (logits(model, changed) - clean).abs().amax(-1)
        assert moved[position : position + 2].min() > 1e-2
        assert moved[:position].sum() < 1e-4  # experts move the last bits
    assert not model.training
    assert model.num_parameters() < 600_000


def test_layer_kinds_are_all_kept() -> None:
    assert CONFIGS["gemma2"].layer_types == ["sliding_attention", "full_attention"]
    assert set(CONFIGS["llama4_text"].layer_types) == {"chunked_attention", "full_attention"}
    assert set(CONFIGS["smollm3"].no_rope_layers) == {0, 1}
    assert CONFIGS["gpt_neo"].attention_layers == ["global", "local"]
    assert CONFIGS["jamba"].num_hidden_layers == 5
    assert (
        CONFIGS["deepseek_v3"].num_hidden_layers,
        CONFIGS["deepseek_v3"].first_k_dense_replace,
    ) == (2, 1)
    assert CONFIGS["llama"].num_hidden_layers == 2


def test_features_are_kept_and_sizes_are_small() -> None:
    assert CONFIGS["gemma2"].attn_logit_softcapping == 50.0
    assert CONFIGS["mistral"].sliding_window == CONFIGS["gpt_neo"].window_size == 8
    assert CONFIGS["llama4_text"].attention_chunk_size == 8
    assert CONFIGS["qwen3"].sliding_window is None
    assert CONFIGS["gpt_oss"].rope_parameters["rope_type"] == "yarn"
    assert CONFIGS["mixtral"].num_local_experts == 4
    groups = {name: CONFIGS[name].num_key_value_heads for name in ("llama", "mistral", "olmo2")}
    assert groups == {"llama": 2, "mistral": 2, "olmo2": 4}


def test_the_original_is_untouched_and_special_tokens_fit() -> None:
    config = transformers.SmolLM3Config()
    small = shrink(config)
    assert config.hidden_size == 2048
    assert small.pad_token_id == small.bos_token_id == VOCAB - 1


def test_sinks_are_large_enough_to_take_weight() -> None:
    sinks = dict(tiny("gpt_oss").named_parameters())["model.layers.0.self_attn.sinks"]
    assert sinks.std() > 1


def test_seed_decides_the_weights_and_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = tiny("gpt2", seed=3), tiny("gpt2", seed=3), tiny("gpt2", seed=4)
    assert torch.equal(before, torch.get_rng_state())
    name = "transformer.h.0.attn.c_attn.weight"
    assert torch.equal(first.get_parameter(name), again.get_parameter(name))
    assert not torch.equal(first.get_parameter(name), other.get_parameter(name))


def test_backend_and_overrides_reach_the_model() -> None:
    model = tiny("llama", backend="eager", num_key_value_heads=1)
    assert model.config._attn_implementation == "eager"
    assert model.config.num_key_value_heads == 1


@pytest.mark.parametrize("name", ["gpt_neo", "gemma2", "gpt_oss", "mamba"])
def test_saved_models_load_again(name: str, tmp_path: Path) -> None:
    ids = torch.arange(5, 5 + LENGTH).unsqueeze(0)
    loaded = AutoModelForCausalLM.from_pretrained(save_tiny(name, tmp_path)).eval()
    assert torch.equal(logits(loaded, ids), logits(tiny(name), ids))


def test_nested_configs_are_shrunken() -> None:
    small = shrink(transformers.Gemma3Config())
    assert small.text_config.hidden_size == small.vision_config.hidden_size == 64
    assert "full_attention" in small.text_config.layer_types


def test_image_tokens_fit_and_image_towers_are_small() -> None:
    small = shrink(transformers.Qwen2VLConfig())
    assert small.image_token_id == VOCAB - 1
    assert (small.vision_config.depth, small.vision_config.embed_dim) == (2, 64)


def test_longest_window() -> None:
    assert longest_window(transformers.MistralConfig(sliding_window=4096)) == 4096
    assert longest_window(transformers.Gemma3Config()) == 4096
    assert longest_window(transformers.Llama4TextConfig()) == 8192
    assert longest_window(transformers.LlamaConfig()) == 0

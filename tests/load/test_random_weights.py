"""Models from a config alone: any size loads in seconds, wired as the large one is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import PreTrainedConfig

from attnscope.errors import PromptError
from attnscope.load import LoadedModel, LoadOptions, load, tokenize
from attnscope.load import random_weights as random_weights_module
from attnscope.shrink import POSITIONS, longest_window
from tests.load.damage import edit_config, failure

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 40.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "original_max_position_embeddings": 4096,
}
PUBLISHED: dict[str, PreTrainedConfig] = {
    "Llama-3.1-405B": transformers.LlamaConfig(
        hidden_size=16384, intermediate_size=53248, num_hidden_layers=126,
        num_attention_heads=128, num_key_value_heads=8, vocab_size=128256,
        max_position_embeddings=131072, rope_parameters=dict(LLAMA3), dtype="bfloat16",
        bos_token_id=128000, eos_token_id=[128001, 128008, 128009],
    ),
    "DeepSeek-V3": transformers.DeepseekV3Config(
        hidden_size=7168, num_hidden_layers=61, n_routed_experts=256, num_experts_per_tok=8,
        first_k_dense_replace=3, vocab_size=129280, max_position_embeddings=163840,
        rope_parameters=dict(YARN),
    ),
    "gpt-oss-120b": transformers.GptOssConfig(
        hidden_size=2880, num_hidden_layers=36, num_local_experts=128, num_experts_per_tok=4,
        num_attention_heads=64, num_key_value_heads=8, head_dim=64, sliding_window=128,
        vocab_size=201088, max_position_embeddings=131072,
    ),
    "Llama-4-Scout": transformers.Llama4TextConfig(
        hidden_size=5120, intermediate_size=8192, intermediate_size_mlp=16384,
        num_hidden_layers=48, num_local_experts=16, interleave_moe_layer_step=1,
        num_attention_heads=40, num_key_value_heads=8, attention_chunk_size=8192,
        vocab_size=202048, max_position_embeddings=10485760,
        rope_parameters=LLAMA3 | {"factor": 16.0},
    ),
    "Llama-4-Maverick": transformers.Llama4TextConfig(
        hidden_size=5120, num_hidden_layers=48, num_local_experts=128,
        interleave_moe_layer_step=2, num_attention_heads=40, num_key_value_heads=8,
        attention_chunk_size=8192, vocab_size=202048, max_position_embeddings=1048576,
        use_qk_norm=False,
    ),
    "Qwen3-Next-80B": transformers.Qwen3NextConfig(
        hidden_size=2048, num_hidden_layers=48, num_experts=512, num_experts_per_tok=10,
        vocab_size=151936, max_position_embeddings=262144,
    ),
    "gemma-3-27b": transformers.Gemma3TextConfig(
        hidden_size=5376, intermediate_size=21504, num_hidden_layers=62, num_attention_heads=32,
        num_key_value_heads=16, head_dim=128, query_pre_attn_scalar=168, sliding_window=1024,
        vocab_size=262208, max_position_embeddings=131072,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
    ),
    "gemma-2-27b": transformers.Gemma2Config(
        hidden_size=4608, intermediate_size=36864, num_hidden_layers=46, num_attention_heads=32,
        num_key_value_heads=16, head_dim=128, query_pre_attn_scalar=144, sliding_window=4096,
    ),
    "Mistral-7B-v0.1": transformers.MistralConfig(
        sliding_window=4096, max_position_embeddings=32768
    ),
    "Phi-3-mini-128k": transformers.Phi3Config(
        sliding_window=262144, max_position_embeddings=131072,
        original_max_position_embeddings=4096,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 1e4,
            "short_factor": [1.0 + pair / 48 for pair in range(48)],
            "long_factor": [1.0 + pair for pair in range(48)],
            "original_max_position_embeddings": 4096,
        },
    ),
    "Phi-4-mini": transformers.Phi3Config(
        hidden_size=3072, num_attention_heads=24, num_key_value_heads=8, vocab_size=200064,
        max_position_embeddings=131072, original_max_position_embeddings=4096,
        sliding_window=262144, pad_token_id=199999, partial_rotary_factor=0.75,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 1e4,
            "short_factor": [1.0] * 48,
            "long_factor": [1.1] * 48,
            "original_max_position_embeddings": 4096,
        },
    ),
}  # fmt: skip
"""Configs with the sizes that were published."""

WINDOWED = {
    "gpt-oss-120b", "Llama-4-Scout", "Llama-4-Maverick", "gemma-3-27b", "gemma-2-27b",
    "Mistral-7B-v0.1", "Phi-3-mini-128k", "Phi-4-mini",
}  # fmt: skip
ROPE = {
    "Llama-3.1-405B": "llama3",
    "DeepSeek-V3": "yarn",
    "gpt-oss-120b": "yarn",
    "Llama-4-Scout": "llama3",
    "Phi-3-mini-128k": "longrope",
    "Phi-4-mini": "longrope",
}
LAYERS = {"Llama-4-Maverick": 3, "Qwen3-Next-80B": 4}
"""The first layer of each kind; two for the others."""


def write(config: PreTrainedConfig, directory: Path) -> Path:
    """A directory that holds a config.json and nothing else."""
    config.save_pretrained(directory)
    assert [file.name for file in directory.iterdir()] == ["config.json"]
    return directory


def draw(model: Path | str, **options: Any) -> LoadedModel:
    return load(LoadOptions(model=str(model), device="cpu", weights="random", **options))


def logits(loaded: LoadedModel, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        answer: torch.Tensor = loaded.model(input_ids=ids).logits[0]
    return answer


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name: str, tmp_path: Path) -> None:
    loaded = draw(write(PUBLISHED[name], tmp_path))
    config: Any = loaded.model.config
    assert loaded.info.parameters < 1_000_000
    assert loaded.info.layers == config.num_hidden_layers == LAYERS.get(name, 2)
    assert loaded.remark == (
        f"random weights, shrunken to {loaded.info.layers} layers of width 64: the wiring was"
        " verified, not the checkpoint"
    )
    assert (loaded.info.name, loaded.info.dtype) == (str(tmp_path), "float32")
    window = longest_window(config)
    assert (window > 1) == (name in WINDOWED)
    assert 4 * window < POSITIONS == config.max_position_embeddings
    rotary = config.rope_parameters
    if name in ROPE:
        assert rotary["rope_type"] == ROPE[name]
        assert rotary["original_max_position_embeddings"] < POSITIONS
    ids = torch.randint(3, 90, (1, 2 * POSITIONS // 3), generator=torch.Generator().manual_seed(1))
    assert logits(loaded, ids).isfinite().all()


def test_what_is_structure_stays(tmp_path: Path) -> None:
    gpt_oss = draw(write(PUBLISHED["gpt-oss-120b"], tmp_path / "gpt-oss")).model
    assert dict(gpt_oss.named_parameters())["model.layers.0.self_attn.sinks"].std() > 1
    gemma2 = draw(write(PUBLISHED["gemma-2-27b"], tmp_path / "gemma-2")).model
    assert gemma2.config.attn_logit_softcapping == 50.0
    gemma3 = draw(write(PUBLISHED["gemma-3-27b"], tmp_path / "gemma-3")).model
    kinds = {kind: values["rope_type"] for kind, values in gemma3.config.rope_parameters.items()}
    assert kinds == {"full_attention": "linear", "sliding_attention": "default"}
    assert set(gemma3.config.layer_types) == set(kinds)
    scout = draw(write(PUBLISHED["Llama-4-Scout"], tmp_path / "scout")).model
    assert set(scout.config.layer_types) == {"chunked_attention", "full_attention"}
    assert set(scout.config.no_rope_layers) == {0, 1}
    hybrid = draw(write(PUBLISHED["Qwen3-Next-80B"], tmp_path / "next")).model
    assert set(hybrid.config.layer_types) == {"linear_attention", "full_attention"}


def test_a_quantised_checkpoint_is_built_in_plain_numbers(tmp_path: Path) -> None:
    """DeepSeek-V3 says fp8 and gpt-oss mxfp4 in their config.json."""
    for name, method in (("DeepSeek-V3", "fp8"), ("gpt-oss-120b", "mxfp4")):
        directory = write(PUBLISHED[name], tmp_path / name)
        edit_config(directory, quantization_config={"quant_method": method})
        assert draw(directory).info.dtype == "float32"


def test_a_small_model_keeps_its_size_unless_its_window_is_long(tmp_path: Path) -> None:
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "vocab_size": 50}
    sizes = small | {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    short = transformers.MistralConfig(**sizes, sliding_window=16)
    loaded = draw(write(short, tmp_path / "short"))
    assert (loaded.info.layers, loaded.model.config.vocab_size) == (3, 50)
    assert loaded.remark == "random weights: the wiring was verified, not the checkpoint"
    long = transformers.MistralConfig(**sizes, sliding_window=4096)
    assert "shrunken to 2 layers" in draw(write(long, tmp_path / "long")).remark


def test_seed_dtype_and_backend(tmp_path: Path) -> None:
    directory = write(PUBLISHED["Mistral-7B-v0.1"], tmp_path)
    before = torch.get_rng_state()
    ids = torch.arange(3, 40)[None]
    first = logits(draw(directory), ids)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, logits(draw(directory, seed=0), ids))
    assert not torch.equal(first, logits(draw(directory, seed=1), ids))
    info = draw(directory, dtype="bfloat16", backend="eager").info
    assert (info.dtype, info.backend) == ("bfloat16", "eager")
    assert draw(directory).info.backend == "sdpa"


def test_rotary_frequencies_stay_exact_in_half_precision(tmp_path: Path) -> None:
    model: Any = draw(write(PUBLISHED["Mistral-7B-v0.1"], tmp_path), dtype="bfloat16").model
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32


def test_weights_are_not_read(llama: Path) -> None:
    (llama / "model.safetensors").write_bytes(b"cut")
    loaded = draw(llama)
    assert loaded.unused_weights == ()
    assert "damaged" in failure(llama).message


def test_the_tokenizer_stays_with_a_model_of_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = draw("textbook")
    assert tokenize(loaded, "The cat sat").ids == (0, 1, 2)
    monkeypatch.setattr(random_weights_module, "SMALL", 0)
    shrunken = draw("textbook")
    assert shrunken.tokenizer is None
    with pytest.raises(PromptError, match="shrunken to a vocabulary of 97, which its tokenizer"):
        tokenize(shrunken, "The cat sat")


def test_hub_model_needs_no_more_than_its_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--giant"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    write(PUBLISHED["Llama-3.1-405B"], repository / "snapshots" / ("a" * 40))
    loaded = draw("some/giant")
    assert (loaded.info.name, loaded.info.layers) == ("some/giant", 2)
    assert "cannot be reached" in failure("some/other", weights="random").message


def test_own_code(tmp_path: Path) -> None:
    fields = {"model_type": "own", "auto_map": {
        "AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM",
    }}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(fields))
    (tmp_path / "own.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'own'\n"
        "class OwnForCausalLM(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    assert "brings its own Python code" in failure(tmp_path, weights="random").message
    loaded = draw(tmp_path, trust_remote_code=True)
    assert (loaded.info.architecture, loaded.info.layers) == ("OwnForCausalLM", 2)


def test_a_config_that_stays_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random_weights_module, "LARGEST", 10_000)
    told = failure(write(PUBLISHED["Llama-3.1-405B"], tmp_path), weights="random")
    assert "cannot be made small: 0 million parameters are left" in told.message


def test_refusals(tmp_path: Path, stored: Path) -> None:
    assert "--weights fake is unknown" in failure(stored / "llama", weights="fake").message
    told = failure(stored / "llama", weights="random", device_map="auto")
    assert "exclude each other" in told.message
    assert "holds no weights" in failure(write(PUBLISHED["Mistral-7B-v0.1"], tmp_path)).message
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    assert "holds no config.json" in failure(tmp_path, weights="random").message
    encoder_decoder = write(transformers.T5Config(), tmp_path / "t5")
    assert "encoder-decoder" in failure(encoder_decoder, weights="random").message

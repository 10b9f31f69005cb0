"""Models that also read images, judged on their text path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForImageTextToText, PreTrainedConfig

from attnscope.api import trace_tokens
from attnscope.load import LoadOptions, load, tokens_from_ids
from attnscope.shrink import VOCAB, build, shrink
from tests.load.damage import failure

IDS = torch.randint(3, VOCAB - 10, (1, 21), generator=torch.Generator().manual_seed(1))
SECTIONS = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    "LlavaForConditionalGeneration": transformers.LlavaConfig,
    "Gemma3ForConditionalGeneration": transformers.Gemma3Config,
    "Qwen2VLForConditionalGeneration": lambda: transformers.Qwen2VLConfig(
        text_config={"rope_parameters": dict(SECTIONS)}
    ),
    "Qwen2_5_VLForConditionalGeneration": lambda: transformers.Qwen2_5_VLConfig(
        text_config={"rope_parameters": dict(SECTIONS)}
    ),
    "Idefics3ForConditionalGeneration": lambda: transformers.Idefics3Config(
        text_config={"model_type": "llama", "vocab_size": 128259, "pad_token_id": 128002}
    ),
    "Mistral3ForConditionalGeneration": transformers.Mistral3Config,
}
"""The class that a config must load as, and a config with its usual sizes."""


@pytest.fixture(scope="module", params=CONFIGS)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint, image tower included, in a directory that has the name of its class."""
    directory = tmp_path_factory.mktemp("image") / request.param
    make: Any = AutoModelForImageTextToText
    small = shrink(CONFIGS[request.param]())
    build(small, make=make.from_config).save_pretrained(directory)
    return directory


def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        answer: torch.Tensor = model(input_ids=ids).logits[0]
    return answer


def test_text_alone_is_read_and_no_position_sees_the_future(saved: Path) -> None:
    loaded = load(LoadOptions(model=str(saved), device="cpu"))
    assert loaded.info.architecture == saved.name
    assert (loaded.unused_weights, loaded.remark) == ((), "")
    text = loaded.model.config.get_text_config(decoder=True)
    assert loaded.info.layers == text.num_hidden_layers
    assert loaded.info.heads == text.num_attention_heads
    clean = logits(loaded.model, IDS)
    assert clean.shape[0] == IDS.shape[1]
    changed = IDS.clone()
    changed[0, 9] += 1
    moved = (logits(loaded.model, changed) - clean).abs().amax(-1)
    assert moved[:9].max() < 1e-4 < moved[9]


def test_trace_of_the_text_path(saved: Path) -> None:
    loaded = load(LoadOptions(model=str(saved), device="cpu"))
    traced = trace_tokens(loaded, tokens_from_ids(loaded, IDS[0].tolist()))
    assert {head.layer for head in traced.focus} == set(range(loaded.info.layers))


@pytest.mark.parametrize("name", CONFIGS)
def test_random_weights(name: str, tmp_path: Path) -> None:
    CONFIGS[name]().save_pretrained(tmp_path)
    loaded = load(LoadOptions(model=str(tmp_path), device="cpu", weights="random"))
    assert loaded.info.architecture == name
    assert loaded.info.parameters < 5_000_000
    assert logits(loaded.model, IDS).isfinite().all()


def test_random_weights_of_a_text_half(tmp_path: Path) -> None:
    """Llama 4 reads images, and has a causal class for its text half alone."""
    transformers.Llama4Config().save_pretrained(tmp_path)
    loaded = load(LoadOptions(model=str(tmp_path), device="cpu", weights="random"))
    assert loaded.info.architecture == "Llama4ForCausalLM"
    assert logits(loaded.model, IDS).isfinite().all()


def test_a_dtype_that_only_the_text_config_names(tmp_path: Path) -> None:
    config = CONFIGS["Qwen2VLForConditionalGeneration"]()
    config.text_config.dtype = torch.bfloat16
    config.save_pretrained(tmp_path)
    loaded = load(LoadOptions(model=str(tmp_path), device="cpu", weights="random"))
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}


def test_images_that_are_needed_are_named(tmp_path: Path) -> None:
    transformers.BlipConfig().save_pretrained(tmp_path)
    told = failure(tmp_path, weights="random").message
    assert "cannot read text alone: BlipForConditionalGeneration needs pixel_values" in told


def test_encoder_decoders_that_read_images_are_refused(tmp_path: Path) -> None:
    transformers.UdopConfig().save_pretrained(tmp_path)
    assert "encoder-decoder" in failure(tmp_path, weights="random").message


def test_sections_of_the_rotary_encoding_add_up() -> None:
    small = shrink(CONFIGS["Qwen2VLForConditionalGeneration"]()).get_text_config(decoder=True)
    assert small.rope_parameters["mrope_section"] == [2, 3, 3]
    partial = transformers.Qwen2VLConfig(
        text_config={"rope_parameters": SECTIONS | {"partial_rotary_factor": 0.5}}
    )
    sections = shrink(partial).get_text_config(decoder=True).rope_parameters["mrope_section"]
    assert sum(sections) == 4

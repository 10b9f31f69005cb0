"""Loading: what is loaded, and that nothing else happens."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file
from transformers.utils import logging as transformers_logging

from attnscope.load import LoadOptions, load
from tests.load.damage import edit_config, failure
from tests.tiny import tiny


def test_layers_are_those_of_the_model_where_the_config_counts_others(tmp_path: Path) -> None:
    """A decoder cut out of an encoder-decoder: its config's layers are the encoder's."""
    config = transformers.BartConfig(
        encoder_layers=5, decoder_layers=2, d_model=16, decoder_attention_heads=2,
        decoder_ffn_dim=16, vocab_size=60, is_decoder=True, is_encoder_decoder=False,
    )  # fmt: skip
    transformers.BartForCausalLM(config).save_pretrained(tmp_path)
    assert load(LoadOptions(model=str(tmp_path), device="cpu")).info.layers == 2


def test_info_of_grouped_heads(stored: Path) -> None:
    loaded = load(LoadOptions(model=str(stored / "llama"), device="cpu"))
    info = loaded.info
    assert info.architecture == "LlamaForCausalLM"
    assert (info.layers, info.heads, info.kv_heads) == (2, 4, 2)
    assert (info.device, info.dtype, info.backend) == ("cpu", "float32", "sdpa")
    assert info.parameters == tiny("llama").num_parameters()
    assert not loaded.model.training


def test_tied_weights_count_once(stored: Path) -> None:
    info = load(LoadOptions(model=str(stored / "gpt2"))).info
    weights = load_file(stored / "gpt2" / "model.safetensors")
    assert info.parameters == sum(weight.numel() for weight in weights.values())
    assert "lm_head.weight" not in weights


def test_model_without_heads(stored: Path) -> None:
    info = load(LoadOptions(model=str(stored / "mamba"))).info
    assert (info.layers, info.heads, info.kv_heads) == (2, 0, 0)


def test_dtype_and_backend_are_obeyed(stored: Path) -> None:
    options = LoadOptions(model=str(stored / "llama"), dtype="bfloat16", backend="eager")
    info = load(options).info
    assert (info.dtype, info.backend) == ("bfloat16", "eager")
    assert load(replace(options, backend="auto")).info.backend == "sdpa"


def test_directory_by_its_bare_name(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stored)
    assert load(LoadOptions(model="gpt2")).info.architecture == "GPT2LMHeadModel"


def test_bundled_name_wins_over_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "textbook").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load(LoadOptions(model="textbook")).info.parameters == 1232
    assert "holds no config.json" in failure("./textbook").message


def test_loading_is_silent_and_restores_the_libraries(
    stored: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    steps: list[str] = []
    load(LoadOptions(model=str(stored / "llama")), progress=steps.append)
    failure(stored / "nowhere")
    after = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    assert before == after
    assert "DISABLE_SAFETENSORS_CONVERSION" not in os.environ
    assert capfd.readouterr() == ("", "")
    assert steps[0].startswith("reading the config")


def test_weights_that_the_config_does_not_ask_for_are_listed(llama: Path) -> None:
    assert load(LoadOptions(model=str(llama))).unused_weights == ()
    edit_config(llama, num_hidden_layers=1)
    unused = load(LoadOptions(model=str(llama))).unused_weights
    assert len(unused) == 9
    assert all("layers.1" in name for name in unused)


def test_pickle_is_read_only_when_allowed(llama: Path) -> None:
    (llama / "model.safetensors").unlink()
    torch.save(tiny("llama").state_dict(), llama / "pytorch_model.bin")
    refused = failure(llama)
    assert "pickle" in refused.message
    assert "--allow-pickle" in refused.hint
    assert load(LoadOptions(model=str(llama), allow_pickle=True)).info.layers == 2


# The hub and its cache.


def cached(cache: Path, name: str, files: Path) -> Path:
    """Lay `files` out as a download of the hub model `name`."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    return shutil.copytree(files, repository / "snapshots" / ("a" * 40))


def test_cached_hub_model_needs_no_network(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    snapshot = cached(tmp_path, "some/model", stored / "gpt2")
    loaded = load(LoadOptions(model="some/model"))
    assert loaded.info.name == "some/model"
    assert loaded.tokenizer is None
    assert loaded.tokenizer_problem == "some/model has no tokenizer"
    (snapshot / "model.safetensors").write_bytes(b"cut")
    assert "are damaged" in failure("some/model").message
    (snapshot / "model.safetensors").unlink()
    assert "no safetensors weights in the cache" in failure("some/model").message


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Session:
        def head(self, address: str, timeout: float) -> None:
            asked.append(address)
            raise ConnectionError("no route to host")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("attnscope.load.reach.get_session", Session)
    assert "cannot be reached" in failure("no-such/model").message
    assert len(asked) == 1

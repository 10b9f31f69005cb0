"""PEFT adapters: small weights in a directory of their own, put on the base model they name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from attnscope.api import trace_tokens
from attnscope.load import LoadOptions, load, tokenize, tokens_from_ids
from attnscope.load import adapter as adapter_module
from tests.load.damage import failure
from tests.tiny import save_tiny, tiny

peft: Any = pytest.importorskip("peft")
OLDEST = transformers.__version__.startswith("5.3.")
IDS = torch.arange(5, 26)[None]


def tune(base: Path, directory: Path, **options: Any) -> torch.Tensor:
    """Save a LoRA that really changes the base model; the logits that it gives are returned."""
    chosen = {"r": 4, "target_modules": ["q_proj", "v_proj"]} | options
    tuned = peft.get_peft_model(tiny("llama"), peft.LoraConfig(**chosen))
    generator = torch.Generator().manual_seed(2)
    for name, parameter in tuned.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    tuned.peft_config["default"].base_model_name_or_path = str(base)
    tuned.save_pretrained(directory)
    return logits(tuned.eval())


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        answer: torch.Tensor = model(input_ids=IDS).logits[0]
    return answer


def edit(directory: Path, **fields: object) -> None:
    file = directory / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.fixture
def adapter(stored: Path, tmp_path: Path) -> Path:
    """A LoRA on the small Llama, to be damaged."""
    tune(stored / "llama", tmp_path / "lora")
    assert not (tmp_path / "lora" / "config.json").exists()
    return tmp_path / "lora"


def test_the_adapter_is_on_its_base(stored: Path, tmp_path: Path) -> None:
    expected = tune(stored / "llama", tmp_path / "lora")
    loaded = load(LoadOptions(model=str(tmp_path / "lora"), device="cpu"))
    assert torch.allclose(logits(loaded.model), expected, atol=1e-5)
    assert not torch.allclose(logits(tiny("llama")), expected, atol=0.1)
    assert loaded.remark == f"the adapter {tmp_path / 'lora'} was applied to {stored / 'llama'}"
    assert loaded.info.name == str(tmp_path / "lora")
    assert loaded.info.architecture == "LlamaForCausalLM"
    assert loaded.info.parameters > tiny("llama").num_parameters()
    assert loaded.unused_weights == ()
    assert not loaded.model.training


def test_a_trace_sees_the_adapted_model(adapter: Path) -> None:
    loaded = load(LoadOptions(model=str(adapter), device="cpu"))
    traced = trace_tokens(loaded, tokens_from_ids(loaded, IDS[0].tolist()))
    assert traced.model.name == str(adapter)


def test_dtype_and_backend_reach_the_base(adapter: Path) -> None:
    loaded = load(LoadOptions(model=str(adapter), dtype="bfloat16", backend="eager"))
    assert (loaded.info.dtype, loaded.info.backend) == ("bfloat16", "eager")
    assert logits(loaded.model).isfinite().all()


@pytest.mark.parametrize("written", ["llama", "../llama", "base/llama"])
def test_a_relative_base(
    written: str, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written from the working directory, as PEFT does it, or from the adapter's own directory."""
    tune(Path(written), tmp_path / "lora")
    shutil.copytree(stored / "llama", tmp_path / "lora" / "base" / "llama")
    shutil.copytree(stored / "llama", tmp_path / "llama")
    monkeypatch.chdir(tmp_path)
    assert "was applied to" in load(LoadOptions(model="./lora")).remark


def test_a_base_in_the_cache_of_the_hub(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "v1").write_text("a" * 40)
    shutil.copytree(stored / "llama", repository / "snapshots" / ("a" * 40))
    tune(Path("some/model"), tmp_path / "lora", revision="v1")
    remark = load(LoadOptions(model=str(tmp_path / "lora"))).remark
    assert remark.endswith("was applied to some/model")
    edit(tmp_path / "lora", revision="v2")
    assert "cannot be reached" in failure(tmp_path / "lora").message


def test_a_bundled_base_and_its_tokenizer(tmp_path: Path) -> None:
    tuned = peft.get_peft_model(
        load(LoadOptions(model="fable")).model, peft.LoraConfig(target_modules=["q_proj"])
    )
    tuned.peft_config["default"].base_model_name_or_path = "fable"
    tuned.save_pretrained(tmp_path)
    loaded = load(LoadOptions(model=str(tmp_path)))
    assert loaded.remark == f"the adapter {tmp_path} was applied to fable"
    assert len(tokenize(loaded, loaded.default_prompt)) > 4


def drop(wanted: str) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        file = place / "adapter_model.safetensors"
        kept = {key: value for key, value in load_file(file).items() if wanted not in key}
        save_file(kept, file, metadata={"format": "pt"})

    return change


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "base missing": (
        lambda place: edit(place, base_model_name_or_path="/nowhere/llama"),
        "is an adapter, and its base model is not here: /nowhere/llama: no such directory",
    ),
    "base not on the hub": (
        lambda place: edit(place, base_model_name_or_path="no-such/model"),
        "no-such/model is no bundled model",
    ),
    "base not named": (
        lambda place: edit(place, base_model_name_or_path=None),
        "does not name its base model",
    ),
    "base is an adapter": (
        lambda place: edit(place, base_model_name_or_path=str(place)),
        "is an adapter, and so is its base model",
    ),
    "weights missing": (
        lambda place: (place / "adapter_model.safetensors").unlink(),
        "holds no adapter weights",
    ),
    "weights cut": (
        lambda place: (place / "adapter_model.safetensors").write_bytes(b"cut") and None,
        "lora are damaged",
    ),
    "config cut": (
        lambda place: (place / "adapter_config.json").write_text("{") and None,
        "adapter_config.json of .* is not valid JSON",
    ),
    "config is a list": (
        lambda place: (place / "adapter_config.json").write_text("[1]") and None,
        "does not name its base model",
    ),
    "unknown method": (lambda place: edit(place, peft_type="NEWEST"), "could not be loaded: "),
    "other modules": (
        lambda place: edit(place, target_modules=["query_key_value"]),
        "could not be loaded: .*query_key_value",
    ),
    "weights incomplete": (drop("layers.1"), "adapter .* lacks .*layers.1.* and 1 more"),
    "another rank": (
        lambda place: edit(place, r=8),
        r"does not fit its base model: .* is stored as \(.*4.*\) and needed as \(.*8.*\)",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_adapter(kind: str, adapter: Path) -> None:
    damage, expected = DAMAGE[kind]
    damage(adapter)
    error = failure(adapter)
    with pytest.raises(type(error), match=expected):
        raise error


def test_what_the_base_has_no_place_for_is_listed(adapter: Path) -> None:
    edit(adapter, layers_to_transform=[0])
    unused = load(LoadOptions(model=str(adapter))).unused_weights
    assert len(unused) == 4
    assert all("layers.1" in name for name in unused)


def test_damaged_base_is_told_by_its_name(adapter: Path, llama: Path) -> None:
    edit(adapter, base_model_name_or_path=str(llama))
    (llama / "model.safetensors").write_bytes(b"cut")
    assert f"The weights of {llama} are damaged" in failure(adapter).message


def test_without_peft(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter_module, "find_spec", lambda _: None)
    told = failure(adapter)
    assert told.message.endswith("is an adapter, and adapters need the package peft.")
    assert told.hint == "Run `pip install peft`."


def test_pickled_adapter_is_read_only_when_allowed(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    torch.save(load_file(file), adapter / "adapter_model.bin")
    file.unlink()
    assert "only pickled adapter weights" in failure(adapter).message
    assert "was applied" in load(LoadOptions(model=str(adapter), allow_pickle=True)).remark


def test_random_weights_want_the_base(adapter: Path, stored: Path) -> None:
    told = failure(adapter, weights="random")
    assert "is an adapter" in told.message
    assert str(stored / "llama") in told.hint


def test_a_whole_model_that_holds_an_adapter(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = save_tiny("llama", tmp_path / "both")
    tune(stored / "llama", directory)
    assert "holds both a whole model and an adapter" in failure(directory).message
    assert load(LoadOptions(model=str(directory), weights="random")).info.layers == 2
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--both"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    shutil.copytree(directory, repository / "snapshots" / ("a" * 40))
    # transformers 5.3 loads the base that the adapter names, and fails over its own report.
    told = failure("some/both").message
    assert ("could not be loaded" if OLDEST else "holds both") in told

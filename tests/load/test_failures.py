"""What is said when a model cannot be loaded: one line that names the real cause."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import huggingface_hub.errors as hub
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from attnscope.errors import LoadError
from attnscope.load import LoadOptions, classes, load
from attnscope.load import model as model_module
from tests.load.damage import edit_config, failure
from tests.tiny import tiny

http: Any = importlib.import_module(vars(hub)["Response"].__module__.split(".")[0])
"""The HTTP client of this huggingface_hub: httpx, later httpx2."""


def keep_weights(directory: Path, wanted: Callable[[str], bool]) -> None:
    file = directory / "model.safetensors"
    kept = {name: weight for name, weight in load_file(file).items() if wanted(name)}
    save_file(kept, file, metadata={"format": "pt"})


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda place: (place / name).write_bytes((place / name).read_bytes()[:size]) and None


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda place: (place / name).write_text(text) and None


def config(**fields: object) -> Callable[[Path], None]:
    return lambda place: edit_config(place, **fields)


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (lambda place: (place / "config.json").unlink(), "holds no config.json"),
    "cut config": (cut("config.json", 200), "not valid JSON"),
    "empty config": (write("config.json", ""), "not valid JSON"),
    "list as config": (write("config.json", "[1]"), "does not name an architecture"),
    "no weights": (lambda place: (place / "model.safetensors").unlink(), "holds no weights"),
    "cut weights": (cut("model.safetensors", 9000), "weights of .* are damaged"),
    "empty weights": (cut("model.safetensors", 0), "weights of .* are damaged"),
    "git-lfs pointer": (
        write("model.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
        "weights of .* are damaged",
    ),
    "missing layer": (
        lambda place: keep_weights(place, lambda name: "layers.1" not in name),
        r"lack model.layers.1.self_attn.q_proj.weight, .* and 6 more; random numbers",
    ),
    "missing output layer": (
        lambda place: keep_weights(place, lambda name: "lm_head" not in name),
        "lack lm_head.weight; random numbers",
    ),
    "misfit": (
        config(intermediate_size=96),
        r"do not fit its config: .*down_proj.weight is stored as \(64, 128\) and needed as",
    ),
    "unknown architecture": (config(model_type="brandnew"), "the architecture brandnew, which"),
    "wrong type of field": (config(hidden_size="big"), "config.json .* field 'hidden_size'"),
    "impossible heads": (config(num_attention_heads=5), "config.json .* does not fit its arch"),
    "encoder-decoder": (config(model_type="t5", is_encoder_decoder=True), "encoder-decoder"),
    "image model": (config(model_type="vit"), "no causal language model"),
    "own code": (
        config(model_type="own", auto_map={"AutoConfig": "configuration_own.OwnConfig"}),
        "brings its own Python code",
    ),
}


CHECKED = {"list as config", "wrong type of field", "impossible heads"}
"""Found by configs that check their fields; the oldest supported transformers has none."""


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_directory(kind: str, llama: Path) -> None:
    if kind in CHECKED and not is_dataclass(transformers.LlamaConfig):
        pytest.skip(f"transformers {transformers.__version__} does not check configs")
    damage, expected = DAMAGE[kind]
    damage(llama)
    error = failure(llama)
    with pytest.raises(LoadError, match=expected):
        raise error
    assert error.hint
    assert "network" not in str(error)


def test_missing_and_damaged_parts_of_sharded_weights(tmp_path: Path) -> None:
    tiny("llama").save_pretrained(tmp_path, max_shard_size="100KB")
    assert load(LoadOptions(model=str(tmp_path))).info.layers == 2
    next(tmp_path.glob("*.safetensors")).unlink()
    assert "is missing" in failure(tmp_path).message
    (tmp_path / "model.safetensors.index.json").write_text("{")
    assert "JSON file" in failure(tmp_path).message


def test_pickle_with_more_than_tensors_is_refused(llama: Path) -> None:
    (llama / "model.safetensors").unlink()
    torch.save({"config": transformers.LlamaConfig()}, llama / "pytorch_model.bin")
    assert "more than plain tensors" in failure(llama, allow_pickle=True).message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("./nowhere", "no such directory"),
        ("/nowhere/at/all", "no such directory"),
        ("owner/name/more", "no such directory"),
        ("not a hub id!", "no valid hub id"),
        ("no-such/model", "the Hugging Face hub cannot be reached"),
    ],
)
def test_names_that_lead_nowhere(name: str, expected: str) -> None:
    assert expected in failure(name).message


def test_file_and_outer_directory(stored: Path) -> None:
    assert "is a file" in failure(stored / "llama" / "config.json").message
    assert "Did you mean" in failure(stored).hint


def answered(kind: type[Exception], status: int) -> Exception:
    request = http.Request("GET", "https://huggingface.co/some/model")
    made: Any = kind
    error: Exception = made("refused", response=http.Response(status, request=request))
    return error


HUB = {
    "gated": (answered(hub.GatedRepoError, 403), "is gated"),
    "unknown": (answered(hub.RepositoryNotFoundError, 404), "no model on the Hugging Face hub"),
    "revision": (answered(hub.RevisionNotFoundError, 404), "has no revision v9"),
    "disabled": (answered(hub.DisabledRepoError, 403), "has been disabled"),
    "server": (answered(hub.HfHubHTTPError, 500), "refused to give"),
    "not cached": (hub.LocalEntryNotFoundError("nothing here"), "cannot be reached"),
    "offline": (hub.OfflineModeIsEnabled("offline"), "cannot be reached"),
    "connection": (http.ConnectError("no route to host"), "The connection to the Hugging Face hub"),
    "timeout": (http.ReadTimeout("too slow"), "The connection to the Hugging Face hub"),
}


@pytest.mark.parametrize("kind", HUB)
def test_hub_failures(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error, expected = HUB[kind]

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("transformers.utils.hub.hf_hub_download", refuse)
    told = failure("some/model", revision="v9")
    assert expected in told.message
    assert "some/model" in str(told)
    assert told.hint


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_out_of_memory(error: Exception, llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(classes.AutoModelForCausalLM, "from_pretrained", exhaust)
    assert "does not fit into the memory of cpu" in failure(llama, device="cpu").message


def test_unforeseen_failure_is_one_line(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError("first line\nsecond \x1b[1mline\x1b[0m " + "and so on " * 99)

    monkeypatch.setattr(classes.AutoModelForCausalLM, "from_pretrained", fail)
    told = failure(llama).message
    assert "could not be loaded: first line second line and so on" in told
    assert told.endswith("…")


@pytest.mark.parametrize("backend", ["sdpa", "flex_attention", "flash_attention_2"])
def test_backend_that_the_model_lacks(backend: str, stored: Path) -> None:
    told = failure(stored / "bloom", backend=backend)
    assert f"cannot run on the {backend} backend: BloomForCausalLM does not" in told.message


@pytest.mark.skipif(
    transformers.utils.is_flash_attn_2_available(), reason="flash_attn is installed"
)
def test_flash_attention_that_is_not_installed(stored: Path) -> None:
    assert "installed" in failure(stored / "llama", backend="flash_attention_2").message


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"dtype": "int8"}, "--dtype int8 is unknown"),
        ({"backend": "fast"}, "--backend fast is unknown"),
        ({"device": "gpu"}, "--device gpu is unknown"),
        ({"device": "meta"}, "finds no such device"),
        ({"device": "cpu", "device_map": "auto"}, "exclude each other"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, str], expected: str, stored: Path) -> None:
    assert expected in failure(stored / "llama", **options).message


def test_gpu_that_is_not_there(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "finds no such device here" in failure(stored / "llama", device="cuda").message
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert "there are 1 GPUs" in failure(stored / "llama", device="cuda:3").message


def test_device_map_without_accelerate(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "find_spec", lambda _: None)
    assert "accelerate" in failure(stored / "llama", device_map="auto").message

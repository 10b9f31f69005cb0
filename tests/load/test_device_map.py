"""A model that accelerate spreads: its hooks change nothing that is seen."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

import attnscope
from attnscope import LoadOptions
from attnscope.lessons import compare, delivered_masks, generate
from attnscope.load import load, tokens_from_ids
from attnscope.load.own import loaded_from

pytest.importorskip("accelerate")

IDS = [5, 9, 23, 5, 9, 23, 40, 1]
HALVES = {
    "model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.layers.0": "cpu",
    "model.layers.1": "disk", "model.norm": "cpu", "lm_head": "disk",
}  # fmt: skip


def offloaded(directory: Path, device_map: dict[str, str], folder: Path) -> Any:
    model = AutoModelForCausalLM.from_pretrained(
        directory, device_map=device_map, offload_folder=folder
    )
    assert model.model.layers[1].self_attn.q_proj.weight.is_meta
    try:
        model(torch.tensor([IDS], device="cpu"))
    except RuntimeError as error:
        pytest.skip(f"this transformers does not run it by itself: {error}")  # 5.3, all on disk
    return model.eval()


@pytest.mark.parametrize("device_map", ["auto", "cpu", "sequential"])
def test_spread_by_its_name(device_map: str, stored: Path) -> None:
    path = str(stored / "llama")
    spread = attnscope.heads(IDS, model=LoadOptions(model=path, device_map=device_map))
    if not torch.cuda.is_available():
        assert spread.focus == attnscope.heads(IDS, model=path).focus
    assert not spread.unchecked


@pytest.mark.parametrize("device_map", [HALVES, {"": "disk"}])
def test_hooks_that_fetch_weights_change_no_bit(
    device_map: dict[str, str], stored: Path, tmp_path: Path
) -> None:
    whole = attnscope.trace(IDS, model=LoadOptions(model=str(stored / "llama"), device="cpu"))
    model = offloaded(stored / "llama", device_map, tmp_path)
    forward = model.model.layers[1].self_attn.forward
    spread = attnscope.trace(IDS, model=model)
    assert spread.focus == whole.focus
    assert spread.proof.state == "clean"
    assert spread.model.device == ", ".join(dict.fromkeys(device_map.values()))
    assert spread.model.parameters == whole.model.parameters
    assert model.model.layers[1].self_attn.forward == forward
    assert model.model.layers[1].self_attn.q_proj.weight.is_meta


@pytest.mark.parametrize("device_map", [HALVES, {"": "disk"}])
def test_everything_else_reads_it_too(
    device_map: dict[str, str], stored: Path, tmp_path: Path
) -> None:
    loaded = loaded_from(offloaded(stored / "llama", device_map, tmp_path))
    whole = load(LoadOptions(model=str(stored / "llama"), device="cpu"))
    tokens = tokens_from_ids(whole, IDS)
    for lesson in (delivered_masks, partial(compare, against="none"), partial(generate, steps=2)):
        spread, same = (
            repr(replace(lesson(one, tokens), model=whole.info)) for one in (loaded, whole)
        )
        assert spread == same
    assert attnscope.verify(loaded, quick=True, backends=("sdpa",)).outcome == "pass"


def test_what_does_not_fit_is_read_from_disk(
    stored: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "transformers.integrations.accelerate.get_max_memory", lambda *_: {"cpu": 150_000}
    )
    loaded = load(LoadOptions(model=str(stored / "llama"), device_map="auto"))
    if "disk" not in loaded.info.device:
        pytest.skip("this transformers plans for a single device only where one is a GPU")
    assert capfd.readouterr() == ("", "")
    whole = attnscope.heads(IDS, model=LoadOptions(model=str(stored / "llama"), device="cpu"))
    assert attnscope.heads(IDS, model=loaded).focus == whole.focus

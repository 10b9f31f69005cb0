"""`package.module:factory`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from attnscope.cli.exit import run
from attnscope.errors import LoadError
from attnscope.load import LoadOptions, load
from attnscope.load.factory import names_factory
from attnscope.load.stand_in import StandIn

CODE = """
import torch, attnscope
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.cells = nn.Embedding(30, 8), nn.GRU(8, 8, batch_first=True)
    def forward(self, ids):
        return self.cells(self.embed(ids))[0]

class Leaky(Net):
    def forward(self, ids):
        return super().forward(ids) + super().forward(ids).mean(1, keepdim=True)

def plain(): return Net()
def said(): return attnscope.OwnModel(model=Leaky(), vocab_size=30, name="mine")
def theirs():
    from transformers import LlamaConfig, LlamaForCausalLM
    small = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2)
    return LlamaForCausalLM(LlamaConfig(**small, vocab_size=40))
def broken(): raise RuntimeError("no [red]data")
def leaves(): raise SystemExit(0)
def nothing(): return 3
number = 5
ready = Net()
"""


@pytest.fixture(autouse=True)
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets_for_factory.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)


def test_what_is_a_factory(tmp_path: Path) -> None:
    assert names_factory("package.module:make")
    assert names_factory("module:Class.method")
    assert not names_factory("owner/name")
    assert not names_factory("C:/models")
    (tmp_path / "a:b").mkdir()
    assert not names_factory("a:b")


def test_a_module_with_its_vocabulary() -> None:
    loaded = load(LoadOptions(model="nets_for_factory:plain", vocab_size=30))
    assert isinstance(loaded.model, StandIn)
    assert loaded.info.architecture == "Net"
    assert loaded.info.name == "nets_for_factory:plain"
    assert not loaded.model.inside.training


def test_a_dtype_that_was_named() -> None:
    loaded = load(LoadOptions(model="nets_for_factory:said", dtype="bfloat16"))
    assert loaded.model.dtype == torch.bfloat16
    assert loaded.info.name == "nets_for_factory:said"  # as it was asked for


def test_a_model_of_transformers() -> None:
    loaded = load(LoadOptions(model="nets_for_factory:theirs"))
    assert loaded.info.architecture == "LlamaForCausalLM"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("plain", "not known what nets_for_factory:plain reads. Pass --vocab-size"),
        ("broken", r"failed \(RuntimeError: no \[red\]data\)"),
        ("nothing", "returned int, which is no model"),
        ("number", "is int, which makes no model"),
        ("missing", "nets_for_factory has no missing"),
    ],
)
def test_what_goes_wrong_is_one_line(name: str, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        load(LoadOptions(model=f"nets_for_factory:{name}"))


def test_a_module_that_is_missing() -> None:
    with pytest.raises(LoadError, match="nowhere_at_all cannot be imported"):
        load(LoadOptions(model="nowhere_at_all:make"))


@pytest.mark.parametrize(
    "given", [{"weights": "random"}, {"revision": "main"}, {"device_map": "cpu"}]
)
def test_options_that_a_factory_decides(given: dict[str, str]) -> None:
    with pytest.raises(LoadError):
        load(LoadOptions(model="nets_for_factory:said", **given))  # type: ignore[arg-type]


def test_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify-mask", "nets_for_factory:said", "--quick", "--width", "120"]) == 1
    assert "enters at Leaky" in capsys.readouterr().out
    clean = ["verify-mask", "nets_for_factory:ready", "--vocab-size", "30", "--quick"]
    assert run(clean) == 0
    assert run(["verify-mask", "nets_for_factory:leaves"]) == 2
    assert "left before there was a verdict" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["prints", "moves"])
def test_what_a_factory_does_besides(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output belongs to results, and paths mean what they meant."""
    (tmp_path / "other").mkdir()
    body = {"prints": "print('hello')", "moves": "import os; os.chdir('other')"}[what]
    code = f"from nets_for_factory import *\ndef make():\n    {body}\n    return said()\n"
    (tmp_path / f"busy_{what}.py").write_text(code)
    arguments = ["verify-mask", f"busy_{what}:make", "--quick", "--report", "json:here.json"]
    assert run([*arguments, "--format", "json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["exit_code"] == 1
    assert json.loads((tmp_path / "here.json").read_text())["exit_code"] == 1


@pytest.mark.parametrize("raised", ["GeneratorExit()", "pytest.skip('no')", "SystemExit(0)"])
def test_what_no_exception_catches_is_no_verdict(
    raised: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"leaving_{len(raised)}"
    body = raised if raised.startswith("pytest") else f"raise {raised}"
    (tmp_path / f"{name}.py").write_text(f"import pytest\ndef make():\n    {body}\n")
    assert run(["verify-mask", f"{name}:make"]) == 2
    assert "left before there was a verdict" in capsys.readouterr().err

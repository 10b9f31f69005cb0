"""assert_causal: a pass comes back, everything else fails the test in a few lines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import attnscope
from attnscope import testing
from attnscope.errors import LoadError
from attnscope.faults.cell import open_cell
from attnscope.load import LoadedModel, LoadOptions, load
from attnscope.testing import assert_causal
from attnscope.verification import VerifyOptions
from tests.render import reports

QUICK = VerifyOptions(quick=True, backends=("sdpa",))


@pytest.fixture
def leaking() -> Iterator[LoadedModel]:
    loaded = load(LoadOptions(model="textbook"))
    attention = loaded.model.get_submodule("model.layers.0.self_attn")
    with open_cell(attention, head=0, query=3, key=7, weight=0.25):
        yield loaded


def judging(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    """`attnscope.verify` returns this report; a list of what it is asked."""
    asked: list[Any] = []

    def verify(model: Any, options: Any = None, **given: Any) -> Any:
        asked.append((model, options, given))
        return reports.ALL[name]()

    monkeypatch.setattr(attnscope, "verify", verify, raising=False)
    return asked


def test_a_causal_model_passes() -> None:
    report = assert_causal("textbook", QUICK)
    assert report.outcome == "pass"


def test_a_leak_is_told_in_twelve_lines(leaking: LoadedModel) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_causal(leaking, QUICK)
    told = str(caught.value).split("\n")
    assert len(told) <= 12
    assert told[0].startswith("LEAK  textbook: ")
    assert told[1] == "✗ ATN301 future-influence"
    assert told[2].startswith("  query 3 (The) → key 7 (on) · measured 0.4")
    assert "model.layers.0.self_attn" in told[2]
    words = " ".join(map(str.strip, told))
    assert "enters at model.layers.0.self_attn (SmolLM3Attention)." in words
    assert "fix look at the module named" in words


@pytest.mark.parametrize("name", ["unchecked", "broken", "leaking", "hostile"])
def test_whatever_is_no_pass_fails(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    judging(monkeypatch, name)
    with pytest.raises(AssertionError) as caught:
        assert_causal("any")
    assert str(caught.value) == str(reports.ALL[name]())


def test_all_arguments_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = judging(monkeypatch, "passing")
    assert_causal("any", QUICK, prompt="a b", vocab_size=7)
    assert asked == [("any", QUICK, {"prompt": "a b", "vocab_size": 7})]


def test_a_model_that_cannot_be_loaded_is_its_own_error() -> None:
    with pytest.raises(LoadError, match="no such directory") as caught:
        assert_causal("/nowhere/at/all", QUICK)
    assert "testing.py" in str(caught.traceback[-1].path)  # not the depths of the loader


def test_reports_are_recorded_where_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(testing, "recorders", [[], kept])
    judging(monkeypatch, "passing")
    assert_causal("any")
    judging(monkeypatch, "leaking")
    with pytest.raises(AssertionError):
        assert_causal("any")
    assert [one.outcome for one in kept] == ["pass", "fail"]


def test_importing_it_imports_no_torch() -> None:
    script = "import attnscope.testing, sys; print({'torch', 'rich', 'pytest'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"

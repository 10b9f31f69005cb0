"""The Triton kernels against float64, by Triton's interpreter and, where there is one, on a GPU."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from attnscope.measure.triton_rows import usable

ROOT = Path(__file__).parents[2]
FIELDS = {
    "lse", "score", "distance", "first", "near", "duplicate", "induction", "future", "received",
    "probes",
}  # fmt: skip

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)


def run(*arguments: str, **environment: str) -> str:
    """What another Python process prints; no interpreter of Triton's unless it is asked for."""
    kept = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def off(printed: str) -> dict[str, float]:
    """The fields that differ by more than rounding, by how many times what it allows."""
    results = json.loads(printed)
    assert len(results) > 20
    assert all(set(ratios) <= FIELDS for ratios in results.values())
    assert sum(set(ratios) == FIELDS for ratios in results.values()) == len(results) - 1
    return {
        f"{case}: {field}": ratio
        for case, ratios in results.items()
        for field, ratio in ratios.items()
        if not ratio <= 1
    }


@needs_triton
def test_in_the_interpreter() -> None:
    assert off(run("-m", "tests.measure.triton_driver", "cpu", TRITON_INTERPRET="1")) == {}


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu() -> None:
    assert off(run("-m", "tests.measure.triton_driver", "cuda")) == {}


def test_nothing_breaks_without_triton() -> None:
    script = (
        "import sys; sys.modules['triton'] = None\n"
        "import torch; from attnscope.measure.triton_rows import usable\n"
        "print(usable(torch.zeros(1, 16, 16)))"
    )
    assert run("-c", script, TRITON_INTERPRET="1") == "False\n"


def test_what_is_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert not usable(torch.zeros(1, 16, 64))
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert usable(torch.zeros(1, 16, 64))
    assert not usable(torch.zeros(1, 16, 64, dtype=torch.float64))
    assert not usable(torch.zeros(1, 16, 512))


@pytest.mark.slow
@needs_triton
def test_the_whole_way() -> None:
    """Heads of a real model by the kernels and by torch, one process each."""
    command = ("-m", "attnscope", "heads", "The cat sat on the mat, and the cat sat", "--format")
    plain, kernels = (
        json.loads(run(*command, "json", **environment))["focus"]
        for environment in ({}, {"TRITON_INTERPRET": "1"})
    )
    assert len(plain) == 16
    for ours, theirs in zip(kernels, plain, strict=True):
        assert ours["verified"]
        assert {name: value for name, value in ours.items() if name != "difference"} == {
            name: pytest.approx(theirs[name], abs=1e-4, rel=1e-4)
            if isinstance(theirs[name], float)
            else theirs[name]
            for name in ours
            if name not in {"difference", "rounding"}
        } | {"rounding": ours["rounding"]}

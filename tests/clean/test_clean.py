"""No finding on clean models: 35 architectures, eager and sdpa, float32 and bfloat16, 5 seeds.

`outcomes.json` says for each architecture which check passed how often where, and which rows were
skipped or unpromised. A row that is neither passed nor written there fails the test.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.clean.architectures import CLEAN, FLEX, QUICK, outcomes, passed, report_of
from tests.clean.outcomes import TABLE

DTYPES = ("float32", "bfloat16")
SEEDS = range(5)


def table() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(TABLE).read_text())
    return content


def check(name: str, dtype: str, seed: int, backends: tuple[str, ...] = ()) -> None:
    report = report_of(name, seed, dtype, backends)
    told = [finding.message for _, finding in report.findings]
    assert report.outcome == "pass", (name, dtype, seed, told)
    written = table()[name if not backends else f"{name} on {backends[0]}"]
    assert outcomes(report) == written["not passed"], (name, dtype, seed)
    assert passed(report) == written["passed"], (name, dtype, seed)


@pytest.mark.parametrize("name", QUICK)
def test_quick(name: str) -> None:
    check(name, "float32", 0)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CLEAN)
def test_every_architecture(name: str, dtype: str) -> None:
    for seed in SEEDS:
        check(name, dtype, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLEX)
def test_flex(name: str) -> None:
    torch._dynamo.reset()
    check(name, "float32", 0, ("flex_attention",))

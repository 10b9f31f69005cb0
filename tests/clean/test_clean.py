"""No finding on clean models: 41 architectures, eager and sdpa, float32 and bfloat16, 5 seeds
(36 of them; one seed for those that take long), and 6 on flex.

`outcomes.json` says for each architecture which check passed how often where, and which rows were
skipped or unpromised. A row that is neither passed nor written there fails the test.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.clean.architectures import CLEAN, FLEX, HEAVY, QUICK, outcomes, passed, report_of
from tests.clean.outcomes import TABLE

DTYPES = ("float32", "bfloat16")
SEEDS = 5

KNOWN = {
    "ATN301 | static cache | flex_attention",
    "ATN402 | static cache | flex_attention",
}
"""True findings in transformers 5.23: docs/findings.md."""


def table() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(TABLE).read_text())
    return content


def check(name: str, dtype: str, seed: int, backends: tuple[str, ...] = ()) -> None:
    report = report_of(name, seed, dtype, backends)
    rows = outcomes(report)
    told = [finding.message for _, finding in report.findings]
    assert {row for row, outcome in rows.items() if outcome == "fail"} <= KNOWN, (name, seed, told)
    assert "error" not in rows.values()
    assert report.outcome in {"pass", "fail"}, (name, dtype, seed)
    written = table()[name if not backends else f"{name} on {backends[0]}"]
    assert rows == written["not passed"], (name, dtype, seed)
    assert passed(report) == written["passed"], (name, dtype, seed)


@pytest.mark.parametrize("name", QUICK)
def test_quick(name: str) -> None:
    check(name, "float32", 0)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CLEAN)
def test_every_architecture(name: str, dtype: str) -> None:
    check(name, dtype, 0)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in CLEAN if name not in HEAVY])
def test_more_seeds(name: str, dtype: str) -> None:
    for seed in range(1, SEEDS):
        check(name, dtype, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLEX)
def test_flex(name: str) -> None:
    torch._dynamo.reset()
    check(name, "float32", 0, ("flex_attention",))

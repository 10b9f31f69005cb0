"""The report: its exit code, and which findings count."""

from __future__ import annotations

from typing import Any

import pytest

from attnscope.records import ModelInfo
from attnscope.report import CheckResult, Finding, PlantedLeak, Proven, Report

MODEL = ModelInfo(
    name="m", architecture="M", parameters=1, layers=2, heads=4, kv_heads=4,
    device="cpu", dtype="float32", backend="sdpa",
)  # fmt: skip


def finding(query: int) -> Finding:
    return Finding(
        layer=0, module="m", head=None, query=query, key=9, measured=1.0, limit=0.0, message="x"
    )


def result(outcome: Any, *findings: Finding) -> CheckResult:
    return CheckResult(
        code="ATN301", name="future-influence", family="influence", condition="plain",
        backend="sdpa", outcome=outcome, reason="r", findings=findings,
    )  # fmt: skip


def report(outcome: Any, *results: CheckResult) -> Report:
    return Report(
        outcome=outcome, model=MODEL, labels=("a",), declared=("causal",), results=results,
        backends=("sdpa",), forwards=1, tokens=1, seconds=0.1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "code"), [("pass", 0), ("fail", 1), ("error", 2), ("skip", 3), ("unpromised", 3)]
)
def test_the_outcome_decides_the_exit_code(outcome: str, code: int) -> None:
    """Only a pass is 0: what could not be checked never reads as clean."""
    assert report(outcome).exit_code == code


def test_findings_are_those_of_failed_results_in_reading_order() -> None:
    first, second = result("fail", finding(1), finding(2)), result("fail", finding(3))
    neutral = result("unpromised", finding(4))
    found = report("fail", neutral, first, result("pass"), second).findings
    assert [(owner, one.query) for owner, one in found] == [(first, 1), (first, 2), (second, 3)]


def test_proven_counts_the_leaks_that_were_noticed() -> None:
    leaks = tuple(
        PlantedLeak(name="n", backend="sdpa", caught_by=codes, located=False)
        for codes in ((), ("ATN301",), ("ATN101", "ATN301"))
    )
    assert Proven(planted=leaks, smallest_weight=None).caught == 2

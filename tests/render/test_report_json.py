from __future__ import annotations

import json
from dataclasses import asdict
from math import inf, nan
from typing import Any

import pytest

from attnscope.render.report_json import report_json
from attnscope.report import Report
from tests.render import reports

KEYS = {
    "schema", "outcome", "exit_code", "model", "backends", "declared", "tokens", "results",
    "floors", "notes", "fixed", "proven", "reproducer", "forwards", "tokens_pushed", "seconds",
}  # fmt: skip


def round_trip(report: Report) -> Any:
    return json.loads(json.dumps(report_json(report), allow_nan=False))


@pytest.mark.parametrize("name", reports.ALL)
def test_strict_json_with_the_same_keys(name: str) -> None:
    report = reports.ALL[name]()
    data = round_trip(report)
    assert set(data) == KEYS
    assert (data["schema"], data["outcome"]) == (1, report.outcome)
    assert data["exit_code"] == report.exit_code
    for result in data["results"]:
        assert set(result) == {
            "code", "name", "family", "condition", "backend", "outcome", "reason", "findings",
        }  # fmt: skip


def test_a_leak_as_data() -> None:
    data = round_trip(reports.leaking())
    assert data["model"] == asdict(reports.leaking().model)
    assert data["tokens"] == ["The", "cat", "sat", "on", "mat"]
    failed = [each for each in data["results"] if each["outcome"] == "fail"]
    assert [(each["code"], len(each["findings"])) for each in failed] == [
        ("ATN201", 1), ("ATN301", 2),
    ]  # fmt: skip
    finding = failed[1]["findings"][0]
    assert set(finding) == {
        "layer", "module", "head", "query", "key", "measured", "limit", "message",
    }  # fmt: skip
    assert (finding["layer"], finding["query"], finding["key"]) == (2, 1, 3)
    assert data["reproducer"] == "print('leak')\n"
    assert data["proven"] is None


def test_planted_leaks_as_data() -> None:
    data = round_trip(reports.missed())
    assert data["proven"]["caught"] == 2
    assert data["proven"]["smallest_weight"] == 3e-7
    assert data["proven"]["planted"][0] == {
        "name": "weight 1e-1 in one cell", "backend": "sdpa", "caught_by": ["ATN301"],
        "located": True,
    }  # fmt: skip


def test_what_is_no_number_is_null() -> None:
    finding = reports.make_finding(measured=inf, limit=nan)
    result = reports.make_result(outcome="fail", findings=(finding,))
    data = round_trip(reports.make_report(outcome="fail", results=(result,), seconds=nan))
    assert data["results"][0]["findings"][0]["measured"] is None
    assert data["results"][0]["findings"][0]["limit"] is None
    assert data["seconds"] is None

"""SARIF: valid by the public schema, a place and a fingerprint for every result."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from attnscope.checks import CHECKS
from attnscope.render.reports import of_census, of_reports
from attnscope.render.reports.sarif import Run, sarif
from attnscope.report import fingerprint
from tests.render import entries, reports

SCHEMA = Path(__file__).parents[1] / "data" / "sarif-schema-2.1.0.json"


@cache
def validator() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(
        json.loads(SCHEMA.read_text()), format_checker=jsonschema.FormatChecker()
    )


def log(*made: Any, run: Run | None = None) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(sarif(of_reports(made), run))
    validator().validate(data)
    return data["runs"][0]  # type: ignore[no-any-return]


def test_everything_at_once_is_valid() -> None:
    text = sarif(entries.entries(), Run(version="0.1.0"))
    text.encode("utf-8")
    validator().validate(json.loads(text))


def test_the_rules_are_the_checks_with_their_help() -> None:
    rules = log()["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [check.code for check in CHECKS]
    rule = next(rule for rule in rules if rule["id"] == "ATN301")
    check = next(check for check in CHECKS if check.code == "ATN301")
    assert rule["shortDescription"]["text"] == check.title()
    for heading, words in check.sections().items():
        assert f"{heading}: {words}" in rule["help"]["text"]
        assert f"**{heading}.** {words}" in rule["help"]["markdown"]


def test_a_result_says_where() -> None:
    run = log(reports.leaking(), run=Run(file="models/my card.md", line=7, exit_code=1))
    first, second = run["results"]
    assert (first["ruleId"], second["ruleId"]) == ("ATN201", "ATN301")
    rules = run["tool"]["driver"]["rules"]
    assert [rules[each["ruleIndex"]]["id"] for each in run["results"]] == ["ATN201", "ATN301"]
    (place,) = second["locations"]
    physical = place["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "models/my%20card.md"
    assert physical["region"] == {"startLine": 7}
    (logical,) = place["logicalLocations"]
    assert logical["fullyQualifiedName"] == "model.layers.2.self_attn"
    properties = second["properties"]
    assert (properties["layer"], properties["head"]) == (2, 3)
    assert (properties["query"], properties["key"]) == (1, 3)
    assert properties["findings"] == 2
    assert "and 1 more finding here" in second["message"]["text"]
    assert run["invocations"][0]["exitCode"] == 1


def test_fingerprints_are_the_findings_and_differ() -> None:
    report = reports.leaking()
    run = log(report)
    prints = [each["partialFingerprints"]["attnscope/v1"] for each in run["results"]]
    expected = {
        fingerprint("tiny", result, finding)
        for result in report.results if result.outcome == "fail"
        for finding in result.findings
    }  # fmt: skip
    assert len(prints) == len(set(prints))
    assert set(prints) == expected


def test_two_modules_of_one_result_are_two_results() -> None:
    found = (reports.make_finding(), reports.make_finding(module="model.layers.3"))
    result = reports.make_result(outcome="fail", findings=found)
    run = log(reports.make_report(outcome="fail", results=(result,)))
    assert len({each["partialFingerprints"]["attnscope/v1"] for each in run["results"]}) == 2


def test_an_accepted_finding_is_suppressed() -> None:
    (result,) = log(reports.accepted())["results"]
    assert result["suppressions"] == [
        {"kind": "external", "justification": "known since May, see the tracker"}
    ]


@pytest.mark.parametrize(
    ("name", "successful", "levels"),
    [
        ("passing", True, set()),
        ("partly", True, {"note"}),
        ("unchecked", True, {"warning", "note"}),
        ("broken", False, {"error"}),
    ],
)
def test_what_is_no_finding_is_no_result(name: str, successful: bool, levels: set[str]) -> None:
    run = log(reports.ALL[name]())
    assert run["results"] == []
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is successful
    assert {one["level"] for one in invocation["toolExecutionNotifications"]} == levels


def test_rows_of_a_census() -> None:
    data = json.loads(sarif(of_census(entries.census())))
    (result,) = data["runs"][0]["results"]
    assert result["properties"]["model"] == "bert (default)"
    assert result["properties"]["measured"] is None
    assert result["properties"]["findings"] == 2


def test_words_hold_no_link_and_no_placeholder() -> None:
    for result in log(entries.evil(3), entries.evil(4))["results"]:
        text = result["message"]["text"]
        assert "](" not in text
        assert "{0}" not in text.replace("{{0}}", "")

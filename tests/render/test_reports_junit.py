"""JUnit: valid by the schema, and every outcome where CI looks for it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest
import xmlschema

from attnscope.render.reports import of_census, of_reports
from attnscope.render.reports.junit import LISTED, junit
from tests.render import entries, reports

SCHEMA = Path(__file__).parents[1] / "data" / "junit-10.xsd"


@cache
def schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(SCHEMA))


def suites(name: str) -> list[Element]:
    return fromstring(junit(of_reports([reports.ALL[name]()]))).findall("testsuite")


def told(suite: Element, kind: str) -> list[str]:
    return [each.get("message", "") for each in suite.findall(f"testcase/{kind}")]


def test_everything_at_once_is_valid() -> None:
    schema().validate(junit(entries.entries()))
    schema().validate(junit(()))


@pytest.mark.parametrize(
    ("name", "failures", "errors", "skipped"),
    [
        ("passing", 0, 0, 4),
        ("leaking", 2, 0, 2),
        ("broken", 0, 1, 2),
        ("partly", 0, 0, 1),
        ("unchecked", 0, 1, 10),
        ("accepted", 0, 0, 1),
    ],
)
def test_counts(name: str, failures: int, errors: int, skipped: int) -> None:
    (suite,) = suites(name)
    counts = {key: int(suite.get(key, "-1")) for key in ("failures", "errors", "skipped")}
    assert counts == {"failures": failures, "errors": errors, "skipped": skipped}
    assert int(suite.get("tests", "0")) == len(suite.findall("testcase"))


def test_a_failure_says_what_and_where() -> None:
    (suite,) = suites("leaking")
    case = next(one for one in suite.findall("testcase") if "left padding" in one.get("name", "")
                and one.find("failure") is not None)  # fmt: skip
    assert case.get("classname") == "tiny"
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("type") == "ATN301 future-influence"
    text = failure.text or ""
    for words in ("The logits moved", "query 1 (cat) → key 3 (on)", "measured 0.312, limit 0",
                  "layer 2, head 3, in model.layers.2.self_attn", "and 1 more finding here",
                  "fix: Combine"):  # fmt: skip
        assert words in text


def test_skips_say_why_and_of_which_kind() -> None:
    (suite,) = suites("accepted")
    assert told(suite, "skipped") == ["accepted by the baseline: known since May, see the tracker"]
    (suite,) = suites("passing")
    assert all(each.startswith("not promised") for each in told(suite, "skipped"))
    (suite,) = suites("partly")
    assert told(suite, "skipped") == ["not checked: there is no GPU"]


def test_what_could_not_be_checked_is_never_a_clean_file() -> None:
    missed = replace(reports.missed(), outcome="skip")
    (suite,) = fromstring(junit(of_reports([missed])))
    assert told(suite, "error") == [
        "COULD NOT CHECK: planted leaks were missed: this pass cannot be trusted"
    ]
    alone = replace(reports.broken(), results=())
    (suite,) = fromstring(junit(of_reports([alone])))
    assert len(told(suite, "error")) == 1


def test_rows_of_a_census() -> None:
    root = fromstring(junit(of_census(entries.census())))
    by_name = {suite.get("name"): suite for suite in root}
    assert list(by_name) == ["bert (default)", "gpt2", "gemma3n", "skip", "error"]
    leak = by_name["bert (default)"].find("testcase/failure")
    assert leak is not None
    assert "and 1 more finding here" in (leak.text or "")
    assert "nan" not in (leak.text or "")
    assert told(by_name["gemma3n"], "skipped") == ["not applicable: it needs timm"]
    assert told(by_name["skip"], "error") == ["unchecked: why skip"]
    assert told(by_name["error"], "error") == ["without a verdict: why error"]


def test_controls_are_spelled_out() -> None:
    text = junit(entries.entries())
    assert "\\x1b" in text
    assert "\\ufffe" in text
    assert not {"\x00", "\x1b", "\ufffe"} & set(text)


def test_many_places_are_counted() -> None:
    found = tuple(reports.make_finding(module=f"layers.{each}") for each in range(LISTED + 5))
    result = reports.make_result(outcome="fail", findings=found)
    report = reports.make_report(outcome="fail", results=(result,))
    assert "and 5 more places" in junit(of_reports([report]))

"""A baseline: what it accepts, what it never does, and its file."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from attnscope import baseline as baselines
from attnscope.baseline import Baseline, Entry, apply, read, renew, text
from attnscope.baseline_file import baseline_of
from attnscope.checks import CHECKS
from attnscope.errors import BaselineError
from attnscope.report import CheckResult, Report, fingerprint
from attnscope.verification.reproducer import heading
from tests.render.reports import make_finding, make_report, make_result

TODAY = date(2026, 11, 22)
CONTROLS = tuple(
    make_result(code=check.code, name=check.name, family=check.family)
    for check in CHECKS
    if check.required
)
LEAK = make_result(
    condition="left padding", outcome="fail", reason="moved", findings=(make_finding(),)
)
PASSED = replace(LEAK, outcome="pass", findings=(), reason="none moved")


def leaking(*results: CheckResult, **changes: Any) -> Report:
    return make_report(outcome="fail", results=(*CONTROLS, *(results or (LEAK,))), **changes)


def entry(**changes: Any) -> Entry:
    facts = {
        "model": "tiny", "code": "ATN301", "condition": "left padding", "backend": "sdpa",
        "module": "model.layers.2.self_attn", "reason": "upstream #1",
    }  # fmt: skip
    return Entry(**{**facts, **changes})


def applied(report: Report, *entries: Entry) -> Report:
    return apply(report, baseline_of(entries), TODAY)


def last(report: Report) -> CheckResult:
    return report.results[-1]


def test_an_accepted_finding_is_neutral_and_says_why() -> None:
    report = applied(leaking(), entry())
    assert (report.outcome, report.exit_code, report.findings) == ("pass", 0, ())
    assert (last(report).outcome, last(report).reason) == ("accepted", "upstream #1")
    assert last(report).findings == LEAK.findings


@pytest.mark.parametrize(
    "other",
    [
        {"model": "tiny2"}, {"code": "ATN302"}, {"condition": "plain"}, {"backend": "eager"},
        {"module": ""},
    ],
)  # fmt: skip
def test_another_finding_is_not_accepted(other: dict[str, str]) -> None:
    report = applied(leaking(), entry(**other))
    assert (report.outcome, report.exit_code) == ("fail", 1)
    assert report.results == leaking().results


def test_positions_and_sizes_do_not_matter() -> None:
    moved = replace(LEAK, findings=(make_finding(query=0, key=4, measured=7.0, message="other"),))
    assert applied(leaking(moved), entry()).outcome == "pass"
    assert fingerprint("tiny", LEAK, LEAK.findings[0]) == fingerprint(
        "tiny", moved, moved.findings[0]
    )


def test_a_row_with_both_keeps_the_new_ones() -> None:
    new = make_finding(module="model.layers.3.mlp")
    both = replace(LEAK, findings=(make_finding(), new))
    report = applied(leaking(both), entry())
    assert (report.outcome, last(report).outcome) == ("fail", "fail")
    assert last(report).findings == (new,)
    assert last(report).reason == "moved; 1 more accepted by the baseline"


@pytest.mark.parametrize(("day", "outcome"), [(21, "fail"), (22, "pass"), (23, "pass")])
def test_an_acceptance_ends_after_its_day(day: int, outcome: str) -> None:
    report = applied(leaking(), entry(expires=date(2026, 11, day)))
    assert report.outcome == outcome
    if outcome == "fail":
        told = last(report).findings[0].message
        assert told.endswith("Its acceptance expired on 2026-11-21 (upstream #1).")


def test_what_no_longer_occurs_is_fixed_and_fails_nothing() -> None:
    report = applied(replace(leaking(PASSED), outcome="pass"), entry())
    assert report.exit_code == 0
    assert report.fixed == (
        "ATN301 (left padding, sdpa, model.layers.2.self_attn) no longer occurs: upstream #1",
    )
    assert report.notes == ()


@pytest.mark.parametrize(
    "results",
    [
        (),
        (replace(PASSED, outcome="skip"),),
        (replace(PASSED, outcome="error"),),
        (replace(PASSED, outcome="unpromised"),),
        (replace(PASSED, backend="eager"),),
        (replace(PASSED, condition="plain"),),
        (replace(LEAK, findings=(make_finding(module="elsewhere"),)),),
    ],
)
def test_what_was_not_asked_and_passed_is_not_fixed(results: tuple[CheckResult, ...]) -> None:
    report = make_report(outcome="skip", results=(*CONTROLS, *results))
    found = applied(report, entry())
    assert (found.outcome, found.fixed) == ("skip", ())
    assert "neither seen nor ruled out this time: 1, ATN301 (left padding" in found.notes[0]


@pytest.mark.parametrize(
    ("extra", "outcome", "code"),
    [
        (replace(PASSED, code="ATN401", outcome="error"), "error", 2),
        (replace(PASSED, code="ATN401", outcome="skip"), "pass", 0),
    ],
)
def test_errors_are_never_accepted(extra: CheckResult, outcome: str, code: int) -> None:
    report = applied(leaking(LEAK, extra), entry())
    assert (report.outcome, report.exit_code) == (outcome, code)


@pytest.mark.parametrize("outcome", ["error", "skip"])
def test_no_other_outcome_becomes_a_pass(outcome: Any) -> None:
    report = make_report(outcome=outcome, results=(*CONTROLS, PASSED))
    assert applied(report, entry()).outcome == outcome


def test_nothing_is_clean_without_every_control() -> None:
    report = make_report(outcome="fail", results=(*CONTROLS[1:], LEAK))
    assert applied(report, entry()).outcome == "skip"


def test_nothing_is_clean_where_the_selection_was_not_asked() -> None:
    report = leaking(LEAK, selected=("ATN4",))
    assert applied(report, entry()).outcome == "skip"


def test_a_control_is_never_accepted() -> None:
    control = replace(CONTROLS[0], outcome="fail", findings=(make_finding(module=""),))
    report = make_report(outcome="fail", results=(control, *CONTROLS[1:]))
    known = entry(code=control.code, condition=control.condition, module="")
    assert applied(report, known).outcome == "fail"
    assert renew(Baseline(), [report], "why", TODAY) == Baseline()


def test_an_accepted_required_check_is_answered() -> None:
    plain = replace(LEAK, condition="plain")
    others = tuple(one for one in CONTROLS if one.code != "ATN301")
    report = make_report(outcome="fail", results=(*others, plain))
    assert applied(report, entry(condition="plain")).outcome == "pass"


def test_the_script_of_an_accepted_finding_is_dropped() -> None:
    plain = replace(LEAK, condition="plain")
    for shown, kept in ((LEAK, False), (plain, True)):
        script = heading(shown, shown.findings[0]) + "\nimport torch\n"
        report = applied(leaking(LEAK, plain, reproducer=script), entry())
        assert report.outcome == "fail"
        assert report.reproducer == (script if kept else "")
    assert applied(leaking(reproducer="x"), entry()).reproducer == ""


def test_without_entries_of_this_model_nothing_changes() -> None:
    report = leaking()
    assert applied(report, entry(model="other")) is report


def test_writing_accepts_every_finding_and_keeps_old_reasons() -> None:
    other = replace(LEAK, condition="plain")
    old, foreign = entry(expires=TODAY), entry(model="another", reason="theirs")
    skipped = entry(code="ATN403", reason="not asked")
    fixed = entry(code="ATN302", condition="", reason="gone")
    asked = make_result(code="ATN302", name="module-influence", condition="")
    report = leaking(LEAK, other, asked)
    known = renew(baseline_of([old, foreign, skipped, fixed]), [report], "new", TODAY)
    assert list(known.entries.values()) == [
        foreign, old, entry(condition="plain", reason="new"), skipped,
    ]  # fmt: skip
    assert apply(report, known, TODAY).outcome == "pass"


def test_what_occurs_in_one_of_two_reports_of_a_model_is_not_fixed() -> None:
    for reports in ([leaking(), leaking(PASSED)], [leaking(PASSED), leaking()]):
        known = renew(baseline_of([entry()]), reports, "new", TODAY)
        assert list(known.entries.values()) == [entry()]


def test_what_has_expired_is_accepted_anew() -> None:
    known = renew(baseline_of([entry(expires=date(2026, 1, 1))]), [leaking()], "again", TODAY)
    assert list(known.entries.values()) == [entry(reason="again")]


def test_the_file_comes_back_as_it_was_one_block_an_entry(tmp_path: Path) -> None:
    known = baseline_of([entry(model="b\udc80"), entry(expires=TODAY, reason="ü")])
    path = tmp_path / "b.json"
    path.write_text(text(known), encoding="utf-8")
    assert read(path) == known
    assert path.read_text().splitlines()[:14] == [
        "{", '  "schema": 1,', '  "findings": [', "    {", '      "model": "b\\udc80",',
        '      "code": "ATN301",', '      "condition": "left padding",',
        '      "backend": "sdpa",', '      "module": "model.layers.2.self_attn",',
        '      "reason": "upstream #1"', "    },", "    {", '      "model": "tiny",',
        '      "code": "ATN301",',
    ]  # fmt: skip
    assert apply(leaking(), read(path), TODAY).outcome == "pass"


BLOCK = json.loads(text(baseline_of([entry()])))["findings"][0]


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in BLOCK.items() if key != name}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("{", "is no JSON (Expecting"),
        ("[" * 100_000, "is no JSON"),
        ([], 'is no JSON object with "schema" and "findings"'),
        ({}, "schema is null; this version reads 1"),
        ({"schema": 2, "findings": []}, "schema is 2"),
        ({"schema": True, "findings": []}, "schema is true"),
        ({"schema": 1}, "findings is no list"),
        ({"schema": 1, "findings": {}, "x": 1}, 'unknown key "x"'),
        ([3], "findings[0] is no object"),
        ([without("reason")], "findings[0] has no 'reason'"),
        ([BLOCK | {"reason": " "}], "findings[0].reason is empty; say why"),
        ([BLOCK | {"module": 3}], "findings[0].module is 3 and no text"),
        ([BLOCK | {"model": ""}], "findings[0].model is empty"),
        ([BLOCK | {"code": "ATN3"}], 'findings[0].code is "ATN3"'),
        ([BLOCK | {"expire": "2027-01-01"}], "\"expire\"; did you mean 'expires'?"),
        ([BLOCK | {"expires": "2027-02-30"}], 'findings[0].expires is "2027-02-30" and no date'),
        ([BLOCK | {"expires": "20270101"}], "and no date such as"),
        ([BLOCK | {"expires": None}], "findings[0].expires is null"),
        ([BLOCK, BLOCK | {"reason": "x"}], "findings[1] is the same finding as findings[0]"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_place(
    data: Any, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "b.json"
    whole = {"schema": 1, "findings": data} if isinstance(data, list) and data else data
    path.write_text(data if isinstance(data, str) else json.dumps(whole))
    with pytest.raises(BaselineError) as caught:
        read(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="--write-baseline makes one"):
        read(tmp_path / "none.json")
    with pytest.raises(BaselineError, match="cannot be read: is a directory"):
        read(tmp_path)
    path = tmp_path / "b.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BaselineError, match="is no JSON"):
        read(path)


def test_a_note_counts_what_it_does_not_name() -> None:
    (note,) = baselines.listed("left", [entry(condition=str(number)) for number in range(5)])
    assert note.startswith("left: 5, ATN301 (0, sdpa")
    assert note.endswith(" and 2 more.")

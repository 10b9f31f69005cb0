"""A baseline and the rows of a census."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import date
from typing import Any

import pytest

from attnscope.baseline import Baseline, Entry, baseline_of
from attnscope.census.accept import apply, renew
from attnscope.census.ledger import row_from
from attnscope.records.census import Accepted, Census, Found, Row
from attnscope.render.census import census_page
from attnscope.render.census_markdown import census_markdown
from attnscope.render.reports import of_census
from tests.census.test_ledger import LEAK, ROWS
from tests.render.examples import printed

TODAY = date(2026, 11, 22)
ROW = replace(ROWS[0], otherwise="pass")
KNOWN = Entry(
    model="bert (default)", code="ATN301", condition="left padding", backend="sdpa",
    module="model.layers.0", reason="bidirectional by default",
)  # fmt: skip


def census(*rows: Row) -> Census:
    return Census(rows=rows, versions=(), date="2026-11-22", quick=True, backends=("eager",))


def applied(row: Row, *entries: Entry) -> Row:
    return apply(census(row), baseline_of(entries), TODAY).rows[0]


def test_a_row_whose_findings_are_accepted_passes_and_says_why() -> None:
    row = applied(ROW, KNOWN)
    assert (row.state, row.findings, row.families) == ("pass", (), (("influence", "accepted"),))
    assert row.accepted == (Accepted(found=LEAK, reason="bidirectional by default"),)
    assert row_from(json.loads(json.dumps(asdict(row)))) == row
    (told, *_) = of_census(census(row))[0].results
    assert (told.outcome, told.reason) == ("accepted", "bidirectional by default")
    page = printed(census_page(census(row)), 120, "utf-8")
    assert "accepted ATN301 (left padding" in page
    assert "bidirectional by default" in census_markdown(census(row))


def test_a_new_finding_keeps_the_row_failed() -> None:
    new = replace(LEAK, condition="plain")
    row = applied(replace(ROW, findings=(LEAK, new)), KNOWN)
    assert (row.state, row.findings, len(row.accepted)) == ("fail", (new,), 1)
    assert row.families == ROW.families


def test_what_has_expired_fails_and_says_so() -> None:
    row = applied(ROW, replace(KNOWN, expires=date(2026, 11, 21)))
    assert row.state == "fail"
    assert row.findings[0].message.endswith("Its acceptance expired on 2026-11-21 "
                                            "(bidirectional by default).")  # fmt: skip


@pytest.mark.parametrize("otherwise", ["error", "skip"])
def test_what_else_is_wrong_stays(otherwise: Any) -> None:
    row = applied(replace(ROW, otherwise=otherwise), KNOWN)
    assert (row.state, bool(row.reason)) == (otherwise, True)


@pytest.mark.parametrize(("controls", "state"), [(True, "pass"), (False, "skip")])
def test_rows_that_do_not_tell_are_judged_by_their_controls(controls: bool, state: str) -> None:
    row = replace(ROW, otherwise=None, controls=controls)
    assert applied(row, KNOWN).state == state


def test_a_control_is_never_accepted() -> None:
    control = Found(
        code="ATN001", condition="", backend="sdpa", module="", message="runs differ", count=1
    )
    row = replace(ROW, findings=(control,))
    known = replace(KNOWN, code="ATN001", condition="", module="")
    assert applied(row, known) == row
    assert renew(Baseline(), census(row), "why", TODAY) == Baseline()


def test_nothing_is_called_fixed_but_what_was_not_seen_is_told() -> None:
    gone, foreign = replace(KNOWN, code="ATN302"), replace(KNOWN, model="another")
    found = apply(census(ROW), baseline_of([KNOWN, gone, foreign]), TODAY)
    assert found.notes == (
        "accepted findings that were not seen this time: 1, ATN302 (left padding, sdpa,"
        " model.layers.0).",
    )
    assert "note accepted findings" in printed(census_page(found), 200, "utf-8")


def test_writing_keeps_old_reasons_and_takes_nothing_away() -> None:
    foreign = replace(KNOWN, model="another")
    rows = census(replace(ROW, findings=(LEAK, replace(LEAK, backend="eager"))))
    known = renew(baseline_of([KNOWN, foreign]), rows, "new", TODAY)
    assert list(known.entries.values()) == [
        foreign, replace(KNOWN, backend="eager", reason="new"), KNOWN,
    ]  # fmt: skip
    assert apply(rows, known, TODAY).rows[0].state == "pass"


def test_rows_of_earlier_files_are_read() -> None:
    data = asdict(ROW)
    assert row_from(data) == ROW
    del data["otherwise"], data["accepted"]
    assert row_from(data) == replace(ROW, otherwise=None)

"""Entries for every report: of verdicts, of several models at once, and of a census."""

from __future__ import annotations

from dataclasses import replace

from attnscope.records.census import Census
from attnscope.render.reports import Entry, of_census, of_reports
from attnscope.report import Report
from tests.census.test_ledger import HEADING, ROWS
from tests.render import examples, reports

EVIL = (
    "<script>document.title='x'</script>",
    '"><img src=x onerror="document.title=1">',
    "</style></title><b>",
    "a | b `c` [d](http://evil.example/) @somebody #12 GH-3 www.evil.example\n# e\r\n::error::f",
    "##[error]g %0A ]]> <!-- &amp; \x00\x1b[31m\ufffe\udc80 {0} $x$ ~~h~~ **i** :smile:",
    "'' onmouseover='alert(1)",
)


def evil(number: int) -> Report:
    """A verdict in which every field that holds words holds hostile ones."""
    words = EVIL[number]
    finding = reports.make_finding(module=words, message=words, query=0)
    results = tuple(
        reports.make_result(
            outcome=outcome, reason=words, condition=words, backend=words, fix=words, name=words,
            findings=(finding,) if outcome in {"fail", "accepted"} else (),
        )
        for outcome in ("fail", "error", "skip", "unpromised", "accepted", "pass")
    )  # fmt: skip
    return reports.make_report(
        outcome="fail", results=results, backends=(words,), labels=(words,), declared=(words,),
        model=replace(examples.make_model(name=words), architecture=words), fixed=(words,),
        notes=(words,), floors=(words,), reproducer=f"# {words}\n```\n",
    )  # fmt: skip


def census() -> Census:
    states = ("skip", "error")
    rows = [
        replace(ROWS[1], model_type=state, state=state, reason=f"why {state}") for state in states
    ]
    return Census(
        rows=(*ROWS, *rows), versions=HEADING.versions, date=HEADING.date, quick=True,
        backends=HEADING.backends,
    )  # fmt: skip


def entries() -> tuple[Entry, ...]:
    """Of everything at once: several models, hostile ones, and a census."""
    listed = [make() for make in reports.ALL.values()] + [
        evil(number) for number in range(len(EVIL))
    ]
    return (*of_reports(listed), *of_census(census()))

"""What every report is made of: one entry a model, from a verdict or from a row of a census."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import nan

from attnscope.checks import CHECKS
from attnscope.records.census import Census, Found, Row, State
from attnscope.render.census_rows import WORDS
from attnscope.render.header import count
from attnscope.render.headline import sentence, verdict_word
from attnscope.render.remarks import caught, cost, planted
from attnscope.report import CheckResult, Finding, Outcome, Proven, Report

NAMES = {check.code: check.name for check in CHECKS}
FIXES = {check.code: check.sections().get("How to fix", "") for check in CHECKS}
FAMILIES = {check.code: check.family for check in CHECKS}

UNPROMISED = "differs in a condition that the model never promised to support"

OUTCOMES: dict[State, Outcome] = {"pass": "pass", "fail": "fail", "error": "error"}
"""Of a row; every other state is no verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model's verdict."""

    model: str
    """Its name; foreign words, like all others here."""
    outcome: Outcome
    """See `attnscope.report.Outcome`."""
    word: str
    """The verdict in a word."""
    words: str
    """What the verdict comes from, in a sentence."""
    facts: tuple[tuple[str, str], ...]
    """What was judged, and on what: a name and a value each."""
    results: tuple[CheckResult, ...]
    """Of a census: those that failed, and a line for each family and each unpromised check."""
    labels: tuple[str, ...] = ()
    """The tokens that were read."""
    seconds: float = 0.0
    """Wall time."""
    remarks: tuple[tuple[str, str], ...] = ()
    """What else has to be said: a word and a sentence each."""
    reproducer: str = ""
    """A script that shows the worst finding; or empty."""
    beside_the_point: bool = False
    """True for a row for which there is nothing to judge: no verdict, and nothing amiss."""


def of_reports(reports: Iterable[Report]) -> tuple[Entry, ...]:
    """An entry a report."""
    return tuple(
        Entry(
            model=report.model.name,
            outcome=report.outcome,
            word=verdict_word(report),
            words=sentence(report),
            facts=_facts(report),
            results=report.results,
            labels=report.labels,
            seconds=report.seconds,
            remarks=tuple(_remarks(report)),
            reproducer=report.reproducer,
        )
        for report in reports
    )


def of_census(census: Census) -> tuple[Entry, ...]:
    """An entry a row, in the rows' order.

    A row keeps no sizes and no positions: its findings measure nan.
    """
    return tuple(
        Entry(
            model=row.key,
            outcome=OUTCOMES.get(row.state, "skip"),
            word=WORDS[row.state],
            words=_words(row),
            facts=(("architecture", row.architecture), ("backends", ", ".join(row.backends))),
            results=tuple(_results(row)),
            seconds=row.seconds,
            beside_the_point=row.state == "not applicable",
        )
        for row in census.rows
    )


def _words(row: Row) -> str:
    codes = dict.fromkeys(one.code for one in row.findings)
    where = f"on {', '.join(row.backends) or 'no backend'}"
    return row.reason or f"{', '.join(codes) or 'nothing found'} {where}"


def _remarks(report: Report) -> Iterator[tuple[str, str]]:
    told = {
        "may see": report.declared,
        "floor": report.floors,
        "proven": () if report.proven is None else tuple(_proven(report.proven)),
        "fixed": report.fixed,
        "note": report.notes,
        "cost": (cost(report),),
    }
    return ((name, words) for name, listed in told.items() for words in listed)


def _proven(proven: Proven) -> Iterator[str]:
    yield caught(proven)
    for leak in proven.planted:
        if not leak.caught_by:
            yield f"MISSED: {planted(leak)}"
        elif not leak.located:
            yield f"caught, but not located: {planted(leak)}"


def _facts(report: Report) -> tuple[tuple[str, str], ...]:
    model = report.model
    told = {
        "architecture": model.architecture,
        "parameters": count(model.parameters) if model.parameters else "",
        "layers": str(model.layers) if model.layers else "",
        "heads": str(model.heads) if model.heads else "",
        "device": model.device,
        "dtype": model.dtype,
        "backends": ", ".join(report.backends) or model.backend,
    }
    return tuple((name, value) for name, value in told.items() if value)


def _results(row: Row) -> Iterator[CheckResult]:
    for one in row.findings:
        yield _found(one)
    for each in row.accepted:
        yield replace(_found(each.found), outcome="accepted", reason=each.reason)
    for family, outcome in row.families:
        if outcome in {"pass", "unpromised", "skip", "error"}:
            yield _told("", f"{family} checks", family, _outcome(outcome), "")
    for code in row.unpromised:
        yield _told(code, NAMES.get(code, ""), FAMILIES.get(code, ""), "unpromised", UNPROMISED)


def _outcome(word: str) -> Outcome:
    named: dict[str, Outcome] = {"pass": "pass", "error": "error", "unpromised": "unpromised"}
    return named.get(word, "skip")


def _told(code: str, name: str, family: str, outcome: Outcome, reason: str) -> CheckResult:
    return CheckResult(
        code=code, name=name, family=family, condition="", backend="", outcome=outcome,
        reason=reason,
    )  # fmt: skip


def _found(one: Found) -> CheckResult:
    finding = Finding(
        layer=None, module=one.module, head=None, query=None, key=None, measured=nan, limit=nan,
        message=one.message,
    )  # fmt: skip
    return CheckResult(
        code=one.code, name=NAMES.get(one.code, ""), family=FAMILIES.get(one.code, ""),
        condition=one.condition, backend=one.backend, outcome="fail", reason=one.message,
        findings=(finding,) * one.count, fix=FIXES.get(one.code, ""),
    )  # fmt: skip

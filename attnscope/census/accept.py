"""A baseline and the rows of a census.

A row keeps the worst finding of each check, condition and backend, so that one is what an entry
accepts. It does not keep what passed, so nothing is ever called fixed here: `verify-mask` tells.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from attnscope.baseline import CONTROLS, Baseline, Entry, listed, renewed
from attnscope.checks import CHECKS
from attnscope.records.census import Accepted, Census, Found, Row

NEVER = frozenset(check.code for check in CHECKS if check.family == CONTROLS)
"""Checks of the instrument, which no baseline accepts."""

LEFT = "beside what is accepted, not everything could be checked"
"""Why a row without another finding is no pass."""


def apply(census: Census, baseline: Baseline, today: date) -> Census:
    """The census with its accepted findings set apart, and its rows' states settled anew."""
    rows = tuple(_row(row, baseline, today) for row in census.rows)
    here = {entry.place for row in census.rows for entry in found(row, "")}
    keys = [row.key for row in census.rows]
    missing = [one for key in keys for one in baseline.of(key) if one.place not in here]
    notes = listed("accepted findings that were not seen this time", missing)
    return replace(census, rows=rows, notes=(*census.notes, *notes))


def renew(known: Baseline, census: Census, reason: str, today: date) -> Baseline:
    """What accepts every finding of these rows, made before `apply`; no entry goes."""
    occurring = (entry for row in census.rows for entry in found(row, reason))
    return renewed(known, known.entries.values(), occurring, today)


def found(row: Row, reason: str) -> Iterable[Entry]:
    """An entry for each finding that can be accepted; a row's name stands for the model's."""
    return (_entry(row, one, reason) for one in row.findings if one.code not in NEVER)


def _entry(row: Row, one: Found, reason: str) -> Entry:
    return Entry(
        model=row.key, code=one.code, condition=one.condition, backend=one.backend,
        module=one.module, reason=reason,
    )  # fmt: skip


def _row(row: Row, baseline: Baseline, today: date) -> Row:
    left: list[Found] = []
    accepted: list[Accepted] = []
    for one in row.findings:
        entry = baseline.entries.get(_entry(row, one, "").place)
        if entry is None or one.code in NEVER:
            left.append(one)
        elif entry.accepts(today):
            accepted.append(Accepted(found=one, reason=entry.reason))
        else:
            left.append(replace(one, message=f"{one.message} {entry.ended}"))
    row = replace(row, findings=tuple(left))
    if not accepted:
        return row
    settled = (*row.accepted, *accepted)
    row = replace(row, accepted=settled)
    row = replace(row, families=_families(row))
    if left or row.state != "fail":
        return row
    state = row.otherwise or ("pass" if row.controls else "skip")
    return replace(row, state=state, reason="" if state == "pass" else LEFT)


def _families(row: Row) -> tuple[tuple[str, str], ...]:
    """A family that failed by accepted findings alone is accepted too."""
    families = {check.code: check.family for check in CHECKS}
    failing = {families[one.code] for one in row.findings if one.code in families}
    codes = (one.found.code for one in row.accepted)
    settled = {families[code] for code in codes if code in families} - failing
    return tuple((name, "accepted" if name in settled else one) for name, one in row.families)

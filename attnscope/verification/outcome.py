"""From the rows of a report to its outcome, also after a baseline has accepted some of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attnscope.checks import CHECKS, find
from attnscope.conditions import CONDITIONS
from attnscope.report import CheckResult, Outcome
from attnscope.verification.options import named

ANSWERED = frozenset({"pass", "accepted"})
"""Outcomes of a row that was asked and leaves nothing open."""


def settled(
    results: Iterable[CheckResult], backends: Iterable[str], selected: Sequence[str]
) -> Outcome:
    """Fail, error, skip, pass, in this order; nothing is clean without every control on every
    backend in the plain condition, nor where nothing of what was selected could be asked.
    """
    rows = tuple(results)
    outcomes = {row.outcome for row in rows}
    if "fail" in outcomes:
        return "fail"
    if "error" in outcomes:
        return "error"
    required = [check.code for check in CHECKS if check.required]
    plain = {"", CONDITIONS["plain"].title}
    answered = {
        (row.backend, row.code)
        for row in rows
        if row.outcome in ANSWERED and row.condition in plain
    }
    whole = all((backend, code) in answered for backend in backends for code in required)
    return "pass" if whole and _selection_was_asked(rows, selected) else "skip"


def _selection_was_asked(rows: Iterable[CheckResult], selected: Sequence[str]) -> bool:
    if not selected:
        return True
    asked = (row for row in rows if named(find(row.code), selected))
    return any(row.outcome in {*ANSWERED, "unpromised"} for row in asked)

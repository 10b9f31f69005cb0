"""Accepted findings: what a baseline changes in a report, and what a report changes in a baseline.

A finding is known by model, code, condition, backend and module (`attnscope.report.fingerprint`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date

from attnscope.baseline_file import Baseline, Entry, baseline_of, read, text
from attnscope.report import CheckResult, Finding, Report, fingerprint, identity
from attnscope.verification.outcome import settled
from attnscope.verification.reproducer import heading

__all__ = ["Baseline", "Entry", "apply", "baseline_of", "listed", "read", "renew", "text"]

CONTROLS = "observer"
"""The family of checks of the instrument itself: nothing is known about a model that fails one, so
there is nothing to accept."""

NAMED = 3
"""Entries that a note names; the rest is counted."""


def apply(report: Report, baseline: Baseline, today: date) -> Report:
    """The report with its accepted findings set apart, and its outcome settled anew.

    A row whose findings are all accepted becomes `accepted`; another one keeps those that are not.
    Only a `fail` can become something else, never an error or a skip.
    """
    known = _by_fingerprint(baseline.of(report.model.name))
    if not known:
        return report
    name = report.model.name
    results = tuple(_judged(name, result, known, today) for result in report.results)
    fixed, unseen = gone(report, baseline)
    outcome = report.outcome
    if outcome == "fail":
        outcome = settled(results, report.backends, report.selected)
    shown = outcome == "fail" and _still_shown(report, known, today)
    return replace(
        report,
        outcome=outcome,
        results=results,
        reproducer=report.reproducer if shown else "",
        fixed=(*report.fixed, *(f"{one.words} no longer occurs: {one.reason}" for one in fixed)),
        notes=(*report.notes, *_unseen(unseen)),
    )


def renew(known: Baseline, reports: Iterable[Report], reason: str, today: date) -> Baseline:
    """What accepts every finding of these reports, made before `apply`.

    Entries that still accept keep their reason and date; what has expired and still occurs is
    accepted anew. Entries that were fixed go; those of other models, and what was not asked about
    this time, stay.
    """
    judged = tuple(reports)
    fixed = {entry.place for report in judged for entry in gone(report, known)[0]}
    kept = [entry for place, entry in known.entries.items() if place not in fixed]
    return renewed(known, kept, (entry for each in judged for entry in found(each, reason)), today)


def renewed(
    known: Baseline, kept: Iterable[Entry], occurring: Iterable[Entry], today: date
) -> Baseline:
    """What is kept, and what occurs: as it is known where that still accepts, else anew."""
    entries = {entry.place: entry for entry in kept}
    for entry in occurring:
        before = known.entries.get(entry.place)
        entries[entry.place] = before if before and before.accepts(today) else entry
    return baseline_of(entries.values())


def found(report: Report, reason: str) -> Iterator[Entry]:
    """An entry for each finding that can be accepted."""
    for result in report.results:
        if result.family == CONTROLS or result.outcome not in {"fail", "accepted"}:
            continue
        for finding in result.findings:
            yield Entry(
                model=report.model.name, code=result.code, condition=result.condition,
                backend=result.backend, module=finding.module, reason=reason,
            )  # fmt: skip


def gone(report: Report, baseline: Baseline) -> tuple[list[Entry], list[Entry]]:
    """Entries of the report's model that do not occur in it: fixed ones, whose check passed in that
    condition on that backend, and those of which the report does not tell.
    """
    passed = {
        (result.code, result.condition, result.backend)
        for result in report.results
        if result.outcome == "pass"
    }
    occurs = {entry.place for entry in found(report, "")}
    missing = [entry for entry in baseline.of(report.model.name) if entry.place not in occurs]
    fixed = [one for one in missing if (one.code, one.condition, one.backend) in passed]
    return fixed, [one for one in missing if one not in fixed]


def _by_fingerprint(entries: Iterable[Entry]) -> dict[str, Entry]:
    return {identity(*entry.place): entry for entry in entries}


def _judged(
    model: str, result: CheckResult, known: Mapping[str, Entry], today: date
) -> CheckResult:
    if result.outcome != "fail" or result.family == CONTROLS or not result.findings:
        return result
    reasons: list[str] = []
    left: list[Finding] = []
    for finding in result.findings:
        entry = known.get(fingerprint(model, result, finding))
        if entry is not None and entry.accepts(today):
            reasons.append(entry.reason)
        else:
            ended = "" if entry is None else f" {entry.ended}"
            left.append(replace(finding, message=finding.message + ended))
    if not left:
        return replace(result, outcome="accepted", reason="; ".join(dict.fromkeys(reasons)))
    words = f"; {len(reasons)} more accepted by the baseline" if reasons else ""
    return replace(result, findings=tuple(left), reason=result.reason + words)


def _still_shown(report: Report, known: Mapping[str, Entry], today: date) -> bool:
    """False where what the script shows has been accepted."""
    for result, finding in report.findings:
        entry = known.get(fingerprint(report.model.name, result, finding))
        accepted = entry is not None and entry.accepts(today)
        if accepted and report.reproducer.startswith(heading(result, finding)):
            return False
    return True


def _unseen(entries: list[Entry]) -> tuple[str, ...]:
    return listed("accepted findings that were neither seen nor ruled out this time", entries)


def listed(what: str, entries: list[Entry]) -> tuple[str, ...]:
    """A note that counts entries and names the first ones; none for none."""
    if not entries:
        return ()
    named = ", ".join(entry.words for entry in entries[:NAMED])
    more = f" and {len(entries) - NAMED} more" if len(entries) > NAMED else ""
    return (f"{what}: {len(entries)}, {named}{more}.",)

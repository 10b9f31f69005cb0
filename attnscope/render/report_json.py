"""A report as plain data for `json.dumps`: schema version 1, strict JSON, full precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from attnscope.report import CheckResult, Proven, Report, exit_code

SCHEMA = 1


def report_json(report: Report) -> dict[str, Any]:
    """The report as dictionaries, lists, strings and numbers; what is no finite number is null."""
    data = {
        "schema": SCHEMA,
        "outcome": report.outcome,
        "exit_code": report.exit_code,
        "model": asdict(report.model),
        "backends": report.backends,
        "declared": report.declared,
        "tokens": report.labels,
        "results": [_result(result) for result in report.results],
        "floors": report.floors,
        "notes": report.notes,
        "fixed": report.fixed,
        "proven": _proven(report.proven) if report.proven else None,
        "reproducer": report.reproducer,
        "forwards": report.forwards,
        "tokens_pushed": report.tokens,
        "seconds": report.seconds,
    }
    return {name: _plain(value) for name, value in data.items()}


def reports_json(reports: Sequence[Report]) -> dict[str, Any]:
    """One report as it is; of several, all of them and the exit code of the whole."""
    if len(reports) == 1:
        return report_json(reports[0])
    listed = [report_json(report) for report in reports]
    return {"schema": SCHEMA, "reports": listed, "exit_code": exit_code(reports)}


def _result(result: CheckResult) -> dict[str, Any]:
    names = ("code", "name", "family", "condition", "backend", "outcome", "reason")
    found = [asdict(finding) for finding in result.findings]
    return {name: getattr(result, name) for name in names} | {"findings": found}


def _proven(proven: Proven) -> dict[str, Any]:
    return {
        "planted": [asdict(leak) for leak in proven.planted],
        "caught": proven.caught,
        "smallest_weight": proven.smallest_weight,
    }


def _plain(value: Any) -> Any:
    """The value with lists for tuples, and null for every number that JSON has no word for."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.render.demo import leaking

    Console().print_json(data=report_json(leaking()))

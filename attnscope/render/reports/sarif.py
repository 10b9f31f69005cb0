"""SARIF 2.1.0, as code scanning reads it: a rule a check, a result a defect.

A result needs a place in the repository, which a leak in a model has not: all of them stand at one
line of a file of the caller's choice, and say in `logicalLocations` where they really are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any
from urllib.parse import quote

from attnscope.checks import CHECKS, Check
from attnscope.checks.base import HEADINGS
from attnscope.render.reports.entries import Entry
from attnscope.render.reports.groups import Defect, everywhere, reasons
from attnscope.report import Outcome
from attnscope.text import escape

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "attnscope/v1"
"""Names how the fingerprint is made; another way of making it would be another name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a log says of the run that made it, and where it shows the results."""

    file: str = "pyproject.toml"
    """Of the repository, relative to its root, with forward slashes: all results stand there."""
    line: int = 1
    """In that file, from 1."""
    version: str = ""
    """Of attnscope; empty where it does not matter."""
    exit_code: int = 0
    """What the command returns."""


def sarif(entries: Sequence[Entry], run: Run | None = None) -> str:
    """The log, with one run of all models."""
    run = run or Run()
    found = [*everywhere(entries, "fail"), *everywhere(entries, "accepted")]
    rules = _rules(found)
    places = {rule["id"]: place for place, rule in enumerate(rules)}
    version = {"version": run.version} if run.version else {}
    data = {
        "tool": {"driver": {"name": "attnscope", **version, "rules": rules}},
        "invocations": [
            {
                "exitCode": run.exit_code,
                "executionSuccessful": all(entry.outcome != "error" for entry in entries),
                "toolExecutionNotifications": [
                    notification for entry in entries for notification in _notifications(entry)
                ],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [_result(defect, run, places) for defect in found],
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [data]}
    return json.dumps(log, allow_nan=False, indent=1, ensure_ascii=False) + "\n"


def _rules(found: Sequence[Defect]) -> list[dict[str, Any]]:
    """Every check, and the bare code of what this version does not know (rows of another one)."""
    rules = [_rule(check) for check in CHECKS]
    known = {check.code for check in CHECKS}
    unknown = {each.result.code: each for each in found if each.result.code not in known}
    return rules + [
        {"id": escape(code), "name": escape(each.result.name or code)}
        for code, each in unknown.items()
    ]


def _rule(check: type[Check]) -> dict[str, Any]:
    sections = check.sections()
    told = [(name, sections[name]) for name in HEADINGS if name in sections]
    return {
        "id": check.code,
        "name": check.name,
        "shortDescription": {"text": _text(check.title())},
        "fullDescription": {"text": _text(sections.get(HEADINGS[0], check.title()))},
        "help": {
            "text": _text("\n\n".join(f"{name}: {words}" for name, words in told) or check.name),
            "markdown": _text("\n\n".join(f"**{name}.** {words}" for name, words in told)),
        },
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": [check.family], "problem.severity": "error"},
    }


def _result(defect: Defect, run: Run, places: dict[str, int]) -> dict[str, Any]:
    result = defect.result
    code = escape(result.code)
    data: dict[str, Any] = {
        "ruleId": code,
        "ruleIndex": places[code],
        "level": "error",
        "message": {"text": _message(defect)},
        "locations": [_location(defect, run)],
        "partialFingerprints": {FINGERPRINT: defect.fingerprint},
        "properties": _properties(defect),
    }
    if result.outcome == "accepted":
        why = escape(result.reason)
        data["suppressions"] = [{"kind": "external", "justification": why}]
    return data


def _message(defect: Defect) -> str:
    place = ", ".join(filter(None, (defect.seen, defect.size, *defect.place, defect.others)))
    words = f"{defect.entry.model}: {defect.finding.message} ({place})"
    fix = f" Fix: {defect.result.fix}" if defect.result.fix else ""
    return _text(words + fix)


def _location(defect: Defect, run: Run) -> dict[str, Any]:
    place: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(run.file), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": run.line},
        }
    }
    if module := escape(defect.finding.module):
        name = module.rpartition(".")[2] or module
        place["logicalLocations"] = [{"name": name, "fullyQualifiedName": module, "kind": "module"}]
    return place


def _properties(defect: Defect) -> dict[str, Any]:
    finding, result = defect.finding, defect.result
    return {
        "model": escape(defect.entry.model),
        "condition": escape(result.condition),
        "backend": escape(result.backend),
        "layer": finding.layer,
        "head": finding.head,
        "query": finding.query,
        "key": finding.key,
        "measured": _finite(finding.measured),
        "limit": _finite(finding.limit),
        "findings": defect.number,
    }


def _notifications(entry: Entry) -> Iterator[dict[str, Any]]:
    """What is no result: no verdict, the checker's own failures, and what was not checked."""
    if entry.outcome not in {"pass", "fail"}:
        level = "note" if entry.beside_the_point else "warning"
        level = "error" if entry.outcome == "error" else level
        yield _notification(level, f"{entry.model}: {entry.word}: {entry.words}")
    levels: dict[Outcome, str] = {"error": "error", "skip": "note"}
    for outcome, level in levels.items():
        what = "failed" if outcome == "error" else "not checked"
        for reason in reasons(entry, outcome):
            codes = ", ".join(reason.codes)
            yield _notification(level, f"{entry.model}: {codes} {what}: {reason.words}")


def _notification(level: str, words: str) -> dict[str, Any]:
    return {"level": level, "message": {"text": _text(words)}}


def _text(words: str) -> str:
    """Words without a placeholder or a link of SARIF's in them; our own paragraphs are kept."""
    paragraphs = (escape(each) for each in words.split("\n\n"))
    told = "\n\n".join(paragraphs).replace("](", "] (")
    return told.replace("{", "{{").replace("}", "}}")


def _finite(number: float) -> float | None:
    return number if isfinite(number) else None

"""Findings as reports tell them: those of one fingerprint together, with words for the place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan

from attnscope.render.findings import worst
from attnscope.render.palette import counted
from attnscope.render.reports.entries import Entry
from attnscope.report import CheckResult, Finding, Outcome, fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """The findings that share a fingerprint: those of one result in one module."""

    entry: Entry
    """The model that has it."""
    result: CheckResult
    """The check that found it."""
    finding: Finding
    """The worst; it speaks for the others."""
    number: int
    """How many there are."""
    fingerprint: str
    """See `attnscope.report.fingerprint`."""

    @property
    def title(self) -> str:
        """Code and name."""
        return f"{self.result.code} {self.result.name}".rstrip()

    @property
    def others(self) -> str:
        """How many more there are; empty where it is the only one."""
        return f"and {counted(self.number - 1, 'more finding')} here" if self.number > 1 else ""

    @property
    def place(self) -> list[str]:
        """Condition, backend, layer, head and module, as far as they are known."""
        finding, result = self.finding, self.result
        told = [result.condition or "plain", result.backend and f"on {result.backend}"]
        told += [
            f"{name} {number}"
            for name, number in (("layer", finding.layer), ("head", finding.head))
            if number is not None
        ]
        return [each for each in (*told, finding.module and f"in {finding.module}") if each]

    @property
    def seen(self) -> str:
        """Which position saw which, with their tokens; empty where none is known."""
        labels = self.entry.labels
        return " → ".join(
            f"{role} {place} ({labels[place]})" if 0 <= place < len(labels) else f"{role} {place}"
            for role, place in (("query", self.finding.query), ("key", self.finding.key))
            if place is not None
        )

    @property
    def size(self) -> str:
        """What was measured and what would have passed; empty where no size was kept."""
        if isnan(self.finding.measured):
            return ""
        return f"measured {self.finding.measured:.3g}, limit {self.finding.limit:.3g}"


@dataclass(frozen=True, slots=True)
class Alike:
    """What one check found in one module of a model, wherever it was asked: for people."""

    worst: Defect
    """It speaks for the others."""
    others: tuple[Defect, ...]
    """In other conditions and on other backends."""

    @property
    def also(self) -> str:
        """Where else: `also in left padding · right padding on eager, sdpa`; empty if nowhere."""
        backends: dict[str, list[str]] = {}
        for defect in self.others:
            listed = backends.setdefault(defect.result.condition or "plain", [])
            if defect.result.backend not in listed:
                listed.append(defect.result.backend)
        conditions: dict[str, list[str]] = {}
        for condition, listed in backends.items():
            conditions.setdefault(", ".join(filter(None, listed)), []).append(condition)
        told = (
            " · ".join(listed) + (f" on {names}" if names else "")
            for names, listed in conditions.items()
        )
        return f"also in {'; '.join(told)}" if self.others else ""


def alike(found: Iterable[Defect]) -> list[Alike]:
    """Those of one check in one module together, in the order of their first."""
    together: dict[tuple[int, str, str, str], list[Defect]] = {}
    for defect in found:
        result = defect.result
        key = (id(defect.entry), result.code, result.name, defect.finding.module)
        together.setdefault(key, []).append(defect)
    return [Alike(each[0], tuple(each[1:])) for each in together.values()]


def defects(entry: Entry, results: Iterable[CheckResult]) -> list[Defect]:
    """The findings of some results of a model, one a fingerprint, the worst first."""
    together: dict[str, list[tuple[CheckResult, Finding]]] = {}
    for result, finding in worst((each, one) for each in results for one in each.findings):
        key = fingerprint(entry.model, result, finding)
        together.setdefault(key, []).append((result, finding))
    return [
        Defect(
            entry=entry, result=each[0][0], finding=each[0][1], number=len(each), fingerprint=key
        )
        for key, each in together.items()
    ]


def ended(entry: Entry, outcome: Outcome) -> list[CheckResult]:
    """Its results that ended so."""
    return [result for result in entry.results if result.outcome == outcome]


def everywhere(entries: Sequence[Entry], outcome: Outcome) -> list[Defect]:
    """The findings behind an outcome: every model's worst before the second of any."""
    ranked = [
        (rank, defect)
        for entry in entries
        for rank, defect in enumerate(defects(entry, ended(entry, outcome)))
    ]
    return [defect for _, defect in sorted(ranked, key=lambda one: one[0])]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some results ended as they did."""

    words: str
    """As the results have it; may be empty."""
    codes: tuple[str, ...]
    """The checks; by name where a line stands for a family of them."""
    conditions: tuple[str, ...]
    """In which it was so."""


def reasons(entry: Entry, outcome: Outcome) -> list[Reason]:
    """Why results ended so, those of one reason together."""
    together: dict[str, list[CheckResult]] = {}
    for result in ended(entry, outcome):
        together.setdefault(result.reason, []).append(result)
    return [
        Reason(
            words,
            tuple(dict.fromkeys(each.code or each.name for each in results)),
            tuple(dict.fromkeys(each.condition for each in results if each.condition)),
        )
        for words, results in together.items()
    ]

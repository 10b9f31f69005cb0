"""The findings of a row, those of one check together, and a census in a few words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from attnscope.records.census import Census, Found, Row, State
from attnscope.render.palette import counted

Place = tuple[str, str, str]
"""Code, condition and backend of a finding."""

MANY = 8
"""Rows from which on a finding is told once for all of them."""

UNSUPPORTED = "does not support an attention implementation"
"""In transformers' own words."""

SHORT = {"flex_attention": "flex", "flash_attention_2": "flash"}
"""Backends by shorter names."""

FAMILIES = ("observer", "weights", "mask", "influence", "serving", "backends")
"""In the order of the columns."""


@dataclass(frozen=True, slots=True)
class Together:
    """Everything that one check found in one type."""

    code: str
    conditions: tuple[str, ...]
    """Without the nameless one."""
    backends: tuple[str, ...]
    worst: Found
    """The first one, which speaks for all."""

    @property
    def where(self) -> str:
        """Conditions and backends, in words."""
        conditions = ", ".join(self.conditions) or "plain"
        return f"{conditions}; {', '.join(map(short, self.backends))}"


def together(findings: Iterable[Found]) -> tuple[Together, ...]:
    """Findings by their check, in order."""
    grouped: dict[str, list[Found]] = {}
    for one in findings:
        grouped.setdefault(one.code, []).append(one)
    return tuple(
        Together(
            code,
            tuple(dict.fromkeys(one.condition for one in each if one.condition)),
            tuple(dict.fromkeys(one.backend for one in each)),
            each[0],
        )
        for code, each in sorted(grouped.items())
    )


def shared(rows: Iterable[Row]) -> dict[Place, int]:
    """What at least `MANY` rows have in common, and how many have it. Rows of models that are not
    causal by default are beside the point.
    """
    causal = [row for row in rows if not row.variant]
    found = Counter(place for row in causal for place in {_place(one) for one in row.findings})
    return {place: number for place, number in found.items() if number >= MANY}


def accepted(row: Row) -> tuple[str, ...]:
    """What a baseline accepts in a row, a sentence each."""
    return tuple(
        f"{one.found.code} ({one.found.condition or 'plain'}; {short(one.found.backend)}):"
        f" {one.reason}"
        for one in row.accepted
    )


def own(row: Row, common: Mapping[Place, int]) -> tuple[Found, ...]:
    """The findings of a row that it does not share with many others."""
    return tuple(one for one in row.findings if _place(one) not in common)


def in_common(row: Row, common: Mapping[Place, int]) -> str:
    """The codes of those that it does; empty without any."""
    return ", ".join(dict.fromkeys(one.code for one in row.findings if _place(one) in common))


def spokesman(rows: Iterable[Row], place: Place) -> tuple[str, Found]:
    """The first row that has a common finding, and its finding."""
    return next((row.key, one) for row in rows for one in row.findings if _place(one) == place)


def _place(one: Found) -> Place:
    return one.code, one.condition, one.backend


def lost(row: Row) -> tuple[tuple[str, str], ...]:
    """Backends that a judged type says it supports and does not run on, each with the reason."""
    told = ((name, reason) for name, reason in row.without if UNSUPPORTED not in reason)
    return tuple(told) if row.backends else ()


def short(backend: str) -> str:
    """A backend's short name, also of a pair that was compared."""
    return " and ".join(SHORT.get(one, one) for one in backend.split(", "))


def counts(rows: Sequence[Row]) -> str:
    """How many rows came to what: `207 rows: 180 pass, 24 fail`."""
    found = Counter(row.state for row in rows)
    parts = [f"{found[state]} {WORDS[state]}" for state in get_args(State) if found[state]]
    return f"{counted(len(rows), 'row')}: {', '.join(parts)}"


WORDS: dict[State, str] = {
    "pass": "pass",
    "fail": "fail",
    "skip": "unchecked",
    "error": "without a verdict",
    "not applicable": "not applicable",
}


def made_with(census: Census) -> str:
    """Versions, form and date, in one line."""
    versions = dict(census.versions)
    named = [f"{name} {versions[name]}" for name in ("transformers", "torch") if name in versions]
    return " · ".join([*named, "quick form" if census.quick else "full form", census.date])

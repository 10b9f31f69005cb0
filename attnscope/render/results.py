"""Every check on every backend in one line, and below it what did not simply pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.render.flow import flow
from attnscope.render.hanging import hanging
from attnscope.render.outcomes import ORDER, STYLES, glyph, mark
from attnscope.render.palette import QUIET, STRONG, Fitted, Look, counted
from attnscope.report import CheckResult, Outcome, Report
from attnscope.text import fit

LISTED = 8
"""Remarks that are shown below one line; the rest is counted."""
INDENT = "  "
ROOM = 12
"""Columns that are worth a remark at the end of a line."""
PLAIN = "plain"
"""The condition that needs no name where it is the only one."""

Told = tuple[Outcome, str]
"""An outcome and its reason."""


@dataclass(frozen=True, slots=True)
class Row:
    """One check on one backend, in all its conditions."""

    results: tuple[CheckResult, ...]

    @property
    def first(self) -> CheckResult:
        """What names the check."""
        return self.results[0]

    @property
    def outcome(self) -> Outcome:
        """The loudest: what was not checked is not outvoted by what passed."""
        found = {result.outcome for result in self.results}
        if found == {"pass", "unpromised"}:
            return "pass"
        return next(outcome for outcome in ORDER if outcome in found)

    @property
    def uniform(self) -> bool:
        """All conditions ended alike, for one reason, and did not pass."""
        alike = {(result.outcome, result.reason) for result in self.results}
        return len(alike) == 1 and self.first.outcome != "pass"

    def count(self, outcome: Outcome) -> int:
        """Conditions with that outcome."""
        return sum(result.outcome == outcome for result in self.results)


def results(report: Report) -> RenderableType:
    """The table of checks, under one heading a backend where there are several."""
    return Fitted(lambda width, look: Group(*_draw(rows(report.results), width, look)))


def rows(found: Iterable[CheckResult]) -> list[Row]:
    """The results of one check on one backend together, in the order of their first."""
    together: dict[tuple[str, str], list[CheckResult]] = {}
    for result in found:
        together.setdefault((result.backend, result.code), []).append(result)
    return [Row(tuple(each)) for each in together.values()]


def _draw(found: Sequence[Row], width: int, look: Look) -> list[Text]:
    lines: list[Text] = []
    columns = _Columns.of(found, width, look)
    several = len({row.first.backend for row in found}) > 1
    backend, told = None, set[Told]()
    for row in found:
        if several and row.first.backend != backend:
            backend = row.first.backend
            lines.append(Text(look.say(f"on {backend}"), QUIET))
        lines += _line(row, columns, told, look)
        if not row.uniform:
            lines += _remarks(row, told, width, look)
    return lines


@dataclass(frozen=True, slots=True)
class _Columns:
    width: int
    name: int
    mark: int

    @classmethod
    def of(cls, found: Sequence[Row], width: int, look: Look) -> _Columns:
        name = max((cell_len(_name(row, look)) for row in found), default=0)
        sign = max((_mark(row, look).cell_len for row in found), default=0)
        return cls(width, name, sign)

    @property
    def rest(self) -> int:
        """What is left for words."""
        return self.width - self.name - self.mark - 2 * len(INDENT)


def _line(row: Row, columns: _Columns, told: set[Told], look: Look) -> list[Text]:
    name, sign = Text(_name(row, look), STRONG), _mark(row, look)
    words = look.say(_short(row, told))
    style = QUIET if row.outcome in {"pass", "unpromised", "accepted"} or not row.uniform else ""
    if columns.rest < ROOM:
        lines = flow((name, sign), INDENT, columns.width)
        return [*lines, *hanging(Text("    "), words, columns.width, style)] if words else lines
    lead = Text.assemble(name, " " * (columns.name - name.cell_len), INDENT, sign)
    if not words:
        return [lead]
    lead.append(" " * (columns.mark - sign.cell_len) + INDENT)
    if row.outcome == "pass":
        return [lead.append(fit(words, columns.rest, look.glyphs.ellipsis), style)]
    return hanging(lead, words, columns.width, style)


def _name(row: Row, look: Look) -> str:
    return look.say(f"{row.first.code} {row.first.name}")


def _mark(row: Row, look: Look) -> Text:
    partly = row.outcome == "skip" and row.count("pass") > 0
    return mark(row.outcome, look, "partly" if partly else "")


def _short(row: Row, told: set[Told]) -> str:
    """How many conditions were asked, and why where all of them ended alike."""
    total = len(row.results)
    if row.uniform:
        where = counted(total, "condition")
        if total == 1 or row.outcome == "fail":
            where = " · ".join(result.condition for result in row.results)
        where = "" if where == PLAIN else where
        return ": ".join(filter(None, (where, _reason(row.first, told))))
    if total == 1:
        return row.first.reason
    alike = row.count(row.outcome)
    if alike == total:
        return counted(total, "condition")
    if row.outcome in {"fail", "error", "accepted"}:
        return f"in {alike} of {counted(total, 'condition')}"
    return f"{row.count('pass')} of {counted(total, 'condition')}"


def _reason(result: CheckResult, told: set[Told]) -> str:
    """Why, once a page; what a model fails to promise or to take is the same for many checks."""
    key = (result.outcome, result.reason)
    if key in told and result.outcome in {"skip", "unpromised", "accepted"}:
        return "as above"
    told.add(key)
    found = counted(len(result.findings), "finding") if result.findings else ""
    return result.reason or found


def _remarks(row: Row, told: set[Told], width: int, look: Look) -> list[Text]:
    """What did not pass, conditions that share a reason together."""
    together: dict[Told, list[CheckResult]] = {}
    for result in sorted(row.results, key=lambda each: ORDER.index(each.outcome)):
        if result.outcome != "pass":
            together.setdefault((result.outcome, result.reason), []).append(result)
    lines: list[Text] = []
    for results in list(together.values())[:LISTED]:
        where = " · ".join(result.condition for result in results)
        words = ": ".join(filter(None, (where, _reason(results[0], told))))
        lines += _remark(results[0].outcome, words, width, look)
    more = len(together) - LISTED
    return [*lines, Text(look.say(f"    … {more} more"), QUIET)] if more > 0 else lines


def _remark(outcome: Outcome, words: str, width: int, look: Look) -> list[Text]:
    style = "" if outcome == "fail" else STYLES[outcome]
    lead = Text(f"{INDENT}{glyph(outcome, look)} ", STYLES["error"] if outcome == "fail" else style)
    return hanging(lead, look.say(words), width, style)


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.render.demo import leaking

    Console().print(results(leaking()))

"""The findings: what happened, where, how large, and what usually repairs it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.render.flow import flow
from attnscope.render.hanging import hanging
from attnscope.render.palette import BAD, QUIET, STRONG, Fitted, Look, counted
from attnscope.report import CheckResult, Finding, Report
from attnscope.text import fit

LISTED = 10
"""Findings that are shown; the rest is counted."""
LABEL = 24
"""Terminal cells of the longest token label."""

Found = tuple[CheckResult, Finding]


def findings(report: Report) -> RenderableType:
    """The worst of each check first, under the name of the check."""
    return Fitted(lambda width, look: Group(*_draw(report, width, look)))


def worst(found: Iterable[Found]) -> list[Found]:
    """Every failed check before a second finding of any.

    Within a check, the worst finding of each condition comes before the second of any.
    """
    ranks: dict[tuple[str, int], int] = {}
    by_code: dict[str, list[tuple[int, Found]]] = {}
    for result, finding in found:
        rank = ranks[result.code, id(result)] = ranks.get((result.code, id(result)), -1) + 1
        by_code.setdefault(result.code, []).append((rank, (result, finding)))
    ordered = [
        (rank, each)
        for listed in by_code.values()
        for rank, (_, each) in enumerate(sorted(listed, key=lambda one: one[0]))
    ]
    return [each for _, each in sorted(ordered, key=lambda one: one[0])]


def _draw(report: Report, width: int, look: Look) -> list[Text]:
    found = worst(report.findings)
    by_code: dict[str, list[Found]] = {}
    for each in found[:LISTED]:
        by_code.setdefault(each[0].code, []).append(each)
    lines: list[Text] = []
    for listed in by_code.values():
        lines += block(report, listed, width, look) + remedy(listed[0][0], width, look)
    more = len(found) - LISTED
    if more > 0:
        lines.append(Text(look.say(f"… {counted(more, 'more finding')}"), BAD))
    return lines


def block(report: Report, listed: list[Found], width: int, look: Look) -> list[Text]:
    """Findings of one check under its name: where, how large, and what happened."""
    check = listed[0][0]
    lines = [Text(look.say(f"{look.glyphs.bad} {check.code} {check.name}"), BAD)]
    for message, alike in groupby(listed, key=lambda each: each[1].message):
        for result, finding in alike:
            where = flow(_where(report, result, finding, look), look.say(" · "), width - 2)
            lines += [Text("  ") + line for line in where]
        lines += hanging(Text("    "), look.say(message), width)
    return lines


def remedy(check: CheckResult, width: int, look: Look) -> list[Text]:
    """How its findings are usually repaired; nothing where the check does not say."""
    lead = Text("  fix ", STRONG)
    return hanging(lead, look.say(check.fix), width) if check.fix else []


def _where(report: Report, result: CheckResult, finding: Finding, look: Look) -> list[Text]:
    names = (
        f"{role} {_position(report, place, look)}"
        for role, place in (("query", finding.query), ("key", finding.key))
        if place is not None
    )
    seen = look.say(" → ").join(names)
    size = f"measured {finding.measured:.3g}, limit {finding.limit:.3g}"
    place = ", ".join(
        f"{name} {number}"
        for name, number in (("layer", finding.layer), ("head", finding.head))
        if number is not None
    )
    phrases = [(seen, STRONG), (look.say(size), "")]
    phrases += [(look.say(each), QUIET) for each in (place, finding.module)]
    phrases += [(look.say(each), QUIET) for each in (result.condition, result.backend)]
    return [Text(words, style) for words, style in phrases if words]


def _position(report: Report, position: int, look: Look) -> str:
    if not 0 <= position < len(report.labels):
        return str(position)
    label = fit(look.spell(report.labels[position]), LABEL, look.glyphs.ellipsis)
    return f"{position} ({label})"


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.render.demo import leaking

    Console().print(findings(leaking()))

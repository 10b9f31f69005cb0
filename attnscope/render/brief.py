"""A report in a few lines of plain text: for a failing test, and for `str(report)`."""

from __future__ import annotations

from rich.text import Text

from attnscope.render.findings import Found, block, remedy, worst
from attnscope.render.flow import flow
from attnscope.render.hanging import hanging
from attnscope.render.header import facts
from attnscope.render.headline import sentence, verdict_word
from attnscope.render.palette import UNICODE, Look, counted
from attnscope.report import Outcome, Report
from attnscope.text import fit

WIDTH = 100
"""Columns of the longest line."""
LOOK = Look(UNICODE)
ELLIPSIS = UNICODE.ellipsis
NAME = 60
"""Terminal cells of the longest model name."""
HEAD, FIX = 3, 2
"""Lines that the verdict and the fix take at most."""


def brief(report: Report, lines: int = 12) -> str:
    """The verdict and what matters most of it, in the words of the command line.

    At most `lines` lines (1 or more) of at most 100 columns, nothing in them that a terminal
    would obey. After a leak: the worst finding of the first checks with where, how large and why,
    the first one's fix, and how much is not shown.
    """
    head = _clipped(_head(report), min(HEAD, lines))
    tell = {"pass": _passed, "fail": _leaks}.get(report.outcome, _unanswered)
    kept = [line.plain.rstrip() for line in [*head, *tell(report, lines - len(head))]]
    return "\n".join(fit(line, WIDTH, ELLIPSIS) for line in kept[:lines])


def _head(report: Report) -> list[Text]:
    name = fit(LOOK.say(report.model.name), NAME, ELLIPSIS)
    lead = Text(f"{verdict_word(report)}  ")
    return hanging(lead, f"{name}: {LOOK.say(sentence(report))}", WIDTH)


def _leaks(report: Report, room: int) -> list[Text]:
    firsts: dict[str, Found] = {}
    for found in worst(report.findings):
        firsts.setdefault(found[0].code, found)
    if not firsts:
        return []
    lines: list[Text] = []
    shown = 0
    room -= 1  # the last line
    for found in firsts.values():
        told = block(report, [found], WIDTH, LOOK)
        if not shown:
            fix = _clipped(remedy(found[0], WIDTH, LOOK), FIX)
            told = [*_clipped(told, room - len(fix)), *fix]
        elif len(lines) + len(told) > room:
            break
        lines += told
        shown += 1
    more = len(report.findings) - shown
    rest = f"{ELLIPSIS} {counted(more, 'more finding')} in report.findings; " if more else ""
    code = LOOK.say(next(iter(firsts)))
    return [*lines[:room], Text(f"{rest}more about this one: attnscope explain {code}")]


def _unanswered(report: Report, room: int) -> list[Text]:
    """Why there is no verdict, each reason once, but for the one that the first line gives."""
    outcome: Outcome = "error" if report.outcome == "error" else "skip"
    planted = report.proven.planted if report.proven else ()
    missed = [f"missed: {leak.name} on {leak.backend}" for leak in planted if not leak.caught_by]
    rows = [result for result in report.results if result.outcome == outcome]
    reasons = [*missed, *(f"{row.code} {row.name}: {row.reason}" for row in rows)]
    reasons = [each for each in dict.fromkeys(reasons) if each != sentence(report)]
    sign = UNICODE.bad if outcome == "error" else UNICODE.caution
    lines: list[Text] = []
    shown = 0
    for reason in reasons:
        told = hanging(Text(f"{sign} "), LOOK.say(reason), WIDTH)
        if len(lines) + len(told) >= room:
            break
        lines += told
        shown += 1
    more = len(reasons) - shown
    rest = [f"{ELLIPSIS} {counted(more, 'more reason')} in report.results"] if more else []
    if rows:
        rest.append(f"what is asked: attnscope explain {LOOK.say(rows[0].code)}")
    return [*lines, Text("; ".join(rest))] if rest and room > 0 else lines


def _passed(report: Report, room: int) -> list[Text]:
    told = facts(report.model, LOOK)[1:-1]  # the first line has its name, `backends` its backend
    if report.backends:
        told.append(Text(LOOK.say(f"on {', '.join(report.backends)}")))
    lines = flow(told, " · ", WIDTH)
    for floor in report.floors:
        lines += hanging(Text("floor  "), LOOK.say(floor), WIDTH)
    return _clipped(lines, room)


def _clipped(lines: list[Text], room: int) -> list[Text]:
    """The first lines, the last of them with an ellipsis where some were cut off."""
    if len(lines) <= room or room <= 0:
        return lines[: max(room, 0)]
    kept = lines[:room]
    kept[-1] = Text(fit(kept[-1].plain, WIDTH - 2, "") + f" {ELLIPSIS}")
    return kept


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.render.demo import leaking

    Console(markup=False, highlight=False).print(brief(leaking()))

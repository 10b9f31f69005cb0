"""Below a verdict: what was declared, how small a leak would have been seen, and what it cost."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.render.hanging import hanging
from attnscope.render.palette import BAD, FUTURE, GOOD, QUIET, STRONG, Fitted, Look, counted
from attnscope.report import PlantedLeak, Proven, Report
from attnscope.text import fit

LABEL = 9
"""Columns of the words on the left."""


def remarks(report: Report) -> RenderableType:
    """Declared visibility, floors, planted leaks, notes and cost, each behind its word."""
    return Fitted(lambda width, look: Group(*_draw(report, width, look)))


def _draw(report: Report, width: int, look: Look) -> list[Text]:
    lines = _tokens(report.labels, width, look)
    lines += _told("may see", report.declared, width, look)
    lines += _told("floor", report.floors, width, look)
    if report.proven:
        lines += _proven(report.proven, width, look)
    lines += _told("fixed", report.fixed, width, look)
    lines += _told("note", report.notes, width, look)
    return [*lines, *_told("cost", (cost(report),), width, look, QUIET)]


def _tokens(labels: tuple[str, ...], width: int, look: Look) -> list[Text]:
    if not labels:
        return []
    words = f"{len(labels):,}: {' '.join(map(look.spell, labels))}"
    return [_lead("tokens").append(fit(words, width - LABEL, look.glyphs.ellipsis))]


def _told(name: str, words: tuple[str, ...], width: int, look: Look, style: str = "") -> list[Text]:
    lines: list[Text] = []
    for each in words:
        lines += hanging(_lead("" if lines else name), look.say(each), width, style)
    return lines


def _lead(name: str) -> Text:
    return Text(name.ljust(LABEL), STRONG)


def _proven(proven: Proven, width: int, look: Look) -> list[Text]:
    every = proven.caught == len(proven.planted) > 0
    lines = _told("proven", (caught(proven),), width, look, GOOD if every else BAD)
    for leak in proven.planted:
        if not leak.caught_by:
            lead = Text(" " * LABEL).append(" !! MISSED ", FUTURE).append(" ")
            lines += hanging(lead, look.say(planted(leak)), width, BAD)
        elif not leak.located:
            words = f"caught, but not located: {planted(leak)}"
            lines += hanging(_lead(""), look.say(words), width, QUIET)
    return lines


def caught(proven: Proven) -> str:
    """How many planted leaks were caught, and the smallest of them, in words."""
    weight = proven.smallest_weight
    words = f"{proven.caught} of {counted(len(proven.planted), 'planted leak')} caught"
    smallest = "none" if weight is None else f"weight {weight:.3g} in one cell of one head"
    return f"{words}; smallest caught: {smallest}"


def planted(leak: PlantedLeak) -> str:
    """One planted leak, in words."""
    return f"{leak.name}, on {leak.backend}" if leak.backend else leak.name


def cost(report: Report) -> str:
    """Forwards, tokens and seconds that a verdict took."""
    passes = f"{report.forwards:,} forward{'' if report.forwards == 1 else 's'}"
    return f"{passes} · {counted(report.tokens, 'token')} · {report.seconds:,.1f} s"


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.render.demo import leaking

    Console().print(remarks(leaking()))

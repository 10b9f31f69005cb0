"""Workflow commands of GitHub Actions: annotations of a run, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attnscope.render.palette import counted
from attnscope.render.reports.entries import Entry
from attnscope.render.reports.groups import Alike, alike, ended, everywhere, reasons
from attnscope.text import escape

SHOWN = 10
"""Annotations of one level that GitHub shows for one step; it drops the others silently."""


def github(entries: Sequence[Entry]) -> str:
    """A line of the log for each model's verdict, and an annotation for what has to be seen."""
    lines = [f"attnscope: {_plain(f'{each.word}: {each.model}: {each.words}')}" for each in entries]
    errors = [_defect(each) for each in alike(everywhere(entries, "fail"))]
    errors += [each for entry in entries for each in _broken(entry)]
    warnings = [
        (f"attnscope: {entry.model}", escape(f"{entry.word}: {entry.words}"))
        for entry in entries
        if entry.outcome == "skip" and not entry.beside_the_point
    ]
    lines += _capped("error", errors)
    lines += _capped("warning", warnings)
    lines += _capped("notice", [each for entry in entries for each in _quiet(entry)])
    return "\n".join(lines) + "\n"


def _defect(found: Alike) -> tuple[str, str]:
    defect = found.worst
    place = ", ".join(filter(None, (defect.seen, defect.size, *defect.place, defect.others)))
    told = [escape(each) for each in (defect.finding.message, place, found.also) if each]
    if defect.result.fix:
        told.append(escape(f"Fix: {defect.result.fix}"))
    return f"{defect.title} ({defect.entry.model})", "\n".join(told)


def _broken(entry: Entry) -> Iterator[tuple[str, str]]:
    title = f"attnscope: {entry.model}"
    failures = reasons(entry, "error")
    if entry.outcome == "error" and not failures:
        yield title, escape(f"{entry.word}: {entry.words}")
    for reason in failures:
        codes = ", ".join(reason.codes)
        yield title, escape(f"the checker itself failed in {codes}: {reason.words}")


def _quiet(entry: Entry) -> Iterator[tuple[str, str]]:
    """One line for what was not checked where there is a verdict, and one for what is accepted."""
    title = f"attnscope: {entry.model}"
    skipped = len(ended(entry, "skip"))
    if skipped and entry.outcome != "skip":
        first = reasons(entry, "skip")[0].words
        why = f": {first}" if first else ""
        yield title, escape(f"{skipped} of {counted(len(entry.results), 'result')} unchecked{why}")
    accepted = len(ended(entry, "accepted"))
    if accepted:
        yield title, escape(f"{counted(accepted, 'result')} accepted by the baseline")


def _capped(level: str, annotations: Sequence[tuple[str, str]]) -> Iterator[str]:
    """As many as are shown; the last one counts what is left out."""
    kept = annotations if len(annotations) <= SHOWN else annotations[: SHOWN - 1]
    for title, message in kept:
        yield f"::{level} title={_property(title)}::{_data(message)}"
    more = len(annotations) - len(kept)
    if more:
        yield f"::{level} title=attnscope::and {more:,} more"


def _data(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(words: str) -> str:
    return _data(escape(words)).replace(":", "%3A").replace(",", "%2C")


def _plain(words: str) -> str:
    """Words of a line that is no command; the runner knows an older form anywhere in a line."""
    return escape(words).replace("##[", "## [")

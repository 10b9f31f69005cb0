"""`--baseline`, `--write-baseline` and `--reason`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from attnscope.baseline_file import Baseline, baseline_of, read, text
from attnscope.cli.streams import say
from attnscope.errors import SelectionError
from attnscope.files import require_place, write

if TYPE_CHECKING:
    from attnscope.records.census import Census
    from attnscope.report import Report

UNPROVEN = "no leak was planted: that is done after a pass that no baseline helped."


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What is accepted in this run, and what will be in the next."""

    accepted: Baseline
    """In this run."""
    known: Baseline
    """What the written file keeps."""
    place: Path | None
    """Where accepted findings are written; None for nowhere."""
    reason: str
    """Of those that are new."""
    today: date

    def reports(self, reports: Sequence[Report], prove: Sequence[bool]) -> list[Report]:
        """The reports with accepted findings set apart; all findings are written if that is asked.

        `prove` says for each of them whether planted leaks were asked for.
        Raises OutputError.
        """
        from attnscope.baseline import apply, renew

        if self.place is not None:
            self._write(renew(self.known, reports, self.reason, self.today))
        judged = [apply(report, self.accepted, self.today) for report in reports]
        return [
            _unproven(report) if asked else report
            for report, asked in zip(judged, prove, strict=True)
        ]

    def census(self, census: Census) -> Census:
        """The same for the rows of a census."""
        from attnscope.census.accept import apply, renew

        if self.place is not None:
            self._write(renew(self.known, census, self.reason, self.today))
        return apply(census, self.accepted, self.today)

    def _write(self, baseline: Baseline) -> None:
        from attnscope.text import escape

        assert self.place is not None
        write(self.place, text(baseline))
        new = sum(self.known.entries.get(place) != one for place, one in baseline.entries.items())
        total = len(baseline.entries)
        say(
            f"attnscope: {total} accepted finding{'' if total == 1 else 's'}, {new} of them new,"
            f" in {escape(str(self.place))}; they count from the next run on"
        )


def acceptance(baseline: Path | None, written: Path | None, reason: str | None) -> Acceptance:
    """What the options ask for, read before any long work starts.

    Raises SelectionError, BaselineError and OutputError.
    """
    if written is not None and not (reason or "").strip():
        raise SelectionError(
            "--write-baseline needs --reason TEXT.", "Say why these findings are accepted."
        )
    if reason is not None and written is None:
        raise SelectionError("--reason goes with --write-baseline FILE.", "Give both or neither.")
    if written is not None:
        require_place(written)
    there = read(written) if written is not None and written.is_file() else Baseline()
    accepted = Baseline()
    if baseline is not None:
        begun = written is not None and not written.exists() and _same(baseline, written)
        accepted = there if begun else read(baseline)
    known = baseline_of((*accepted.entries.values(), *there.entries.values()))
    return Acceptance(
        accepted=accepted, known=known, place=written, reason=(reason or "").strip(),
        today=date.today(),
    )  # fmt: skip


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _unproven(report: Report) -> Report:
    """A pass that a baseline helped is not proven, and says so."""
    if report.outcome != "pass" or report.proven is not None:
        return report
    return replace(report, notes=(*report.notes, UNPROVEN))

"""What was judged, and how: findings, results, the report, and its exit code.

No tensor and no model gets here: a report can be kept, compared and printed anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from attnscope.errors import LeakError, UncheckedError
from attnscope.records import ModelInfo

Outcome = Literal["pass", "fail", "unpromised", "accepted", "skip", "error"]
"""pass: checked and held. fail: a finding. unpromised: differs in a condition that the model never
promised to support; neutral. accepted: a finding that a baseline holds, with its reason; neutral.
skip: could not be checked; never shown as clean. error: the checker's own failure."""

PASSED, FOUND, BROKEN, NOTHING_CHECKED = 0, 1, 2, 3
"""Exit codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One defect at one place."""

    layer: int | None
    """Decoder layer, from 0; None where none can be told."""
    module: str
    """Qualified name of the module where it enters; empty where none can be told."""
    head: int | None
    """Query head; None where the evidence is about all heads together."""
    query: int | None
    """Position that saw what it must not see, among the tokens that were read."""
    key: int | None
    """Position that was seen; None where it is no single one."""
    measured: float
    """Size of the effect, in the unit that `message` names."""
    limit: float
    """What would have passed; 0.0 where bit equality is asked."""
    message: str
    """What happened and its likely cause, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check in one condition on one backend."""

    code: str
    """For example `ATN301`."""
    name: str
    """The defect's name, for example `future-influence`."""
    family: str
    """`observer`, `weights`, `mask`, `influence`, `serving` or `backends`."""
    condition: str
    """The condition's name, for example `left padding`; empty where there is only one."""
    backend: str
    """Attention implementation; for checks between backends, all of them."""
    outcome: Outcome
    """See `Outcome`."""
    reason: str
    """What was measured, or why it could not be; for `unpromised` the source that says so, for
    `accepted` the baseline's reason."""
    findings: tuple[Finding, ...] = ()
    """Worst first; of a fail, an unpromised difference or an accepted finding."""
    fix: str = ""
    """How a finding of this check is usually repaired, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedLeak:
    """One leak that `--prove` planted into the model that had just passed."""

    name: str
    """What was planted, in words."""
    backend: str
    """Where."""
    caught_by: tuple[str, ...]
    """Codes of the checks that failed; empty when nothing noticed."""
    located: bool
    """True when a finding names the module where it was planted; also where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What planting leaks has shown about this verdict."""

    planted: tuple[PlantedLeak, ...]
    """All of them."""
    smallest_weight: float | None
    """Smallest weight in one cell of one head of the last layer that was caught; None when none."""

    @property
    def caught(self) -> int:
        """How many were noticed."""
        return sum(bool(leak.caught_by) for leak in self.planted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The verdict on one model."""

    outcome: Outcome
    """fail over error over skip (nothing was checked) over pass."""
    model: ModelInfo
    """What was judged."""
    labels: tuple[str, ...]
    """The tokens that were read, safe to print; findings count positions among them."""
    declared: tuple[str, ...]
    """What each kind of layer may see, in words."""
    results: tuple[CheckResult, ...]
    """In reading order, backend by backend."""
    backends: tuple[str, ...]
    """Attention implementations that were asked."""
    forwards: int
    """Forward passes that it took."""
    tokens: int
    """Tokens that were pushed through the model."""
    seconds: float
    """Wall time of the checks, loading not counted."""
    swapped: int | None = None
    """Positions that sweeps changed one by one; fewer than the tokens when they were sampled."""
    notes: tuple[str, ...] = ()
    """Remarks: what was judged instead of the checkpoint, positions that were only sampled, …"""
    floors: tuple[str, ...] = ()
    """A line a backend: the smallest leak that would have been seen."""
    reproducer: str = ""
    """A Python script that shows the worst finding with torch and transformers alone; or empty."""
    proven: Proven | None = None
    """With `--prove`, after a pass."""
    fixed: tuple[str, ...] = ()
    """Accepted findings of the baseline that no longer occur, one sentence each."""
    selected: tuple[str, ...] = ()
    """Checks that were chosen, as `VerifyOptions.select`; none: all."""

    @property
    def exit_code(self) -> int:
        """0 pass, 1 findings, 2 an error of the checker, 3 nothing could be checked."""
        if self.outcome == "fail":
            return FOUND
        if self.outcome == "error":
            return BROKEN
        return PASSED if self.outcome == "pass" else NOTHING_CHECKED

    @property
    def findings(self) -> tuple[tuple[CheckResult, Finding], ...]:
        """Every finding of every failed result, with the result it belongs to."""
        failed = (result for result in self.results if result.outcome == "fail")
        return tuple((result, finding) for result in failed for finding in result.findings)

    def __str__(self) -> str:
        from attnscope.render.brief import brief

        return brief(self)

    def _repr_html_(self) -> str:
        """The verdict as notebooks show it."""
        from attnscope.render.reports.html import html_fragment

        return html_fragment(self)

    def raise_for_leaks(self) -> None:
        """Nothing for a pass.

        Raises LeakError for a finding, and UncheckedError where nothing could be checked or the
        checker itself failed: neither is a clean model.
        """
        if self.outcome == "fail":
            result, finding = self.findings[0]
            more = f" (and {len(self.findings) - 1} more)" if len(self.findings) > 1 else ""
            raise LeakError(
                f"{self.model.name}: {result.code} {result.name}{more}: {finding.message}"
            )
        if self.outcome != "pass":
            reason = next((r.reason for r in self.results if r.outcome == self.outcome), "")
            raise UncheckedError(f"{self.model.name} could not be checked: {reason}".rstrip(": "))


def exit_code(reports: Iterable[Report]) -> int:
    """Of several verdicts: a finding over an error over nothing checked over a pass."""
    codes = {report.exit_code for report in reports}
    return next((code for code in (FOUND, BROKEN, NOTHING_CHECKED, PASSED) if code in codes), 3)


def fingerprint(model: str, result: CheckResult, finding: Finding) -> str:
    """32 hexadecimal digits that stay the same while a defect does; see `identity`."""
    return identity(model, result.code, result.condition, result.backend, finding.module)


def identity(model: str, code: str, condition: str, backend: str, module: str) -> str:
    """`fingerprint` of the parts that it is made from.

    These are the model's name, code, condition, backend and module: not positions and sizes, which
    change with seeds and versions.
    """
    parts = "\0".join((model, code, condition, backend, module))
    # a path may hold bytes that are no UTF-8, which Python carries as lone surrogates
    return hashlib.sha256(parts.encode(errors="surrogatepass")).hexdigest()[:32]

"""What was judged, and how: findings, results, the report, and its exit code.

No tensor and no model gets here: a report can be kept, compared and printed anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from attnscope.records import ModelInfo

Outcome = Literal["pass", "fail", "unpromised", "skip", "error"]
"""pass: checked and held. fail: a finding. unpromised: differs in a condition that the model never
promised to support; neutral. skip: could not be checked; never shown as clean. error: the checker's
own failure."""

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
    """What was measured, or why it could not be; for `unpromised` the source that says so."""
    findings: tuple[Finding, ...] = ()
    """Worst first; of a fail or an unpromised difference."""
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

"""All checks on one backend, and the backends against each other."""

from __future__ import annotations

from torch import Tensor

from attnscope.checks import CHECKS, Check
from attnscope.checks.observer import RunsDisagree
from attnscope.errors import AttnscopeError
from attnscope.experiments.laboratory import Laboratory
from attnscope.experiments.subject import Subject
from attnscope.measure.drift import drift
from attnscope.records.evidence import Agreement
from attnscope.report import Outcome
from attnscope.verification.judge import judged, row
from attnscope.verification.options import COMPILED
from attnscope.verification.run import Logits, Run, switched


def verify_backends(run: Run) -> None:
    """Every check on every backend; one that was not named and does not run is left out, and said.

    Raises AttnscopeError for the model's own backend and for one that was named.
    """
    named = set(run.options.backends) - {"all"}
    for backend in run.backends:
        try:
            with switched(run, backend) as subject:
                lab = run.laboratory(subject)
                lab.plain()
                _verify(run, lab, subject, backend)
        except AttnscopeError as error:
            if backend in named or backend == run.backends[0]:
                raise
            run.backends = tuple(one for one in run.backends if one != backend)
            run.notes.append(f"{backend} was left out: {error.message}")
    _compare(run)


def _verify(run: Run, lab: Laboratory, subject: Subject, backend: str) -> None:
    if run.options.quick and backend in COMPILED:
        run.notes.append(f"{backend} was asked in the plain condition only: --quick compiles once.")
    blocked = _Blocked()
    for check in CHECKS:
        if check.evidence == "backends" or not run.options.asks(check):
            continue
        if blocked.keeps_out(check):
            run.results.append(row(check, "", backend, "skip", f"not asked: {blocked.reason}"))
            continue
        keys = run.options.keys(check, backend)
        rows = [found for key in keys if (found := judged(run, lab, check, key, backend))]
        run.results += rows
        if check.family == "observer" and check.required and rows[0].outcome != "pass":
            blocked.by(check, rows[0].outcome)
    run.first_position, run.swapped = subject.first_position, len(lab.positions)
    _keep_floor(run, lab, backend)
    if not blocked.reason and len(run.backends) > 1:
        twin = lab.exact()
        finer = [] if twin is None else [(twin.plain(), twin.limit())]
        run.plain[backend] = [(lab.plain(), lab.limit()), *finer]


class _Blocked:
    """Which checks a control that did not pass keeps from being asked."""

    def __init__(self) -> None:
        self.reason = ""
        self._all = False
        self._unsteady = False

    def by(self, check: type[Check], outcome: Outcome) -> None:
        """Note a control that did not pass."""
        self.reason = self.reason or f"{check.code} {check.name} did not pass"
        self._unsteady |= check.evidence == "repeat"
        self._all |= check is RunsDisagree and outcome == "skip"

    def keeps_out(self, check: type[Check]) -> bool:
        """What a kernel was handed is told by one run, also where nothing can be seen to move."""
        if not self.reason or self._all:
            return self._all
        return not check.required and (self._unsteady or check.evidence != "calls")


def _keep_floor(run: Run, lab: Laboratory, backend: str) -> None:
    try:
        run.floors.append(_floor_words(backend, lab))
        run.smallest.append(lab.floor().weight)
    except Exception:  # its own row says why
        run.floors.append(f"{backend}: the smallest leak that would be seen is not known")
        run.smallest.append(None)


def _floor_words(backend: str, lab: Laboratory) -> str:
    floor = lab.floor()
    if floor.weight is None:
        return f"{backend}: no planted leak could be seen"
    twin = lab.exact()
    finer = "" if twin is None else f" (and by up to {twin.limit():.0e} on a float32 copy)"
    return (
        f"{backend}: a weight of {floor.weight:.0e} in one cell of {floor.place.module} is seen in"
        f" {floor.dtype}, smaller ones may not be; logits that differ by up to {lab.limit():.0e}"
        f"{finer} count as rounding"
    )


def _compare(run: Run) -> None:
    check = next(check for check in CHECKS if check.evidence == "backends")
    if not run.options.asks(check):
        return
    if len(run.backends) < 2:
        run.leave_out("there is one backend only", check.code, "", run.backends[0])
        return
    first, *others = run.backends
    for other in others:
        name = f"{first}, {other}"
        if first not in run.plain or other not in run.plain:
            run.results.append(row(check, "", name, "skip", "one of them was not checked"))
            continue
        halves = (run.plain[first], run.plain[other])  # the float32 copy may be missing
        native, *finer = (_gap(other, *pair) for pair in zip(*halves, strict=False))
        evidence = Agreement(
            way=other, gap=native.gap, limit=native.limit,
            finer=finer[0] if finer else None, routed=run.routed,
        )  # fmt: skip
        verdict = check().judge(evidence)
        outcome: Outcome = "fail" if verdict.findings else "skip" if verdict.skipped else "pass"
        run.results.append(row(check, "", name, outcome, verdict.reason, verdict))


def _gap(way: str, one: Logits, other: Logits) -> Agreement:
    gap: Tensor = drift(one[0], other[0])
    return Agreement(way=way, gap=gap, limit=max(one[1], other[1]))

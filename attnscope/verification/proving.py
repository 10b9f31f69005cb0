"""`--prove`: plant leaks into the very model that has just passed, and see that each is caught."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from attnscope.checks import find
from attnscope.errors import CaptureError
from attnscope.experiments.subject import Subject
from attnscope.faults import FAULTS, Fault
from attnscope.report import CheckResult, PlantedLeak, Proven
from attnscope.verification.judge import judged
from attnscope.verification.run import Run, switched


def prove(run: Run) -> Proven:
    """Plant each leak of the catalogue that this model can hold, on every backend."""
    planted: list[PlantedLeak] = []
    for backend in run.backends:
        with switched(run, backend) as subject:
            planted += _planted(run, subject, backend)
    known = [weight for weight in run.smallest if weight is not None]
    smallest = max(known) if known and len(known) == len(run.smallest) else None
    return Proven(planted=tuple(planted), smallest_weight=smallest)


def _planted(run: Run, subject: Subject, backend: str) -> Iterator[PlantedLeak]:
    for fault in FAULTS:
        if not fault.prove or not fault.applies(subject.model):
            continue
        run.tell(f"planting into {backend}: {fault.name}")
        with fault.plant(subject.model) as module:
            found = _first_failure(run, subject, fault, backend)
        if found is None and _has_no_effect(run, subject, fault):
            continue
        yield PlantedLeak(
            name=fault.name,
            backend=backend,
            caught_by=() if found is None else (found.code,),
            located=found is not None and _located(found, module),
        )


def _first_failure(run: Run, subject: Subject, fault: Fault, backend: str) -> CheckResult | None:
    """The first failure among the checks that must find it, condition by condition."""
    lab = run.laboratory(subject)
    for code in fault.caught_by:
        check = find(code)
        for key in dict.fromkeys((*check.quick, *check.conditions)):
            result = judged(run, lab, check, key, backend)
            if result is not None and result.outcome == "fail":
                return result
    return None


def _has_no_effect(run: Run, subject: Subject, fault: Fault) -> bool:
    """True when the planted leak changes no bit in any condition in which it should be found: a
    feed-forward part whose weights are 0 has nothing to leak.
    """
    keys = {key for code in fault.caught_by for key in find(code).conditions}
    for key in sorted(keys):
        setting = run.laboratory(subject).setting(key)
        try:
            clean = subject.run(key, setting.ids, setting.aside)
            with fault.plant(subject.model):
                planted = subject.run(key, setting.ids, setting.aside)
        except CaptureError:
            continue
        if not torch.equal(clean, planted):
            return False
    return True


def _located(result: CheckResult, module: str) -> bool:
    named = {finding.module for finding in result.findings if finding.module}
    return not module or not named or named == {module}

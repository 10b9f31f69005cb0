"""`--prove`: plant leaks into the very model that has just passed, and see that each is caught."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attnscope.checks import find
from attnscope.errors import CaptureError
from attnscope.experiments.laboratory import Laboratory
from attnscope.faults import FAULTS, Fault
from attnscope.report import CheckResult, PlantedLeak

Judge = Callable[[Laboratory, str, str], CheckResult | None]
"""Judges one check (a code) in one condition (a key)."""


def prove(
    model: Any,
    backend: str,
    laboratory: Callable[[], Laboratory],
    judge: Judge,
    tell: Callable[[str], None],
) -> Iterator[PlantedLeak]:
    """Plant each leak of the catalogue that this model can hold, as it is switched now."""
    for fault in FAULTS:
        if not fault.prove or not fault.applies(model):
            continue
        tell(f"planting into {backend}: {fault.name}")
        with fault.plant(model) as module:
            found = _first_failure(fault, laboratory(), judge)
        yield PlantedLeak(
            name=fault.name,
            backend=backend,
            caught_by=() if found is None else (found.code,),
            located=found is not None and _located(found, module),
        )


def _first_failure(fault: Fault, lab: Laboratory, judge: Judge) -> CheckResult | None:
    """The first of the checks that must find it which does, in the first condition that shows it."""
    for code in fault.caught_by:
        check = find(code)
        for key in dict.fromkeys((*check.quick, *check.conditions)):
            try:
                result = judge(lab, code, key)
            except CaptureError:
                continue
            if result is not None and result.outcome == "fail":
                return result
    return None


def _located(result: CheckResult, module: str) -> bool:
    named = {finding.module for finding in result.findings if finding.module}
    return not module or not named or named == {module}

"""One row of the report: evidence, judgement, and what the model has promised."""

from __future__ import annotations

from dataclasses import replace

from attnscope.checks import Check
from attnscope.checks.base import Verdict
from attnscope.conditions import CONDITIONS
from attnscope.errors import CaptureError
from attnscope.experiments.laboratory import Laboratory
from attnscope.experiments.mixers import forbidden
from attnscope.promises import ALWAYS, Promise
from attnscope.report import CheckResult, Outcome
from attnscope.verification.run import Run

LOOKS_AHEAD = frozenset({"ATN101", "ATN201", "ATN301", "ATN302"})
"""Checks whose findings a bidirectional config explains."""

APART = frozenset({"ATN204", "ATN205", "ATN305", "ATN306", "ATN307", "ATN408"})
"""Checks that ask whether pads, rows or documents are kept apart, not whether the future is."""


def judged(
    run: Run, lab: Laboratory, check: type[Check], key: str, backend: str
) -> CheckResult | None:
    """A check in a condition; None where it is beside the point."""
    title = CONDITIONS[key].title if len(check.conditions) > 1 else ""
    try:
        if reason := lab.beside_the_point(key):
            run.leave_out(reason, check.code, title, backend)
            return None
        lab.require(key)
        verdict = check().judge(_evidence(lab, check, key))
        verdict = _plain_is_clean(lab, check, key, verdict)
        verdict = _whole_is_clean(lab, check, verdict)
        promise = _promise(check, key)
        asked = bool(verdict.findings) and promise is not ALWAYS
        broken = asked and not promise.holds(lab.facts())
    except CaptureError as error:
        return row(check, title, backend, "skip", str(error))
    except Exception as error:  # one check's failure must not take the others with it
        words = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return row(check, title, backend, "error", f"the checker's own failure: {words}")
    if verdict.beside_the_point and not verdict.skipped:
        run.leave_out(verdict.reason, check.code, "", backend)
        return None
    return _settled(run, check, title, backend, verdict, promise if broken else None)


def _settled(
    run: Run,
    check: type[Check],
    title: str,
    backend: str,
    verdict: Verdict,
    broken: Promise | None,
) -> CheckResult:
    """The row of a verdict; `broken` is a promise that the model never made."""
    if broken:
        reason = f"never promised. {broken.text} ({broken.source})"
        return row(check, title, backend, "unpromised", reason, verdict)
    if verdict.findings:
        return row(check, title, backend, "fail", verdict.reason, _with_cause(run, check, verdict))
    return row(check, title, backend, "skip" if verdict.skipped else "pass", verdict.reason)


def row(
    check: type[Check],
    condition: str,
    backend: str,
    outcome: Outcome,
    reason: str,
    verdict: Verdict | None = None,
) -> CheckResult:
    """A result with what belongs to its check."""
    return CheckResult(
        code=check.code, name=check.name, family=check.family, condition=condition,
        backend=backend, outcome=outcome, reason=reason,
        findings=verdict.findings if verdict else (),
        fix=check.sections().get("How to fix", ""),
    )  # fmt: skip


def _evidence(lab: Laboratory, check: type[Check], key: str) -> object:
    whole = {"repeat": lab.repeat, "floor": lab.floor, "modules": lab.modules}
    by_condition = {
        "sweep": lab.sweep,
        "calls": lab.calls,
        "contents": lab.contents,
        "agreement": lab.agreement,
    }
    if check.evidence in whole:
        return whole[check.evidence]()
    return by_condition[check.evidence](key)


def _promise(check: type[Check], key: str) -> Promise:
    condition = CONDITIONS[key]
    other = condition.agrees if check.evidence == "agreement" else condition.causal
    return condition.promise if other is None or check.code in APART else other


def _with_cause(run: Run, check: type[Check], verdict: Verdict) -> Verdict:
    """The findings of a look ahead, with the reason that the config itself gives."""
    if not run.cause or check.code not in LOOKS_AHEAD:
        return verdict
    told = tuple(
        replace(finding, message=f"{finding.message} Likely cause: {run.cause}.")
        for finding in verdict.findings
    )
    return replace(verdict, findings=told)


def _whole_is_clean(lab: Laboratory, check: type[Check], verdict: Verdict) -> Verdict:
    """Findings inside a model of unknown making, with what the model as a whole says beside them.

    They stay findings: what a gate of 0 hides today shows after the next step of training.
    """
    inside = check.evidence in {"modules", "calls"} and check.code in LOOKS_AHEAD
    if not lab.subject.own or not inside or not verdict.findings or forbidden(lab.sweep("plain")):
        return verdict
    words = (
        "In the model as a whole nothing moves ahead: something later takes it back, or hides it as"
        f" a gate of 0 does. If it is meant, ignore {check.code}."
    )
    told = tuple(
        replace(finding, message=f"{finding.message} {words}") for finding in verdict.findings
    )
    return replace(verdict, findings=told)


def _plain_is_clean(lab: Laboratory, check: type[Check], key: str, verdict: Verdict) -> Verdict:
    """Findings of a sweep in a condition, with what the plain run says beside them."""
    if check.evidence != "sweep" or key == "plain" or not verdict.findings:
        return verdict
    if forbidden(lab.sweep("plain")):
        return verdict
    changed = CONDITIONS[key].title
    words = f"In the plain run nothing moves: the cause is in what changes with {changed}."
    told = tuple(
        replace(finding, message=f"{finding.message} {words}") for finding in verdict.findings
    )
    return replace(verdict, findings=told)

"""One model type: built, run on each backend, verified, and put into one row."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from attnscope.census.cases import WITHOUT_MODEL, Case
from attnscope.checks import CHECKS
from attnscope.conditions import CONDITIONS
from attnscope.errors import AttnscopeError
from attnscope.experiments.anatomy import anatomy
from attnscope.experiments.subject import subject_of
from attnscope.load import LoadedModel
from attnscope.load.quiet import quiet
from attnscope.load.registered import load_registered
from attnscope.records.census import Found, Row, State
from attnscope.report import CheckResult, Outcome, Report
from attnscope.verification import VerifyOptions, verify_model
from attnscope.verification.outcome import settled

LOUDEST: tuple[Outcome, ...] = ("fail", "error", "pass", "unpromised", "skip")
"""Of a family, the first of these that any of its checks came to; a skip beside a pass is a matter
of conditions, and is told by `verify-mask`, but for what is required of every model."""

REQUIRED = frozenset(check.code for check in CHECKS if check.required)
"""The controls, and the influence on whole logits."""

PLAIN = frozenset({"", CONDITIONS["plain"].title})
"""Names of the condition in which a model must have been asked."""

TOKENS = 21
"""Of the runs that tell whether a backend works and what mixes tokens; no fewer than those that
verification chooses, because BigBird stays dense for good after a short text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What every type is asked."""

    backends: tuple[str, ...] = ("eager", "sdpa", "flex_attention")
    """Attention implementations; one that a type does not run on is left out, with the reason."""
    quick: bool = False
    """As `verify-mask --quick`; flex_attention is then compiled at one shape."""
    seed: int = 0
    """Of weights and tokens."""


def judge(case: Case, ask: Ask) -> Row:
    """The row of one model type; an error of the library's own is a row, too."""
    started = time.monotonic()
    _use_one_thread()
    row = Row(model_type=case.model_type, variant=case.variant, state="error")
    with quiet(bars=False):
        models, without = _models(case, ask)
        row = replace(row, without=tuple(without.items()))
        if models:
            row = _verified(row, models, ask)
        elif case.model_type in WITHOUT_MODEL:
            reason = WITHOUT_MODEL[case.model_type]
            row = replace(row, state="not applicable", reason=reason)
        else:
            row = replace(row, reason=next(iter(without.values())))
    return replace(row, seconds=time.monotonic() - started)


def _models(case: Case, ask: Ask) -> tuple[dict[str, LoadedModel], dict[str, str]]:
    """Backend to a model that was built for it and has run, and backend to why there is none."""
    models: dict[str, LoadedModel] = {}
    without: dict[str, str] = {}
    for backend in ask.backends:
        try:
            loaded = load_registered(case.model_type, case.fields, backend, ask.seed)
            subject = subject_of(loaded)
            ids = subject.draw(TOKENS, ask.seed)
            subject.run("plain", ids, ids[:, :0])
            models[backend] = loaded
        except AttnscopeError as error:
            without[backend] = error.message
    return models, without


def _verified(row: Row, models: dict[str, LoadedModel], ask: Ask) -> Row:
    names = tuple(models)
    first = models[names[0]]
    row = replace(row, architecture=first.info.architecture, backends=names)
    options = VerifyOptions(backends=names, quick=ask.quick, seed=ask.seed)
    try:
        subject = subject_of(first)
        parts = anatomy(subject, subject.draw(TOKENS, ask.seed), ask.seed)
        report = verify_model(first, options, reload=models.__getitem__)
    except AttnscopeError as error:
        return replace(row, state="skip", reason=error.message)
    return replace(
        row,
        state=report.outcome,  # type: ignore[arg-type]
        reason=_reason(report),
        mixers=parts.mixers,
        seam=parts.seam,
        families=_families(report.results),
        controls=_controls(report),
        findings=tuple(_found(report.results)),
        otherwise=_otherwise(report),
        unpromised=tuple(
            dict.fromkeys(one.code for one in report.results if one.outcome == "unpromised")
        ),
    )


def _reason(report: Report) -> str:
    """Why there is no verdict: the first control that did not answer, or the first failure."""
    if report.outcome not in {"skip", "error"}:
        return ""
    wanted = [one for one in report.results if one.outcome == report.outcome]
    required = [one for one in wanted if one.code in REQUIRED]
    return next((f"{one.code}: {one.reason}" for one in (*required, *wanted)), "")


def _otherwise(report: Report) -> State | None:
    """What the verdict would be if a baseline accepted every finding."""
    if report.outcome != "fail":
        return None
    results = (
        replace(one, outcome="accepted") if one.outcome == "fail" else one for one in report.results
    )
    return settled(results, report.backends, report.selected)  # type: ignore[return-value]


def _controls(report: Report) -> bool:
    answered = {
        (one.backend, one.code)
        for one in report.results
        if one.condition in PLAIN and one.outcome in {"pass", "fail"}
    }
    return all((backend, code) in answered for backend in report.backends for code in REQUIRED)


def _families(results: Iterable[CheckResult]) -> tuple[tuple[str, str], ...]:
    outcomes: dict[str, set[Outcome]] = {}
    unanswered: set[str] = set()
    for one in results:
        outcomes.setdefault(one.family, set()).add(one.outcome)
        if one.outcome == "skip" and one.code in REQUIRED and one.condition in PLAIN:
            unanswered.add(one.family)
    loudest = {
        family: next(outcome for outcome in LOUDEST if outcome in found)
        for family, found in outcomes.items()
    }
    return tuple(
        (family, "skip" if family in unanswered and one not in {"fail", "error"} else one)
        for family, one in loudest.items()
    )


def _found(results: Iterable[CheckResult]) -> Iterable[Found]:
    for one in results:
        if one.outcome == "fail":
            worst = one.findings[0]
            yield Found(
                code=one.code, condition=one.condition, backend=one.backend, module=worst.module,
                message=worst.message, count=len(one.findings),
            )  # fmt: skip


def _use_one_thread() -> None:
    """Types are judged beside each other, each on one core; kernels are compiled on it, too."""
    torch.set_num_threads(1)
    import torch._inductor.config as inductor

    inductor.compile_threads = 1

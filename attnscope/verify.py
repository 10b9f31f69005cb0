"""The verdict: every check, in every condition, on every backend asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from attnscope import reproducer
from attnscope.checks import CHECKS, Check, find
from attnscope.checks.base import Verdict
from attnscope.checks.observer import RunsDisagree
from attnscope.conditions import CONDITIONS, Promise
from attnscope.declared import Declared, declare, parse_expect
from attnscope.errors import CaptureError, SelectionError
from attnscope.experiments import lengths
from attnscope.experiments.laboratory import Laboratory
from attnscope.experiments.subject import Cost, Subject, usable_ids
from attnscope.experiments.switches import attention, own_hooks
from attnscope.load import LoadedModel, LoadOptions, Progress, load, tokens_from_ids
from attnscope.load.describe import vocabulary_size
from attnscope.load.quiet import quiet
from attnscope.measure.drift import drift
from attnscope.proving import prove
from attnscope.records.evidence import Agreement
from attnscope.report import CheckResult, Outcome, PlantedLeak, Proven, Report

SHORTEST = len("ATN3")
"""Of a code's beginning in --select and --ignore."""

BUDGET = 400_000
"""Tokens pushed at most by default, over all backends."""


LOOKS_AHEAD = frozenset({"ATN101", "ATN201", "ATN301", "ATN302"})
"""Checks whose findings a bidirectional config explains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """What to ask, and how thoroughly."""

    backends: tuple[str, ...] = ()
    """Attention implementations; none: the one that was loaded, eager and sdpa, as far as the model
    supports them; `("all",)`: every one that runs here."""
    expect: str | None = None
    """`causal`, `sliding:W`, `chunked:C`, `prefix:P` or `bidirectional` instead of what the config
    declares."""
    select: tuple[str, ...] = ()
    """Codes, beginnings of codes, names or families; none: all. The controls are always asked."""
    ignore: tuple[str, ...] = ()
    """Likewise, left out."""
    length: int | None = None
    """Tokens; None: chosen from the model's windows."""
    seed: int = 0
    """Decides the random tokens and what is swapped in."""
    quick: bool = False
    """Only what takes a handful of forwards, beside the sweep over all positions."""
    budget: int | None = None
    """Tokens to push at most; positions are then sampled."""
    prove: bool = False
    """After a pass, plant leaks into this model and show that they are caught."""
    ids: tuple[int, ...] | None = None
    """Real tokens instead of random ones."""


@dataclass(slots=True)
class _Run:
    """One verification under way."""

    loaded: LoadedModel
    options: VerifyOptions
    origin: LoadOptions | None
    cost: Cost
    ids: Tensor
    declared: tuple[Declared, ...]
    widest: Declared
    backends: tuple[str, ...]
    tell: Progress
    cause: str = ""
    results: list[CheckResult] = field(default_factory=list)
    beside_the_point: dict[str, list[str]] = field(default_factory=dict)
    floors: list[str] = field(default_factory=list)
    smallest: list[float | None] = field(default_factory=list)
    routed: bool = False
    first_position: int = 0
    plain: dict[str, list[tuple[Tensor, float]]] = field(default_factory=dict)
    """Logits and limit of each backend, and likewise of its float32 copy if it has one."""


def verify_model(
    loaded: LoadedModel,
    options: VerifyOptions,
    progress: Progress | None = None,
    origin: LoadOptions | None = None,
) -> Report:
    """Ask every check, and judge. The model is as it was afterwards.

    `origin` is what it was loaded from, for backends to which it cannot be switched once loaded,
    and for the reproducer.

    Raises AttnscopeError when it cannot run at all, or not on a backend that was named.
    """
    started = time.monotonic()
    with quiet(bars=False), own_hooks(loaded.model):
        run = _prepare(loaded, options, progress or (lambda words: None), origin)
        for backend in run.backends:
            with _switched(run, backend) as subject:
                _verify_backend(run, subject, backend)
        _compare_backends(run)
        report = _report(run, time.monotonic() - started)
        if options.prove and report.outcome == "pass":
            report = replace(report, proven=_proven(run))
    return replace(report, seconds=time.monotonic() - started)


def _prepare(
    loaded: LoadedModel, options: VerifyOptions, tell: Progress, origin: LoadOptions | None
) -> _Run:
    _require_checks((*options.select, *options.ignore))
    text = loaded.model.config.get_text_config(decoder=True)
    expected = None if options.expect is None else parse_expect(options.expect)
    layers = max(loaded.info.layers, 1)
    declared = declare(text, layers) if expected is None else (expected,) * layers

    def count(forwards: int) -> None:
        if forwards % 25 == 0:
            tell(f"verifying {loaded.info.name}: {forwards:,} forwards")

    cost = Cost(count)
    ids = lengths.choose_ids(
        _subject(loaded, cost), loaded, declared, options.length, options.ids, options.seed
    )
    return _Run(
        loaded=loaded, options=options, origin=origin, cost=cost, ids=ids, declared=declared,
        widest=_widest(expected, declared), tell=tell, cause=_cause(text),
        backends=lengths.choose_backends(loaded.model, options.backends, reloads=bool(origin)),
    )  # fmt: skip


def _subject(loaded: LoadedModel, cost: Cost) -> Subject:
    rows = vocabulary_size(loaded.model)
    return Subject(loaded.model, usable_ids(loaded.model, loaded.tokenizer, rows), cost)


def _widest(expected: Declared | None, declared: Sequence[Declared]) -> Declared:
    """What the whole model may see: windows reach further layer by layer, up to causal."""
    if expected is not None and not expected.narrow:
        return expected
    both = bool(declared) and all(one.kind == "bidirectional" for one in declared)
    return Declared(kind="bidirectional") if both else Declared()


def _cause(config: Any) -> str:
    """Why a model may be bidirectional, as its config says; empty when it does not."""
    for name in ("is_decoder", "is_causal"):
        if getattr(config, name, None) is False:
            return (
                f"it was loaded as a causal language model, but its config says {name}=False, which"
                " makes its attention bidirectional"
            )
    return ""


@contextmanager
def _switched(run: _Run, backend: str) -> Iterator[Subject]:
    """The model on a backend, loaded anew where it cannot be switched."""
    with ExitStack() as stack:
        loaded = run.loaded
        try:
            stack.enter_context(attention(loaded.model, backend))
        except CaptureError:
            if run.origin is None:
                raise
            run.tell(f"loading {loaded.info.name} for {backend}")
            loaded = load(replace(run.origin, backend=backend))
        yield _subject(loaded, run.cost)


def selected(check: type[Check], options: VerifyOptions) -> bool:
    """Whether a check is asked: the controls always, unless ignored."""
    if _named(check, options.ignore):
        return False
    return check.required or not options.select or _named(check, options.select)


def _named(check: type[Check], words: Sequence[str]) -> bool:
    starts = [word.upper().removesuffix("XX") for word in words]
    begins = any(len(start) >= SHORTEST and check.code.startswith(start) for start in starts)
    return begins or bool({check.name, check.family}.intersection(words))


def _require_checks(words: Sequence[str]) -> None:
    """A misspelt word must not read as a clean verdict."""
    for word in words:
        if not any(_named(check, (word,)) for check in CHECKS):
            raise SelectionError(
                f"{word[:40]!r} is no check and no family.", "See `attnscope checks`."
            )


def _verify_backend(run: _Run, subject: Subject, backend: str) -> None:
    lab = _laboratory(run, subject)
    lab.plain()  # a model that does not run at all is told as it is
    blocked, unsteady, chance = "", False, False
    for check in CHECKS:
        if check.evidence == "backends" or not selected(check, run.options):
            continue
        # what a kernel was handed is told by one run, also where nothing can be seen to move
        beside = not check.required and (unsteady or check.evidence != "calls")
        if blocked and (chance or beside):
            run.results.append(_row(check, "", backend, "skip", f"not asked: {blocked}"))
            continue
        keys = check.quick if run.options.quick else check.conditions
        rows = [row for key in keys if (row := _judged(run, lab, check, key, backend))]
        run.results += rows
        if check.family == "observer" and check.required and rows[0].outcome != "pass":
            blocked = f"{check.code} {check.name} did not pass"
            unsteady |= check.evidence == "repeat"
            chance |= check is RunsDisagree and rows[0].outcome == "skip"
    run.first_position = subject.first_position
    if not blocked:
        _keep_floor(run, lab, backend)
        if len(run.backends) > 1:
            finer = [] if (twin := lab.exact()) is None else [(twin.plain(), twin.limit())]
            run.plain[backend] = [(lab.plain(), lab.limit()), *finer]
            run.routed = lab.routed()


def _keep_floor(run: _Run, lab: Laboratory, backend: str) -> None:
    try:
        run.floors.append(_floor_words(backend, lab))
        run.smallest.append(lab.floor().weight)
    except Exception:  # its own row says why
        run.floors.append(f"{backend}: the smallest leak that would be seen is not known")
        run.smallest.append(None)


def _laboratory(run: _Run, subject: Subject) -> Laboratory:
    sweeps = sum(
        len(check.quick if run.options.quick else check.conditions)
        for check in CHECKS
        if check.evidence == "sweep" and selected(check, run.options)
    )
    budget = BUDGET if run.options.budget is None else run.options.budget
    tokens = run.ids.shape[1]
    per_sweep = max(2, budget // (max(sweeps, 1) * tokens * len(run.backends)))
    return Laboratory(
        subject, ids=run.ids, seed=run.options.seed, declared=run.declared, widest=run.widest,
        per_sweep=per_sweep,
    )  # fmt: skip


def _judged(
    run: _Run, lab: Laboratory, check: type[Check], key: str, backend: str
) -> CheckResult | None:
    """One row: evidence, judgement, and what the model has promised; None if beside the point."""
    title = CONDITIONS[key].title if len(check.conditions) > 1 else ""
    try:
        lab.require(key)
        verdict = check().judge(_evidence(lab, check, key))
        promise = _promise(check, key)
        broken = bool(verdict.findings) and not promise.holds(lab.facts())
    except CaptureError as error:
        return _row(check, title, backend, "skip", str(error))
    except Exception as error:  # one check's failure must not take the others with it
        words = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return _row(check, title, backend, "error", f"the checker's own failure: {words}")
    if verdict.beside_the_point and not verdict.skipped:
        run.beside_the_point.setdefault(verdict.reason, []).append(check.code)
        return None
    if broken:
        reason = f"never promised. {promise.text} ({promise.source})"
        return _row(check, title, backend, "unpromised", reason, verdict)
    if verdict.findings:
        return _row(check, title, backend, "fail", verdict.reason, _with_cause(run, check, verdict))
    return _row(check, title, backend, "skip" if verdict.skipped else "pass", verdict.reason)


def _with_cause(run: _Run, check: type[Check], verdict: Verdict) -> Verdict:
    """The findings of a look ahead, with the reason that the config itself gives."""
    if not run.cause or check.code not in LOOKS_AHEAD:
        return verdict
    told = tuple(
        replace(finding, message=f"{finding.message} Likely cause: {run.cause}.")
        for finding in verdict.findings
    )
    return replace(verdict, findings=told)


def _promise(check: type[Check], key: str) -> Promise:
    condition = CONDITIONS[key]
    agrees = condition.agrees if check.evidence == "agreement" else None
    return agrees or condition.promise


def _proven(run: _Run) -> Proven:
    """Leaks planted on every backend, after each has passed."""
    planted: list[PlantedLeak] = []
    for backend in run.backends:
        with _switched(run, backend) as subject:

            def laboratory(subject: Subject = subject) -> Laboratory:
                return _laboratory(run, subject)

            def judge(
                lab: Laboratory, code: str, key: str, backend: str = backend
            ) -> CheckResult | None:
                return _judged(run, lab, find(code), key, backend)

            planted += prove(subject.model, backend, laboratory, judge, run.tell)
    weights = [weight for weight in run.smallest if weight is not None]
    smallest = max(weights) if weights and len(weights) == len(run.smallest) else None
    return Proven(planted=tuple(planted), smallest_weight=smallest)


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


def _row(
    check: type[Check],
    condition: str,
    backend: str,
    outcome: Outcome,
    reason: str,
    verdict: Verdict | None = None,
) -> CheckResult:
    return CheckResult(
        code=check.code, name=check.name, family=check.family, condition=condition,
        backend=backend, outcome=outcome, reason=reason,
        findings=verdict.findings if verdict else (),
        fix=check.sections().get("How to fix", ""),
    )  # fmt: skip


def _compare_backends(run: _Run) -> None:
    check = next(check for check in CHECKS if check.evidence == "backends")
    if len(run.backends) < 2 or not selected(check, run.options):
        return
    first, *others = run.backends
    for other in others:
        name = f"{first}, {other}"
        if first not in run.plain or other not in run.plain:
            run.results.append(_row(check, "", name, "skip", "one of them was not checked"))
            continue
        pairs = list(zip(run.plain[first], run.plain[other], strict=False))
        native, *finer = [_gap(other, *pair) for pair in pairs]
        evidence = replace(native, finer=finer[0] if finer else None, routed=run.routed)
        verdict = check().judge(evidence)
        outcome: Outcome = "fail" if verdict.findings else "pass"
        run.results.append(_row(check, "", name, outcome, verdict.reason, verdict))


def _gap(way: str, one: tuple[Tensor, float], other: tuple[Tensor, float]) -> Agreement:
    return Agreement(way=way, gap=drift(one[0], other[0]), limit=max(one[1], other[1]))


def _floor_words(backend: str, lab: Laboratory) -> str:
    floor = lab.floor()
    if floor.weight is None:
        return f"{backend}: no planted leak could be seen"
    twin = lab.exact() or lab
    return (
        f"{backend}: a weight of {floor.weight:.0e} in one cell of {floor.place.module} is seen in"
        f" {floor.dtype}, smaller ones may not be; logits that differ by up to {twin.limit():.0e}"
        f"{' in float32' if twin is not lab else ''} count as rounding"
    )


def _report(run: _Run, seconds: float) -> Report:
    labels = tokens_from_ids(run.loaded, run.ids[0].tolist()).labels
    report = Report(
        outcome=_outcome(run),
        model=run.loaded.info,
        labels=labels,
        declared=_declared_words(run),
        results=tuple(run.results),
        backends=run.backends,
        forwards=run.cost.forwards,
        tokens=run.cost.tokens,
        seconds=seconds,
        notes=tuple(_notes(run)),
        floors=tuple(run.floors),
    )
    return report if report.outcome != "fail" else replace(report, reproducer=_script(run, report))


def _outcome(run: _Run) -> Outcome:
    """fail over error over skip over pass; nothing is clean without every control on every
    backend.
    """
    outcomes = {result.outcome for result in run.results}
    if "fail" in outcomes:
        return "fail"
    if "error" in outcomes:
        return "error"
    required = [check.code for check in CHECKS if check.required]
    plain = {"", CONDITIONS["plain"].title}
    passed = {
        (result.backend, result.code)
        for result in run.results
        if result.outcome == "pass" and result.condition in plain
    }
    whole = all((backend, code) in passed for backend in run.backends for code in required)
    return "pass" if whole else "skip"


def _declared_words(run: _Run) -> tuple[str, ...]:
    """One line for each kind of layer."""
    if run.options.expect is not None:
        return (f"expected: {run.declared[0].words}",)
    kinds = dict.fromkeys(one.words for one in run.declared)
    counts = {words: sum(one.words == words for one in run.declared) for words in kinds}
    return tuple(f"{count} layer{'s' * (count > 1)}: {words}" for words, count in counts.items())


def _notes(run: _Run) -> Iterator[str]:
    if remark := getattr(run.loaded, "remark", ""):
        yield remark
    for reason, codes in run.beside_the_point.items():
        yield f"not asked, {reason}: {', '.join(dict.fromkeys(codes))}."
    tokens = run.ids.shape[1]
    narrow = [one.size for one in run.declared if one.narrow]
    if narrow and tokens <= max(narrow):
        longer = 2 * max(narrow) + 5
        yield (
            f"{tokens} tokens do not reach beyond the window of {max(narrow)}:"
            f" --length {longer} would."
        )
    if run.loaded.unused_weights:
        yield f"{len(run.loaded.unused_weights)} stored weights have no place in this model."


def _script(run: _Run, report: Report) -> str:
    subject = _subject(run.loaded, run.cost)
    subject.first_position = run.first_position
    return reproducer.script(subject, run.ids, run.options.seed, report, run.origin)

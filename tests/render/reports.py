"""Hand-written reports, one an outcome, and a check."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

from attnscope.checks.base import Check
from attnscope.report import CheckResult, Finding, PlantedLeak, Proven, Report
from attnscope.text import label
from tests.render import examples

CONDITIONS = (
    "plain", "all-ones mask", "use_cache on", "output_attentions on", "left padding",
    "batch of 2, first row", "batch of 2, second row", "one token a step", "chunked prefill",
)  # fmt: skip
PACKED = "packed, all-ones mask and cache"
NEVER = (
    "transformers.masking_utils, _preprocess_mask_arguments: with an attention_mask or a cache,"
    " position_ids separate no documents."
)
CHECKS = (
    ("ATN001", "observer-neutral", "observer", "bit-identical with and without the observer"),
    ("ATN101", "weights-finite", "weights", "290 tensors, all finite"),
    ("ATN201", "mask-declared", "mask", "8 masks in 4 layers are as declared"),
    ("ATN301", "future-influence", "influence", "0 over 120 pairs of positions"),
    ("ATN401", "cache-disagreement", "serving", "largest difference 2e-07"),
)


class LaterTokenMovesEarlier(Check):
    """A later token moves an earlier
    position | by any route.

    What it finds: Any dependence of a position on a later token, whichever module
    it goes through.

    Why it matters: The model reads its own answer.

    How it is measured: Each position is swapped in turn.

    When it is wrong: Never by rounding.

    How to fix: Repair the mask of the module that is named.
    """

    code, name, family = "ATN301", "future-influence", "influence"
    evidence = "sweep"
    conditions = ("plain", "left_padding", "packed_cached")
    quick = ("plain",)


class ObserverChangesOutputs(Check):
    """Observing changes the outputs

    What it finds: An instrument that disturbs.
    """

    code, name, family = "ATN001", "observer-neutral", "observer"
    evidence = "repeat"
    required = True


def make_result(**changes: object) -> CheckResult:
    facts: dict[str, object] = {
        "code": "ATN301", "name": "future-influence", "family": "influence", "condition": "plain",
        "backend": "sdpa", "outcome": "pass", "reason": "0 over 120 pairs of positions",
    }  # fmt: skip
    return CheckResult(**{**facts, **changes})  # type: ignore[arg-type]


def make_finding(**changes: object) -> Finding:
    facts: dict[str, object] = {
        "layer": 2, "module": "model.layers.2.self_attn", "head": 3, "query": 1, "key": 3,
        "measured": 0.3125, "limit": 0.0,
        "message": "The logits moved when a later token was swapped; likely the causal mask is"
        " dropped where a padding mask is given.",
    }  # fmt: skip
    return Finding(**{**facts, **changes})  # type: ignore[arg-type]


def make_report(**changes: object) -> Report:
    facts: dict[str, object] = {
        "outcome": "pass", "model": examples.make_model(name="tiny"),
        "labels": tuple(label(text) for text in examples.SENTENCE),
        "declared": ("layer 0: causal",), "results": (make_result(),),
        "backends": ("sdpa",), "forwards": 1, "tokens": 5, "seconds": 0.25,
    }  # fmt: skip
    return Report(**{**facts, **changes})  # type: ignore[arg-type]


def on(backend: str) -> tuple[CheckResult, ...]:
    """Every check passed, and one condition was never promised."""
    results = []
    for code, name, family, reason in CHECKS:
        several = family in {"influence", "serving"}
        each = make_result(code=code, name=name, family=family, reason=reason, backend=backend)
        results += [replace(each, condition=one) for one in (CONDITIONS if several else ("plain",))]
        if several:
            results.append(replace(each, condition=PACKED, outcome="unpromised", reason=NEVER))
    return tuple(results)


def passing() -> Report:
    planted = tuple(
        PlantedLeak(name=f"weight {size} in one cell", backend="sdpa", caught_by=("ATN301",),
                    located=True)
        for size in ("1e-1", "1e-3", "3e-7")
    )  # fmt: skip
    between = make_result(
        code="ATN501", name="backends-disagree", family="backends", backend="eager, sdpa",
        reason="largest difference 3e-07, 20% of what rounding explains",
    )  # fmt: skip
    return make_report(
        results=(*on("eager"), *on("sdpa"), between),
        backends=("eager", "sdpa"),
        forwards=1_204, tokens=38_528, seconds=12.34,
        floors=("eager: weight 3e-07 in one cell", "sdpa: weight 3e-07 in one cell"),
        notes=("12 of 512 positions were sampled.",),
        proven=Proven(planted=planted, smallest_weight=3e-7),
    )  # fmt: skip


def missed() -> Report:
    """A pass in which one planted leak went unnoticed and one was not located."""
    report = passing()
    assert report.proven
    first, second, third = report.proven.planted
    planted = (first, replace(second, located=False), replace(third, caught_by=(), located=False))
    return replace(report, proven=replace(report.proven, planted=planted))


def leaking() -> Report:
    """Three findings of two checks, one of them in left padding alone."""
    padded = make_result(
        condition="left padding", outcome="fail", reason="the logits moved by 0.312",
        findings=(make_finding(), make_finding(query=0, key=None, measured=0.002, head=None)),
        fix="Combine the padding mask with the causal one instead of replacing it.",
    )  # fmt: skip
    mask = make_result(
        code="ATN201", name="mask-declared", family="mask", outcome="fail",
        reason="one cell above the diagonal is open",
        findings=(make_finding(query=4, key=40, measured=1.0, message="A cell is open."),),
    )  # fmt: skip
    kept = [
        each for each in on("sdpa")
        if each.code != "ATN201" and (each.code, each.condition) != ("ATN301", "left padding")
    ]  # fmt: skip
    results = sorted([*kept, mask, padded], key=lambda each: each.code)
    return make_report(
        outcome="fail", results=tuple(results), forwards=602, tokens=19_264, seconds=6.1,
        reproducer="print('leak')\n",
    )  # fmt: skip


def unchecked() -> Report:
    reason = "the model takes no attention_mask"
    results = [
        make_result(condition=condition, outcome="skip", reason=reason)
        for condition in CONDITIONS
    ]  # fmt: skip
    reason = "its outputs differ between two identical runs, so no difference means anything"
    results.append(
        make_result(code="ATN401", name="cache-disagreement", family="serving", outcome="skip",
                    reason=reason)
    )  # fmt: skip
    return make_report(outcome="skip", results=tuple(results), labels=())


def broken() -> Report:
    results = (
        *on("sdpa"),
        make_result(code="ATN501", name="backends-disagree", family="backends", outcome="error",
                    reason="RuntimeError: the kernel flex_attention could not be compiled"),
    )  # fmt: skip
    return make_report(outcome="error", results=results)


def partly() -> Report:
    """A pass in which one condition could not be checked."""
    skipped = make_result(condition="offloaded cache", outcome="skip", reason="there is no GPU")
    return make_report(results=(make_result(), skipped))


def accepted() -> Report:
    """A pass that holds because a finding is accepted, and one accepted finding that is gone."""
    result = make_result(
        condition="left padding", outcome="accepted", reason="known since May, see the tracker",
        findings=(make_finding(), make_finding(query=0)),
    )  # fmt: skip
    return make_report(
        results=(make_result(), result), fixed=("ATN401 cache-drift no longer occurs.",)
    )


def hostile() -> Report:
    """Words that try to break the terminal, in every field that holds words."""
    evil = "\x1b]0;title\x07[red]evil[/red]\u202e :smile: 漢字"
    finding = make_finding(module=evil, message=evil, measured=inf, limit=nan)
    results = tuple(
        make_result(outcome=outcome, reason=evil, condition=evil, fix=evil, name=evil, code=code,
                    findings=(finding,) if outcome == "fail" else ())
        for code, outcome in (("A", "fail"), ("B", "error"), ("C", "skip"), ("D", "unpromised"),
                              ("E", "pass"))
    )  # fmt: skip
    planted = PlantedLeak(name=evil, backend=evil, caught_by=(), located=False)
    return make_report(
        outcome="fail", results=results, model=examples.make_model(name=evil), backends=(evil,),
        labels=tuple(label(text) for text in examples.HOSTILE), declared=(evil,), floors=(evil,),
        notes=(evil,), proven=Proven(planted=(planted,), smallest_weight=None), seconds=nan,
    )  # fmt: skip


ALL = {
    "passing": passing,
    "missed": missed,
    "leaking": leaking,
    "unchecked": unchecked,
    "broken": broken,
    "partly": partly,
    "accepted": accepted,
    "hostile": hostile,
}

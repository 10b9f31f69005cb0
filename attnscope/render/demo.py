"""A small report and a check for the widgets' own demos."""

from __future__ import annotations

from attnscope.checks.base import Check
from attnscope.records import ModelInfo
from attnscope.report import CheckResult, Finding, Outcome, PlantedLeak, Proven, Report


def leaking() -> Report:
    """One check that found a leak in one condition, one that passed, one that could not answer."""
    found = Finding(
        layer=2, module="model.layers.2.self_attn", head=3, query=1, key=3, measured=0.31,
        limit=0.0, message="The logits moved when a later token was swapped.",
    )  # fmt: skip
    return Report(
        outcome="fail",
        model=ModelInfo(
            name="demo", architecture="LlamaForCausalLM", parameters=1_312_000, layers=4, heads=4,
            kv_heads=2, device="cpu", dtype="float32", backend="sdpa",
        ),
        labels=("The", "cat", "sat", "on", "mat"),
        declared=("layers 0-3: causal",),
        results=(
            _asked("ATN001", "observer", "observer", "pass", "bit-identical with and without"),
            _asked("ATN301", "future-influence", "influence", "pass", "nothing moved"),
            _asked(
                "ATN301", "future-influence", "influence", "fail", "the logits moved by 0.31",
                condition="left padding", findings=(found,), fix="Mask the pads.",
            ),
            _asked("ATN401", "cache-drift", "serving", "skip", "the model returns no cache"),
        ),
        backends=("sdpa",), forwards=31, tokens=1_204, seconds=0.8, floors=("sdpa: weight 3e-7",),
        proven=Proven(
            planted=(PlantedLeak(name="a cell", backend="sdpa", caught_by=(), located=False),),
            smallest_weight=None,
        ),
    )  # fmt: skip


def _asked(  # noqa: PLR0913 (a record's fields)
    code: str, name: str, family: str, outcome: Outcome, reason: str, *, condition: str = "plain",
    findings: tuple[Finding, ...] = (), fix: str = "",
) -> CheckResult:  # fmt: skip
    return CheckResult(
        code=code, name=name, family=family, condition=condition, backend="sdpa", outcome=outcome,
        reason=reason, findings=findings, fix=fix,
    )  # fmt: skip


class FutureInfluence(Check):
    """A later token changes an earlier position.

    What it finds: Any way in which a position's logits depend on a later token.

    Why it matters: Such a model reads its own answer while it is trained or scored.

    How it is measured: Each position is swapped in turn, at equal shape.

    When it is wrong: Never by rounding: in a clean model nothing moves by a single bit.

    How to fix: Repair the mask of the module that is named.
    """

    code, name, family = "ATN301", "future-influence", "influence"
    evidence = "sweep"
    conditions = ("plain", "left_padding")
    quick = ("plain",)

"""A small report, heads and a check for the widgets' own demos."""

from __future__ import annotations

import torch

from attnscope.checks.base import Check
from attnscope.records import HeadFocus, Heads, HeadView, ModelInfo, Tokens
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


def heads() -> Heads:
    """Two layers of two heads over two windows of three tokens."""
    words = ("The", "cat", "sat", "the", "cat", "ran")
    window = torch.tensor([[1.0, 0, 0], [0.8, 0.2, 0], [0.5, 0.2, 0.3]])
    weights = torch.kron(torch.eye(2), window)
    return Heads(
        model=ModelInfo(
            name="demo", architecture="LlamaForCausalLM", parameters=1_312_000, layers=2, heads=2,
            kv_heads=2, device="cpu", dtype="float32", backend="sdpa",
        ),
        tokens=Tokens(ids=tuple(range(6)), texts=words, labels=words, special=(False,) * 6),
        windows=((0, 3), (3, 6)),
        focus=tuple(
            HeadFocus(
                layer=index // 2, head=index % 2, kv_head=index % 2, entropy=1 / (index + 1),
                distance=index + 0.5, strongest_key=index, self_weight=0.2, previous_weight=0.3,
                first_weight=0.1 * index, local_weight=None, broad=0.5, induction=None,
                duplicate=None, future_weight=0.0, role="mixed", role_score=0.3,
                verified=index != 2,
                difference=0.0, rounding=0.1, noticed=9, noticeable=9, compared=6,
            )
            for index in range(4)
        ),
        layers=(0, 1),
        received=torch.tensor([[2.3, 0.4, 0.3] * 2, [2.0, 0.5, 0.5] * 2]),
        views=(
            HeadView(
                layer=1, head=0, reason="as asked", verified=True, difference=0.0,
                weights=weights.double(), future=weights > 1, pool=1,
            ),
        ),
        seconds=0.2,
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

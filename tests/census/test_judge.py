"""One type's row: what is asked of it, and what of its report is kept."""

from __future__ import annotations

import pytest

from attnscope.census import judge as module
from attnscope.census.cases import Case, cases
from attnscope.census.judge import Ask, judge
from attnscope.load.registered import registered_types
from attnscope.records.census import Row
from attnscope.report import CheckResult, Outcome

EAGER = Ask(backends=("eager",), quick=True)


def row_of(key: str, ask: Ask = EAGER) -> Row:
    return judge(next(case for case in cases(registered_types()) if case.key == key), ask)


def result(code: str, family: str, outcome: Outcome, condition: str = "plain") -> CheckResult:
    return CheckResult(
        code=code, name=code, family=family, condition=condition, backend="eager", outcome=outcome,
        reason="",
    )  # fmt: skip


def test_a_backend_that_does_not_run_is_left_out_with_its_reason() -> None:
    found = row_of("bloom", Ask(backends=("sdpa", "eager"), quick=True))
    assert found.state == "pass"
    assert found.backends == ("eager",)
    ((backend, reason),) = found.without
    assert backend == "sdpa"
    assert "does not support an attention implementation" in reason


def test_backends_to_which_a_model_cannot_be_switched_are_built_for() -> None:
    """Falcon chooses its attention class when it is built."""
    found = row_of("falcon", Ask(backends=("eager", "sdpa"), quick=True))
    assert found.backends == ("eager", "sdpa")
    assert {one.backend for one in found.findings} == {"sdpa"}
    assert dict(found.families)["backends"] == "pass"


def test_findings_are_kept_with_their_place() -> None:
    found = row_of("roberta (default)")
    assert (found.state, found.variant, found.controls) == ("fail", "default", True)
    ahead = next(one for one in found.findings if one.code == "ATN301")
    assert ahead.module == "roberta.encoder.layer.0.attention.self"
    assert "is_decoder=False" in ahead.message


def test_without_a_model_there_is_a_reason() -> None:
    assert row_of("gemma4_assistant").state == "not applicable"
    broken = judge(Case(model_type="gpt2", fields={"n_embd": 7, "n_head": "x"}), EAGER)
    assert broken.state == "error"
    assert broken.reason.startswith("gpt2 ")


@pytest.mark.parametrize(
    ("outcomes", "sign"),
    [
        ((("ATN301", "pass"), ("ATN302", "skip")), "pass"),
        ((("ATN301", "skip"), ("ATN302", "pass")), "skip"),
        ((("ATN301", "skip"), ("ATN302", "fail")), "fail"),
        ((("ATN305", "unpromised"), ("ATN306", "skip")), "unpromised"),
    ],
)
def test_a_family_passes_only_with_what_is_required(
    outcomes: tuple[tuple[str, Outcome], ...], sign: str
) -> None:
    results = [result(code, "influence", outcome) for code, outcome in outcomes]
    assert module._families(results) == (("influence", sign),)

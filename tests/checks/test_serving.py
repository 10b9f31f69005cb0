"""ATN4xx and ATN5xx judged from hand-written gaps."""

from __future__ import annotations

import pytest

from attnscope.checks import CHECKS, Check
from attnscope.checks.backends import BackendsDisagree
from tests.checks.evidence import agreement

AGREEMENTS = [check for check in CHECKS if check.evidence in {"agreement", "backends"}]


def test_these_are_all() -> None:
    assert {check.code for check in AGREEMENTS} == {
        "ATN401", "ATN402", "ATN403", "ATN404", "ATN405", "ATN406", "ATN407", "ATN408", "ATN501",
    }  # fmt: skip


@pytest.mark.parametrize("check", AGREEMENTS)
def test_within_the_limit_passes_and_both_numbers_are_told(check: type[Check]) -> None:
    verdict = check().judge(agreement(0.0, 1e-5, 2e-6))
    assert (verdict.findings, verdict.skipped) == ((), False)
    assert verdict.reason.count("1e-05") == 2  # measured and limit


@pytest.mark.parametrize("check", AGREEMENTS)
def test_beyond_the_limit_is_found_at_the_worst_position(check: type[Check]) -> None:
    verdict = check().judge(agreement(0.0, 2e-5, 0.5))
    (finding,) = verdict.findings
    assert (finding.query, finding.key, finding.measured) == (2, None, 0.5)
    assert finding.limit == 1e-5
    assert "0.5" in finding.message
    assert "1e-05" in finding.message
    assert "2 positions" in verdict.reason


@pytest.mark.parametrize("check", AGREEMENTS)
def test_a_float32_copy_sees_what_half_precision_hides(check: type[Check]) -> None:
    finer = agreement(0.0, 0.01, limit=1e-5)
    (finding,) = check().judge(agreement(0.02, 0.01, limit=0.1, finer=finer)).findings
    assert (finding.query, finding.measured, finding.limit) == (1, pytest.approx(0.01), 1e-5)
    assert "in float32" in finding.message


@pytest.mark.parametrize("check", AGREEMENTS)
def test_a_clean_float32_copy_and_a_small_gap_pass(check: type[Check]) -> None:
    verdict = check().judge(agreement(0.02, limit=0.1, finer=agreement(1e-6, limit=1e-5)))
    assert (verdict.findings, verdict.skipped) == ((), False)
    assert "1e-06 in float32" in verdict.reason


@pytest.mark.parametrize("check", AGREEMENTS)
def test_a_gap_beyond_the_model_s_own_floor_is_rounding_for_experts_only(
    check: type[Check],
) -> None:
    finer = agreement(1e-6, limit=1e-5)
    (finding,) = check().judge(agreement(0.5, limit=0.1, finer=finer)).findings
    assert (finding.measured, finding.limit) == (0.5, 0.1)
    assert not check().judge(agreement(0.5, limit=0.1, finer=finer, routed=True)).findings


@pytest.mark.parametrize("check", AGREEMENTS)
def test_bit_equality_is_asked_where_the_limit_is_nothing(check: type[Check]) -> None:
    assert "bit equality" in check().judge(agreement(0.0, limit=0.0)).reason
    assert check().judge(agreement(1e-30, limit=0.0)).findings


@pytest.mark.parametrize("check", AGREEMENTS)
def test_no_number_is_a_finding(check: type[Check]) -> None:
    (finding,) = check().judge(agreement(0.0, float("inf"))).findings
    assert (finding.query, finding.measured) == (1, float("inf"))


@pytest.mark.parametrize("check", AGREEMENTS)
def test_a_limit_without_bounds_checks_nothing(check: type[Check]) -> None:
    assert check().judge(agreement(0.5, limit=float("inf"))).skipped


def test_backends_are_compared_as_ways_are() -> None:
    assert BackendsDisagree.family == "backends"

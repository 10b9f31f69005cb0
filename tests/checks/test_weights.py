"""ATN1xx judged from hand-written readings."""

from __future__ import annotations

from typing import Any

import pytest

from attnscope.checks.base import Check
from attnscope.checks.weights import BlindRow, FutureWeight, NotANumber, NotReproduced, RowSum
from attnscope.records.evidence import Place
from tests.checks.evidence import ATTENTION, cells, reading, readings

FAMILY = (FutureWeight, NotANumber, BlindRow, NotReproduced, RowSum)
LATER: dict[str, Any] = {"future_weight": 0.25, "future_at": (2, 1, 4)}


@pytest.mark.parametrize("check", FAMILY)
def test_clean_calls_pass_and_are_counted(check: type[Check]) -> None:
    clean = reading(sum_gap=1e-7)
    verdict = check().judge(readings(clean, clean))
    assert (verdict.findings, verdict.skipped) == ((), False)
    assert "2 calls" in verdict.reason


@pytest.mark.parametrize("check", FAMILY)
def test_a_call_that_cannot_be_read_is_not_clean(check: type[Check]) -> None:
    verdict = check().judge(readings(reading(), reading(problem="scores are not understood")))
    assert verdict.skipped
    assert "model.layers.1.self_attn: scores are not understood" in verdict.reason


@pytest.mark.parametrize("check", FAMILY)
def test_attention_that_could_not_be_followed_is_not_clean(check: type[Check]) -> None:
    verdict = check().judge(readings(reading(), unseen=("h.0: no softmax", "h.1: no softmax")))
    assert verdict.skipped
    assert "h.0: no softmax (and 1 more)" in verdict.reason


@pytest.mark.parametrize("check", FAMILY)
def test_no_call_at_all_is_a_skip_where_the_config_names_heads(check: type[Check]) -> None:
    verdict = check().judge(readings())
    assert verdict.skipped
    assert "no attention call" in verdict.reason
    without = check().judge(readings(heads=0))
    assert without.beside_the_point
    assert not without.skipped


def test_weight_on_a_later_key_is_found_with_head_query_and_key() -> None:
    (finding,) = FutureWeight().judge(readings(reading(), reading(**LATER))).findings
    assert (finding.layer, finding.module) == (1, ATTENTION.module)
    assert (finding.head, finding.query, finding.key) == (2, 1, 4)
    assert (finding.measured, finding.limit) == (0.25, 0.0)
    assert "weight 0.25 to the later key 4" in finding.message
    assert "its score beats the number that was added" in finding.message


def test_an_open_mask_is_named_as_the_cause() -> None:
    leak = reading(**LATER, ahead=cells(pattern="the causal mask is missing"))
    (finding,) = FutureWeight().judge(readings(leak)).findings
    assert "leaves the cell open (the causal mask is missing)" in finding.message


def test_the_worst_call_comes_first_and_a_finding_beats_an_unreadable_call() -> None:
    small = reading(place=Place(module="a", layer=0), future_weight=1e-30, future_at=(0, 0, 1))
    verdict = FutureWeight().judge(readings(small, reading(problem="?"), reading(**LATER)))
    assert [one.module for one in verdict.findings] == [ATTENTION.module, "a"]
    assert "2 of 2 calls" in verdict.reason


def test_weights_that_do_not_reproduce_the_output_are_not_known_to_be_clean() -> None:
    verdict = FutureWeight().judge(readings(reading(), reading(verified=False)))
    assert verdict.skipped
    assert ATTENTION.module in verdict.reason


def test_a_nan_row_is_found_with_its_likely_cause() -> None:
    (finding,) = NotANumber().judge(readings(reading(nan_row=(3, 0), blind_row=(3, 0)))).findings
    assert (finding.head, finding.query, finding.key) == (3, 0, None)
    assert "closes every key" in finding.message
    (other,) = NotANumber().judge(readings(reading(nan_row=(3, 5)))).findings
    assert "overflow" in other.message


def test_a_blind_row_is_found() -> None:
    (finding,) = BlindRow().judge(readings(reading(blind_row=(0, 2)))).findings
    assert (finding.layer, finding.head, finding.query, finding.key) == (1, 0, 2, None)
    assert "closes every key to query 2" in finding.message


def test_not_reproduced_is_not_checked_and_no_finding() -> None:
    verdict = NotReproduced().judge(readings(reading(), reading(verified=False)))
    assert verdict.skipped
    assert "1 call not reproduced, first in model.layers.1.self_attn" in verdict.reason


def test_row_sums_are_judged_against_their_own_limit() -> None:
    assert not RowSum().judge(readings(reading(sum_gap=2e-7))).findings
    (finding,) = RowSum().judge(readings(reading(sum_gap=0.5))).findings
    assert (finding.measured, finding.limit, finding.head) == (0.5, 2e-7, None)
    assert "misses 1 by 0.5" in finding.message


def test_weights_multiplied_by_the_mask_are_named() -> None:
    leak = reading(sum_gap=0.5, verified=False, multiplied=True)
    (finding,) = RowSum().judge(readings(leak)).findings
    assert "multiplied by the mask afterwards" in finding.message


def test_sums_that_are_off_by_a_design_of_their_own_are_not_checked() -> None:
    odd = reading(sum_gap=0.5, verified=False)
    verdict = RowSum().judge(readings(odd, reading(sum_gap=0.0)))
    assert verdict.skipped
    assert not verdict.findings


def test_an_odd_layer_hides_no_finding_in_another() -> None:
    odd = reading(sum_gap=0.5, verified=False)
    leak = reading(place=Place(module="b", layer=2), sum_gap=0.5, verified=False, multiplied=True)
    assert [one.module for one in RowSum().judge(readings(odd, leak)).findings] == ["b"]


def test_a_kernel_that_returns_no_weights_has_no_sums_to_judge() -> None:
    verdict = RowSum().judge(readings(reading(sum_gap=None)))
    assert verdict.skipped or verdict.beside_the_point
    assert "weights" in verdict.reason

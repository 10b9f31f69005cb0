"""ATN0xx judged from hand-written evidence."""

from __future__ import annotations

import pytest
import torch

from attnscope.checks.observer import NothingMoves, ObserverMoves, RunsDisagree, SightTooShort
from attnscope.records.evidence import Floor, Repeat
from tests.checks.evidence import ATTENTION, TOKENS, WHOLE, causal, influence


def repeat(neutral: float = 0.0, repeats: float = 0.0, seeded: float = 0.0) -> Repeat:
    return Repeat(neutral=neutral, repeats=repeats, seeded=seeded)


def test_identical_runs_pass() -> None:
    verdict = RunsDisagree().judge(repeat())
    assert (verdict.findings, verdict.skipped) == ((), False)
    assert "bit-identical" in verdict.reason


def test_chance_is_no_finding_and_leaves_nothing_to_check() -> None:
    verdict = RunsDisagree().judge(repeat(repeats=0.5))
    assert verdict.skipped
    assert not verdict.findings
    assert "0.5 by chance: is dropout on?" in verdict.reason


def test_state_that_random_numbers_do_not_explain_is_a_finding() -> None:
    (finding,) = RunsDisagree().judge(repeat(repeats=0.5, seeded=0.25)).findings
    assert (finding.limit, finding.query, finding.key) == (0.0, None, None)
    assert finding.measured > 0
    assert "carried from call to call" in finding.message


@pytest.mark.parametrize("gap", [1e-9, float("inf")])
def test_an_observer_that_moves_leaves_nothing_to_check(gap: float) -> None:
    verdict = ObserverMoves().judge(repeat(neutral=gap))
    assert verdict.skipped
    assert not ObserverMoves().judge(repeat()).skipped


def test_every_position_moves_itself_and_some_a_later_one() -> None:
    verdict = NothingMoves().judge(influence())
    assert not verdict.skipped
    assert f"all {TOKENS} swapped positions" in verdict.reason


def test_a_position_that_does_not_move_itself_leaves_nothing_to_check() -> None:
    drift = causal().float()
    drift[3, 3] = 0.0
    verdict = NothingMoves().judge(influence(drift))
    assert verdict.skipped
    assert "1 of 6 swapped positions do not move their own logits" in verdict.reason


def test_tokens_that_do_not_look_at_each_other_leave_nothing_to_check() -> None:
    verdict = NothingMoves().judge(influence(torch.eye(TOKENS)))
    assert verdict.skipped
    assert "no swap moves a later position" in verdict.reason
    leak_only = torch.eye(TOKENS)
    leak_only[0, 3] = 1.0
    assert NothingMoves().judge(influence(leak_only)).skipped


def test_a_sample_of_positions_is_judged_by_its_own_columns() -> None:
    verdict = NothingMoves().judge(influence(swapped=(0, 2, 5)))
    assert not verdict.skipped
    assert "all 3 swapped positions" in verdict.reason
    still = causal().float()
    still[2, 2] = 0.0
    assert NothingMoves().judge(influence(still, swapped=(0, 2, 5))).skipped
    assert not NothingMoves().judge(influence(still, swapped=(0, 5))).skipped


def test_the_smallest_leak_that_is_seen_is_named() -> None:
    verdict = SightTooShort().judge(Floor(weight=3e-8, place=ATTENTION, dtype="float32"))
    assert not verdict.skipped
    assert "3e-08" in verdict.reason
    assert "model.layers.1.self_attn" in verdict.reason
    assert SightTooShort().judge(Floor(weight=None, place=WHOLE, dtype="float32")).skipped

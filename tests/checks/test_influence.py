"""ATN3xx judged from hand-written maps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from attnscope.checks.base import Check
from attnscope.checks.contents import BatchRowsMix, DocumentsMix, PadContents
from attnscope.checks.influence import BeyondWindow, Blindness, FutureInfluence, ModuleInfluence
from attnscope.checks.serving import DroppedContents
from attnscope.records.evidence import Place
from tests.checks.evidence import (
    ATTENTION,
    TOKENS,
    causal,
    contents,
    influence,
    modules,
    window,
    with_cell,
)

NARROW: dict[str, Any] = {"allowed": window(3), "beyond": True, "place": ATTENTION}


def test_a_causal_map_passes_and_says_how_much_was_asked() -> None:
    verdict = FutureInfluence().judge(influence())
    assert not verdict.findings
    assert not verdict.skipped
    assert "all 6 positions swapped: 15 pairs" in verdict.reason
    sampled = FutureInfluence().judge(influence(swapped=(0, 5)))
    assert "a sample of 2 of 6 swapped: 5 pairs" in sampled.reason


def test_the_worst_leak_is_named_with_its_positions_and_module() -> None:
    drift = with_cell(1, 4, 0.5)
    drift[0, 5] = 0.25
    (finding,) = FutureInfluence().judge(influence(drift, place=ATTENTION)).findings
    assert (finding.query, finding.key) == (1, 4)
    assert (finding.measured, finding.limit) == (0.5, 0.0)
    assert (finding.layer, finding.module) == (1, ATTENTION.module)
    assert finding.message == (
        "Changing token 4 moves position 1 by 0.5: enters at model.layers.1.self_attn"
        " (LlamaAttention)."
    )


@pytest.mark.parametrize("value", [5e-324, 1e-30, float("inf")])
def test_no_leak_is_too_small_or_too_large(value: float) -> None:
    drift = with_cell(0, 5, 0.0).double()
    drift[0, 5] = value
    found = influence(drift.float()) if value > 1e-40 else influence(swapped=(5,))
    if value < 1e-40:
        found.drift[0, 0] = torch.finfo(torch.float32).tiny
    (finding,) = FutureInfluence().judge(found).findings
    assert (finding.query, finding.key) == (0, 5)


def test_columns_of_a_sample_are_named_by_position() -> None:
    found = influence(with_cell(1, 5, 0.5), swapped=(0, 5))
    assert FutureInfluence().judge(found).findings[0].key == 5


def test_no_one_module_is_said_so() -> None:
    (finding,) = FutureInfluence().judge(influence(with_cell(1, 4, 0.5))).findings
    assert (finding.layer, finding.module) == (None, "")
    assert "enters at no one module" in finding.message


def test_rounding_is_no_finding_and_is_told() -> None:
    verdict = FutureInfluence().judge(influence(with_cell(1, 4, 1e-7), rounding="1e-07, and 0.0"))
    assert not verdict.findings
    assert not verdict.skipped
    assert "rounding only: 1e-07, and 0.0" in verdict.reason


def test_what_cannot_be_told_from_rounding_is_neither_clean_nor_a_leak() -> None:
    verdict = FutureInfluence().judge(
        influence(with_cell(1, 4, 4e-6), place=ATTENTION, untold=True)
    )
    assert verdict.skipped
    assert not verdict.findings
    assert "4e-06 moved ahead, as little as rounding does" in verdict.reason
    assert "model.layers.1.self_attn" in verdict.reason
    beside = contents(0.0, 4e-6, untold=True)
    assert PadContents().judge(beside).skipped


def test_a_condition_in_which_a_token_does_not_move_itself_is_not_checked() -> None:
    """Logits that are all NaN, or constant, never move: no proof of anything."""
    verdict = FutureInfluence().judge(influence(torch.zeros(TOKENS, TOKENS)))
    assert verdict.skipped
    still = causal().float()
    still[3, 3] = 0.0
    assert FutureInfluence().judge(influence(still)).skipped
    still[0, 3] = 1.0
    assert len(FutureInfluence().judge(influence(still)).findings) == 1


def test_declared_bidirectional_allows_everything() -> None:
    everything = torch.ones(TOKENS, TOKENS)
    verdict = FutureInfluence().judge(influence(everything, allowed=everything.bool()))
    assert not verdict.findings
    assert not verdict.skipped


def test_each_leaking_module_is_named() -> None:
    clean = influence(place=Place(module="a", layer=0))
    leaks = [
        influence(with_cell(1, 4, size), place=Place(module=name, layer=layer))
        for name, layer, size in (("b", 1, 0.5), ("c", 2, 0.25))
    ]
    verdict = ModuleInfluence().judge(modules(clean, *leaks))
    assert {(one.module, one.layer, one.measured) for one in verdict.findings} == {
        ("b", 1, 0.5),
        ("c", 2, 0.25),
    }
    assert all((one.query, one.key) == (1, 4) for one in verdict.findings)


def test_clean_modules_pass_and_none_is_a_skip() -> None:
    verdict = ModuleInfluence().judge(modules(influence(place=ATTENTION)))
    assert not verdict.skipped
    assert "1 module" in verdict.reason
    assert ModuleInfluence().judge(modules()).skipped
    rounds = influence(with_cell(1, 4, 1e-7), place=ATTENTION, rounding="1e-07, and 0.0")
    assert "rounding only in 1" in ModuleInfluence().judge(modules(rounds)).reason


def test_what_lies_beyond_a_window_is_no_look_ahead() -> None:
    wide = influence(**NARROW)  # a causal map where a window of 3 is declared
    assert not ModuleInfluence().judge(modules(wide)).findings
    (finding,) = BeyondWindow().judge(modules(wide)).findings
    assert (finding.query, finding.key) == (3, 0)
    assert "beyond what the layer may see" in finding.message


def test_a_look_ahead_is_not_beyond_the_window() -> None:
    drift = window(3).float()
    drift[1, 4] = 0.5
    leak = influence(drift, **NARROW)
    assert not BeyondWindow().judge(modules(leak)).findings
    (finding,) = ModuleInfluence().judge(modules(leak)).findings
    assert (finding.query, finding.key, finding.measured) == (1, 4, 0.5)


def test_infinite_drift_elsewhere_does_not_blur_the_place() -> None:
    """0 times inf is no number, and no largest one."""
    drift = causal().float()
    drift[5, 0] = float("inf")
    drift[1, 4] = 0.5
    leak = influence(drift, **NARROW)
    (finding,) = ModuleInfluence().judge(modules(leak)).findings
    assert (finding.query, finding.key, finding.measured) == (1, 4, 0.5)
    (beyond,) = BeyondWindow().judge(modules(leak)).findings
    assert (beyond.query, beyond.key, beyond.measured) == (5, 0, float("inf"))


def test_a_window_that_is_kept_passes() -> None:
    verdict = BeyondWindow().judge(modules(influence(window(3), **NARROW)))
    assert not verdict.findings
    assert not verdict.skipped


def test_no_window_is_beside_the_point_and_too_few_tokens_are_a_skip() -> None:
    assert BeyondWindow().judge(modules(influence(place=ATTENTION))).beside_the_point
    short = BeyondWindow().judge(modules(influence(allowed=window(TOKENS), beyond=True)))
    assert short.skipped
    assert "--length" in short.reason


def test_blindness_asks_each_distance() -> None:
    seeing = influence(expected=causal(), place=ATTENTION)
    assert not Blindness().judge(modules(seeing)).findings
    narrow = influence(window(3), allowed=window(4), expected=window(4), place=ATTENTION)
    (finding,) = Blindness().judge(modules(seeing, narrow)).findings
    assert (finding.query, finding.key) == (3, 0)
    assert "no query sees the key 3 positions before it" in finding.message


def test_blindness_asks_each_key() -> None:
    drift = causal().float()
    drift[3:, 2] = 0.0
    (finding,) = (
        Blindness().judge(modules(influence(drift, expected=causal(), place=ATTENTION))).findings
    )
    assert finding.key == 2
    assert "no query sees key 2" in finding.message


def test_blindness_asks_each_query() -> None:
    drift = causal().float()
    drift[4, :4] = 0.0
    (finding,) = (
        Blindness().judge(modules(influence(drift, expected=causal(), place=ATTENTION))).findings
    )
    assert finding.query == 4


def test_nothing_declared_exactly_is_a_skip() -> None:
    assert Blindness().judge(modules(influence(place=ATTENTION))).skipped
    assert Blindness().judge(modules()).skipped


MODULES = (ModuleInfluence, BeyondWindow, Blindness)
KEPT = influence(window(3), **NARROW, expected=window(3))
BROKEN: dict[type[Check], Any] = {
    ModuleInfluence: influence(with_cell(1, 4, 0.5), place=ATTENTION),
    BeyondWindow: influence(**NARROW),
    Blindness: influence(window(3), expected=causal(), place=ATTENTION),
}


@pytest.mark.parametrize("check", MODULES)
def test_what_could_not_be_replayed_is_not_clean(check: type[Check]) -> None:
    assert not check().judge(modules(KEPT)).skipped
    verdict = check().judge(
        modules(KEPT, unreplayed=("model.layers.0.conv", "model.layers.1.conv"))
    )
    assert (verdict.findings, verdict.skipped) == ((), True)
    assert verdict.reason == "2 modules cannot be replayed, first model.layers.0.conv"


@pytest.mark.parametrize("check", MODULES)
def test_what_could_not_be_replayed_hides_no_finding(check: type[Check]) -> None:
    verdict = check().judge(modules(KEPT, BROKEN[check], unreplayed=("model.layers.0.conv",)))
    assert len(verdict.findings) == 1
    assert not verdict.skipped


def test_an_unreplayed_module_may_be_the_one_with_the_window() -> None:
    everywhere = influence(place=ATTENTION)
    verdict = BeyondWindow().judge(modules(everywhere, unreplayed=("model.layers.0.conv",)))
    assert (verdict.skipped, verdict.beside_the_point) == (True, False)


def test_what_stood_still_is_undecided_without_float64() -> None:
    """Its weights may be too small for its own dtype: neither blind nor seeing."""
    seeing = influence(expected=causal(), place=ATTENTION)
    still = influence(window(3), expected=causal(), place=ATTENTION, undecided=True)
    verdict = Blindness().judge(modules(seeing, still))
    assert (verdict.findings, verdict.skipped) == ((), True)
    assert verdict.reason.startswith(f"{ATTENTION.module} cannot be replayed in float64")
    blind = influence(window(3), expected=causal(), place=Place(module="b", layer=2))
    assert [one.module for one in Blindness().judge(modules(still, blind)).findings] == ["b"]


def test_what_is_undecided_about_sight_is_decided_about_leaks() -> None:
    leak = influence(with_cell(1, 4, 0.5), place=ATTENTION, undecided=True)
    assert len(ModuleInfluence().judge(modules(leak)).findings) == 1
    assert not ModuleInfluence().judge(modules(influence(undecided=True))).skipped


CONTENTS = (BatchRowsMix, PadContents, DocumentsMix, DroppedContents)


@pytest.mark.parametrize("check", CONTENTS)
def test_contents_that_do_not_matter_pass(check: type[Check]) -> None:
    verdict = check().judge(contents(0.0, 0.0, 0.0))
    assert (verdict.findings, verdict.skipped) == ((), False)
    assert "the pads" in verdict.reason


@pytest.mark.parametrize("check", CONTENTS)
def test_contents_that_matter_are_found_where_they_matter_most(check: type[Check]) -> None:
    (finding,) = check().judge(contents(0.0, 1e-9, 0.5, 0.25)).findings
    assert (finding.query, finding.key, finding.measured, finding.limit) == (2, None, 0.5, 0.0)
    assert (finding.layer, finding.module) == (1, ATTENTION.module)
    assert "Changing the pads moves position 2 by 0.5" in finding.message


@pytest.mark.parametrize("check", CONTENTS)
def test_contents_that_only_round_pass(check: type[Check]) -> None:
    verdict = check().judge(contents(0.0, 1e-9, rounding="1e-09, and 0.0 in float64"))
    assert not verdict.findings
    assert "rounding only" in verdict.reason

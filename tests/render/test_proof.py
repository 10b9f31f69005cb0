from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest

from attnscope.render.proof import proof
from tests.render import examples

CLEAN = "no head looks at a later token"


def test_clean() -> None:
    output = examples.printed(proof(examples.textbook()), 100)
    assert output.startswith(f"✓ {CLEAN}\n")
    assert (
        "10 cells above the diagonal inspected over 1 layer × 1 head; largest weight 0\n" in output
    )
    assert "recomputed: largest difference 3.1e-08, at most 20% of what rounding explains" in output
    assert "every head verified" in output
    assert "one more open key would have been noticed in 4 of 4 rows" in output
    assert "other ways in which a layer may mix tokens are not inspected" in output


def test_a_leak_is_loud_and_located() -> None:
    output = examples.printed(proof(examples.leaking()), 100)
    assert "A TOKEN SEES THE FUTURE" in output
    assert "in layer 0, head 0: cat (1) → on (3), weight 0.4" in output
    assert CLEAN not in output


def test_an_open_mask_without_weight_is_not_clean() -> None:
    trace = replace(examples.leaking(), proof=examples.make_proof(state="leak"))
    output = examples.printed(proof(trace), 100)
    assert "THE MASK LEAVES THE FUTURE OPEN (no weight went there" in output
    unseen = replace(trace, proof=examples.make_proof(state="leak", future_cells=0))
    assert "no weight went there" not in examples.printed(proof(unseen), 100)
    assert CLEAN not in output


@pytest.mark.parametrize(
    "changes",
    [
        {"future_cells": 0},
        {"verified": False, "unverified": ((0, 0), (0, 3), (2, 1))},
        {"verified": False, "recompute_max_diff": nan, "rounding": nan},
        {"unchecked": ("layers 1-2: no attention was seen there",)},
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_could_not_be_checked_is_never_clean(
    changes: dict[str, object], encoding: str
) -> None:
    found = examples.make_proof(state="unchecked", **changes)
    trace = replace(examples.textbook(), proof=found)
    output = examples.printed(proof(trace), 100, encoding, force_terminal=True)
    assert "could not check" in output
    assert CLEAN not in output
    assert "[32m" not in output


def test_a_leak_in_an_unverified_head_says_both() -> None:
    found = examples.make_proof(
        state="leak", future_max=0.4, future_at=(0, 0, 1, 3), verified=False, unverified=((0, 0),)
    )
    output = examples.printed(proof(replace(examples.textbook(), proof=found)), 120)
    assert "A TOKEN SEES THE FUTURE" in output
    assert "not verified, the kernel's own weight may differ" in output


def test_unverified_heads_are_listed_by_layer() -> None:
    heads = ((0, 1), (0, 3), (2, 0))
    trace = replace(
        examples.textbook(), proof=examples.make_proof(verified=False, unverified=heads)
    )
    output = examples.printed(proof(trace), 100)
    assert "not verified: layer 0 heads 1, 3; layer 2 head 0" in output


def test_a_single_token_has_no_future() -> None:
    trace = replace(
        examples.textbook(),
        tokens=examples.make_tokens(("a",)),
        masks=(),
        proof=examples.make_proof(state="unchecked", future_cells=0),
    )
    output = examples.printed(proof(trace), 100)
    assert "single token" in output
    assert "could not check" in output


def test_what_was_not_checked_is_named() -> None:
    reasons = tuple(f"layer {layer}: no attention was seen there" for layer in range(12))
    found = examples.make_proof(state="unchecked", unchecked=reasons)
    output = examples.printed(proof(replace(examples.textbook(), proof=found)), 100)
    assert "not checked: layer 0: no attention was seen there" in output
    assert "not checked: 4 more" in output

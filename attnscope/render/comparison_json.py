"""A comparison as plain data for `json.dumps`: schema version 1."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from attnscope.records import Comparison, HeadComparison, LossComparison
from attnscope.render.trace_json import finite, tokens_json

SCHEMA = 1


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """One head and the whole model under both masks."""
    return {
        "schema": SCHEMA,
        "model": asdict(comparison.model),
        "tokens": tokens_json(comparison.tokens),
        "against": comparison.against,
        "head": _head(comparison.head) if comparison.head else None,
        "whole": _whole(comparison.whole) if comparison.whole else None,
        "notes": list(comparison.notes),
    }


def _head(head: HeadComparison) -> dict[str, Any]:
    names = ("difference", "own_output", "other_output", "hidden", "hidden_weight")
    rest = ("shown", "shown_weight", "moved", "lost")
    return {
        "layer": head.own.layer,
        "head": head.own.head,
        "reason": head.own.reason,
        "verified": head.own.verified,
        "pool": head.own.pool,
        "own_weights": finite(head.own.weights.tolist()),
        "other_weights": finite(head.other.weights.tolist()),
        **{name: finite(getattr(head, name).tolist()) for name in (*names, *rest)},
    }


def _whole(whole: LossComparison) -> dict[str, Any]:
    return {
        "own_loss": finite(whole.own_loss),
        "other_loss": finite(whole.other_loss),
        "own": [finite(asdict(guess)) for guess in whole.own],
        "other": [finite(asdict(guess)) for guess in whole.other],
        "leak": finite(asdict(whole.leak)),
    }


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.records import Guess, Leak

    demo_leak = Leak(
        position=0, answer="cat", other="dog", before=0.0, after=0.5, tried=8, followed=8,
        own_move=0.0, own_limit=0.0, other_move=1.0,
    )  # fmt: skip
    guess = (Guess(token=1, label="cat", loss=0.5),)
    Console().print_json(data=_whole(LossComparison(own=guess, other=guess, leak=demo_leak)))

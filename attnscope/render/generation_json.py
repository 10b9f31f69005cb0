"""Generated texts and cheats as plain data for `json.dumps`: schema version 1."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from attnscope.records import Cheat, Generation, Step
from attnscope.render.trace_json import finite, mask_json, tokens_json

SCHEMA = 1


def generation_json(generation: Generation) -> dict[str, Any]:
    """Every step with its mask row, candidates, weights, cache and cost."""
    return {
        "schema": SCHEMA,
        "model": asdict(generation.model),
        "prompt": len(generation.prompt),
        "tokens": tokens_json(generation.tokens),
        "steps": [_step(step) for step in generation.steps],
        "masks": [mask_json(mask) for mask in generation.masks],
        "limit": finite(generation.limit),
        "untold": generation.untold,
        "notes": list(generation.notes),
    }


def cheat_json(cheat: Cheat) -> dict[str, Any]:
    """Each given token in three ways, and what is written with and without masks."""
    ways = ("masked", "cheating", "alone")
    return {
        "schema": SCHEMA,
        "model": asdict(cheat.model),
        "tokens": tokens_json(cheat.tokens),
        "start": cheat.start,
        "answers": [finite(asdict(answer)) for answer in cheat.answers],
        "mean_loss": {way: finite(cheat.mean(way)) for way in ways},
        "masked_text": cheat.masked_text,
        "cheating_text": cheat.cheating_text,
        "masked_move": cheat.masked_move,
        "cheating_move": cheat.cheating_move,
        "stored": cheat.stored,
        "notes": list(cheat.notes),
    }


def _step(step: Step) -> dict[str, Any]:
    weights = step.weights
    return {
        "read": step.read,
        "candidates": [finite(asdict(one)) for one in step.candidates],
        "rows": [
            {
                "layers": list(row.layers),
                "first_key": row.first_key,
                "allowed": row.allowed.int().tolist(),
            }
            for row in step.rows
        ],
        "weights": weights
        and {
            "layer": weights.layer,
            "head": weights.head,
            "first_key": weights.first_key,
            "weights": finite(weights.weights.tolist()),
        },
        "cache": [asdict(state) for state in step.cache],
        "drift": finite(step.drift),
        "cached": asdict(step.cached),
        "full": asdict(step.full),
    }


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.records import Candidate, StepCost

    cost = StepCost(tokens=1, products=3)
    demo = Step(
        read=2, candidates=(Candidate(token=3, label="on", probability=0.9),), rows=(),
        weights=None, cache=(), drift=0.0, cached=cost, full=cost,
    )  # fmt: skip
    Console().print_json(data=_step(demo))

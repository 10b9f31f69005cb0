"""Hand-written records of what `mask`, `compare` and `generate` show."""

from __future__ import annotations

import unicodedata
from functools import cache

import torch
from rich.console import RenderableType

from attnscope.records import (
    CacheState,
    Candidate,
    Cheat,
    Comparison,
    Generation,
    GivenToken,
    Guess,
    HeadComparison,
    Leak,
    LossComparison,
    MaskDiff,
    NewRow,
    NewWeights,
    Step,
    StepCost,
    Tokens,
)
from tests.render import examples

WIDTHS = (40, 60, 80, 200)
CONSOLES = {
    "unicode": {},
    "ascii": {"encoding": "ascii"},
    "legacy": {"encoding": "cp437", "legacy_windows": True},
}
"""Consoles by name: how each encodes, and what Rich is told of it."""
SCREENS = ((40, "unicode"), (40, "ascii"), (60, "legacy"), (80, "unicode"), (200, "ascii"))
"""Widths and consoles that a whole page is printed on."""


def shown_on(thing: RenderableType, width: int, console: str) -> str:
    """What one of the consoles prints; a line that is too wide is an error here."""
    output = examples.printed(thing, width, **CONSOLES[console])  # type: ignore[arg-type]
    assert examples.widest(output) <= width
    assert console == "unicode" or output.isascii()
    return output


def make_diff(cells: list[list[int]] | torch.Tensor, **changes: object) -> MaskDiff:
    """Held against each other cell by cell, from `DIFF_…` bits."""
    drawn = torch.as_tensor(cells, dtype=torch.uint8)
    facts: dict[str, object] = {
        "first": "causal", "second": "sliding:2", "cells": drawn, "pool": 1,
        "differing": int(((drawn & 12) > 0).sum()),
    }  # fmt: skip
    return MaskDiff(**{**facts, **changes})  # type: ignore[arg-type]


def make_head(size: int = 5, d: int = 3, **changes: object) -> HeadComparison:
    """A causal head of even weights against the same without a mask."""
    own = torch.ones(size, size).tril().double()
    own /= own.sum(dim=1, keepdim=True)
    other = torch.full((size, size), 1 / size).double()
    later = torch.ones(size, size).triu(1).bool()
    output = torch.linspace(-0.7, 0.9, d).double().expand(size, d)
    facts: dict[str, object] = {
        "own": examples.make_view(own, future=later & False),
        "other": examples.make_view(other, future=later),
        "difference": own - other, "own_output": output, "other_output": output * 2,
        "hidden": later.sum(dim=1), "hidden_weight": (other * later).sum(dim=1),
        "shown": torch.zeros(size, dtype=torch.int64), "shown_weight": torch.zeros(size).double(),
        "moved": torch.linspace(0.5, 0.0, size).double(),
        "lost": torch.zeros(size, d, dtype=torch.bool),
    }  # fmt: skip
    return HeadComparison(**{**facts, **changes})  # type: ignore[arg-type]


def make_leak(**changes: object) -> Leak:
    facts: dict[str, object] = {
        "position": 1, "answer": "sat", "other": "dog", "before": 1e-6, "after": 0.8, "tried": 8,
        "followed": 8, "own_move": 0.0, "own_limit": 0.0, "other_move": 9.25,
    }  # fmt: skip
    return Leak(**{**facts, **changes})  # type: ignore[arg-type]


def make_losses(
    own: tuple[float, ...], other: tuple[float, ...], label: str = "on", leak: Leak | None = None
) -> LossComparison:
    sides = [
        tuple(Guess(token=7, label=label, loss=loss) for loss in side) for side in (own, other)
    ]
    return LossComparison(own=sides[0], other=sides[1], leak=leak or make_leak())


def make_comparison(**changes: object) -> Comparison:
    facts: dict[str, object] = {
        "model": examples.make_model(), "tokens": examples.make_tokens(examples.SENTENCE),
        "against": "none", "head": make_head(),
        "whole": make_losses((2.0, 3.0, 1.5, 2.5), (0.1, 0.2, 0.3, 0.4)), "notes": (),
    }  # fmt: skip
    return Comparison(**{**facts, **changes})  # type: ignore[arg-type]


def make_candidate(label: str = "on", probability: float = 0.92) -> Candidate:
    return Candidate(token=3, label=label, probability=probability)


def make_row(allowed: list[int], **changes: object) -> NewRow:
    facts: dict[str, object] = {
        "layers": (0,), "first_key": 0, "allowed": torch.tensor(allowed, dtype=torch.bool),
    }  # fmt: skip
    return NewRow(**{**facts, **changes})  # type: ignore[arg-type]


def make_weights(weights: list[float], **changes: object) -> NewWeights:
    facts: dict[str, object] = {
        "layer": 1, "head": 2, "first_key": 0, "weights": torch.tensor(weights).double(),
    }  # fmt: skip
    return NewWeights(**{**facts, **changes})  # type: ignore[arg-type]


def make_state(**changes: object) -> CacheState:
    facts: dict[str, object] = {
        "kind": "key/value", "layers": (0, 1), "shape": (1, 2, 4, 8),
        "value_shape": (1, 2, 4, 8), "bytes": 1024,
        "first_new": 3, "end": 4, "dropped": 0, "unchanged": True,
    }  # fmt: skip
    return CacheState(**{**facts, **changes})  # type: ignore[arg-type]


def make_step(**changes: object) -> Step:
    """The second step: reads `on` at 3 and writes `mat`."""
    facts: dict[str, object] = {
        "read": 3, "candidates": (make_candidate("mat", 0.92), make_candidate("rug", 0.0001)),
        "rows": (make_row([1, 1, 1, 1]),), "weights": make_weights([0.5, 0.3, 0.197, 0.003]),
        "cache": (make_state(),), "drift": 2e-6, "cached": StepCost(tokens=1, products=16),
        "full": StepCost(tokens=4, products=64),
    }  # fmt: skip
    return Step(**{**facts, **changes})  # type: ignore[arg-type]


def make_first_step(**changes: object) -> Step:
    """Reads the prompt, `The cat sat`."""
    state = make_state(
        shape=(1, 2, 3, 8), value_shape=(1, 2, 3, 8), bytes=768, first_new=0, end=3, unchanged=None
    )
    cost = StepCost(tokens=3, products=36)
    facts: dict[str, object] = {
        "read": 2, "candidates": (make_candidate("on"),), "rows": (make_row([1, 1, 1]),),
        "weights": make_weights([0.6, 0.3, 0.1]), "cache": (state,), "drift": 0.0, "cached": cost,
        "full": cost,
    }  # fmt: skip
    return make_step(**{**facts, **changes})


@cache
def generation() -> Generation:
    """`The cat sat` and two more tokens."""
    return make_generation()


def make_generation(**changes: object) -> Generation:
    mask = examples.make_mask(examples.causal_cells(4), layers=(0, 1), form="row by row")
    facts: dict[str, object] = {
        "model": examples.make_model(), "prompt": examples.make_tokens(examples.SENTENCE[:3]),
        "tokens": examples.make_tokens(examples.SENTENCE),
        "steps": (make_first_step(), make_step()), "masks": (mask,), "limit": 1e-5, "untold": "",
        "reason": "the sharpest head", "notes": (),
    }  # fmt: skip
    return Generation(**{**facts, **changes})  # type: ignore[arg-type]


def make_given(position: int = 3, label: str = "on", **changes: object) -> GivenToken:
    facts: dict[str, object] = {
        "position": position, "label": label,
        "masked": make_candidate("over"), "masked_loss": 2.0,
        "cheating": make_candidate(label), "cheating_loss": 0.1,
        "alone": make_candidate("by"), "alone_loss": 3.0,
    }  # fmt: skip
    return GivenToken(**{**facts, **changes})  # type: ignore[arg-type]


def make_cheat(**changes: object) -> Cheat:
    facts: dict[str, object] = {
        "model": examples.make_model(), "tokens": examples.make_tokens(examples.SENTENCE),
        "start": 3, "answers": (make_given(), make_given(4, "mat")), "masked_text": " on a mat",
        "cheating_text": " cat cat", "masked_move": 0, "cheating_move": 96, "stored": 128,
        "notes": (),
    }  # fmt: skip
    return Cheat(**{**facts, **changes})  # type: ignore[arg-type]


def many_tokens(size: int) -> Tokens:
    return examples.make_tokens(tuple(f" word{place}" for place in range(size)))


def harmless(output: str) -> bool:
    """Whether no control or direction character is in it."""
    unsafe = ("Cc", "Cf", "Cs", "Co", "Cn")
    return not {each for each in output if unicodedata.category(each) in unsafe} - {"\n"}


def painted(thing: RenderableType, width: int = 80) -> str:
    """The output with the escape sequences of its colours."""
    return examples.printed(thing, width, force_terminal=True, color_system="standard")


LATER = "\x1b[1;37;41m"
"""How the colour of later tokens begins in `painted`."""

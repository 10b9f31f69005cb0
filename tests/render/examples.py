"""Hand-written traces, and how a console of a given kind prints them."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache
from math import exp, log, nan, sqrt

import torch
from rich.cells import cell_len
from rich.console import Console, RenderableType

from attnscope.records import (
    CELL_BLOCKED,
    CELL_FUTURE_BLOCKED,
    CELL_FUTURE_SEEN,
    CELL_SEEN,
    HandTrace,
    HeadFocus,
    HeadView,
    MaskMap,
    ModelInfo,
    Proof,
    Tokens,
    Trace,
)
from attnscope.text import label

SENTENCE = ("The", " cat", " sat", " on", " mat")
WEIGHTS = (
    (1, 0, 0, 0, 0),
    (0.8176, 0.1824, 0, 0, 0),
    (0.2327, 0.3837, 0.3837, 0, 0),
    (0.2350, 0.2350, 0.1425, 0.3875, 0),
    (0.1892, 0.1892, 0.1892, 0.1892, 0.2430),
)
HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "[bold]",
    "\u202eevil\u202c",
    "a\u200db",
    "\n",
    "\t\t",
    " ",
    "",
    "漢字",
    "👍🏽",
    "👨\u200d👩\u200d👧",
    "é́́́́́́",
    "\u0301",
    "\ufffd",
    "\udc80",
    "\x7f\x9b1m",
    "שלום",
    "\x07\x00",
    "[/]:smile:",
    "x" * 60,
)


def printed(thing: RenderableType, width: int, encoding: str = "utf-8", **options: object) -> str:
    """What a console writes, decoded; an encoding error is an error here too."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="")
    Console(file=file, width=width, **options).print(thing)  # type: ignore[arg-type]
    file.flush()
    return raw.getvalue().decode(encoding)


def widest(output: str) -> int:
    return max(cell_len(line) for line in output.splitlines())


def make_tokens(texts: tuple[str, ...], special: int = 0) -> Tokens:
    return Tokens(
        ids=tuple(range(100, 100 + len(texts))),
        texts=texts,
        labels=tuple(label(text) for text in texts),
        special=tuple(index < special for index in range(len(texts))),
    )


def make_model(**changes: object) -> ModelInfo:
    facts: dict[str, object] = {
        "name": "textbook", "architecture": "TextbookModel", "parameters": 1_312_000,
        "layers": 1, "heads": 1, "kv_heads": 1, "device": "cpu", "dtype": "float32",
        "backend": "sdpa",
    }  # fmt: skip
    return ModelInfo(**{**facts, **changes})  # type: ignore[arg-type]


def make_focus(layer: int = 0, head: int = 0, **changes: object) -> HeadFocus:
    facts: dict[str, object] = {
        "layer": layer, "head": head, "kv_head": head, "entropy": 1.2, "distance": 1.5,
        "strongest_key": 0, "self_weight": 0.3, "previous_weight": 0.2, "first_weight": 0.4,
        "local_weight": None, "broad": 0.9, "induction": None, "duplicate": None,
        "future_weight": 0.0, "role": "broad", "role_score": 0.87, "verified": True, "compared": 3,
        "difference": 2e-8, "rounding": 0.2, "noticed": 4, "noticeable": 4,
    }  # fmt: skip
    return HeadFocus(**{**facts, **changes})  # type: ignore[arg-type]


def make_proof(**changes: object) -> Proof:
    facts: dict[str, object] = {
        "state": "clean", "layers": 1, "heads": 1, "future_cells": 10, "future_max": 0.0,
        "future_at": None, "recompute_max_diff": 3.1e-8, "rounding": 0.2, "noticed": 4,
        "noticeable": 4, "verified": True, "unverified": (), "unchecked": (),
    }  # fmt: skip
    return Proof(**{**facts, **changes})  # type: ignore[arg-type]


def causal_cells(size: int) -> torch.Tensor:
    ones = torch.ones(size, size, dtype=torch.uint8)
    return ones.tril() * CELL_SEEN + ones.triu(1) * CELL_FUTURE_BLOCKED


def window_cells(size: int, window: int) -> torch.Tensor:
    cells = causal_cells(size)
    past = torch.ones(size, size).tril(-window).bool()
    return cells.masked_fill(past, CELL_BLOCKED)


def make_mask(cells: torch.Tensor, **changes: object) -> MaskMap:
    facts: dict[str, object] = {
        "layers": (0,), "form": "is_causal", "cells": cells, "pool": 1, "notes": (),
    }  # fmt: skip
    return MaskMap(**{**facts, **changes})  # type: ignore[arg-type]


def make_view(weights: torch.Tensor, **changes: object) -> HeadView:
    facts: dict[str, object] = {
        "layer": 0, "head": 0, "reason": "the only head of the model", "verified": True,
        "difference": 3.1e-8, "weights": weights.double(),
        "future": weights.triu(1) > 0, "pool": 1,
    }  # fmt: skip
    return HeadView(**{**facts, **changes})  # type: ignore[arg-type]


def make_hand(weights: torch.Tensor, query: int, d: int = 3, **changes: object) -> HandTrace:
    """A hand trace whose numbers agree with each other, from one row of weights."""
    allowed = torch.arange(len(weights)) <= query
    allowed |= weights > 0
    safe = weights.double().clamp_min(1e-9)
    scaled = torch.where(allowed, safe.log() - log(float(safe.max())), torch.tensor(0.25))
    exponentials = torch.where(allowed, scaled.exp(), torch.tensor(0.0))
    output = torch.linspace(-0.7, 0.9, d).double()
    facts: dict[str, object] = {
        "layer": 0, "head": 0, "query_index": query, "query": torch.linspace(-1, 1, d).double(),
        "dots": scaled * sqrt(d), "scale": 1 / sqrt(d), "softcap": None, "scaled": scaled,
        "allowed": allowed, "exponentials": exponentials, "sink": None,
        "denominator": float(exponentials.sum()), "weights": weights.double(),
        "value_lengths": torch.ones(len(weights)), "output": output,
        "kernel_output": output + 1e-8, "verified": True,
    }  # fmt: skip
    return HandTrace(**{**facts, **changes})  # type: ignore[arg-type]


@cache
def textbook() -> Trace:
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    return Trace(
        model=make_model(),
        tokens=make_tokens(SENTENCE),
        masks=(make_mask(causal_cells(5)),),
        focus=(make_focus(),),
        views=(make_view(weights),),
        hand=make_hand(weights[2], 2),
        vectors=None,
        proof=make_proof(),
        notes=(),
    )


@cache
def leaking() -> Trace:
    """The textbook example with `cat` seeing `on`."""
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    weights[1] = torch.tensor([0.5, 0.1, 0, 0.4, 0])
    cells = causal_cells(5)
    cells[1, 3] = CELL_FUTURE_SEEN
    return replace(
        textbook(),
        masks=(make_mask(cells, form="boolean tensor", notes=("the window of 4 was ignored",)),),
        focus=(make_focus(future_weight=0.4),),
        views=(make_view(weights),),
        hand=make_hand(weights[1], 1),
        proof=make_proof(state="leak", future_max=0.4, future_at=(0, 0, 1, 3)),
        notes=("The mask lets cat see on.",),
    )


@cache
def big() -> Trace:
    """4 layers of 64 heads over 4096 tokens in 512 x 512 cells, one of them leaking."""
    roles = ("induction", "sink", "previous-token", "self", "local", "broad", "mixed")
    texts = tuple(f" word{index % 37}" for index in range(4096))
    cells = causal_cells(512)
    cells.diagonal().fill_(CELL_SEEN | CELL_FUTURE_BLOCKED)
    leak = cells.clone()
    leak[100, 300] = CELL_FUTURE_SEEN | CELL_FUTURE_BLOCKED
    weights = torch.softmax(torch.randn(512, 512, generator=torch.manual_seed(0)) * 3, dim=1)
    weights = weights.tril() / weights.tril().sum(dim=1, keepdim=True)
    row = torch.softmax(torch.linspace(0, 6, 3000), dim=0)
    return Trace(
        model=make_model(
            name="big/model", parameters=7_615_616_512, layers=4, heads=64, kv_heads=8,
        ),
        tokens=make_tokens(texts, special=1),
        masks=(
            make_mask(cells, pool=8, layers=(0, 1, 3)),
            make_mask(leak, pool=8, layers=(2,), form="boolean tensor"),
        ),
        focus=tuple(
            make_focus(
                layer, head, role=roles[(layer * 5 + head) % 7], role_score=((head * 13) % 64) / 63,
                verified=head != 9, future_weight=0.2 if (layer, head) == (2, 30) else 0.0,
            )
            for layer in range(4)
            for head in range(64)
        ),
        views=(make_view(weights, pool=8, layer=3, head=41, future=torch.zeros(512, 512).bool()),),
        hand=make_hand(torch.cat([row, torch.zeros(1096)]), 2999, d=128, sink=exp(-1)),
        vectors=None,
        proof=make_proof(
            state="leak", layers=4, heads=64, future_cells=4 * 64 * 4096 * 4095 // 2,
            future_max=0.2, future_at=(2, 30, 801, 2403),
            unverified=tuple((layer, 9) for layer in range(4)), verified=False,
        ),
        notes=(),
    )  # fmt: skip


@cache
def hostile() -> Trace:
    """Tokens that try to break the terminal, in a short prompt."""
    size = len(HOSTILE)
    weights = torch.ones(size, size).tril()
    weights = weights / weights.sum(dim=1, keepdim=True)
    return replace(
        textbook(),
        model=make_model(name="\x1b]0;title\x07[red]evil[/red]\u202e"),
        tokens=make_tokens(HOSTILE, special=2),
        masks=(make_mask(window_cells(size, 8), notes=("\x1b[2J note",)),),
        views=(make_view(weights, reason="[blink]\x1b[5mbecause"),),
        hand=make_hand(weights[15], 15),
        notes=("\u202egnirts \x1b[31m",),
    )


@cache
def no_attention() -> Trace:
    return Trace(
        model=make_model(name="mamba", heads=0, kv_heads=0, backend="none"),
        tokens=make_tokens(SENTENCE),
        masks=(),
        focus=(),
        views=(),
        hand=None,
        vectors=None,
        proof=make_proof(
            state="unchecked", future_cells=0, recompute_max_diff=nan, rounding=nan, verified=False
        ),
        notes=("No module called attention.",),
    )


ALL = {
    "textbook": textbook,
    "leaking": leaking,
    "big": big,
    "hostile": hostile,
    "no_attention": no_attention,
}

"""A trace as plain data for `json.dumps`: schema version 1, strict JSON, full precision."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import Any

from attnscope.records import (
    CELL_FUTURE_SEEN,
    CELL_SEEN,
    HandTrace,
    HeadVectors,
    HeadView,
    MaskMap,
    Tokens,
    Trace,
)

SCHEMA = 1


def trace_json(trace: Trace) -> dict[str, Any]:
    """The trace as dictionaries, lists, strings and numbers; what is no finite number is null.

    Token texts are kept as they are: `json.dumps` with its default `ensure_ascii` escapes them.
    """
    return {
        "schema": SCHEMA,
        "model": asdict(trace.model),
        "tokens": _tokens(trace.tokens),
        "masks": [_mask(mask) for mask in trace.masks],
        "focus": [_finite(asdict(each)) for each in trace.focus],
        "head": _head(trace.view) if trace.view else None,
        "trace": _hand(trace.hand) if trace.hand else None,
        "vectors": _vectors(trace.vectors) if trace.vectors else None,
        "proof": _finite(asdict(trace.proof)),
        "notes": list(trace.notes),
    }


def _tokens(tokens: Tokens) -> list[dict[str, Any]]:
    columns = zip(tokens.ids, tokens.texts, tokens.labels, tokens.special, strict=True)
    return [
        {"index": index, "id": identity, "text": text, "label": label, "special": special}
        for index, (identity, text, label, special) in enumerate(columns)
    ]


def _mask(mask: MaskMap) -> dict[str, Any]:
    seen = (mask.cells & (CELL_SEEN | CELL_FUTURE_SEEN)) > 0
    return {
        "layers": list(mask.layers),
        "form": mask.form,
        "pool": mask.pool,
        "rows": seen.int().tolist(),
        "notes": list(mask.notes),
    }


def _head(view: HeadView) -> dict[str, Any]:
    return {
        "layer": view.layer,
        "head": view.head,
        "reason": view.reason,
        "verified": view.verified,
        "pool": view.pool,
        "weights": _finite(view.weights.tolist()),
    }


def _hand(hand: HandTrace) -> dict[str, Any]:
    vectors = ("dots", "scaled", "allowed", "exponentials", "weights", "output")
    return {
        "layer": hand.layer,
        "head": hand.head,
        "query": hand.query_index,
        **{name: _finite(getattr(hand, name).tolist()) for name in vectors},
        "denominator": _finite(hand.denominator),
        "scale": _finite(hand.scale),
        "softcap": _finite(hand.softcap),
        "sink": _finite(hand.sink),
        "query_vector": _finite(hand.query.tolist()),
        "kernel_output": _finite(hand.kernel_output.tolist()),
        "verified": hand.verified,
    }


def _vectors(vectors: HeadVectors) -> dict[str, Any]:
    names = ("query", "key", "value", "output", "unmasked")
    return {name: _finite(getattr(vectors, name).tolist()) for name in names}


def _finite(value: Any) -> Any:
    """The value with null for every number that JSON has no word for."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return value


if __name__ == "__main__":
    from rich.console import Console

    Console().print_json(data=_finite({"softcap": None, "sink": float("inf"), "scale": 0.125}))

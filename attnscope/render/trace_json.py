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
        "tokens": tokens_json(trace.tokens),
        "masks": [mask_json(mask) for mask in trace.masks],
        "focus": [finite(asdict(each)) for each in trace.focus],
        "head": view_json(trace.view) if trace.view else None,
        "heads": [view_json(view) for view in trace.views],
        "trace": _hand(trace.hand) if trace.hand else None,
        "vectors": _vectors(trace.vectors) if trace.vectors else None,
        "proof": finite(asdict(trace.proof)),
        "notes": list(trace.notes),
    }


def tokens_json(tokens: Tokens) -> list[dict[str, Any]]:
    """Each token with its index, id, text as it is, and printable label."""
    columns = zip(tokens.ids, tokens.texts, tokens.labels, tokens.special, strict=True)
    return [
        {"index": index, "id": identity, "text": text, "label": label, "special": special}
        for index, (identity, text, label, special) in enumerate(columns)
    ]


def mask_json(mask: MaskMap) -> dict[str, Any]:
    """A mask as rows of 0 and 1."""
    seen = (mask.cells & (CELL_SEEN | CELL_FUTURE_SEEN)) > 0
    return {
        "layers": list(mask.layers),
        "form": mask.form,
        "pool": mask.pool,
        "rows": seen.int().tolist(),
        "notes": list(mask.notes),
    }


def view_json(view: HeadView) -> dict[str, Any]:
    """One head's weights, row by row."""
    return {
        "layer": view.layer,
        "head": view.head,
        "reason": view.reason,
        "verified": view.verified,
        "pool": view.pool,
        "weights": finite(view.weights.tolist()),
    }


def _hand(hand: HandTrace) -> dict[str, Any]:
    vectors = ("dots", "scaled", "allowed", "exponentials", "weights", "value_lengths", "output")
    return {
        "layer": hand.layer,
        "head": hand.head,
        "query": hand.query_index,
        **{name: finite(getattr(hand, name).tolist()) for name in vectors},
        "denominator": finite(hand.denominator),
        "scale": finite(hand.scale),
        "softcap": finite(hand.softcap),
        "sink": finite(hand.sink),
        "query_vector": finite(hand.query.tolist()),
        "kernel_output": finite(hand.kernel_output.tolist()),
        "verified": hand.verified,
    }


def _vectors(vectors: HeadVectors) -> dict[str, Any]:
    names = ("query", "key", "value", "output", "unmasked")
    return {name: finite(getattr(vectors, name).tolist()) for name in names}


def finite(value: Any) -> Any:
    """The value with null for every number that JSON has no word for."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    return value


if __name__ == "__main__":
    from rich.console import Console

    Console().print_json(data=finite({"softcap": None, "sink": float("inf"), "scale": 0.125}))

"""Masks as plain data for `json.dumps`: schema version 1."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from attnscope.records import DIFF_FIRST, DIFF_SECOND, MaskDiff, MaskTables
from attnscope.render.trace_json import mask_json, tokens_json

SCHEMA = 1


def tables_json(tables: MaskTables) -> dict[str, Any]:
    """The masks with their rows of 0 and 1, as in a trace, and what else was asked for."""
    return {
        "schema": SCHEMA,
        "model": asdict(tables.model) if tables.model else None,
        "tokens": tokens_json(tables.tokens),
        "masks": [mask_json(mask) for mask in tables.masks],
        "diff": _diff(tables.diff) if tables.diff else None,
        "broadcast": [asdict(step) for step in tables.broadcast],
        "notes": list(tables.notes),
    }


def _diff(diff: MaskDiff) -> dict[str, Any]:
    return {
        "first": diff.first,
        "second": diff.second,
        "pool": diff.pool,
        "only_first": ((diff.cells & DIFF_FIRST) > 0).int().tolist(),
        "only_second": ((diff.cells & DIFF_SECOND) > 0).int().tolist(),
        "differing": diff.differing,
    }


if __name__ == "__main__":
    import torch
    from rich.console import Console

    demo = MaskDiff(
        first="causal", second="bidirectional", pool=1, differing=1,
        cells=torch.tensor([[1, 8], [1, 1]], dtype=torch.uint8),
    )  # fmt: skip
    Console().print_json(data=_diff(demo))

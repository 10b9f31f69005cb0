"""What `heads` found as plain data for `json.dumps` (schema version 1), and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from attnscope.records import HeadFocus, Heads, HeadView
from attnscope.render.token_table import mean_received, token_shares
from attnscope.render.trace_json import finite, view_json

SCHEMA = 1
COLUMNS = tuple(one.name for one in fields(HeadFocus))
"""Of the CSV, in order."""


def heads_json(heads: Heads, focus: Sequence[HeadFocus]) -> dict[str, Any]:
    """Strict JSON; `focus` says which heads are told, and in which order.

    Tokens come as columns, one entry a token: a text may be long.
    """
    return {
        "schema": SCHEMA,
        "model": asdict(heads.model),
        "tokens": {
            "ids": list(heads.tokens.ids),
            "texts": list(heads.tokens.texts),
            "labels": list(heads.tokens.labels),
            "special": [place for place, one in enumerate(heads.tokens.special) if one],
        },
        "windows": [list(window) for window in heads.windows],
        "focus": [finite(asdict(each)) for each in focus],
        "received": {
            "mean": finite(mean_received(heads).tolist()),
            "tokens": [finite(asdict(each)) for each in token_shares(heads)],
            "layers": _layers(heads),
        },
        "heads": [_view(view) for view in heads.views],
        "seconds": finite(heads.seconds),
        "notes": list(heads.notes),
        "unchecked": list(heads.unchecked),
    }


def heads_csv(focus: Sequence[HeadFocus]) -> str:
    """A header and one row a head; empty where there is no value, `nan` where it is no number."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows([_cell(getattr(head, name)) for name in COLUMNS] for head in focus)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _layers(heads: Heads) -> list[dict[str, Any]]:
    """Of each layer, all weight that tokens receive, and that of the first of each window."""
    starts = [first for first, _ in heads.windows]
    received = heads.received.double()
    return [
        finite({
            "layer": layer,
            "total": float(received[row].sum()),
            "first": float(received[row, starts].sum()),
        })
        for row, layer in enumerate(heads.layers)
    ]  # fmt: skip


def _view(view: HeadView) -> dict[str, Any]:
    places = {"origin": list(view.origin), "future": view.future.nonzero().tolist()}
    return view_json(view) | places


if __name__ == "__main__":
    from attnscope.render.demo import heads as demo

    print(heads_csv(demo().focus), end="")  # noqa: T201

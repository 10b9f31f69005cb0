"""A report as text that another process turns back into the same report.

Nothing is left out and no number is changed, unlike in the JSON for people (`render.report_json`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from attnscope.report import Report


def packed(report: Report) -> str:
    """ASCII text on one line; what is no finite number is written as Python's `json` does."""
    return json.dumps(asdict(report))


def unpacked(text: str) -> Report:
    """The report that `packed` was given."""
    report: Report = _restored(Report, json.loads(text))
    return report


def _restored(kind: Any, data: Any) -> Any:
    """Data as the type says: records for dictionaries, tuples for lists."""
    if data is None:
        return None
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{name: _restored(hints[name], value) for name, value in data.items()})
    if get_origin(kind) is tuple:
        return tuple(_restored(get_args(kind)[0], each) for each in data)
    for alternative in get_args(kind):  # of `X | None`
        if is_dataclass(alternative):
            return _restored(alternative, data)
    return data

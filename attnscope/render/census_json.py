"""A census as plain data for `json.dumps`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from attnscope.records.census import Census

SCHEMA = 1


def census_json(census: Census, exit_code: int) -> dict[str, Any]:
    """Everything, rows in the order of the table."""
    return {"schema": SCHEMA, "exit_code": exit_code, **asdict(census)}

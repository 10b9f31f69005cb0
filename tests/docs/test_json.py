"""docs/json.md: every key that is emitted is on the page, and none that is not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch

from attnscope.render.census_json import census_json
from attnscope.render.heads_json import heads_csv, heads_json
from attnscope.render.report_json import report_json, reports_json
from tests import heads
from tests.render import entries, reports
from tests.render.examples import make_view

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
PAIRS = {"without", "versions", "families"}
"""Lists of pairs: their names are data."""


def keys(data: Any) -> set[str]:
    if isinstance(data, dict):
        return set(data) | {key for name in set(data) - PAIRS for key in keys(data[name])}
    if isinstance(data, list):
        return {key for each in data for key in keys(each)}
    return set()


def documented(part: str) -> set[str]:
    """Names in the first column of the part's tables, and those that its sentences name."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", part, flags=re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    prose = re.findall(r"`(\w+)`", re.sub(r"^\|.*?\|.*?\|", "", part, flags=re.MULTILINE))
    return named | (set(prose) & KNOWN)


KNOWN = {"schema", "reports", "caught_by", "located", "name", "backend", "code", "condition",
         "module", "message", "count", "exit_code"}  # fmt: skip
"""Keys that a sentence names, not a row of a table."""


def test_verify_mask() -> None:
    listed = [make() for make in reports.ALL.values()]
    emitted = json.loads(json.dumps([report_json(each) for each in listed] + [
        reports_json(listed)
    ], allow_nan=False))  # fmt: skip
    part = PAGE.read_text().split("## `verify-mask`")[1].split("## `census`")[0]
    assert keys(emitted) == documented(part)


def test_census() -> None:
    emitted = json.loads(json.dumps(census_json(entries.census(), 1), allow_nan=False))
    part = PAGE.read_text().split("## `census`")[1]
    assert keys(emitted) == documented(part)


def test_one_report_is_the_object_itself_and_several_stand_in_a_list() -> None:
    leak, clean, none = reports.leaking(), reports.passing(), reports.unchecked()
    assert reports_json([leak]) == report_json(leak)
    data = reports_json([clean, leak, none])
    assert data["exit_code"] == 1
    assert data["reports"] == [report_json(each) for each in (clean, leak, none)]
    assert reports_json([clean, none])["exit_code"] == 3
    assert reports_json([clean, none, reports.broken()])["exit_code"] == 2
    assert reports_json([clean, clean])["exit_code"] == 0


def test_heads() -> None:
    weights = torch.eye(5)
    made = heads.make_heads(views=(make_view(weights),))
    emitted = json.loads(json.dumps(heads_json(made, made.focus), allow_nan=False))
    page = (PAGE.parent / "heads.md").read_text()
    told = set(re.findall(r"`(\w+)`", page))
    assert keys(emitted) - set(emitted["model"]) - {"schema"} <= told
    columns = set(heads_csv(made.focus).splitlines()[0].split(","))
    table = page.split("## The numbers")[1].split("`?` marks")[0]
    assert columns - {"layer", "head"} == {
        name
        for row in re.findall(r"^\|[^|\n]*\|([^|\n]*)\|", table, flags=re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }

from __future__ import annotations

import csv
import io
import json
from dataclasses import fields
from math import inf, nan

import torch

from attnscope.records import HeadFocus
from attnscope.render.heads_json import heads_csv, heads_json
from tests import heads
from tests.render.examples import make_focus, make_view


def test_strict_json_holds_everything() -> None:
    weights = torch.tensor([[nan, 0.25], [0.5, 0.5]])
    future = torch.tensor([[False, True], [False, False]])
    made = heads.make_heads(
        views=(make_view(weights, origin=(3, 2), future=future),), seconds=1.5, notes=("a note",)
    )
    data = json.loads(json.dumps(heads_json(made, made.focus), allow_nan=False))
    assert list(data) == [
        "schema", "model", "tokens", "windows", "focus", "received", "heads", "seconds", "notes",
        "unchecked",
    ]  # fmt: skip
    assert data["tokens"]["texts"] == ["The", " cat", " sat", " on", " mat"]
    assert data["windows"] == [[0, 5]]
    assert data["focus"][0]["induction"] == 0.25
    assert data["received"]["mean"] == [2.5, 0.75, 0.75, 0.5, 0.5]
    assert data["received"]["layers"] == [
        {"layer": 0, "total": 5.0, "first": 2.0}, {"layer": 1, "total": 5.0, "first": 3.0},
    ]  # fmt: skip
    assert data["received"]["tokens"][0] == {
        "text": None, "label": "The (0, the first)", "count": 1, "share": 0.5, "each": 2.5,
    }  # fmt: skip
    (view,) = data["heads"]
    assert view["weights"] == [[None, 0.25], [0.5, 0.5]]
    assert (view["origin"], view["future"]) == ([3, 2], [[0, 1]])
    assert (data["seconds"], data["notes"], data["schema"]) == (1.5, ["a note"], 1)


def test_any_text_and_number_is_strict_json() -> None:
    for made in (heads.hostile(), heads.make_heads(received=torch.full((2, 5), inf), seconds=nan)):
        json.loads(json.dumps(heads_json(made, made.focus), allow_nan=False))


def test_csv_has_a_column_a_field_and_a_row_a_head() -> None:
    focus = [make_focus(0, 1, entropy=0.1 + 0.2, induction=None), make_focus(3, 0, entropy=nan)]
    rows = list(csv.reader(io.StringIO(heads_csv(focus))))
    assert rows[0] == [one.name for one in fields(HeadFocus)]
    first, second = (dict(zip(rows[0], row, strict=True)) for row in rows[1:])
    assert (first["layer"], first["head"], first["induction"]) == ("0", "1", "")
    assert float(first["entropy"]) == 0.1 + 0.2
    assert (first["verified"], first["role"]) == ("true", "broad")
    assert second["entropy"] == "nan"
    assert "\r" not in heads_csv(focus)

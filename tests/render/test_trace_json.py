from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
import torch

from attnscope.records import Trace
from attnscope.render.trace_json import trace_json
from tests.render import examples

KEYS = {
    "schema", "model", "tokens", "masks", "focus", "head", "heads", "trace", "vectors", "proof",
    "notes",
}  # fmt: skip


def round_trip(trace: Trace) -> Any:
    return json.loads(json.dumps(trace_json(trace), allow_nan=False))


@pytest.mark.parametrize("name", ["textbook", "leaking", "hostile", "no_attention"])
def test_strict_json_with_the_same_keys(name: str) -> None:
    data = round_trip(examples.ALL[name]())
    assert set(data) == KEYS
    assert data["schema"] == 1


def test_the_textbook_as_data() -> None:
    data = round_trip(examples.textbook())
    assert data["model"]["name"] == "textbook"
    assert data["tokens"][1] == {
        "index": 1, "id": 101, "text": " cat", "label": "cat", "special": False,
    }  # fmt: skip
    assert data["masks"] == [
        {
            "layers": [0], "form": "is_causal", "pool": 1, "notes": [],
            "rows": [[int(key <= query) for key in range(5)] for query in range(5)],
        }
    ]  # fmt: skip
    assert data["head"]["weights"][1] == [0.8176, 0.1824, 0, 0, 0]
    assert data["trace"]["query"] == 2
    assert data["trace"]["allowed"] == [True, True, True, False, False]
    assert set(data["trace"]) == {
        "layer", "head", "query", "dots", "scaled", "allowed", "weights", "output",
        "exponentials", "denominator", "scale", "softcap", "sink", "query_vector", "kernel_output",
        "value_lengths", "verified",
    }  # fmt: skip
    assert set(data["proof"]) == {
        "state", "layers", "heads", "future_cells", "future_max", "future_at", "recompute_max_diff",
        "rounding", "noticed", "noticeable", "verified", "unverified", "unchecked",
    }  # fmt: skip
    assert data["focus"][0]["role"] == "broad"


def test_what_is_no_number_is_null() -> None:
    trace = replace(
        examples.textbook(),
        focus=(examples.make_focus(entropy=nan, difference=inf),),
        proof=examples.make_proof(recompute_max_diff=nan),
    )
    data = round_trip(trace)
    assert data["focus"][0]["entropy"] is None
    assert data["focus"][0]["difference"] is None
    assert data["proof"]["recompute_max_diff"] is None


def test_hostile_text_is_kept_and_escaped() -> None:
    text = json.dumps(trace_json(examples.hostile()), allow_nan=False)
    assert text.isascii()
    assert text.isprintable()
    texts = [token["text"] for token in json.loads(text)["tokens"]]
    assert tuple(texts) == examples.HOSTILE


def test_a_pooled_cell_is_seen_if_any_token_in_it_is() -> None:
    bits = [[1 | 8, 8, 4 | 8], [1 | 2 | 8, 2, 0]]
    mask = examples.make_mask(torch.tensor(bits, dtype=torch.uint8), pool=8)
    data = round_trip(replace(examples.textbook(), masks=(mask,)))
    assert data["masks"][0]["rows"] == [[1, 0, 1], [1, 0, 0]]
    assert data["masks"][0]["pool"] == 8


def test_missing_parts_are_null() -> None:
    data = round_trip(examples.no_attention())
    assert data["head"] is None
    assert data["trace"] is None
    assert data["masks"] == []

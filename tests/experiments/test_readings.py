"""Real calls of real models, read in each condition that one forward covers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from attnscope.checks.weights import SINGLE_RUN
from attnscope.declared import Declared, declare
from attnscope.experiments.readings import read, span_of
from attnscope.experiments.subject import Cost, Subject
from attnscope.records.evidence import Readings
from tests.tiny import tiny

TOKENS = 21
KINDS = ("ahead", "beyond", "padding", "documents", "missing", "nan_row", "blind_row", "future_at")


def readings(model: Any, key: str, declared: tuple[Declared, ...] | None = None) -> Readings:
    one = Subject(model, range(90), Cost(lambda forwards: None))
    told = declare(model.config, 2) if declared is None else declared
    widest = Declared()
    return read(one, key, one.draw(TOKENS, 0), one.aside(key, TOKENS, 1), told, widest)


def wrong(found: Readings) -> set[str]:
    return {kind for call in found.calls for kind in KINDS if getattr(call, kind) is not None}


@pytest.mark.parametrize("key", SINGLE_RUN)
@pytest.mark.parametrize(("name", "backend"), [("llama", "sdpa"), ("mistral", "eager")])
def test_clean_models_are_read_clean_in_every_condition(name: str, backend: str, key: str) -> None:
    found = readings(tiny(name, backend=backend), key)
    assert [call.place.module for call in found.calls] == [
        f"model.layers.{layer}.self_attn" for layer in (0, 1)
    ]
    assert {call.problem for call in found.calls} == {""}
    assert found.unseen == ()
    assert all(call.verified for call in found.calls)
    assert wrong(found) == set()


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "gpt_oss", "bloom", "gpt_neo", "falcon"])
def test_other_architectures_are_read_clean(name: str) -> None:
    found = readings(tiny(name, backend="eager"), "left_padding")
    assert len(found.calls) == 2
    assert wrong(found) == set()
    assert {call.problem for call in found.calls} == {""}


def test_packing_without_separation_is_read_as_open_documents() -> None:
    assert wrong(readings(tiny("llama"), "packed_cached")) == {"documents"}


def test_a_narrower_declaration_shows_what_lies_beyond() -> None:
    found = readings(tiny("llama"), "plain", (Declared(kind="sliding", size=4), Declared()))
    assert [call.beyond is not None for call in found.calls] == [True, False]


def test_layers_beyond_the_declared_ones_may_see_what_the_model_may() -> None:
    model = tiny("llama")
    one = Subject(model, range(90), Cost(lambda forwards: None))
    ids = one.draw(TOKENS, 0)
    both = Declared(kind="bidirectional")
    found = read(one, "plain", ids, ids[:, :0], (), both)
    assert wrong(found) == set()  # it is not known to see all of it


def test_a_model_without_attention_has_no_calls() -> None:
    found = readings(tiny("mamba"), "plain")
    assert (found.calls, found.unseen) == ((), ())


@pytest.mark.parametrize(
    ("key", "aside", "expected"),
    [
        ("plain", 0, (0, 0, 21, "")),
        ("left_padding", 3, (0, 3, 24, "pads")),
        ("right_padding", 3, (0, 0, 24, "pads")),
        ("second_row", 21, (1, 0, 21, "")),
        ("padded_row", 24, (1, 3, 24, "pads")),
        ("packed", 6, (0, 6, 27, "documents")),
    ],
)
def test_where_the_tokens_stand(key: str, aside: int, expected: tuple[Any, ...]) -> None:
    found = span_of(key, TOKENS, aside)
    assert (found.row, found.start, found.length, found.beside) == expected
    assert (found.tokens, found.stop) == (TOKENS, expected[1] + TOKENS)


def test_reading_changes_nothing() -> None:
    model = tiny("llama")
    ids = torch.arange(5, 26)[None]
    with torch.no_grad():
        before = model(ids).logits
        readings(model, "plain")
        assert torch.equal(model(ids).logits, before)

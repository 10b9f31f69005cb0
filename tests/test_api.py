"""The library's front door."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import attnscope
from attnscope.errors import CaptureError, SelectionError
from attnscope.load import LoadedModel, LoadOptions, load


@pytest.fixture(scope="module")
def textbook() -> LoadedModel:
    return load(LoadOptions(model="textbook"))


def test_the_readmes_example() -> None:
    trace = attnscope.trace("The cat sat on mat", model="textbook", query="sat")
    assert trace.hand is not None
    assert trace.hand.weights.tolist() == pytest.approx([0.2327, 0.3837, 0.3837, 0, 0], abs=5e-5)
    assert trace.proof.future_max == 0.0
    assert trace.proof.verified


def test_every_public_name_is_there() -> None:
    for name in attnscope.__all__:
        assert getattr(attnscope, name)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = attnscope.nonsense


def test_a_loaded_model_is_used_as_it_is(textbook: LoadedModel) -> None:
    trace = attnscope.trace(model=textbook)
    assert trace.tokens.labels == ("The", "cat", "sat", "on", "mat")
    assert trace.view is not None
    assert trace.view.reason == "the only head"


def test_progress_names_each_module(textbook: LoadedModel) -> None:
    said: list[str] = []
    attnscope.trace(model=textbook, progress=said.append)
    assert "measuring model.layers.0.self_attn" in said


def test_a_wrong_layer_is_told_before_the_model_runs(textbook: LoadedModel) -> None:
    def run(*args: object) -> None:
        raise AssertionError("the model ran")

    handle = textbook.model.register_forward_pre_hook(run)
    try:
        with pytest.raises(SelectionError, match="no layer 5"):
            attnscope.trace(model=textbook, layer=5)
    finally:
        handle.remove()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("planted\nand more"), r"SmolLM3ForCausalLM failed on sdpa.*planted$"),
        (torch.OutOfMemoryError("planted"), r"Out of memory on cpu with 5 tokens\. Use"),
    ],
)
def test_a_failing_model_is_told_in_one_line(
    error: Exception, line: str, textbook: LoadedModel
) -> None:
    def fail(*args: object) -> None:
        raise error

    handle = textbook.model.lm_head.register_forward_hook(fail)
    try:
        with pytest.raises(CaptureError, match=line):
            attnscope.trace(model=textbook)
    finally:
        handle.remove()


def test_unused_weights_are_said(textbook: LoadedModel) -> None:
    odd = replace(textbook, unused_weights=("a.b", "c.d", "e.f", "g.h"))
    notes = attnscope.trace(model=odd).notes
    assert "a.b, c.d, e.f and 1 more" in notes[0]

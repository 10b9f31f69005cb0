"""The two mistakes of the tutorial that look like masks: planted, and found by verify-mask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from attnscope import VerifyOptions, verify
from attnscope.capture.interface import Attention, InterfaceCall
from attnscope.expressions import parse
from attnscope.faults import parts
from attnscope.faults.delivered import Result, altered, calls_of, delivered, run
from attnscope.report import Report
from tests.tiny import in_memory, tiny

TOKENS = 19


@contextmanager
def masked(model: torch.nn.Module, text: str) -> Iterator[None]:
    """Every layer is handed the mask that the words say, whatever the number of tokens."""

    def exchange(allowed: Tensor, call: InterfaceCall) -> Tensor:
        queries, keys = allowed.shape[-2:]
        return parse(text).mask(keys).rows(keys - queries, keys, keys)

    with altered([module for _, module in parts.attentions(model)], exchange):
        yield


@contextmanager
def multiplying(model: torch.nn.Module) -> Iterator[None]:
    """The last layer multiplies its scores by 0 and 1: what is added takes closed ones to 0."""

    def around(attention: Attention, call: InterfaceCall) -> Result:
        key = call.key.repeat_interleave(call.query.shape[1] // call.key.shape[1], dim=1)
        scores = call.query @ key.transpose(-1, -2) * call.offered.scale
        closed = ~delivered(call)
        return run(attention, call, attention_mask=torch.where(closed, -scores, 0.0))

    with calls_of([parts.attentions(model)[-1][1]], around):
        yield


def judged(expect: str | None = None) -> VerifyOptions:
    return VerifyOptions(
        backends=("eager",), quick=True, length=TOKENS, expect=expect,
        select=("ATN101", "ATN201", "ATN301"),
    )  # fmt: skip


def failed(report: Report) -> set[str]:
    return {result.code for result in report.results if result.outcome == "fail"}


def test_a_prefix_of_queries_is_a_leak_and_a_prefix_of_keys_is_none() -> None:
    loaded = in_memory(tiny("llama", backend="eager"))
    with masked(loaded.model, "prefix:2"):
        assert verify(loaded, judged("prefix:2")).outcome == "pass"
    with masked(loaded.model, "row:0,1"):
        assert {"ATN201", "ATN301"} <= failed(verify(loaded, judged("prefix:2")))


def test_multiplied_scores_are_a_leak() -> None:
    loaded = in_memory(tiny("llama", backend="eager"))
    assert verify(loaded, judged()).outcome == "pass"
    with multiplying(loaded.model):
        report = verify(loaded, judged())
    assert {"ATN101", "ATN301"} <= failed(report)
    found = [one.module for result in report.results for one in result.findings]
    assert set(found) == {"model.layers.1.self_attn"}


@pytest.mark.parametrize("text", ["causal", "prefix:2"])
def test_what_is_planted_is_what_the_words_say(text: str) -> None:
    loaded = in_memory(tiny("llama", backend="eager"))
    ids = torch.arange(5, 5 + TOKENS)[None]
    with torch.no_grad():
        plain = loaded.model(ids).logits
        with masked(loaded.model, text):
            assert torch.equal(loaded.model(ids).logits, plain) == (text == "causal")

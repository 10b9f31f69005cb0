"""Switches on a live model are put back on every way out."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch

from attnscope.errors import CaptureError
from attnscope.experiments import switches
from tests.tiny import tiny

ERRORS = [ValueError, KeyboardInterrupt]


def state(model: Any) -> dict[str, Any]:
    names = ("_attn_implementation_internal", "_experts_implementation_internal")
    return {name: getattr(model.config, name, None) for name in names}


def test_attention_is_switched_and_put_back() -> None:
    model = tiny("llama", backend="sdpa")
    with switches.attention(model, "eager"):
        assert model.config._attn_implementation == "eager"
        with switches.attention(model, "sdpa"):
            assert model.config._attn_implementation == "sdpa"
        assert model.config._attn_implementation == "eager"
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("error", ERRORS)
def test_attention_is_put_back_after_an_exception(error: type[BaseException]) -> None:
    model = tiny("mixtral", backend="sdpa")
    before = state(model)
    with pytest.raises(error), switches.attention(model, "eager"):
        raise error
    assert state(model) == before


@pytest.mark.parametrize("name", ["flash_attention_2", "no_such_kernel"])
def test_what_cannot_be_switched_to_is_told_and_changes_nothing(name: str) -> None:
    model = tiny("llama", backend="sdpa")
    before = state(model)
    with pytest.raises(CaptureError, match="LlamaForCausalLM"), switches.attention(model, name):
        raise AssertionError("must not get here")
    assert state(model) == before


@pytest.mark.parametrize("error", ERRORS)
def test_experts_are_put_back_after_an_exception(error: type[BaseException]) -> None:
    model = tiny("mixtral")
    before = state(model)
    with switches.batched_experts(model) as batched:
        assert batched
        assert model.config._experts_implementation == "batched_mm"
    assert state(model) == before
    with pytest.raises(error), switches.batched_experts(model):
        raise error
    assert state(model) == before


def test_a_model_without_experts_is_not_switched() -> None:
    model = tiny("llama")
    before = state(model)
    with switches.batched_experts(model) as batched:
        assert not batched
    assert state(model) == before


def test_batched_experts_round_alike_whatever_others_choose() -> None:
    model = tiny("mixtral")
    ids = torch.randint(3, 90, (1, 21), generator=torch.Generator().manual_seed(0))
    drifted: dict[bool, float] = {}
    for batched in (False, True):
        with torch.no_grad():
            if batched:
                with switches.batched_experts(model):
                    drifted[batched] = _before_swaps(model, ids)
            else:
                drifted[batched] = _before_swaps(model, ids)
    assert drifted[True] == 0.0
    assert drifted[False] < 1e-4


def _before_swaps(model: Any, ids: torch.Tensor) -> float:
    base, worst = model(ids).logits[0], 0.0
    for position in range(1, 21):
        changed = ids.clone()
        changed[0, position] = (changed[0, position] + 7) % 90
        moved = (model(changed).logits[0] - base)[:position].abs().max()
        worst = max(worst, float(moved))
    return worst


def test_an_exact_copy_is_a_copy() -> None:
    model = tiny("mixtral")
    twin = switches.exact_copy(model, torch.float64)
    assert twin is not None
    assert {one.dtype for one in twin.parameters()} == {torch.float64}
    assert {one.dtype for one in model.parameters()} == {torch.float32}
    assert twin.config._experts_implementation == "eager"
    assert model.config._experts_implementation != "eager"
    assert not {id(one) for one in twin.parameters()} & {id(one) for one in model.parameters()}


def test_a_copy_that_is_too_large_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switches, "LARGEST_COPY", 1000)
    assert switches.exact_copy(tiny("llama"), torch.float64) is None


@pytest.mark.parametrize("error", [None, *ERRORS])
def test_hooks_that_transformers_adds_for_good_are_gone(error: type[BaseException] | None) -> None:
    model = tiny("llama", backend="eager")
    kept: list[int] = []
    own = model.model.layers[0].register_forward_hook(lambda *given: kept.append(1))
    before = [len(module._forward_hooks) for module in model.modules()]
    with contextlib.suppress(*ERRORS), switches.own_hooks(model), torch.no_grad():
        asked = model(torch.tensor([[5, 6, 7]]), output_attentions=True)
        assert len(asked.attentions) == 2
        if error is not None:
            raise error
    assert [len(module._forward_hooks) for module in model.modules()] == before
    again = model(torch.tensor([[5, 6, 7]]), output_attentions=True)
    assert len(again.attentions) == 2
    assert len(kept) == 2
    own.remove()

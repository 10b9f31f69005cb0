"""`verify` leaves a model, torch and Python as it found them, also when it fails."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import attnscope
from tests.own import zoo


class Delicate(zoo.Attending):
    """Half in train mode, half with gradients, with a buffer that its forward counts in."""

    def __init__(self, fails_after: int | None = None) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.fails_after, self.done = fails_after, 0
        self.train()
        self.layers[0].eval()
        self.head.requires_grad_(False)
        self.seen: list[str] = []
        self.layers[1].register_forward_hook(lambda *_: self.seen.append("called"))

    def forward(self, ids: Tensor) -> Tensor:
        self.calls += 1
        self.done += 1
        if self.fails_after is not None and self.done > self.fails_after:
            raise RuntimeError("enough")
        return super().forward(ids)


def state(model: nn.Module) -> dict[str, Any]:
    """Everything that somebody might miss."""
    hooks = [
        (name, len(one._forward_hooks), len(one._forward_pre_hooks))
        for name, one in model.named_modules()
    ]
    return {
        "modes": [(name, one.training) for name, one in model.named_modules()],
        "tensors": {name: one.clone() for name, one in model.state_dict().items()},
        "places": [(one.dtype, one.device, one.requires_grad) for one in model.parameters()],
        "gradients": [None if one.grad is None else one.grad.clone() for one in model.parameters()],
        "hooks": hooks,
        "names": sorted(vars(model)),
        "random": torch.get_rng_state(),
        "enabled": torch.is_grad_enabled(),
        "fast": torch.backends.mha.get_fastpath_enabled(),
        "sdp": torch.backends.cuda.flash_sdp_enabled(),
        "functions": (
            functional.has_torch_function, torch.overrides.has_torch_function,
            nn.TransformerEncoderLayer.modules, sys.getprofile(), torch.get_default_dtype(),
            torch._C._len_torch_function_stack(),
        ),
    }  # fmt: skip


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def with_gradients(model: nn.Module) -> nn.Module:
    model(torch.tensor([[1, 2, 3]])).sum().backward()
    return model


def test_after_a_pass() -> None:
    model = with_gradients(Delicate())
    before = state(model)
    assert attnscope.verify(model, vocab_size=50).outcome == "pass"
    after = state(model)
    assert [name for name in before if not same(before[name], after[name])] == []


@pytest.mark.parametrize("forwards", [0, 1, 5, 40, 130])
def test_after_an_exception(forwards: int) -> None:
    model = with_gradients(Delicate())
    model.fails_after = model.done + forwards  # type: ignore[operator, assignment]
    before = state(model)
    with contextlib.suppress(attnscope.AttnscopeError):
        attnscope.verify(model, vocab_size=50)
    after = state(model)
    assert [name for name in before if not same(before[name], after[name])] == []


def test_an_interruption_is_no_exception_of_ours() -> None:
    class Interrupted(Delicate):
        def forward(self, ids: Tensor) -> Tensor:
            if self.done > 20:
                raise KeyboardInterrupt
            return super().forward(ids)

    model = Interrupted()
    before = state(model)
    with pytest.raises(KeyboardInterrupt):
        attnscope.verify(model, vocab_size=50)
    after = state(model)
    assert [name for name in before if not same(before[name], after[name])] == []


def test_gradients_may_be_switched_off_before() -> None:
    with torch.no_grad():
        attnscope.verify(zoo.Attending(), vocab_size=50, quick=True)
        assert not torch.is_grad_enabled()

"""Switches on a live model that are put back on every way out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from attnscope.capture.runs import failed
from attnscope.errors import CaptureError

LARGEST_COPY = 4 * 2**30
"""Bytes that a more exact copy of a model or module may take."""

_HOOKED = "_output_capturing_hooks_installed"
_ATTENTION, _EXPERTS = "_attn_implementation_internal", "_experts_implementation_internal"


@contextmanager
def attention(model: Any, name: str) -> Iterator[None]:
    """Run the model on another attention implementation.

    Raises CaptureError, with the library's own reason, when it cannot be switched to it.
    """
    with _kept(model, _ATTENTION):
        if model.config._attn_implementation != name:
            try:
                model.set_attn_implementation(name)
            except Exception as error:  # each architecture has reasons of its own
                raise CaptureError(failed(model, error, name)) from error
        if model.config._attn_implementation != name:
            raise CaptureError(
                f"{type(model).__name__} cannot be switched to {name} once it is loaded."
            )
        yield


@contextmanager
def own_hooks(model: nn.Module) -> Iterator[None]:
    """Forward hooks that the model's own code adds inside are gone on every way out: transformers
    hooks a model for good when it is first asked for its attentions.
    """
    modules = list(model.modules())
    before = [
        ([(hooks, dict(hooks)) for hooks in _hooks(module)], vars(module).get(_HOOKED))
        for module in modules
    ]
    try:
        yield
    finally:
        for module, (kept, hooked) in zip(modules, before, strict=True):
            for hooks, own in kept:
                for key in [key for key in hooks if key not in own]:
                    del hooks[key]
            if hooked is None and _HOOKED in vars(module):
                delattr(module, _HOOKED)


def _hooks(module: nn.Module) -> list[dict[int, Any]]:
    names = ("", "_with_kwargs", "_always_called")
    stores = [f"_forward_{kind}hooks{name}" for kind in ("pre_", "") for name in names]
    return [vars(module)[name] for name in stores if name in vars(module)]


@contextmanager
def batched_experts(model: Any) -> Iterator[bool]:
    """Run experts one token at a time, so that no token's numbers depend on how many others chose
    the same expert. Yields False where the model has no such experts.
    """
    if not hasattr(model, "set_experts_implementation"):
        yield False
        return
    with _kept(model, _EXPERTS):
        try:
            model.set_experts_implementation("batched_mm")
            done = model.config._experts_implementation == "batched_mm"
        except Exception:  # models without experts, or with experts of their own
            done = False
        yield done and any(_uses_experts(module) for module in model.modules())


def exact_copy(module: nn.Module, dtype: torch.dtype) -> nn.Module | None:
    """A copy in a wider dtype; None where it would take too much memory or cannot be made."""
    numbers = sum(one.numel() for one in module.parameters())
    if numbers * torch.finfo(dtype).bits // 8 > LARGEST_COPY:
        return None
    try:
        twin = copy.deepcopy(module)
        twin = _cast(twin, dtype) if _complex(module) else twin.to(dtype)
    except Exception:  # quantised modules, modules with handles
        return None
    for config in _configs(twin):
        if hasattr(config, _EXPERTS) and dtype == torch.float64:
            setattr(config, _EXPERTS, "eager")  # the grouped product has no float64
    return twin


def _complex(module: nn.Module) -> bool:
    return any(one.is_complex() for one in (*module.parameters(), *module.buffers()))


def _cast(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """As `Module.to`, which would take the imaginary part off."""
    pair = torch.complex128 if dtype == torch.float64 else torch.complex64

    def cast(tensor: Tensor) -> Tensor:
        if tensor.is_complex():
            return tensor.to(pair)
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    changed: Any = module
    return changed._apply(cast)  # type: ignore[no-any-return]


def _uses_experts(module: nn.Module) -> bool:
    return "experts" in type(module).__name__.lower()


@contextmanager
def _kept(model: nn.Module, name: str) -> Iterator[None]:
    before = [(one, getattr(one, name)) for one in _configs(model) if hasattr(one, name)]
    try:
        yield
    finally:
        for config, value in before:
            setattr(config, name, value)


def _configs(model: nn.Module) -> list[Any]:
    found: dict[int, Any] = {}
    left = [getattr(module, "config", None) for module in model.modules()]
    while left:
        config = left.pop()
        if config is None or id(config) in found:
            continue
        found[id(config)] = config
        left += [getattr(config, name, None) for name in getattr(config, "sub_configs", None) or ()]
    return list(found.values())

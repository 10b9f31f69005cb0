"""A model in memory is left as it was found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy
import torch
from torch import Tensor, nn

Held = tuple[dict[str, Any], dict[str, Any], list[tuple[Any, Tensor]]]
"""Of a module its table of buffers, what stood in it, and tensors with their numbers."""

KEPT = 2**28
"""Bytes of parameters up to which their numbers are kept, for a model that changes them."""


@contextmanager
def as_found(model: nn.Module) -> Iterator[None]:
    """In eval mode inside; modes, buffers and random states are put back on every way out, and so
    are parameters where they are small enough to be kept.

    Modes are set one by one: a `train` of a module's own may do more, as LoRA's does, which merges
    its weights.
    """
    modes = [(module, module.training) for module in model.modules()]
    held = _held(model)
    devices = {one.device for one in model.parameters() if one.device.type == "cuda"}
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=list(devices)))
        stack.callback(random.setstate, random.getstate())
        stack.callback(numpy.random.set_state, numpy.random.get_state())
        stack.callback(_put_back, held)
        stack.callback(_set_modes, modes)
        for module, _ in modes:
            module.training = False
        yield


def _set_modes(modes: list[tuple[nn.Module, bool]]) -> None:
    for module, training in modes:
        module.training = training


def _held(model: nn.Module) -> list[Held]:
    size = sum(one.numel() * one.element_size() for one in model.parameters())
    held = []
    for module in model.modules():
        tensors = [one for one in module._buffers.values() if one is not None]
        if size <= KEPT:
            tensors += [one for one in module._parameters.values() if one is not None]
        # What accelerate has offloaded stands on meta between its uses, without numbers.
        numbers = [(one, one.detach().clone()) for one in tensors if not one.is_meta]
        held.append((module._buffers, dict(module._buffers), numbers))
    return held


def _put_back(held: list[Held]) -> None:
    with torch.no_grad():
        for table, before, numbers in held:
            table.clear()
            table.update(before)
            for tensor, kept in numbers:
                if tensor.shape != kept.shape:
                    tensor.data = kept
                elif not torch.equal(tensor, kept):
                    tensor.copy_(kept)

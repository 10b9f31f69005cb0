"""Leaks in mixers that are no attention: convolutions and state spaces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from attnscope.capture.kernels import replaced
from attnscope.faults import parts
from attnscope.faults.fault import Fault
from attnscope.faults.layers import SHARE, on_output


@contextmanager
def padded_behind(model: Any) -> Iterator[str]:
    """A convolution padded on the wrong side: what is cut off is the past, not the future."""
    name, mixer = parts.convolutions(model)[-1]
    convolve = functional.conv1d
    running = 0

    def conv1d(*args: Any, **kwargs: Any) -> Tensor:
        output = convolve(*args, **kwargs)
        padding = kwargs.get("padding", args[4] if len(args) > 4 else 0)
        reach = padding if isinstance(padding, int) else padding[0]
        return output.roll(-reach, dims=-1) if running else output

    def enter(module: nn.Module, args: Any) -> None:
        nonlocal running
        running += 1

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        nonlocal running
        running -= 1

    with ExitStack() as stack:
        stack.callback(mixer.register_forward_pre_hook(enter).remove)
        stack.callback(mixer.register_forward_hook(leave, always_call=True).remove)
        stack.enter_context(replaced(functional, "conv1d", conv1d))
        yield name


def suffix_sum_added(output: Tensor) -> Tensor:
    """A recurrence that runs from the end to the start is mixed in."""
    return output + SHARE * output.flip(-2).cumsum(dim=-2).flip(-2)


def chunk_mean_added(output: Tensor) -> Tensor:
    """Each chunk of four positions shares its mean."""
    rows = torch.arange(output.shape[-2], device=output.device) // 4
    same = (rows[:, None] == rows).to(output.dtype)
    mean: Tensor = same / same.sum(dim=-1, keepdim=True) @ output
    return output + SHARE * mean


FAULTS = (
    Fault(
        name="convolution padded on the wrong side",
        key="conv-padding",
        words="The last convolution over positions looks ahead as far as it should look back.",
        caught_by=("ATN302", "ATN301"),
        plant=padded_behind,
        applies=lambda model: bool(parts.convolutions(model)),
        prove=False,
    ),
    Fault(
        name="recurrence from the end",
        key="reversed-state",
        words="The last recurrent mixer adds a sum that runs from the end to the start.",
        caught_by=("ATN302", "ATN301"),
        plant=on_output(lambda model: parts.recurrent(model)[-1], lambda: suffix_sum_added),
        applies=lambda model: bool(parts.recurrent(model)),
        prove=False,
    ),
    Fault(
        name="state shared within a chunk",
        key="chunk-state",
        words="The last recurrent mixer gives each chunk of four positions a share of its mean.",
        caught_by=("ATN301", "ATN302"),
        plant=on_output(lambda model: parts.recurrent(model)[-1], lambda: chunk_mean_added),
        applies=lambda model: bool(parts.recurrent(model)),
        prove=False,
    ),
)
"""In reading order."""

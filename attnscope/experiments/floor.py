"""How far rounding moves this model's logits: the limit where bit equality cannot be asked.

Two right ways to compute the same thing (cached or not, padded or not, another kernel) differ in
the order of sums, which changes each module's output in its last bits. So every innermost module's
output is stirred in its last bit at random, and what that does to the logits is the floor. It is
measured in the model, dtype and backend at hand, and a leak cannot inflate it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from attnscope.capture.fused import paths_kept
from attnscope.experiments.stirring import Stirring
from attnscope.experiments.subject import Subject
from attnscope.measure.drift import drift

STIRRED = 3
"""Runs with stirred modules; the largest effect counts."""

FLOOR_FACTOR = 8.0
"""Between the floor and the limit; fixed once from measurements, see docs/architecture.md."""


def rounding_floor(subject: Subject, ids: Tensor, seed: int) -> float:
    """Largest change of any logit of `ids` (1, token) over `STIRRED` runs."""
    base = subject.run("plain", ids, ids[:, :0])
    worst = 0.0
    for turn in range(STIRRED):
        with _moved(subject, seed + turn):
            worst = max(worst, float(drift(base, subject.run("plain", ids, ids[:, :0])).max()))
    return worst


def _moved(subject: Subject, seed: int) -> AbstractContextManager[object]:
    """Operation by operation in a model of unknown making, where nothing is compiled."""
    if subject.own and not subject.model.calls_flex:
        return Stirring(seed)
    return stirred(subject.model, seed)


@contextmanager
def stirred(model: nn.Module, seed: int) -> Iterator[None]:
    """While inside, outputs of innermost modules are moved by up to one unit in the last place."""
    generator = torch.Generator().manual_seed(seed)

    def stir(module: nn.Module, args: Any, output: Any) -> Any:
        if not isinstance(output, Tensor) or not output.is_floating_point():
            return output
        noise = torch.rand(output.shape, generator=generator).to(output.device) * 2 - 1
        noise = noise.double() if output.dtype == torch.float64 else noise
        return (output.double() * (1 + torch.finfo(output.dtype).eps * noise)).to(output.dtype)

    leaves = [module for module in model.modules() if not any(module.children())]
    with ExitStack() as stack:
        stack.enter_context(paths_kept(model))
        for module in leaves:
            stack.callback(module.register_forward_hook(stir).remove)
        yield

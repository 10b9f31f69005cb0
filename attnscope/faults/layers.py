"""Leaks outside of attention: in feed-forward parts, norms, heads, and the layers themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from attnscope.faults import parts
from attnscope.faults.fault import Fault, Plant
from attnscope.faults.outputs import output_changed
from attnscope.faults.parts import Named

SHARE = 1e-2
"""Of what is mixed in: seen in half precision too."""

Change = Callable[[Tensor], Tensor]
"""From a module's output, (batch, token, feature) or (token, feature), to another one."""


def on_output(pick: Callable[[Any], Named], make: Callable[[], Change]) -> Plant:
    """Plant a change of one module's output; `make` starts without any state."""

    @contextmanager
    def plant(model: Any) -> Iterator[str]:
        name, module = pick(model)
        with output_changed(module, make()):
            yield name

    return plant


def mean_added(output: Tensor) -> Tensor:
    """The mean over all positions is mixed in."""
    return output + SHARE * output.mean(dim=-2, keepdim=True)


def running_mean_added(output: Tensor) -> Tensor:
    """The mean of the positions so far is mixed in, pads counted."""
    places = torch.arange(1, output.shape[-2] + 1, device=output.device)[:, None]
    return output + (SHARE * output.cumsum(dim=-2) / places).to(output.dtype)


def normalised(output: Tensor) -> Tensor:
    """Each feature is normalised over all positions."""
    centred = output - output.mean(dim=-2, keepdim=True)
    return centred / (centred.pow(2).mean(dim=-2, keepdim=True) + 1e-2).sqrt()


def next_added(output: Tensor) -> Tensor:
    """The next position is mixed in."""
    mixed = output.clone()
    mixed[..., :-1, :] += SHARE * output[..., 1:, :]
    return mixed


def scaled_by_length(output: Tensor) -> Tensor:
    """The first feature grows with the length of the input."""
    return _raised(output, output.shape[-2])


def chosen_over_time(output: Tensor) -> Tensor:
    """Only half of the positions, those with the largest first feature, get anything."""
    score = output[..., 0]
    if score.shape[-1] < 2:
        return output
    chosen = score.topk(score.shape[-1] // 2, dim=-1).indices
    kept = torch.zeros_like(score, dtype=torch.bool).scatter(-1, chosen, value=True)
    return output * kept[..., None]


def from_last_call() -> Change:
    """A module that adds the mean of its last call."""
    kept: list[Tensor] = []

    def change(output: Tensor) -> Tensor:
        before = kept.pop() if kept else None
        kept.append(output.detach().mean(dim=(0, -2)) if output.ndim > 2 else output.mean(dim=0))
        return output if before is None else output + SHARE * before.to(output.dtype)

    return change


def kept_length() -> Change:
    """A module whose output depends on the longest input so far."""
    longest = 0

    def change(output: Tensor) -> Tensor:
        nonlocal longest
        longest = max(longest, output.shape[-2])
        return _raised(output, longest)

    return change


def counting() -> Change:
    """A module whose output grows with every call."""
    calls = 0

    def change(output: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return _raised(output, calls)

    return change


def _raised(output: Tensor, steps: int) -> Tensor:
    raised = output.clone()
    raised[..., 0] += SHARE * steps
    return raised


def _last_feed_forward(model: Any) -> Named:
    return parts.feed_forwards(model)[-1]


def _head(model: Any) -> Named:
    return _name(model, model.get_output_embeddings()), model.get_output_embeddings()


def _embedding(model: Any) -> Named:
    return _name(model, model.get_input_embeddings()), model.get_input_embeddings()


def _name(model: nn.Module, module: nn.Module) -> str:
    names: dict[int, str] = {id(one): name for name, one in model.named_modules()}
    return names[id(module)]


def _feeds(model: Any) -> bool:
    return bool(parts.feed_forwards(model))


def _always(model: Any) -> bool:
    return True


FAULTS = (
    Fault(
        name="mean over the sequence in a feed-forward part",
        key="mean-in-mlp",
        words="The last feed-forward part mixes in its mean over all positions.",
        caught_by=("ATN302", "ATN301"),
        plant=on_output(_last_feed_forward, lambda: mean_added),
        applies=_feeds,
    ),
    Fault(
        name="batch statistics over time",
        key="norm-over-time",
        words="The last layer's first norm normalises each feature over all positions.",
        caught_by=("ATN302", "ATN301"),
        plant=on_output(parts.last_first_norm, lambda: normalised),
        applies=lambda model: bool(parts.norms(model)),
    ),
    Fault(
        name="logits normalised over the sequence",
        key="norm-in-head",
        words="The output head normalises its logits over all positions.",
        caught_by=("ATN301",),
        plant=on_output(_head, lambda: normalised),
        applies=_always,
    ),
    Fault(
        name="next embedding mixed in",
        key="next-embedding",
        words="Each token's embedding takes a share of the next one's.",
        caught_by=("ATN301",),
        plant=on_output(_embedding, lambda: next_added),
        applies=_always,
    ),
    Fault(
        name="next position's residual added",
        key="next-residual",
        words="The last layer adds a share of the next position to its output, in no inner module.",
        caught_by=("ATN301",),
        plant=on_output(lambda model: parts.layers(model)[-1], lambda: next_added),
        applies=_always,
    ),
    Fault(
        name="experts choose tokens",
        key="expert-choice",
        words="The last expert part keeps the better half of all positions and drops the others.",
        caught_by=("ATN302", "ATN301"),
        plant=on_output(lambda model: parts.experts(model)[-1], lambda: chosen_over_time),
        applies=lambda model: bool(parts.experts(model)),
    ),
    Fault(
        name="running mean that counts pads",
        key="running-mean",
        words="The last layer mixes in the mean of the positions so far, pads among them.",
        caught_by=("ATN306", "ATN401", "ATN404"),
        plant=on_output(lambda model: parts.layers(model)[-1], lambda: running_mean_added),
        applies=lambda model: parts.takes(model, "attention_mask"),
    ),
    Fault(
        name="output that grows with the length",
        key="length-scaled",
        words="The last layer adds to its output what depends on the length of the input.",
        caught_by=("ATN407", "ATN404", "ATN401"),
        plant=on_output(lambda model: parts.layers(model)[-1], lambda: scaled_by_length),
        applies=_always,
        quick=False,
    ),
    Fault(
        name="state of the last call",
        key="last-call",
        words="The last layer adds the mean of what it returned in the call before.",
        caught_by=("ATN001",),
        plant=on_output(lambda model: parts.layers(model)[-1], from_last_call),
        applies=_always,
    ),
    Fault(
        name="what the longest input so far has left",
        key="longest-input",
        words="The last layer adds to its output what depends on the longest input so far.",
        caught_by=("ATN406",),
        plant=on_output(lambda model: parts.layers(model)[-1], kept_length),
        applies=_always,
    ),
    Fault(
        name="state that grows from call to call",
        key="growing-state",
        words="The last layer's output grows with every call.",
        caught_by=("ATN001",),
        plant=on_output(lambda model: parts.layers(model)[-1], counting),
        applies=_always,
    ),
)
"""In reading order."""

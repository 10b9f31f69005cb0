"""Hand-made models that look to the experiments as transformers' do, with leaks if told."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from attnscope.experiments.subject import Cost, Subject

VOCABULARY, WIDTH = 30, 8

Mix = Callable[[Tensor], Tensor]


def past(hidden: Tensor) -> Tensor:
    """The mean of each position and those before it: a causal mixer."""
    count = torch.arange(1, hidden.shape[1] + 1, device=hidden.device)[:, None]
    return hidden.cumsum(1) / count.to(hidden.dtype)


def next_one(hidden: Tensor) -> Tensor:
    """A mixer that adds a little of the next position: a leak."""
    return past(hidden) + 1e-3 * hidden.roll(-1, 1) * (
        torch.arange(hidden.shape[1])[:, None] < hidden.shape[1] - 1
    )


def over_rows(hidden: Tensor) -> Tensor:
    """A mixer that adds a mean over the rows of the batch: a leak between rows."""
    return past(hidden) + hidden.mean(0, keepdim=True)


class Mixer(nn.Module):
    """Mixes positions as it is told."""

    def __init__(self, mix: Mix) -> None:
        super().__init__()
        self.mix = mix

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.mix(hidden_states)


class Layer(nn.Module):
    """A mixer called by keyword, and a feed-forward."""

    def __init__(self, mix: Mix, after: Mix) -> None:
        super().__init__()
        self.mixer = Mixer(mix)
        self.feed_forward = nn.Linear(WIDTH, WIDTH)
        self.after = after

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.mixer(hidden_states=hidden)
        return self.after(hidden + torch.tanh(self.feed_forward(hidden)))


class Stack(nn.Module):
    """Embedding, layers and a head; `mixes` has one mixer a layer."""

    def __init__(self, *mixes: Mix, after: Mix = lambda hidden: hidden) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.embedding = nn.Embedding(VOCABULARY, WIDTH)
            self.layers = nn.ModuleList(Layer(mix, after) for mix in mixes)
            self.head = nn.Linear(WIDTH, VOCABULARY)
        self.config = SimpleNamespace(
            model_type="stack", _attn_implementation="eager", sub_configs={}
        )
        self.device, self.dtype = torch.device("cpu"), torch.float32

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        hidden = self.embedding(input_ids)
        for layer in self.layers:
            hidden = layer(hidden)
        return SimpleNamespace(logits=self.head(hidden))


def subject(model: nn.Module) -> Subject:
    """The model as experiments see it; all ids are usable."""
    return Subject(model, range(VOCABULARY), Cost(lambda forwards: None))


def hooks(model: nn.Module) -> int:
    """How many forward hooks are left on a model."""
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    )

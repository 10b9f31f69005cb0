"""A model that is ready to read tokens, wherever it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attnscope.load.stand_in import StandIn
from attnscope.records import ModelInfo

Progress = Callable[[str], None]
"""Told in plain words what is being done now; an empty string asks for silence, because a library
is about to draw progress bars of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model that is ready to read tokens."""

    model: PreTrainedModel | StandIn
    """In eval mode, on its device; a stand-in for a model that transformers does not know."""
    tokenizer: PreTrainedTokenizerBase | None
    """None when there is none, or when it could not be read."""
    tokenizer_problem: str
    """Why there is no tokenizer, in words; empty where there is one."""
    info: ModelInfo
    """What it is."""
    default_prompt: str
    """A prompt that suits it."""
    unused_weights: tuple[str, ...]
    """Stored parameters that this architecture and config have no place for, sorted: parts of a
    larger model as a rule, but also layers that a config with too few of them leaves out."""
    remark: str = ""
    """What was put in the checkpoint's place or on top of it, in words: random weights, an adapter.
    Empty for a model as it is stored."""

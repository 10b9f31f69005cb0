"""A config made small."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

from transformers import PreTrainedConfig

from attnscope.shrink.layers import SPEC, keep_layers
from attnscope.shrink.overrides import OVERRIDES
from attnscope.shrink.sizes import (
    HEAD_DIM,
    HEADS,
    KV_HEADS,
    POSITIONS,
    SIZES,
    TOKEN_FIELDS,
    VOCAB,
    WINDOWS,
    Size,
)

DERIVED: dict[str, Callable[[Any], object]] = {
    "attention_types": lambda config: [[list(config.attention_layers), 1]],
}
"""Fields that must agree with ones that were changed."""

ROTARY_LISTS = ("short_factor", "long_factor")
"""Lists inside the rotary parameters with one entry a pair of rotated dimensions."""

ROTARY_SECTIONS = "mrope_section"
"""How many pairs of rotated dimensions turn with time, height and width."""

TRAINED_POSITIONS = "original_max_position_embeddings"
"""The length from which a rotary encoding is stretched."""


def shrink(config: PreTrainedConfig) -> PreTrainedConfig:
    """A copy of `config` with every size made small and every kind of layer kept at least once.

    Nested configs (a text config, a vision config) are shrunken too. See `layers` for which layers
    are kept.
    """
    small = copy.deepcopy(config)
    _shrink_in_place(small)
    return small


def longest_window(config: PreTrainedConfig) -> int:
    """The longest window or chunk of a config's text layers, in tokens; 0 where there is none."""
    fields = vars(config.get_text_config(decoder=True))
    return max((size for name in WINDOWS if isinstance(size := fields.get(name), int)), default=0)


def _shrink_in_place(config: PreTrainedConfig) -> None:
    fields = vars(config)
    for nested in fields.values():
        if isinstance(nested, PreTrainedConfig):
            _shrink_in_place(nested)
    keep_layers(config)
    _shrink_single_layers(fields)
    _shrink_heads(config)
    for name in fields.keys() & SIZES.keys():
        if fields[name]:
            setattr(config, name, _sized(SIZES[name], fields[name]))
    for name in [name for name in fields if name.endswith(TOKEN_FIELDS)]:
        setattr(config, name, _into_vocabulary(fields[name]))
    _shrink_rotary(fields.get("rope_parameters"))
    for name in fields.keys() & DERIVED.keys():
        setattr(config, name, DERIVED[name](config))
    if config.model_type in OVERRIDES:
        for name, value in OVERRIDES[config.model_type].fields.items():
            setattr(config, name, value)


def _sized(size: Size, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_sized(size, one) for one in value)
    return size if isinstance(size, int) else size(value)


def _shrink_single_layers(fields: dict[str, Any]) -> None:
    """What is different in single layers stays as many times the others' as it was."""
    spec = fields.get(SPEC)
    single = {} if spec is None else spec.per_layer_overrides
    for overrides in single.values():
        for name, value in overrides.items():
            whole = fields.get(name)
            if type(value) is int and isinstance(whole, int) and name in {*SIZES, *KV_HEADS}:
                size = HEADS if name in KV_HEADS else _sized(SIZES[name], whole)
                overrides[name] = max(1, round(size * value / whole))


def _shrink_heads(config: PreTrainedConfig) -> None:
    fields = vars(config)
    heads = fields.get("num_attention_heads") or getattr(config, "num_attention_heads", None)
    for name in KV_HEADS:
        groups = fields.get(name)
        if groups:
            setattr(config, name, HEADS if groups == heads else _grouped(groups))


def _grouped(heads: int) -> int:
    return 1 if heads == 1 else HEADS // 2


def _into_vocabulary(token: Any) -> Any:
    if isinstance(token, list):
        return [_into_vocabulary(one) for one in token]
    return min(token, VOCAB - 1) if isinstance(token, int) else token


def _shrink_rotary(parameters: Any) -> None:
    if not isinstance(parameters, dict):
        return
    pairs = round(HEAD_DIM * (parameters.get("partial_rotary_factor") or 1.0) / 2)
    for name, value in parameters.items():
        if name in ROTARY_LISTS:
            parameters[name] = value[:pairs]
        elif name == ROTARY_SECTIONS:
            parameters[name] = _divide(pairs, value)
        elif name == TRAINED_POSITIONS:
            parameters[name] = max(1, round(POSITIONS / parameters.get("factor", 2)))
        _shrink_rotary(value)


def _divide(whole: int, shares: list[int]) -> list[int]:
    """Parts of `whole` in the proportion of `shares`."""
    ends = [round(whole * sum(shares[:end]) / sum(shares)) for end in range(len(shares) + 1)]
    return [end - start for start, end in itertools.pairwise(ends)]

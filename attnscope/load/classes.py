"""Which of transformers' classes a config is loaded with: a language model, images left out."""

from __future__ import annotations

import inspect
from typing import Any

import transformers
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedConfig,
    PreTrainedModel,
)

from attnscope.errors import LoadError

CHOICES: tuple[tuple[str, Any, Any], ...] = (
    ("AutoModelForCausalLM", AutoModelForCausalLM, MODEL_FOR_CAUSAL_LM_MAPPING),
    (
        "AutoModelForImageTextToText",
        AutoModelForImageTextToText,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    ),
)
"""Name, auto class and the configs it knows; the first that knows a config takes it."""

_HINT = "attnscope reads decoder-only language models, also those that read images beside text."


def auto_class(config: PreTrainedConfig, name: str) -> Any:
    """The auto class for the config of the model called `name`.

    Raises `LoadError` for an encoder-decoder and for what is no language model.
    """
    if config.is_encoder_decoder or config.get_text_config(decoder=True).is_encoder_decoder:
        raise LoadError(f"{name} is an encoder-decoder ({config.model_type}).", _HINT)
    own_code = getattr(config, "auto_map", None) or {}
    for key, choice, known in CHOICES:
        if type(config) in known or key in own_code:
            return choice
    raise LoadError(
        f"{name} is no causal language model: transformers {transformers.__version__}"
        f" has no such class for {config.model_type}.",
        _HINT,
    )


def text_part(config: PreTrainedConfig) -> PreTrainedConfig:
    """The part that a causal class is built from where it is the text half of a larger model.

    transformers 5.3 finds that part when it loads weights, but not when it builds from a config.
    """
    known: Any = MODEL_FOR_CAUSAL_LM_MAPPING
    chosen = known.get(type(config), None)
    built_from = getattr(chosen, "config_class", None)
    if built_from is None or isinstance(config, built_from):
        return config
    return config.get_text_config(decoder=True)


def require_text_path(model: PreTrainedModel, name: str) -> None:
    """Raise `LoadError` where `forward` cannot be called with token ids alone."""
    forward = inspect.signature(type(model).forward).parameters
    open_ended = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [
        key
        for key, parameter in forward.items()
        if key not in {"self", "input_ids"}
        and parameter.default is inspect.Parameter.empty
        and parameter.kind not in open_ended
    ]
    if needed:
        raise LoadError(
            f"{name} cannot read text alone: {type(model).__name__} needs {' and '.join(needed)}.",
            "attnscope gives a model token ids and nothing else.",
        )

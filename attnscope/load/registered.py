"""Causal language models that transformers registers, built small from their default configs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from attnscope.errors import LoadError
from attnscope.load.classes import text_part
from attnscope.load.describe import describe
from attnscope.load.failures import one_line
from attnscope.load.loaded import LoadedModel
from attnscope.load.random_weights import random_remark
from attnscope.shrink import build, shrink


def registered_types() -> tuple[str, ...]:
    """The model types that AutoModelForCausalLM knows, sorted."""
    return tuple(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))


def registered_config(model_type: str, fields: Mapping[str, Any]) -> PreTrainedConfig:
    """A shrunken config of a registered type; `fields` are arguments of its constructor.

    Raises LoadError when the config refuses its own defaults with these fields.
    """
    try:
        config = CONFIG_MAPPING[model_type](**copy.deepcopy(dict(fields)))
        return shrink(text_part(config))
    except Exception as error:  # each config class has checks of its own
        raise LoadError(f"{model_type} has no config: {one_line(error)}.") from error


def load_registered(
    model_type: str, fields: Mapping[str, Any], backend: str | None = None, seed: int = 0
) -> LoadedModel:
    """A small model of a registered type, with random weights, on the CPU.

    `backend` None leaves the choice of the attention implementation to transformers. Raises
    LoadError, with the library's own reason, when it cannot be built.
    """
    small = registered_config(model_type, fields)
    causal: Any = MODEL_FOR_CAUSAL_LM_MAPPING
    try:
        chosen = causal[CONFIG_MAPPING[model_type]]
        model = build(small, seed=seed, backend=backend, make=chosen._from_config)
    except Exception as error:  # whatever a model's own code raises
        raise LoadError(f"{model_type} cannot be built: {one_line(error)}.") from error
    return LoadedModel(
        model=model,
        tokenizer=None,
        tokenizer_problem="it was built from its config alone",
        info=describe(model, model_type),
        default_prompt="",
        unused_weights=(),
        remark=random_remark(describe(model, model_type).layers, shrunken=True),
    )

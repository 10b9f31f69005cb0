"""What a loaded model is, from its config and parameters."""

from __future__ import annotations

from typing import Any

from torch.nn import ModuleList

from attnscope.records import ModelInfo

LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
KV_HEADS = ("num_key_value_heads", "num_kv_heads")
POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
"""Names that configs use; the first that holds a number counts."""

NO_POSITION_LIMIT = ("alibi", "use_alibi")
"""Flags of models that reach any length whatever their config's position field says."""


def describe(model: Any, name: str) -> ModelInfo:
    """Fill a `ModelInfo` for a model that was asked for as `name`."""
    config = model.config.get_text_config(decoder=True)
    return ModelInfo(
        name=name,
        architecture=type(model).__name__,
        parameters=model.num_parameters(),
        layers=_layers(model, _first_number(config, LAYERS)),
        heads=attention_heads(config),
        kv_heads=key_value_heads(config),
        device=_devices(model),
        dtype=str(model.dtype).removeprefix("torch."),
        backend=str(getattr(config, "_attn_implementation", None) or "eager"),
    )


def _devices(model: Any) -> str:
    """Where its parts are, in the order of its layers; accelerate calls a GPU by its number."""
    spread: dict[str, Any] = getattr(model, "hf_device_map", None) or {}
    names = [f"cuda:{one}" if type(one) is int else str(one) for one in spread.values()]
    return ", ".join(dict.fromkeys(names)) or str(model.device)


def _layers(model: Any, configured: int) -> int:
    """The config's number where the model has a stack of so many modules, else its longest stack.

    A decoder cut from an encoder-decoder counts the encoder in its config; some count half layers.
    """
    lists = {name: module for name, module in model.named_modules() if type(module) is ModuleList}
    outermost = [
        len(module)
        for name, module in lists.items()
        if not any(name.startswith(f"{other}.") for other in lists)
    ]
    return configured if configured in outermost else max(outermost, default=configured)


def attention_heads(config: Any) -> int:
    """Query heads a layer that a text config names; 0 if it names none."""
    return _first_number(config, HEADS)


def key_value_heads(config: Any) -> int:
    """Key/value heads a layer that a text config names; its query heads without grouping."""
    heads = attention_heads(config)
    # Falcon before its new architecture, and GPT-BigCode: one key/value head, or no grouping.
    if hasattr(config, "multi_query") and not getattr(config, "new_decoder_architecture", False):
        return 1 if config.multi_query else heads
    return _first_number(config, KV_HEADS) or heads


def longest_prompt(model: Any) -> int | None:
    """How many tokens the model has positions for; None where its config sets no limit."""
    config = model.config.get_text_config(decoder=True)
    if any(getattr(config, flag, False) for flag in NO_POSITION_LIMIT):
        return None
    return _first_number(config, POSITIONS) or None


def vocabulary_size(model: Any) -> int:
    """How many token ids the model can read: the rows of its input embedding."""
    embedding: Any = model.get_input_embeddings()
    rows = getattr(embedding, "num_embeddings", None)
    return int(rows or model.config.get_text_config(decoder=True).vocab_size)


def _first_number(config: Any, names: tuple[str, ...]) -> int:
    values = (_value(config, name) for name in names)
    return next((value for value in values if type(value) is int and value > 0), 0)


def _value(config: Any, name: str) -> object:
    """A field; where single layers differ in it, what the others have."""
    try:
        return getattr(config, name, None)
    except RuntimeError:  # newer transformers refuse to answer for all layers at once
        return vars(config).get(name)

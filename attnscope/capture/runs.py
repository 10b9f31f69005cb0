"""One plain forward pass of a live model, and its failure in one line."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from attnscope.errors import AttnscopeError, CaptureError, SelectionError


def forward(
    model: Any,
    ids: Sequence[int],
    beside: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> Tensor:
    """One forward pass over the whole prompt, without cache or gradients.

    `beside` are further arguments with one number a token, for example `attention_mask`.
    Returns the logits, shape (1, query, vocab); for models that can, those of the last position
    only.

    Raises SelectionError for an argument that the model does not take, and CaptureError with the
    library's own reason when it cannot run.
    """
    device = input_device(model)
    inputs: dict[str, Any] = {"input_ids": torch.tensor([list(ids)], device=device)}
    accepted = inspect.signature(model.forward).parameters
    for name, numbers in beside.items():
        if name not in accepted:
            raise SelectionError(f"{type(model).__name__} takes no {name}.", "Leave it out.")
        inputs[name] = torch.tensor([list(numbers)], device=device)
    if "use_cache" in accepted:
        inputs["use_cache"] = False
    if "logits_to_keep" in accepted:
        inputs["logits_to_keep"] = 1
    try:
        with torch.no_grad():
            logits: Tensor = model(**inputs).logits
    except AttnscopeError:
        raise
    except torch.OutOfMemoryError as error:
        raise CaptureError(
            f"Out of memory on {model.device} with {len(ids)} tokens.",
            "Use a shorter prompt, --dtype bfloat16, --device cpu or --device-map auto.",
        ) from error
    except Exception as error:  # whatever a model's own code raises
        raise CaptureError(failed(model, error)) from error
    return logits


def input_device(model: Any) -> torch.device:
    """Where a model is given its tokens; where even its embedding is offloaded, hooks move them."""
    device: torch.device = model.device
    return torch.device("cpu") if device.type == "meta" else device


def failed(model: Any, error: Exception, backend: str | None = None) -> str:
    """What a model's own code raised, in one line."""
    if backend is None:
        backend = getattr(model.config, "_attn_implementation", None) or "its own attention"
    lines = str(error).strip().splitlines()
    first = lines[0].strip() if lines else "no reason given"
    name = getattr(model, "called", type(model).__name__)  # a stand-in is called what it holds
    return f"{name} failed on {backend}: {type(error).__name__}: {first}"

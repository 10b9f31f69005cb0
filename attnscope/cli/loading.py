"""The options that say which model is loaded, and how, out of all arguments of a command."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

LOADING = (
    "model",
    "device",
    "dtype",
    "backend",
    "weights",
    "revision",
    "device_map",
    "allow_pickle",
    "trust_remote_code",
)
"""Fields of `LoadOptions`, under which commands have their options too."""


def loading(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What `LoadOptions` takes of a command's arguments; choices become their plain words."""
    chosen = {name: arguments[name] for name in LOADING if name in arguments}
    return {
        name: value.value if isinstance(value, Enum) else value for name, value in chosen.items()
    }

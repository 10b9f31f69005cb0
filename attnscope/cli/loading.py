"""The options that say which model is loaded, and how, out of all arguments of a command."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from attnscope import ranks
from attnscope.errors import SelectionError

LOADING = (
    "model",
    "device",
    "dtype",
    "backend",
    "weights",
    "revision",
    "device_map",
    "tp_plan",
    "allow_pickle",
    "trust_remote_code",
)
"""Fields of `LoadOptions`, under which commands have their options too."""


def loading(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What `LoadOptions` takes of a command's arguments; choices become their plain words.

    Raises SelectionError where several processes would do the same.
    """
    chosen = {name: arguments[name] for name in LOADING if name in arguments}
    require_shared(chosen.get("tp_plan"))
    return {
        name: value.value if isinstance(value, Enum) else value for name, value in chosen.items()
    }


def require_shared(tp_plan: str | None = None) -> None:
    """Raise SelectionError when several processes were launched, and not to share a model."""
    if tp_plan is None and ranks.world() > 1:
        raise SelectionError(
            f"{ranks.world()} processes were launched, and each would do all of the work.",
            "Run it without torchrun; only `heads --tp-plan auto` shares a model among processes.",
        )

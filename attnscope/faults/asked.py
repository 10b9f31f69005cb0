"""How a model's running forward was asked: its keyword arguments, for leaks that depend on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

Change = Callable[[tuple[Any, ...], dict[str, Any]], None]
"""Changes the keyword arguments of a forward in place, before it runs."""


@contextmanager
def asked(model: nn.Module) -> Iterator[Mapping[str, Any]]:
    """While inside, the mapping given holds the arguments of the forward under way, if any."""
    arguments: dict[str, Any] = {}

    def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        arguments.clear()
        arguments.update(kwargs)

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        arguments.clear()

    handles = []
    try:
        handles.append(model.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(model.register_forward_hook(leave, always_call=True))
        yield arguments
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def changed(model: nn.Module, change: Change) -> Iterator[None]:
    """While inside, the model's forwards get other keyword arguments."""

    def enter(
        module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        other = dict(kwargs)
        change(args, other)
        return args, other

    handle = model.register_forward_pre_hook(enter, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()

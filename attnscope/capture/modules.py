"""Which module is running, and what it is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn


class ModuleStack:
    """The modules whose forward is under way, outermost first."""

    def __init__(self, model: nn.Module) -> None:
        self._names = {id(module): name for name, module in model.named_modules()}
        self._model = model
        self._running: list[nn.Module] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hook every module of the model; all hooks are gone on every way out."""
        with ExitStack() as stack:
            stack.callback(self._running.clear)
            for module in self._model.modules():
                stack.callback(module.register_forward_pre_hook(self._enter).remove)
                handle = module.register_forward_hook(self._leave, always_call=True)
                stack.callback(handle.remove)
            yield

    def _enter(self, module: nn.Module, args: Any) -> None:
        self._running.append(module)

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        if self._running and self._running[-1] is module:
            self._running.pop()

    def name(self, module: nn.Module | None = None) -> str:
        """The qualified name of a module, by default of the innermost one running."""
        if module is None:
            module = self._running[-1] if self._running else self._model
        named = self._names.get(id(module))
        return type(module).__name__ if named is None else named

    def layer(self, name: str) -> int | None:
        """The layer in a module's name: the 3 in `model.layers.3.self_attn`.

        Of several lists of modules on the way, the longest is the stack of layers.
        """
        parts = name.split(".")
        numbers = [place for place, part in enumerate(parts) if part.isdigit()]
        if not numbers:
            return None
        return int(parts[max(numbers, key=lambda place: self._siblings(parts[:place]))])

    def _siblings(self, parent: list[str]) -> int:
        try:
            return len(list(self._model.get_submodule(".".join(parent)).children()))
        except AttributeError:
            return 0

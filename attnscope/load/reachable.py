"""The modules that a function knows: those that it closes over, names, or was bound to."""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

from torch import nn

DEEPEST = 4
"""Steps from a function to a module: a closure, an object, a list of it."""


def reachable_modules(value: Any) -> dict[str, nn.Module]:
    """Name to module, each once, under the first name that leads to it."""
    found: dict[str, nn.Module] = {}
    known: set[int] = set()
    for name, module in _walk("", value, DEEPEST, set()):
        if id(module) in known:
            continue
        known.add(id(module))
        found[_free(name or type(module).__name__, found)] = module
    return found


def _free(name: str, found: Mapping[str, nn.Module]) -> str:
    while name in found or hasattr(nn.Module, name) or name in _TAKEN:
        name = f"{name}_"
    return name


_TAKEN = frozenset(vars(nn.Module()))
"""Attributes of every module, which no child may be called."""


def _walk(name: str, value: Any, steps: int, seen: set[int]) -> Iterator[tuple[str, nn.Module]]:
    if isinstance(value, nn.Module):
        yield name, value
        return
    if steps == 0 or id(value) in seen:
        return
    seen.add(id(value))
    for inner, one in _parts(value):
        yield from _walk(inner or name, one, steps - 1, seen)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value holds, by name."""
    if isinstance(value, MethodType):
        yield "", value.__self__
        yield "", value.__func__
    elif isinstance(value, functools.partial):
        yield from (("", one) for one in (value.func, *value.args, *value.keywords.values()))
    elif isinstance(value, FunctionType):
        yield from _known_to(value)
    elif isinstance(value, Mapping):
        yield from ((str(key), one) for key, one in value.items() if str(key).isidentifier())
    elif isinstance(value, list | tuple):
        yield from (("", one) for one in value)
    elif hasattr(value, "__dict__") and not isinstance(value, type | ModuleType):
        yield from vars(value).items()


def _known_to(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Closed-over values, defaults, and globals that its code really loads."""
    closure = function.__closure__ or ()
    for name, cell in zip(function.__code__.co_freevars, closure, strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not yet filled
            continue
    yield from (("", one) for one in function.__defaults__ or ())
    loaded = {step.argval for step in dis.get_instructions(function) if "GLOBAL" in step.opname}
    for name in sorted(loaded & function.__globals__.keys()):
        yield name, function.__globals__[name]

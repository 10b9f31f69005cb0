"""Replay one module on its recorded inputs, with one position changed at a time.

At equal shape a clean module answers bit for bit, so the map says exactly which positions it mixes:
a window of 8 moves exactly 8 queries. No attention weights are needed, so convolutions, state
spaces and expert routing answer likewise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnscope.experiments.switches import exact_copy
from attnscope.measure.drift import drift

PER_TOKEN = (nn.Linear, nn.Embedding, nn.LayerNorm, nn.RMSNorm, nn.Dropout)
"""torch's own modules that cannot mix positions."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One call of one module for a batch of one, as it was made."""

    name: str
    """Qualified name of the module."""
    module: nn.Module
    """Itself."""
    args: tuple[Any, ...]
    """Its arguments; the one with a row a token is a copy."""
    kwargs: dict[str, Any]
    """Likewise."""
    main: int | str
    """Index or name of the argument with a row a token."""
    tokens: int
    """How many."""

    def given(self) -> Tensor:
        """The argument with a row a token."""
        tensor: Tensor = (
            self.args[self.main] if isinstance(self.main, int) else self.kwargs[self.main]
        )
        return tensor

    def with_given(self, tensor: Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with that one replaced."""
        if isinstance(self.main, int):
            return (*self.args[: self.main], tensor, *self.args[self.main + 1 :]), self.kwargs
        return self.args, {**self.kwargs, self.main: tensor}


@contextmanager
def recording(model: nn.Module, tokens: int) -> Iterator[list[Recorded]]:
    """While inside, the calls of every module that is given a row a token; hooks end with it."""
    calls: list[Recorded] = []
    names = {id(module): name for name, module in model.named_modules()}

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        main = _main(args, kwargs, tokens)
        if main is None:
            return
        call = Recorded(names[id(module)], module, args, kwargs, main, tokens)
        copied = call.with_given(call.given().detach().clone())  # later layers may write into it
        calls.append(Recorded(call.name, module, *copied, main, tokens))

    def after(module: nn.Module, args: Any, output: Any) -> None:
        if _first_row_a_token(output, tokens) is None:  # a router, a mask, a table of angles
            own = [place for place, call in enumerate(calls) if call.module is module]
            if own:
                del calls[own[-1]]

    handles = []
    try:
        for module in model.modules():
            if module is not model and type(module) not in PER_TOKEN:
                handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
                handles.append(module.register_forward_hook(after))
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def replay(
    call: Recorded,
    positions: Sequence[int],
    seed: int,
    dtype: torch.dtype | None = None,
    damping: float = 1.0,
) -> Float[Tensor, "query swap"] | None:
    """How far each position's output moves when one position's input is changed.

    With `dtype`, on a copy of the module in it; with `damping`, on inputs made so much smaller,
    which evens out attention that looks at one key only. None where the output has no row a token,
    or where the module does not run like this.
    """
    twin = call if dtype is None else _exact(call, dtype)
    if twin is None:
        return None
    main = twin.given() * damping
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(call.given().shape, generator=generator)
    other = noise.to(main) * main.double().pow(2).mean().sqrt().to(main.dtype)
    base = _run(twin, main)
    if base is None:
        return None
    columns = []
    for position in positions:
        changed = main.clone()
        row = (..., position, slice(None)) if changed.ndim == 2 else (slice(None), position)
        changed[row] = other[row]
        moved = _run(twin, changed)
        if moved is None:
            return None
        columns.append(drift(base, moved))
    return torch.stack(columns, dim=1)


def _run(call: Recorded, given: Tensor) -> Tensor | None:
    """The module's output, (token, feature); None where it has none such."""
    args, kwargs = call.with_given(given.clone())
    try:
        with torch.no_grad():
            output = call.module(*args, **kwargs)
    except Exception:  # kernels without this dtype, modules that need their caller
        return None
    return _first_row_a_token(output, call.tokens)


def _exact(call: Recorded, dtype: torch.dtype) -> Recorded | None:
    module = exact_copy(call.module, dtype)
    if module is None:
        return None
    args, kwargs = _cast(call.args, dtype), _cast(call.kwargs, dtype)
    return Recorded(call.name, module, args, kwargs, call.main, call.tokens)


def _main(args: tuple[Any, ...], kwargs: dict[str, Any], tokens: int) -> int | str | None:
    named: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
    return next((name for name, value in named if _row_a_token(value, tokens)), None)


def _first_row_a_token(output: Any, tokens: int) -> Tensor | None:
    for tensor in output if isinstance(output, tuple | list) else (output,):
        if isinstance(tensor, Tensor) and _row_a_token(tensor, tokens):
            return tensor.reshape(tokens, -1)
    return None


def _row_a_token(value: Any, tokens: int) -> bool:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return False
    shape = tuple(value.shape)
    return shape[:-1] == (tokens,) or (len(shape) >= 3 and shape[:2] == (1, tokens))


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {name: _cast(one, dtype) for name, one in value.items()}
    if type(value) in {tuple, list}:
        return type(value)(_cast(one, dtype) for one in value)
    return value

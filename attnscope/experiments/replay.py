"""Replay one module on its recorded inputs, with one position changed at a time.

At equal shape a clean module answers bit for bit, so the map says exactly which positions it mixes:
a window of 8 moves exactly 8 queries. No attention weights are needed, so convolutions, state
spaces and expert routing answer likewise.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import Cache

from attnscope.capture.fused import paths_kept
from attnscope.experiments.rows import Layout, layout_of, token_axis
from attnscope.experiments.switches import exact_copy
from attnscope.experiments.wider import Wider
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
    """Its arguments; those with a row a token that are changed are copies."""
    kwargs: dict[str, Any]
    """Likewise."""
    main: int | str
    """Index or name of the argument with a row a token."""
    tokens: int
    """How many."""
    layout: Layout = "theirs"
    """How they are found; see `attnscope.experiments.rows`."""
    beside: tuple[int | str, ...] = ()
    """Other arguments of its shape: what keys and values are made of may be given apart."""
    wide: bool = False
    """True for a float64 copy in which nothing is to be narrowed."""

    def given(self) -> Tensor:
        """The argument with a row a token."""
        return self.all_given()[0]

    def all_given(self) -> list[Tensor]:
        """That one, and those beside it."""
        places = (self.main, *self.beside)
        return [self.args[one] if isinstance(one, int) else self.kwargs[one] for one in places]

    def with_given(self, tensors: Sequence[Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with these replaced."""
        new = dict(zip((self.main, *self.beside), tensors, strict=True))
        args = tuple(new.get(place, one) for place, one in enumerate(self.args))
        return args, {name: new.get(name, one) for name, one in self.kwargs.items()}


@contextmanager
def recording(model: nn.Module, tokens: int) -> Iterator[list[Recorded]]:
    """While inside, the calls of every module that is given a row a token; hooks end with it."""
    calls: list[Recorded] = []
    layout = layout_of(model, tokens)
    names = {id(module): name for name, module in model.named_modules()}

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        places = _rows_a_token(args, kwargs, tokens, layout)
        if not places:
            return
        args, kwargs = _own_caches(args), _own_caches(kwargs)  # this layer will write into them
        call = Recorded(
            names[id(module)], module, args, kwargs, places[0], tokens, layout, places[1:]
        )
        copies = [one.detach().clone() for one in call.all_given()]  # later layers may write there
        args, kwargs = call.with_given(copies)
        calls.append(replace(call, args=args, kwargs=kwargs))

    def after(module: nn.Module, args: Any, output: Any) -> None:
        # a router, a mask, a table of angles
        if _first_row_a_token(output, tokens, layout) is None:
            own = [place for place, call in enumerate(calls) if call.module is module]
            if own:
                del calls[own[-1]]

    with ExitStack() as stack:
        stack.enter_context(paths_kept(model))
        for module in model.modules():
            if module is not model and type(module) not in PER_TOKEN:
                handle = module.register_forward_pre_hook(before, with_kwargs=True)
                stack.callback(handle.remove)
                stack.callback(module.register_forward_hook(after).remove)
        yield calls


def given_tokens(calls: list[Recorded], moved: list[Recorded]) -> list[Recorded]:
    """The calls that are given something else once the tokens are others: what sees positions only,
    such as a filter made for a length, mixes no tokens. All of them where two runs differ in kind.
    """
    if [call.name for call in calls] != [call.name for call in moved]:
        return calls
    return [
        call
        for call, other in zip(calls, moved, strict=True)
        if not all(map(torch.equal, call.all_given(), other.all_given()))
    ]


def replay(
    call: Recorded,
    positions: Sequence[int],
    seed: int,
    dtype: torch.dtype | None = None,
    damping: float = 1.0,
) -> Float[Tensor, "query swap"] | None:
    """How far each position's output moves when one position's input is changed.

    Where several arguments of one shape are given, the position is changed in all of them. With
    `dtype`, on a copy of the module in it; with `damping`, on inputs made so much smaller,
    which evens out attention that looks at one key only. None where the output has no row a token,
    or where the module does not run like this.
    """
    twin = call if dtype is None else _exact(call, dtype)
    if twin is None:
        return None
    given = [one * damping for one in twin.all_given()]
    generator = torch.Generator().manual_seed(seed)
    others = [_noise(one, generator) for one in given]
    base = _run(twin, given)
    if base is None:
        return None
    columns = []
    for position in positions:
        changed = [
            _with_row(one, other, position, twin.tokens)
            for one, other in zip(given, others, strict=True)
        ]
        moved = _run(twin, changed)
        if moved is None:
            return None
        columns.append(drift(base, moved))
    return torch.stack(columns, dim=1)


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """As large as it, at random."""
    noise = torch.randn(like.shape, generator=generator).to(like)
    return noise * like.double().pow(2).mean().sqrt().to(like.dtype)


def _with_row(given: Tensor, other: Tensor, position: int, tokens: int) -> Tensor:
    changed = given.clone()
    axis = tuple(changed.shape).index(tokens)
    changed.movedim(axis, 0)[position] = other.movedim(axis, 0)[position]
    return changed


def _run(call: Recorded, given: Sequence[Tensor]) -> Tensor | None:
    """The module's output, (token, feature); None where it has none such."""
    args, kwargs = call.with_given([one.clone() for one in given])
    args, kwargs = _own_caches(args), _own_caches(kwargs)
    try:
        with torch.no_grad(), Wider() if call.wide else nullcontext():
            output = call.module(*args, **kwargs)
    except Exception:  # kernels without this dtype, modules that need their caller
        return None
    return _first_row_a_token(output, call.tokens, call.layout)


def _exact(call: Recorded, dtype: torch.dtype) -> Recorded | None:
    module = exact_copy(call.module, dtype)
    if module is None:
        return None
    args, kwargs = _cast(call.args, dtype), _cast(call.kwargs, dtype)
    wide = call.layout != "theirs" and dtype == torch.float64
    return replace(call, module=module, args=args, kwargs=kwargs, wide=wide)


def _rows_a_token(
    args: tuple[Any, ...], kwargs: dict[str, Any], tokens: int, layout: Layout
) -> tuple[int | str, ...]:
    """The first argument with a row a token, and all others of its shape."""
    named: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
    rows = [(name, value) for name, value in named if _row_a_token(value, tokens, layout)]
    return tuple(name for name, value in rows if value.shape == rows[0][1].shape)


def _first_row_a_token(output: Any, tokens: int, layout: Layout) -> Tensor | None:
    for tensor in output if isinstance(output, tuple | list) else (output,):
        if isinstance(tensor, Tensor) and _row_a_token(tensor, tokens, layout):
            rows = tensor.movedim(tuple(tensor.shape).index(tokens), 0)
            return rows.reshape(tokens, -1)
    return None


def _row_a_token(value: Any, tokens: int, layout: Layout) -> bool:
    if not isinstance(value, Tensor) or not (value.is_floating_point() or value.is_complex()):
        return False
    return token_axis(tuple(value.shape), tokens, layout) is not None


def _own_caches(arguments: Any) -> Any:
    """Arguments with a copy of every KV cache among them, for models that make one unasked."""
    named = arguments.items() if isinstance(arguments, dict) else enumerate(arguments)
    changed = {name: copy.deepcopy(one) for name, one in named if isinstance(one, Cache)}
    if not changed:
        return arguments
    if isinstance(arguments, dict):
        return {**arguments, **changed}
    return tuple(changed.get(place, one) for place, one in enumerate(arguments))


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {name: _cast(one, dtype) for name, one in value.items()}
    if type(value) in {tuple, list}:
        return type(value)(_cast(one, dtype) for one in value)
    return value

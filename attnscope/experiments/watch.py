"""Where does forbidden influence enter? Two runs side by side, module by module.

A module is an entry when its output moved at a position that may not move while nothing that it
was given had moved there. Children end before their parents, so the innermost one is found first;
modules downstream are given moved inputs and are never named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from attnscope.capture.fused import paths_kept
from attnscope.experiments.rows import layout_of, row_a_token
from attnscope.load.stand_in import StandIn


@dataclass(slots=True)
class ModuleCall:
    """One call of one module: tensors with a row a token, each (batch, token, feature)."""

    name: str
    frame: int
    """Which of the model's forwards it belongs to."""
    given: list[Tensor]
    returned: list[Tensor]


@dataclass(slots=True)
class Recording:
    """The module calls of one run, in the order in which they ended."""

    ids: list[Tensor] = field(default_factory=list)
    """The token ids of each of the model's forwards."""
    calls: list[ModuleCall] = field(default_factory=list)


@contextmanager
def watching(model: nn.Module) -> Iterator[Recording]:
    """Record every module's call while inside; all hooks are gone on every way out."""
    recording = Recording()
    names = {id(module): name for name, module in model.named_modules()}
    open_calls: list[tuple[nn.Module, list[Tensor] | None]] = []

    def start(module: nn.Module, args: Any, kwargs: Any) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        recording.ids.append(ids.detach().clone())

    def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
        tensors = [one for one in (*_tensors(args), *_tensors(kwargs)) if _numbers(one)]
        given = _of_tokens(tensors, recording, model)
        # what was padded by hand cannot be compared: its caller is asked instead
        unread = isinstance(model, StandIn) and not given and any(one.ndim > 1 for one in tensors)
        open_calls.append((module, None if unread else [one.detach().clone() for one in given]))

    def leave(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if not open_calls or open_calls[-1][0] is not module:
            return
        _, given = open_calls.pop()
        if given is None:
            return
        tensors = _of_tokens(_tensors(output), recording, model)
        returned = [one.detach().clone() for one in tensors]
        frame = len(recording.ids) - 1
        recording.calls.append(ModuleCall(names[id(module)], frame, given, returned))

    with ExitStack() as stack:
        stack.enter_context(paths_kept(model))
        handle = model.register_forward_pre_hook(start, with_kwargs=True)
        stack.callback(handle.remove)
        for module in model.modules():
            if module is not model:
                handle = module.register_forward_pre_hook(enter, with_kwargs=True)
                stack.callback(handle.remove)
                handle = module.register_forward_hook(leave, with_kwargs=True)
                stack.callback(handle.remove)
        yield recording


def first_entry(
    base: Recording,
    other: Recording,
    *,
    aside: bool,
    visible: Tensor | None = None,
    beside: list[Tensor] | None = None,
    share: float = 0.0,
) -> str | None:
    """The module where forbidden influence enters; None if there is none.

    Both runs made the same forwards and differ in some token ids. What may move: with `aside`, only
    the changed tokens themselves; else, in each row, the first changed one and all after it, or
    with `visible` (query, key) what sees a changed one. `beside` are the ids of a third run, in
    which the tokens aside are others: what happens at those is not asked, since rows of pads may
    see anything. What moves by no more than a `share` of a tensor's largest movement stands still.
    """
    if len(base.ids) != len(other.ids):
        return None
    forbidden = _forbidden(base.ids, other.ids, aside)
    if visible is not None and [one.shape for one in base.ids] == [(1, len(visible))]:
        changed = (base.ids[0] != other.ids[0]).to(visible.device)
        forbidden = [~(visible & changed).any(dim=-1)[None]]
    if beside is not None:
        asked = [one == two for one, two in zip(base.ids, beside, strict=True)]
        forbidden = [rows & only for rows, only in zip(forbidden, asked, strict=True)]
    for one, two in _pairs(base.calls, other.calls):
        rows = forbidden[one.frame]
        pairs = zip(one.given, two.given, strict=False)
        if any(_moved(*pair, rows, share) for pair in pairs):
            continue
        pairs = zip(one.returned, two.returned, strict=False)
        if any(_moved(*pair, rows, share) for pair in pairs):
            return one.name
    return None


def _pairs(
    base: list[ModuleCall], other: list[ModuleCall]
) -> Iterator[tuple[ModuleCall, ModuleCall]]:
    """The calls that both runs made, in the order of the first.

    What an expert is made of runs once for each expert that was chosen, so it may run more often
    in one forward than in its twin. Which of those calls belong together cannot be told, so they
    are left out; the experts as a whole are called once in both.
    """
    one, two = _by_module(base), _by_module(other)
    turns: Counter[tuple[int, str]] = Counter()
    for call in base:
        place = (call.frame, call.name)
        if len(one[place]) == len(two.get(place, ())):
            yield call, two[place][turns[place]]
        turns[place] += 1


def _by_module(calls: list[ModuleCall]) -> dict[tuple[int, str], list[ModuleCall]]:
    """The calls of each module in each forward."""
    found: dict[tuple[int, str], list[ModuleCall]] = {}
    for call in calls:
        found.setdefault((call.frame, call.name), []).append(call)
    return found


def _forbidden(base: list[Tensor], other: list[Tensor], aside: bool) -> list[Tensor]:
    """(batch, token) of each forward: True where nothing may move."""
    told: list[Tensor] = []
    history: Tensor | None = None
    for one, two in zip(base, other, strict=True):
        changed = one != two
        if aside:
            told.append(~changed)
            continue
        may_move = changed.int().cummax(dim=1).values.bool()
        if history is not None and history.shape[0] == changed.shape[0]:
            may_move |= history[:, None]
        history = may_move[:, -1]
        told.append(~may_move)
    return told


def _moved(one: Tensor, two: Tensor, rows: Tensor, share: float) -> bool:
    if one.shape != two.shape or one.shape[:2] != rows.shape:
        return False
    different = (one != two) & ~(one.isnan() & two.isnan())
    if share:
        gap = (one - two).abs().nan_to_num(torch.inf)
        different &= gap > share * gap.max()
    return bool((different.any(dim=-1) & rows.to(different.device)).any())


def _of_tokens(tensors: list[Tensor], recording: Recording, model: nn.Module) -> list[Tensor]:
    """Those with a row a token, as (batch, token, feature)."""
    if not recording.ids:
        return []
    batch, tokens = recording.ids[-1].shape
    layout = layout_of(model, tokens)
    rows = (row_a_token(one, batch, tokens, layout) for one in tensors if _numbers(one))
    return [one for one in rows if one is not None]


def _numbers(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _tensors(value: Any) -> list[Tensor]:
    """The tensors in arguments or outputs, one level of nesting deep."""
    if isinstance(value, Tensor):
        return [value]
    values = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | tuple | list):
        return []
    found: list[Tensor] = []
    for one in values:
        if isinstance(one, Tensor):
            found.append(one)
        elif isinstance(one, tuple | list):
            found += [two for two in one if isinstance(two, Tensor)]
    return found

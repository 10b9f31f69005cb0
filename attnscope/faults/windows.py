"""Leaks in the mask of a layer with a window or chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from attnscope.faults import alterations, parts
from attnscope.faults.delivered import altered
from attnscope.faults.fault import Fault, Plant


def in_window(alter: Callable[[int, Tensor], Tensor]) -> Plant:
    """Plant a mask altered by the window's size in the last layer with a window."""

    @contextmanager
    def plant(model: Any) -> Iterator[str]:
        name, module = parts.windowed(model)[-1]
        size = parts.window(model, name)
        with altered([module], lambda allowed, call: alter(size, allowed)):
            yield name

    return plant


def _has_window(model: Any) -> bool:
    return bool(parts.windowed(model))


FAULTS = (
    Fault(
        name="window missing in one layer",
        key="no-window",
        words="The last layer with a window sees the whole past.",
        caught_by=("ATN202", "ATN303"),
        plant=in_window(lambda size, allowed: alterations.whole_past(allowed)),
        applies=_has_window,
    ),
    Fault(
        name="window one too wide",
        key="window-wide",
        words="The last layer with a window sees one key more before it.",
        caught_by=("ATN202", "ATN303"),
        plant=in_window(lambda size, allowed: alterations.one_wider(allowed)),
        applies=_has_window,
    ),
    Fault(
        name="window one too narrow",
        key="window-narrow",
        words="The last layer with a window sees one key less.",
        caught_by=("ATN203", "ATN304"),
        plant=in_window(alterations.one_narrower),
        applies=_has_window,
    ),
    Fault(
        name="window lost two windows from the start",
        key="past-the-window",
        words="Queries two windows from the start see the whole past.",
        caught_by=("ATN202", "ATN303"),
        plant=in_window(alterations.past_the_window),
        applies=_has_window,
    ),
)
"""In reading order."""

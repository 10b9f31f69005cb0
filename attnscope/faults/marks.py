"""Mark modules in a way that a deep copy of them carries on.

Experiments repeat modules on copies in float64, and a planted leak must be in the copy too, as a
leak in a model's own code would be.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import nn

Marked = Callable[[nn.Module], bool]

_NUMBERS = itertools.count()


@contextmanager
def marked(modules: Iterable[nn.Module]) -> Iterator[Marked]:
    """While inside, the function given tells these modules and their copies from all others."""
    name = f"attnscope_mark_{next(_NUMBERS)}"
    chosen = list(modules)
    try:
        for module in chosen:
            setattr(module, name, True)
        yield lambda module: hasattr(module, name)
    finally:
        for module in chosen:
            vars(module).pop(name, None)

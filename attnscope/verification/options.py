"""What to ask, and how thoroughly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from attnscope.checks import CHECKS, Check
from attnscope.errors import SelectionError

BUDGET = 400_000
"""Tokens pushed at most by default, over all backends."""

COMPILED = frozenset({"flex_attention"})
"""Backends whose kernels are compiled, for every shape and mask anew."""

AT_ONE_SHAPE = frozenset({"plain"})
"""Conditions that compile nothing new: all that is asked of such a backend in the quick form."""

SHORTEST = len("ATN3")
"""Of a code's beginning in --select and --ignore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """What to ask, and how thoroughly."""

    backends: tuple[str, ...] = ()
    """Attention implementations; none: the one that was loaded, eager and sdpa, as far as the model
    supports them; `("all",)`: every one that runs here."""
    expect: str | None = None
    """`causal`, `sliding:W`, `chunked:C`, `prefix:P` or `bidirectional` instead of what the config
    declares."""
    select: tuple[str, ...] = ()
    """Codes, beginnings of codes, names or families; none: all. The controls are always asked."""
    ignore: tuple[str, ...] = ()
    """Likewise, left out; the controls are asked all the same."""
    length: int | None = None
    """Tokens; None: chosen from the model's windows."""
    seed: int = 0
    """Decides the random tokens and what is swapped in."""
    quick: bool = False
    """Only what takes a handful of forwards, beside the sweep over all positions."""
    budget: int | None = None
    """Tokens to push at most; positions are then sampled."""
    prove: bool = False
    """After a pass, plant leaks into this model and show that they are caught."""
    ids: tuple[int, ...] | None = None
    """Real tokens instead of random ones."""

    def asks(self, check: type[Check]) -> bool:
        """Whether a check is asked: the controls always, whatever is ignored."""
        if check.required:
            return True
        chosen = not self.select or named(check, self.select)
        return chosen and not named(check, self.ignore)

    def keys(self, check: type[Check], backend: str) -> tuple[str, ...]:
        """The conditions in which it is asked on a backend."""
        if not self.quick:
            return check.conditions
        alone = backend in COMPILED
        return tuple(key for key in check.quick if key in AT_ONE_SHAPE or not alone)


class Asking(TypedDict, total=False):
    """The fields of `VerifyOptions`, as keywords."""

    backends: tuple[str, ...]
    expect: str | None
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    length: int | None
    seed: int
    quick: bool
    budget: int | None
    prove: bool
    ids: tuple[int, ...] | None


def named(check: type[Check], words: Sequence[str]) -> bool:
    """True when one of the words is the check's name, family, code or its beginning."""
    starts = [word.upper().removesuffix("XX") for word in words]
    begins = any(len(start) >= SHORTEST and check.code.startswith(start) for start in starts)
    return begins or bool({check.name, check.family}.intersection(words))


def require_checks(words: Sequence[str]) -> None:
    """A misspelt word must not read as a clean verdict: SelectionError names it."""
    for word in words:
        if not any(named(check, (word,)) for check in CHECKS):
            raise SelectionError(
                f"{word[:40]!r} is no check and no family.", "See `attnscope checks`."
            )

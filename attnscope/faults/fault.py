"""What a planted leak is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

Plant = Callable[[Any], AbstractContextManager[str]]
"""Plants into a live model while entered, and yields the qualified name of the module where; empty
where it is in no one module. Everything is put back on every way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to be wrong, that the checks must find."""

    name: str
    """In words: `one cell open in one head of the last layer`."""
    key: str
    """Short name in code: `one-cell`."""
    words: str
    """What is planted, in one sentence."""
    caught_by: tuple[str, ...]
    """Codes of the checks that must find it, the most telling one first."""
    plant: Plant
    """Puts it into a model."""
    applies: Callable[[Any], bool]
    """Whether it can be planted in a model, as that is switched now."""
    quick: bool = True
    """True when `--quick` finds it too."""
    prove: bool = True
    """Whether `--prove` plants it: cheap, and possible in most models."""

"""What a census says of one model type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["pass", "fail", "skip", "error", "not applicable"]
"""pass: every control and check held. fail: a finding. skip: something that must be known could not
be asked. error: the row was lost (a crash, a hang, no memory, no model). not applicable: there is
no such model to judge, for the reason given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The worst finding of one check, in one condition, on one backend."""

    code: str
    """For example `ATN301`."""
    condition: str
    """For example `left padding`; empty where there is only one."""
    backend: str
    """Attention implementation."""
    module: str
    """Where it enters; empty where none can be told."""
    message: str
    """In one sentence."""
    count: int
    """How many findings of that check there were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A finding that a baseline accepts."""

    found: Found
    """The finding."""
    reason: str
    """The baseline's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model type."""

    model_type: str
    """As transformers registers it."""
    variant: str = ""
    """`default` for a family that is built as its default config says, though it is not causal."""
    state: State
    """The verdict."""
    reason: str = ""
    """Why there is no verdict; empty where there is one."""
    architecture: str = ""
    """The model's class."""
    mixers: tuple[str, ...] = ()
    """What mixes tokens, or routes them: `attention`, `state space`, `convolution`, `linear`,
    `experts`, or the class of a module that is none of these."""
    seam: tuple[str, ...] = ()
    """Where attention was seen: `interface`, `torch calls`."""
    backends: tuple[str, ...] = ()
    """On which it was judged."""
    without: tuple[tuple[str, str], ...] = ()
    """Backends on which it does not run, each with the library's own reason."""
    families: tuple[tuple[str, str], ...] = ()
    """Family of checks to its outcome: fail over error over pass over unpromised over skip."""
    controls: bool = False
    """True when the controls and the influence on whole logits were asked on every backend, and
    answered."""
    findings: tuple[Found, ...] = ()
    """Of the checks that failed."""
    unpromised: tuple[str, ...] = ()
    """Codes of the checks that differ in conditions that the model never promised to support."""
    otherwise: State | None = None
    """The verdict were it not for the findings; None where there are none, and for rows that were
    kept before this was."""
    accepted: tuple[Accepted, ...] = ()
    """Those that a baseline accepts."""
    seconds: float = 0.0
    """Wall time, building included."""

    @property
    def key(self) -> str:
        """Its name among the rows: `bert`, `bert (default)`."""
        return f"{self.model_type} ({self.variant})" if self.variant else self.model_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """The rows of one run, and what they were made with."""

    rows: tuple[Row, ...]
    """Sorted by key."""
    versions: tuple[tuple[str, str], ...]
    """Package to version: attnscope, torch, transformers, Python."""
    date: str
    """When it was begun, year-month-day."""
    quick: bool
    """True for the short form."""
    backends: tuple[str, ...]
    """Asked for."""
    seconds: float = 0.0
    """Of all rows together: more than the wall time where several were judged at once."""
    notes: tuple[str, ...] = ()
    """Remarks: entries of the baseline that were not seen, …"""

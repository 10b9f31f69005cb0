"""Which modules attend from token to token, and where that was seen."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from attnscope.capture import capture
from attnscope.experiments.subject import Subject
from attnscope.records.calls import AttentionCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Attending:
    """What one plain run showed."""

    modules: frozenset[str]
    """Qualified names of the modules that made attention calls."""
    seam: tuple[str, ...]
    """Where they were seen: `interface`, `torch calls`."""


def attending(subject: Subject, ids: Tensor) -> Attending:
    """By one observed run of `ids`, shape (1, token).

    Raises CaptureError when the model cannot be run.
    """
    tokens = ids.shape[1]
    modules: set[str] = set()
    seam: set[str] = set()

    def note(call: AttentionCall) -> None:
        # over layers, token by token: then the tokens stand among batch or heads
        if max(call.queries, call.keys) >= tokens or tokens not in call.output.shape[:2]:
            modules.add(call.module)
            seam.add("torch calls" if call.offered is None else "interface")

    with capture(subject.model, note):
        subject.run("plain", ids, ids[:, :0])
    return Attending(modules=frozenset(modules), seam=tuple(sorted(seam)))

"""Change one token, run again at equal shape, and see which positions moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attnscope.errors import CaptureError
from attnscope.experiments.subject import Subject
from attnscope.experiments.watch import Recording, first_entry, watching
from attnscope.measure.drift import drift

ROUNDING = {torch.float32: 1e-3, torch.float64: 1e-9}
"""Share of a module's movement below which a model of unknown making may be rounding across
positions; a larger leak is located first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One condition with its tokens."""

    key: str
    """The condition."""
    ids: Int[Tensor, "1 token"]
    """The tokens in question."""
    aside: Int[Tensor, "1 aside"]
    """Tokens that must not matter; may be none."""
    seed: int
    """Decides what is swapped in."""

    @property
    def tokens(self) -> int:
        """How many are in question."""
        return self.ids.shape[1]


def sweep(
    subject: Subject, setting: Setting, positions: Sequence[int]
) -> Float[Tensor, "query swap"]:
    """How far each position's logits move when one position's token is changed."""
    base = subject.run(setting.key, setting.ids, setting.aside)
    columns = [
        drift(base, subject.run(setting.key, swapped(subject, setting, position), setting.aside))
        for position in positions
    ]
    return torch.stack(columns, dim=1)


def swapped(subject: Subject, setting: Setting, position: int) -> Int[Tensor, "1 token"]:
    """The ids with one of them changed."""
    ids = setting.ids.clone()
    ids[0, position] = subject.others(setting.ids, setting.seed)[0, position]
    return ids


def contents(subject: Subject, setting: Setting) -> Float[Tensor, " query"]:
    """How far each position's logits move when all the tokens aside are changed."""
    base = subject.run(setting.key, setting.ids, setting.aside)
    other = subject.others(setting.aside, setting.seed)
    moved = drift(base, subject.run(setting.key, setting.ids, other))
    if base.isnan().any() and not (moved > 0).any():
        raise CaptureError("its logits are no numbers here, so that nothing can be seen to move")
    return moved


def entry_of_swap(
    subject: Subject, setting: Setting, position: int, visible: Bool[Tensor, "query key"]
) -> str:
    """The module where a changed token reaches positions that must not see it; empty if nowhere."""
    other = swapped(subject, setting, position)
    base, changed = _recorded(subject, setting), _recorded(subject, setting, ids=other)
    beside = None
    if setting.aside.numel():
        others = subject.others(setting.aside, setting.seed)
        beside = _recorded(subject, setting, aside=others).ids
    rounding = ROUNDING.get(subject.model.dtype, ROUNDING[torch.float32])
    for share in (rounding, 0.0) if subject.own else (0.0,):
        name = first_entry(base, changed, aside=False, visible=visible, beside=beside, share=share)
        if name:
            return name
    return ""


def entry_of_contents(subject: Subject, setting: Setting) -> str:
    """The module where changed tokens aside reach the others; empty if nowhere."""
    other = subject.others(setting.aside, setting.seed)
    base, changed = _recorded(subject, setting), _recorded(subject, setting, aside=other)
    return first_entry(base, changed, aside=True) or ""


def _recorded(
    subject: Subject, setting: Setting, ids: Tensor | None = None, aside: Tensor | None = None
) -> Recording:
    with watching(subject.model) as recording:
        subject.run(
            setting.key,
            setting.ids if ids is None else ids,
            setting.aside if aside is None else aside,
        )
    return recording

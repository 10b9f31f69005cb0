"""Are the weights complete? transformers only warns, and puts random numbers in their place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from attnscope.errors import LoadError

NAMED = 3
"""How many parameters an error names before it counts the rest."""

Misfit = tuple[str, tuple[int, ...], tuple[int, ...]]
"""Parameter, its stored shape, the shape that the config asks for."""


@dataclass(frozen=True, slots=True)
class WeightReport:
    """What transformers found out while it filled the model."""

    missing: Collection[str]
    misfits: Collection[Misfit]
    unused: Collection[str]

    @classmethod
    def read(cls, loading_info: dict[str, Any]) -> WeightReport:
        """From transformers' `output_loading_info`, which already leaves tied weights out."""
        return cls(
            loading_info["missing_keys"],
            loading_info["mismatched_keys"],
            loading_info["unexpected_keys"],
        )


def require_every_weight(model: PreTrainedModel, name: str, report: WeightReport) -> None:
    """Raise `LoadError` when a stored shape differs from the model's, or a parameter is missing."""
    misfits = sorted(report.misfits)
    if misfits:
        key, stored, needed = misfits[0]
        raise LoadError(
            f"The weights of {name} do not fit its config: {key} is stored as {tuple(stored)} and"
            f" needed as {tuple(needed)}{and_more(len(misfits) - 1)}.",
            "The config.json belongs to another model, or was edited.",
        )
    missing = [key for key in model.state_dict() if key in report.missing]
    if missing:
        raise LoadError(
            f"The weights of {name} lack {', '.join(missing[:NAMED])}"
            f"{and_more(len(missing) - NAMED)}; random numbers would stand in for them.",
            "Save the whole model, its output layer included.",
        )


def and_more(count: int) -> str:
    """What ends a list of which only the beginning is named."""
    return f" and {count} more" if count > 0 else ""

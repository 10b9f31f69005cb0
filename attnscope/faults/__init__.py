"""The one catalogue of planted leaks, for `--prove` and for the tests: an explicit registry."""

from __future__ import annotations

from attnscope.faults import conditions, forms, kernels, layers, masks, mixers, serving, windows
from attnscope.faults.fault import Fault, Plant

FAULTS: tuple[Fault, ...] = (
    *masks.FAULTS,
    *forms.FAULTS,
    *windows.FAULTS,
    *conditions.FAULTS,
    *kernels.FAULTS,
    *serving.FAULTS,
    *layers.FAULTS,
    *mixers.FAULTS,
)
"""In reading order."""

__all__ = ["FAULTS", "Fault", "Plant"]

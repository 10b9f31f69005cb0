"""Small models with leaks in them, and what verify-mask says of them."""

from __future__ import annotations

import functools
from typing import Any

import torch

from attnscope.errors import CaptureError
from attnscope.experiments.switches import attention
from attnscope.faults import FAULTS, Fault
from attnscope.load import LoadedModel
from attnscope.load.describe import describe
from attnscope.report import Report
from attnscope.verification import VerifyOptions, verify_model
from tests.faults.page import ARCHITECTURES, small

torch.set_num_threads(1)

FEW = 1
"""Tokens for all sweeps: the first and the last position are swapped then."""

BY_KEY = {fault.key: fault for fault in FAULTS}


@functools.cache
def model(architecture: str) -> Any:
    return small(architecture)


def verified(
    architecture: str, backend: str, *select: str, quick: bool = False, few: bool = True
) -> Report:
    """The report on a model as it is now, leak and all.

    With `few`, sweeps in all conditions change no more than two positions. The sweep is asked
    always, but takes long in all its conditions: left out where another check is named.
    """
    subject = model(architecture)
    loaded = LoadedModel(
        model=subject,
        tokenizer=None,
        tokenizer_problem="none is needed",
        info=describe(subject, architecture),
        default_prompt="",
        unused_weights=(),
    )
    between = any(code.startswith("ATN5") for code in select)
    options = VerifyOptions(
        backends=("sdpa", "eager") if between else (backend,),
        quick=quick,
        select=select,
        ignore=() if quick or "ATN301" in select else ("ATN301",),
        budget=FEW if few and not quick else None,
    )
    return verify_model(loaded, options)


def applying(architecture: str, backend: str) -> list[Fault]:
    """What can be planted there; nothing where the backend cannot run."""
    try:
        with attention(model(architecture), backend):
            return [fault for fault in FAULTS if fault.applies(model(architecture))]
    except CaptureError:
        return []


def cases(architectures: tuple[str, ...], backends: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """(architecture, backend, key) of each leak that can be planted."""
    return [
        (architecture, backend, fault.key)
        for architecture in architectures
        for backend in backends
        for fault in applying(architecture, backend)
    ]


__all__ = ["ARCHITECTURES", "BY_KEY", "applying", "cases", "model", "verified"]
